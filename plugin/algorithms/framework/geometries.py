"""Geometries and coordinate systems of QGIS as the plain values that jobs take."""

from __future__ import annotations

import math
import re

from qgis.core import QgsCoordinateReferenceSystem, QgsFeatureRequest, QgsGeometry

from ...ground.errors import ParameterError, SceneError
from .job_threads import JOB_THREADS

_NUMBER = r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*"
_FOUR_NUMBERS = re.compile(",".join([_NUMBER] * 4) + r"(?=\[|$)")


def check_order(name: str, value: object, crs: QgsCoordinateReferenceSystem, sar: str | None) -> None:
    """Refuse four numbers that make a part of the scene only in another order than QGIS's.

    Raises
    ------
    ParameterError
        They do; the sentence says how to write them.
    """
    if not isinstance(value, str) or sar is None:
        return
    match = _FOUR_NUMBERS.match(value)
    if match is None:
        return
    numbers = [float(text) for text in match.groups()]

    def read(_caller: object) -> tuple[str, tuple[float, ...]] | None:
        from ...io.geometry.extent_order import other_order
        from ...io.geometry.grid import Grid

        grid = Grid.from_file(sar)
        return other_order(numbers, wkt(crs) if crs.isValid() else grid.crs, grid)

    meant = JOB_THREADS.run(read)  # pyproj is used in those threads alone
    if meant:
        order, box = meant
        right = f"{','.join(f'{number:.15g}' for number in box)} {value[match.end() :]}".strip()
        raise ParameterError(
            f"{name}: {value} is no part of the scene as xmin,xmax,ymin,ymax, but is one as {order}. "
            f"Write {name}={right} if that is meant."
        )


def unchecked_request() -> QgsFeatureRequest:
    """Return a request for all features, whatever their geometry."""
    return QgsFeatureRequest().setInvalidGeometryCheck(QgsFeatureRequest.InvalidGeometryCheck.GeometryNoCheck)


def wkt(crs: QgsCoordinateReferenceSystem) -> str:
    """Return the full definition of a CRS: a custom one has no code."""
    return crs.toWkt(QgsCoordinateReferenceSystem.WktVariant.WKT_PREFERRED)


def grid_crs(sar: str) -> str:
    """Return the CRS of the file itself; the layer's may have been read with another datum."""

    def read(_caller: object) -> str:
        from ...io.geometry.grid import Grid

        return Grid.from_file(sar).crs

    return JOB_THREADS.run(read)  # pyproj is used in those threads alone


def flat_wkb(geometry: QgsGeometry, name: str, feature: str) -> bytes:
    """Return a geometry without curves and heights as well-known binary."""
    shape = geometry.constGet()
    if shape.hasCurvedSegments():
        if not all(math.isfinite(vertex.x()) and math.isfinite(vertex.y()) for vertex in geometry.vertices()):
            raise SceneError(
                f"{name}: {feature} has a curve through a point that is no place. Repair or remove it."
            )
        shape = shape.segmentize()
    flat = QgsGeometry(shape.clone())
    flat.get().dropZValue()
    flat.get().dropMValue()
    return bytes(flat.asWkb())
