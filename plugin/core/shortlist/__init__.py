"""The short list: which components of a last layer suffice to reproduce its map, by several orders of importance."""
