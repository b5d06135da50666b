"""Benchmarks: what FloeLens costs on a machine. They run by `make bench` and do not ship."""
