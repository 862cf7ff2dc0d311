"""Results and a verdict in, a registered model out."""
