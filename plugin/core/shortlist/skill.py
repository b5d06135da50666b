"""Skill of the first k components of an order against labels, for k = 0 … all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import special

AT_MEAN, AT_ZERO = "mean", "zero"
FILLS = (AT_MEAN, AT_ZERO)
MOST_PIXELS = 4000
"""Labelled pixels that skill is computed on: its error by chance is then about 1.6 % of its size."""


@dataclass(frozen=True, eq=False)
class LabelledPixels:
    """Pixels with labels, and the last layer that maps them.

    Parameters
    ----------
    kind : str
        ``sigmoid``, ``softmax`` or ``linear``.
    components : numpy.ndarray
        (n, m), float64.
    labels : numpy.ndarray
        (n,): fractions, positions of classes, or values.
    weights, bias : numpy.ndarray
        (output, m) and (output,).
    """

    kind: str
    components: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    @property
    def measure(self) -> str:
        """What skill is: ``accuracy`` of classes, ``rmse`` of values (in % for a sigmoid head)."""
        return "accuracy" if self.kind == "softmax" else "rmse"


def skill_curve(pixels: LabelledPixels, order: np.ndarray, fill: str = AT_MEAN) -> np.ndarray:
    """Return the skill of the first k components, the others at their mean or at zero.

    Parameters
    ----------
    pixels : LabelledPixels
        What is mapped.
    order : numpy.ndarray
        (m,), positions of the components, most important first.
    fill : {'mean', 'zero'}
        What stands for a component that is left out: its mean over the pixels, or 0.

    Returns
    -------
    numpy.ndarray
        (m + 1,): the part of the pixels whose class is right (softmax), or the root of the mean squared difference
        between map and label, in % for a sigmoid head.
    """
    return np.array([_skill(pixels, logits) for logits in _logits(pixels, order, fill)])


def constant_skill(pixels: LabelledPixels) -> float:
    """Return the skill of the best constant map: of the commonest class, or of the mean label."""
    if pixels.measure == "accuracy":
        return float(np.unique(pixels.labels, return_counts=True)[1].max() / len(pixels.labels))
    return float(pixels.labels.std()) * (100.0 if pixels.kind == "sigmoid" else 1.0)


def suffices_for_skill(curve: np.ndarray, measure: str, kept: float, constant: float) -> int | None:
    """Return the smallest k from which on a curve keeps a part of the skill above that of a constant map.

    What counts is the accuracy above that of the best constant map, or the part of its mean squared error that is
    removed.

    Parameters
    ----------
    curve : numpy.ndarray
        As of :func:`skill_curve`.
    measure : {'accuracy', 'rmse'}
        What it holds.
    kept : float
        The part.
    constant : float
        As of :func:`constant_skill`.

    Returns
    -------
    int or None
        None where all components map no better than a constant does.
    """
    gain = curve - constant if measure == "accuracy" else constant**2 - np.square(curve)
    if not gain[-1] > 0:
        return None
    good = gain >= kept * gain[-1]
    bad = np.flatnonzero(~good[:-1])
    return int(bad[-1]) + 1 if len(bad) else 0


def _logits(pixels: LabelledPixels, order: np.ndarray, fill: str) -> Iterator[np.ndarray]:
    """Yield logits (n, output) with the first k components, for k = 0 … m; the array is used again."""
    x, weights = pixels.components, pixels.weights
    level = x.mean(axis=0) if fill == AT_MEAN else np.zeros(x.shape[1])
    logits = np.repeat((pixels.bias + weights @ level)[None], len(x), axis=0)
    yield logits
    for j in order:
        logits += np.outer(x[:, j] - level[j], weights[:, j])
        yield logits


def _skill(pixels: LabelledPixels, logits: np.ndarray) -> float:
    if pixels.kind == "softmax":
        return float((logits.argmax(axis=1) == pixels.labels).mean())
    mapped = 100.0 * special.expit(logits[:, 0]) if pixels.kind == "sigmoid" else logits[:, 0]
    labels = 100.0 * pixels.labels if pixels.kind == "sigmoid" else pixels.labels
    return float(np.sqrt(np.square(mapped - labels).mean()))
