r"""How far a feature is distributed otherwise in one group of samples than in another, class by class.

With F and G the distribution functions of the groups, Kolmogorov and Smirnov's distance is :math:`\max|F-G|`, and
Wasserstein's :math:`\int|F-G|`, in standard deviations of the feature within its class. Their p-values come from whole
units exchanged between the groups (:mod:`.exchange`); the exchanged distances, each standardised by those of its
feature, are pooled over the features, and Benjamini and Hochberg's correction is taken over features, classes and pairs
of groups. Where a scene is of one group, scenes are the units: fewer than :data:`.LEAST_SCENES` give no p-value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..artifacts.significance import benjamini_hochberg, pooled_p
from .exchange import exchanged, least_p, unit_groups
from .table import FeatureTable

EXCHANGES = 199
TESTABLE = 0.05
"""Smallest p-value that the units must allow for a test to be worth while."""
MOST_SAMPLES = 3000
"""Samples that are compared: of more, every n-th."""
LEAST_SAMPLES = 5
"""Samples of a class that each group must have."""


@dataclass(frozen=True)
class Difference:
    """One feature of one class in two groups of samples.

    Parameters
    ----------
    comparison : str
        What is compared: ``split``, ``scene``, ``season``.
    first, second : str
        The groups; of more than two, one against ``others``.
    feature, label : str
        Feature and class.
    n_first, n_second, units_first, units_second : int
        Samples and units of the class.
    ks : float
        Kolmogorov and Smirnov's distance.
    wasserstein : float
        Wasserstein's distance, logit.
    wasserstein_sd : float
        The same in standard deviations of the feature within its class; 0 where it does not vary.
    p, q : float
        Of `ks`: before and after the correction for many features, classes and groups; NaN where units are too few for
        any.
    least_p : float
        The smallest p that so few units allow for one feature.
    """

    comparison: str
    first: str
    second: str
    feature: str
    label: str
    n_first: int
    n_second: int
    units_first: int
    units_second: int
    ks: float
    wasserstein: float
    wasserstein_sd: float
    p: float
    q: float
    least_p: float


OTHERS = "others"


def differences(table: FeatureTable, comparison: str, seed: int = 0) -> tuple[Difference, ...]:
    """Return how each feature differs between the groups of a comparison, class by class.

    Parameters
    ----------
    table : FeatureTable
        The samples.
    comparison : str
        One of ``table.groups``.
    seed : int
        Of the exchanges.
    """
    step = -(-len(table) // MOST_SAMPLES)
    taken = np.zeros(len(table), bool)
    taken[::step] = True
    unit = table.units_of(table.groups[comparison])
    rows: list[dict] = []
    for first, second, inside, own in pairs(table.groups[comparison]):
        for at, label in enumerate(table.classes):
            chosen = taken & inside & (table.label == at)
            if min((own & chosen).sum(), (chosen & ~own).sum()) < LEAST_SAMPLES:
                continue
            sides = {"first": first, "second": second}
            rows += [{**sides, **row} for row in _of_class(table, own[chosen], chosen, unit, seed, label)]
    q = benjamini_hochberg(np.array([row["p"] for row in rows]))
    return tuple(Difference(comparison, q=float(each), **row) for row, each in zip(rows, q))


def pairs(groups: np.ndarray) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """Yield the names of two groups, which samples are in either, and which in the first."""
    names = [name for name in np.unique(groups) if name]
    inside = groups != ""
    if len(names) == 2:
        if names[0] == "test" and names[1] == "train":
            names.reverse()
        yield str(names[0]), str(names[1]), inside, groups == names[0]
    elif len(names) > 2:
        for name in names:
            yield str(name), OTHERS, inside, groups == name


def distances(values: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Kolmogorov and Smirnov's and Wasserstein's distances of many splits of samples in two groups.

    Parameters
    ----------
    values : numpy.ndarray
        (n, K).
    first : numpy.ndarray
        (split, n), bool: which samples are in the first group.

    Returns
    -------
    ks, wasserstein : numpy.ndarray
        (split, K).
    """
    order = values.argsort(axis=0, kind="stable")
    ordered = np.take_along_axis(values, order, axis=0)
    gaps = np.diff(ordered, axis=0)
    apart = gaps > 0  # distribution functions are compared behind the last of equal values
    ks = np.zeros((len(first), values.shape[1]))
    wasserstein = np.zeros_like(ks)
    for at, own in enumerate(first):
        steps = np.where(own, 1.0 / own.sum(), -1.0 / (~own).sum())
        apart_by = np.abs(np.cumsum(steps[order], axis=0)[:-1])
        ks[at] = np.where(apart, apart_by, 0.0).max(axis=0, initial=0.0)
        wasserstein[at] = np.einsum("nk,nk->k", apart_by, gaps)
    return ks, wasserstein


def _of_class(
    table: FeatureTable, own: np.ndarray, chosen: np.ndarray, unit: np.ndarray, seed: int, label: str
) -> list[dict]:
    """Return the rows of one class, without q; `own` marks those of the chosen samples in the first group."""
    values = table.values[chosen]
    by_unit, at = unit_groups(own, unit[chosen])
    ks, wasserstein = distances(values, own[None])
    with np.errstate(invalid="ignore", divide="ignore"):
        sd = np.where(table.sd > 0, wasserstein[0] / table.sd, 0.0)
    p = np.full(len(sd), np.nan)
    if table.testable and least_p(by_unit) <= TESTABLE:
        random, _ = distances(values, exchanged(by_unit, EXCHANGES, seed)[:, at])
        spread, centre = random.std(axis=0), random.mean(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            observed, null = (ks[0] - centre) / spread, (random - centre) / spread
        p = np.where(spread > 0, pooled_p(observed, null), 1.0)
    return [
        {
            "feature": name,
            "label": label,
            "n_first": int(own.sum()),
            "n_second": int((~own).sum()),
            "units_first": int(by_unit.sum()),
            "units_second": int((~by_unit).sum()),
            "ks": float(ks[0, k]),
            "wasserstein": float(wasserstein[0, k]),
            "wasserstein_sd": float(sd[k]),
            "p": float(p[k]),
            "least_p": least_p(by_unit),
        }
        for k, name in enumerate(table.features)
    ]
