"""A scene: its masks, its windows, and what can be wrong with its files."""

from __future__ import annotations

import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import rasterio
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.ground.window import Window
from floelens.plugin.io.geometry.grid import Grid
from floelens.plugin.io.geometry.vector import Polygons
from floelens.plugin.io.scene.reader import Scene
from floelens.tests.plugin.io.rasters import (
    PLACES,
    affine_grid,
    card_of,
    channel,
    fusion_card,
    gcp_grid,
    ramp,
    write_raster,
)
from floelens.tests.plugin.io.scene.scene_files import COLS, MWR_NAMES, NAMES, RATIO, ROWS, Files, whole
from osgeo import gdal


@pytest.mark.parametrize(
    "grid",
    [affine_grid(ROWS, COLS), affine_grid(ROWS, COLS, turn=20.0), gcp_grid(rows=ROWS, cols=COLS)],
    ids=["affine", "rotated", "gcps"],
)
def test_a_scene_reads_its_channels_in_the_order_of_the_card(tmp_path, grid):
    files = Files(tmp_path, grid)
    sar = files.sar(files.sar_values[::-1], NAMES[::-1])
    with Scene.open(fusion_card(), sar, files.mwr(files.mwr_values[::-1], MWR_NAMES[::-1])) as scene:
        assert (scene.rows, scene.cols, scene.name) == (ROWS, COLS, "scene")
        assert scene.region == Window(0, 0, ROWS, COLS)
        assert scene.grid.same_as(grid)
        patch = whole(scene)
        np.testing.assert_array_equal(patch.fine, files.sar_values)
        np.testing.assert_array_equal(patch.coarse, files.mwr_values)
        assert patch.valid.all()
        assert scene.warnings == ()
        assert scene.coarse_grid.same_as(files.mwr_grid)
        np.testing.assert_array_equal(scene.coarse_values, files.mwr_values)


@pytest.mark.parametrize(
    "window", [Window(0, 0, 20, 30), Window(40, 50, 30, 40), Window(90, 120, 5, 3), Window(50, 0, 45, 123)]
)
def test_a_window_holds_what_the_whole_scene_holds_there(files, window):
    land = np.zeros((1, ROWS, COLS), "uint8")
    land[0, 30:50, 40:70] = 1
    with Scene.open(fusion_card(), files.sar(), files.mwr(), land=files.other("land.tif", land)) as scene:
        everything, patch = whole(scene), scene.read(window)
    rows, cols = window.slices()
    np.testing.assert_array_equal(patch.fine, everything.fine[:, rows, cols])
    np.testing.assert_array_equal(patch.valid, everything.valid[rows, cols])
    rows, cols = window.coarser(RATIO).slices()
    np.testing.assert_array_equal(patch.coarse, everything.coarse[:, rows, cols])
    assert patch.window == window


@pytest.mark.parametrize("window", [Window(0, 0, 96, 10), Window(-10, 0, 20, 10), Window(5, 0, 10, 10)])
def test_a_window_that_does_not_fit_is_a_mistake(files, window):
    with (
        Scene.open(fusion_card(), files.sar(), files.mwr()) as scene,
        pytest.raises(ValueError, match="Window"),
    ):
        scene.read(window)


def test_a_pixel_is_valid_where_all_of_its_channels_are(files):
    sar, mwr = files.sar_values.copy(), files.mwr_values.copy()
    sar[1, 3, 4] = np.nan
    sar[0, 60, 70] = -999.0
    mwr[1, 2, 5] = np.nan
    with Scene.open(fusion_card(), files.sar(sar, nodata=-999.0), files.mwr(mwr)) as scene:
        patch = whole(scene)
    expected = np.ones((ROWS, COLS), bool)
    expected[3, 4] = expected[60, 70] = False
    expected[20:30, 50:60] = False
    np.testing.assert_array_equal(patch.valid, expected)
    assert np.isnan(patch.coarse[:, 2, 5]).all()
    assert np.isnan(patch.coarse).sum() == 2


def test_integer_rasters_with_nodata_are_read(files):
    values = np.full((2, ROWS, COLS), 100, "uint16")
    values[0, :10] = 0
    with Scene.open(fusion_card(), files.sar(values, nodata=0), files.mwr()) as scene:
        patch = whole(scene)
    assert np.isnan(patch.fine[0, :10]).all()
    assert not patch.valid[:10].any()
    assert patch.valid[10:].all()


