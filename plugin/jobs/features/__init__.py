"""What the job of features is made of."""
