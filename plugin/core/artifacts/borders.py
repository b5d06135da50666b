"""What padding adds near the edges of a scene, by distance to each edge, pooled over all windows that touch one.

A single window shows its border with the noise of its few null maps, and one in which it is not significant would get
none: the border would begin and end at windows. All windows of a side share one profile instead. Its size differs from
window to window with what the network answers there; by least squares over the windows the profile is split into a
part in proportion to the level of the mean null map and one in proportion to the null maps' size.

The pooled border is significant, and shrunk, by comparison with the borders pooled of the replicates
(:mod:`.structure`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .decomposition import Place
from .significance import LEVEL, rank_p
from .structure import Borders, Structure

# Windows at edges whose borders are pooled at most; on each side about a quarter of them.
MOST_WINDOWS = 12
# Combinations of level and size below this share of the largest one are not fitted.
SMALLEST_DIRECTION = 0.1


class BorderPool:
    """Collects the borders of windows."""

    def __init__(self) -> None:
        self._windows: list[tuple[Place, Structure]] = []

    def add(self, place: Place, structure: Structure) -> None:
        """Add a window that has an edge."""
        if place.distances:
            self._windows.append((place, structure))

    def fit(self) -> Borders | None:
        """Return the pooled profiles; None without a window at an edge."""
        if not self._windows:
            return None
        fits = [self._fit(which) for which in (0, 1)]
        return Borders((fits[0][0], fits[1][0]), np.array([fits[0][1], fits[1][1]]))

    def _fit(self, which: int) -> tuple[dict[int, np.ndarray], float]:
        """Return the coefficients by side, and what is kept."""
        sets = min(len(p) for _, structure in self._windows for p in structure.profiles[which].values())
        squares = np.zeros(sets)
        coefficients = {}
        for side in range(4):
            at = [(place, structure) for place, structure in self._windows if side in place.distances]
            if not at:
                continue
            units = np.array([structure.units for _, structure in at])
            if which:
                units[:, 0] = 0.0
            inverse = np.linalg.pinv(units, rcond=SMALLEST_DIRECTION)
            counts = np.array([np.bincount(p.distances[side].ravel(), minlength=p.radius + 1) for p, _ in at])
            for number in range(sets):
                profiles = np.array([structure.profiles[which][side][number] for _, structure in at])
                fitted = inverse @ profiles
                squares[number] += float((counts * (units @ fitted) ** 2).sum())
                if number == 0:
                    coefficients[side] = fitted
        return coefficients, _kept(squares)


def _kept(squares: Sequence[float] | np.ndarray) -> float:
    observed, moved = squares[0], np.asarray(squares[1:])
    if observed <= 0 or not len(moved) or rank_p(observed, moved) > LEVEL:
        return 0.0
    return float(np.clip(1 - moved.mean() / observed, 0.0, 1.0))
