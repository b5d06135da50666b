"""By how much neighbouring windows disagree where they overlap.

A network whose output depends on the whole image answers a pixel of two windows twice. The difference is what a seam
can be at most; it is measured wherever both answers are computed anyway (:class:`SeamMeter`, given to
:func:`.engine.stream_predictions`), or on a few windows spread over the region (:func:`sample_seams`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ...ground.protocols import Source
from ...ground.window import Window
from .runner import Runner
from .tiling import Tile
from .windows import WindowPlan

# Differences are counted in bins that grow by 0.5 %, the first of them for all that is smaller than anything mapped.
LEAST, GROWTH, BINS = 1e-6, 1.005, 8000
SAMPLED = 4  # windows whose neighbours are compared with them


@dataclass(frozen=True)
class Seams:
    """Differences of neighbouring windows on their overlap.

    Parameters
    ----------
    median, high, largest : float
        The median, the 95th percentile (both to 0.5 %) and the largest difference.
    pixels : int
        How many pixels were compared.
    """

    median: float
    high: float
    largest: float
    pixels: int


class SeamMeter:
    """Compares each window with its left and its upper neighbour, in reading order.

    Parameters
    ----------
    plan : WindowPlan
        The windows.
    values : callable
        ``values(logits)``: what is compared, (band, row, column), of logits (output, row, column); of several bands
        the largest difference counts.
    """

    def __init__(self, plan: WindowPlan, values: Callable[[np.ndarray], np.ndarray]) -> None:
        self._starts = plan.axes[0].starts
        self._values = values
        self._left: tuple[Window, np.ndarray] | None = None
        self._above: dict[int, tuple[Window, np.ndarray]] = {}
        self._counts = np.zeros(BINS, np.int64)
        self._largest = 0.0

    def add(self, window: Window, logits: np.ndarray, valid: np.ndarray) -> None:
        """Take the logits (output, row, column) of a window, and which of its pixels (row, column) are valid."""
        values = np.where(valid, self._values(logits), np.nan)
        if self._left is not None and self._left[0].row == window.row:
            self._compare(*self._left, window, values)
        if window.col in self._above:
            self._compare(*self._above.pop(window.col), window, values)
        self._left = window, values
        later = [start for start in self._starts if window.row < start < window.row_stop]
        if later:
            kept = Window(later[0], window.col, window.row_stop - later[0], window.cols)
            self._above[window.col] = kept, values[:, later[0] - window.row :].copy()

    def forget(self) -> None:
        """Compare no further window with those that were taken."""
        self._left, self._above = None, {}

    def _compare(self, first: Window, ours: np.ndarray, second: Window, theirs: np.ndarray) -> None:
        common = first.intersection(second)
        if common.empty:
            return
        parts = [
            values[(slice(None), *common.slices(window))]
            for window, values in ((first, ours), (second, theirs))
        ]
        differences = np.abs(parts[0] - parts[1]).max(0)
        differences = differences[np.isfinite(differences)].astype(np.float64)
        if not differences.size:
            return
        self._largest = max(self._largest, float(differences.max()))
        places = np.log(np.maximum(differences, LEAST) / LEAST) / np.log(GROWTH)
        self._counts += np.bincount(np.minimum(places.astype(np.int64), BINS - 1), minlength=BINS)

    def seams(self) -> Seams | None:
        """Return what was measured; None where no two windows were compared."""
        total = int(self._counts.sum())
        if not total:
            return None
        summed = np.cumsum(self._counts)

        def quantile(share: float) -> float:
            place = int(np.searchsorted(summed, share * total))
            middle = LEAST * GROWTH ** (place + 0.5) if place else 0.0
            return min(middle, self._largest)

        return Seams(quantile(0.5), quantile(0.95), self._largest, total)


def sample_seams(
    runner: Runner, source: Source, plan: WindowPlan, values: Callable[[np.ndarray], np.ndarray]
) -> Seams | None:
    """Return how a few windows, spread over the region, differ from those right of them and below them.

    Parameters
    ----------
    runner, source, plan
        The network, the scene, and its windows.
    values : callable
        As of :class:`SeamMeter`.
    """
    meter = SeamMeter(plan, values)
    for group in _sampled(plan):
        for tile in group:
            patch = dataclasses.replace(source.read(tile.read), scene=plan.scene)
            valid = patch.valid[tile.input.slices(patch.window)]
            if valid.any():
                logits = runner.array(runner.logits(runner.standardise(patch, tile.input))[0])
                meter.add(tile.input, logits, valid)
        meter.forget()
    return meter.seams()


def _sampled(plan: WindowPlan) -> Iterator[list[Tile]]:
    """Yield windows with their right and lower neighbours, in reading order."""
    strips = list(plan.strips())
    places = [(row, col) for row, strip in enumerate(strips) for col in range(len(strip))]
    for number in range(min(SAMPLED, len(places))):
        row, col = places[len(places) * (2 * number + 1) // (2 * min(SAMPLED, len(places)))]
        # At the last row or column it is the neighbour before that is compared.
        row, col = max(0, min(row, len(strips) - 2)), max(0, min(col, len(strips[row]) - 2))
        right = [(row, col + 1)] if col + 1 < len(strips[row]) else []
        below = [(row + 1, col)] if row + 1 < len(strips) else []
        yield [strips[down][across] for down, across in [(row, col), *right, *below]]
