"""What the algorithms share: declaring, reading and checking parameters, running jobs, dressing layers."""
