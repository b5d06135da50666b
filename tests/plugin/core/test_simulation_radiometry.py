"""Brightness temperatures of simulated scenes."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.core.simulation import CHANNELS, FOOTPRINTS_KM, SimulatedScene
from floelens.plugin.core.simulation.noise import Axis
from floelens.plugin.core.simulation.radiometry import MARGIN_CELLS, Radiometer, blur, surface_statistics


def slow_blur(values: np.ndarray, row: int, col: int, cell: float, widths: tuple, angle: float) -> float:
    """Return the Gaussian mean about one cell: its definition, cell by cell."""
    sigma = [width / (2.0 * np.sqrt(2.0 * np.log(2.0))) for width in widths]
    total = weight = 0.0
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            down, across = (i - row) * cell, (j - col) * cell
            long_axis = np.cos(angle) * down + np.sin(angle) * across
            short_axis = -np.sin(angle) * down + np.cos(angle) * across
            w = np.exp(-0.5 * ((short_axis / sigma[0]) ** 2 + (long_axis / sigma[1]) ** 2))
            total, weight = total + w * values[i, j], weight + w
    return total / weight


@pytest.mark.parametrize("angle", [0.0, 0.7, 2.1])
def test_the_footprint_is_a_turned_gaussian_of_the_stated_widths(angle):
    values = np.random.default_rng(1).normal(200.0, 40.0, size=(64, 70))
    seen = blur(values, 2.0, (14.0, 22.0), angle)
    for row, col in ((32, 35), (30, 40), (28, 33)):
        assert seen[row, col] == pytest.approx(
            slow_blur(values, row, col, 2.0, (14.0, 22.0), angle), abs=1e-4
        )


def test_a_footprint_falls_to_half_at_half_its_width():
    point = np.zeros((81, 81))
    point[40, 40] = 1.0
    seen = blur(point, 1.0, (10.0, 20.0), 0.0)
    assert seen[50, 40] / seen[40, 40] == pytest.approx(0.5, abs=1e-6)
    assert seen[40, 45] / seen[40, 40] == pytest.approx(0.5, abs=1e-6)
    assert seen.sum() == pytest.approx(1.0)


def test_cells_mix_their_surfaces_linearly():
    radiometer = Radiometer(seed=5, summer=False)
    rows, cols = Axis(1000.0, 2000.0, 4), Axis(1000.0, 2000.0, 5)
    fractions = np.random.default_rng(2).dirichlet(np.ones(5), size=(4, 5)).transpose(2, 0, 1)
    mixed = radiometer.mixed(fractions, rows, cols)
    pure = [radiometer.temperature(surface, rows, cols) for surface in range(5)]
    for channel, row, col in ((0, 0, 0), (13, 3, 4), (7, 2, 1)):
        expected = sum(fractions[k, row, col] * pure[k][channel, row, col] for k in range(5))
        assert mixed[channel, row, col] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("surface", [0, 3])
def test_weather_varies_with_the_covariance_of_its_surface(surface):
    here = Axis(0.0, 2000.0, 1)
    sample = np.array(
        [Radiometer(seed, False).temperature(surface, here, here)[:, 0, 0] for seed in range(500)]
    )
    statistics = surface_statistics(summer=False)[surface]
    error = np.sqrt(np.diag(statistics.covariance) / len(sample))
    assert (np.abs(sample.mean(axis=0) - statistics.mean) < 4.0 * error).all()
    found = np.cov(sample.T)
    scale = np.sqrt(np.outer(np.diag(statistics.covariance), np.diag(statistics.covariance)))
    # A sample covariance of n normal values has a standard error of up to scale * sqrt(2 / n).
    assert (np.abs(found - statistics.covariance) / scale < 4.5 * np.sqrt(2.0 / len(sample))).all()


def test_weather_is_a_smooth_field_and_not_pixel_noise():
    axes = Axis(0.0, 2000.0, 60), Axis(0.0, 2000.0, 60)
    temperature = Radiometer(3, False).temperature(0, *axes)[9]
    assert np.abs(np.diff(temperature, axis=0)).max() < 0.25 * temperature.std() + 1.0


def test_statistics_are_those_of_the_dataset_and_young_ice_is_the_stated_assumption():
    water, young, first_year, multi_year, land = surface_statistics(summer=False)
    assert water.mean[0] == 82.037
    assert first_year.mean[11] == 248.104
    assert multi_year.mean[11] == pytest.approx(205.3, abs=0.1)
    horizontal, vertical = CHANNELS.index("btemp_6_9h"), CHANNELS.index("btemp_6_9v")
    assert young.mean[horizontal] == pytest.approx(
        0.30 * water.mean[horizontal] + 0.70 * first_year.mean[horizontal]
    )
    assert young.mean[vertical] == pytest.approx(
        0.08 * water.mean[vertical] + 0.92 * first_year.mean[vertical]
    )
    np.testing.assert_allclose(young.covariance, 2.0 * first_year.covariance)
    assert land.mean.min() >= 225.0
    summer = surface_statistics(summer=True)
    np.testing.assert_array_equal(summer[2].mean, summer[3].mean)


def test_the_covariance_root_gives_the_covariance_back():
    for summer in (False, True):
        for statistics in surface_statistics(summer):
            np.testing.assert_allclose(
                statistics.root @ statistics.root.T,
                statistics.covariance,
                atol=1e-4 * np.trace(statistics.covariance),
            )


def test_the_largest_footprint_ends_inside_the_margin():
    widest = max(max(widths) for widths in FOOTPRINTS_KM)
    assert 4.0 * widest / (2.0 * np.sqrt(2.0 * np.log(2.0))) <= MARGIN_CELLS * 2.0


def test_land_spills_over_farther_at_low_frequency():
    radiometer = Radiometer(4, summer=False)
    size, margin = 40, MARGIN_CELLS
    axis = Axis((0.5 - margin) * 2000.0, 2000.0, size + 2 * margin)
    without = np.zeros((5, axis.count, axis.count))
    without[0] = 1.0
    coast = without.copy()
    coast[0, :, : margin + 10], coast[4, :, : margin + 10] = 0.0, 1.0
    spill = radiometer.observe(coast, axis, axis, margin) - radiometer.observe(without, axis, axis, margin)
    twelve_km_off = spill[:, :, 16].mean(axis=1)
    assert twelve_km_off[CHANNELS.index("btemp_6_9h")] > 20.0
    assert abs(twelve_km_off[CHANNELS.index("btemp_89_0h")]) < 1.0


def test_a_scene_is_a_cut_out_of_its_surroundings():
    """What lies beyond the scene's edge is seen by the footprints of the cells inside."""
    scene = SimulatedScene(21, 500, 500, 80.0, summer=False)
    wide, _ = scene.cell_fractions(MARGIN_CELLS)
    inner, _ = scene.cell_fractions()
    cut = slice(MARGIN_CELLS, -MARGIN_CELLS)
    np.testing.assert_allclose(wide[:, cut, cut], inner, atol=1e-5)
    np.testing.assert_allclose(wide.sum(axis=0), 1.0, atol=1e-6)
    assert wide.min() >= -1e-12
