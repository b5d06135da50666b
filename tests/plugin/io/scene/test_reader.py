"""A scene: its channels, its masks, its windows, and what can be wrong with its files."""

from __future__ import annotations

import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import rasterio
from floelens.plugin.ground.errors import ParameterError, SceneError
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
from osgeo import gdal

ROWS, COLS, RATIO = 95, 123, 10
NAMES = ["hh", "hv"]
MWR_NAMES = ["btemp_6.9h", "btemp_6.9v"]


class Files:
    """The rasters of one scene in a folder, each of which can be replaced."""

    def __init__(self, folder, grid=None):
        self.folder = folder
        self.grid = grid or gcp_grid(rows=ROWS, cols=COLS)
        self.sar_values = ramp(2, ROWS, COLS, seed=1)
        self.mwr_grid = self.grid.coarser(RATIO)
        self.mwr_values = 200 + ramp(2, self.mwr_grid.rows, self.mwr_grid.cols, seed=2)

    def sar(self, values=None, names=NAMES, name="scene.tif", **options):
        return write_raster(
            self.folder / name, self.sar_values if values is None else values, self.grid, names, **options
        )

    def mwr(self, values=None, names=MWR_NAMES, grid=None, **options):
        values = self.mwr_values if values is None else values
        return write_raster(self.folder / "mwr.tif", values, grid or self.mwr_grid, names, **options)

    def other(self, name, values, grid=None, names=(), **options):
        return write_raster(self.folder / name, values, grid or self.grid, names, **options)


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def whole(scene):
    return scene.read(scene.grid.window)


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


# Which bands


@pytest.mark.parametrize("names", [["HH", "HV"], ["sigma0_hh", "Sigma0_HV"], ["hh ", "sigma0.hv"]])
def test_bands_are_found_by_alias_and_without_regard_to_case(files, names):
    with Scene.open(fusion_card(), files.sar(names=names), files.mwr()) as scene:
        np.testing.assert_array_equal(whole(scene).fine, files.sar_values)


@pytest.mark.parametrize("text", ["hh=3,hv=1", "hh=3;hv=1", " HH = 3 ; sigma0_hv = first ", "hh=3"])
def test_bands_can_be_named_by_hand(files, text):
    values = ramp(3, ROWS, COLS)
    sar = files.sar(values, ["first", "second", "third"] if text != "hh=3" else ["hv", "a", "b"])
    with Scene.open(fusion_card(), sar, files.mwr(), channels=text) as scene:
        np.testing.assert_array_equal(whole(scene).fine, values[[2, 0]])


def test_bands_of_the_mwr_raster_can_be_named_by_hand_too(files):
    with Scene.open(
        fusion_card(), files.sar(), files.mwr(names=["x", "y"]), channels="btemp_6_9h=2,btemp_6_9v=1"
    ) as scene:
        np.testing.assert_array_equal(scene.coarse_values, files.mwr_values[::-1])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("hh", "no assignment"),
        ("hh=", "no assignment"),
        ("hx=1", "no channel 'hx'.*hh, hv"),
        ("hh=3", "has 2 bands"),
        ("hh=0", "has 2 bands"),
        ("hh=vv", "no band.*'vv'.*hh, hv"),
        ("hh=1,HH=2", "twice"),
    ],
)
def test_mistakes_in_channels_are_explained(files, text, why):
    with pytest.raises(ParameterError, match=why):
        Scene.open(fusion_card(), files.sar(), files.mwr(), channels=text)


def test_bands_without_names_are_taken_in_order_with_a_warning(files):
    with Scene.open(fusion_card(), files.sar(names=()), files.mwr(names=())) as scene:
        np.testing.assert_array_equal(whole(scene).fine, files.sar_values)
        np.testing.assert_array_equal(scene.coarse_values, files.mwr_values)
        assert len(scene.warnings) == 2
        assert "1 = hh, 2 = hv" in scene.warnings[0]


@pytest.mark.parametrize("bands", [1, 3])
def test_another_number_of_unnamed_bands_is_an_error(files, bands):
    sar = files.sar(ramp(bands, ROWS, COLS), names=())
    with pytest.raises(SceneError, match=rf"{bands} bands? without names, the model needs 2"):
        Scene.open(fusion_card(), sar, files.mwr())


def test_one_polarisation_is_no_matter_of_names(files):
    sar = files.sar(ramp(1, ROWS, COLS), names=("sigma0_HV",))
    with pytest.raises(SceneError, match="Give one raster that holds hh, hv, or a model") as error:
        Scene.open(fusion_card(), sar, files.mwr())
    assert "CHANNELS" not in str(error.value)


