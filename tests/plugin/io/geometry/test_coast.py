"""Distances to land are those on the ground, whether the land lies in the image or beside it."""

from __future__ import annotations

import numpy as np
import pyproj
import pytest
from floelens.plugin.ground.window import Window
from floelens.plugin.io.files.raster import open_raster
from floelens.plugin.io.geometry.coast import LandDistance
from floelens.plugin.io.geometry.grid import Grid
from floelens.plugin.io.geometry.vector import Polygons, polygon_wkb
from floelens.tests.plugin.io.rasters import NORTH, gcp_grid, write_raster

SIZE = 400.0
TOP_LEFT = (1_000_000.0, -600_000.0)


def polar_grid(rows: int = 200, cols: int = 260) -> Grid:
    return Grid(rows, cols, NORTH, transform=(SIZE, 0, TOP_LEFT[0], 0, -SIZE, TOP_LEFT[1]))


def box(grid: Grid, row: float, col: float, rows: float, cols: float) -> Polygons:
    """Return the polygon over a rectangle of pixels of an affine grid, inside of the image or not."""
    x, y = TOP_LEFT[0] + col * SIZE, TOP_LEFT[1] - row * SIZE
    return Polygons.rectangle(x, y - rows * SIZE, x + cols * SIZE, y, grid.crs)


def ground_scale(grid: Grid) -> float:
    """Return metres on the ground of one metre of the map, at the centre of the image."""
    return grid.pixel_size() / SIZE


@pytest.mark.parametrize(
    "land",
    [(50, 60, 30, 20), (-80, 40, 40, 100), (20, 300, 100, 30)],
    ids=["inside", "above", "to the right"],
)
def test_the_distance_is_that_to_the_nearest_land_pixel(land):
    grid = polar_grid()
    found = LandDistance(grid, box(grid, *land), 60.0).read(grid.window)
    row, col = np.meshgrid(np.arange(grid.rows) + 0.5, np.arange(grid.cols) + 0.5, indexing="ij")
    top, left, rows, cols = land
    down = np.maximum(np.maximum(top - row, row - (top + rows)), 0)
    right = np.maximum(np.maximum(left - col, col - (left + cols)), 0)
    expected = np.hypot(down, right) * SIZE * ground_scale(grid) / 1e3
    assert np.abs(found - expected).max() < 1.01 * SIZE * np.sqrt(2) / 1e3
    assert (found[(down == 0) & (right == 0)] == 0).all()


def test_land_out_of_reach_is_infinitely_far():
    grid = polar_grid()
    found = LandDistance(grid, box(grid, 20, 260 + 300, 50, 10), 60.0)
    assert not found.any
    assert np.isinf(found.read(Window(0, 0, 5, 7))).all()


def test_tie_points_serve_as_well_as_a_transform():
    grid = gcp_grid(place=(20.0, 79.0), rows=300, cols=300, size=200.0)
    lon, lat = (float(v) for v in grid.pixel_to_lonlat(150.0, 150.0))
    geod = pyproj.Geod(ellps="WGS84")
    ring_lon, ring_lat, _ = geod.fwd([lon] * 181, [lat] * 181, np.linspace(0, 360, 181), [3000.0] * 181)
    island = Polygons((polygon_wkb([np.column_stack([ring_lon, ring_lat])]),), "EPSG:4326")
    found = LandDistance(grid, island, 20.0).read(grid.window)
    rows, cols = np.array([10.5, 150.5, 290.5, 80.5]), np.array([10.5, 20.5, 200.5, 150.5])
    _, _, metres = geod.inv([lon] * 4, [lat] * 4, *grid.pixel_to_lonlat(rows, cols))
    expected = np.array(metres) / 1e3 - 3.0
    np.testing.assert_allclose(found[rows.astype(int), cols.astype(int)], expected, atol=0.4)


def test_a_land_raster_on_another_grid_gives_the_same(tmp_path):
    grid = polar_grid()
    coarse = Grid(
        60, 75, NORTH, transform=(2000.0, 0, TOP_LEFT[0] - 20_000, 0, -2000.0, TOP_LEFT[1] + 10_000)
    )
    values = np.zeros((1, 60, 75), np.uint8)
    values[0, 20:30, 25:40] = 1
    path = write_raster(tmp_path / "land.tif", values, coarse)
    with open_raster(path) as raster:
        found = LandDistance(grid, raster, 60.0).read(grid.window)
    polygon = Polygons.rectangle(
        coarse.transform[2] + 25 * 2000,
        coarse.transform[5] - 30 * 2000,
        coarse.transform[2] + 40 * 2000,
        coarse.transform[5] - 20 * 2000,
        NORTH,
    )
    expected = LandDistance(grid, polygon, 60.0).read(grid.window)
    np.testing.assert_allclose(found, expected, atol=1.01 * SIZE / 1e3)


def test_parts_of_the_image_join_without_a_seam():
    grid = polar_grid()
    distance = LandDistance(grid, box(grid, 50, 60, 30, 20), 60.0)
    whole = distance.read(grid.window)
    for window in grid.window.split(37, 61):
        np.testing.assert_array_equal(distance.read(window), whole[window.slices()])
