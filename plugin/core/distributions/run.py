"""Analysis of the distributions of features: comparisons, confounders, repeated and dead features, outliers, findings.

A finding is named where an effect is both large and beyond chance at :data:`LEVEL`, units of dependent samples taken as
the observations::

    found = analyse(FeatureTable(features, values, classes, label, target, unit=scene, covariates={"row": …}))
    for finding in found.findings:
        ...
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ...ground.protocols import Progress, Silent
from ...ground.vocabulary.feature_findings import (
    CONFOUNDER,
    DEAD,
    OUTLIER,
    OVERFITTING,
    REDUNDANT,
    SHIFT,
)
from ..streaming.engine import check_cancelled
from .comparisons import Difference, differences
from .confounders import LEAST_R2, LEVEL, Association, Settled, associations, settled
from .outliers import LEAST_SAMPLES, Outlier, outliers
from .redundancy import Pair, correlations, redundant_pairs
from .separation import ALL_FEATURES, SPLIT, Separation, separations
from .table import LEAST_SCENES, FeatureTable, effective_sizes

LEAST_DROP = 0.25
"""Part of the separation of training samples that an overfitted network loses."""
LEAST_SHIFT = 0.5
"""Wasserstein's distance, in standard deviations, from which on groups are named as different."""
ALIKE_R2 = 0.05
"""Difference of partial R² up to which two covariates are not distinguished."""
LEAST_EFFECTIVE = 5
"""Independent samples of which fewer do not tell whether one feature repeats another."""


@dataclass(frozen=True)
class Finding:
    """Something that was found.

    Parameters
    ----------
    kind : str
        A word of :data:`.FINDINGS`.
    features : tuple of str
        Which features, most affected first.
    what : str
        The covariate or the comparison; empty where there is none.
    effect : float
        Its size: the drop of separation, Wasserstein's distance (sd), partial R², correlation, or how
        many times as far from its class as the median sample.
    q : float or None
        After correction; None where nothing is tested.
    also : tuple of str
        Of a confounder the covariates that it follows beside the first; of a shift the group, what it is compared
        with, and the class.
    alike : tuple of str
        Of a confounder the covariates that cannot be distinguished from the first.
    sample : int or None
        Position of an outlier.
    """

    kind: str
    features: tuple[str, ...]
    what: str
    effect: float
    q: float | None = None
    also: tuple[str, ...] = ()
    alike: tuple[str, ...] = ()
    sample: int | None = None


@dataclass(frozen=True, eq=False)
class Distributions:
    """All that the analysis of a table gives.

    Parameters
    ----------
    findings : tuple of Finding
        By kind, the largest first.
    differences, separations, associations : tuples
        All rows behind them.
    correlation : numpy.ndarray
        (K, K), within the classes.
    pairs : tuple of Pair
        Redundant features.
    dead : tuple of str
        Features that do not vary.
    distance : numpy.ndarray
        (n,), how unusual each sample is.
    outliers : tuple of Outlier
        Unusual samples.
    effective : numpy.ndarray
        (K,), independent samples that the n are worth.
    tested : tuple of str
        Kinds of findings that could be judged.
    notes : tuple of str
        What could not be judged, and why.
    """

    findings: tuple[Finding, ...]
    differences: tuple[Difference, ...]
    separations: tuple[Separation, ...]
    associations: tuple[Association, ...]
    correlation: np.ndarray
    pairs: tuple[Pair, ...]
    dead: tuple[str, ...]
    distance: np.ndarray
    outliers: tuple[Outlier, ...]
    effective: np.ndarray
    tested: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def analyse(table: FeatureTable, seed: int = 0, progress: Progress | None = None) -> Distributions:
    """Return what the distributions of features over samples tell.

    Parameters
    ----------
    table : FeatureTable
        The samples.
    seed : int
        Of what is drawn: the same table and seed give the same result.
    progress : Progress, optional
        Asked between the analyses whether to go on.

    Raises
    ------
    Cancelled
        If the user asked to stop.
    """
    steps = _Steps(progress or Silent(), 3 + len(table.groups) + len(table.covariates))
    distance, unusual = outliers(table)
    steps.next()
    # A single sample far away can make any two features, or a feature and a covariate, seem to go together.
    usual = table.without([each.sample for each in unusual])
    compared: tuple[Difference, ...] = ()
    for name in table.groups:
        compared += tuple(differences(usual, name, seed))
        steps.next()
    separated = separations(usual, seed)
    steps.next()
    tied = {}
    for name in table.covariates:
        tied[name] = settled(usual, name)
        steps.next()
    matrix = correlations(usual)
    pairs = redundant_pairs(usual, matrix)
    dead = tuple(name for name, none in zip(usual.features, usual.dead) if none)
    steps.next()
    associated = tuple(row for each in tied.values() for row in each.rows)
    effective = effective_sizes(table)
    judged = {
        OVERFITTING: any(np.isfinite(row.p) for row in separated),
        SHIFT: any(np.isfinite(row.p) for row in compared),
        CONFOUNDER: any(np.isfinite(row.p) for row in associated),
        REDUNDANT: bool((effective >= LEAST_EFFECTIVE).any()),
        DEAD: len(table) > 1,
        OUTLIER: len(table) >= LEAST_SAMPLES,
    }
    findings = [
        *_overfitting(separated),
        *_shifts(compared),
        *_confounders(usual, tied),
        *(Finding(REDUNDANT, (pair.first, pair.second), "", pair.correlation) for pair in pairs),
        *(Finding(DEAD, (name,), "", 0.0) for name in dead),
        *(Finding(OUTLIER, each.features, "", each.ratio, sample=each.sample) for each in unusual),
    ]
    return Distributions(
        findings=tuple(findings),
        differences=compared,
        separations=separated,
        associations=associated,
        correlation=matrix,
        pairs=pairs,
        dead=dead,
        distance=distance,
        outliers=unusual,
        effective=effective,
        tested=tuple(kind for kind, known in judged.items() if known),
        notes=tuple(_notes(table, compared, separated, tied)),
    )


