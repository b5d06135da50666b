"""Matrix products whose last digit does not depend on the program they run in.

QGIS brings a BLAS of its own (GSL's, slow and rounded differently) that takes the place of numpy's in
its process; scipy's is called by other names and stays the same everywhere.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import blas

_ONE_THREAD = 2**18 - 1  # multiplications up to which OpenBLAS keeps to the thread that asks


def product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return ``left @ right`` of two matrices, float64."""
    # Both are passed transposed as they lie in memory: Fortran orders axes the other way, and nothing is copied.
    flat = blas.dgemm(1.0, np.ascontiguousarray(right).T, np.ascontiguousarray(left).T)
    return np.ascontiguousarray(flat.T)


def tall_product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return ``left @ right`` of a matrix of many rows and a small one, float64.

    Piece by piece, each too small for BLAS to hand to its threads: waiting for them would cost more than
    they bring, and the last digit would depend on how many there are.
    """
    step = max(1, _ONE_THREAD // max(1, right.size))
    pieces = [product(left[start : start + step], right) for start in range(0, len(left), step)]
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces or [np.zeros((0, right.shape[1]))])


def add_gram(total: np.ndarray, rows: np.ndarray) -> None:
    """Add ``rows.T @ rows`` of a matrix (observation, column), float64, to the lower triangle of `total`."""
    gram = blas.dsyrk(1.0, rows.T, beta=1.0, c=total.T, overwrite_c=1)
    if not np.may_share_memory(gram, total):  # a build of scipy that copies
        total[...] = gram.T


def gram(rows: np.ndarray) -> np.ndarray:
    """Return ``rows.T @ rows`` of a matrix (observation, column), float64, exactly symmetric."""
    upper = np.triu(blas.dsyrk(1.0, np.ascontiguousarray(rows).T))
    return upper + np.triu(upper, 1).T
