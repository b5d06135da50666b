"""Reports of benchmarks: networks and methods beside known truth."""
