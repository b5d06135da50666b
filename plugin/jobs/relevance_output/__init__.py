"""What the relevance job writes beside the map."""
