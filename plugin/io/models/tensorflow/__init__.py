"""Weights of TensorFlow SavedModel bundles, without TensorFlow."""
