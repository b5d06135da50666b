r"""How well a network's map agrees with labels, at the pixels that are scored: sums in float64, batch by batch.

Z-scores explain a map as it is; whether the map is right, skill says. Concentrations are compared in %, also by
ranges of the labelled value; classes by their confusion matrix::

    collected = SkillAccumulator(layer, unit="%")
    for components, labels in batches:
        collected.add(components, labels)
    skill = collected.close()                                        # None where no pixel has a label
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from ..streaming.products import tall_product
from .sums.information import OutputLayer

RANGES = ("0", "<10", "10\u201339", "40\u201369", "70\u201389", "90\u2013100")
_EDGES = (10.0, 40.0, 70.0, 90.0)  # of the ranges above 0, in %
ICE = 15.0  # %: from which on a pixel is ice, as in ice extent
LEAST_R2 = 0.5
LEAST_F1 = 0.6
MOST_BIAS = 20.0  # % by which the mean of a range of labels may be off
COMMON = 0.01  # part of the pixels that a range or class needs to be judged by itself


@dataclass(frozen=True)
class Skill:
    r"""How well a map agrees with labels.

    Of values (sigmoid and linear heads) or of classes (softmax): what belongs to the other kind is None or empty.

    Parameters
    ----------
    head, kind, unit : str
        Of the head; values are in that unit, those of a sigmoid in %.
    n : int
        Labelled pixels that are scored.
    labelled, mapped : float or None
        Means over these pixels.
    rmse, bias : float or None
        Root mean square and mean of mapped minus labelled values.
    r2 : float or None
        :math:`1 - \sum (m - l)^2 / \sum (l - \bar l)^2`; None where all labels are the same.
    ranges : tuple of dict
        ``range, n, labelled, mapped, bias, rmse`` by range of the labelled value, means; ranges without pixels are
        absent, and so are all ranges where the unit is not %.
    missed_ice, false_ice : float or None
        Parts of the pixels (0 to 1) that are ice (15 % and more) in the labels and water on the map, and the other
        way round.
    accuracy, macro_f1 : float or None
        Part of the pixels whose class is right, and the mean of the classes' F1 (classes that neither the labels
        nor the map have are left out).
    confusion : tuple of dict
        ``class, n, mapped`` (pixels by mapped class), ``recall, precision, f1``: a row a labelled class.
    worst : str
        The range whose mean is off most, or the class that is found least, of those with at least 1 % of the pixels.
    poor : bool
        R² under 0.5, a range of at least 1 % of the pixels whose mean is off by more than 20 %, or macro F1 under 0.6.
    """

    head: str
    kind: str
    unit: str
    n: int
    labelled: float | None = None
    mapped: float | None = None
    rmse: float | None = None
    bias: float | None = None
    r2: float | None = None
    ranges: tuple[dict[str, Any], ...] = ()
    missed_ice: float | None = None
    false_ice: float | None = None
    accuracy: float | None = None
    macro_f1: float | None = None
    confusion: tuple[dict[str, Any], ...] = ()
    worst: str = ""
    poor: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return dict(vars(self))


class SkillAccumulator:
    """Adds up how the map of a head differs from its labels.

    Parameters
    ----------
    layer : OutputLayer
        The head.
    unit : str
        Of its map.
    """

    def __init__(self, layer: OutputLayer, unit: str = "") -> None:
        self._layer = layer
        self._scale = 100.0 if layer.kind == "sigmoid" else 1.0
        self._unit = "%" if layer.kind == "sigmoid" else unit
        # Pixels, and sums of labelled, mapped, labelled squared and difference squared.
        self._sums = np.zeros((len(RANGES), 5))
        self._missed = self._false = 0
        self._confusion = np.zeros((layer.outputs, layer.outputs), np.int64)  # labelled, mapped

    def add(self, components: np.ndarray, labels: np.ndarray) -> None:
        """Take a batch.

        Parameters
        ----------
        components : numpy.ndarray
            (pixel, component).
        labels : numpy.ndarray
            (pixel,): fraction (sigmoid), value (linear) or position of the class (softmax); NaN where there is none.
        """
        known = ~np.isnan(labels)
        if not known.any():
            return
        mapped = mapped_values(self._layer, components[known])
        labels = labels[known]
        if self._layer.kind == "softmax":
            both = labels.astype(np.int64) * self._layer.outputs + mapped.astype(np.int64)
            self._confusion += np.bincount(both, minlength=self._confusion.size).reshape(
                self._confusion.shape
            )
            return
        labels, mapped = labels * self._scale, mapped * self._scale
        where = np.zeros(len(labels), np.int64)
        if self._unit == "%":
            where = np.where(labels > 0, 1 + np.searchsorted(_EDGES, labels, side="right"), 0)
            self._missed += int(((labels >= ICE) & (mapped < ICE)).sum())
            self._false += int(((labels < ICE) & (mapped >= ICE)).sum())
        terms = (np.ones(len(labels)), labels, mapped, labels**2, (mapped - labels) ** 2)
        self._sums += np.column_stack(
            [np.bincount(where, weights=term, minlength=len(RANGES)) for term in terms]
        )

    def close(self) -> Skill | None:
        """Return the skill; None where no pixel has a label."""
        if self._layer.kind == "softmax":
            return self._of_classes() if self._confusion.any() else None
        return self._of_values() if self._sums.any() else None

    def _of_values(self) -> Skill:
        n, labelled, _, squares, errors = total = self._sums.sum(axis=0)
        scatter = squares - labelled**2 / n
        varied = scatter > 1e-9 * squares
        percent = self._unit == "%"
        ranges = tuple(
            {"range": name, **_means(sums)} for name, sums in zip(RANGES, self._sums) if percent and sums[0]
        )
        r2 = float(1.0 - errors / scatter) if varied else None
        common = [row for row in ranges if row["n"] >= COMMON * n]
        worst: dict[str, Any] = max(
            common, key=lambda row: abs(row["bias"]), default={"range": "", "bias": 0.0}
        )
        return Skill(
            self._layer.head,
            self._layer.kind,
            self._unit,
            **_means(total),
            r2=r2,
            ranges=ranges,
            missed_ice=self._missed / float(n) if percent else None,
            false_ice=self._false / float(n) if percent else None,
            worst=worst["range"],
            poor=abs(worst["bias"]) > MOST_BIAS or (r2 is not None and r2 < LEAST_R2),
        )

    def _of_classes(self) -> Skill:
        counts, right = self._confusion, np.diag(self._confusion)
        labelled, mapped = counts.sum(axis=1), counts.sum(axis=0)
        rows: tuple[dict[str, Any], ...] = tuple(
            {
                "class": name,
                "n": int(labelled[at]),
                "mapped": {other: int(counts[at, to]) for to, other in enumerate(self._layer.classes)},
                "recall": _part(right[at], labelled[at]),
                "precision": _part(right[at], mapped[at]),
                "f1": _part(2 * right[at], labelled[at] + mapped[at]),
            }
            for at, name in enumerate(self._layer.classes)
        )
        macro = float(np.mean([row["f1"] for row in rows if row["f1"] is not None]))
        n = int(counts.sum())
        common = [row for row in rows if row["n"] >= max(1.0, COMMON * n)]
        return Skill(
            self._layer.head,
            self._layer.kind,
            self._unit,
            n,
            accuracy=float(right.sum()) / n,
            macro_f1=macro,
            confusion=rows,
            worst=min(common, key=lambda row: row["recall"])["class"],
            poor=macro < LEAST_F1,
        )


def zone_columns(kind: str, skill: Skill | None) -> dict[str, float | int | None]:
    """Return the columns that labels add to the row of a zone; blank where `skill` is None: it has no label.

    Of a head of values the means of map and labels over the labelled pixels, of classes the part that agrees.
    """
    n = skill.n if skill else 0
    if kind == "softmax":
        return {"n_labelled": n, "agreement": skill.accuracy if skill else None}
    return {
        "n_labelled": n,
        "mean_mapped": skill.mapped if skill else None,
        "mean_labelled": skill.labelled if skill else None,
    }


def mapped_values(layer: OutputLayer, components: np.ndarray) -> np.ndarray:
    """Return what a head maps: fractions (sigmoid), values (linear) or positions of classes (softmax), (pixel,)."""
    logits = tall_product(np.asarray(components, np.float64), layer.weights.T) + layer.bias
    if layer.kind == "softmax":
        return logits.argmax(axis=1)
    return special.expit(logits[:, 0]) if layer.kind == "sigmoid" else logits[:, 0]


def _means(sums: np.ndarray) -> dict[str, Any]:
    n, labelled, mapped, _, errors = (float(value) for value in sums)
    return {
        "n": int(n),
        "labelled": labelled / n,
        "mapped": mapped / n,
        "bias": (mapped - labelled) / n,
        "rmse": float(np.sqrt(errors / n)),
    }


def _part(some: int, of: int) -> float | None:
    return float(some) / float(of) if of else None
