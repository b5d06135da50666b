"""Importance of features: means over samples, by class, and what a class has more of than all (Li et al. 2024).

IM_all[k] = mean of f_k over the correctly classified samples, IM_c[k] the same over those of class c, and
IM_diff = IM_c − IM_all. The top share r of |IM_diff| are the features that are kept; their complement and random sets
of the same size are controls.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from .samples import FeatureSamples

PREDICTED = -1  # the class of a target that is the predicted one


@dataclass(frozen=True, eq=False)
class Importance:
    """Importance of K features in C classes; arrays in the logit's unit, float64.

    Parameters
    ----------
    overall : numpy.ndarray
        (K,), IM_all.
    by_class : numpy.ndarray
        (C, K), IM_c; NaN for a class without correctly classified samples.
    samples : int
        Correctly classified ones.
    class_samples : numpy.ndarray
        (C,), those of each class.
    """

    overall: np.ndarray
    by_class: np.ndarray
    samples: int
    class_samples: np.ndarray

    @property
    def difference(self) -> np.ndarray:
        """IM_diff: (C, K); NaN for a class without samples."""
        return self.by_class - self.overall

    def contrast(self, wanted: int) -> np.ndarray | None:
        """Return |IM_diff| (K,) of a class, or the largest of all classes for :data:`PREDICTED`.

        None where all samples are of one class, or none of the wanted one: then no class has more of a feature.
        """
        known = self.class_samples > 0
        if known.sum() < 2 or (wanted != PREDICTED and not known[wanted]):
            return None
        sizes = np.abs(self.difference)
        return np.nanmax(sizes[known], axis=0) if wanted == PREDICTED else sizes[wanted]

    def leading_class(self, wanted: int) -> np.ndarray | None:
        """Return in which class each feature differs most from all samples (K,); the wanted one where there is one.

        None where :meth:`contrast` is.
        """
        if self.contrast(wanted) is None:
            return None
        if wanted != PREDICTED:
            return np.full(len(self.overall), wanted)
        return np.where(self.class_samples[:, None] > 0, np.abs(self.difference), -1.0).argmax(axis=0)

    def order(self, wanted: int) -> np.ndarray:
        """Return the features, the most important first: by |IM_diff|, or |IM_all| where that is undefined."""
        sizes = self.contrast(wanted)
        sizes = np.abs(self.overall) if sizes is None else sizes
        return np.argsort(-sizes, kind="stable")


def importance(samples: FeatureSamples) -> Importance:
    """Return the importance of the features, from the correctly classified samples."""
    correct = samples.correct
    f, group = samples.f[correct], samples.group[correct]
    counts = np.bincount(group[group >= 0], minlength=len(samples.classes))
    by_class = np.full((len(samples.classes), f.shape[1]), np.nan)
    for number in np.flatnonzero(counts):
        by_class[number] = f[group == number].mean(axis=0)
    overall = f.mean(axis=0) if len(f) else np.full(f.shape[1], np.nan)
    return Importance(overall, by_class, len(f), counts)


def kept_number(share: float, features: int) -> int:
    """Return how many features a share is, at least one."""
    return min(features, max(1, round(share * features)))


def top_mask(order: np.ndarray, number: int) -> np.ndarray:
    """Return which features are the first `number` of an order: (K,), bool."""
    mask = np.zeros(len(order), bool)
    mask[order[:number]] = True
    return mask


def correlations(values: np.ndarray, logit: np.ndarray) -> tuple[float, float]:
    """Return Pearson's and Spearman's correlation of two values of the samples; NaN where undefined."""
    known = np.isfinite(values) & np.isfinite(logit)
    first, second = values[known], logit[known]
    return _pearson(first, second), _pearson(rankdata(first), rankdata(second))


def _pearson(first: np.ndarray, second: np.ndarray) -> float:
    if len(first) < 3 or not first.std() or not second.std():
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])
