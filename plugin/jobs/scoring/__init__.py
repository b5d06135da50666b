"""The parts of the Z-score job."""
