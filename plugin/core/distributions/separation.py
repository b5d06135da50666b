r"""How well features tell the target class from the others, in training samples and in test samples.

The separation of a feature is its mean over the samples of the target class less its mean over those of the others,
divided by its standard deviation within the classes (d' of signal detection). That of all features together is that of
their sum, the logit. Where enough units hold both classes, means are compared inside the units, weighted by
:math:`n_1n_0/(n_1+n_0)`, so that what differs from scene to scene does not count. A network that has learnt its
training samples by heart separates them better than others. The p-value comes from whole units exchanged between the
splits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..artifacts.significance import benjamini_hochberg, rank_p
from .comparisons import LEAST_SAMPLES
from .exchange import exchanged, least_p, unit_groups
from .table import FeatureTable

SPLIT, TRAIN, TEST = "split", "train", "test"
ALL_FEATURES = "all features"
_EXCHANGES = 1999
_LEAST_UNITS = 4  # of each split with samples of both classes, for separations inside the units


@dataclass(frozen=True)
class Separation:
    """How well one feature, or all together, separate the target class in training and in test samples.

    Parameters
    ----------
    feature : str
        Its name, or :data:`ALL_FEATURES`.
    train, test : float
        Mean of the target class less that of the others, in standard deviations within the classes.
    drop : float
        What is lost from training to test, as a part of `train`; NaN where that is not above 0.
    p, q : float
        Of a loss at least as large where splits do not matter; q after correction over the features. NaN under
        :data:`.LEAST_SCENES` scenes.
    units_train, units_test : int
        Units of either split.
    least_p : float
        The smallest p that so few units allow.
    """

    feature: str
    train: float
    test: float
    drop: float
    p: float
    q: float
    units_train: int
    units_test: int
    least_p: float


def separations(table: FeatureTable, seed: int = 0) -> tuple[Separation, ...]:
    """Return the separation of all features together, then of each; nothing without both splits and classes."""
    groups = table.groups.get(SPLIT)
    if groups is None:
        return ()
    inside = (groups == TRAIN) | (groups == TEST)
    train, own = groups[inside] == TRAIN, table.label[inside] == table.target
    if min((split & kind).sum() for split in (train, ~train) for kind in (own, ~own)) < LEAST_SAMPLES:
        return ()
    values = np.column_stack([table.values[inside].sum(axis=1), table.values[inside]])
    values = values - values.mean(axis=0)
    by_unit, unit = unit_groups(train, table.units_of(groups)[inside])
    sums = _UnitSums.of(values, own, unit, by_unit)
    observed = sums.separation(by_unit[None])[0], sums.separation(~by_unit[None])[0]
    random = exchanged(by_unit, _EXCHANGES, seed)
    lost = sums.separation(random) - sums.separation(~random)
    observed = tuple(np.nan_to_num(each) for each in observed)  # a dead feature separates nothing
    lost = np.nan_to_num(lost[np.isfinite(lost[:, 0])])
    p = np.array([rank_p(a - b, lost[:, k]) for k, (a, b) in enumerate(zip(*observed))])
    if not table.testable:
        p[:] = np.nan
    q = np.append(p[0], benjamini_hochberg(p[1:]))
    return tuple(
        Separation(
            name,
            float(a),
            float(b),
            float(1.0 - b / a) if a > 0 else float("nan"),
            float(p[k]),
            float(q[k]),
            int(by_unit.sum()),
            int((~by_unit).sum()),
            least_p(by_unit),
        )
        for k, (name, a, b) in enumerate(zip((ALL_FEATURES, *table.features), *observed))
    )


@dataclass(frozen=True, eq=False)
class _UnitSums:
    """What separations of any choice of units are made of.

    Parameters
    ----------
    count, sums, squares : numpy.ndarray
        (2, unit, 1), (2, unit, K), (2, unit, K): number of samples of the others (0) and of the target class (1), sums
        of their values and of the squares.
    inside : numpy.ndarray or None
        (unit, 1 + K): the weight of each unit, and its difference of means times the weight.
    """

    count: np.ndarray
    sums: np.ndarray
    squares: np.ndarray
    inside: np.ndarray | None

    @classmethod
    def of(cls, values: np.ndarray, own: np.ndarray, unit: np.ndarray, by_unit: np.ndarray) -> _UnitSums:
        """Add values (n, K) up, `own` marking the target class and `by_unit` the units of training."""
        at = own.astype(int), unit
        count = np.zeros((2, len(by_unit), 1))
        sums, squares = np.zeros((2, 2, len(by_unit), values.shape[1]))
        np.add.at(count, at, 1.0)
        np.add.at(sums, at, values)
        np.add.at(squares, at, np.square(values))
        mixed = (count > 0).all(axis=0)[:, 0]
        if min(mixed[by_unit].sum(), mixed[~by_unit].sum()) < _LEAST_UNITS:
            return cls(count, sums, squares, None)
        held = np.maximum(count, 1.0)
        weight = mixed[:, None] * held[0] * held[1] / held.sum(axis=0)
        apart = weight * (sums[1] / held[1] - sums[0] / held[0])
        return cls(count, sums, squares, np.column_stack([weight, apart]))

    def separation(self, chosen: np.ndarray) -> np.ndarray:
        """Return the separation (choice, K) in choices of units (choice, unit); NaN where a class is missing."""
        chosen = chosen.astype(float)
        with np.errstate(invalid="ignore", divide="ignore"):
            count = np.array([chosen @ each for each in self.count])
            means = np.array([chosen @ each for each in self.sums]) / count
            squares = np.array([chosen @ each for each in self.squares]) - count * np.square(means)
            sd = np.sqrt(squares.sum(axis=0) / count.sum(axis=0))
            if self.inside is None:
                return (means[1] - means[0]) / sd
            inside = chosen @ self.inside
            return inside[:, 1:] / inside[:, :1] / sd
