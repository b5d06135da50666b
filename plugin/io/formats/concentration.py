"""Sea-ice concentration on a grid, as services give it: NSIDC, OSI-SAF, Bremen and others, as CF NetCDF.

Any radiometer's product serves as a chart: its concentration in %, one byte, land as 254.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from ...ground.errors import SceneError
from ...ground.window import Window
from ..environment.crs import parse_crs
from ..geometry.grid import Grid
from ..geometry.registration import RegisteredRaster, overlap
from ..rasters.writer import Band
from .amsr2.bands import CONCENTRATION_BAND
from .cf.container import Container, Variable, as_text, is_container
from .cf.placement import Places
from .cf.quantities import percent
from .cf.steps import step_of
from .chart.raster import CHART_BANDS, LAND, NO_DATA_VALUE
from .product import ArrayRaster, Product

STANDARD_NAME = "sea_ice_area_fraction"
_NAMES = (
    "icecon",
    "ice_conc",
    "sic",
    "sea_ice_concentration",
    "ice_concentration",
    "concentration",
    "siconc",
    "cdr_seaice_conc",
    "asi",
    "asi_ice_concentration",
)
_CALLED = re.compile(r"\bice[ _-]*(area[ _-]*fraction|conc(entration)?)\b", re.I)
_NOT_ITSELF = re.compile(
    r"error|uncertaint|std|standard.dev|spread|status|flag|quality|mask|raw|smear|number|anomal|source|region|index",
    re.I,
)
_OTHER_BAND = Band("sea_ice_concentration", "%")
_SLACK = 0.01  # %, of what is stored with rounding
# So many values outside of 0 to 100 %, and so many different ones, are no land and no gaps.
_MOST_BEYOND, _MOST_CODES = 0.2, 16
_STRIP_ROWS = 512


def variable_in(container: Container) -> str | None:
    """Return the variable that holds a sea-ice concentration on a map, or None."""
    variables = variables_in(container)
    return variables[0] if variables else None


def variables_in(container: Container) -> list[str]:
    """Return the variables that hold sea-ice concentrations on a map, the likeliest first."""
    about = " ".join(
        [
            *(container.text(name) for name in ("title", "summary", "description", "product_name", "id")),
            PurePosixPath(container.path).name.replace("_", " "),
        ]
    )
    ranked = []
    for number, name in enumerate(container.names):
        variable = container.variable(name)
        rank = _rank(variable, about)
        if rank is not None and sum(size > 1 for size in variable.shape) >= 2:
            ranked.append((rank, number, name))
    return [name for *_, name in sorted(ranked)]


def _rank(variable: Variable, about: str) -> int | None:
    """Return how sure it is that a variable is a concentration, 0 for surest; None where it is none."""
    name = variable.name.lower()
    standard = as_text(variable.attributes.get("standard_name")).lower()
    called = as_text(variable.attributes.get("long_name"))
    if variable.is_text or (standard and standard != STANDARD_NAME):
        return None
    if name in _NAMES:
        return _NAMES.index(name)
    if standard or not _NOT_ITSELF.search(f"{name} {called}"):
        if standard or _CALLED.search(called.replace("_", " ")) or _CALLED.search(name):
            return len(_NAMES) + bool(_NOT_ITSELF.search(f"{name} {called}"))
        # Bremen calls it z, and says what it is in the title.
        if name == "z" and re.search(r"\basi\b|ice[ _-]*conc", about, re.I):
            return len(_NAMES) + 2
    return None


def is_of_amsr2(container: Container) -> bool:
    """Return whether a file says that it comes from AMSR2."""
    said = " ".join(
        container.text(name) for name in ("title", "instrument", "sensor", "source", "summary", "id")
    )
    return bool(re.search(r"AMSR[- _]?2", f"{said} {PurePosixPath(container.path).name}", re.I))


@dataclass(frozen=True)
class Concentration:
    """A concentration on its grid.

    Parameters
    ----------
    grid : Grid
        Its cells.
    values : numpy.ndarray
        (row, column) float32, %, NaN where there is none.
    land : numpy.ndarray
        (row, column) bool.
    time : datetime, optional
        Time of the step that was taken, UTC.
    found : dict
        What was recognised, for the summary.
    """

    grid: Grid
    values: np.ndarray
    land: np.ndarray
    time: datetime | None
    found: dict[str, object]

    def chart(self) -> np.ndarray:
        """Return (row, column) uint8: whole %, 254 land, 255 no data."""
        with np.errstate(invalid="ignore"):
            bytes_ = np.where(np.isfinite(self.values), np.rint(self.values), NO_DATA_VALUE)
        return np.where(self.land, LAND, bytes_).astype(np.uint8)


def read_concentration(
    container: Container, wanted: str = "", scene_time: datetime | None = None
) -> Concentration:
    """Return the concentration of a file.

    Parameters
    ----------
    container : Container
        A file that holds one (see :func:`variable_in`).
    wanted : str
        Time or number of the time step; empty for the one nearest to the scene.
    scene_time : datetime, optional
        Start of the SAR scene, UTC.

    Raises
    ------
    SceneError
        The file does not say where its cells lie, or what it says cannot be used.
    """
    name, *others = variables_in(container)
    variable = container.variable(name)
    places = Places(container)
    place = places.of(variable)
    if place is None:
        raise SceneError(
            f"{container.path} does not say where the cells of '{name}' lie: it has neither axes nor latitudes and "
            "longitudes. Get the file with its coordinates."
        )
    step = step_of(container, variable, place.dims, wanted, scene_time)
    stored, codes = variable.counted(step.index)
    rest = tuple(dim for dim in variable.dims if dim not in step.index)
    values = percent(stored, variable.unit, name, container.path, container.warn)
    with np.errstate(invalid="ignore"):
        values = np.where((values > 100.0) & (values <= 100.0 + _SLACK), np.float32(100.0), values)
        beyond = (values < 0.0) | (values > 100.0)
    if beyond.any():
        _check_beyond(values, beyond, name, container.path)
        codes["outside 0 to 100 %"] = int(beyond.sum())
        values = np.where(beyond, np.float32(np.nan), values)
    land = variable.flagged(re.compile(r"land|coast", re.I), step.index)
    if others:
        container.warn(
            f"{container.path} holds several concentrations; '{name}' is taken, left out: {', '.join(others[:5])}."
        )
    provenance: dict[str, object] = {
        "variable": name,
        "georeferencing": parse_crs(place.grid.crs).name,
        "without_concentration": codes,
        **({"time_step": step.time.isoformat()} if step.chosen and step.time is not None else {}),
    }
    return Concentration(
        place.grid, place.arrange(values, rest), place.arrange(land, rest), step.time, provenance
    )


def _check_beyond(values: np.ndarray, beyond: np.ndarray, name: str, path: str) -> None:
    """Refuse values of which many are no concentration, and too different from each other for codes of masks."""
    share = float(beyond.sum() / max(1, np.isfinite(values).sum()))
    if share > _MOST_BEYOND and len(np.unique(values[beyond])) > _MOST_CODES:
        raise SceneError(
            f"{100 * share:.0f} % of the values of '{name}' in {path} are no concentration: they lie outside of 0 to "
            f"100 %, up to {float(values[beyond].max()):.6g}. Correct its attribute units, for example to 0.1 %."
        )


def product_of(
    container: Container,
    name: str,
    wanted: str,
    scene: Grid | None,
    scene_path: str,
    scene_time: datetime | None,
) -> Product:
    """Return a concentration as a product: as it is, and as a chart, on the pixels of a scene where one is given.

    Raises
    ------
    SceneError
        It cannot be read, or does not overlap the scene.
    """
    read = read_concentration(container, wanted, scene_time)
    band = CONCENTRATION_BAND if is_of_amsr2(container) else _OTHER_BAND
    chart: Any = ArrayRaster(read.grid, CHART_BANDS[:1], read.chart()[None], float(NO_DATA_VALUE))
    provenance = {"channels": [band.name], **read.found}
    if scene is not None:
        chart = LaidChart(read, scene)
        if not chart.overlaps:
            raise SceneError(
                f"{container.path} does not overlap the scene {scene_path}. Give the concentration of the same region, "
                "or leave SCENE empty."
            )
        provenance["laid_on_scene"] = "CHART lies on the pixels of SCENE; ANCILLARY_COARSE keeps its own grid"
    rasters: dict[str, Any] = {
        "ancillary_coarse": ArrayRaster(read.grid, [band], read.values[None]),
        "chart": chart,
    }
    return Product(
        kind="AMSR2 sea-ice concentration" if band is CONCENTRATION_BAND else "Sea-ice concentration",
        name=name,
        time=read.time,
        rasters=rasters,
        found=provenance,
        warnings=list(container.warnings),
    )


class Cells:
    """An array on a grid, read as a raster is.

    Parameters
    ----------
    values : numpy.ndarray
        (band, row, column) float32.
    path : str
        The file that it comes from.
    names : tuple of str
        Names of its bands.
    """

    def __init__(self, values: np.ndarray, path: str, names: tuple[str, ...]) -> None:
        self._values, self.path, self.names = values, path, names
        self.measured = tuple(range(1, len(names) + 1))
        self.tags: dict[str, str] = {}

    def read(self, bands: list[int] | tuple[int, ...], window: Window) -> np.ndarray:
        """Return the bands (from 1) over a window, (band, row, column) float32."""
        return self._values[(np.asarray(bands) - 1, *window.slices())]

    def describe_bands(self) -> str:
        """Return the names of the bands as messages have them."""
        return ", ".join(self.names)

    def close(self) -> None:
        """Nothing is open."""


class LaidChart:
    """A concentration on the pixels of a scene, as a chart (a :class:`~.product.ProductRaster`).

    Parameters
    ----------
    read : Concentration
        What is laid.
    scene : Grid
        The pixels.
    """

    bands = CHART_BANDS[:1]
    dtype = "uint8"
    nodata = float(NO_DATA_VALUE)
    strip_rows = _STRIP_ROWS

    def __init__(self, read: Concentration, scene: Grid) -> None:
        self.grid = scene
        cells: Any = Cells(read.chart()[None].astype(np.float32), "", ("concentration",))
        self._registered = RegisteredRaster(cells, scene, own=read.grid)

    @property
    def overlaps(self) -> bool:
        """Whether any pixel of the scene lies on the map."""
        return self._registered.same or overlap(self._registered.grid, self._registered.own)

    def read(self, window: Window) -> np.ndarray:
        """Return (band, row, column) uint8: whole %, 254 land, 255 no data."""
        values = self._registered.read([1], window)
        return np.where(np.isfinite(values), values, NO_DATA_VALUE).astype(np.uint8)


def open_concentration(path: str | os.PathLike) -> tuple[Cells, Grid] | None:
    """Return a concentration and its grid where a file is NetCDF with one; None where it is none.

    Raises
    ------
    SceneError
        It is one, but cannot be read.
    """
    if not is_container(os.fspath(path)):
        return None
    with Container(path) as container:
        if variable_in(container) is None:
            return None
        read = read_concentration(container)
    return Cells(read.values[None], os.fspath(path), ("concentration",)), read.grid
