"""Simulated scenes: their ice, their windows, their radar image."""

from __future__ import annotations

import tracemalloc
from functools import lru_cache

import numpy as np
import pytest
from floelens.plugin.core.simulation import FLOOR_DB, LAND, UNKNOWN, Climate, SimulatedScene
from floelens.plugin.core.simulation.backscatter import Backscatter
from floelens.plugin.core.simulation.ice import FIRST_YEAR, MULTI_YEAR, WATER, YOUNG, IceGeography
from floelens.plugin.core.simulation.noise import Axis
from floelens.plugin.ground.errors import ParameterError
from floelens.plugin.ground.window import Window
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import digamma

ROWS, COLS = 430, 515


@pytest.fixture(scope="module")
def scene() -> SimulatedScene:
    return SimulatedScene(3, ROWS, COLS, 80.0, summer=False)


@lru_cache(maxsize=1)
def whole_scene() -> tuple[np.ndarray, np.ndarray]:
    """Return radar image and chart of the scene, made in one piece."""
    scene = SimulatedScene(3, ROWS, COLS, 80.0, summer=False)
    return scene.backscatter(scene.window), scene.chart(scene.window)


@pytest.fixture(scope="module")
def whole() -> tuple[np.ndarray, np.ndarray]:
    return whole_scene()


def radar(seed: int = 8, width: float = 410e3, summer: bool = False) -> Backscatter:
    return Backscatter(seed, Climate.draw(seed, summer), width, 80.0)


# Windows and seeds


@settings(max_examples=15, deadline=None)
@given(st.integers(0, ROWS - 1), st.integers(0, COLS - 1), st.integers(1, 230), st.integers(1, 230))
def test_any_window_is_the_whole_scene_there_byte_by_byte(row, col, rows, cols):
    made = SimulatedScene(3, ROWS, COLS, 80.0, summer=False)
    window = Window(row, col, rows, cols).intersection(made.window)
    backscatter, chart = whole_scene()
    assert made.backscatter(window).tobytes() == backscatter[(slice(None), *window.slices())].tobytes()
    assert made.chart(window).tobytes() == chart[(slice(None), *window.slices())].tobytes()


def test_the_same_seed_makes_the_same_scene_and_another_one_another(scene, whole):
    again = SimulatedScene(3, ROWS, COLS, 80.0, summer=False)
    assert again.backscatter(again.window).tobytes() == whole[0].tobytes()
    assert again.brightness_temperature().tobytes() == scene.brightness_temperature().tobytes()
    other = SimulatedScene(4, ROWS, COLS, 80.0, summer=False)
    assert not np.array_equal(other.backscatter(Window(0, 0, 50, 50)), whole[0][:, :50, :50])
    assert not np.array_equal(other.brightness_temperature(), scene.brightness_temperature())


def test_a_strip_of_a_huge_scene_needs_little_memory():
    tracemalloc.start()
    scene = SimulatedScene(6, 10_000, 10_000, 80.0)
    assert scene.backscatter(Window(4000, 0, 100, 10_000)).shape == (2, 100, 10_000)
    assert scene.brightness_temperature().shape == (14, 400, 400)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500 * 2**20


def test_impossible_sizes_are_refused():
    with pytest.raises(ParameterError, match="ROWS and COLS"):
        SimulatedScene(1, 0, 100, 80.0)
    with pytest.raises(ParameterError, match="PIXEL_SIZE is 5 m"):
        SimulatedScene(1, 100, 100, 5.0)


