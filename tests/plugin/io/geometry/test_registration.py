"""Rasters read on the pixels of another grid, and labels."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.ground.window import Window
from floelens.plugin.io.environment.crs import transform
from floelens.plugin.io.files.raster import open_raster
from floelens.plugin.io.formats.labels import LabelReader
from floelens.plugin.io.geometry.grid import Grid
from floelens.plugin.io.geometry.registration import RegisteredRaster
from floelens.tests.plugin.io.rasters import NORTH, PLACES, affine_grid, gcp_grid, ramp, write_raster

SCENE = gcp_grid(rows=150, cols=170)


def lonlat_raster(path, grid):
    """Write the longitude and latitude of every pixel of a grid."""
    row, col = np.meshgrid(np.arange(grid.rows) + 0.5, np.arange(grid.cols) + 0.5, indexing="ij")
    return write_raster(path, np.stack(grid.pixel_to_lonlat(row, col)), grid)


def test_on_the_same_grid_pixels_are_taken_over(tmp_path):
    values = ramp(1, 150, 170)
    for method in ("nearest", "bilinear"):
        with open_raster(write_raster(tmp_path / "a.tif", values, SCENE)) as raster:
            registered = RegisteredRaster(raster, SCENE, method)
            assert registered.same
            np.testing.assert_array_equal(registered.read([1], Window(3, 4, 50, 60)), values[:, 3:53, 4:64])


@pytest.mark.parametrize(
    "other",
    [
        gcp_grid(rows=100, cols=120, size=200.0, heading=100.0),
        gcp_grid(rows=100, cols=120, size=200.0, mirrored=True),
    ],
    ids=["turned", "mirrored"],
)
@pytest.mark.parametrize("window", [Window(0, 0, 150, 170), Window(40, 50, 1, 1), Window(130, 10, 20, 37)])
def test_measurements_are_interpolated_where_the_pixels_lie(tmp_path, other, window):
    with open_raster(lonlat_raster(tmp_path / "a.tif", other)) as raster:
        found = RegisteredRaster(raster, SCENE, "bilinear").read([1, 2], window)
    row, col = np.meshgrid(
        np.arange(window.row, window.row_stop) + 0.5,
        np.arange(window.col, window.col_stop) + 0.5,
        indexing="ij",
    )
    # float32 degrees: 4e-6 of latitude are half a metre.
    np.testing.assert_allclose(found, SCENE.pixel_to_lonlat(row, col), rtol=0, atol=2e-5)


def test_the_nearest_pixel_is_the_one_around_the_place(tmp_path):
    other = gcp_grid(rows=100, cols=120, size=200.0, heading=100.0)
    numbers = np.arange(100 * 120, dtype=np.float32).reshape(1, 100, 120)
    with open_raster(write_raster(tmp_path / "a.tif", numbers, other)) as raster:
        found = RegisteredRaster(raster, SCENE).read([1], SCENE.window)[0]
    row, col = np.meshgrid(np.arange(150) + 0.5, np.arange(170) + 0.5, indexing="ij")
    at = SCENE.pixels_in(other, row, col)
    expected = numbers[0, at[0].astype(int), at[1].astype(int)]
    sure = np.min([np.abs(a - np.round(a)) for a in at], axis=0) > 0.01
    np.testing.assert_array_equal(found[sure], expected[sure])


def test_outside_there_is_no_data(tmp_path):
    small = SCENE.subset(Window(50, 60, 30, 40)).coarser(2)
    with open_raster(write_raster(tmp_path / "a.tif", np.ones((1, 15, 20), "uint8"), small)) as raster:
        found = RegisteredRaster(raster, SCENE).read([1], SCENE.window)[0]
    expected = np.full((150, 170), np.nan)
    expected[50:80, 60:100] = 1
    np.testing.assert_array_equal(found, expected)


def test_a_raster_much_finer_than_the_grid_is_read_in_parts(tmp_path, monkeypatch):
    scene = affine_grid(40, 50, size=800.0)
    fine = affine_grid(1600, 2000, size=20.0)
    values = (np.arange(1600)[:, None] // 40 * 50 + np.arange(2000) // 40).astype("int16")
    with open_raster(write_raster(tmp_path / "a.tif", values, fine, tiled=True)) as raster:
        registered = RegisteredRaster(raster, scene)
        sizes = []
        monkeypatch.setattr(
            raster, "read", lambda b, w, do=raster.read: sizes.append(w.rows * w.cols) or do(b, w)
        )
        found = registered.read([1], scene.window)[0]
    np.testing.assert_array_equal(found, np.arange(2000).reshape(40, 50))
    assert max(sizes) <= 1.1e6 < 1600 * 2000


def test_neighbours_without_data_give_their_weight_to_the_others(tmp_path):
    coarse = SCENE.coarser(10)
    values = np.ones((1, 15, 17), np.float32)
    values[0, 5, 6] = np.nan
    with open_raster(write_raster(tmp_path / "a.tif", values, coarse)) as raster:
        found = RegisteredRaster(raster, SCENE, "bilinear").read([1], SCENE.window)[0]
    assert np.isnan(found[55, 65])
    assert set(np.unique(found[~np.isnan(found)])) == {1.0}
    assert 50 < np.isnan(found).sum() < 150


def test_labels_are_read_on_the_scene(tmp_path):
    values = np.random.default_rng(0).integers(0, 101, (1, 150, 170)).astype("uint8")
    values[0, :5] = 255
    path = write_raster(tmp_path / "labels.tif", values, SCENE, nodata=255)
    with LabelReader.open(path, SCENE) as labels:
        found = labels.read(Window(0, 10, 20, 30))
    assert found.dtype == np.float32
    assert np.isnan(found[:5]).all()
    np.testing.assert_array_equal(found[5:], values[0, 5:20, 10:40])


def test_a_band_of_labels_is_chosen_by_name(tmp_path):
    values = ramp(2, 150, 170)
    path = write_raster(tmp_path / "labels.tif", values, SCENE, ["concentration", "icetype"])
    with LabelReader.open(path, SCENE, "IceType") as labels:
        np.testing.assert_array_equal(labels.read(SCENE.window), values[1])
    with pytest.raises(SceneError, match=r"No band named 'floe'.*concentration, icetype"):
        LabelReader.open(path, SCENE, "floe")


def test_labels_on_a_polar_grid_of_their_own_are_taken_from_the_nearest_pixel(tmp_path):
    x, y = transform("EPSG:4326", NORTH, *SCENE.pixel_to_lonlat(75.0, 85.0))
    chart = Grid(300, 300, NORTH, transform=(1000.0, 0, float(x) - 150_300, 0, -1000.0, float(y) + 150_600))
    row, col = chart.lonlat_to_pixel(*SCENE.pixel_to_lonlat(75.0, 85.0))
    values = np.zeros((1, 300, 300), "uint8")
    values[0, int(row), int(col)] = 70
    with LabelReader.open(write_raster(tmp_path / "chart.tif", values, chart), SCENE) as labels:
        found = labels.read(SCENE.window)
    assert found[75, 85] == 70
    # One pixel of about 1 km covers about 12 x 12 of 80 m.
    assert 100 < (found == 70).sum() < 220


def test_labels_of_another_place_are_refused(tmp_path):
    path = write_raster(
        tmp_path / "far.tif", ramp(1, 30, 30), gcp_grid(PLACES["antimeridian"], rows=30, cols=30)
    )
    with pytest.raises(SceneError, match="do not overlap"):
        LabelReader.open(path, SCENE)
