"""The pipeline YAML: read it and run it on this machine."""
