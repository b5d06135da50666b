"""Features that say the same, within the classes: a difference between classes is common to all useful features.

Correlation and rank correlation must both say so: a few samples far away make any two features correlate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from .table import FeatureTable, effective_sizes

ALIKE = 0.95
"""Absolute correlation, and rank correlation, from which on two features are redundant."""
SAME = 0.999
"""Absolute correlation from which on one repeats the other."""
_SURELY = 0.9  # the correlation that few samples must not leave open
_LIMIT = 2.5758293035489004  # two-sided 1 % of the normal distribution


@dataclass(frozen=True)
class Pair:
    """Two features.

    Parameters
    ----------
    first, second : str
        Their names.
    correlation : float
        Within the classes, -1 to 1.
    low : float
        Lower end of its 99 % interval, absolute, by Fisher's transform with the effective number of samples.
    same : bool
        Whether one repeats the other.
    """

    first: str
    second: str
    correlation: float
    low: float
    same: bool


def correlations(table: FeatureTable) -> np.ndarray:
    """Return the correlation (K, K) of the features within their classes; NaN for those that do not vary."""
    return _correlations(table.within_classes, table.dead)


def rank_correlations(table: FeatureTable) -> np.ndarray:
    """Return the correlation (K, K) of the features' ranks within their classes; NaN for those that do not vary."""
    ranks = np.empty(table.values.shape)
    for each in np.unique(table.label):
        own = table.label == each
        ranks[own] = stats.rankdata(table.values[own], axis=0) - 0.5 * (own.sum() + 1.0)
    return _correlations(ranks, table.dead)


def _correlations(values: np.ndarray, dead: np.ndarray) -> np.ndarray:
    """Return the correlation (K, K) of centred values (n, K)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = np.where(dead, np.nan, values / np.sqrt(np.square(values).sum(axis=0)))
    return np.clip(scaled.T @ scaled, -1.0, 1.0)


def redundant_pairs(table: FeatureTable, matrix: np.ndarray | None = None) -> tuple[Pair, ...]:
    """Return the pairs of features that say the same, the most alike first."""
    matrix = correlations(table) if matrix is None else matrix
    sizes, ranks = effective_sizes(table), rank_correlations(table)
    found = []
    for i, j in zip(*np.triu_indices(len(matrix), 1)):
        r = float(matrix[i, j])
        if not (abs(r) >= ALIKE and np.sign(r) * ranks[i, j] >= ALIKE):
            continue
        n = min(sizes[i], sizes[j])
        error = _LIMIT / np.sqrt(n - 3.0) if n > 3.0 else np.inf
        low = float(np.tanh(np.arctanh(min(abs(r), 1.0 - 1e-15)) - error))
        if low >= _SURELY:
            found.append(Pair(table.features[i], table.features[j], r, low, abs(r) >= SAME))
    return tuple(sorted(found, key=lambda pair: -abs(pair.correlation)))
