"""AMSR2 data that come on a grid: laid over a SAR scene, or on a map projection of their own."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import PurePosixPath

import numpy as np
import pyproj

from ...core.errors import SceneError
from ..crs import parse_crs
from ..grid import Grid, GroundControlPoint
from .bands import channel_of_name, in_order
from .container import Container, as_numbers, as_text

_SAR = re.compile(r"^(nersc_)?sar_|^polygon_icechart$|^(SIC|SOD|FLOE)$", re.I)
_AXES = {
    "x": ("projection_x_coordinate", "longitude", "grid_longitude"),
    "y": ("projection_y_coordinate", "latitude", "grid_latitude"),
}
_NAMES = {"x": ("x", "xc", "xgrid", "lon", "longitude"), "y": ("y", "yc", "ygrid", "lat", "latitude")}
_TO_METRES = {"km": 1000.0, "kilometers": 1000.0, "kilometres": 1000.0, "1000 meter": 1000.0}
_CONCENTRATION = ("sea_ice_area_fraction", "icecon", "ice_conc", "sic", "sea_ice_concentration")
_SCENE_TIME = re.compile(r"(?:^|_)(\d{8}T\d{6})(?=_)")
_SCENE_NAME = re.compile(r"S1[A-D]_[A-Z0-9]{2}_\w{4}_\w{4}_\d{8}T\d{6}")


@dataclass(frozen=True)
class GriddedChannels:
    """Brightness temperatures on a grid.

    Parameters
    ----------
    grid : Grid
        Their geometry.
    values : dict
        Channel to (row, column) float32, K, NaN where there is none.
    delay : numpy.ndarray, optional
        (row, column) float32, seconds to the SAR.
    found : dict
        What the file says about itself.
    """

    grid: Grid
    values: dict[str, np.ndarray]
    delay: np.ndarray | None
    found: dict[str, object]


def channels_in(container: Container) -> dict[str, str]:
    """Return channel to variable for the brightness temperatures of a file; none if it holds SAR as well."""
    if any(_SAR.search(name) for name in container.names):
        return {}
    found = {channel_of_name(name): name for name in container.names}
    return {channel: found[channel] for channel in in_order(name for name in found if name)}


def concentration_in(container: Container) -> str | None:
    """Return the variable that holds AMSR2's sea-ice concentration on a map projection, or None."""
    if any(_SAR.search(name) for name in container.names) or _axes(container) is None:
        return None
    said = " ".join(
        as_text(container.attributes.get(name))
        for name in ("title", "instrument", "sensor", "source", "summary")
    )
    if not re.search(r"AMSR[- _]?2", f"{said} {PurePosixPath(container.path).name}", re.I):
        return None
    for name in container.names:
        standard = as_text(container.attributes_of(name).get("standard_name")).lower()
        if standard == _CONCENTRATION[0] or name.lower() in _CONCENTRATION:
            return name
    return None


def has_own_grid(container: Container) -> bool:
    """Return whether a file says where its cells lie: axes, or a grid mapping."""
    return _axes(container) is not None


def read_over_scene(
    container: Container, scene: Grid, sar_name: str, warn: Callable[[str], None]
) -> GriddedChannels:
    """Return channels whose cells divide a SAR scene evenly; a cell need not be whole pixels.

    Parameters
    ----------
    container : Container
        A file without georeferencing.
    scene : Grid
        The SAR scene that its rows and columns span, in the same orientation.
    sar_name : str
        What the scene's file is called, to see that it is the same scene; may be empty.
    warn : callable
        Takes sentences for the user.

    Raises
    ------
    SceneError
        The cells would not be nearly as high as wide, so the file belongs to another scene.
    """
    names = channels_in(container)
    shape = _shape(container, names)
    height, width = scene.rows / shape[0], scene.cols / shape[1]
    # As many cells as fit, give or take one, along each side.
    if abs(height / width - 1.0) > 1.5 / min(shape) + 1e-9:
        raise SceneError(
            f"{container.path} has {shape[0]} x {shape[1]} cells without georeferencing, which do not divide "
            f"the scene's {scene.rows} x {scene.cols} pixels into squares ({height:.2f} x {width:.2f} pixels). "
            "It belongs to another scene, or the scene is cropped or turned: give the scene it was made for."
        )
    ours, theirs = (_SCENE_NAME.search(name) for name in (sar_name, PurePosixPath(container.path).name))
    if ours and theirs and ours[0] != theirs[0]:
        warn(
            f"{container.path} names the scene {theirs[0]}, but it is laid over {ours[0]}: they should be one."
        )
    delay, delays = _delay(container, shape)
    return GriddedChannels(
        grid=_stretched(scene, *shape),
        values={name: _physical(container, variable, shape)[0] for name, variable in names.items()},
        delay=delay,
        found={
            "georeferencing": "none of its own: the cells span the scene, same orientation, block-centred",
            "cell_in_pixels": [round(height, 4), round(width, 4)],
            "swaths": _list(container.attributes.get("AMSR2_swaths")),
            "delays_s": delays,
        },
    )


