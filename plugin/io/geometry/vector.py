"""Polygons as plain values, and GeoPackages of them.

A :class:`Polygons` travels between QGIS, jobs and files: well-known binary with a CRS, nothing else.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from osgeo import gdal, ogr, osr

from ...ground.errors import OutputError, SceneError
from ..environment.crs import parse_crs
from ..environment.gdal_state import offline_gdal, quiet_gdal
from ..files.drivers import NAMED_VECTORS
from ..files.opening import vector_drivers
from ..transaction.outputs import atomic_path
from ..transaction.temporary import final_name

_EPOCH = "1970-01-01T00:00:00.000Z"


@dataclass(frozen=True)
class Polygons:
    """Polygons (or points) in one CRS.

    Parameters
    ----------
    wkb : tuple of bytes
        Geometries as well-known binary, x or longitude first.
    crs : str
        Coordinate reference system as WKT or ``EPSG:code``.
    names : tuple of str
        One name a geometry, or none at all.
    """

    wkb: tuple[bytes, ...]
    crs: str
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "wkb", tuple(bytes(w) for w in self.wkb))
        object.__setattr__(self, "names", tuple(self.names))
        if self.names and len(self.names) != len(self.wkb):
            raise ValueError(f"{len(self.wkb)} polygons cannot have {len(self.names)} names")
        if not self.crs:
            raise ValueError("polygons need a coordinate reference system")

    @classmethod
    def rectangle(cls, left: float, bottom: float, right: float, top: float, crs: str) -> Polygons:
        """Return one upright rectangle."""
        ring = np.array([(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)])
        return cls((polygon_wkb([ring]),), crs)

    @classmethod
    def point(cls, lon: float, lat: float) -> Polygons:
        """Return one point in WGS 84 longitude and latitude, degrees."""
        point = np.array([1], "u1").tobytes() + np.array([1], "<u4").tobytes()
        return cls((point + np.array([lon, lat], "<f8").tobytes(),), "EPSG:4326")

    def grouped(self) -> Polygons:
        """Return these with all polygons of one name made one geometry, in the order of their first ones."""
        together: dict[str, list[bytes]] = {}
        for name, wkb in zip(self.names, self.wkb):
            together.setdefault(name, []).append(wkb)
        if len(together) == len(self.names):
            return self
        merged = [
            polygons[0] if len(polygons) == 1 else _multipolygon_wkb(polygons)
            for polygons in together.values()
        ]
        return Polygons(tuple(merged), self.crs, tuple(together))


def _multipolygon_wkb(geometries: Sequence[bytes]) -> bytes:
    """Return the well-known binary of all polygons in several geometries."""
    parts = [polygon_wkb(rings) for geometry in geometries for rings in parts_of(geometry)[0] if rings]
    return b"\x01" + np.array([6, len(parts)], "<u4").tobytes() + b"".join(parts)


def polygon_wkb(rings: Sequence[np.ndarray]) -> bytes:
    """Return the well-known binary of a polygon.

    Parameters
    ----------
    rings : sequence of numpy.ndarray
        (vertex, x y), float64, closed; the outer one first.
    """
    parts = [b"\x01", np.array([3, len(rings)], "<u4").tobytes()]
    for ring in rings:
        parts += [np.array([len(ring)], "<u4").tobytes(), np.ascontiguousarray(ring, "<f8").tobytes()]
    return b"".join(parts)


def geometry_from_wkb(wkb: bytes) -> ogr.Geometry | None:
    """Return the geometry of well-known binary; None where it cannot be read."""
    try:
        return ogr.CreateGeometryFromWkb(bytes(wkb))
    except RuntimeError:  # where somebody has switched GDAL's exceptions on
        return None


def parts_of(wkb: bytes) -> tuple[list[list[np.ndarray]], list[tuple[float, float]]]:
    """Return the polygons in a geometry, each a list of rings (vertex, x y), and its points (x, y).

    Raises
    ------
    SceneError
        The bytes are no geometry, or hold lines.
    """
    with quiet_gdal():
        geometry = geometry_from_wkb(wkb)
        if geometry is None:
            raise SceneError("A polygon is damaged: its well-known binary cannot be read. Repair the layer.")
        geometry = geometry.GetLinearGeometry()
        geometry.FlattenTo2D()
        plain = bytes(geometry.ExportToWkb(ogr.wkbNDR))
    polygons: list[list[np.ndarray]] = []
    points: list[tuple[float, float]] = []
    _parse(plain, 0, polygons, points)
    return polygons, points


def _parse(data: bytes, at: int, polygons: list, points: list) -> int:
    """Take in the little-endian geometry that begins at byte `at`; return where it ends."""
    kind = int(np.frombuffer(data, "<u4", 1, at + 1)[0]) & 0xFF
    at += 5
    if kind == 1:
        x, y = np.frombuffer(data, "<f8", 2, at)
        if np.isfinite([x, y]).all():
            points.append((float(x), float(y)))
        return at + 16
    count = int(np.frombuffer(data, "<u4", 1, at)[0])
    at += 4
    if kind == 3:
        rings = []
        for _ in range(count):
            vertices = int(np.frombuffer(data, "<u4", 1, at)[0])
            rings.append(np.frombuffer(data, "<f8", 2 * vertices, at + 4).reshape(-1, 2))
            at += 4 + 16 * vertices
        if rings:
            polygons.append([ring for ring in rings if len(ring) > 3])
        return at
    if kind in (4, 6, 7):
        for _ in range(count):
            at = _parse(data, at, polygons, points)
        return at
    raise SceneError("A layer of lines was given where polygons are needed. Give a polygon layer.")


def write_polygons(
    path: str | os.PathLike,
    polygons: Sequence[bytes],
    crs: str,
    fields: Mapping[str, Sequence[object]],
    layer: str = "zones",
) -> None:
    """Write a GeoPackage that appears when it is complete; the same values give the same bytes.

    Parameters
    ----------
    path : str or Path
        Where; the name ends in ``.gpkg``.
    polygons : sequence of bytes
        Well-known binary.
    crs : str
        Their CRS.
    fields : mapping
        One column a field, one value a polygon: numbers or text; None and NaN stay empty.
    layer : str
        Name of the layer.

    Raises
    ------
    OutputError
        It cannot be written there.
    """
    if Path(path).suffix.lower() != ".gpkg":
        raise OutputError(f"{path}: polygons are written as GeoPackage. Give a name that ends in .gpkg.")
    for name, values in fields.items():
        if len(values) != len(polygons):
            raise ValueError(f"field '{name}' has {len(values)} values for {len(polygons)} polygons")
    with atomic_path(path) as temporary:
        errors: list[str] = []
        with quiet_gdal(errors, OGR_CURRENT_DATE=_EPOCH, OSR_USE_NON_DEPRECATED="NO"):
            try:
                _write_layer(str(temporary), polygons, crs, fields, layer)
            except RuntimeError as error:
                errors.append(str(error))
        if errors:
            raise OutputError(
                f"{final_name(path)} could not be written ({errors[0]}). Check that the disk has room; "
                "no file was left there."
            )


def _write_layer(
    path: str, polygons: Sequence[bytes], crs: str, fields: Mapping[str, Sequence[object]], name: str
) -> None:
    system = osr.SpatialReference()
    if system.ImportFromWkt(_gdal_wkt(crs)) != 0:
        raise RuntimeError(f"the CRS {crs[:60]} is not known to GDAL")
    system.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    dataset = gdal.GetDriverByName("GPKG").Create(path, 0, 0, 0, gdal.GDT_Unknown)
    if dataset is None:
        raise RuntimeError(gdal.GetLastErrorMsg() or "the file cannot be made")
    layer = dataset.CreateLayer(name, system, ogr.wkbMultiPolygon)
    if layer is None:
        raise RuntimeError(gdal.GetLastErrorMsg() or "the layer cannot be made")
    for field, values in fields.items():
        layer.CreateField(ogr.FieldDefn(field, _field_type(values)))
    dataset.StartTransaction()
    for number, wkb in enumerate(polygons):
        feature = ogr.Feature(layer.GetLayerDefn())
        feature.SetGeometryDirectly(ogr.ForceToMultiPolygon(ogr.CreateGeometryFromWkb(bytes(wkb))))
        for column, values in enumerate(fields.values()):
            value = _plain(values[number])
            if value is not None:
                feature.SetField(column, value)
        layer.CreateFeature(feature)
        feature = None
    dataset.CommitTransaction()
    layer = None
    dataset = None  # closes the file


def _gdal_wkt(crs: str) -> str:
    return crs if "[" in crs else parse_crs(crs).to_wkt()


def _plain(value: object) -> object:
    """Return a plain Python value, None where there is none."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if value is None or (isinstance(value, float) and not math.isfinite(value)) else value


