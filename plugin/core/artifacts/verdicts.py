"""What the tests say, row by row, and whether a map can be trusted.

An *artifact* is called so where its p-value, corrected by Holm over all tests of a map (that on the SAR grid, or the
radiometry's) that can find one, is at most the level, and what it concerns is at least one hundredth of the map: of
many pixels, effects that nobody could see are significant too (*negligible*).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...ground.vocabulary.artifact_tests import (
    ARTIFACT,
    NEGLIGIBLE,
    NONE,
    REPORTED,
    TRAINED,
    UNDECIDED,
    UNTRAINED,
)
from .significance import LEVEL, holm

# Sizes below this share of the map are negligible.
VISIBLE = 0.01
# Maps of trained and shuffled networks are alike from this rank correlation on.
ALIKE = 0.5
# A map that keeps this rank correlation with half of the layers shuffled does not see what they learned.
BLIND = 0.7


@dataclass(frozen=True)
class Finding:
    """One row of the table.

    Parameters
    ----------
    test : str
        A word of :data:`floelens.plugin.ground.vocabulary.artifact_tests.TESTS`.
    part : str
        Which part of it: ``pattern``, ``border``, ``local``, a method.
    statistic : float
        Observed.
    quantiles : tuple of float
        2.5, 50 and 97.5 % of its reference values; empty where there are none.
    p_value : float or None
        None where nothing is tested.
    size : float or None
        Share of Σ|relevance| concerned, 0 to 1, or what `numbers` names.
    numbers : mapping of str to float
        More, by name.
    in_family : bool
        Whether it is one of the tests that Holm's correction is for.
    p_holm : float or None
        Corrected.
    verdict : str
        One of the words of this module.
    sensor : str
        ``""`` for the map on the SAR grid, ``radiometry`` for that of the radiometer's cells.
    """

    test: str
    part: str
    statistic: float
    quantiles: tuple[float, ...] = ()
    p_value: float | None = None
    size: float | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)
    in_family: bool = False
    p_holm: float | None = None
    verdict: str = REPORTED
    sensor: str = ""


def training_verdict(p_value: float, correlation: float, level: float = LEVEL) -> str:
    """Return whether a map depends on what its network learned.

    Parameters
    ----------
    p_value : float
        Of the map among those of shuffled networks; small where it is unlike them.
    correlation : float
        Mean rank correlation with them.
    level : float
        Up to which a p-value is significant.
    """
    if p_value <= level:
        return TRAINED
    return UNTRAINED if correlation >= ALIKE else UNDECIDED


def quantiles(reference: np.ndarray) -> tuple[float, ...]:
    """Return the 2.5, 50 and 97.5 % quantiles of reference values; empty for none."""
    return tuple(float(q) for q in np.quantile(reference, (0.025, 0.5, 0.975))) if len(reference) else ()


def judged(findings: Sequence[Finding], level: float = LEVEL) -> tuple[Finding, ...]:
    """Return findings with p-values corrected for the number of tests of each map, and verdicts."""
    adjusted: dict[int, float] = {}
    for sensor in {finding.sensor for finding in findings}:
        family = [
            each for each in findings if each.sensor == sensor and each.in_family and each.p_value is not None
        ]
        adjusted |= zip(map(id, family), holm(np.array([each.p_value for each in family])))
    result = []
    for finding in findings:
        if id(finding) not in adjusted:
            result.append(finding)
            continue
        p_holm = float(adjusted[id(finding)])
        verdict = NONE
        if p_holm <= level:
            verdict = ARTIFACT if (finding.size or 0.0) >= VISIBLE else NEGLIGIBLE
        result.append(dataclasses.replace(finding, p_holm=p_holm, verdict=verdict))
    return tuple(result)
