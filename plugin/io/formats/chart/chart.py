"""An ice chart as a product: its polygons decoded and, on request, its raster on a scene's grid."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone
from functools import partial

from ....ground.errors import SceneError
from ...geometry.grid import Grid
from ...geometry.vector import Polygons
from ..product import ChartPolygons, ImportOptions, Product
from .codes import NO_DATA, DecodedIce, UnknownCodes, decode_polygon, floe_name, is_interval, stage_name
from .container import VectorFile, find_vectors
from .dialects import EGG, as_sigrid
from .polygons import ChartLayer, read_layer
from .raster import ChartRaster

_TIME = re.compile(r"(?<!\d)(19[5-9]\d|20\d\d)-?(\d\d)-?(\d\d)(?:[T _]?(\d\d):?(\d\d)(?::?(\d\d))?)?(?!\d)")
_DATE_FIELDS = ("DATE_CARTE", "CHART_DATE", "CHARTDATE", "DATE", "VALID_TIME", "TIME", "T1")
# What GeoPackage keeps for itself.
_RESERVED = {"FID", "OGC_FID", "GEOM", "GEOMETRY", "SHAPE"}


def open_chart(path: str | os.PathLike, options: ImportOptions | None = None) -> Product:
    """Return an ice chart: polygons always, a raster where `options` name a scene to lay it on.

    Parameters
    ----------
    path : str or Path
        SIGRID-3 shapefile, zip or ``.imz`` of one, GeoJSON or GeoPackage, also under ``/vsi...``.
    options : ImportOptions, optional
        Its `scene` and `dominant_share` are used.

    Raises
    ------
    SceneError
        It cannot be read, has no total concentration (CT), or does not touch the scene.
    """
    options = options or ImportOptions()
    vector, layer = _read_first(find_vectors(path))
    layer.columns, notes = as_sigrid(layer.columns)
    unknown = UnknownCodes()
    ice = decode_layer(layer, options.dominant_share, unknown)
    kinds = [str(kind or "").upper() for kind in layer.column("POLY_TYPE")]
    land = [kind == "L" for kind in kinds]
    name, time = _name_and_time(vector, layer)
    intervals = sum(is_interval(code) for code in layer.column("CT"))
    missing = [code for code in EGG if code not in layer.columns]
    provenance: dict[str, object] = {
        "format": vector.format + (" in a zip" if vector.zipped else ""),
        "polygons": len(ice),
        "polygon_types": dict(sorted(Counter(kind or "none" for kind in kinds).items())),
        "mended_geometries": layer.mended,
        "geometries_as_drawn": layer.as_drawn,
        "dropped_features": dict(layer.dropped),
        "interval_concentrations": intervals,
        "without_concentration": sum(
            codes.concentration is None and not is_land for codes, is_land in zip(ice, land)
        ),
        "without_stage": sum(codes.stage is None and not is_land for codes, is_land in zip(ice, land)),
        "unknown_codes": unknown.as_json(),
        "missing_fields": missing,
        "dominant_share": options.dominant_share,
    }
    product = Product(
        kind=f"SIGRID-3 ice chart ({provenance['format']})",
        name=name,
        time=time,
        rasters={},
        polygons=ChartPolygons(tuple(layer.wkb), layer.crs, _fields(layer, ice)),
        tags={
            "chart": name,
            "chart_intervals": "midpoint",
            "chart_dominant_share": f"{options.dominant_share:g} %",
            "chart_land_value": "254",
        },
        found=provenance,
        warnings=[*_warnings(vector, layer, unknown, missing), *notes],
    )
    if options.scene:
        grid = Grid.from_file(options.scene)
        raster = ChartRaster(grid, Polygons(tuple(layer.wkb), layer.crs), ice, land)
        if raster.empty:
            raise SceneError(
                f"No polygon of the ice chart {path} lies on the scene {options.scene}. Give the chart of the "
                "same region."
            )
        product.rasters = {"chart": raster}
    else:
        product.warnings.append(
            "The chart was imported as polygons only: name a scene to have it as a raster on the scene's pixels."
        )
    return product


def _read_first(vectors: Sequence[VectorFile]) -> tuple[VectorFile, ChartLayer]:
    """Return the first of some vector files that is a chart: a zip may hold forecasts or land beside."""
    first: SceneError | None = None
    for vector in vectors:
        try:
            return vector, read_layer(vector)
        except SceneError as error:
            first = first or error
    raise first or SceneError("There is no ice chart. Name a file.")


def decode_layer(
    layer: ChartLayer, dominant_share: float = 65.0, unknown: UnknownCodes | None = None
) -> list[DecodedIce]:
    """Return what the codes of each polygon say; land has no ice and no water."""
    decode = partial(decode_polygon, dominant_share=dominant_share, unknown=unknown)
    codes = zip(*(layer.column(name) for name in EGG))
    return [
        NO_DATA if str(kind or "").upper() in ("L", "N") else decode(*row, poly_type=kind)
        for row, kind in zip(codes, layer.column("POLY_TYPE"))
    ]


def _fields(layer: ChartLayer, ice: Sequence[DecodedIce]) -> dict[str, list[object]]:
    """Return the chart's own fields and what they were decoded to, under names people read."""
    fields: dict[str, list[object]] = {
        (f"CHART_{name}" if name in _RESERVED else name): values for name, values in layer.columns.items()
    }
    decoded: dict[str, list[object]] = {
        "concentration_percent": [codes.concentration for codes in ice],
        "stage_of_development": [stage_name(codes.stage) for codes in ice],
        "floe_size": [floe_name(codes.floe) for codes in ice],
    }
    # GeoPackage takes names that differ by case for one.
    return {name: values for name, values in fields.items() if name.lower() not in decoded} | decoded


def _name_and_time(vector: VectorFile, layer: ChartLayer) -> tuple[str, datetime | None]:
    for name in vector.names:
        time = parse_time(name)
        if time is not None:
            return name, time
    for field in _DATE_FIELDS:
        for value in layer.columns.get(field, [])[:1]:
            time = parse_time(str(value))
            if time is not None:
                return vector.names[0], time
    return vector.names[0], None


def parse_time(text: str) -> datetime | None:
    """Return the first time (UTC) in a file name or field: ``20150426``, ``201504261200``, ``20150426T1200Z``."""
    for match in _TIME.finditer(text.replace("/", "-")):
        try:
            year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
            return datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
        except ValueError:
            continue
    return None


def _warnings(
    vector: VectorFile, layer: ChartLayer, unknown: UnknownCodes, missing: Sequence[str]
) -> list[str]:
    warnings = []
    if layer.mended:
        warnings.append(
            f"{layer.mended} of {len(layer.wkb)} polygons had an invalid geometry, which was mended."
        )
    if layer.as_drawn:
        warnings.append(
            f"{layer.as_drawn} of {len(layer.wkb)} polygons cross themselves too often to be mended here and stay as "
            "drawn: what lies in two loops at once is outside. QGIS's Fix geometries repairs a chart."
        )
    for reason, count in layer.dropped.items():
        warnings.append(f"Features left out for {reason}: {count}.")
    if unknown.counts:
        warnings.append(unknown.sentence())
    if missing:
        warnings.append(f"The chart has no fields {', '.join(missing)}: they count as not given.")
    if vector.others:
        others = ", ".join(vector.others[:5])
        warnings.append(
            f"Of the vector files in the zip only one was read, {vector.names[-1]}; left out: {others}."
        )
    return warnings
