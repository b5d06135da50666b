r"""Samples unlike the others of their class.

The distance of a sample from its class is Mahalanobis' one, :math:`\sqrt{z^TR^{-1}z/K}`, with z its distances from the
medians of its class in mean absolute distances, and R the rank correlation of the features within the classes, drawn
towards no correlation. An outlier is one that the other samples do not lead one to expect: the logarithms of the
distances above the median are taken for exponential, which makes the tail of the distances a power, heavier than those
of most features, and an outlier lies where such a tail holds :data:`EXPECTED` samples. The scale of the tail is set by
the quantiles of 50 and 90 %.

Far samples bend medians, spread, R and tail towards themselves, and so hide each other. All are therefore taken from
the :data:`USUAL` of the samples that lie closest, found by concentration steps (Rousseeuw and Van Driessen 1999,
Technometrics 41, from ranks as in Hubert et al. 2012, JCGS 21); then samples that these lead one to expect are added,
until there are none left (forward search, Atkinson, Riani and Cerioli 2004). Where there are few samples for the
features, R is left out: the samples that it is taken from would lie closer to it than all others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from .table import FeatureTable, effective_sizes

EXPECTED = 0.02
"""Samples beyond the distance of an outlier that a table without any would have."""
_TAIL = 0.1
USUAL = 0.85
"""Part of the samples that the others are judged by at first: up to the rest may be outliers."""
_STEPS = 3
_ADDED = 0.3 * EXPECTED  # while samples are added, since those that are left out make the tail seem short
LEAST_SAMPLES = 20
"""Fewer samples do not tell which are unusual."""
_OWN_CLASS = 10  # samples from which on a class has medians of its own
_SAMPLES_A_FEATURE = 2  # from which on correlations are used
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


def standard_distances(table: FeatureTable, usual: np.ndarray | None = None) -> np.ndarray:
    """Return how far each value lies from the median of its class, (n, K), in mean absolute distances of all classes.

    Of all, since a feature that hardly ever speaks in one class would make each time that it does an outlier.

    Parameters
    ----------
    table : FeatureTable
        The samples.
    usual : numpy.ndarray, optional
        (n,), bool: those that medians and mean distances are taken from; default: all.
    """
    usual = np.ones(len(table), bool) if usual is None else usual
    found = np.empty(table.values.shape)
    for each in np.unique(table.label):
        own = table.label == each
        like = own & usual if (own & usual).sum() >= _OWN_CLASS else usual
        found[own] = table.values[own] - np.median(table.values[like], axis=0)
    spread = np.abs(found[usual]).mean(axis=0)
    spread = np.where(spread > 0, spread, np.abs(found).mean(axis=0))  # of what only few samples have
    return np.divide(found, spread, out=np.zeros_like(found), where=spread > 0)


def outliers(table: FeatureTable) -> tuple[np.ndarray, tuple[Outlier, ...]]:
    """Return the distance of every sample (n,), and the outliers, the farthest first."""
    alive = ~table.dead
    if len(table) < LEAST_SAMPLES or not alive.any():
        return np.zeros(len(table)), ()
    effective = effective_sizes(table)[alive]
    usual = np.ones(len(table), bool)

    def measured() -> tuple[np.ndarray, np.ndarray]:
        standard = standard_distances(table, usual)
        return standard, _distances(standard[:, alive], effective, usual)

    for _ in range(_STEPS):
        distance = measured()[1]
        usual = distance <= np.quantile(distance, USUAL)
    while True:
        standard, distance = measured()
        close = distance <= _limit(distance[usual], _ADDED)
        if not (close & ~usual).any():
            break
        usual = usual | close
    far = distance > _limit(distance[usual], EXPECTED)
    names = np.array(table.features)
    found = [
        Outlier(
            int(at),
            float(distance[at]),
            float(distance[at] / np.median(distance)),
            tuple(names[np.argsort(-np.abs(standard[at]), kind="stable")[:_NAMED]].tolist()),
        )
        for at in np.flatnonzero(far)
    ]
    return distance, tuple(sorted(found, key=lambda each: -each.distance))


def _limit(distance: np.ndarray, expected: float) -> float:
    """Return the distance beyond which the tail of such distances holds so many samples."""
    logs = np.log(np.maximum(distance, 1e-12))
    start = float(np.quantile(logs, 1.0 - _TAIL))
    scale = (start - float(np.median(logs))) / np.log(0.5 / _TAIL)
    return float(np.exp(start + scale * np.log(_TAIL * len(distance) / expected)))


def _distances(standard: np.ndarray, effective: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Return the distance of each sample (n,) from standardised values (n, K), which are worth so many samples.

    The correlation is that of the usual samples (n,), bool.
    """
    features = standard.shape[1]
    ranks = stats.rankdata(standard[usual], axis=0)
    ranks -= ranks.mean(axis=0)
    size = np.sqrt(np.square(ranks).sum(axis=0))
    ranks = np.divide(ranks, size, out=np.zeros_like(ranks), where=size > 0)
    # Of normal values with Pearson's correlation r, Spearman's is 6/pi arcsin(r/2).
    correlation = 2.0 * np.sin(np.pi / 6.0 * (ranks.T @ ranks))
    np.fill_diagonal(correlation, 1.0)
    drawn = max(_LEAST_DRAWN, features / (features + float(np.median(effective))))
    if usual.sum() < _SAMPLES_A_FEATURE * features:
        drawn = 1.0
    correlation = (1.0 - drawn) * correlation + drawn * np.eye(features)
    sizes, axes = np.linalg.eigh(correlation)
    scores = standard @ axes
    return np.sqrt((np.square(scores) / np.maximum(sizes, 0.5 * drawn)).mean(axis=1))
