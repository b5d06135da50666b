"""What jobs share: inputs, provenance, baselines, coverage."""