# Land


def test_a_land_raster_on_another_grid_masks_what_it_covers(files):
    land = np.zeros((1, 5, 7), "uint8")
    land[0, 2, 3] = 1
    coarse = files.grid.coarser(20)
    with Scene.open(
        fusion_card(), files.sar(), files.mwr(), land=files.other("land.tif", land, coarse)
    ) as scene:
        valid = whole(scene).valid
    expected = np.ones((ROWS, COLS), bool)
    expected[40:60, 60:80] = False
    np.testing.assert_array_equal(valid, expected)


def test_land_without_data_is_no_land(files):
    land = np.full((1, ROWS, COLS), 255, "uint8")
    land[0, :7] = 3
    path = files.other("land.tif", land, nodata=255)
    with Scene.open(fusion_card(), files.sar(), files.mwr(), land=path) as scene:
        valid = whole(scene).valid
    assert not valid[:7].any()
    assert valid[7:].all()


def test_land_polygons_mask_pixels_whose_centre_they_cover(tmp_path):
    files = Files(tmp_path, affine_grid(ROWS, COLS))
    x, y = files.grid.pixel_to_map(np.array([10.0, 30.0]), np.array([20.0, 50.0]))
    land = Polygons.rectangle(x[0], y[1], x[1], y[0], files.grid.crs)
    with Scene.open(fusion_card(), files.sar(), files.mwr(), land=land) as scene:
        valid = whole(scene).valid
    expected = np.ones((ROWS, COLS), bool)
    expected[10:30, 20:50] = False
    np.testing.assert_array_equal(valid, expected)


# Extent


def test_an_extent_is_snapped_outward_to_whole_cells(tmp_path):
    files = Files(tmp_path, affine_grid(ROWS, COLS))
    x, y = files.grid.pixel_to_map(np.array([12.0, 31.0]), np.array([25.0, 50.0]))
    extent = Polygons.rectangle(x[0], y[1], x[1], y[0], files.grid.crs)
    with Scene.open(fusion_card(), files.sar(), files.mwr(), region=extent) as scene:
        assert scene.region == Window(10, 20, 30, 30)


def test_an_extent_in_another_crs_covers_the_same_place(files):
    lon, lat = files.grid.pixel_to_lonlat(*np.meshgrid([30.0, 50.0], [40.0, 80.0]))
    extent = Polygons.rectangle(lon.min(), lat.min(), lon.max(), lat.max(), "EPSG:4326")
    with Scene.open(fusion_card(), files.sar(), files.mwr(), region=extent) as scene:
        inside = scene.region.intersection(Window(30, 40, 20, 40))
    assert inside == Window(30, 40, 20, 40)


def test_an_extent_elsewhere_is_an_error(files):
    extent = Polygons.rectangle(-60, 10, -50, 20, "EPSG:4326")
    with pytest.raises(SceneError, match="EXTENT does not overlap"):
        Scene.open(fusion_card(), files.sar(), files.mwr(), region=extent)


# What can be wrong


def test_radiometry_of_another_place_is_an_error(files):
    elsewhere = gcp_grid(PLACES["antimeridian"], rows=10, cols=13, size=800.0)
    with pytest.raises(SceneError, match=r"mwr\.tif does not overlap .*scene\.tif"):
        Scene.open(fusion_card(), files.sar(), files.mwr(ramp(2, 10, 13), grid=elsewhere))


def test_radiometry_without_data_is_an_error(files):
    with pytest.raises(SceneError, match=r"mwr\.tif has no data over"):
        Scene.open(fusion_card(), files.sar(), files.mwr(np.full_like(files.mwr_values, np.nan)))


def test_a_scene_without_data_is_an_error(files):
    with pytest.raises(SceneError, match=r"No pixel of .*scene\.tif can be mapped"):
        Scene.open(fusion_card(), files.sar(np.full((2, ROWS, COLS), np.nan, np.float32)), files.mwr())


def test_land_everywhere_is_an_error(files):
    land = files.other("land.tif", np.ones((1, ROWS, COLS), "uint8"))
    with pytest.raises(SceneError, match="LAND"):
        Scene.open(fusion_card(), files.sar(), files.mwr(), land=land)


