"""Fact or artifact: which parts of a relevance map belong to the data, and which to the network."""
