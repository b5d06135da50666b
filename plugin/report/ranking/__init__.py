"""Reports of rankings: which method to trust, one form for every benchmark with known truth."""
