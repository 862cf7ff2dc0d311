"""One file per command: parse, call, print. No logic."""
