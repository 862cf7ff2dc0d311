"""`lerobot-inference register`."""
