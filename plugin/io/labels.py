"""Reading labels, such as the concentration of an ice chart, on the pixels of a scene."""

from __future__ import annotations

import os
from types import TracebackType

import numpy as np

from ..core.errors import SceneError
from ..core.window import Window
from .grid import Grid
from .raster import open_raster
from .registration import RegisteredRaster


class LabelReader:
    """A raster of labels on the pixels of a scene; a context manager.

    Parameters
    ----------
    registered : RegisteredRaster
        The raster.
    band : int
        Its band, from 1.
    """

    def __init__(self, registered: RegisteredRaster, band: int = 1) -> None:
        self._registered, self._band = registered, band

    @classmethod
    def open(cls, path: str | os.PathLike, grid: Grid, name: str = "") -> LabelReader:
        """Open labels on the same grid or any other one (nearest pixel, through geolocation).

        Parameters
        ----------
        path : str or Path
            The raster.
        grid : Grid
            The scene's pixels.
        name : str
            Name of the band; where it is empty or the bands have no names, the first one (no alpha band).

        Raises
        ------
        SceneError
            It cannot be read, or does not overlap the scene.
        """
        raster = open_raster(path)
        try:
            wanted = [
                number for number in raster.measured if raster.names[number - 1].lower() == name.lower()
            ]
            if name and any(raster.names) and not wanted:
                raise SceneError(
                    f"No band named '{name}' in {path} (bands: {raster.describe_bands()}). Rename it."
                )
            registered = RegisteredRaster(raster, grid)
            if not registered.same and not _overlap(registered):
                raise SceneError(
                    f"The labels in {path} do not overlap the scene. Give those of the same place."
                )
        except SceneError:
            raster.close()
            raise
        return cls(registered, wanted[0] if name and wanted else raster.measured[0])

    def __enter__(self) -> LabelReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._registered.raster.close()

    def read(self, window: Window) -> np.ndarray:
        """Return the labels over `window`: (row, column), float32; NaN where there is no data."""
        return self._registered.read([self._band], window)[0]


def _overlap(registered: RegisteredRaster) -> bool:
    row, col = np.meshgrid(
        np.linspace(0.5, registered.grid.rows - 0.5, 65), np.linspace(0.5, registered.grid.cols - 0.5, 65)
    )
    row, col = registered.grid.pixels_in(registered.own, row, col)
    with np.errstate(invalid="ignore"):
        return bool(
            ((row >= 0) & (row <= registered.own.rows) & (col >= 0) & (col <= registered.own.cols)).any()
        )
