"""What is said of one place of a scene: the answer as plain values, and in sentences."""
