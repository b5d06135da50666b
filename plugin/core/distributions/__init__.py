"""Distributions of features over samples: overfitting, confounders, repeated and dead features, outliers."""
