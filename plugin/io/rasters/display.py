"""A copy of a raster for looking at: north-up in a polar stereographic map, and the outline of the image.

QGIS shows a raster that has ground control points through GDAL's polynomial of second order. It misses
them by kilometres in longitudes and latitudes. In polar stereographic coordinates it keeps within 1.5
pixels for a modelled Sentinel-1 scene, but not for every real one: where the processor follows the
height of the terrain from line to line, whole lines are shifted in range. Off Severnaya Zemlya the
points on the sea are missed by 1.8 pixels in the mean and 7 at most, in any projection (polar, oblique,
centred on the scene: 7.1 to 8.1), with a third order still by 5.5; those on mountains by up to 33. The
copy is warped through the mesh of the points instead (see :mod:`.grid`), block by block::

    write_display_copy("relevance.tif", "relevance_display.tif")
    footprint(Grid.from_file("relevance.tif"))
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...ground.errors import Cancelled, OutputError, SceneError
from ...ground.protocols import Progress, Silent
from ...ground.window import Window
from ..environment.crs import LONLAT, is_projected, parse_crs, transform
from ..environment.gdal_state import bounded_block_cache
from ..files.raster import Raster, environment, open_raster
from ..geometry.grid import Grid
from ..geometry.registration import RegisteredRaster
from ..geometry.vector import Polygons, polygon_wkb
from .writer import Band, Outputs

NORTH = "EPSG:3413"
SOUTH = "EPSG:3976"
_FARTHEST = 1.2e7  # metres from the pole on the map: the equator
_BLOCK = 512
_SIDE_VERTICES = 128
_INT16_NODATA = -32768.0


def display_crs(grid: Grid) -> str:
    """Return the CRS in which a grid is displayed: its own where that is polar stereographic and north-up."""
    if _is_native(grid):
        return grid.crs
    _, lat = grid.pixel_to_lonlat(grid.rows / 2, grid.cols / 2)
    return parse_crs(NORTH if lat >= 0 else SOUTH).to_wkt()


def display_grid(grid: Grid) -> Grid:
    """Return the grid of the display copy: around the image, with pixels as large as the image's own."""
    if _is_native(grid):
        return grid
    crs = display_crs(grid)
    x, y = _outline(grid, crs)
    size = _map_pixel(grid, crs)
    if not (np.abs([x, y]) < _FARTHEST).all():
        raise SceneError(
            "The image reaches too far from the pole for a polar stereographic map. Leave the display copy out."
        )
    left, top = math.floor(x.min() / size) * size, math.ceil(y.max() / size) * size
    cols, rows = math.ceil((x.max() - left) / size), math.ceil((top - y.min()) / size)
    return Grid(max(1, rows), max(1, cols), crs, transform=(size, 0.0, left, 0.0, -size, top))


def footprint(grid: Grid) -> Polygons:
    """Return the outline of an image in the CRS of its display copy, with dense vertices."""
    crs = display_crs(grid)
    ring = np.column_stack(_outline(grid, crs))
    # A ring goes clockwise or not as the image is mirrored or not; outer rings go counterclockwise.
    x, y = ring.T
    if (x[:-1] * y[1:] - x[1:] * y[:-1]).sum() < 0:
        ring = ring[::-1]
    return Polygons((polygon_wkb([ring]),), crs)


def write_display_copy(
    source: str | os.PathLike,
    destination: str | os.PathLike,
    progress: Progress | None = None,
    tags: Mapping[str, str] | None = None,
    outputs: Outputs | None = None,
) -> Grid:
    """Write a cloud-optimised GeoTIFF of a raster in a polar stereographic map; return its grid.

    Real numbers are interpolated bilinearly, whole ones (classes) taken from the nearest pixel.
    Memory does not depend on the number of rows.

    Parameters
    ----------
    source : str or Path
        Any georeferenced raster; it has to be complete.
    destination : str or Path
        The copy; it appears when it is complete.
    progress : Progress, optional
        Reports every strip, and may stop the work.
    tags : mapping of str, optional
        Tags beside those of the source.
    outputs : Outputs, optional
        Files to appear together with; alone where not given.

    Raises
    ------
    SceneError
        The source cannot be read or has no georeferencing.
    OutputError
        The copy cannot be written, or would replace its source.
    Cancelled
        The user asked to stop.
    """
    progress = progress or Silent()
    if Path(destination).exists() and Path(source).exists() and Path(source).samefile(destination):
        raise OutputError(f"{destination} is the raster itself. Give the display copy another name.")
    with contextlib.ExitStack() as stack:
        raster = stack.enter_context(open_raster(source))
        stack.enter_context(bounded_block_cache())
        files = stack.enter_context(Outputs(progress)) if outputs is None else outputs
        kind = _kind_of(raster)
        own = Grid.from_raster(raster)
        grid = display_grid(own)
        reader = _Geographic if own.transform is not None and not is_projected(own.crs) else RegisteredRaster
        warped = reader(raster, grid, "bilinear" if kind.interpolated else "nearest")
        copy = files.raster(
            destination,
            grid,
            _bands_of(raster),
            dtype=kind.dtype,
            nodata=kind.nodata,
            tags={
                **raster.tags,
                "display_copy": "bilinear" if kind.interpolated else "nearest",
                **(tags or {}),
            },
            colours=_colours_of(raster) if kind.dtype == "uint8" else None,
            overviews="average" if kind.interpolated else "nearest",
        )
        bands = list(raster.measured)
        for strip in grid.window.split(_BLOCK, grid.cols):
            values = np.empty((len(bands), strip.rows, strip.cols), dtype=kind.dtype)
            for block in strip.split(_BLOCK, _BLOCK):
                # Often: reading through a network file system is slow.
                if progress.cancelled():
                    raise Cancelled("Stopped; no display copy was written.")
                part = warped.read(bands, block)
                if not math.isnan(kind.nodata):
                    part = np.where(np.isfinite(part), part, np.float32(kind.nodata))
                values[(slice(None), *block.slices(strip))] = part
            copy.write(values)
            progress.report(strip.row_stop / grid.rows, "Display copy")
    return grid


