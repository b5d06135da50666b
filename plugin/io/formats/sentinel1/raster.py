"""The image of a product: calibrated polarisations and the incidence angle, read window by window.

Polarisations are worked on in threads of their own, in rows of full width: the edges of the image
are found in whole rows, and that is how measurements are stored.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ....ground.window import Window
from ...geometry.grid import Grid
from ...rasters.writer import Band
from .annotation import TiePoints
from .backscatter import COUNTS, FLOOR, Measurement, count_rows

_STRIP_ROWS = 512
_DECIBELS = 10.0 / np.log(10.0)


class Sentinel1Raster:
    """Backscatter and incidence angle; see :class:`~.product.ProductRaster`.

    Parameters
    ----------
    measurements : sequence of Measurement
        The polarisations, in the order of the bands.
    tie_points : TiePoints
        The geolocation grid.
    grid : Grid
        Of the measurements.
    decibels : bool
        dB, or linear.
    multilook : int
        Pixels averaged along each side.

    Attributes
    ----------
    counts : dict
        By polarisation, what was met in the rows read so far at full width.
    """

    dtype: str = "float32"
    nodata: float = float("nan")

    def __init__(
        self,
        measurements: Sequence[Measurement],
        tie_points: TiePoints,
        grid: Grid,
        decibels: bool,
        multilook: int,
    ) -> None:
        self._measurements, self._tie_points = tuple(measurements), tie_points
        self._decibels, self._looks = decibels, multilook
        self.grid = grid.coarser(multilook) if multilook > 1 else grid
        unit = "dB" if decibels else "1"
        self.bands: Sequence[Band] = (
            *(
                Band(m.name, unit, {"quantity": "sigma0", "polarisation": m.name.upper()})
                for m in measurements
            ),
            Band("incidence_angle", "degree", {"quantity": "incidence angle on the ellipsoid"}),
        )
        block = max(m.block_rows for m in measurements)
        native = -(-_STRIP_ROWS // block) * block if block < _STRIP_ROWS else block
        self.strip_rows = min(self.grid.rows, max(1, min(native, 2048) // multilook))
        self._floored = {m.name: np.zeros(self.grid.rows, dtype=np.int64) for m in measurements}
        self.counts: dict[str, dict[str, int]] = {m.name: {} for m in measurements}
        self._count()
        workers = min(len(self._measurements), os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(workers) if workers > 1 else None

    def read(self, window: Window) -> np.ndarray:
        """Return (band, row, column), float32: dB or linear sigma0, then degrees; NaN without data.

        Raises
        ------
        SceneError
            The measurement is damaged.
        """
        if window.intersection(self.grid.window) != window:
            raise ValueError(f"{window} sticks out of {self.grid.rows} x {self.grid.cols} pixels")
        out = np.empty((len(self.bands), window.rows, window.cols), dtype=np.float32)
        if window.empty:
            return out
        if self._pool is None:
            for measurement, layer in zip(self._measurements, out):
                self._fill(measurement, window, layer)
            self._fill_incidence(window, out[-1])
        else:
            jobs = [
                self._pool.submit(self._fill, measurement, window, layer)
                for measurement, layer in zip(self._measurements, out)
            ]
            self._fill_incidence(window, out[-1])
            for job in jobs:
                job.result()
        self._count()
        return out

    def close(self) -> None:
        """Close the measurements."""
        if self._pool is not None:
            self._pool.shutdown()
        for measurement in self._measurements:
            measurement.close()

    def _count(self) -> None:
        for measurement in self._measurements:
            totals = measurement.counts.sum(axis=0, dtype=np.int64)
            counts = dict(zip(COUNTS, (int(value) for value in totals)))
            if self._decibels:
                counts["raised_to_floor"] = int(self._floored[measurement.name].sum())
            self.counts[measurement.name].update(counts)

    def _fill_incidence(self, window: Window, layer: np.ndarray) -> None:
        # The middle of a cell of n pixels is n/2 − 1/2 after its first pixel's centre.
        n, middle = self._looks, (self._looks - 1) / 2
        pixels = np.arange(window.col, window.col_stop) * n + middle
        lines = np.arange(window.row, window.row_stop) * n + middle
        self._tie_points.fill_incidence(lines, pixels, layer)

    def _fill(self, measurement: Measurement, window: Window, layer: np.ndarray) -> None:
        if self._looks == 1:
            self._fill_pixels(measurement, window, layer)
        else:
            self._fill_cells(measurement, window, layer)

    def _fill_pixels(self, measurement: Measurement, window: Window, layer: np.ndarray) -> None:
        columns = slice(window.col, window.col_stop)
        for chunk in measurement.chunks(window.row, window.row_stop):
            start = chunk.row - window.row
            part = layer[start : start + len(chunk.net)]
            self._finish(
                measurement.name,
                chunk.row,
                chunk.net[:, columns],
                chunk.noise[:, columns],
                chunk.invalid[:, columns],
                part,
            )

    def _fill_cells(self, measurement: Measurement, window: Window, layer: np.ndarray) -> None:
        n, rows, cols = self._looks, measurement.rows, measurement.cols
        first, stop = window.row * n, min(rows, window.row_stop * n)
        sums = np.zeros((3, cols))  # of sigma0, noise-equivalent sigma0 and valid pixels over a cell's rows
        for chunk in measurement.chunks(first, stop):
            chunk.net[chunk.invalid] = 0.0
            chunk.noise[chunk.invalid] = 0.0
            for i in range(len(chunk.net)):
                sums[0] += chunk.net[i]
                sums[1] += chunk.noise[i]
                sums[2] += ~chunk.invalid[i]
                row = chunk.row + i + 1
                if row % n == 0 or row == rows:
                    cell = (row - 1) // n
                    net, noise, count = _sum_columns(sums, n)[:, None, window.col : window.col_stop]
                    invalid = count == 0
                    np.maximum(count, 1.0, out=count)
                    part = layer[cell - window.row : cell - window.row + 1]
                    self._finish(measurement.name, cell, net / count, noise / count, invalid, part)
                    sums[...] = 0.0

    def _finish(
        self,
        name: str,
        row: int,
        net: np.ndarray,
        noise: np.ndarray,
        invalid: np.ndarray,
        out: np.ndarray,
    ) -> None:
        """Put rows (row, column) into `out`: float32, dB where asked for, NaN where invalid."""
        if self._decibels:
            noise *= FLOOR
            low = net < noise
            if net.shape[1] == self.grid.cols:
                # `greater` of booleans is `low & ~invalid`, in one pass.
                self._floored[name][row : row + len(net)] = count_rows(np.greater(low, invalid))
            np.maximum(net, noise, out=net)
            out[...] = net
            with np.errstate(divide="ignore", invalid="ignore"):
                np.log(out, out=out)
            out *= np.float32(_DECIBELS)
        else:
            out[...] = net
        out[invalid] = np.nan


def _sum_columns(values: np.ndarray, n: int) -> np.ndarray:
    """Return (any, cell) sums over `n` columns; the last cell may have fewer."""
    whole = values.shape[1] // n * n
    sums = np.zeros((len(values), -(-values.shape[1] // n)))
    for i in range(n):
        sums[:, : whole // n] += values[:, i:whole:n]
    if whole < values.shape[1]:
        sums[:, -1] = values[:, whole:].sum(axis=1)
    return sums
