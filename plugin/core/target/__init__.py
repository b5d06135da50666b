"""What is explained: class, region, groups of channels, baselines, the output layer."""
