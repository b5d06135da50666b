"""Values of features by sample, as the analysis of their distributions takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

LEAST_SCENES = 8
"""Scenes from which on a dependence on where, when or in which scene a sample lies is distinguished from chance."""


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """What K features add to a logit in n samples, and what is known of the samples.

    Parameters
    ----------
    features : tuple of str
        (K,), names.
    values : numpy.ndarray
        (n, K), float64, logit.
    classes : tuple of str
        (C,), names.
    label : numpy.ndarray
        (n,), int: the class of each sample.
    target : int
        The class whose logit it is.
    unit : numpy.ndarray
        (n,), int: samples of one unit (a scene, or a block of one) may depend on each other, those of different units
        do not.
    units : str
        What a unit is, in the plural: ``scenes``, ``blocks of 64 km``.
    covariates : mapping of str to numpy.ndarray
        (n,) each, float64, NaN where unknown.
    categorical : frozenset of str
        Covariates whose numbers are codes, such as the sub-swath.
    groups : mapping of str to numpy.ndarray
        (n,) each, text: what is compared, as ``split`` (``train``, ``test``), ``scene``, ``season``; '' takes no part.
    scene : numpy.ndarray, optional
        (n,), int: the scene of each sample; default: the units are scenes.

    Raises
    ------
    ValueError
        If the parts do not fit each other, or a value is not finite.
    """

    features: tuple[str, ...]
    values: np.ndarray
    classes: tuple[str, ...]
    label: np.ndarray
    target: int
    unit: np.ndarray
    units: str = "scenes"
    covariates: Mapping[str, np.ndarray] = field(default_factory=dict)
    categorical: frozenset[str] = frozenset()
    groups: Mapping[str, np.ndarray] = field(default_factory=dict)
    scene: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = len(self.values)
        parts = (self.label, self.unit, self.scenes, *self.covariates.values(), *self.groups.values())
        if self.values.shape != (n, len(self.features)) or any(len(part) != n for part in parts):
            raise ValueError("the parts of a table of features do not fit each other")
        if not np.isfinite(self.values).all():
            raise ValueError("a value of a feature is not finite")

    def __len__(self) -> int:
        return len(self.values)

    def without(self, samples: Sequence[int]) -> FeatureTable:
        """Return the table without some samples, by position."""
        if not len(samples):
            return self
        kept = np.ones(len(self), bool)
        kept[list(samples)] = False
        return replace(
            self,
            values=self.values[kept],
            label=self.label[kept],
            unit=self.unit[kept],
            covariates={name: each[kept] for name, each in self.covariates.items()},
            groups={name: each[kept] for name, each in self.groups.items()},
            scene=None if self.scene is None else self.scene[kept],
        )

    @property
    def scenes(self) -> np.ndarray:
        """The scene of each sample, (n,), int."""
        return self.unit if self.scene is None else self.scene

    @property
    def testable(self) -> bool:
        """Whether there are scenes enough to tell a dependence on place, time or scene from chance."""
        return len(np.unique(self.scenes)) >= LEAST_SCENES

    def units_of(self, group: np.ndarray) -> np.ndarray:
        """Return the units (n,) that groups (n,) are compared by: scenes where each is of one group, else `unit`."""
        codes = np.unique(group, return_inverse=True)[1]
        held = np.unique(np.column_stack([self.scenes, codes]), axis=0)
        return self.scenes if len(held) == len(np.unique(self.scenes)) else self.unit

    @cached_property
    def sd(self) -> np.ndarray:
        """Standard deviation of each feature within the classes, (K,)."""
        return np.sqrt(np.square(self.within_classes).mean(axis=0))

    @cached_property
    def within_classes(self) -> np.ndarray:
        """Values less the mean of their class, (n, K)."""
        centred = np.array(self.values, np.float64)
        for each in np.unique(self.label):
            own = self.label == each
            centred[own] -= centred[own].mean(axis=0)
        return centred

    @cached_property
    def dead(self) -> np.ndarray:
        """Whether each feature does not vary at all, (K,), bool: rounding does not count."""
        size = np.abs(self.values).max(axis=0, initial=0.0)
        return np.ptp(self.values, axis=0) <= 1e-9 * size if len(self) else np.ones(len(self.features), bool)


def effective_sizes(table: FeatureTable) -> np.ndarray:
    """Return how many independent samples the n are worth, feature by feature.

    n/(1 + (m - 1) r) with m the mean number of samples in a unit and r the intraclass correlation of a one-way
    analysis of variance of the values within their classes (Kish 1965); between the number of units and n.

    Returns
    -------
    numpy.ndarray
        (K,), float64.
    """
    values, n = table.within_classes, len(table)
    numbers, unit = np.unique(table.unit, return_inverse=True)
    count = np.bincount(unit)
    if len(numbers) < 2 or n <= len(numbers):
        return np.full(values.shape[1], float(max(len(numbers), 1)))
    sums = np.zeros((len(numbers), values.shape[1]))
    np.add.at(sums, unit, values)
    means = sums / count[:, None]
    between = (count[:, None] * np.square(means - values.mean(axis=0))).sum(axis=0) / (len(numbers) - 1)
    within = np.square(values - means[unit]).sum(axis=0) / (n - len(numbers))
    typical = (n - np.square(count).sum() / n) / (len(numbers) - 1)
    variance = np.maximum(0.0, (between - within) / typical)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.nan_to_num(variance / (variance + within))
    return np.clip(n / (1.0 + (n / len(numbers) - 1.0) * correlation), len(numbers), n)
