"""What an agency's file holds, ready to be written: rasters by their role, a chart, and what was found.

Every reader of a format (ASIP and AI4Arctic NetCDF, Sentinel-1, AMSR2, ice charts) gives a
:class:`Product`; the import job writes whatever it holds and needs to know no format::

    with open_product(path, options) as product:
        for role, raster in product.rasters.items():     # "sar", "mwr", ...
            raster.grid, raster.bands, raster.read(window)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import numpy as np

from ...ground.vocabulary.settings import DOMINANT_SHARE, MULTILOOK
from ...ground.vocabulary.words import NOISE_CORRECTIONS, default_word
from ...ground.window import Window
from ..geometry.grid import Grid
from ..rasters.writer import Band

ROLES = ("sar", "mwr", "ancillary_fine", "ancillary_coarse", "chart")


class ProductRaster(Protocol):
    """A raster that can be read window by window, in physical units."""

    @property
    def grid(self) -> Grid:
        """Its geometry."""

    @property
    def bands(self) -> Sequence[Band]:
        """Canonical channel names with units, in the order of `read`."""

    @property
    def dtype(self) -> str:
        """``float32`` (invalid pixels are NaN) or ``uint8``."""

    @property
    def nodata(self) -> float:
        """What stands for no data: NaN for ``float32``, 255 for ``uint8``."""

    @property
    def strip_rows(self) -> int:
        """Rows that are cheap to read together (blocks or chunks of the file)."""

    def read(self, window: Window) -> np.ndarray:
        """Return (band, row, column) of `dtype`; the window lies inside the grid."""


@dataclass(frozen=True)
class ArrayRaster:
    """A raster that is small enough to be held: a coarse grid, a chart, a fixture.

    Parameters
    ----------
    grid : Grid
        Its geometry.
    bands : sequence of Band
        Names and units.
    values : numpy.ndarray
        (band, row, column), float32 or uint8.
    nodata : float
        What stands for no data.
    """

    grid: Grid
    bands: Sequence[Band]
    values: np.ndarray
    nodata: float = np.nan

    def __post_init__(self) -> None:
        shape = (len(self.bands), self.grid.rows, self.grid.cols)
        if self.values.shape != shape:
            raise ValueError(f"values of shape {self.values.shape} do not fit bands and grid {shape}")

    @property
    def dtype(self) -> str:
        """Type of the values."""
        return self.values.dtype.name

    @property
    def strip_rows(self) -> int:
        """Any number of rows is cheap."""
        return self.grid.rows

    def read(self, window: Window) -> np.ndarray:
        """Return (band, row, column) of `dtype`."""
        return self.values[(slice(None), *window.slices())]


@dataclass(frozen=True)
class ChartPolygons:
    """An ice chart as polygons with its codes.

    Parameters
    ----------
    wkb : tuple of bytes
        Valid geometries as well-known binary, x or longitude first.
    crs : str
        Their CRS as WKT.
    fields : mapping
        One column a field, one value a polygon: the chart's own codes and what they were decoded to.
    """

    wkb: tuple[bytes, ...]
    crs: str
    fields: Mapping[str, Sequence[object]]


@dataclass
class Product:
    """What one source holds; a context manager that closes its files.

    Parameters
    ----------
    kind : str
        The format in words: ``AI4Arctic raw NetCDF``.
    name : str
        What outputs are named after: the scene's own name, without an extension.
    time : datetime, optional
        Start of the acquisition, UTC.
    rasters : mapping
        Role (one of :data:`ROLES`) to raster.
    polygons : ChartPolygons, optional
        The chart's polygons.
    tags : mapping
        Provenance for the TIFF tags of all rasters (processor versions, conventions, methods).
    found : mapping
        What was recognised, plain JSON values: channels found and missing, pixel convention, counts of
        unknown codes, delays, shifts, ... The job adds extent and shares of valid pixels.
    warnings : list of str
        A sentence for each thing a person should know.
    close : callable, optional
        Closes what the rasters read from.
    polygons_from : callable, optional
        Makes the chart's polygons where that takes a while; takes a function that is called with the share
        done and returns False to stop, or None.
    """

    kind: str
    name: str
    time: datetime | None
    rasters: Mapping[str, ProductRaster]
    polygons: ChartPolygons | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    found: dict[str, object] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    close: Callable[[], None] | None = None
    polygons_from: Callable[[Callable[[float], bool] | None], ChartPolygons] | None = None

    def __enter__(self) -> Product:
        return self

    def __exit__(self, *_error: object) -> None:
        if self.close is not None:
            self.close()
            self.close = None


@dataclass(frozen=True)
class ImportOptions:
    """What a person may choose about an import.

    Parameters
    ----------
    decibels : bool
        Backscatter in dB; linear sigma0 where False.
    multilook : int
        Pixels averaged (in linear power) along each side; 1 leaves the product's own.
    dominant_share : float
        Share of the total concentration, in %, that a stage of development must reach to be mapped.
    scene : str
        Raster on whose grid a chart or AMSR2 data are laid; empty for none.
    time : str
        Time step of a gridded file that has several: a time, or its number from 1; empty for the nearest to
        the scene.
    noise : {'esa', 'nersc'}
        How the thermal noise of Sentinel-1 products is corrected.
    """

    decibels: bool = True
    multilook: int = MULTILOOK.default
    dominant_share: float = DOMINANT_SHARE.default
    scene: str = ""
    time: str = ""
    noise: str = default_word(NOISE_CORRECTIONS)
