"""How far every pixel of a scene is from land, the land around the scene included.

A radiometer's footprint is many pixels wide: near a coast it sees land, whatever the pixel is.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt

from ...ground.window import Window
from ..files.raster import Raster
from .grid import Grid
from .registration import RegisteredRaster
from .vector import Polygons
from .zones import PolygonIndex

# Finer than a tenth of the smallest footprint (3 km at 89 GHz), coarse enough to hold at once.
_CELL_M = 300.0
_MOST_CELLS = 1 << 25


class LandDistance:
    """Distances to land on the pixels of a grid, computed once on cells of a few pixels.

    Parameters
    ----------
    grid : Grid
        The scene's pixels.
    land : Polygons or Raster
        Polygons, or a raster in which any value but 0 is land.
    reach_km : float
        How far around the grid land is looked for; beyond the ground control points the geometry
        is continued as an affine one.
    """

    def __init__(self, grid: Grid, land: Polygons | Raster, reach_km: float) -> None:
        size = grid.pixel_size()
        step = max(1, int(_CELL_M // size))
        while (grid.rows // step + 2 * reach_km * 1e3 / (size * step)) * (
            grid.cols // step + 2 * reach_km * 1e3 / (size * step)
        ) > _MOST_CELLS:
            step *= 2
        self._step, self._margin = step, int(np.ceil(reach_km * 1e3 / (size * step)))
        cells = grid.coarser(step)
        around = cells.subset(
            Window(-self._margin, -self._margin, cells.rows + 2 * self._margin, cells.cols + 2 * self._margin)
        )
        if isinstance(land, Polygons):
            mask = PolygonIndex(land, around).mask(around.window)
        else:
            values = RegisteredRaster(land, around).read(land.measured[:1], around.window)[0]
            mask = np.nan_to_num(values) != 0
        self.any = bool(mask.any())
        if self.any:
            self._km = (distance_transform_edt(~mask) * (size * step / 1e3)).astype(np.float32)

    def read(self, window: Window) -> np.ndarray:
        """Return distances over `window`: (row, column), float32, km; infinite where land is out of reach."""
        if not self.any:
            return np.full((window.rows, window.cols), np.inf, dtype=np.float32)
        row = np.arange(window.row, window.row_stop) // self._step + self._margin
        col = np.arange(window.col, window.col_stop) // self._step + self._margin
        return self._km[np.ix_(row, col)]
