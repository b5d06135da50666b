"""Whether an imported network does what its card says, and whether every method explains it."""
