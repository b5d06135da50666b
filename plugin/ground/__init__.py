"""What stands on nothing of the project: plain values and words, which every floor may import."""
