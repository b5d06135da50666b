"""Reading a raster on the pixels of another: where each pixel lies in it, and what is there.

The places are computed exactly on a lattice of every sixteenth pixel and bilinearly in between.
"""

from __future__ import annotations

import numpy as np

from ...ground.window import Window
from ..files.raster import Raster
from .grid import Grid

_STEP = 16


class RegisteredRaster:
    """A raster that is read on the pixels of a grid.

    Parameters
    ----------
    raster : Raster
        What to read.
    grid : Grid
        On whose pixels.
    method : {'nearest', 'bilinear'}
        Nearest for codes and masks, bilinear for measurements. It does not matter where the two
        grids are the same.
    own : Grid, optional
        Geometry of what is read; the raster's own where it is left out.
    """

    def __init__(self, raster: Raster, grid: Grid, method: str = "nearest", own: Grid | None = None) -> None:
        if method not in ("nearest", "bilinear"):
            raise ValueError(f"method is 'nearest' or 'bilinear', not '{method}'")
        self.raster, self.grid, self._method = raster, grid, method
        self.own = Grid.from_raster(raster) if own is None else own
        self.same = self.own.same_as(grid)

    def read(self, bands: list[int] | tuple[int, ...], window: Window) -> np.ndarray:
        """Return the bands over `window` of the grid: (band, row, column), float32; NaN where no data."""
        if self.same:
            return self.raster.read(bands, window)
        if window.empty:
            return np.full((len(bands), window.rows, window.cols), np.nan, dtype=np.float32)
        row, col = self.places(window)
        with np.errstate(invalid="ignore"):
            inside = (row >= 0) & (row <= self.own.rows) & (col >= 0) & (col <= self.own.cols)
        if not inside.any():
            return np.full((len(bands), window.rows, window.cols), np.nan, dtype=np.float32)
        low = np.floor([row[inside].min() - 1, col[inside].min() - 1]).astype(int)
        high = np.ceil([row[inside].max() + 1, col[inside].max() + 1]).astype(int)
        needed = Window(low[0], low[1], high[0] - low[0], high[1] - low[1]).intersection(self.own.window)
        if (
            needed.rows * needed.cols > 8 * window.rows * window.cols + (1 << 20)
            and max(window.rows, window.cols) > 1
        ):
            return self._read_in_parts(bands, window)
        values = self.raster.read(bands, needed)
        pick = _nearest if self._method == "nearest" else _bilinear
        return pick(values, row - needed.row, col - needed.col, inside)

    def _read_in_parts(self, bands: list[int] | tuple[int, ...], window: Window) -> np.ndarray:
        """Read a raster much finer than the grid piece by piece, so that memory stays bounded."""
        out = np.empty((len(bands), window.rows, window.cols), dtype=np.float32)
        for part in window.split(-(-window.rows // 2), -(-window.cols // 2)):
            out[(slice(None), *part.slices(window))] = self.read(bands, part)
        return out

    def places(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Return pixel coordinates (row, col) in the raster of the centres of the grid's pixels in `window`."""
        rows = _nodes(window.row, window.rows)
        cols = _nodes(window.col, window.cols)
        node_row, node_col = self.grid.pixels_in(self.own, *np.meshgrid(rows, cols, indexing="ij"))
        at_row = np.arange(window.row, window.row_stop) + 0.5
        at_col = np.arange(window.col, window.col_stop) + 0.5

        def everywhere(nodes: np.ndarray) -> np.ndarray:
            return _between(_between(nodes, rows, at_row).T, cols, at_col).T

        return everywhere(node_row), everywhere(node_col)


def overlap(grid: Grid, own: Grid) -> bool:
    """Return whether any pixel of a grid lies on another, of some thousand that are tried."""
    row, col = np.meshgrid(np.linspace(0.5, grid.rows - 0.5, 65), np.linspace(0.5, grid.cols - 0.5, 65))
    row, col = grid.pixels_in(own, row, col)
    with np.errstate(invalid="ignore"):
        return bool(((row >= 0) & (row <= own.rows) & (col >= 0) & (col <= own.cols)).any())


def _nodes(start: int, size: int) -> np.ndarray:
    """Return positions every sixteen pixels from the first centre to the last."""
    return np.append(np.arange(0, size - 1, _STEP), size - 1) + start + 0.5


def _between(values: np.ndarray, nodes: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return values (node, ...) linearly interpolated along the first axis."""
    if len(nodes) == 1:
        return np.repeat(values, len(at), axis=0)
    before = np.clip(np.searchsorted(nodes, at, side="right") - 1, 0, len(nodes) - 2)
    share = ((at - nodes[before]) / (nodes[before + 1] - nodes[before]))[:, None]
    return values[before] * (1 - share) + values[before + 1] * share


def _nearest(values: np.ndarray, row: np.ndarray, col: np.ndarray, inside: np.ndarray) -> np.ndarray:
    i = np.clip(np.where(inside, row, 0).astype(np.int64), 0, values.shape[1] - 1)
    j = np.clip(np.where(inside, col, 0).astype(np.int64), 0, values.shape[2] - 1)
    return np.where(inside, values[:, i, j], np.float32(np.nan))


def _bilinear(values: np.ndarray, row: np.ndarray, col: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Interpolate between pixel centres; neighbours without data give their weight to the others."""
    y = np.clip(np.where(inside, row, 0) - 0.5, 0, values.shape[1] - 1)
    x = np.clip(np.where(inside, col, 0) - 0.5, 0, values.shape[2] - 1)
    i, j = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
    t, s = y - i, x - j
    total = np.zeros(values.shape[:1] + row.shape)
    weight = np.zeros_like(total)
    for down in (0, 1):
        for right in (0, 1):
            part = values[
                :, np.minimum(i + down, values.shape[1] - 1), np.minimum(j + right, values.shape[2] - 1)
            ]
            share = np.where(np.isfinite(part), (t if down else 1 - t) * (s if right else 1 - s), 0.0)
            total += share * np.where(np.isfinite(part), part, 0.0)
            weight += share
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(inside & (weight >= 0.5), total / weight, np.nan).astype(np.float32)
