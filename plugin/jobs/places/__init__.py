"""Why the network maps ice at a place: a scene and a network that stay open, asked about one place after the other."""
