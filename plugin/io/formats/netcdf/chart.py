"""The ice chart in a NetCDF scene: the table of polygon codes, what it means, and the polygons themselves.

The chart is an image of polygon numbers, and lines of text such as
``29;92;30;95;05;70;93;08;-9;-9;-9;-9;-9;08-9;I`` under a header that names the fields.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from osgeo import gdal, ogr

from ....ground.errors import Cancelled, SceneError
from ....ground.window import Window
from ...environment.gdal_state import quiet_gdal
from ...geometry.grid import Grid
from ...transaction.scratch import scratch_folder
from ..cf.container import Variable
from ..chart.codes import DecodedIce, UnknownCodes, decode_polygon, floe_name, stage_name
from ..product import ChartPolygons
from .layers import strip_rows

FIELDS = ("CT", "CA", "SA", "FA", "CB", "SB", "FB", "CC", "SC", "FC", "CN", "CD", "CF", "POLY_TYPE")
_EGG = FIELDS[:10]
_NO_DATA = 255
_LONGEST_EDGE = 16  # pixels between two vertices of a polygon


@dataclass(frozen=True)
class ChartTable:
    """The codes of the polygons of a chart.

    Parameters
    ----------
    codes : dict
        Polygon number → its codes by field.
    decoded : dict
        Polygon number → what they mean.
    unknown : UnknownCodes
        Codes that are in no table.
    broken : int
        Lines that are no codes of a polygon.
    """

    codes: dict[int, dict[str, str]]
    decoded: dict[int, DecodedIce]
    unknown: UnknownCodes
    broken: int

    def tables(self) -> list[dict[int, int]]:
        """Return what polygon numbers mean in each of the three bands; 255 is no data."""
        return [
            {number: _NO_DATA if value is None else round(value) for number, value in column.items()}
            for column in (
                {number: ice.concentration for number, ice in self.decoded.items()},
                {number: ice.stage for number, ice in self.decoded.items()},
                {number: ice.floe for number, ice in self.decoded.items()},
            )
        ]


def parse_codes(lines: Sequence[str], dominant_share: float, path: str) -> ChartTable:
    """Return the table of polygon codes.

    Parameters
    ----------
    lines : sequence of str
        The header and one line a polygon.
    dominant_share : float
        Share of the total concentration, in %, that a stage or floe size has to reach.
    path : str
        For messages.

    Raises
    ------
    SceneError
        The header does not name the total concentration.
    """
    names = [name.strip().upper() for name in lines[0].split(";")] if lines else []
    if not names or names[0] not in ("POLY_ID", "ID") or "CT" not in names:
        raise SceneError(
            f"The chart's codes in {path} begin with '{(lines[0] if lines else '')[:60]}' where 'poly_id;CT;…' "
            "is expected: there is no total concentration (CT). The file is damaged, or of a version that is "
            "not known."
        )
    codes: dict[int, dict[str, str]] = {}
    broken = 0
    for line in lines[1:]:
        values = [value.strip() for value in line.split(";")]
        try:
            number = int(values[0])
        except ValueError:
            broken += 1
            continue
        if len(values) < names.index("CT") + 1 or abs(number) > 2**31 - 1:
            broken += 1
            continue
        codes[number] = dict(zip(names[1:], values[1:]))
    unknown = UnknownCodes()
    decoded = {
        number: decode_polygon(
            **{name.lower(): row.get(name, "-9") for name in _EGG},
            dominant_share=dominant_share,
            poly_type=row.get("POLY_TYPE", ""),
            unknown=unknown,
        )
        for number, row in codes.items()
    }
    return ChartTable(codes, decoded, unknown, broken)


def polygonise(
    variable: Variable, table: ChartTable, grid: Grid, go_on: Callable[[float], bool] | None = None
) -> tuple[ChartPolygons, dict[str, int]]:
    """Return the polygons of an image of polygon numbers, with all their codes.

    Parameters
    ----------
    variable : Variable
        (row, column) polygon numbers.
    table : ChartTable
        Their codes; pixels of other numbers belong to no polygon.
    grid : Grid
        Geometry of the pixels; vertices are put into its CRS.
    go_on : callable, optional
        Takes the share that is done; returns False to stop.

    Returns
    -------
    tuple
        The polygons, and how many had to be mended.

    Raises
    ------
    SceneError
        The chart is damaged.
    Cancelled
        It was asked to stop.
    """
    go_on = go_on or (lambda _share: True)
    numbers = sorted(table.codes)
    with scratch_folder() as folder:
        places = str(folder / "chart.tif")
        _write_places(places, variable, np.array(numbers), grid, go_on)
        parts = _outlines(places, len(numbers), go_on)
    wkb, kept, mended = [], [], 0
    for number, geometries in zip(numbers, parts):
        if not geometries:
            continue
        shape, repaired = _on_map(geometries, grid)
        mended += repaired
        wkb.append(shape)
        kept.append(number)
    fields: dict[str, list[object]] = {"poly_id": list(kept)}
    for name in FIELDS:
        fields[name] = [table.codes[number].get(name, "") for number in kept]
    decoded = [table.decoded[number] for number in kept]
    fields["concentration_percent"] = [ice.concentration for ice in decoded]
    fields["stage_of_development"] = [stage_name(ice.stage) for ice in decoded]
    fields["floe_size"] = [floe_name(ice.floe) for ice in decoded]
    return ChartPolygons(tuple(wkb), grid.crs, fields), {"polygons": len(kept), "mended": mended}


def _write_places(
    path: str, variable: Variable, numbers: np.ndarray, grid: Grid, go_on: Callable[[float], bool]
) -> None:
    """Write which polygon (from 1, in order) each pixel belongs to, 0 for none: a small working file."""
    with quiet_gdal():
        options = ["COMPRESS=DEFLATE", "ZLEVEL=1", "TILED=NO"]
        dataset = gdal.GetDriverByName("GTiff").Create(path, grid.cols, grid.rows, 1, gdal.GDT_Int32, options)
        if dataset is None:
            raise SceneError(f"No working file can be made in {Path(path).parent}: make room there.")
    step = strip_rows(grid, 1, variable.block_rows)
    for row in range(0, grid.rows, step):
        if not go_on(0.6 * row / grid.rows):
            raise _stopped()
        values = variable.read(Window(row, 0, min(step, grid.rows - row), grid.cols))
        places_of = np.zeros(values.shape, dtype=np.int32)
        if len(numbers):
            places = np.clip(np.searchsorted(numbers, values), 0, len(numbers) - 1)
            places_of = np.where(numbers[places] == values, places + 1, 0).astype(np.int32)
        with quiet_gdal():
            dataset.GetRasterBand(1).WriteArray(places_of, 0, row)
    with quiet_gdal():
        dataset = None  # closes the file


def _outlines(path: str, count: int, go_on: Callable[[float], bool]) -> list[list[ogr.Geometry]]:
    """Return the outlines of each place in pixel coordinates (x = column, y = row)."""
    parts: list[list[ogr.Geometry]] = [[] for _ in range(count)]
    errors: list[str] = []
    with quiet_gdal(errors):
        dataset = gdal.Open(path)
        band = dataset.GetRasterBand(1)
        memory = ogr.GetDriverByName("Memory").CreateDataSource("outlines")
        layer = memory.CreateLayer("outlines", None, ogr.wkbPolygon)
        layer.CreateField(ogr.FieldDefn("place", ogr.OFTInteger))
        # The raster is its own mask: pixels of 0 belong to no polygon.
        done = gdal.Polygonize(
            band, band, layer, 0, [], callback=lambda share, *_: 1 if go_on(0.6 + 0.3 * share) else 0
        )
        if done != 0:
            layer = memory = band = dataset = None
            raise _stopped()
        for feature in layer:
            place = feature.GetField(0)
            if 1 <= place <= count:
                parts[place - 1].append(feature.GetGeometryRef().Clone())
        layer = memory = band = dataset = None
    return parts


def _stopped() -> Cancelled:
    return Cancelled("Stopped before the end: no result was written.")


def _on_map(geometries: Sequence[ogr.Geometry], grid: Grid) -> tuple[bytes, int]:
    """Return polygons in pixel coordinates as one multipolygon on the map, and whether it was mended."""
    collection = ogr.Geometry(ogr.wkbMultiPolygon)
    with quiet_gdal():
        for geometry in geometries:
            # Pixel edges are straight on the image, not on the map.
            geometry.Segmentize(_LONGEST_EDGE)
            polygon = ogr.Geometry(ogr.wkbPolygon)
            for number in range(geometry.GetGeometryCount()):
                vertices = np.array(geometry.GetGeometryRef(number).GetPoints())[:, :2]
                x, y = grid.pixel_to_map(vertices[:, 1], vertices[:, 0])
                ring = ogr.Geometry(ogr.wkbLinearRing)
                for point in zip(x.tolist(), y.tolist()):
                    ring.AddPoint_2D(*point)
                polygon.AddGeometry(ring)
            collection.AddGeometry(polygon)
        if collection.IsValid():
            return bytes(collection.ExportToWkb(ogr.wkbNDR)), 0
        mended = ogr.ForceToMultiPolygon(collection.MakeValid())
        return bytes(mended.ExportToWkb(ogr.wkbNDR)), 1
