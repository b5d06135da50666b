"""Feature analysis of scenes: which features of a layer matter, class activation maps on one scale, a report."""
