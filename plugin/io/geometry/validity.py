"""What of the geometries of a layer can be used, what is used as drawn, and what is refused.

A polygon whose rings cross or touch themselves has no area that everybody agrees on. FloeLens takes
each polygon by the even-odd rule (the inside of a bow-tie is its two triangles, a spike has no area),
and several polygons of one geometry together. That needs no repaired geometry: repairing takes time
that grows with the square of the crossings, seconds for some hundred vertices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from osgeo import gdal, ogr

from ...ground.errors import SceneError
from ..environment.gdal_state import quiet_gdal
from .vector import geometry_from_wkb, parts_of

# Checking takes about a second for a million vertices; a layer beyond is used without.
MOST_CHECKED_VERTICES = 500_000
_SURFACES = (ogr.wkbTriangle, ogr.wkbTIN, ogr.wkbPolyhedralSurface)


def areas_of(geometry: Any) -> Any:
    """Return what of an OGR geometry is polygons, flat and with straight edges; None where nothing is."""
    if ogr.GT_Flatten(geometry.GetGeometryType()) in _SURFACES:
        geometry = ogr.ForceToMultiPolygon(geometry.Clone())
    geometry = geometry.GetLinearGeometry()
    geometry.FlattenTo2D()
    kind = geometry.GetGeometryType()
    if kind in (ogr.wkbPolygon, ogr.wkbMultiPolygon):
        return geometry
    if kind != ogr.wkbGeometryCollection:
        return None
    areas = ogr.Geometry(ogr.wkbMultiPolygon)
    for number in range(geometry.GetGeometryCount()):
        part = areas_of(geometry.GetGeometryRef(number))
        if part is None:
            continue
        parts = [part] if part.GetGeometryType() == ogr.wkbPolygon else list(part)
        for polygon in parts:
            areas.AddGeometry(polygon)
    return areas if areas.GetGeometryCount() else None


def usable_polygons(
    name: str, geometries: Sequence[bytes], features: Sequence[str]
) -> tuple[list[bytes | None], list[str]]:
    """Return the polygons of every geometry, and warnings about those that are not valid.

    Parameters
    ----------
    name : str
        What the layer is called in sentences, such as a parameter's name.
    geometries : sequence of bytes
        Well-known binary of any kind.
    features : sequence of str
        What each is called in sentences, such as ``feature 7``.

    Returns
    -------
    polygons : list of bytes or None
        Well-known binary of flat polygons with straight edges; None for a geometry without area.
    warnings : list of str
        One sentence for the geometries that are used as drawn, one for those without area.

    Raises
    ------
    SceneError
        A geometry is damaged, is of points or lines, or has a vertex without a finite coordinate.
    """
    usable: list[bytes | None] = []
    unclear: list[str] = []
    flat: list[str] = []
    unchecked = MOST_CHECKED_VERTICES
    for wkb, feature in zip(geometries, features):
        polygons = _polygons_in(name, wkb, feature)
        rings = [ring for part in parts_of(polygons)[0] for ring in part]
        for ring in rings:
            wrong = ring[~np.isfinite(ring).all(axis=1)]
            if len(wrong):
                raise SceneError(
                    f"{name}: {feature} has a vertex at ({wrong[0][0]:g}, {wrong[0][1]:g}), which is no place. "
                    "Repair or remove it."
                )
        usable.append(polygons if rings else None)
        if not rings:
            flat.append(feature)
            continue
        unchecked -= sum(len(ring) for ring in rings)
        reason = _invalid(polygons) if unchecked >= 0 else ""
        if reason:
            unclear.append(f"{feature}: {reason}" if not unclear else feature)
    return usable, [*_used_as_drawn(name, unclear), *_without_area(name, flat)]


def _polygons_in(name: str, wkb: bytes, feature: str) -> bytes:
    with quiet_gdal():
        geometry = geometry_from_wkb(wkb)
        if geometry is None:
            raise SceneError(f"{name}: {feature} is damaged: its geometry cannot be read. Repair the layer.")
        areas = areas_of(geometry)
        if areas is None:
            kind = geometry.GetGeometryName().lower()
            raise SceneError(
                f"{name}: the layer holds no polygons ({feature} is a {kind}). Give a polygon layer."
            )
        return bytes(areas.ExportToWkb(ogr.wkbNDR))


def _invalid(wkb: bytes) -> str:
    """Return why a polygon is not valid, such as ``Self-intersection at or near point 1 2``; empty where it is."""
    reasons: list[str] = []
    gdal.PushErrorHandler(lambda _level, _number, text: reasons.append(text))
    try:
        valid = ogr.CreateGeometryFromWkb(wkb).IsValid()
    except RuntimeError:
        valid = False
    finally:
        gdal.PopErrorHandler()
        gdal.ErrorReset()
    return "" if valid else (reasons[0] if reasons else "its rings cross or touch themselves")[:120]


def _used_as_drawn(name: str, unclear: list[str]) -> list[str]:
    if not unclear:
        return []
    what = (
        "1 feature is no valid polygon"
        if len(unclear) == 1
        else f"{len(unclear)} features are no valid polygons"
    )
    return [
        f"{name}: {what} ({_listed(unclear)}). Rings that cross are used by the even-odd rule: what lies in "
        "two loops at once is outside. QGIS's Fix geometries repairs the layer."
    ]


def _without_area(name: str, flat: list[str]) -> list[str]:
    if not flat:
        return []
    verb = "has" if len(flat) == 1 else "have"
    return [f"{name}: {_listed(flat)} {verb} no area and {'is' if len(flat) == 1 else 'are'} left out."]


def _listed(features: list[str]) -> str:
    more = f" and {len(features) - 3} more" if len(features) > 3 else ""
    return "; ".join(features[:3]) + more
