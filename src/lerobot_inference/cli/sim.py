"""`lerobot-inference sim`."""
