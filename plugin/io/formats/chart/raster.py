"""An ice chart on the pixels of a scene: concentration, stage of development and floe size.

Every pixel takes the codes of the polygon that its centre lies in. Nothing is kept but the
polygons: windows are made as they are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....ground.window import Window
from ...geometry.grid import Grid
from ...geometry.vector import Polygons
from ...geometry.zones import PolygonIndex
from ...rasters.writer import Band
from .codes import FLOES, STAGES, DecodedIce

LAND = 254
NO_DATA_VALUE = 255


def _class_tags(table: Sequence[tuple[int, str, str]]) -> dict[str, str]:
    return {f"CLASS_{value}": name for value, name, _ in table} | {f"CLASS_{LAND}": "land"}


CHART_BANDS = (
    Band("concentration", "%", {f"CLASS_{LAND}": "land"}),
    Band("stage_of_development", "", {**_class_tags(STAGES)}),
    Band("floe_size", "", {**_class_tags(FLOES)}),
)


class ChartRaster:
    """A chart on a grid (a :class:`~.product.ProductRaster`).

    Parameters
    ----------
    grid : Grid
        Its pixels.
    polygons : Polygons
        The chart's polygons, valid.
    ice : sequence of DecodedIce
        What each polygon's codes say.
    land : sequence of bool
        Which polygons are land.
    """

    bands: Sequence[Band] = CHART_BANDS
    dtype = "uint8"
    nodata = float(NO_DATA_VALUE)
    strip_rows = 512

    def __init__(
        self, grid: Grid, polygons: Polygons, ice: Sequence[DecodedIce], land: Sequence[bool]
    ) -> None:
        self.grid = grid
        self._index = PolygonIndex(polygons, grid)
        # One column a polygon, and a last one for outside: zone -1 takes it.
        self._table = np.full((3, len(ice) + 1), NO_DATA_VALUE, dtype=np.uint8)
        for number, (codes, is_land) in enumerate(zip(ice, land)):
            for line, value in enumerate((codes.concentration, codes.stage, codes.floe)):
                if is_land:
                    self._table[line, number] = LAND
                elif value is not None:
                    self._table[line, number] = round(value)

    @property
    def empty(self) -> bool:
        """Whether no polygon touches the grid."""
        return self._index.window.empty

    def read(self, window: Window) -> np.ndarray:
        """Return (band, row, column) uint8: % or class; 254 land, 255 no data."""
        return self._table[:, self._index.zones(window)]