class _Steps:
    """Counts the analyses that are done, and asks after each whether to go on."""

    def __init__(self, progress: Progress, number: int) -> None:
        self._progress, self._number, self._done = progress, number, 0

    def next(self) -> None:
        """Count one more.

        Raises
        ------
        Cancelled
            If the user asked to stop.
        """
        check_cancelled(self._progress)
        self._done += 1
        self._progress.report(self._done / self._number, "Analysing the samples")


def _overfitting(separated: Iterable[Separation]) -> list[Finding]:
    """Return whether all features together separate training samples better than test samples, and which most."""
    rows = list(separated)
    if not rows or not (rows[0].p <= LEVEL and rows[0].drop >= LEAST_DROP):
        return []
    most = sorted(rows[1:], key=lambda row: row.test - row.train)
    names = tuple(row.feature for row in most if row.train - row.test > 0)
    return [Finding(OVERFITTING, names[:10], ALL_FEATURES, rows[0].drop, rows[0].p)]


def _shifts(compared: Iterable[Difference]) -> list[Finding]:
    """Return by comparison, group and class the features that are distributed otherwise."""
    groups: dict[tuple[str, ...], list[Difference]] = {}
    for row in compared:
        if row.q <= LEVEL and row.wasserstein_sd >= LEAST_SHIFT:
            groups.setdefault((row.comparison, row.first, row.second, row.label), []).append(row)
    found = []
    for (comparison, *sides), rows in groups.items():
        rows.sort(key=lambda row: -row.wasserstein_sd)
        names = tuple(row.feature for row in rows)
        largest, q = rows[0].wasserstein_sd, max(row.q for row in rows)
        found.append(Finding(SHIFT, names, comparison, largest, q, tuple(sides)))
    return sorted(found, key=lambda each: -each.effect)


def _confounders(table: FeatureTable, tied: dict[str, Settled]) -> list[Finding]:
    """Return for each feature the covariate that it follows most, and what else it follows beside that.

    Of covariates that explain about as much, as the incidence angle and the column of a scene do, the one that comes
    first in the table is named.
    """
    named: dict[str, list[Association]] = {}
    for each in tied.values():
        for row in each.named:
            named.setdefault(row.feature, []).append(row)
    found = []
    for feature, rows in named.items():
        most = max(row.partial_r2 for row in rows)
        first = next(row for row in rows if row.partial_r2 >= most - ALIKE_R2)
        position, also, alike = table.features.index(feature), [], []
        for other in sorted((row for row in rows if row is not first), key=lambda row: -row.partial_r2):
            following = tied[other.covariate].following
            beside = associations(table, other.covariate, (first.covariate,), (position,), following)
            # What it explains of all that class and other features leave, not of the little that the first leaves.
            adds = (1.0 - first.partial_r2) * beside[0].partial_r2 if beside else 0.0
            apart = bool(beside) and beside[0].p <= LEVEL and adds >= LEAST_R2
            if apart:
                also.append(other.covariate)
            elif other.partial_r2 >= first.partial_r2 - ALIKE_R2:
                alike.append(other.covariate)
        effect, q = first.partial_r2, first.q
        found.append(Finding(CONFOUNDER, (feature,), first.covariate, effect, q, tuple(also), tuple(alike)))
    return sorted(found, key=lambda each: -each.effect)


def _notes(
    table: FeatureTable,
    compared: tuple[Difference, ...],
    separated: tuple[Separation, ...],
    tied: dict[str, Settled],
) -> Iterable[str]:
    """Yield what could not be judged, and why."""
    number = len(np.unique(table.scenes))
    scenes = f"{number} scene" if number == 1 else f"{number} scenes"
    if len(table) < LEAST_SAMPLES:
        yield f"{len(table)} samples do not tell which of them are outliers: {LEAST_SAMPLES} are needed."
    few: list[str] = []
    blank: list[str] = []
    for name, found in tied.items():
        words = name.replace("_", " ")
        if found.everywhere:
            yield (
                f"More than half of the features follow {words}: the ice itself goes with it in these samples, so no "
                "single feature is named."
            )
        if not any(np.isfinite(row.p) for row in found.rows):
            known = table.covariates[name][np.isfinite(table.covariates[name])]
            (few if len(known) > 0 and np.ptp(known) > 0 else blank).append(words)
    if few:
        yield (
            f"Whether features follow {', '.join(few)} was not tested: {scenes} cannot tell a dependence from chance. "
            f"Give at least {LEAST_SCENES} scenes; codes such as the sub-swath need more."
        )
    if blank:
        yield f"No feature was compared with {', '.join(blank)}, which does not vary in these samples."
    for name in table.groups:
        rows_of = [row for row in compared if row.comparison == name]
        if not rows_of:
            yield f"Groups of '{name}' were not compared: no class has enough samples in two of them."
        elif not table.testable:
            yield (
                f"Differences by '{name}' were not tested: {scenes} cannot tell them from chance. Give at least "
                f"{LEAST_SCENES}."
            )
        elif min(row.least_p for row in rows_of) > LEVEL:
            yield f"Differences by '{name}' may be chance: {scenes} allow no p-value of {LEVEL:g}."
    if SPLIT in table.groups and separated and separated[0].least_p > LEVEL:
        yield (
            f"Overfitting cannot be distinguished from chance: {separated[0].units_train} scenes in training and "
            f"{separated[0].units_test} in test allow no p-value of {LEVEL:g}. Give at least 5 of each."
        )
