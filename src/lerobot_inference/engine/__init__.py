"""Images and state in, action chunk out. base.py is the protocol; one file per backend."""