def read_on_own_grid(container: Container) -> GriddedChannels:
    """Return channels on the file's own map projection."""
    names = channels_in(container)
    grid, arrange = own_grid(container)
    values = {}
    for name, variable in names.items():
        stored, _ = _physical(container, variable, None)
        values[name] = arrange(stored, variable)
    return GriddedChannels(grid, values, None, {"georeferencing": parse_crs(grid.crs).name})


def read_concentration(container: Container, variable: str) -> tuple[Grid, np.ndarray, dict[str, object]]:
    """Return grid, concentration (row, column) float32 in %, NaN for every code, and the codes' counts."""
    grid, arrange = own_grid(container)
    attributes = container.attributes_of(variable)
    values, codes = _physical(container, variable, None)
    unit = as_text(attributes.get("units")).lower()
    if unit not in ("%", "percent"):
        values = values * np.float32(100.0)
    with np.errstate(invalid="ignore"):
        beyond = (values < 0.0) | (values > 100.0)
    if beyond.any():
        codes["outside 0 to 100 %"] = int(beyond.sum())
        values = np.where(beyond, np.nan, values)
    found: dict[str, object] = {
        "variable": variable,
        "georeferencing": parse_crs(grid.crs).name,
        "without_concentration": codes,
    }
    return grid, arrange(values, variable), found


def own_grid(container: Container) -> tuple[Grid, Callable[[np.ndarray, str], np.ndarray]]:
    """Return the grid of a file with axes, and what puts its arrays upright on it.

    Raises
    ------
    SceneError
        The axes are not evenly spaced, or there is no usable grid mapping.
    """
    axes = _axes(container)
    if axes is None:
        raise SceneError(f"{container.path} does not say where its cells lie: it has no x and y axes.")
    places = {}
    for axis, name in axes.items():
        values = container.read(name).astype(np.float64).ravel()
        unit = as_text(container.attributes_of(name).get("units")).lower()
        places[axis] = values * _TO_METRES.get(unit, 1.0)
        steps = np.diff(values)
        if len(values) < 2 or not np.isfinite(values).all() or np.ptp(steps) > 1e-3 * abs(steps.mean()):
            raise SceneError(
                f"The axis '{name}' of {container.path} is not evenly spaced; it cannot be used."
            )
    x, y = places["x"], places["y"]
    dx, dy = (float(v[-1] - v[0]) / (len(v) - 1) for v in (x, y))
    left, top = min(x[0], x[-1]) - abs(dx) / 2.0, max(y[0], y[-1]) + abs(dy) / 2.0
    grid = Grid(len(y), len(x), _crs(container, axes), transform=(abs(dx), 0.0, left, 0.0, -abs(dy), top))

    def arrange(values: np.ndarray, variable: str) -> np.ndarray:
        if values.shape == (len(x), len(y)) and len(x) != len(y):
            values = values.T
        if values.shape != (len(y), len(x)):
            raise SceneError(
                f"'{variable}' in {container.path} has {values.shape} cells, its axes {len(y)} x {len(x)}."
            )
        return np.ascontiguousarray(values[:: 1 if dy < 0 else -1, :: 1 if dx > 0 else -1])

    return grid, arrange


def scene_time_in_name(path: str) -> datetime | None:
    """Return the start of the SAR scene that a file's name holds, UTC."""
    if not _SCENE_NAME.search(PurePosixPath(path).name):
        return None
    found = _SCENE_TIME.search(PurePosixPath(path).name)
    try:
        return datetime.strptime(found[1], "%Y%m%dT%H%M%S").replace(tzinfo=timezone.utc) if found else None
    except ValueError:
        return None


def time_in_attributes(container: Container) -> datetime | None:
    """Return the start of the time that a file covers, UTC."""
    for name in ("time_coverage_start", "start_time", "ObservationStartDateTime"):
        text = container.text(name).replace("Z", "+00:00")
        # Python before 3.11 wants three or six decimals, or none.
        text = re.sub(r"\.\d+", "", text)
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            continue
        return time if time.tzinfo else time.replace(tzinfo=timezone.utc)
    return None


def _axes(container: Container) -> dict[str, str] | None:
    """Return the names of the one-dimensional x and y axes, or None."""
    found: dict[str, str] = {}
    for name in container.names:
        # Names first: a look into every variable of a large file takes long.
        for axis in "xy":
            if name.lower() in _NAMES[axis] and len(container.shape(name)) == 1:
                standard = as_text(container.attributes_of(name).get("standard_name"))
                if standard in ("", *_AXES[axis]):
                    found.setdefault(axis, name)
    return found if len(found) == 2 else None


