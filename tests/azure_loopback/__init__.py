"""A loopback Azure for the unpatched SDKs. Start with server.py, which says how to use it and how to add to it."""
