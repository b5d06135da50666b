"""Ancillary channels of simulated scenes."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.core.simulation import CHANNELS, LAND, SimulatedScene, Surroundings
from floelens.plugin.core.simulation.ancillary import DISTANCE_LIMITS_KM
from floelens.plugin.core.simulation.ice import WATER
from floelens.plugin.ground.window import Window
from floelens.plugin.networks.standard_channels import WEATHER_CHANNELS


@pytest.fixture(scope="module")
def coast():
    for seed in range(1, 60):
        scene = SimulatedScene(seed, 200, 240, 1000.0)
        land = scene.surface(scene.window).classes == LAND
        if 0.1 < land.mean() < 0.5:
            return scene, Surroundings(scene), land
    raise AssertionError("no scene with a coast")


def test_the_distance_class_is_that_of_the_nearest_land_cell(coast):
    scene, around, land = coast
    classes = around.fine(scene.window)[1]
    assert ((classes == 0) == land).all()
    cells = scene.cell_fractions(150)[0][LAND] > 0.5
    places = (np.argwhere(cells) - 150 + 0.5) * 2.0  # km
    for row, col in np.argwhere(~land)[::997]:
        nearest = np.sqrt((((row + 0.5, col + 0.5) - places) ** 2).sum(1)).min()
        # Between centres of cells the distance is interpolated: it bends by at most the diagonal of a cell.
        low, high = (1 + np.sum(max(nearest + bend, 0.0) >= DISTANCE_LIMITS_KM) for bend in (-2.0, 2.0))
        assert low <= classes[row, col] <= high, (row, col)


def test_a_part_of_the_ancillary_channels_is_that_part_of_the_whole(coast):
    scene, around, _ = coast
    part = Window(31, 57, 90, 101)
    np.testing.assert_array_equal(around.fine(part), around.fine(scene.window)[(slice(None), *part.slices())])


def test_the_incidence_angle_is_the_one_that_the_radar_saw(coast):
    scene, around, _ = coast
    angle = around.fine(scene.window)[0]
    assert (angle == angle[:1]).all()
    step = 28.0 * 1000.0 / 410e3
    np.testing.assert_allclose(np.diff(angle[0].astype(float)), step, rtol=1e-3)


def test_weather_fits_the_sea_that_radar_and_radiometer_saw():
    scene = SimulatedScene(3, 4000, 4000, 100.0, summer=False)
    weather = dict(zip(WEATHER_CHANNELS, Surroundings(scene).weather().astype(float)))
    rows, cols = scene.cell_axes()
    speed = np.hypot(weather["u10m_rotated"], weather["v10m_rotated"])
    np.testing.assert_allclose(speed, scene.radar.wind(rows, cols), rtol=1e-5)
    water = scene.radiometer.temperature(WATER, rows, cols)
    of_vapour = np.corrcoef(np.log(weather["tcwv"]).ravel(), water[CHANNELS.index("btemp_23_8v")].ravel())[
        0, 1
    ]
    assert of_vapour > 0.9999
    fractions = scene.cell_fractions()[0]
    ice = fractions[1:4].sum(0) > 0.9
    sea = fractions[WATER] > 0.9
    assert ice.any()
    assert sea.any()
    assert weather["skt"][ice].max() < weather["skt"][sea].min()
    assert weather["t2m"].min() > 200.0
    assert weather["t2m"].max() < 290.0
    assert (weather["tclw"] > 0).all()
