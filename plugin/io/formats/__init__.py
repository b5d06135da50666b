"""Products of agencies and services, each format in a room of its own."""