def _field_type(values: Sequence[object]) -> int:
    kinds = {type(_plain(value)) for value in values} - {type(None)}
    # A column of NaN alone still is one of numbers.
    if not kinds:
        return ogr.OFTReal if any(value is not None for value in values) else ogr.OFTString
    if kinds <= {int, bool} and not any(isinstance(value, (float, np.floating)) for value in values):
        return ogr.OFTInteger64
    return ogr.OFTReal if kinds <= {int, bool, float} else ogr.OFTString


def read_polygons(path: str | os.PathLike, layer: str = "", name_field: str = "") -> Polygons:
    """Return the polygons of a vector file.

    Parameters
    ----------
    path : str or Path
        A vector file of a format that is read (see :mod:`.drivers`).
    layer : str
        Name of a layer; the first where empty.
    name_field : str
        Field that holds the names; numbers from 1 where empty.

    Raises
    ------
    SceneError
        The file, layer or field is missing, or there is no CRS.
    """
    if not Path(path).exists():
        raise SceneError(f"There is no file {path}. Check the path.")
    drivers = vector_drivers(str(path))
    with quiet_gdal(OSR_USE_NON_DEPRECATED="NO"), offline_gdal():
        try:
            return _read_layer(str(path), layer, name_field, drivers)
        except RuntimeError as error:
            raise SceneError(f"{path} cannot be read as a vector file ({error}).") from error


