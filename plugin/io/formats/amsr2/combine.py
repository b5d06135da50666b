"""Several swaths on one grid: each cell from one swath, the one nearest in time to the SAR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from ....ground.errors import SceneError
from ....ground.protocols import Progress
from ...environment.crs import parse_crs, transform
from ...geometry.grid import Grid
from .cells import to_cells
from .swath import Swath

SCENE_CELL_KM = 2.0
"""Cells over a scene: 25 pixels of 80 m, 50 of 40 m."""

OWN_CELL_KM = 10.0
"""Cells without a scene: the distance between footprints below 89 GHz, as in JAXA's own Level 3."""

POLEWARD = 50.0
"""Degrees of latitude from where on a grid without a scene reaches."""


@dataclass(frozen=True)
class Cells:
    """Swaths on a grid.

    Parameters
    ----------
    values : dict
        Channel to (row, column) float32, K, NaN where there is none.
    swath : numpy.ndarray
        (row, column), which swath a cell is from; −1 where from none.
    time : numpy.ndarray
        (row, column) seconds since 1970 in UTC, NaN where unknown.
    delay : numpy.ndarray or None
        (row, column) float32, seconds from the SAR to AMSR2; None where the SAR's time is unknown.
    """

    values: dict[str, np.ndarray]
    swath: np.ndarray
    time: np.ndarray
    delay: np.ndarray | None

    @property
    def covered(self) -> np.ndarray:
        """Which cells have a value."""
        return self.swath >= 0


def scene_cells(scene: Grid) -> tuple[Grid, float]:
    """Return the grid of whole-pixel cells of about 2 km on a scene, and their size in km."""
    pixel_km = scene.pixel_size() / 1000.0
    ratio = max(1, round(SCENE_CELL_KM / pixel_km))
    return scene.coarser(ratio), ratio * pixel_km


def own_grid_of(swaths: Sequence[Swath], warnings: list[str]) -> tuple[Grid, float]:
    """Return a polar stereographic grid (EPSG:3413 or 3976) of 10 km around what is poleward of 50°.

    A granule goes from pole to pole. A raster cannot show both, so the north is taken unless there is
    nothing, and a warning says so.
    """
    lon = np.concatenate([group.lon for swath in swaths for group in swath.footprints])
    lat = np.concatenate([group.lat for swath in swaths for group in swath.footprints])
    north, south = lat >= POLEWARD, lat <= -POLEWARD
    if not (north.any() or south.any()):
        raise SceneError(
            f"The swaths have no footprint poleward of {POLEWARD:g} degrees. Give a scene on whose grid to lay them."
        )
    if north.any() and south.any():
        warnings.append(
            "The swaths reach both polar regions; without a scene only the northern one is gridded. "
            "Give a scene in the south for the other."
        )
    elif not north.any():
        north = south
    crs = parse_crs("EPSG:3413" if lat[north].mean() > 0 else "EPSG:3976").to_wkt()
    x, y = transform("EPSG:4326", crs, lon[north], lat[north])
    size = OWN_CELL_KM * 1000.0
    left, right = np.floor(np.nanmin(x) / size), np.ceil(np.nanmax(x) / size)
    bottom, top = np.floor(np.nanmin(y) / size), np.ceil(np.nanmax(y) / size)
    rows, cols = max(1, int(top - bottom)), max(1, int(right - left))
    return Grid(rows, cols, crs, transform=(size, 0.0, left * size, 0.0, -size, top * size)), OWN_CELL_KM


def combined(
    swaths: Sequence[Swath], grid: Grid, cell_km: float, scene_time: datetime | None, progress: Progress
) -> Cells:
    """Return swaths on the cells of a grid.

    A cell takes all its channels from one swath, so that they belong together and have one delay:
    of the swaths with the most channels there, the one nearest in time to the SAR; where the SAR's
    time is unknown, the first one given.
    """
    row, col = np.meshgrid(np.arange(grid.rows) + 0.5, np.arange(grid.cols) + 0.5, indexing="ij")
    lon, lat = grid.pixel_to_lonlat(row.ravel(), col.ravel())
    names = sorted({name for swath in swaths for name in swath.channels})
    best = {name: np.full(lon.size, np.nan, dtype=np.float32) for name in names}
    number, when = np.full(lon.size, -1), np.full(lon.size, np.nan)
    most, nearest = np.zeros(lon.size, dtype=int), np.full(lon.size, np.inf)
    for index, swath in enumerate(swaths):
        progress.report(0.3 + 0.6 * index / len(swaths), f"Gridding {swath.name}")
        values, time = to_cells(swath.footprints, lon, lat, cell_km, progress)
        count = np.sum([np.isfinite(array) for array in values.values()], axis=0)
        distance = np.full(lon.size, float(index))
        if scene_time is not None:
            # A swath that does not know its time comes after all that do.
            distance = np.where(np.isfinite(time), np.abs(time - scene_time.timestamp()), 1e18)
        better = (count > most) | ((count == most) & (count > 0) & (distance < nearest))
        for name in names:
            best[name][better] = values[name][better] if name in values else np.nan
        number[better], when[better] = index, time[better]
        most[better], nearest[better] = count[better], distance[better]
    shape = (grid.rows, grid.cols)
    time = when.reshape(shape)
    return Cells(
        values={name: array.reshape(shape) for name, array in best.items()},
        swath=number.reshape(shape),
        time=time,
        delay=None if scene_time is None else (time - scene_time.timestamp()).astype(np.float32),
    )
