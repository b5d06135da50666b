"""Values at the door of a scene: converted where their unit is known, missing where impossible, else refused."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.ground.window import Window
from floelens.plugin.io.geometry.vector import Polygons
from floelens.plugin.io.scene.reader import Scene
from floelens.plugin.networks.card import Channel
from floelens.plugin.networks.standard_channels import standard_channels
from floelens.tests.plugin.io.rasters import affine_grid, card_of, write_raster
from floelens.tests.plugin.io.scene.scene_values import (
    CARD,
    COLS,
    GRID,
    MWR,
    RATIO,
    ROWS,
    power,
)


def test_values_in_the_networks_units_come_bit_by_bit_and_without_a_word(trial):
    fine, coarse, notes, warnings = trial.values()
    np.testing.assert_array_equal(fine, trial.backscatter)
    np.testing.assert_array_equal(coarse, trial.temperatures)
    assert not notes
    assert not warnings
    with trial.open() as scene:
        assert scene.conclude() == ([], [])
        assert scene.check_tags() == {}


@pytest.mark.parametrize(
    ("made", "units", "names", "tags"),
    [
        (power, ("1", "1"), ("hh", "hv"), ()),
        (power, ("m2/m2", "intensity"), ("hh", "hv"), ()),
        (power, ("", ""), ("Sigma0_HH", "Sigma0_HV"), ()),
        (power, ("", ""), ("hh_linear", "hv (power)"), ()),
        (power, ("", ""), ("hh", "hv"), ({"units": "linear"}, {"UNITS": "m/m"})),
        (power, ("", ""), ("hh", "hv"), ({"long_name": "HH [linear]"}, {"long_name": "HV [linear]"})),
        (lambda db: np.sqrt(power(db)), ("amplitude", "amplitude"), ("hh", "hv"), ()),
        (lambda db: 100 * db, ("0.01 dB", "dB*100"), ("hh", "hv"), ()),
        (lambda db: db, ("", ""), ("Sigma0_HH_db", "Sigma0_HV_db"), ()),
        (lambda db: db, ("decibel", "DB"), ("HH_dB", "hv in dB"), ()),
    ],
    ids=[
        "one",
        "spelled",
        "snap",
        "names",
        "key",
        "long_name",
        "amplitude",
        "hundredths",
        "snap_db",
        "spelled_db",
    ],
)
def test_backscatter_in_any_declared_unit_is_the_right_backscatter(trial, made, units, names, tags):
    fine, _, _, warnings = trial.values(trial.sar(made(trial.backscatter), units, names, tags))
    np.testing.assert_allclose(fine, trial.backscatter, rtol=0, atol=1e-5)
    assert not warnings


@pytest.mark.parametrize(
    ("made", "unit"),
    [
        (lambda k: k - 273.15, "degC"),
        (lambda k: k - 273.15, "degrees Celsius"),
        (lambda k: (k - 273.15) * 1.8 + 32, "°F"),
        (lambda k: k * 100, "0.01 K"),
        (lambda k: k * 10, "decikelvin"),
        (lambda k: k, "Kelvin"),
    ],
)
def test_temperatures_in_any_declared_unit_are_the_right_temperatures(trial, made, unit):
    mwr = trial.mwr(made(trial.temperatures.astype(np.float64)).astype(np.float32), (unit,) * 4)
    _, coarse, _, warnings = trial.values(mwr=mwr)
    np.testing.assert_allclose(coarse, trial.temperatures, rtol=0, atol=3e-3 if "°F" in unit else 1e-3)
    assert not warnings


def test_integers_with_scale_and_offset_are_measured_after_both(trial):
    path = trial.mwr(np.round((trial.temperatures - 200) * 100).astype(np.int16))
    with rasterio.open(path, "r+") as raster:
        raster.scales, raster.offsets = (0.01,) * 4, (200.0,) * 4
    np.testing.assert_allclose(trial.values(mwr=path)[1], trial.temperatures, atol=6e-3)


def test_what_was_converted_or_assumed_is_told_in_notes_and_tags(trial):
    sar = trial.sar(power(trial.backscatter), ("1", "1"))
    with trial.open(sar, trial.mwr(units=("",) * 4)) as scene:
        assert scene.notes == (
            f"{sar}: hh, hv: converted from linear power ('1') to dB.",
            f"{trial.folder / 'mwr.tif'}: btemp_6_9h … btemp_89_0v (4 channels): no unit declared; taken as K, which "
            "its values fit.",
        )
        assert scene.check_tags() == {
            "FLOELENS_UNITS": "hh, hv: converted from linear power ('1') to dB; btemp_6_9h … btemp_89_0v (4 channels): "
            "no unit declared; taken as K, which its values fit"
        }


@pytest.mark.parametrize(
    ("made", "units", "cause"),
    [
        (power, ("", ""), "linear power or amplitude"),
        (power, ("dB", "dB"), "linear power or amplitude"),
        (lambda db: np.round(np.sqrt(power(db)) * 500), ("", ""), "digital numbers"),
        (lambda db: np.round(np.sqrt(power(db)) * 500), ("amplitude",) * 2, "digital numbers"),
        (lambda db: np.sqrt(power(db)) * 500, ("DN", "DN"), "digital numbers"),
        (lambda db: np.round(100 * db), ("", ""), "hundredths of dB"),
        (
            lambda db: np.clip(np.round(120 + 4 * db), 0, 255),
            ("", ""),
            "digital numbers of a product, or an optical",
        ),
        (lambda db: db + 60, ("", ""), "uncalibrated intensities"),
        (lambda db: 0 * db, ("dB", "dB"), "without data"),
        (lambda db: 0 * db + np.float32(1e30), ("dB", "dB"), "without data"),
        (lambda db: -power(db), ("", ""), "another quantity"),
    ],
)
def test_backscatter_that_fits_nothing_is_refused_with_its_likely_cause(trial, made, units, cause):
    sar = trial.sar(made(trial.backscatter).astype(np.float32), units)
    with pytest.raises(
        SceneError, match=f"^hh of .*sar.tif is .*backscatter are -80 … 40 dB: .*{cause}"
    ) as error:
        trial.open(sar)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize("factor", [0.1, np.log(10) / 10])  # log10 and ln of power
@pytest.mark.parametrize("unit", ["", "dB"])
def test_logarithms_of_power_that_are_no_decibels_are_refused(trial, factor, unit):
    sar = trial.sar((trial.backscatter * factor).astype(np.float32), (unit, unit))
    with pytest.raises(SceneError, match=r"(log10|natural logarithm) of power"):
        trial.open(sar)


@pytest.mark.parametrize(
    ("factor", "unit"), [(0.1, "log10(power)"), (0.1, "bel"), (np.log(10) / 10, "ln(power)")]
)
def test_declared_logarithms_of_power_become_decibels(trial, factor, unit):
    sar = trial.sar((trial.backscatter * factor).astype(np.float32), (unit, unit))
    fine, _, _, warnings = trial.values(sar=sar)
    np.testing.assert_allclose(fine, trial.backscatter, rtol=0, atol=1e-4)
    assert not warnings


@pytest.mark.parametrize(
    ("made", "unit", "cause"),
    [
        (
            lambda k: k - 273.15,
            "",
            "^btemp_6_9h of .* is -202.3 … -180.7; brightness temperatures are 50 … 350 K: °C",
        ),
        (lambda k: k - 273.15, "K", "declared as 'K'; .*: °C"),
        (lambda k: np.round(k * 100), "", "hundredths of K"),
        (lambda k: np.round(k * 10), "", "tenths of K"),
        (lambda k: k * 1e6, "", "another quantity"),
        (lambda k: -100 * k, "K", "another quantity"),
        (lambda k: 0 * k, "K", "without data"),
    ],
)
def test_temperatures_that_fit_nothing_are_refused_with_their_likely_cause(trial, made, unit, cause):
    with pytest.raises(SceneError, match=cause):
        trial.open(mwr=trial.mwr(made(trial.temperatures).astype(np.float32), (unit,) * 4))


@pytest.mark.parametrize("fill", [-9999.0, -32768.0, 1e20, -3.4028235e38, 0.0, 655.35, np.inf])
def test_undeclared_fills_are_missing_data_and_counted(trial, fill):
    """Twelve rows of 120 by 20 of 160 columns are 1.25 % of the scene; 2 of 192 cells 1.04 %."""
    holes = trial.backscatter.copy()
    holes[0, 12:24, 40:60] = fill
    cells = trial.temperatures.copy()
    cells[2, 3, 4:6] = fill
    with trial.open(trial.sar(holes), trial.mwr(cells)) as scene:
        patch = scene.read(scene.grid.window)
        expected = np.ones((ROWS, COLS), bool)
        expected[12:24, 40:60] = expected[30:40, 40:60] = False
        np.testing.assert_array_equal(patch.valid, expected)
        np.testing.assert_array_equal(patch.fine[1], trial.backscatter[1])
        _, warnings = scene.conclude()
        assert scene.check_tags().get("FLOELENS_OUT_OF_RANGE") == (
            None if np.isinf(fill) else "hh 240 of 19200 (1.2 %); btemp_89_0h 2 of 192 (1 %)"
        )
        if not np.isinf(fill):
            assert len(warnings) == 2
            assert "hh 240 of 19200 (1.2 %)" in warnings[0]
            assert set(warnings) <= set(scene.warnings)


def test_few_impossible_values_are_a_note_and_no_warning(trial):
    holes = trial.backscatter.copy()
    holes[1, 7, 9] = 77.0
    with trial.open(trial.sar(holes)) as scene:
        scene.read(scene.grid.window)
        notes, warnings = scene.conclude()
        assert not warnings
        assert len(notes) == 1
        assert "hv 1 of 19200 (0.0052 %)" in notes[0]


def test_pixels_are_counted_once_however_windows_overlap(trial):
    draw = np.random.default_rng(1)
    holes = trial.backscatter.copy()
    holes[0][draw.random((ROWS, COLS)) < 0.05] = -9999.0
    holes[1][draw.random((ROWS, COLS)) < 0.10] = np.nan
    holes[1][draw.random((ROWS, COLS)) < 0.02] = 1e20
    expected = {
        "hh": (int((holes[0] == -9999).sum()), ROWS * COLS),
        "hv": (int((holes[1] == np.float32(1e20)).sum()), int(np.isfinite(holes[1]).sum())),
    }
    with trial.open(trial.sar(holes)) as scene:
        for _ in range(60):
            row, col = (int(draw.integers(0, size // RATIO)) * RATIO for size in (ROWS, COLS))
            scene.read(
                Window(row, col, *(int(n) for n in draw.integers(1, 70, 2))).intersection(scene.grid.window)
            )
        for part in scene.grid.window.split(50, 30):
            scene.read(part.grown(10, scene.grid.window))
        counts = scene._checks.out_of_range
        assert {name: (count.outside, count.valid) for name, count in counts.items()} == expected


def test_only_the_extent_is_counted(trial):
    holes = trial.backscatter.copy()
    holes[:, :60] = -9999.0  # half of the scene, none of the extent
    x, y = GRID.pixel_to_map(np.array([82.0, 111.0]), np.array([15.0, 70.0]))
    region = Polygons.rectangle(x[0], y[1], x[1], y[0], GRID.crs)
    with trial.open(trial.sar(holes), region=region) as scene:
        scene.read(scene.grid.window)
        assert scene.conclude() == ([], [])


def test_a_fifth_of_a_band_outside_is_an_error_unless_it_is_accepted(trial):
    holes = trial.backscatter.copy()
    holes[0, :36] = -9999.0  # 30 %
    sar = trial.sar(holes)
    with pytest.raises(
        SceneError,
        match=r"^30 % of the values of hh in .* are impossible \(-9999\).*no-data.*, or set ACCEPT_RANGE",
    ):
        trial.open(sar)
    with trial.open(sar, accept_range=True) as scene:
        patch = scene.read(scene.grid.window)
        np.testing.assert_array_equal(patch.valid, np.arange(ROWS)[:, None].repeat(COLS, 1) >= 36)
        _, warnings = scene.conclude()
        assert "hh 5760 of 19200 (30 %)" in warnings[0]
        assert scene.check_tags()["FLOELENS_ACCEPT_RANGE"] == "yes"


def test_impossible_values_that_no_probe_meets_end_the_run_before_its_results(trial, monkeypatch):
    monkeypatch.setattr("floelens.plugin.io.scene.measured.PROBE_ROWS", 2)
    monkeypatch.setattr("floelens.plugin.io.scene.measured.PROBE_COLS", 2)
    holes = trial.backscatter.copy()
    holes[:, ROWS // 2 :] = np.nan
    holes[1, :12], holes[1, 18:24] = (
        1e20,
        1e20,
    )  # 15 % of all pixels, 30 % of those with data, none of them probed
    with trial.open(trial.sar(holes)) as scene:
        scene.read(scene.grid.window)
        with pytest.raises(SceneError, match=r"^30 % of the values of hv in .* are impossible \(1e\+20\)"):
            scene.conclude()


def test_values_that_fit_no_unit_can_be_accepted_with_a_warning(trial):
    sar = trial.sar(power(trial.backscatter), ("", ""))
    with trial.open(sar, accept_range=True) as scene:
        np.testing.assert_array_equal(scene.read(scene.grid.window).fine, power(trial.backscatter))
        assert any("Accepted as ACCEPT_RANGE says" in warning for warning in scene.warnings)


@pytest.mark.parametrize("which", ["sar", "mwr"])
def test_a_band_without_variance_is_refused(trial, which):
    backscatter, temperatures = trial.backscatter.copy(), trial.temperatures.copy()
    (backscatter if which == "sar" else temperatures)[1] = {"sar": -22.5, "mwr": 220.0}[which]
    with pytest.raises(
        SceneError, match=f"of .*{which}.tif is .* everywhere: no sensor measures without variance"
    ):
        trial.open(trial.sar(backscatter), trial.mwr(temperatures))
    with trial.open(trial.sar(backscatter), trial.mwr(temperatures), accept_range=True) as scene:
        assert any("without variance" in warning for warning in scene.warnings)


def test_one_band_for_two_channels_is_refused(trial):
    with pytest.raises(SceneError, match=r"Band 1 of .* is taken as hh and hv"):
        trial.open(channels="hh=1,hv=1")


@pytest.mark.parametrize("which", ["sar", "mwr"])
def test_a_band_that_was_copied_is_refused_as_another_channel(trial, which):
    backscatter, temperatures = trial.backscatter.copy(), trial.temperatures.copy()
    values = backscatter if which == "sar" else temperatures
    values[1] = values[0]
    with pytest.raises(SceneError, match="hold the same values in"):
        trial.open(trial.sar(backscatter), trial.mwr(temperatures))


def test_a_declared_unit_that_the_values_contradict_is_a_warning(trial):
    _, coarse, _, warnings = trial.values(mwr=trial.mwr(units=("degC",) * 4))
    np.testing.assert_array_equal(coarse, trial.temperatures)
    assert "declared as 'degC', but its values are K and are taken so" in warnings


def test_a_foreign_unit_is_a_warning_where_the_values_fit(trial):
    fine, _, _, warnings = trial.values(trial.sar(units=("m", "m")))
    np.testing.assert_array_equal(fine, trial.backscatter)
    assert "declared as 'm', which is no unit of it; taken as dB" in warnings


def test_a_network_that_takes_power_or_celsius_gets_it(trial):
    plain = {c.name: c for c in CARD.channels}
    channels = [
        Channel("hh", "sar", "fine", "linear power", 0.05, 0.05, polarisation="hh"),
        plain["hv"],
        Channel("btemp_6_9h", "mwr", "coarse", "degC", -120.0, 60.0, ratio=RATIO, polarisation="h"),
        *(plain[name] for name in MWR[1:]),
    ]
    fine, coarse, notes, _ = trial.values(card=card_of(channels))
    np.testing.assert_allclose(fine[0], power(trial.backscatter[0]), rtol=1e-6)
    np.testing.assert_array_equal(fine[1], trial.backscatter[1])
    np.testing.assert_allclose(coarse[0], trial.temperatures[0] - 273.15, atol=1e-4)
    assert "converted from dB to linear power" in notes
    assert "converted from K to °C" in notes


def test_channels_without_a_unit_are_taken_as_they_are(trial):
    bare = [Channel("hh", "sar", "fine", "1", 0.0, 1.0), Channel("hv", "sar", "fine", "1", 0.0, 1.0)]
    standardised = np.random.default_rng(3).normal(size=(2, ROWS, COLS)).astype(np.float32)
    with Scene.open(card_of(bare), trial.sar(standardised, ("", ""))) as scene:
        np.testing.assert_array_equal(scene.read(scene.grid.window).fine, standardised)
        assert not scene.warnings
        assert not scene.notes


def test_weather_and_angles_are_converted_too(trial):
    names = ("incidence_angle", "t2m", "u10m_rotated", "tcwv")
    card = card_of([*CARD.channels, *standard_channels(names, RATIO)])
    draw = np.random.default_rng(8)
    angle = np.broadcast_to(np.linspace(20, 46, COLS), (1, ROWS, COLS)).astype(np.float32)
    weather = [
        draw.normal(mean, sd, (ROWS // RATIO, COLS // RATIO)) for mean, sd in ((265, 3), (4, 3), (8, 1))
    ]
    fine = trial._write("angle.tif", np.radians(angle), GRID, names[:1], ("radian",), ())
    made = np.stack([weather[0] - 273.15, weather[1] / 0.514444, weather[2] * 1000]).astype(np.float32)
    coarse = trial._write("weather.tif", made, GRID.coarser(RATIO), names[1:], ("degC", "knots", "g m-2"), ())
    with trial.open(card=card, ancillary=[fine, coarse]) as scene:
        patch = scene.read(scene.grid.window)
        np.testing.assert_allclose(patch.fine[2], angle[0], rtol=1e-6)
        np.testing.assert_allclose(patch.coarse[4:], np.stack(weather), rtol=2e-5)
    bare = trial._write("bare.tif", np.radians(angle), GRID, names[:1], ("",), ())
    with pytest.raises(SceneError, match="incidence angles are 5 … 85 °: radian"):
        trial.open(card=card, ancillary=[bare, coarse])


def test_a_probe_reads_a_bounded_part_of_a_large_raster(tmp_path, monkeypatch):
    from floelens.plugin.io.files.raster import open_raster
    from floelens.plugin.io.scene.measured import PROBE_COLS, PROBE_ROWS, probe

    grid = affine_grid(1500, 1300)
    path = write_raster(tmp_path / "large.tif", np.zeros((1, 1500, 1300), np.uint8), grid, tiled=True)
    with open_raster(path) as raster:
        read = []
        monkeypatch.setattr(
            raster,
            "_read",
            lambda _bands, window: read.append(window) or np.zeros((1, window.rows, window.cols)),
        )
        sample, whole = probe(raster, [1], grid.window)
    assert not whole
    assert sample.shape[1] == sum(w.rows * w.cols for w in read)
    assert len(read) <= 16
    assert max(w.rows * w.cols for w in read) <= PROBE_ROWS * PROBE_COLS
    assert min(w.row for w in read) < 300 < 1100 < max(w.row for w in read)
