"""The same pipeline for OSMO: made from the files that Azure ML gets, checked here, submitted by its own program."""
