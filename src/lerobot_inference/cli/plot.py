"""`lerobot-inference plot`."""
