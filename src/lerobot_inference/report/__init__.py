"""Results in, plots out."""
