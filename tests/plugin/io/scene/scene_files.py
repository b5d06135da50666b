"""The rasters of a scene in a folder, each of which a test can replace."""

from __future__ import annotations

from floelens.tests.plugin.io.rasters import (
    gcp_grid,
    ramp,
    write_raster,
)

ROWS, COLS, RATIO = 95, 123, 10
NAMES = ["hh", "hv"]
MWR_NAMES = ["btemp_6.9h", "btemp_6.9v"]


class Files:
    """The rasters of one scene in a folder, each of which can be replaced."""

    def __init__(self, folder, grid=None):
        self.folder = folder
        self.grid = grid or gcp_grid(rows=ROWS, cols=COLS)
        self.sar_values = ramp(2, ROWS, COLS, seed=1)
        self.mwr_grid = self.grid.coarser(RATIO)
        self.mwr_values = 200 + ramp(2, self.mwr_grid.rows, self.mwr_grid.cols, seed=2)

    def sar(self, values=None, names=NAMES, name="scene.tif", **options):
        return write_raster(
            self.folder / name, self.sar_values if values is None else values, self.grid, names, **options
        )

    def mwr(self, values=None, names=MWR_NAMES, grid=None, **options):
        values = self.mwr_values if values is None else values
        return write_raster(self.folder / "mwr.tif", values, grid or self.mwr_grid, names, **options)

    def other(self, name, values, grid=None, names=(), **options):
        return write_raster(self.folder / name, values, grid or self.grid, names, **options)


def whole(scene):
    return scene.read(scene.grid.window)
