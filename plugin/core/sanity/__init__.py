"""Sanity of relevance maps: how a map behaves where no truth is known."""