@pytest.mark.parametrize(("pixel_size", "ratio"), [(40.0, 50), (80.0, 25), (93.0, 22), (2000.0, 1)])
def test_cells_are_as_many_pixels_as_two_kilometres_hold(pixel_size, ratio):
    scene = SimulatedScene(1, 105, 99, pixel_size)
    assert scene.ratio == ratio
    assert scene.cell_shape == (-(-105 // ratio), -(-99 // ratio))


# Ice


def test_concentration_and_types_stay_within_their_ranges(whole):
    percent, icetype = whole[1]
    sea = percent != 255
    assert percent[sea].max() <= 100
    assert set(np.unique(icetype)) <= {0, 1, 2, 3, 255}
    np.testing.assert_array_equal(icetype == 255, ~sea)


def test_a_large_scene_has_pack_margin_and_open_water():
    shares = []
    for seed in range(12):
        fractions, _ = SimulatedScene(seed, 5000, 5000, 80.0).cell_fractions()
        water = fractions[0] / np.maximum(1.0 - fractions[4], 1e-9)
        sea = fractions[4] < 0.5
        shares.append([(water[sea] > 0.99).mean(), (water[sea] < 0.2).mean(), 1.0 - sea.mean()])
    open_water, pack, land = np.mean(shares, axis=0)
    assert 0.2 < open_water < 0.7
    assert 0.15 < pack < 0.7
    assert 0.005 < land < 0.3


def test_open_water_in_the_type_chart_is_where_the_concentration_is_under_15_percent(scene):
    surface = scene.surface(scene.window)
    sea = np.isfinite(surface.concentration)
    np.testing.assert_array_equal(surface.icetype[sea] == WATER, surface.concentration[sea] < 0.15)


@pytest.mark.parametrize("concentration", [0.0, 0.15, 0.5, 0.8, 0.95, 1.0])
def test_floes_and_leads_cover_the_share_that_the_concentration_says(concentration):
    shares = []
    for seed in range(4):
        geography = IceGeography(seed, Climate.draw(seed, False), (0.0, 0.0), 400e3, 80.0)
        # Pieces far apart: within one, floes of kilometres leave few independent draws.
        for piece in range(6):
            rows, cols = Axis(piece * 60e3, 160.0, 200), Axis(piece * 35e3, 160.0, 200)
            field = np.full((200, 200), concentration, dtype=np.float32)
            shares.append(geography.is_ice(rows, cols, field).mean())
    assert np.mean(shares) == pytest.approx(concentration, abs=0.035)


def test_types_of_floes_have_the_expected_shares():
    climate = Climate.draw(2, False)
    geography = IceGeography(2, climate, (0.0, 0.0), 400e3, 80.0)
    stage = np.float32(climate.multi_year_above - 0.1)
    found = []
    for piece in range(12):
        rows, cols = Axis(piece * 50e3, 160.0, 200), Axis(piece * 70e3, 160.0, 200)
        found.append(
            geography.region_type(stage + np.float32(0.35) * geography._floe_stage.evaluate(rows, cols))
        )
    expected = geography.type_fractions(np.array([stage]))[:, 0]
    assert expected.sum() == pytest.approx(1.0)
    for code, share in zip((YOUNG, FIRST_YEAR, MULTI_YEAR), expected):
        assert np.mean(np.array(found) == code) == pytest.approx(share, abs=0.06)


def test_summer_has_no_young_ice():
    for seed in range(4):
        fractions, _ = SimulatedScene(seed, 2000, 2000, 80.0, summer=True).cell_fractions()
        assert fractions[1].max() == 0.0


def test_the_centre_of_a_scene_is_sea():
    for seed in range(30):
        scene = SimulatedScene(seed, 400, 400, 80.0)
        assert scene.surface(Window(200, 200, 1, 1)).classes[0, 0] != LAND


# A given chart


def test_a_given_chart_is_followed():
    chart = np.zeros((ROWS, COLS), dtype=np.float32)
    chart[:, 300:] = 80.0
    chart[:60, :60] = 254.0
    chart[60:120, :60] = 255.0
    chart[120:150, :60] = np.nan
    scene = SimulatedScene(3, ROWS, COLS, 80.0, chart=lambda window: chart[window.slices()], summer=False)
    percent, icetype = scene.chart(scene.window)
    np.testing.assert_array_equal(percent[150:], chart[150:])
    assert (percent[:150, :60] == 255).all()
    assert (icetype[:150, :60] == 255).all()
    backscatter = scene.backscatter(scene.window)
    assert np.isfinite(backscatter[:, :60]).all(), "land is seen by the radar"
    assert np.isnan(backscatter[:, 60:150, :60]).all(), "where nothing is known nothing is simulated"
    classes = scene.surface(scene.window).classes
    assert (classes[:60, :60] == LAND).all()
    assert (classes[60:150, :60] == UNKNOWN).all()
    assert (classes[:, 310:] != WATER).mean() == pytest.approx(0.8, abs=0.12)
    temperature = scene.brightness_temperature()
    assert np.nanmean(temperature[6, :, 15:]) > np.nanmean(temperature[6, 8:, :8]) + 30.0


def test_cells_of_a_given_chart_hold_its_means():
    values = (
        np.random.default_rng(0).choice([0.0, 30.0, 90.0, 100.0, 254.0, 255.0], size=(60, 90)).astype("f4")
    )
    scene = SimulatedScene(3, 60, 90, 80.0, chart=lambda window: values[window.slices()])
    fractions, known = scene.cell_fractions()
    for row in range(3):
        for col in range(4):
            cell = values[row * 25 : row * 25 + 25, col * 25 : col * 25 + 25]
            sea, land = cell[cell <= 100], (cell == 254).sum()
            share = land / (land + sea.size)
            assert fractions[4, row, col] == pytest.approx(share)
            assert fractions[1:4, row, col].sum() == pytest.approx((1 - share) * sea.mean() / 100)
            assert known[row, col] == ((cell != 255).mean() >= 0.5)
    np.testing.assert_allclose(fractions.sum(axis=0), 1.0)


# Radar


def test_backscatter_is_finite_and_not_below_its_floor(whole):
    assert np.isfinite(whole[0]).all()
    assert whole[0].min() >= FLOOR_DB - 1e-4
    assert whole[0].max() < 10.0


def test_measured_intensity_is_signal_plus_what_subtraction_leaves():
    """E[(s + n) g − n (1 + w)] = s − n w, and its variance is (s + n)² / looks."""
    antenna = radar()
    rows, cols = Axis(40.0, 80.0, 400), Axis(120e3, 80.0, 400)
    classes = np.full((400, 400), MULTI_YEAR, dtype=np.uint8)
    concentration = np.ones((400, 400), dtype=np.float32)
    observed = 10 ** (antenna.observe(rows, cols, classes, concentration, (0, 0)).astype(np.float64) / 10)
    signal = 10 ** (antenna.mean(rows, cols, classes, concentration).astype(np.float64) / 10)
    noise, wrong = antenna.noise(rows, cols)
    surprise = (observed - (signal - noise * wrong)) / (signal + noise)
    assert surprise.mean(axis=(1, 2)) == pytest.approx(
        [0.0, 0.0], abs=5.0 / np.sqrt(antenna.looks * 400 * 400)
    )
    assert surprise.var(axis=(1, 2)) == pytest.approx([1 / antenna.looks] * 2, rel=0.03)


@pytest.mark.parametrize(
    ("code", "hh", "hv", "slope"),
    [(1, -17.0, -28.5, -0.26), (2, -14.0, -24.0, -0.22), (3, -10.5, -18.5, -0.16)],
)
def test_each_type_of_ice_has_its_mean_and_its_incidence_slope(code, hh, hv, slope):
    """Over many scenes, since regions and scenes differ by a dB or so."""
    found = []
    for seed in range(40):
        antenna = radar(seed)
        rows, cols = Axis(0.0, 900.0, 30), Axis(900.0, 8000.0, 51)
        classes = np.full((30, 51), code, dtype=np.uint8)
        decibel = antenna.mean(rows, cols, classes, np.ones((30, 51), np.float32)).mean(axis=1)
        angle = antenna.angle(cols) - 30.0
        found.append([*np.polyfit(angle, decibel[0], 1), np.polyfit(angle, decibel[1], 1)[1]])
    fitted = np.mean(found, axis=0)
    assert fitted[0] == pytest.approx(slope, abs=0.03)
    # Ridges brighten some pixels of the rougher types.
    assert fitted[1] == pytest.approx(hh, abs=1.0)
    assert fitted[2] == pytest.approx(hv, abs=1.0)


def test_speckle_in_decibels_has_the_spread_its_looks_say():
    antenna = radar()
    rows, cols = Axis(0.0, 80.0, 300), Axis(0.0, 80.0, 300)
    classes = np.full((300, 300), LAND, dtype=np.uint8)
    observed = antenna.observe(rows, cols, classes, np.ones((300, 300), np.float32), (1, 1))[0]
    clean = antenna.mean(rows, cols, classes, np.ones((300, 300), np.float32))[0]
    ten_over_ln10 = 10.0 / np.log(10.0)
    expected = ten_over_ln10 * (digamma(antenna.looks) - np.log(antenna.looks))
    assert (observed - clean).mean() == pytest.approx(expected, abs=0.15)


def test_open_water_is_steep_in_incidence_angle_and_brighter_in_wind():
    calm, rough = None, None
    for seed in range(25):
        antenna = radar(seed)
        rows, cols = Axis(0.0, 900.0, 40), Axis(900.0, 8000.0, 51)
        classes = np.zeros((40, 51), dtype=np.uint8)
        decibel = antenna.mean(rows, cols, classes, np.zeros((40, 51), np.float32))
        slope = np.polyfit(antenna.angle(cols), decibel[0].mean(axis=0), 1)[0]
        assert slope < -0.35
        if antenna.mean_wind < 4.0:
            calm = decibel.mean(axis=(1, 2))
        if antenna.mean_wind > 9.0:
            rough = decibel.mean(axis=(1, 2))
    assert (rough > calm + 2.0).all()


def test_the_noise_left_in_hv_steps_at_the_sub_swaths_and_repeats_along_track():
    antenna = radar()
    rows, cols = Axis(0.0, 500.0, 400), Axis(40.0, 80.0, 5125)
    noise, wrong = antenna.noise(rows, cols)
    angle = antenna.angle(cols)
    assert angle[0] == pytest.approx(19.0, abs=0.02)
    assert angle[-1] == pytest.approx(47.0, abs=0.02)
    inside = np.searchsorted((28.0, 33.0, 38.0, 42.5), angle)
    levels = [wrong[:, inside == number].mean() for number in range(5)]
    assert np.abs(np.diff(levels)).min() > 1e-3
    jumps = np.abs(np.diff(10 * np.log10(noise[0])))
    assert jumps.max() > 0.3
    assert np.median(jumps) < 0.02
    along = wrong[:, 100] - wrong[:, 100].mean()
    spectrum = np.abs(np.fft.rfft(along))
    period = 400 * 500.0 / (1 + np.argmax(spectrum[1:]))
    assert 13e3 < period < 25e3


def test_a_narrow_scene_sees_a_part_of_the_swath():
    for seed in range(20):
        antenna = radar(seed, width=40e3)
        angle = antenna.angle(Axis(40.0, 80.0, 500))
        assert 19.0 <= angle[0] < angle[-1] <= 47.0
        assert angle[-1] - angle[0] < 3.0
