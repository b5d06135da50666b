"""Coordinate reference systems: what a WKT means, whether two mean the same, and how to leave for lon/lat.

Codes are not compared: a local projection has none, and GDAL reads the codes 3411 and 3412 as
other systems, 20 to 30 m away. What counts is projection, parameters, ellipsoid and datum.
"""

from __future__ import annotations

import math
import re
import warnings
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from ...ground.errors import SceneError
from .proj_state import offline_pyproj
from .quiet_pyproj import pyproj

LONLAT = "EPSG:4326"
_REMOTE_GRID = re.compile(r"(grids|file)=[^\s\"]*://|PARAMETERFILE\[[^\]]*://", re.IGNORECASE)
_NAMELESS_DATUM = re.compile(
    r"unknown|unspecified|not[ _]specified|unnamed|user[ _-]?defined|undefined", re.I
)


@lru_cache(maxsize=256)
def parse_crs(text: str) -> pyproj.CRS:
    """Return the coordinate reference system that `text` (WKT, or ``EPSG:code``) describes.

    Raises
    ------
    SceneError
        The text is no CRS, or one that has no place on the Earth.
    """
    if _REMOTE_GRID.search(text):
        raise SceneError(
            f"The coordinate reference system '{text[:60]}' needs a grid from another machine, which is not fetched. "
            "Assign one without such a grid to the raster or layer."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            crs = pyproj.CRS.from_user_input(text)
    except pyproj.exceptions.CRSError as error:
        raise SceneError(
            f"The coordinate reference system '{text[:60]}' cannot be understood ({error}). "
            "Assign the right one to the raster or layer."
        ) from error
    if crs.geodetic_crs is None:
        raise SceneError(
            f"The coordinate reference system '{crs.name}' has no place on the Earth. "
            "Assign a geographic or projected one to the raster or layer."
        )
    return crs


def is_projected(text: str) -> bool:
    """Return whether the CRS has plane coordinates (metres), not longitudes and latitudes."""
    return parse_crs(text).is_projected


@lru_cache(maxsize=1024)
def same_crs(one: str, other: str) -> bool:
    """Return whether two CRSs mean the same: projection, parameters, ellipsoid and datum.

    Names, codes and the order of axes are left out of it. A datum that is named after its
    ellipsoid, or not at all, says no more than the ellipsoid.
    """
    if one == other:
        return True
    a, b = parse_crs(one), parse_crs(other)
    if a.equals(b, ignore_axis_order=True):
        return True
    if a.is_projected != b.is_projected or not _same_datum(a, b):
        return False
    if not a.is_projected:
        return a.is_geographic == b.is_geographic
    operation_a, operation_b = a.coordinate_operation, b.coordinate_operation
    if operation_a is None or operation_b is None:
        return False
    return (
        operation_a.method_name.lower() == operation_b.method_name.lower()
        and _parameters(operation_a) == _parameters(operation_b)
        and math.isclose(_unit(a), _unit(b), rel_tol=1e-12)
    )


def _same_datum(a: pyproj.CRS, b: pyproj.CRS) -> bool:
    ellipsoids = [
        (crs.ellipsoid.semi_major_metre, crs.ellipsoid.inverse_flattening, crs.prime_meridian.longitude)
        for crs in (a, b)
    ]
    if not np.allclose(ellipsoids[0], ellipsoids[1], rtol=1e-10, atol=1e-12):
        return False
    if a.geodetic_crs.equals(b.geodetic_crs, ignore_axis_order=True):
        return True
    names = [_plain(crs.geodetic_crs.datum.name) for crs in (a, b)]
    if names[0] == names[1]:
        return True
    return any(
        _NAMELESS_DATUM.search(crs.geodetic_crs.datum.name) or name == _plain(crs.ellipsoid.name)
        for crs, name in zip((a, b), names)
    )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower().replace("ensemble", ""))


def _parameters(operation: pyproj.crs.CoordinateOperation) -> dict[str, float]:
    # Twelve digits: files keep parameters as decimal text.
    return {
        _plain(parameter.name): float(f"{parameter.value * parameter.unit_conversion_factor:.12g}")
        for parameter in operation.params
    }


def _unit(crs: pyproj.CRS) -> float:
    return crs.axis_info[0].unit_conversion_factor if crs.axis_info else 1.0


@lru_cache(maxsize=256)
def _transformer(source: str, target: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(parse_crs(source), parse_crs(target), always_xy=True)


def transform(source: str, target: str, x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return coordinates in `target` of points given in `source`, x or longitude first; no grid is fetched.

    Parameters
    ----------
    source, target : str
        CRSs as WKT or ``EPSG:code``.
    x, y : numpy.ndarray
        Coordinates of any one shape, float64.

    Returns
    -------
    tuple of numpy.ndarray
        Coordinates of the same shape, float64; NaN where the projection is not defined.
    """
    x, y = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
    if source == target:
        return x.copy(), y.copy()
    with offline_pyproj():
        return _finite(_transformer(source, target).transform(x, y))


def _finite(pair: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    first, second = (np.asarray(values, dtype=np.float64) for values in pair)
    bad = ~(np.isfinite(first) & np.isfinite(second))
    return np.where(bad, np.nan, first), np.where(bad, np.nan, second)


class LocalPlane:
    """A stereographic plane that touches the Earth at one point, on a CRS's own ellipsoid and datum.

    It knows neither poles nor antimeridian: only the point opposite to the centre is missing.

    Parameters
    ----------
    crs : str
        The CRS whose map coordinates go in and come out.
    x, y : numpy.ndarray
        Map coordinates of points; the plane is centred among them.
    """

    def __init__(self, crs: str, x: np.ndarray, y: np.ndarray) -> None:
        system = parse_crs(crs)
        self._geodetic = system.geodetic_crs.to_wkt()
        self._crs = crs
        lon, lat = transform(crs, self._geodetic, x, y)
        if not np.isfinite(lon).any():
            raise SceneError("no ground control point has a place in its coordinate reference system")
        lon_0, lat_0 = mean_position(lon, lat)
        # From the CRS's own geodetic system: the plane must not add a change of datum.
        self._project = pyproj.Proj(
            f"+proj=stere +lat_0={lat_0!r} +lon_0={lon_0!r} +a={system.ellipsoid.semi_major_metre!r} "
            f"+b={system.ellipsoid.semi_minor_metre!r} +units=m"
        )

    def from_map(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return plane coordinates in metres of map coordinates (NaN where not defined)."""
        lon, lat = transform(self._crs, self._geodetic, x, y)
        return _finite(self._project(lon, lat))

    def to_map(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return map coordinates of plane coordinates in metres (NaN where not defined)."""
        lon, lat = _finite(self._project(u, v, inverse=True))
        return transform(self._geodetic, self._crs, lon, lat)


def mean_position(lon: np.ndarray, lat: np.ndarray) -> tuple[float, float]:
    """Return longitude and latitude in degrees of the mean direction of points (poles included)."""
    lam, phi = np.radians(np.ravel(lon)), np.radians(np.ravel(lat))
    x = np.nanmean(np.cos(phi) * np.cos(lam))
    y = np.nanmean(np.cos(phi) * np.sin(lam))
    z = np.nanmean(np.sin(phi))
    return float(np.degrees(np.arctan2(y, x))), float(np.degrees(np.arctan2(z, np.hypot(x, y))))


def geodesic_length(lon_1: float, lat_1: float, lon_2: float, lat_2: float) -> float:
    """Return the distance on the WGS 84 ellipsoid between two points, in metres."""
    return float(pyproj.Geod(ellps="WGS84").inv(lon_1, lat_1, lon_2, lat_2)[2])
