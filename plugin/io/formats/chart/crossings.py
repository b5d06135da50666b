"""How often the edges of a polygon cross each other: that decides how long it takes to mend it.

Mending takes about a second for a thousand crossings, and more than proportionally longer for more. Edges are compared
in pairs: all of them where they are few, else a sample of a million.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_MOST_PAIRS = 1_000_000
_CHUNK = 1 << 17


def crossings(rings: Sequence[np.ndarray]) -> float:
    """Return how many pairs of edges cross inside of both; an estimate where the rings have many vertices.

    Parameters
    ----------
    rings : sequence of numpy.ndarray
        (vertex, x y), float64, closed.
    """
    starts = np.concatenate([ring[:-1] for ring in rings])
    stops = np.concatenate([ring[1:] for ring in rings])
    edges = len(starts)
    pairs = edges * (edges - 1) // 2
    if pairs <= _MOST_PAIRS:
        one, other = np.triu_indices(edges, 1)
    else:
        one, other = np.random.default_rng(0).integers(edges, size=(2, _MOST_PAIRS))
    number = sum(
        _cross(starts[one[part]], stops[one[part]], starts[other[part]], stops[other[part]])
        for part in (slice(start, start + _CHUNK) for start in range(0, len(one), _CHUNK))
    )
    return float(number) if pairs <= _MOST_PAIRS else number * pairs / _MOST_PAIRS


def _cross(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> int:
    """Return how many edges a–b cross the edges c–d, (edge, x y) each; those that only touch do not."""
    with np.errstate(over="ignore", invalid="ignore"):
        apart = _side(a, b, c) * _side(a, b, d) < 0
        apart &= _side(c, d, a) * _side(c, d, b) < 0
    return int(np.count_nonzero(apart))


def _side(a: np.ndarray, b: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Return on which side of the lines a–b points lie: 1, -1, or 0 on a line."""
    along, towards = b - a, point - a
    return np.sign(along[:, 0] * towards[:, 1] - along[:, 1] * towards[:, 0])
