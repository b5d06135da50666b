r"""Which features follow a covariate, such as the incidence angle, beyond their class and the other features.

What a feature k adds to the logit is regressed on the class and on what all *other* features together say in the
sample, :math:`L_k=\sum_{l\ne k}f_l`, and its square, class by class. Not on the logit itself: given a sum, its parts
depend on each other, and a feature that follows the angle would make all others seem to follow it. For the same reason
features that are found to follow the covariate are left out of what the others say, the strongest first, until no more
are found (:func:`settled`). What is left of the feature is regressed on the covariate: linear and quadratic in its
rank, sine and cosine of the month, or one column a code.

Scenes are the observations of the test: with :math:`u_g=\sum_{i\in g}r_i b_i` the products of what is left of feature
and covariate, added up over each scene, Hotelling's :math:`T^2` tells whether their mean over the scenes is 0,
whatever the dependence inside of them. Benjamini and Hochberg's correction is taken over the features. The size of
the effect is the part of what is left of the feature that the covariate explains (partial R²).

Inside one scene a smooth feature goes with the position by chance, however many blocks the scene is cut into, and what
is constant in a scene has one value a scene: under :data:`.LEAST_SCENES` scenes there is partial R², but no p-value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from ..artifacts.significance import benjamini_hochberg
from .table import LEAST_SCENES, FeatureTable

MONTH = "month"
SPARE_UNITS = 6
"""Scenes that a test needs beyond the columns of its covariate."""
LEVEL = 0.01
"""Largest q of a feature that follows a covariate."""
LEAST_R2 = 0.1
"""Partial R² from which on it follows it."""
_TOGETHER = 0.8  # features that follow a covariate nearly as much as the strongest are left out with it
_SINGULAR = 1e-10


@dataclass(frozen=True)
class Association:
    """One feature and one covariate.

    Parameters
    ----------
    feature, covariate : str
        Their names.
    partial_r2 : float
        Part of what class and other features leave of the feature that the covariate explains, 0 to 1.
    correlation : float
        Of what is left of the feature with the covariate's rank, -1 to 1; NaN for codes and months.
    p, q : float
        Before and after the correction for many features; NaN where scenes are too few for a test.
    samples, units : int
        Samples and scenes with a known covariate.
    """

    feature: str
    covariate: str
    partial_r2: float
    correlation: float
    p: float
    q: float
    samples: int
    units: int

    @property
    def follows(self) -> bool:
        """Whether the feature follows the covariate: beyond chance, and by much."""
        return self.q <= LEVEL and self.partial_r2 >= LEAST_R2


@dataclass(frozen=True)
class Settled:
    """How the features follow a covariate, once those that do are left out of what the others say.

    Parameters
    ----------
    rows : tuple of Association
        All features that vary.
    following : tuple of int
        Positions of those left out.
    everywhere : bool
        Whether more than half of the features follow it: then what all of them follow, the ice, goes with it, and no
        single feature can be blamed.
    """

    rows: tuple[Association, ...]
    following: tuple[int, ...] = ()
    everywhere: bool = False

    @property
    def named(self) -> tuple[Association, ...]:
        """The features that follow the covariate."""
        return () if self.everywhere else tuple(row for row in self.rows if row.follows)


def settled(table: FeatureTable, covariate: str) -> Settled:
    """Return which features follow a covariate; the others are then compared without them."""
    following: tuple[int, ...] = ()
    while True:
        rows = associations(table, covariate, following=following)
        position = {name: at for at, name in enumerate(table.features)}
        new = {position[row.feature]: row.partial_r2 for row in rows if row.follows}
        for at in following:
            new.pop(at, None)
        if not new:
            return Settled(rows, following)
        least = _TOGETHER * max(new.values())
        following = (*following, *(at for at, r2 in new.items() if r2 >= least))
        if 2 * len(following) > len(rows):
            return Settled(rows, following, everywhere=True)


def associations(
    table: FeatureTable,
    covariate: str,
    beside: tuple[str, ...] = (),
    features: tuple[int, ...] | None = None,
    following: tuple[int, ...] = (),
) -> tuple[Association, ...]:
    """Return how each feature follows a covariate; nothing where it does not vary or there are too few samples.

    Parameters
    ----------
    table : FeatureTable
        The samples.
    covariate : str
        One of ``table.covariates``.
    beside : tuple of str
        Further covariates that are taken for granted.
    features : tuple of int, optional
        Positions of the features; default: all that vary.
    following : tuple of int
        Positions of features that are left out of what the others say.
    """
    known = np.isfinite([table.covariates[name] for name in (covariate, *beside)]).all(axis=0)
    unit = np.unique(table.scenes[known], return_inverse=True)[1]
    columns = _columns(table, covariate, known)
    units = int(unit.max(initial=-1)) + 1
    values, label = table.values[known], table.label[known]
    if columns is None or len(label) < 3 * len(np.unique(label)) + columns.shape[1] + SPARE_UNITS:
        return ()
    testable = units >= max(LEAST_SCENES, columns.shape[1] + SPARE_UNITS)
    granted = [_columns(table, name, known) for name in beside]
    heard = np.ones(values.shape[1])
    heard[list(following)] = 0.0
    together = values @ heard
    chosen = np.flatnonzero(~table.dead) if features is None else np.array(features)
    found = []
    for k in chosen:
        design = _design(
            together - heard[k] * values[:, k], label, [each for each in granted if each is not None]
        )
        left, own = _left(values[:, k], design), _left(columns, design)
        r2, p = _test(left, own, unit, units if testable else 0)
        found.append((k, r2, p, _rank_correlation(left, own, table, covariate)))
    q = benjamini_hochberg(np.array([p for _, _, p, _ in found]))
    return tuple(
        Association(
            table.features[k],
            covariate,
            float(r2),
            float(correlation),
            float(p),
            float(adjusted),
            int(known.sum()),
            units,
        )
        for (k, r2, p, correlation), adjusted in zip(found, q)
    )


def _columns(table: FeatureTable, covariate: str, known: np.ndarray) -> np.ndarray | None:
    """Return a covariate as columns (sample, column) that a feature may follow; None where it does not vary."""
    values = table.covariates[covariate][known]
    if not len(values) or np.ptp(values) == 0:
        return None
    if covariate in table.categorical:
        codes = np.unique(values)
        return (values[:, None] == codes[1:]).astype(float)
    if covariate == MONTH:
        angle = 2.0 * np.pi * (values - 1.0) / 12.0
        return np.column_stack([np.sin(angle), np.cos(angle)])
    rank = stats.rankdata(values)
    rank = 2.0 * (rank - 1.0) / max(len(rank) - 1.0, 1.0) - 1.0
    return np.column_stack([rank, 1.5 * np.square(rank) - 0.5])


def _design(others: np.ndarray, label: np.ndarray, granted: list[np.ndarray]) -> np.ndarray:
    """Return the columns of what is taken for granted: class, and what the other features say, class by class."""
    spread = others.std() or 1.0
    scaled = (others - others.mean()) / spread
    parts = []
    for each in np.unique(label):
        own = (label == each).astype(float)
        parts += [own, own * scaled, own * np.square(scaled)]
    return np.column_stack([*parts, *granted])


def _left(values: np.ndarray, design: np.ndarray) -> np.ndarray:
    """Return what a regression on the design leaves of values (sample,) or (sample, column)."""
    left, values_of, _ = np.linalg.svd(design, full_matrices=False)
    basis = left[:, values_of > _SINGULAR * values_of[0]]
    return values - basis @ (basis.T @ values)


def _test(left: np.ndarray, own: np.ndarray, unit: np.ndarray, units: int) -> tuple[float, float]:
    """Return the partial R² and the p-value of Hotelling's test over units; NaN of no units."""
    basis, sizes, _ = np.linalg.svd(own, full_matrices=False)
    usable = basis[:, sizes > _SINGULAR * max(sizes[0], 1.0)] if len(sizes) else basis
    total = float(left @ left)
    if not usable.shape[1] or not total > 0:
        return 0.0, 1.0 if units else float("nan")
    r2 = min(1.0, float(np.square(usable.T @ left).sum()) / total)
    if not units:
        return r2, float("nan")
    sums = np.zeros((units, usable.shape[1]))
    np.add.at(sums, unit, left[:, None] * usable)
    mean, df = sums.mean(axis=0), usable.shape[1]
    scatter = np.cov(sums.T, ddof=1).reshape(df, df)
    squared = units * float(mean @ np.linalg.pinv(scatter) @ mean)
    return r2, float(stats.f.sf(squared * (units - df) / ((units - 1.0) * df), df, units - df))


def _rank_correlation(left: np.ndarray, own: np.ndarray, table: FeatureTable, covariate: str) -> float:
    """Return the correlation of what is left of a feature with what is left of the covariate's rank."""
    if covariate in table.categorical or covariate == MONTH:
        return float("nan")
    size = float(np.sqrt((left @ left) * (own[:, 0] @ own[:, 0])))
    return float(left @ own[:, 0]) / size if size > 0 else 0.0