@dataclass(frozen=True)
class _Kind:
    """How the values of a raster are copied."""

    dtype: str
    nodata: float
    interpolated: bool


def _kind_of(raster: Raster) -> _Kind:
    types = {raster.dataset.dtypes[number - 1] for number in raster.measured}
    nodata = raster.dataset.nodatavals[raster.measured[0] - 1]
    scaled = any(pair != (1.0, 0.0) for pair in zip(raster.dataset.scales, raster.dataset.offsets))
    if not scaled and types == {"uint8"}:
        if nodata is not None and 0 <= nodata <= 255 and nodata == int(nodata):
            return _Kind("uint8", float(nodata), False)
        # Every one of the 256 values may be a class: outside needs another.
        return _Kind("int16", _INT16_NODATA, False)
    if not scaled and types <= {"int8", "int16"}:
        return _Kind("int16", _INT16_NODATA if nodata is None else float(nodata), False)
    return _Kind("float32", math.nan, scaled or all(np.dtype(kind).kind == "f" for kind in types))


def _bands_of(raster: Raster) -> list[Band]:
    with environment():
        return [
            Band(
                raster.names[number - 1],
                raster.dataset.units[number - 1] or "",
                {k: v for k, v in raster.dataset.tags(number).items() if not k.startswith("STATISTICS_")},
            )
            for number in raster.measured
        ]


def _colours_of(raster: Raster) -> dict[int, tuple[int, int, int]] | None:
    if len(raster.measured) != 1:
        return None
    try:
        with environment():
            table = raster.dataset.colormap(raster.measured[0])
    except ValueError:
        return None
    return {value: colour[:3] for value, colour in table.items()}


class _Geographic(RegisteredRaster):
    """A raster in longitudes and latitudes: at a pole and at its seam nothing lies between two places."""

    def places(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Return pixel coordinates (row, col) in the raster of every pixel's centre, each by itself."""
        row, col = np.meshgrid(
            np.arange(window.row, window.row_stop) + 0.5,
            np.arange(window.col, window.col_stop) + 0.5,
            indexing="ij",
        )
        return self.grid.pixels_in(self.own, row, col)


def _is_native(grid: Grid) -> bool:
    if grid.transform is None or grid.transform[1] or grid.transform[3] or not is_projected(grid.crs):
        return False
    operation = parse_crs(grid.crs).coordinate_operation
    return operation is not None and "polar stereographic" in operation.method_name.lower()


def _outline(grid: Grid, crs: str) -> tuple[np.ndarray, np.ndarray]:
    """Return map coordinates (x, y) in `crs` of a closed ring of points along the edge of the image."""
    rows, cols = (np.linspace(0, size, _SIDE_VERTICES + 1) for size in (grid.rows, grid.cols))
    if grid.gcps is not None:
        # Where the mesh bends, the outline does.
        rows = _joined(rows, [g.row for g in grid.gcps])
        cols = _joined(cols, [g.col for g in grid.gcps])
    row = np.concatenate(
        [np.zeros(len(cols)), rows[1:], np.full(len(cols) - 1, rows[-1]), rows[-2::-1]],
    )
    col = np.concatenate(
        [cols, np.full(len(rows) - 1, cols[-1]), cols[-2::-1], np.zeros(len(rows) - 1)],
    )
    if crs == grid.crs:
        return grid.pixel_to_map(row, col)
    return transform(LONLAT, crs, *grid.pixel_to_lonlat(row, col))


def _joined(even: np.ndarray, points: list[float]) -> np.ndarray:
    inside = [point for point in set(points) if 0 < point < even[-1]]
    return np.union1d(even, inside) if len(inside) <= 1000 else even


def _map_pixel(grid: Grid, crs: str) -> float:
    """Return the size of a pixel in the middle of the image on the map, in metres, to three digits."""
    row, col = grid.rows / 2, grid.cols / 2
    down, right = max(1.0, grid.rows / 10), max(1.0, grid.cols / 10)
    lon, lat = grid.pixel_to_lonlat(
        np.array([row - down / 2, row + down / 2, row, row]),
        np.array([col, col, col - right / 2, col + right / 2]),
    )
    x, y = transform(LONLAT, crs, lon, lat)
    size = 0.5 * (math.hypot(x[1] - x[0], y[1] - y[0]) / down + math.hypot(x[3] - x[2], y[3] - y[2]) / right)
    return float(f"{size:.3g}")
