"""What the jobs on model packages share."""
