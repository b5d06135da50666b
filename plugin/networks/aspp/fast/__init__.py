"""Its fast paths: exact but for rounding, and several times faster than the definition."""
