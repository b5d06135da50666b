"""Where the cells of a map lie.

The axes of its dimensions say so, with the grid mapping that the variable names; else the latitudes and
longitudes of each cell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyproj

from ....ground.errors import SceneError
from ...environment.crs import parse_crs
from ...geometry.grid import Grid
from .axes import Axis, Dimensions, X, Y, role_of
from .container import Container, Variable, as_numbers, as_text
from .curvilinear import grid_of_places
from .lengths import degrees, metres

SMALLEST_CELL_M = 100.0
"""No radiometer or model has smaller cells: a unit is wrong."""

_WKT = ("crs_wkt", "spatial_ref")
_PROJ = ("proj4_string", "proj4string", "proj4", "proj4text")
_EPSG = ("epsg_code", "EPSG_code", "spatial_epsg", "epsg")


@dataclass(frozen=True)
class Placement:
    """Where a map lies, and how its array is laid on the grid.

    Parameters
    ----------
    grid : Grid
        Its cells.
    dims : tuple of str
        Dimensions along rows and columns.
    turn : tuple of int
        Step along rows and columns, 1 or −1: −1 where they run the other way in the file.
    roll : int
        Columns by which a map around the Earth is turned.
    """

    grid: Grid
    dims: tuple[str, str]
    turn: tuple[int, int] = (1, 1)
    roll: int = 0

    def arrange(self, values: np.ndarray, dims: tuple[str, ...]) -> np.ndarray:
        """Return an array of dimensions that include those of the map, and else only of one cell, as (row, column)."""
        kept = tuple(dim for dim in dims if dim in self.dims)
        plane = values.reshape([size for dim, size in zip(dims, values.shape) if dim in self.dims])
        upright = plane if kept == self.dims else plane.T
        return np.ascontiguousarray(np.roll(upright[:: self.turn[0], :: self.turn[1]], -self.roll, axis=1))


class Places:
    """Where the variables of a file lie; those that share dimensions and coordinates are placed once.

    Parameters
    ----------
    container : Container
        The file.
    """

    def __init__(self, container: Container) -> None:
        self._container = container
        self.dimensions = Dimensions(container)
        self._known: dict[tuple[object, ...], Placement | None] = {}

    def of(self, variable: Variable) -> Placement | None:
        """Return where the cells of a variable lie; None where the file says nothing of it.

        Raises
        ------
        SceneError
            What the file says cannot be used.
        """
        dims = self.dimensions.horizontal(variable)
        if dims is None:
            raise SceneError(
                f"'{variable.name}' in {self._container.path} has the dimensions {', '.join(variable.dims) or 'none'} "
                f"({' x '.join(map(str, variable.shape))}); rows and columns of a map are due."
            )
        stated = [as_text(variable.attributes.get(name)) for name in ("grid_mapping", "coordinates")]
        key = (*dims, *stated)
        if key not in self._known:
            self._known[key] = self._place(variable, dims)
        return self._known[key]

    def _place(self, variable: Variable, dims: tuple[str, str]) -> Placement | None:
        container = self._container
        shape = tuple(variable.shape[variable.dims.index(dim)] for dim in dims)
        axes = self.dimensions.axes(dims, shape)
        if axes is not None:
            return _on_axes(container, variable, *axes)
        placed = _by_geotransform(container, variable, dims, shape)
        if placed is not None:
            return placed
        places = _places(container, variable, dims)
        return Placement(grid_of_places(*places, container.path), dims) if places is not None else None


# Axes


def _on_axes(container: Container, variable: Variable, y: Axis, x: Axis) -> Placement:
    crs = _crs(container, variable, y, x)
    places = [_places_along(container, axis, crs) for axis in (y, x)]
    (y_values, x_values), roll = places, 0
    if not crs.is_projected:
        x_values, roll = _around(x_values)
    dx, dy = (float(v[-1] - v[0]) / (len(v) - 1) for v in (x_values, y_values))
    left = min(x_values[0], x_values[-1]) - abs(dx) / 2.0
    top = max(y_values[0], y_values[-1]) + abs(dy) / 2.0
    grid = Grid(
        len(y_values), len(x_values), crs.to_wkt(), transform=(abs(dx), 0.0, left, 0.0, -abs(dy), top)
    )
    _check_cells(container, grid, y, x)
    return Placement(grid, (y.dim, x.dim), (1 if dy < 0 else -1, 1 if dx > 0 else -1), roll)


def _places_along(container: Container, axis: Axis, crs: pyproj.CRS) -> np.ndarray:
    """Return coordinates along an axis in the unit of the CRS, evenly spaced."""
    values = axis.values
    steps = np.diff(values)
    if len(values) < 2 or not np.isfinite(values).all() or not steps.mean():
        raise SceneError(
            f"The axis '{axis.name}' of {container.path} has no usable coordinates; it cannot be used."
        )
    step = abs(steps.mean())
    slack = axis.slack if axis.slack < 0.25 * step else 0.0
    if np.ptp(steps) > 1e-3 * step + slack:
        raise SceneError(
            f"The axis '{axis.name}' of {container.path} is not evenly spaced; it cannot be used."
        )
    return values * _factor(container, axis, crs)


def _factor(container: Container, axis: Axis, crs: pyproj.CRS) -> float:
    """Return what turns the unit of an axis into that of the CRS."""
    length, angle = metres(axis.unit), degrees(axis.unit)
    if crs.is_projected:
        if length is not None or not axis.unit:
            own = crs.axis_info[0].unit_conversion_factor if crs.axis_info else 1.0
            return (1.0 if length is None else length) / own
        if angle is not None:
            raise SceneError(
                f"The axis '{axis.name}' of {container.path} is in {axis.unit}, but its grid mapping is a map "
                "projection. Get the file with axes and a grid mapping that belong together."
            )
    elif angle is not None or not axis.unit:
        return 1.0 if angle is None else angle
    elif length is not None:
        raise SceneError(
            f"The axis '{axis.name}' of {container.path} is in {axis.unit}, but its grid mapping has longitudes and "
            "latitudes. Get the file with axes and a grid mapping that belong together."
        )
    raise SceneError(
        f"The axis '{axis.name}' of {container.path} is in '{axis.unit}', which is no unit that is known here. Correct "
        f"its attribute units, for example to {'km' if crs.is_projected else 'degrees_east'}."
    )


def _around(lon: np.ndarray) -> tuple[np.ndarray, int]:
    """Return longitudes between −180 and 180, as far as they go around the Earth, and by how many cells they turn."""
    step = (lon[-1] - lon[0]) / (len(lon) - 1)
    ascending = lon if step > 0 else lon[::-1]
    if ascending[0] >= 180.0:
        return lon - 360.0, 0
    if ascending[-1] <= 180.0 or abs(abs(step) * len(lon) - 360.0) > 0.5 * abs(step):
        return lon, 0
    roll = int(np.searchsorted(ascending, 180.0))
    turned = ascending - ascending[0] + ascending[roll] - 360.0
    return (turned if step > 0 else turned[::-1]), roll


def _check_cells(container: Container, grid: Grid, y: Axis, x: Axis) -> None:
    size = grid.pixel_size()
    if not np.isfinite(size) or size < SMALLEST_CELL_M:
        stated = f"'{x.unit}'" if x.unit else "no unit, so metres"
        raise SceneError(
            f"The axes '{x.name}' and '{y.name}' of {container.path} have {stated}: its cells would be {size:.3g} m "
            "wide, which no radiometer's are. Correct their attribute units, for example to km."
        )


# Grid mappings


def _crs(container: Container, variable: Variable, y: Axis, x: Axis) -> pyproj.CRS:
    name = _mapping_name(container, variable, y, x)
    if name is None:
        if degrees(x.unit) is not None or (
            role_of(container.variable(x.name)) == X and _is_longitude(container, x)
        ):
            return parse_crs("EPSG:4326")
        raise SceneError(
            f"{container.path} has axes but no grid mapping: where its cells lie is not said. "
            "Get the file with its CF grid mapping."
        )
    return _crs_of(container, name)


def _is_longitude(container: Container, axis: Axis) -> bool:
    standard = as_text(container.variable(axis.name).attributes.get("standard_name")).lower()
    return standard == "longitude" or (not standard and axis.name.lower().startswith("lon"))


def _mapping_name(container: Container, variable: Variable, y: Axis | None, x: Axis | None) -> str | None:
    """Return the grid mapping that a variable names, or the only one of the file; None where there is none."""
    stated = as_text(variable.attributes.get("grid_mapping"))
    if stated:
        name = _named(stated, {axis.name for axis in (y, x) if axis is not None})
        if name in container and _is_mapping(container.variable(name)):
            return name
        known = [other for other in container.names if _is_mapping(container.variable(other))]
        if not known:
            return None
        raise SceneError(
            f"'{variable.name}' in {container.path} names the grid mapping '{name}', which is not there (there are "
            f"{', '.join(known[:5])}). Get the file again from its provider."
        )
    known = [other for other in container.names if _is_mapping(container.variable(other))]
    if len(known) > 1:
        projected = x is not None and metres(x.unit) is not None
        fitting = [name for name in known if _crs_of(container, name).is_projected == projected]
        if len({_crs_of(container, name).to_wkt() for name in fitting}) == 1:
            return fitting[0]
        raise SceneError(
            f"'{variable.name}' in {container.path} does not say which of the grid mappings {', '.join(known[:5])} is "
            "its own. Add the attribute grid_mapping with its name."
        )
    return known[0] if known else None


def _named(stated: str, axes: set[str]) -> str:
    """Return the grid mapping of an attribute: ``crs``, or ``crs: x y other: lat lon`` by the axes named."""
    if ":" not in stated:
        return stated.split()[0]
    pairs = re.findall(r"([^\s:]+)\s*:\s*([^:]*?)(?=\s+[^\s:]+\s*:|$)", stated)
    for name, coordinates in pairs:
        if axes and axes <= set(coordinates.split()):
            return name
    return pairs[0][0] if pairs else stated.split(":")[0].strip()


def _is_mapping(variable: Variable) -> bool:
    return any(key in variable.attributes for key in ("grid_mapping_name", *_WKT, *_PROJ, *_EPSG))


def _crs_of(container: Container, name: str) -> pyproj.CRS:
    attributes = container.variable(name).attributes
    for key in _WKT:
        if as_text(attributes.get(key)):
            return parse_crs(as_text(attributes[key]))
    plain: dict[str, Any] = {key: value for key, value in attributes.items() if not key.startswith("_")}
    try:
        return parse_crs(pyproj.CRS.from_cf(plain).to_wkt())
    except (pyproj.exceptions.CRSError, KeyError, TypeError, ValueError) as error:
        for key in _PROJ:
            if as_text(attributes.get(key)):
                return parse_crs(as_text(attributes[key]))
        for key in _EPSG:
            code = re.search(r"\d{4,6}", as_text(attributes.get(key)))
            if code:
                return parse_crs(f"EPSG:{code[0]}")
        reason = str(error) if not isinstance(error, KeyError) else f"no {error}"
        raise SceneError(
            f"The grid mapping '{name}' of {container.path} cannot be understood ({reason[:120]}). Get the file with a "
            "CF grid mapping."
        ) from error


def _by_geotransform(
    container: Container, variable: Variable, dims: tuple[str, str], shape: tuple[int, ...]
) -> Placement | None:
    """Return where cells lie by the attribute that GDAL writes into grid mappings."""
    name = _mapping_name(container, variable, None, None)
    stated = as_text(container.variable(name).attributes.get("GeoTransform")) if name else ""
    numbers = as_numbers(stated.split())
    if name is None or len(numbers) != 6:
        return None
    c, a, b, f, d, e = numbers
    grid = Grid(shape[0], shape[1], _crs_of(container, name).to_wkt(), transform=(a, b, c, d, e, f))
    return Placement(grid, dims)


# Latitudes and longitudes of each cell


def _places(
    container: Container, variable: Variable, dims: tuple[str, str]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return longitudes and latitudes of the cells, (row, column) degrees; None where there are none."""
    listed = as_text(variable.attributes.get("coordinates")).split()
    order = [*(name for name in listed if name in container), *container.names]
    places: dict[str, Variable] = {}
    elsewhere: list[str] = []
    for name in dict.fromkeys(order):
        other = container.variable(name)
        maps = tuple(dim for dim, size in zip(other.dims, other.shape) if size > 1)
        if other.is_text or len(maps) < 2:
            continue
        kind = _kind_of_place(other)
        if kind and set(maps) == set(dims):
            places.setdefault(kind, other)
        elif kind:
            elsewhere.append(name)
    if len(places) == 2:
        index_of = {kind: {d: 0 for d in place.dims if d not in dims} for kind, place in places.items()}
        values = {}
        for kind, place in places.items():
            angle = degrees(place.unit) if place.unit.strip() else 1.0
            if angle is None:
                raise SceneError(
                    f"'{place.name}' in {container.path} is in '{place.unit}', which is no unit of latitudes and "
                    "longitudes. Correct its attribute units."
                )
            array, _ = place.counted(index_of[kind])
            kept = tuple(d for d in place.dims if d in dims)
            values[kind] = (array if kept == dims else array.T).astype(np.float64) * angle
        return values[X], values[Y]
    if elsewhere or places:
        names = ", ".join(dict.fromkeys([*elsewhere, *(v.name for v in places.values())]))
        raise SceneError(
            f"{container.path} has latitudes or longitudes ({names}), but not both for each cell of "
            f"'{variable.name}': where its cells lie is not said. Get the file with those that belong to it."
        )
    return None


def _kind_of_place(variable: Variable) -> str:
    """Return ``x`` for longitudes, ``y`` for latitudes of cells, else nothing."""
    standard = as_text(variable.attributes.get("standard_name")).lower()
    if standard in ("longitude", "latitude"):
        return X if standard == "longitude" else Y
    if standard:
        return ""
    name = variable.name.lower()
    if re.fullmatch(r"(.*_)?(lon|longitudes?|lons)(_.*|\d*)?", name):
        return X
    return Y if re.fullmatch(r"(.*_)?(lat|latitudes?|lats)(_.*|\d*)?", name) else ""
