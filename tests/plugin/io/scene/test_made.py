"""Month, latitude and longitude follow from a scene's date and place; a raster that holds them comes first."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.ground.window import Window
from floelens.plugin.io.scene.reader import Scene, check_headers
from floelens.plugin.networks.card import Channel
from floelens.plugin.networks.families.published import FAMILIES, published_channel
from floelens.tests.plugin.io.rasters import PLACES, card_of, channel, exact_place, gcp_grid, ramp
from floelens.tests.plugin.io.scene.scene_files import COLS, ROWS, Files, whole

PLACE = [Channel(name, "map", "fine", "degree", 0.0, 50.0) for name in ("latitude", "longitude")]
MONTH = published_channel("month", FAMILIES["mmseaice"], 0)
TIME = {"start_time": "2018-03-16T07:20:00Z"}


def card(*more: Channel):
    return card_of([channel("hh", "sar"), channel("hv", "sar"), *more])


@pytest.mark.parametrize("place", PLACES)
def test_places_are_those_of_the_map_projection_whichever_window_is_read(tmp_path, place):
    files = Files(tmp_path, gcp_grid(PLACES[place], ROWS, COLS))
    with Scene.open(card(MONTH, *PLACE), files.sar(tags=TIME)) as scene:
        month, latitude, longitude = whole(scene).fine[2:]
        part = scene.read(Window(37, 21, 30, 101)).fine[2:]
        assert "made: month from the date of the scene (2018-03-16)" in scene.notes[-1]
    np.testing.assert_array_equal(part, np.stack([month, latitude, longitude])[:, 37:67, 21:122])
    assert (month == 3).all()
    forward, _ = exact_place(*PLACES[place], ROWS, COLS, 80.0, 193.0)
    lon, lat = forward(*np.meshgrid(np.arange(ROWS) + 0.5, np.arange(COLS) + 0.5, indexing="ij"))
    np.testing.assert_allclose(latitude, lat, atol=2e-5)
    east = (longitude - lon + 180) % 360 - 180
    assert np.abs(east * np.cos(np.radians(lat))).max() < 2e-5
    assert np.abs(longitude).max() <= 180


def test_a_month_is_standardised_from_minus_1_in_january_to_1_in_december():
    assert [(month - MONTH.mean) / MONTH.sd for month in (1, 12)] == [-1, 1]


def test_a_band_of_that_name_is_read_instead(tmp_path):
    files = Files(tmp_path)
    values = ramp(1, ROWS, COLS, seed=7)
    other = files.other("place.tif", values, names=["latitude"])
    with Scene.open(card(*PLACE[:1]), files.sar(), ancillary=[other]) as scene:
        np.testing.assert_array_equal(whole(scene).fine[2], values[0])
        assert "made" not in " ".join(scene.notes)


@pytest.mark.parametrize("name", ["S1A_EW_GRDM_1SDH_20230716T072000.tif", "ice-2023-07-16.tif"])
def test_the_date_may_stand_in_the_name(tmp_path, name):
    files = Files(tmp_path)
    with Scene.open(card(MONTH), files.sar(name=name)) as scene:
        assert (whole(scene).fine[2] == 7).all()


def test_a_scene_without_a_date_is_a_sentence_before_anything_is_read(tmp_path):
    files = Files(tmp_path)
    for opening in (
        lambda: Scene.open(card(MONTH), files.sar()),
        lambda: check_headers(card(MONTH), files.sar(), None, (), ""),
    ):
        with pytest.raises(SceneError, match="reads the month of the scene"):
            opening()
    with Scene.open(card(*PLACE), files.sar()) as scene:  # places need no date
        assert whole(scene).valid.all()


def test_another_unit_or_a_coarse_cell_is_not_made(tmp_path):
    files = Files(tmp_path)
    for other in ({"unit": "rad"}, {"grid": "coarse", "ratio": 10}):
        with pytest.raises(SceneError, match="No band named 'latitude'"):
            Scene.open(card(dataclasses.replace(PLACE[0], **other)), files.sar())
