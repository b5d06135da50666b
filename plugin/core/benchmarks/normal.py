"""Draws from normal distributions of mean zero with a given covariance."""

from __future__ import annotations

import numpy as np


def covariance_root(covariance: np.ndarray) -> np.ndarray:
    """Return A, (input, input), with A Aᵀ the covariance: A times white noise has it.

    Rounding leaves eigenvalues just below zero; they count as zero.
    """
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0.0))
