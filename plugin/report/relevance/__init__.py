"""What the relevance report says."""
