"""One place of a scene: what the network maps there, and what it would map without a sensor."""
