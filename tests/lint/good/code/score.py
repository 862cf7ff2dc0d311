"""An entry script, which is never run."""