def _crs(container: Container, axes: dict[str, str]) -> str:
    for name in container.names:
        attributes = container.attributes_of(name)
        if "crs_wkt" in attributes or "spatial_ref" in attributes:
            return parse_crs(as_text(attributes.get("crs_wkt", attributes.get("spatial_ref")))).to_wkt()
        if "grid_mapping_name" in attributes:
            plain = {key: value for key, value in attributes.items() if not key.startswith("_")}
            try:
                return pyproj.CRS.from_cf(plain).to_wkt()
            except (pyproj.exceptions.CRSError, KeyError, TypeError, ValueError) as error:
                raise SceneError(
                    f"The grid mapping '{name}' of {container.path} cannot be understood ({error})."
                ) from error
    if axes["x"].lower().startswith("lon"):
        return parse_crs("EPSG:4326").to_wkt()
    raise SceneError(
        f"{container.path} has axes but no grid mapping: where its cells lie is not said. "
        "Get the file with its CF grid mapping."
    )


def _stretched(scene: Grid, rows: int, cols: int) -> Grid:
    """Return the grid of `rows` x `cols` cells that divide the scene evenly."""
    height, width = scene.rows / rows, scene.cols / cols
    if scene.transform is not None:
        a, b, c, d, e, f = scene.transform
        return Grid(rows, cols, scene.crs, transform=(a * width, b * height, c, d * width, e * height, f))
    gcps = tuple(GroundControlPoint(g.row / height, g.col / width, g.x, g.y, g.z) for g in scene.gcps)
    return Grid(rows, cols, scene.crs, gcps=gcps)


def _shape(container: Container, names: dict[str, str]) -> tuple[int, int]:
    shapes = {tuple(n for n in container.shape(variable) if n != 1) for variable in names.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        raise SceneError(
            f"The channels of {container.path} have the shapes {sorted(shapes)}: one grid of rows and columns is due."
        )
    rows, cols = next(iter(shapes))
    return rows, cols


def _physical(
    container: Container, variable: str, shape: tuple[int, int] | None
) -> tuple[np.ndarray, dict[str, int]]:
    """Return a variable in its unit, float32, NaN for codes, and how often each code occurs."""
    attributes = container.attributes_of(variable)
    stored = container.read(variable)
    stored = stored.reshape([n for n in stored.shape if n != 1] or [1])
    if stored.ndim != 2 or (shape is not None and stored.shape != shape):
        raise SceneError(
            f"'{variable}' in {container.path} has the shape {stored.shape}; rows and columns are due."
        )
    bad = ~np.isfinite(stored) if stored.dtype.kind == "f" else np.zeros(stored.shape, dtype=bool)
    codes: dict[str, int] = {}

    def take(where: np.ndarray, name: str) -> None:
        new = where & ~bad
        if new.any():
            codes[name] = int(new.sum())
        bad[new] = True

    meanings = as_text(attributes.get("flag_meanings")).split()
    flags = as_numbers(attributes.get("flag_values")) if "flag_values" in attributes else []
    if len(meanings) == len(flags):
        for flag, meaning in zip(flags, meanings):
            take(stored == flag, meaning)
    for fill in (
        f
        for key in ("_FillValue", "missing_value")
        for f in as_numbers(attributes.get(key, []))
        if key in attributes
    ):
        take(stored == fill, "fill value")
    limits = as_numbers(attributes.get("valid_range")) if "valid_range" in attributes else []
    if len(limits) == 2:
        take((stored < limits[0]) | (stored > limits[1]), "outside of the valid range")
    scale = (as_numbers(attributes.get("scale_factor", 1.0)) or [1.0])[0]
    offset = (as_numbers(attributes.get("add_offset", 0.0)) or [0.0])[0]
    with np.errstate(over="ignore", invalid="ignore"):
        values = (stored * scale + offset).astype(np.float32)
    return np.where(bad, np.float32(np.nan), values), codes


def _delay(container: Container, shape: tuple[int, int]) -> tuple[np.ndarray | None, list[float]]:
    """Return the delay of each cell, from the delays of the swaths and which swath each cell is from."""
    delays = as_numbers(container.attributes.get("delays", []))
    if not delays or "swath_segmentation" not in container.names:
        return (np.full(shape, delays[0], dtype=np.float32) if len(delays) == 1 else None), delays
    number = container.read("swath_segmentation")
    number = number.reshape([n for n in number.shape if n != 1])
    if number.shape != shape or number.min() < 0 or number.max() >= len(delays):
        return None, delays
    return np.asarray(delays, dtype=np.float32)[number.astype(np.intp)], delays


def _list(value: object) -> list[str]:
    return (
        [str(entry) for entry in value] if isinstance(value, (list, tuple)) else [str(value)] if value else []
    )
