"""Which band of which raster is which channel, and ancillary channels on grids of their own."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.ground.errors import ParameterError, SceneError
from floelens.plugin.io.scene.reader import Scene
from floelens.tests.plugin.io.rasters import (
    card_of,
    channel,
    fusion_card,
    gcp_grid,
    ramp,
)
from floelens.tests.plugin.io.scene.scene_files import COLS, RATIO, ROWS, whole


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
