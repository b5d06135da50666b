"""The report of features."""
