"""Small SIGRID-3 charts in every format, written with GDAL alone."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyproj
from osgeo import gdal, ogr, osr

FIELDS = ("CT", "CA", "SA", "FA", "CB", "SB", "FB", "CC", "SC", "FC", "CN", "CD", "CF", "POLY_TYPE")

# One box of the chart each, from the south-west corner eastwards: the codes that differ from "-9".
BOXES: tuple[dict[str, str], ...] = (
    {"POLY_TYPE": "W"},  # open water
    {"CT": "92", "SA": "86", "FA": "8"},  # fast ice: first-year, no floes
    {"CT": "35", "SA": "87", "FA": "3"},  # 3 to 5 tenths of thin first-year ice, small floes
    {"CT": "90", "CA": "70", "SA": "95", "FA": "6", "CB": "20", "SB": "83", "FB": "04"},  # old, vast
    {"CT": "80", "CA": "40", "SA": "84", "FA": "5", "CB": "40", "SB": "91", "FB": "5"},  # no dominant stage
    {"CT": "01", "POLY_TYPE": "I"},  # open water by its concentration
    {"CT": "81", "SA": "82", "FA": "2"},  # 8 to 10 tenths of nilas, cakes
    {"POLY_TYPE": "L"},
    {"CT": "99", "POLY_TYPE": "N"},
    {"CT": "97", "SA": "95", "FA": "5"},  # a concentration that no table knows
    {"CT": "60", "SA": "77", "FA": "33"},  # a stage and a form that no table knows
    {"CT": "91", "SA": "85", "FA": "10"},  # bergs
)

# What each box is on a raster: concentration, stage of development, floe size.
EXPECTED: tuple[tuple[int, int, int], ...] = (
    (0, 0, 0), (100, 4, 255), (40, 3, 2), (90, 5, 5), (80, 255, 4), (0, 0, 0),
    (90, 1, 1), (254, 254, 254), (255, 255, 255), (255, 255, 255), (60, 255, 255), (95, 2, 6),
)  # fmt: skip
COLUMNS = 4


def box_corners(
    place: tuple[float, float] = (15.0, 78.0), width: float = 1.0, height: float = 0.25
) -> list[tuple[float, float, float, float]]:
    """Return (west, south, east, north) of each box, four in a row, centred on `place`."""
    rows = -(-len(BOXES) // COLUMNS)
    west, south = place[0] - COLUMNS * width / 2, place[1] - rows * height / 2
    return [
        (
            west + number % COLUMNS * width,
            south + number // COLUMNS * height,
            west + (number % COLUMNS + 1) * width,
            south + (number // COLUMNS + 1) * height,
        )
        for number in range(len(BOXES))
    ]


def box_rings(
    place: tuple[float, float] = (15.0, 78.0), width: float = 1.0, height: float = 0.25, vertices: int = 20
) -> list[np.ndarray]:
    """Return each box as a ring of longitudes and latitudes (vertex, 2), closed, dense along the parallels."""
    rings = []
    for west, south, east, north in box_corners(place, width, height):
        lon = np.linspace(west, east, vertices)
        ring = [*((x, south) for x in lon), *((x, north) for x in lon[::-1]), (west, south)]
        rings.append(np.array(ring))
    return rings


def polygon(*rings: Sequence[tuple[float, float]]) -> ogr.Geometry:
    """Return a polygon of closed rings."""
    shape = ogr.Geometry(ogr.wkbPolygon)
    for ring in rings:
        line = ogr.Geometry(ogr.wkbLinearRing)
        for x, y in ring:
            line.AddPoint_2D(float(x), float(y))
        shape.AddGeometry(line)
    return shape


def write_chart(
    path: Path,
    rows: Sequence[Mapping[str, object]] = BOXES,
    shapes: Sequence[ogr.Geometry] | None = None,
    fields: Sequence[str] = FIELDS,
    epsg: int | None = 4326,
    driver: str = "ESRI Shapefile",
) -> Path:
    """Write a chart: one row of codes and one geometry a polygon; codes not given are "-9".

    Without `shapes` they are the boxes of :func:`box_rings`. A row that names its POLY_TYPE not is ice.
    """
    shapes = [polygon(ring) for ring in box_rings()] if shapes is None else shapes
    system = None
    if epsg is not None:
        system = osr.SpatialReference()
        # By its meaning: GDAL reads the codes 3411 and 3412 as other systems.
        system.ImportFromWkt(pyproj.CRS.from_epsg(epsg).to_wkt("WKT1_GDAL"))
        system.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    dataset = ogr.GetDriverByName(driver).CreateDataSource(str(path))
    layer = dataset.CreateLayer(
        path.stem, system, ogr.wkbUnknown if driver != "ESRI Shapefile" else shapes[0].GetGeometryType()
    )
    for name in fields:
        definition = ogr.FieldDefn(name, ogr.OFTString)
        definition.SetWidth(20)
        layer.CreateField(definition)
    for row, shape in zip(rows, shapes):
        feature = ogr.Feature(layer.GetLayerDefn())
        values = {**dict.fromkeys(FIELDS, "-9"), "POLY_TYPE": "I", **{k.upper(): v for k, v in row.items()}}
        for name in fields:
            if values.get(name.upper()) is not None:
                feature.SetField(name, values[name.upper()])
        feature.SetGeometry(shape)
        layer.CreateFeature(feature)
        feature = None
    layer = None
    dataset = None
    return path


def write_zip(path: Path, shapefile: Path, folder: str = "") -> Path:
    """Zip a shapefile and what lies beside it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in sorted(shapefile.parent.glob(f"{shapefile.stem}.*")):
            if part.suffix in (".shp", ".shx", ".dbf", ".prj", ".cpg"):
                archive.write(part, folder + part.name)
    return path


def write_scene(path: Path, rows: int = 60, cols: int = 80) -> Path:
    """Write a raster in EPSG:3413 that the boxes about (15, 78) cover in the middle."""
    raster = gdal.GetDriverByName("GTiff").Create(str(path), cols, rows, 1, gdal.GDT_Byte)
    system = osr.SpatialReference()
    system.ImportFromEPSG(3413)
    raster.SetProjection(system.ExportToWkt())
    # 15 degrees east, 78 north is (1130, -650) km here.
    raster.SetGeoTransform((1_130_000 - cols * 1000.0, 2000.0, 0.0, -653_000 + rows * 1000.0, 0.0, -2000.0))
    raster = None
    return path
