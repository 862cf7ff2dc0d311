"""A trained policy on disk: find and fetch it, verify it, read its config, weights and statistics."""
