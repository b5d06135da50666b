"""What the pixels allow to estimate: which components vary, which repeat others, which classes occur."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from ..sums.information import Information, Sums

COLLINEAR = 1e-10  # share of a column's variance that no earlier column explains: VIF of 10^10
ROUNDING = 1e-13  # share of a sum of squares that its rounding errors can feign as variance


@dataclass(frozen=True, eq=False)
class Identifiable:
    """What the pixels allow to estimate.

    `columns` are positions of components; `free` and `reference` positions of outputs, the contrasts
    being output minus reference (reference -1: the output itself, for sigmoid and linear heads).
    """

    columns: np.ndarray
    free: np.ndarray
    reference: int

    @property
    def classes(self) -> np.ndarray:
        """Outputs with scores, in order."""
        return np.sort(np.append(self.free, self.reference)) if self.reference >= 0 else self.free

    def contrasts_of(self, values: np.ndarray) -> np.ndarray:
        """Return values (output, ...) as contrasts (free, ...)."""
        return values[self.free] - values[self.reference] if self.reference >= 0 else values[self.free]

    def centring(self) -> np.ndarray:
        """Return the matrix (class, free) that makes centred values of contrasts."""
        if self.reference < 0:
            return np.ones((1, 1))
        indicator = (self.classes[:, None] == self.free).astype(np.float64)
        return indicator - 1.0 / len(self.classes)


def pooled_information(sums: Sums) -> np.ndarray:
    """Return the information (1 + component, 1 + component) summed over the pairs of outputs."""
    return sums.pairs.sum(axis=0)


def about_means(matrix: np.ndarray) -> np.ndarray:
    """Return sums of products about the weighted means: the intercept (first) eliminated."""
    return matrix[1:, 1:] - np.outer(matrix[1:, 0], matrix[0, 1:]) / matrix[0, 0]


def dead_components(information: Information, pooled: np.ndarray, centred: np.ndarray) -> dict[int, str]:
    """Return the components that do not vary, each with the reason."""
    notes = {}
    for j in range(len(centred)):
        low, high = information.lowest[j], information.highest[j]
        if low == high:
            notes[j] = "dead: always 0" if low == 0 else f"dead: constant at {low:g}"
        elif not centred[j, j] > ROUNDING * pooled[j + 1, j + 1]:
            notes[j] = "dead: varies only where the prediction is certain"
    return notes


def independent_columns(
    centred: np.ndarray, candidates: Sequence[int], raw: np.ndarray
) -> tuple[list[int], dict]:
    """Return the columns that earlier ones do not repeat, and how the others follow from them.

    A Cholesky factorisation of the columns scaled to unit information, in their own order; a column
    whose pivot vanishes is passed over.

    Parameters
    ----------
    centred : numpy.ndarray
        (component, component).
    candidates : sequence of int
        Columns to consider.
    raw : numpy.ndarray
        (component,): sums of squares about zero, which bound the rounding error.

    Returns
    -------
    kept : list of int
    repeated : dict of int to dict of int to float
        column -> {kept column: its coefficient}.
    """
    scale = np.sqrt(np.diag(centred)[list(candidates)])
    matrix = centred[np.ix_(candidates, candidates)] / np.outer(scale, scale)
    factor = np.zeros_like(matrix)
    chosen: list[int] = []
    repeated = {}
    for j, column in enumerate(candidates):
        r = len(chosen)
        row = solve_triangular(factor[:r, :r], matrix[chosen, j], lower=True) if r else np.zeros(0)
        pivot = matrix[j, j] - np.square(row).sum()
        if pivot > max(COLLINEAR, 10 * ROUNDING * raw[column] / scale[j] ** 2):
            factor[r, :r], factor[r, r] = row, np.sqrt(pivot)
            chosen.append(j)
            continue
        share = solve_triangular(factor[:r, :r], row, lower=True, trans="T")
        repeated[column] = {
            candidates[i]: float(share[at] * scale[j] / scale[i])
            for at, i in enumerate(chosen)
            if abs(share[at]) > 1e-4
        }
    return [candidates[j] for j in chosen], repeated


def folded_weights(weights: np.ndarray, repeated: Mapping[int, Mapping[int, float]]) -> np.ndarray:
    """Return weights (output, component) where kept columns carry those of the columns they repeat."""
    combined = weights.copy()
    for column, shares in repeated.items():
        for other, share in shares.items():
            combined[:, other] += share * weights[:, column]
    return combined
