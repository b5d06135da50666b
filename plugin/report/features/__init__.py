"""The report of a feature analysis."""
