"""What the Z-score report says."""
