"""A page for the duty officer: what the network maps and why, on one sheet."""
