"""Three ways in which maps of images fail that correlation alone does not name.

Mamalakis, Barnes and Ebert-Uphoff 2022 (arXiv 2202.03407): *gradient shattering*, relevance that changes its sign from
pixel to pixel where the truth does not; *no sign*, evidence against that is shown as evidence for; *ignorance to zero
input*, nothing on pixels whose value is zero, whatever they mean.
"""

from __future__ import annotations

import numpy as np

from ....ground.rankings import Measure

MEASURES = (
    Measure(
        "smooth",
        "Neighbours of one sign (gradient shattering)",
        "higher",
        0.5,
        1.0,
        "Share of neighbouring pixels of one shape whose relevance has one sign.",
    ),
    Measure(
        "against",
        "Evidence against shown as such (sign)",
        "higher",
        0.5,
        1.0,
        "Of |relevance| on pixels that speak against, the share that is negative.",
    ),
    Measure(
        "zero_seen",
        "Relevance on shapes (ignorance to zero input)",
        "higher",
        0.0,
        1.0,
        "Share of |relevance| on the pixels that decide, where their value is zero.",
    ),
)


def failures(maps: np.ndarray, contributions: np.ndarray, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Return the scores of each sample by :data:`MEASURES` that its inputs allow; NaN where a map has none.

    Parameters
    ----------
    maps, contributions, inputs : numpy.ndarray
        (sample, row, column): relevance, C, and what the network read.
    """
    found = {"smooth": _smooth(maps, contributions)}
    against = contributions < 0
    some = against.any((1, 2))  # of the others this cannot be asked
    found["against"] = _ratio(
        np.where(against & (maps < 0), -maps, 0.0)[some], np.where(against, np.abs(maps), 0.0)[some]
    )
    telling = contributions != 0
    if (inputs[telling] == 0).all():
        found["zero_seen"] = _ratio(np.where(telling, np.abs(maps), 0.0), np.abs(maps))
    return found


def _ratio(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    part, whole = parts.sum((1, 2)), wholes.sum((1, 2))
    return np.divide(part, whole, out=np.full(len(parts), np.nan), where=whole > 0)


def _smooth(maps: np.ndarray, contributions: np.ndarray) -> np.ndarray:
    signs = np.sign(maps)
    alike, pairs = np.zeros(len(maps)), np.zeros(len(maps))
    for axis in (1, 2):
        first, second = _neighbours(signs, axis)
        shape, next_shape = _neighbours(contributions, axis)
        compared = (shape != 0) & (shape == next_shape) & (first * second != 0)
        alike += (compared & (first == second)).sum((1, 2))
        pairs += compared.sum((1, 2))
    return np.divide(alike, pairs, out=np.full(len(maps), np.nan), where=pairs > 0)


def _neighbours(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each pixel but the last along an axis, and the one behind it."""
    number = values.shape[axis]
    return np.take(values, range(number - 1), axis), np.take(values, range(1, number), axis)
