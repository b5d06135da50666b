"""A thinned copy of a raster that is being written, for the limits of its colours."""

from __future__ import annotations

import numpy as np

from ...ground.protocols import Sink

# The colours of a map end where all but two in a hundred pixels lie below; the file keeps every value.
SHOWN_PERCENTILE = 98.0
SHOWN_PIXELS = 250_000


class Thinned:
    """A sink that hands every strip on and keeps some of its pixels.

    Parameters
    ----------
    sink : Sink
        What is written: (band, row, column).
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._rows = 0
        self._kept: list[np.ndarray] = []

    def write(self, values: np.ndarray) -> None:
        """Write a strip."""
        self._sink.write(values)
        step = max(1, int(np.sqrt(values.shape[2] ** 2 / SHOWN_PIXELS)))
        self._kept.append(values[:, -self._rows % step :: step, ::step].copy())
        self._rows += values.shape[1]

    def limit(self, band: int) -> float:
        """Return a high percentile of the size of a band's values; 0 where it has none."""
        values = np.abs(np.concatenate([part[band].ravel() for part in self._kept]))
        values = values[np.isfinite(values) & (values > 0)]
        return float(np.percentile(values, SHOWN_PERCENTILE)) if len(values) else 0.0
