"""The short list of a head by several orders of importance, side by side.

An order comes from one number a component: its absolute Z-score, its importance, … Components of the same number, as
those of one group, are ordered by the first measure::

    lists = short_lists({Z: abs_z, GROUP: chi2_per_weight}, moments, weights)
    lists[0].order, lists[0].r2.at_mean, lists[0].needed
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .moments import Moments
from .reproduction import SUFFICIENT, Reproduction, reproduction, suffices
from .skill import AT_MEAN, AT_ZERO, LabelledPixels, constant_skill, skill_curve, suffices_for_skill


@dataclass(frozen=True, eq=False)
class ShortList:
    """Components in one order, and how many of them suffice.

    Parameters
    ----------
    by : str
        A word of :data:`.ORDERS`.
    values : numpy.ndarray
        (m,): the measure of every component, in the layer's order; NaN where it has none.
    order : numpy.ndarray
        (m,), positions, most important first; components without a measure come last.
    r2 : Reproduction
        R² of the logits for the first k.
    needed : int or None
        How many reproduce 99 % of the logits' variance, the others at their mean.
    needed_at_zero, needed_refitted : int or None
        The same with the others at zero, and with weights fitted to the logits.
    measure : str
        What skill is: ``accuracy`` or ``rmse``; empty without labels.
    skill, skill_at_zero : numpy.ndarray
        (m + 1,), against labels; empty without.
    needed_for_skill, needed_for_skill_at_zero : int or None
        How many keep 99 % of the skill of all components above that of a constant map; None where all have none.
    """

    by: str
    values: np.ndarray
    order: np.ndarray
    r2: Reproduction
    needed: int | None
    needed_at_zero: int | None
    needed_refitted: int | None
    measure: str = ""
    skill: np.ndarray = field(default_factory=lambda: np.zeros(0))
    skill_at_zero: np.ndarray = field(default_factory=lambda: np.zeros(0))
    needed_for_skill: int | None = None
    needed_for_skill_at_zero: int | None = None


def short_lists(
    measures: Mapping[str, np.ndarray],
    moments: Moments,
    weights: np.ndarray,
    pixels: LabelledPixels | None = None,
    needed: float = SUFFICIENT,
) -> tuple[ShortList, ...]:
    """Return a short list for each measure that any component has.

    Parameters
    ----------
    measures : mapping of str to numpy.ndarray
        By word of :data:`.ORDERS`: (m,), larger is more important, NaN where a component has none.
    moments : Moments
        Of the m components.
    weights : numpy.ndarray
        (output, m), of the head.
    pixels : LabelledPixels, optional
        For the skill.
    needed : float
        What suffices, of the variance and of the skill.
    """
    tie = next(iter(measures.values()), np.zeros(0))
    found = []
    for by, values in measures.items():
        if not np.isfinite(values).any():
            continue
        order = ordered(values, tie)
        r2 = reproduction(moments, weights, order)
        at_mean, at_zero, refitted = (
            suffices(each, needed) for each in (r2.at_mean, r2.at_zero, r2.refitted)
        )
        skilled: dict[str, Any] = {} if pixels is None else _of_skill(pixels, order, needed)
        found.append(ShortList(by, values, order, r2, at_mean, at_zero, refitted, **skilled))
    return tuple(found)


def ordered(values: np.ndarray, tie: np.ndarray) -> np.ndarray:
    """Return positions by falling value, where equal by falling `tie`, then by position; NaN comes last."""
    last = np.nan_to_num(-np.asarray(tie, float), nan=np.inf), np.nan_to_num(-values, nan=np.inf)
    return np.lexsort(last)


def _of_skill(pixels: LabelledPixels, order: np.ndarray, needed: float) -> dict[str, Any]:
    constant = constant_skill(pixels)
    mean, zero = (skill_curve(pixels, order, fill) for fill in (AT_MEAN, AT_ZERO))
    return {
        "measure": pixels.measure,
        "skill": mean,
        "skill_at_zero": zero,
        "needed_for_skill": suffices_for_skill(mean, pixels.measure, needed, constant),
        "needed_for_skill_at_zero": suffices_for_skill(zero, pixels.measure, needed, constant),
    }
