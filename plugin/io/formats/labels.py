"""Reading labels, such as the concentration of an ice chart, on the pixels of a scene."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import numpy as np

from ...ground.errors import SceneError
from ...ground.window import Window
from ..files.raster import Raster, open_raster
from ..geometry.grid import Grid
from ..geometry.registration import RegisteredRaster, overlap
from ..scene.acquisition import acquisition, delay_between, time_in
from ..scene.intake import declared_units
from ..scene.measured import probe
from ..scene.units import parse_unit
from .concentration import open_concentration

CONCENTRATION_NAMES = (
    "concentration",
    "sic",
    "ct",
    "sea_ice_concentration",
    "ice_concentration",
    "ice_conc",
    "amsr2_sic",
)
"""What bands with the concentration of ice are called, in charts and in the products of services."""
_LONG_DELAY = timedelta(days=1)
_ROUNDING = 1.005  # of values stored in a unit, above the most that there can be of it


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
            The raster, or NetCDF with a gridded sea-ice concentration.
        grid : Grid
            The scene's pixels.
        name : str
            Name of the band; where it is empty or the bands have no names, the first one (no alpha band).

        Raises
        ------
        SceneError
            It cannot be read, or does not overlap the scene.
        """
        gridded = open_concentration(path)
        raster: Any = gridded[0] if gridded is not None else open_raster(path)
        own = gridded[1] if gridded is not None else None
        try:
            # Charts and concentrations of many services call the same thing by other names.
            meant = CONCENTRATION_NAMES if name.lower() in CONCENTRATION_NAMES else (name.lower(),)
            names = {number: raster.names[number - 1].strip().lower() for number in raster.measured}
            wanted = [number for number, called in names.items() if called in meant]
            wanted.sort(key=lambda number: names[number] != name.lower())
            if name and any(raster.names) and not wanted:
                raise SceneError(
                    f"No band named '{name}' in {path} (bands: {raster.describe_bands()}). Rename it."
                )
            registered = RegisteredRaster(raster, grid, own=own)
            if not registered.same and not overlap(grid, registered.own):
                raise SceneError(
                    f"The labels in {path} do not overlap the scene. Give those of the same place."
                )
        except SceneError:
            raster.close()
            raise
        return cls(registered, wanted[0] if name and wanted else raster.measured[0])

    def __enter__(self) -> LabelReader:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._registered.raster.close()

    def delay_warning(self, scene_time: str | None) -> str:
        """Return what is to be said of labels of another day than a scene's (ISO 8601); empty where nothing is."""
        seen, drawn = time_in(scene_time or ""), acquisition(self._registered.raster)
        if seen is None or drawn is None or delay_between(seen, drawn) <= _LONG_DELAY:
            return ""
        return (
            f"{self._registered.raster.path} is of {drawn.text}, the scene of {seen.text}: the ice has drifted between "
            "them, and labels judge the network only at their own time."
        )

    def concentration_unit(self) -> tuple[float, str]:
        """Return by what values that are concentrations become %, and in which unit they are declared.

        The factor is 1 and the unit empty where the file declares none, or one that a few of its values contradict:
        those of a chart in % with the unit ``1``.
        """
        raster = self._registered.raster
        if not isinstance(raster, Raster):
            return 1.0, "%"
        for said in declared_units(raster, self._band):
            unit = parse_unit(said, "concentration")
            if unit is None:
                continue
            if unit.is_base:
                return 1.0, said
            sample, _ = probe(raster, [self._band], self._registered.own.window)
            values = sample[(sample >= 0) & (sample <= 100)]
            if unit.scale * values.max(initial=0.0) <= 100 * _ROUNDING:
                return unit.scale, said
        return 1.0, ""

    def read(self, window: Window) -> np.ndarray:
        """Return the labels over `window`: (row, column), float32; NaN where there is no data."""
        return self._registered.read([self._band], window)[0]
