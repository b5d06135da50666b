"""Z-scores of the output layer: components, groups, zones, refits, states that merge."""
