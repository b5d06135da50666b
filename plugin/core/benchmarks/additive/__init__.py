"""Benchmarks of targets that are sums of known functions of each input: what each input contributed is exact."""
