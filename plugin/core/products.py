"""Matrix products whose last digit does not depend on the program they run in.

QGIS brings a BLAS of its own (GSL's, slow and rounded differently) that takes the place of numpy's in
its process; scipy's is called by other names and stays the same everywhere.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import blas


def product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return ``left @ right`` of two matrices, float64."""
    # Both are handed over as they lie, transposed: Fortran counts the other way, and nothing is copied.
    flat = blas.dgemm(1.0, np.ascontiguousarray(right).T, np.ascontiguousarray(left).T)
    return np.ascontiguousarray(flat.T)


def gram(rows: np.ndarray) -> np.ndarray:
    """Return ``rows.T @ rows`` of a matrix (observation, column), float64, exactly symmetric."""
    upper = np.triu(blas.dsyrk(1.0, np.ascontiguousarray(rows).T))
    return upper + np.triu(upper, 1).T