def test_sentences_of_many_missing_channels_stay_short(files):
    wanted = [
        channel("hh", "sar"),
        channel("hv", "sar"),
        *(channel(f"btemp_{n}", "mwr", 10) for n in range(14)),
    ]
    sar = files.sar(names=["a band with a long name", "another with a long name"])
    mwr = files.mwr(np.full((14, 6, 8), 200.0, np.float32), [f"{n} GHz of some sensor" for n in range(14)])
    with pytest.raises(SceneError, match="'btemp_0', 'btemp_1' and 12 more") as error:
        Scene.open(card_of(wanted), sar, mwr)
    assert len(str(error.value).replace(str(files.folder), "")) < 500


def test_a_missing_band_is_named_with_those_present(files):
    with pytest.raises(
        SceneError, match=r"No band named 'hv' in .*scene\.tif \(bands: hh, ia\).*CHANNELS='hv="
    ) as error:
        Scene.open(fusion_card(), files.sar(names=["hh", "ia"]), files.mwr())
    assert "mwr.tif" in str(error.value)


def test_missing_radiometry_is_asked_for(files):
    with pytest.raises(SceneError, match=r"needs 2 radiometer channels .*btemp_6_9h.*Set MWR"):
        Scene.open(fusion_card(), files.sar())


def test_two_bands_of_one_name_are_an_error(files):
    with pytest.raises(SceneError, match=r"several bands called 'hh' \(1, 2\)"):
        Scene.open(fusion_card(), files.sar(names=["hh", "HH"]), files.mwr())


def test_a_name_goes_before_an_alias(files):
    values = ramp(3, ROWS, COLS)
    with Scene.open(fusion_card(), files.sar(values, ["sigma0_hh", "hh", "hv"]), files.mwr()) as scene:
        np.testing.assert_array_equal(whole(scene).fine, values[1:])


# Ancillary rasters


def ancillary_card():
    return card_of(
        [
            channel("hh", "sar"),
            channel("distance_map", "ancillary"),
            channel("btemp_6_9h", "mwr", RATIO),
            channel("t2m", "weather", RATIO),
        ]
    )


def test_ancillary_rasters_join_on_fine_and_coarse_grids(files):
    distance = ramp(1, ROWS, COLS, seed=5)
    weather = 270 + ramp(1, files.mwr_grid.rows, files.mwr_grid.cols, seed=6)
    paths = [
        files.other("distance.tif", distance, names=["distance_map"]),
        files.other("weather.tif", weather, files.mwr_grid, names=["t2m"]),
    ]
    with Scene.open(
        ancillary_card(),
        files.sar(files.sar_values[:1], ["hh"]),
        files.mwr(files.mwr_values[:1], ["btemp_6_9h"]),
        paths,
    ) as scene:
        patch = whole(scene)
    np.testing.assert_array_equal(patch.fine, np.concatenate([files.sar_values[:1], distance]))
    np.testing.assert_allclose(patch.coarse, np.concatenate([files.mwr_values[:1], weather]), rtol=1e-6)


def test_a_fine_channel_on_a_coarse_grid_is_interpolated(files):
    coarse = files.grid.coarser(5)
    row = (np.arange(coarse.rows) + 0.5)[:, None] * np.ones(coarse.cols)
    path = files.other("distance.tif", row[None].astype(np.float32), coarse, names=["distance_map"])
    card = card_of([channel("hh", "sar"), channel("distance_map", "ancillary")])
    with Scene.open(card, files.sar(files.sar_values[:1], ["hh"]), ancillary=[path]) as scene:
        patch = whole(scene)
    expected = np.clip((np.arange(ROWS) + 0.5) / 5, 0.5, coarse.rows - 0.5)[:, None] * np.ones(COLS)
    np.testing.assert_allclose(patch.fine[1], expected, rtol=0, atol=1e-4)
    assert patch.coarse.shape == (0, ROWS, COLS)
    assert scene.sampler is None


def test_weather_on_a_grid_of_its_own_reaches_the_radiometers_grid(files):
    own = gcp_grid(rows=40, cols=40, size=400.0, heading=150.0)
    row, col = np.meshgrid(np.arange(40) + 0.5, np.arange(40) + 0.5, indexing="ij")
    _, lat = own.pixel_to_lonlat(row, col)
    path = files.other("weather.tif", lat[None], own, names=["t2m"])
    card = card_of(
        [channel("hh", "sar"), channel("btemp_6_9h", "mwr", RATIO), channel("t2m", "weather", RATIO)]
    )
    with Scene.open(
        card, files.sar(files.sar_values[:1], ["hh"]), files.mwr(files.mwr_values[:1], ["btemp_6_9h"]), [path]
    ) as scene:
        found = scene.coarse_values[1]
        where = np.meshgrid(np.arange(found.shape[0]) + 0.5, np.arange(found.shape[1]) + 0.5, indexing="ij")
        _, truth = scene.coarse_grid.pixel_to_lonlat(*where)
    np.testing.assert_allclose(found, truth, rtol=0, atol=1e-4)


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