def test_a_single_valid_pixel_in_a_corner_is_found(files):
    values = np.full((2, ROWS, COLS), np.nan, np.float32)
    values[:, -1, 0] = 1.0
    with Scene.open(fusion_card(), files.sar(values), files.mwr()) as scene:
        assert whole(scene).valid.sum() == 1


def test_a_truncated_file_is_an_error_when_it_is_opened_or_read(files):
    path = files.sar(compress="deflate")
    with Path(path).open("rb") as file:
        data = file.read()
    with Path(path).open("wb") as file:
        file.write(data[: len(data) * 2 // 3])
    with (
        pytest.raises(SceneError, match=r"scene\.tif.*(damaged|truncated)"),
        Scene.open(fusion_card(), path, files.mwr()) as scene,
    ):
        whole(scene)


@pytest.mark.parametrize("which", ["sar", "mwr", "land", "ancillary"])
def test_a_missing_file_is_named(files, which):
    paths = {"sar": files.sar(), "mwr": files.mwr(), "land": None, "ancillary": []}
    paths[which] = ["/nowhere/gone.tif"] if which == "ancillary" else "/nowhere/gone.tif"
    with pytest.raises(SceneError, match=r"no file /nowhere/gone\.tif"):
        Scene.open(fusion_card(), **paths)


@pytest.mark.parametrize(
    ("which", "product"), [("sar", "relevance"), ("mwr", "prediction"), ("ancillary", "relevance")]
)
def test_a_result_of_a_network_is_no_measurement(files, which, product):
    distance = files.other("distance.tif", ramp(1, ROWS, COLS, seed=5), names=["distance_map"])
    paths = {"sar": files.sar(), "mwr": files.mwr(), "ancillary": [distance]}
    tags = {
        "FLOELENS_MODEL": "ice",
        "FLOELENS_PRODUCT": product,
        "FLOELENS_SAR": "a.tif",
        "FLOELENS_MWR": "b.tif",
    }
    advice = {
        "sar": "SAR .*: a.tif",
        "mwr": "MWR .*: b.tif",
        "ancillary": "ANCILLARY rasters of what was measured",
    }
    with rasterio.open(distance if which == "ancillary" else paths[which], "r+") as raster:
        raster.update_tags(**tags)
    with pytest.raises(SceneError, match=f"{product} of model 'ice'.*Choose as {advice[which]}"):
        Scene.open(fusion_card(), **paths)


def test_what_one_network_predicts_may_be_a_channel_of_another(files):
    predicted = files.other("distance.tif", ramp(1, ROWS, COLS, seed=5), names=["distance_map"])
    with rasterio.open(predicted, "r+") as raster:
        raster.update_tags(FLOELENS_MODEL="ice", FLOELENS_PRODUCT="prediction")
    card = card_of([channel("hh", "sar"), channel("distance_map", "ancillary")])
    with Scene.open(card, files.sar(files.sar_values[:1], ["hh"]), ancillary=[predicted]) as scene:
        assert whole(scene).fine.shape[0] == 2


def test_a_failed_opening_closes_what_it_opened(files, monkeypatch):
    from floelens.plugin.io.scene import reader as module

    opened = []

    def remember(path, do=module.open_raster):
        opened.append(do(path))
        return opened[-1]

    monkeypatch.setattr(module, "open_raster", remember)
    with pytest.raises(SceneError):
        Scene.open(fusion_card(), files.sar(names=["a", "b"]), files.mwr())
    assert len(opened) == 2
    assert all(raster.dataset.closed for raster in opened)


def test_radiometry_far_finer_than_cells_is_an_error(files, monkeypatch):
    from floelens.plugin.io.scene import coarse as module

    monkeypatch.setattr(module, "_WHOLE_COARSE_VALUES", 100)
    monkeypatch.setattr(module, "_MOST_COARSE_VALUES", 1000)
    with pytest.raises(SceneError, match="Resample it"):
        Scene.open(fusion_card(), files.sar(), files.mwr(ramp(2, ROWS, COLS), grid=files.grid))


def test_of_a_large_coarse_raster_only_the_part_around_the_scene_is_held(files, monkeypatch):
    from floelens.plugin.io.scene import coarse as module

    own = gcp_grid(rows=120, cols=150, size=800.0)  # ten times as wide as the scene, amid it
    values = 200 + ramp(2, 120, 150)
    mwr = files.mwr(values, grid=own)
    with Scene.open(fusion_card(), files.sar(), mwr) as scene:
        assert scene.coarse_values.shape == values.shape
        expected = whole(scene).coarse
    monkeypatch.setattr(module, "_WHOLE_COARSE_VALUES", 1000)
    with Scene.open(fusion_card(), files.sar(), mwr) as scene:
        assert scene.coarse_values.shape[1] < 20
        assert scene.coarse_values.shape[1:] == (scene.coarse_grid.rows, scene.coarse_grid.cols)
        np.testing.assert_allclose(whole(scene).coarse, expected, rtol=1e-6)


# What a person should know


def test_pixels_of_another_size_are_a_warning(files):
    with Scene.open(fusion_card(pixel_size=40.0), files.sar(), files.mwr()) as scene:
        assert any("80.0 m" in w and "40 m" in w for w in scene.warnings)


def test_a_raster_that_is_not_used_is_a_warning(files):
    card = card_of([channel("hh", "sar"), channel("hv", "sar")])
    with Scene.open(card, files.sar(), files.mwr()) as scene:
        assert any("mwr.tif is not used" in w for w in scene.warnings)


@pytest.mark.parametrize(
    ("name", "tags", "time"),
    [
        ("scene.tif", {"start_time": "2020-03-01T06:00:00Z"}, "2020-03-01T06:00:00Z"),
        ("S1A_EW_GRDM_1SDH_20190823T033023_20190823T033127_028691.tif", {}, "2019-08-23T03:30:23Z"),
        ("20210325T201030_dmi_prep.tif", {}, "2021-03-25T20:10:30Z"),
        ("scene.tif", {}, None),
    ],
)
def test_the_time_comes_from_a_tag_or_the_name(files, name, tags, time):
    with Scene.open(
        fusion_card(), files.sar(name=name, tags=tags), files.mwr(tags={"amsr2_delay_s": "1292"})
    ) as scene:
        assert scene.start_time == time
        assert scene.tags.get("start_time") == time
        assert scene.tags["amsr2_delay_s"] == "1292"


def test_a_reading_thread_gets_the_same_patches(files):
    with Scene.open(fusion_card(), files.sar(), files.mwr()) as scene:
        windows = list(scene.grid.window.split(20, 40))
        expected = [scene.read(window) for window in windows]
        found = []
        thread = threading.Thread(target=lambda: found.extend(scene.read(window) for window in windows))
        thread.start()
        thread.join()
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        np.testing.assert_array_equal(one.fine, other.fine)
        np.testing.assert_array_equal(one.valid, other.valid)


def test_a_read_holds_its_window_and_not_the_scene(tmp_path):
    grid = affine_grid(4000, 2500)
    path = write_raster(
        tmp_path / "large.tif", np.ones((1, 4000, 2500), np.float32), grid, ["hh"], tiled=True
    )
    card = card_of([channel("hh", "sar")])
    tracemalloc.start()
    with Scene.open(card, path) as scene:
        scene.read(Window(1000, 1000, 200, 200))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10e6  # the scene is 40 MB


def test_sources_of_other_drivers_are_opened(files, tmp_path):
    grid = affine_grid(ROWS, COLS)
    path = tmp_path / "scene.nc"
    tiff = write_raster(tmp_path / "one.tif", files.sar_values[:1], grid, ["hh"])
    if gdal.GetDriverByName("netCDF") is None:
        pytest.skip("this GDAL has no NetCDF driver")
    gdal.GetDriverByName("netCDF").CreateCopy(str(path), gdal.Open(tiff))
    card = card_of([channel("hh", "sar", aliases=("Band1",))])
    with Scene.open(card, f'NETCDF:"{path}":Band1') as scene:
        assert scene.name == "scene"
        assert isinstance(scene.grid, Grid)
        assert scene.grid.pixel_size() == pytest.approx(80.0, rel=1e-2)
        np.testing.assert_array_equal(whole(scene).fine, files.sar_values[:1])
