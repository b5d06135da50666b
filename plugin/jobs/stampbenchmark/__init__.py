"""Stamps whose place is known: methods scored on a classifier of them, and on a network and scene of the user's own."""
