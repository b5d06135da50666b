"""Small pictures of a scene, kept while it is streamed, so that nothing is read twice: every n-th pixel, or means."""

from __future__ import annotations

import numpy as np

from ...ground.protocols import Patch, Source
from ...ground.window import Window

SIDE = 300  # pixels of the longer side of a thumbnail, at most


class Thumbnail:
    """Every n-th row and column of a region, filled window by window in any order.

    Parameters
    ----------
    region : Window
        The pixels pictured.
    bands : int
        How many there are.
    side : int
        Pixels of its longer side, at most.

    Attributes
    ----------
    step : int
        n: pixels of the scene between those kept.
    values : numpy.ndarray
        (band, row, column), float32; NaN where nothing was added.
    """

    def __init__(self, region: Window, bands: int, side: int = SIDE) -> None:
        self.region = region
        self.step = max(1, -(-max(region.rows, region.cols) // side))
        shape = (bands, -(-region.rows // self.step), -(-region.cols // self.step))
        self.values = np.full(shape, np.nan, np.float32)

    @property
    def rows(self) -> np.ndarray:
        """Rows of the scene that are kept."""
        return self.region.row + self.step * np.arange(self.values.shape[1])

    @property
    def cols(self) -> np.ndarray:
        """Columns of the scene that are kept."""
        return self.region.col + self.step * np.arange(self.values.shape[2])

    def add(self, window: Window, values: np.ndarray, valid: np.ndarray | None = None) -> None:
        """Take the values (band, row, column) of a window, as far as it lies inside the region and they are `valid`."""
        inside = window.intersection(self.region)
        if inside.empty:
            return
        top, left = -(inside.row - self.region.row) % self.step, -(inside.col - self.region.col) % self.step
        rows, cols = inside.slices(window)
        kept = slice(rows.start + top, rows.stop, self.step), slice(cols.start + left, cols.stop, self.step)
        part = values[(slice(None), *kept)]
        if valid is not None:
            part = np.where(valid[kept], part, np.nan)
        row = (inside.row + top - self.region.row) // self.step
        col = (inside.col + left - self.region.col) // self.step
        self.values[:, row : row + part.shape[1], col : col + part.shape[2]] = part


class MeanThumbnail:
    """Means over squares of n x n pixels of a region; each pixel must be added once.

    Parameters
    ----------
    region : Window
        The pixels pictured.
    side : int
        Squares along its longer side, at most.
    """

    def __init__(self, region: Window, side: int = SIDE) -> None:
        self.region = region
        self.step = max(1, -(-max(region.rows, region.cols) // side))
        shape = -(-region.rows // self.step), -(-region.cols // self.step)
        self._sums, self._counts = np.zeros(shape), np.zeros(shape)

    def add(self, window: Window, values: np.ndarray) -> None:
        """Take the values (row, column) of a window, as far as it lies inside the region; NaN counts as nothing."""
        inside = window.intersection(self.region)
        if inside.empty:
            return
        part = values[inside.slices(window)]
        known = np.isfinite(part)
        squares = [
            np.arange(start, start + size) // self.step
            for start, size in (
                (inside.row - self.region.row, inside.rows),
                (inside.col - self.region.col, inside.cols),
            )
        ]
        for target, amounts in ((self._sums, np.where(known, part, 0.0)), (self._counts, known)):
            for axis, numbers in ((1, squares[1]), (0, squares[0])):
                first = np.flatnonzero(np.r_[True, np.diff(numbers) > 0])
                amounts = np.add.reduceat(amounts, first, axis=axis, dtype=np.float64)
            target[
                squares[0][0] : squares[0][-1] + 1,
                squares[1][0] : squares[1][-1] + 1,
            ] += amounts

    @property
    def values(self) -> np.ndarray:
        """Means (row, column), float64; NaN where no value was added."""
        return np.divide(
            self._sums, self._counts, out=np.full(self._sums.shape, np.nan), where=self._counts > 0
        )


class PicturedSource:
    """A source that keeps a thumbnail of one fine channel of what is read.

    Parameters
    ----------
    source : Source
        What is read.
    thumbnail : Thumbnail
        Of one band.
    channel : int
        Which fine channel.
    """

    def __init__(self, source: Source, thumbnail: Thumbnail, channel: int) -> None:
        self._source, self._thumbnail, self._channel = source, thumbnail, channel
        self.rows, self.cols = source.rows, source.cols

    def read(self, window: Window) -> Patch:
        """Return the channels over a window."""
        patch = self._source.read(window)
        self._thumbnail.add(patch.window, patch.fine[self._channel : self._channel + 1])
        return patch
