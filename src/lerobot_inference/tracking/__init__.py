"""Results in, an MLflow run out."""
