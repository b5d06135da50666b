"""The coarse channels of a scene: read onto one grid, judged, and brought to the network's cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from ...ground.errors import SceneError
from ...ground.window import Window
from ..files.raster import Raster
from ..geometry.grid import Grid
from ..geometry.registration import RegisteredRaster
from ..geometry.sampler import Sampler
from .checks import SceneChecks
from .raster_roles import BandChoice, RasterRole

_WHOLE_COARSE_VALUES = 1 << 24
_MOST_COARSE_VALUES = 1 << 26


@dataclass(frozen=True)
class CoarseChannels:
    """The coarse channels on one grid of their own.

    Parameters
    ----------
    grid : Grid
        Their grid.
    values : numpy.ndarray
        (channel, row, column) float32, NaN where a channel is invalid.
    sampler : Sampler
        How they reach the network's cells.
    """

    grid: Grid
    values: np.ndarray
    sampler: Sampler


def open_coarse(
    checks: SceneChecks,
    roles: Sequence[RasterRole],
    chosen: Mapping[str, BandChoice],
    grid: Grid,
    region: Window,
) -> CoarseChannels | None:
    """Read the coarse channels onto the grid of the first raster that holds some, MWR before others."""
    card = checks.card
    names = [channel.name for channel in card.coarse_channels]
    if not names:
        return None
    places = sorted({chosen[name].raster for name in names}, key=lambda i: (roles[i].role != "mwr", i))
    base = roles[places[0]].raster
    own = Grid.from_raster(base)
    part = _needed_window(grid, card.ratio, own, base, len(names))
    coarse_grid = own.subset(part)
    values = np.empty((len(names), part.rows, part.cols), dtype=np.float32)
    for place in places:
        wanted = [i for i, name in enumerate(names) if chosen[name].raster == place]
        bands = [(card.coarse_channels[i], chosen[names[i]].band) for i in wanted]
        numbers = [band for _, band in bands]
        if place == places[0]:
            read = base.read(numbers, part)
            over = _window_over(grid, region, own).intersection(part)
            seen = read[(slice(None), *over.slices(part))]
            checks.measure(base, bands, over, seen).take(read, numbers, part)
            values[wanted] = read
        else:
            source = RegisteredRaster(roles[place].raster, coarse_grid, "bilinear")
            source.raster = cast(Raster, checks.measure(roles[place].raster, bands, source.own.window))
            values[wanted] = source.read(numbers, coarse_grid.window)
    finite = np.isfinite(values).all(axis=0)
    values[:, ~finite] = np.nan
    sampler = Sampler.build(grid, card.ratio, coarse_grid, finite)
    rows, cols = region.coarser(card.ratio).slices()
    if not sampler.cell_valid[rows, cols].any():
        overlap = Sampler.build(grid, card.ratio, coarse_grid, np.ones_like(finite))
        if not overlap.cell_valid[rows, cols].any():
            raise _no_overlap(roles[0].raster, base)
        raise SceneError(
            f"{base.path} has no data over {roles[0].raster.path} (in one channel at least, everywhere). "
            "Give the radiometry of this scene, and check its nodata value."
        )
    return CoarseChannels(coarse_grid, values, sampler)


def _no_overlap(sar: Raster, coarse: Raster) -> SceneError:
    return SceneError(
        f"{coarse.path} does not overlap {sar.path}. Give the radiometry of the same scene, "
        "and check the coordinate reference systems."
    )


def _needed_window(grid: Grid, ratio: int, own: Grid, raster: Raster, channels: int) -> Window:
    """Return all pixels of a coarse raster, or those around the scene where it is large."""
    if channels * own.rows * own.cols <= _WHOLE_COARSE_VALUES:
        return own.window
    window = _window_over(grid, grid.window, own)
    if window.empty:
        raise SceneError(
            f"{raster.path} does not overlap the scene. Give the radiometry of the same scene, "
            "and check the coordinate reference systems."
        )
    if channels * window.rows * window.cols > _MOST_COARSE_VALUES:
        raise SceneError(
            f"{raster.path} has {window.rows} x {window.cols} pixels over the scene, far finer than the network's "
            f"cells of {ratio} pixels. Resample it to about the radiometer's own grid first."
        )
    return window


def _window_over(grid: Grid, region: Window, own: Grid) -> Window:
    """Return the pixels of a coarse raster around a region of the scene; empty where they do not overlap."""
    rows = np.linspace(region.row, region.row_stop, 65)
    cols = np.linspace(region.col, region.col_stop, 65)
    row, col = grid.pixels_in(own, *np.meshgrid(rows, cols, indexing="ij"))
    known = np.isfinite(row) & np.isfinite(col)
    if not known.any():
        return Window(0, 0, 0, 0)
    low = np.floor([row[known].min() - 2, col[known].min() - 2]).astype(int)
    high = np.ceil([row[known].max() + 2, col[known].max() + 2]).astype(int)
    around = Window(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))
    return around.intersection(own.window)
