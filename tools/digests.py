"""What files hold, as digests that do not hang on how it is stored.

:func:`digests` names every part of a file (a band, a tag, a column, a value of a report) and gives its digest or,
where it is short, itself. Times of writing, versions and machine paths are left out. Two files of the same digests
hold the same numbers bit by bit, whatever their compression, tiles or order of tags.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from osgeo import gdal, ogr

SHORT = 60  # characters of what is shown instead of its digest
GEOMETRY = "geometry"


def digest(values: object) -> str:
    """Return the digest of an array, with its type and shape, or of anything's text; short text as it is."""
    if isinstance(values, np.ndarray):
        head = f"{values.dtype.str}{values.shape}".encode()
        return hashlib.sha256(head + np.ascontiguousarray(values).tobytes()).hexdigest()[:16]
    text = str(values)
    return text if len(text) <= SHORT else hashlib.sha256(text.encode()).hexdigest()[:16]


def parts(path: Path) -> Iterator[tuple[str, object]]:
    """Yield the parts of a file: their names, and arrays or plain values."""
    readers = {
        ".tif": _raster,
        ".csv": _table,
        ".json": _report,
        ".npz": _arrays,
        ".gpkg": _polygons,
    }
    yield from readers.get(path.suffix, _nothing)(path)


def digests(path: Path) -> dict[str, str]:
    """Return the digest of every part of a file; none for kinds that hold words and no numbers."""
    return {name: digest(values) for name, values in parts(path)}


def _nothing(_path: Path) -> Iterator[tuple[str, object]]:
    yield from ()


def _raster(path: Path) -> Iterator[tuple[str, object]]:
    raster = gdal.OpenEx(str(path), gdal.OF_RASTER)
    yield "size", (raster.RasterYSize, raster.RasterXSize, raster.RasterCount)
    yield "transform", raster.GetGeoTransform(can_return_null=True)
    places = [(p.GCPLine, p.GCPPixel, p.GCPX, p.GCPY, p.GCPZ) for p in raster.GetGCPs()]
    yield "control points", np.array(places)
    yield "crs", raster.GetProjection() or raster.GetGCPProjection()
    for key, value in (raster.GetMetadata() or {}).items():
        if "VERSION" not in key:
            yield f"tag {key}", value
    for number in range(1, raster.RasterCount + 1):
        band = raster.GetRasterBand(number)
        name = f"band {band.GetDescription() or number}"
        yield name, band.ReadAsArray()
        yield f"{name}, unit", band.GetUnitType()
        yield f"{name}, no data", band.GetNoDataValue()
        yield f"{name}, classes", (band.GetCategoryNames() or [])
        for key, value in (band.GetMetadata() or {}).items():
            if not key.startswith("STATISTICS"):
                yield f"{name}, tag {key}", value


def _table(path: Path) -> Iterator[tuple[str, object]]:
    with path.open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    yield "rows", len(rows)
    for number, name in enumerate(head):
        yield f"column {name}", np.array([row[number] for row in rows])


def _report(path: Path) -> Iterator[tuple[str, object]]:
    yield from _leaves("", json.loads(path.read_text(encoding="utf-8")))


def _leaves(name: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if "version" not in str(key).lower():
                yield from _leaves(f"{name}/{key}", inner)
    elif isinstance(value, list) and any(isinstance(inner, (dict, list)) for inner in value):
        for number, inner in enumerate(value):
            yield from _leaves(f"{name}/{number}", inner)
    else:
        yield name, json.dumps(value)


def _arrays(path: Path) -> Iterator[tuple[str, object]]:
    with np.load(path, allow_pickle=False) as file:
        for name in file.files:
            values = file[name]
            if values.dtype.kind in "US" and values.size == 1 and str(values.item()).startswith("{"):
                yield from _leaves(name, json.loads(values.item()))
            else:
                yield name, values


def _polygons(path: Path) -> Iterator[tuple[str, object]]:
    source = ogr.Open(str(path))
    for layer in source:
        names = [field.GetName() for field in layer.schema]
        shapes, rows = [], []
        for feature in layer:
            shape = feature.GetGeometryRef()  # the feature's own: read while it is there
            shapes.append(b"" if shape is None else bytes(shape.ExportToWkb()))
            rows.append([str(feature.GetField(name)) for name in names])
        yield f"{layer.GetName()} {GEOMETRY}", np.frombuffer(b"".join(shapes), np.uint8)
        for number, name in enumerate(names):
            yield f"{layer.GetName()} field {name}", np.array([row[number] for row in rows])


def difference(one: object, other: object) -> str:
    """Return in words how far two parts are apart."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        if one.shape != other.shape:
            return f"shape {one.shape}, then {other.shape}"
        try:
            before, after = one.astype(np.float64), other.astype(np.float64)
        except ValueError:
            changed = int(np.count_nonzero(one != other))
            at = int(np.flatnonzero((one != other).ravel())[0]) if changed else 0
            return f"{changed} of {one.size} differ, first {one.ravel()[at]!r}, then {other.ravel()[at]!r}"
        known = np.isfinite(before) & np.isfinite(after)
        lost = int(np.count_nonzero(np.isfinite(before) != np.isfinite(after)))
        gap = np.abs(after - before)[known]
        size = float(np.abs(before[known]).sum())
        total = f"{gap.sum() / size:.2g} of the sum" if size else "before all zero"
        largest = float(gap.max()) if gap.size else math.nan
        number = f"{np.count_nonzero(gap)} of {one.size} differ"
        return f"{number}, at most by {largest:.3g}, {total}; known in one only: {lost}"
    return f"{str(one)[:SHORT]!r}, then {str(other)[:SHORT]!r}"
