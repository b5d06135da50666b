r"""Samples unlike the others of their class.

The distance of a sample from its class is Mahalanobis' one, :math:`\sqrt{z^TR^{-1}z/K}`, with z its distances from the
medians of its class in mean absolute distances of all samples, and R the rank correlation of the features within the
classes, drawn towards no correlation: neither follows the outliers themselves. An outlier is one that the other
samples do not lead one to expect: the logarithms of the distances above the median are taken for exponential, which
makes the tail of the distances a power, heavier than those of most features, and an outlier lies where such a tail
holds :data:`EXPECTED` samples. The scale of the tail is set by the quantiles of 50 and 90 %, so that less than a tenth
of the samples may be outliers without hiding each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from .table import FeatureTable, effective_sizes

EXPECTED = 0.02
"""Samples beyond the distance of an outlier that a table without any would have."""
_TAIL = 0.1
LEAST_SAMPLES = 20
"""Fewer samples do not tell which are unusual."""
_OWN_CLASS = 10  # samples from which on a class has medians of its own
_NAMED = 3
_LEAST_DRAWN = 0.05  # part by which correlations are drawn towards none, at least


@dataclass(frozen=True)
class Outlier:
    """One sample.

    Parameters
    ----------
    sample : int
        Its position.
    distance : float
        From its class.
    ratio : float
        `distance` divided by the median distance of all samples.
    features : tuple of str
        Where it is most unusual, the first most.
    """

    sample: int
    distance: float
    ratio: float
    features: tuple[str, ...]


def standard_distances(table: FeatureTable) -> np.ndarray:
    """Return how far each value lies from the median of its class, (n, K), in mean absolute distances of all samples.

    Of all, since a feature that hardly ever speaks in one class would make each time that it does an outlier.
    """
    found = np.empty(table.values.shape)
    for each in np.unique(table.label):
        own = table.label == each
        like = own if own.sum() >= _OWN_CLASS else np.ones(len(table), bool)
        found[own] = table.values[own] - np.median(table.values[like], axis=0)
    spread = np.abs(found).mean(axis=0)
    return np.divide(found, spread, out=np.zeros_like(found), where=spread > 0)


def outliers(table: FeatureTable) -> tuple[np.ndarray, tuple[Outlier, ...]]:
    """Return the distance of every sample (n,), and the outliers, the farthest first."""
    standard = standard_distances(table)
    alive = ~table.dead
    if len(table) < LEAST_SAMPLES or not alive.any():
        return np.zeros(len(table)), ()
    distance = _distances(standard[:, alive], effective_sizes(table)[alive])
    logs = np.log(np.maximum(distance, 1e-12))
    start = float(np.quantile(logs, 1.0 - _TAIL))
    scale = (start - float(np.median(logs))) / np.log(0.5 / _TAIL)
    far = start + scale * np.log(_TAIL * len(table) / EXPECTED)
    names = np.array(table.features)
    found = [
        Outlier(
            int(at),
            float(distance[at]),
            float(distance[at] / np.median(distance)),
            tuple(names[np.argsort(-np.abs(standard[at]), kind="stable")[:_NAMED]].tolist()),
        )
        for at in np.flatnonzero(logs > far)
    ]
    return distance, tuple(sorted(found, key=lambda each: -each.distance))


def _distances(standard: np.ndarray, effective: np.ndarray) -> np.ndarray:
    """Return the distance of each sample (n,) from standardised values (n, K), which are worth so many samples."""
    features = standard.shape[1]
    ranks = stats.rankdata(standard, axis=0)
    ranks -= ranks.mean(axis=0)
    ranks /= np.sqrt(np.square(ranks).sum(axis=0))
    # Of normal values with Pearson's correlation r, Spearman's is 6/pi arcsin(r/2).
    correlation = 2.0 * np.sin(np.pi / 6.0 * (ranks.T @ ranks))
    drawn = max(_LEAST_DRAWN, features / (features + float(np.median(effective))))
    correlation = (1.0 - drawn) * correlation + drawn * np.eye(features)
    sizes, axes = np.linalg.eigh(correlation)
    scores = standard @ axes
    return np.sqrt((np.square(scores) / np.maximum(sizes, 0.5 * drawn)).mean(axis=1))
