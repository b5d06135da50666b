"""Grids, rasters and cards for the tests of `io`, made from their definitions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyproj
import rasterio
from floelens.plugin.io.geometry.grid import Grid, GroundControlPoint
from floelens.plugin.networks.card import Architecture, Channel, Component, Head, HeadClass, ModelCard
from rasterio.control import GroundControlPoint as RasterioPoint
from rasterio.transform import Affine

UTM33 = pyproj.CRS("EPSG:32633").to_wkt()
NORTH = pyproj.CRS("EPSG:3413").to_wkt()
LONLAT = pyproj.CRS("EPSG:4326").to_wkt()
LOCAL = pyproj.CRS("+proj=stere +lat_0=84.17 +lon_0=-37.93 +datum=WGS84 +units=m").to_wkt()

# Where a scene may lie: an ordinary place, both poles, the antimeridian, and both at once.
PLACES = {
    "svalbard": (15.0, 78.0),
    "north pole": (30.0, 89.9),
    "south pole": (-120.0, -89.95),
    "antimeridian": (179.9, 71.0),
    "antimeridian near the pole": (-179.99, 88.0),
}


def open_to_change(path) -> rasterio.DatasetReader:
    """Open a raster to change it in place, where GDAL would rather keep its layout for the cloud."""
    return rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES")


def exact_place(
    lon: float, lat: float, rows: int, cols: int, size: float, heading: float, mirrored: bool = False
):
    """Return pixel → lon/lat and its inverse of a turned image in a stereographic plane about its centre."""
    plane = pyproj.Proj(f"+proj=stere +lat_0={lat} +lon_0={lon} +ellps=WGS84 +units=m")
    turn = np.radians(heading)
    flip = -1.0 if mirrored else 1.0

    def forward(row, col):
        across, down = flip * (np.asarray(col) - cols / 2) * size, -(np.asarray(row) - rows / 2) * size
        return plane(
            across * np.cos(turn) + down * np.sin(turn),
            -across * np.sin(turn) + down * np.cos(turn),
            inverse=True,
        )

    def inverse(longitude, latitude):
        x, y = plane(longitude, latitude)
        across, down = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
        return rows / 2 - down / size, cols / 2 + flip * across / size

    return forward, inverse


def gcp_grid(
    place: tuple[float, float] = (15.0, 78.0),
    rows: int = 400,
    cols: int = 500,
    size: float = 80.0,
    heading: float = 193.0,
    mirrored: bool = False,
    crs: str = LONLAT,
    at_rows: Sequence[float] | None = None,
    at_cols: Sequence[float] | None = None,
    scattered: Sequence[tuple[float, float]] = (),
) -> Grid:
    """Return a grid known by a lattice of ground control points, and by scattered ones where given."""
    forward, _ = exact_place(*place, rows, cols, size, heading, mirrored)
    row, col = np.meshgrid(
        np.linspace(0, rows, 6) if at_rows is None else at_rows,
        np.linspace(0, cols, 7) if at_cols is None else at_cols,
        indexing="ij",
    )
    row = np.append(row.ravel(), [r for r, _ in scattered])
    col = np.append(col.ravel(), [c for _, c in scattered])
    lon, lat = forward(row, col)
    x, y = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    points = tuple(GroundControlPoint(*map(float, values)) for values in zip(row, col, x, y))
    return Grid(rows, cols, crs, gcps=points)


def affine_grid(
    rows: int = 60, cols: int = 80, size: float = 80.0, turn: float = 0.0, crs: str = UTM33
) -> Grid:
    """Return a grid with a transform, turned by `turn` degrees."""
    transform = Affine.translation(500_000, 8_700_000) * Affine.rotation(turn) * Affine.scale(size, -size)
    return Grid(rows, cols, crs, transform=tuple(transform)[:6])


def write_raster(
    path: Path,
    values: np.ndarray,
    grid: Grid | None,
    names: Sequence[str] = (),
    nodata: float | None = None,
    tags: dict[str, str] | None = None,
    **options: object,
) -> str:
    """Write (band, row, column) with rasterio alone; return the path as text."""
    values = np.atleast_3d(values) if values.ndim == 3 else values[None]
    geometry: dict[str, object] = {}
    with rasterio.Env(OSR_USE_NON_DEPRECATED="NO"):
        if grid is not None:
            geometry["crs"] = rasterio.crs.CRS.from_wkt(grid.crs)
            if grid.transform is not None:
                geometry["transform"] = Affine(*grid.transform)
            else:
                geometry["gcps"] = [RasterioPoint(g.row, g.col, g.x, g.y, g.z) for g in grid.gcps]
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            height=values.shape[1],
            width=values.shape[2],
            count=len(values),
            dtype=values.dtype,
            nodata=nodata,
            **geometry,
            **options,
        ) as out:
            out.write(values)
            for number, name in enumerate(names, start=1):
                out.set_band_description(number, name)
            out.update_tags(**(tags or {}))
    return str(path)


def channel(name: str, sensor: str, ratio: int | None = None, aliases: Sequence[str] = ()) -> Channel:
    """Return a channel; coarse where it has a ratio. It has no unit, and a mean between those of the rasters here."""
    grid = "fine" if ratio is None else "coarse"
    return Channel(name, sensor, grid, "1", mean=100.0, sd=60.0, ratio=ratio, aliases=tuple(aliases))


def card_of(channels: Sequence[Channel], pixel_size: float = 80.0) -> ModelCard:
    """Return the card of a network with these channels and one sigmoid head."""
    ratio = max((c.ratio or 1) for c in channels)
    return ModelCard(
        id="test-model",
        title="A card for tests",
        licence="GPL-3.0-or-later",
        architecture=Architecture("none"),
        channels=tuple(channels),
        heads=(Head("concentration", "sigmoid", (HeadClass("ice", 1, "#ff0000", 100.0),), "%"),),
        components=(Component("only", "sar"),),
        pixel_size_m=pixel_size,
        receptive_field_radius=3,
        alignment=ratio,
    )


def fusion_card(ratio: int = 10, pixel_size: float = 80.0) -> ModelCard:
    """Return a card with HH, HV and two radiometer channels."""
    return card_of(
        [
            channel("hh", "sar", aliases=("sigma0_hh",)),
            channel("hv", "sar", aliases=("sigma0_hv",)),
            channel("btemp_6_9h", "mwr", ratio),
            channel("btemp_6_9v", "mwr", ratio),
        ],
        pixel_size,
    )


def ramp(bands: int, rows: int, cols: int, seed: int = 0) -> np.ndarray:
    """Return (band, row, column) float32 noise on a ramp: every pixel differs from every other."""
    noise = np.random.default_rng(seed).normal(size=(bands, rows, cols))
    return (np.arange(rows)[:, None] * 0.1 + np.arange(cols) * 0.01 + noise).astype(np.float32)
