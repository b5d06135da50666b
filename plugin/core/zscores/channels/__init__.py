"""Z-scores of input channels: strength, and slopes against labels."""
