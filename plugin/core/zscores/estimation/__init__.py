"""Weights, covariances and their errors, from sums."""
