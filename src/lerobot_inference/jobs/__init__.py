"""The pipeline YAML: read it, lint it, run it here as processes or in containers, or submit it.

What a step does is not here: a step is a command line.
"""
