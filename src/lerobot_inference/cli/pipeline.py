"""`lerobot-inference pipeline`."""