def _read_layer(path: str, name: str, name_field: str, drivers: list[str]) -> Polygons:
    dataset = gdal.OpenEx(path, gdal.OF_VECTOR | gdal.OF_READONLY, allowed_drivers=drivers)
    if dataset is None:
        raise SceneError(
            f"{path} cannot be read as a vector file. It may be damaged, or in a format that is not read here. "
            f"Read are: {NAMED_VECTORS}."
        )
    layer = dataset.GetLayerByName(name) if name else dataset.GetLayer(0)
    if layer is None:
        known = ", ".join(dataset.GetLayer(i).GetName() for i in range(dataset.GetLayerCount()))
        raise SceneError(f"{path} has no layer '{name}' (layers: {known or 'none'}).")
    system = layer.GetSpatialRef()
    if system is None:
        raise SceneError(f"{path} has no coordinate reference system. Assign one.")
    definition = layer.GetLayerDefn()
    if name_field and definition.GetFieldIndex(name_field) < 0:
        fields = ", ".join(definition.GetFieldDefn(i).GetName() for i in range(definition.GetFieldCount()))
        raise SceneError(f"{path} has no field '{name_field}' (fields: {fields}).")
    wkb, names = [], []
    for number, feature in enumerate(layer, start=1):
        geometry = feature.GetGeometryRef()
        if geometry is None or geometry.IsEmpty():
            continue
        wkb.append(bytes(geometry.ExportToWkb(ogr.wkbNDR)))
        names.append(str(feature.GetField(name_field)) if name_field else str(number))
    text = system.ExportToWkt()
    layer = None
    dataset = None
    return Polygons(tuple(wkb), text, tuple(names))
