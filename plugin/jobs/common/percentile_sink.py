"""Rasters that are written strip by strip, and the percentile of their values at which the colours of a map end."""

from __future__ import annotations

import numpy as np

from ...ground.protocols import Sink

# The colours of a map end where all but two in a hundred pixels lie below; the file keeps every value.
SHOWN_PERCENTILE = 98.0
SHOWN_PIXELS = 250_000  # of a raster that the percentile is taken of, about


def colour_limit(values: np.ndarray) -> float:
    """Return a high percentile of the absolute values that are not zero; 0 where there are none."""
    sizes = np.abs(values)
    sizes = sizes[np.isfinite(sizes)]
    sizes = sizes[sizes > 0]
    return float(np.percentile(sizes, SHOWN_PERCENTILE)) if len(sizes) else 0.0


class Subsample:
    """Keeps every n-th row and column of strips (band, row, column) that come from top to bottom."""

    def __init__(self) -> None:
        self._rows = 0
        self._kept: list[np.ndarray] = []

    def add(self, values: np.ndarray) -> None:
        """Take a strip."""
        step = max(1, int(np.sqrt(values.shape[2] ** 2 / SHOWN_PIXELS)))
        self._kept.append(values[:, -self._rows % step :: step, ::step].copy())
        self._rows += values.shape[1]

    def values(self) -> np.ndarray:
        """Return what was kept: (band, row, column)."""
        return np.concatenate(self._kept, axis=1)

    def band(self, number: int) -> np.ndarray:
        """Return what was kept of one band: (row, column)."""
        return np.concatenate([part[number] for part in self._kept])


class PercentileSink:
    """A sink that passes every strip on, and subsamples it for the limits of colours.

    Parameters
    ----------
    sink : Sink or None
        What is written: (band, row, column); None where only the limits are wanted.
    """

    def __init__(self, sink: Sink | None) -> None:
        self._sink = sink
        self._subsample = Subsample()

    def write(self, values: np.ndarray) -> None:
        """Write a strip."""
        if self._sink is not None:
            self._sink.write(values)
        self._subsample.add(values)

    def limit(self, band: int) -> float:
        """Return a high percentile of the absolute values of a band; 0 where it has none."""
        return colour_limit(self._subsample.band(band))
