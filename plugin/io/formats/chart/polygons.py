"""The polygons of an ice chart with the values of their fields, mended where their geometry is invalid.

Agencies' charts have rings that touch or cross themselves. GDAL mends them, as long as they cross no more often than
takes some seconds; others stay as drawn, which rasters take by the even-odd rule. What is no area is left out. All
are counted.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from osgeo import ogr

from ....ground.errors import SceneError
from ...environment.crs import LONLAT, parse_crs, transform
from ...geometry.validity import areas_of
from ...geometry.vector import parts_of
from .container import VectorFile, opened, plain_text
from .crossings import crossings
from .dialects import EGG, concentration_field

KNOWN = (*EGG, "CN", "CD", "CF", "POLY_TYPE")
# So many crossings of a chart's polygons are mended in all, which takes two or three seconds.
MOST_CROSSINGS = 2000
_MAX_FIELDS = 200
_EARTH_M = 5e7  # map coordinates of any place lie well within
_NUMBERS = (ogr.OFTInteger, ogr.OFTInteger64, ogr.OFTReal)


@dataclass
class ChartLayer:
    """The polygons of a chart as they were read.

    Parameters
    ----------
    wkb : list of bytes
        Polygons, well-known binary, x or longitude first; valid but for those left as drawn.
    crs : str
        Their CRS as WKT.
    columns : dict
        Upper-case field names to one value a polygon; text is stripped.
    mended : int
        Polygons whose geometry was mended.
    as_drawn : int
        Polygons whose rings cross too often to be mended.
    dropped : Counter
        Why features were left out, to how many.
    """

    wkb: list[bytes]
    crs: str
    columns: dict[str, list[Any]]
    mended: int = 0
    as_drawn: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    crossings: float = 0.0  # of all that was mended

    def column(self, name: str) -> list[Any]:
        """Return the values of a field; None for each polygon where the chart has no such field."""
        return self.columns.get(name) or [None] * len(self.wkb)


def read_layer(vector: VectorFile) -> ChartLayer:
    """Return the polygons of a chart.

    Raises
    ------
    SceneError
        It cannot be read, has no total concentration, no CRS or no polygons.
    """
    with opened(vector) as dataset:
        layer = _choose(vector, dataset)
        crs = _crs(vector, layer)
        names = _field_names(layer)
        chart = ChartLayer([], crs, {name: [] for name in names.values()})
        limits = _limits(crs)
        try:
            for feature in layer:
                _take(chart, feature, names, limits)
        except RuntimeError as error:
            raise SceneError(f"{vector.path} cannot be read to its end ({error}). Copy it again.") from error
    if not chart.wkb:
        left_out = ", ".join(f"{reason}: {count}" for reason, count in chart.dropped.items())
        raise SceneError(
            f"{vector.path} holds no polygons"
            + (f" (features left out for {left_out})" if left_out else "")
            + ". Choose the "
            "chart's polygon file."
        )
    return chart


def _choose(vector: VectorFile, dataset: Any) -> Any:
    layers = [dataset.GetLayer(number) for number in range(dataset.GetLayerCount())]
    for layer in layers:
        if concentration_field(_field_names(layer).values()) is not None:
            return layer
    fields = ", ".join(name for layer in layers[:1] for name in list(_field_names(layer).values())[:20])
    raise SceneError(
        f"{vector.path} has no field CT, the total concentration of SIGRID-3, nor SGD_CT, E_CT, ICECODE or "
        f"NIS_CLASS (fields: {fields or 'none'}). Choose the chart's own polygon file with its table (.dbf)."
    )


def _crs(vector: VectorFile, layer: Any) -> str:
    try:
        system = layer.GetSpatialRef()
        text = plain_text(system.ExportToWkt()) if system is not None else ""
    except RuntimeError as error:  # where somebody has switched GDAL's exceptions on
        raise SceneError(
            f"The coordinate reference system of {vector.path} cannot be read ({error}). Copy its .prj file again."
        ) from error
    if not text:
        raise SceneError(
            f"{vector.path} has no coordinate reference system. Put the .prj file beside it, or assign one."
        )
    try:
        unit = parse_crs(text).axis_info[0].unit_conversion_factor
        # A CRS may be read and yet have no way to longitudes and latitudes, or none back.
        transform(text, LONLAT, 0.0, 0.0)
        transform(LONLAT, text, 0.0, 0.0)
    except (SceneError, IndexError, RuntimeError) as error:  # pyproj's errors are RuntimeErrors
        raise SceneError(
            f"The coordinate reference system of {vector.path} cannot be used: {error}"
        ) from error
    if not 1e-4 < unit < 1e4:
        raise SceneError(
            f"The coordinate reference system of {vector.path} has a unit of {unit:g}. Mend its .prj."
        )
    return text


def _limits(crs: str) -> tuple[float, float]:
    """Return the largest coordinates that a place on the Earth may have."""
    system = parse_crs(crs)
    if not system.is_projected:
        # Some charts count longitudes on past 180 degrees.
        return 720.0, 90.0 + 1e-6
    return (_EARTH_M / system.axis_info[0].unit_conversion_factor,) * 2


def _field_names(layer: Any) -> dict[int, str]:
    """Return field number to upper-case name; of names that differ in case alone the first is kept."""
    definition = layer.GetLayerDefn()
    names: dict[str, int] = {}
    for number in range(definition.GetFieldCount()):
        name = plain_text(definition.GetFieldDefn(number).GetName()).strip().upper()
        if name and name not in names and (len(names) < _MAX_FIELDS or name in KNOWN):
            names[name] = number
    return {number: name for name, number in names.items()}


def _take(chart: ChartLayer, feature: Any, names: dict[int, str], limits: tuple[float, float]) -> None:
    geometry = feature.GetGeometryRef()
    if geometry is None or geometry.IsEmpty():
        chart.dropped["no geometry"] += 1
        return
    area = areas_of(geometry)
    if area is None:
        chart.dropped["no polygon"] += 1
        return
    low_x, high_x, low_y, high_y = area.GetEnvelope()
    if not (max(-low_x, high_x) <= limits[0] and max(-low_y, high_y) <= limits[1]):
        chart.dropped["coordinates that are no place on the Earth"] += 1
        return
    if not area.IsValid():
        crossed = crossings(
            [ring for part in parts_of(bytes(area.ExportToWkb(ogr.wkbNDR)))[0] for ring in part]
        )
        if chart.crossings + crossed > MOST_CROSSINGS:
            chart.as_drawn += 1
        else:
            chart.crossings += crossed
            area = _mended(area)
            if area is None:
                chart.dropped["a geometry that cannot be mended"] += 1
                return
            chart.mended += 1
    chart.wkb.append(bytes(area.ExportToWkb(ogr.wkbNDR)))
    for number, name in names.items():
        chart.columns[name].append(_value(feature, number))


def _mended(area: Any) -> Any:
    """Return a valid geometry of the same areas; None where there is none."""
    try:
        whole = area.MakeValid()
    except RuntimeError:  # where somebody has switched GDAL's exceptions on
        return None
    area = None if whole is None else areas_of(whole)
    return area if area is not None and not area.IsEmpty() and area.IsValid() else None


def _value(feature: Any, number: int) -> Any:
    if not feature.IsFieldSetAndNotNull(number):
        return None
    if feature.GetFieldDefnRef(number).GetType() in _NUMBERS:
        value = feature.GetField(number)
        return value if not isinstance(value, float) or math.isfinite(value) else None
    return plain_text(feature.GetFieldAsString(number)).strip() or None
