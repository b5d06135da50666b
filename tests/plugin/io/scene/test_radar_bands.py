"""Radar bands are known by what programs write of them, and what is no sigma0 of the right polarisation is no map."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.io.scene.radar_bands import RadarBand, radar_band
from floelens.tests.plugin.io.rasters import write_raster
from floelens.tests.plugin.io.scene.scene_values import COLS, GRID, MWR, RATIO, ROWS, power

ANGLES = np.linspace(19.0, 46.0, COLS, dtype=np.float32)[None].repeat(ROWS, axis=0)


@pytest.mark.parametrize(
    ("name", "polarisation", "quantity"),
    [
        ("Sigma0_HH", "hh", "sigma0"),
        ("Gamma0_HV_db", "hv", "gamma0"),
        ("Beta0_VV", "vv", "beta0"),
        ("Amplitude_HH", "hh", ""),
        ("Intensity_HV", "hv", ""),
        ("Sigma0_HH_mst_23Aug2019", "hh", "sigma0"),
        ("hv_gamma_nought", "hv", "gamma0"),
        ("gamma0-rtc-hh", "hh", "gamma0"),
        ("σ⁰ HH (dB)", "hh", "sigma0"),
        ("DN_HH", "hh", "digital numbers"),
        ("sigma0HV", "hv", "sigma0"),
    ],
)
def test_a_name_tells_polarisation_and_quantity(name, polarisation, quantity):
    assert radar_band(name) == RadarBand(polarisation, quantity)


@pytest.mark.parametrize(
    "name", ["hh_noise", "incidence_angle_hh", "HV/HH", "glcm_hh_mean", "sigma0", "", "btemp_6_9h", "hh_mask"]
)
def test_what_is_made_of_a_polarisation_is_no_band_of_it(name):
    assert radar_band(name) is None


@pytest.mark.parametrize(
    "names", [("Sigma0_HV_db", "Sigma0_HH_db"), ("HV_sigma0 [dB]", "sigma nought HH [dB]")]
)
def test_bands_of_common_programs_are_found_in_any_order(trial, names):
    fine, _, _, warnings = trial.values(trial.sar(trial.backscatter[::-1], ("", ""), names))
    np.testing.assert_array_equal(fine, trial.backscatter)
    assert not warnings


def test_a_file_for_each_polarisation_is_known_by_its_name(trial):
    """ASF HyP3: sigma0 as power, one nameless band a file."""
    stem = "S1A_EW_20190823T033023_DHP_RTC40_G_spuned_1234_{}.tif"
    made = power(trial.backscatter)
    paths = [trial.sar(made[i : i + 1], ("",), (), name=stem.format(p)) for i, p in ((0, "HH"), (1, "HV"))]
    fine, _, notes, warnings = trial.values(paths[0], ancillary=paths[1:])
    np.testing.assert_allclose(fine, trial.backscatter, rtol=0, atol=1e-5)
    assert "taken as linear power" in notes
    assert not warnings


VV = {
    "band metadata": ("sar.tif", ({"POLARISATION": "VV"}, {"POLARISATION": "VH"})),
    "a variable in metadata": ("sar.tif", ({"long_name": "Sigma0_VV_dB"}, {"long_name": "Sigma0_VH_dB"})),
    "measurement name": ("s1a-iw-grd-vv-vh-20210401t0512.tif", ()),
    "product in metadata": ("sar.tif", ({"source": "S1A_IW_GRDH_1SDV_20210401T051234"},) * 2),
    "product name": ("S1A_IW_GRDH_1SDV_20210401T051234_20210401T051259_037268.tif", ()),
}


@pytest.mark.parametrize(("name", "tags"), VV.values(), ids=VV)
def test_vertical_polarisation_without_names_is_refused_and_with_a_choice_by_hand_told(trial, name, tags):
    nameless = trial.sar(names=(), tags=tags, name=name)
    where = "it says .*" if tags else "its file name says so"
    expected = rf"{name} holds VV(/VH)? \({where}\), and model '.*' takes HH"
    with pytest.raises(SceneError, match=expected) as error:
        trial.open(nameless)
    assert len(str(error.value)) < 500
    for options in ({"channels": "hh=1,hv=2"}, {"sar": trial.sar(tags=tags, name=name)}):
        with trial.open(**{"sar": nameless, **options}) as scene:
            assert any("is VV" in warning and "taken as hh" in warning for warning in scene.warnings)


def test_horizontal_polarisation_in_the_products_name_is_no_contradiction(trial):
    name = "S1B_EW_GRDM_1SDH_20190823T033023_20190823T033123_017.tif"
    for names in ((), ("hh", "hv")):
        with trial.open(trial.sar(names=names, name=name)) as scene:
            assert not any("HH" in warning for warning in scene.warnings)


@pytest.mark.parametrize(
    ("quantity", "unit", "factor"),
    [("Gamma0", "db", np.cos), ("Gamma0", "", np.cos), ("Beta0", "db", np.sin)],
)
def test_gamma0_and_beta0_become_sigma0_by_the_incidence_angle(trial, quantity, unit, factor):
    """sigma0 = gamma0 cos(θ) = beta0 sin(θ), from the textbook's definition, pixel by pixel."""
    other = trial.backscatter - 10 * np.log10(factor(np.radians(ANGLES)))
    values = np.concatenate([other if unit else power(other), ANGLES[None]]).astype(np.float32)
    names = [f"{quantity}_{p}" + (f"_{unit}" if unit else "") for p in ("HH", "HV")]
    sar = trial.sar(values, ("", "", "deg"), [*names, "incidenceAngleFromEllipsoid"])
    with trial.open(sar) as scene:
        window = scene.grid.window
        np.testing.assert_allclose(scene.read(window).fine, trial.backscatter, rtol=0, atol=2e-5)
        assert (
            f"converted from {quantity.lower()} to sigma0 by the incidence angles of band 3" in scene.notes[0]
        )
        assert not scene.warnings
        assert scene.check_tags()["FLOELENS_UNITS"]


def test_without_an_angle_gamma0_is_told_with_its_difference_and_beta0_refused(trial):
    with trial.open(trial.sar(units=("", ""), names=("Gamma0_HH_db", "Gamma0_HV_db"))) as scene:
        assert "it is gamma0, and the network takes sigma0, which is 0.2 … 1.7 dB lower" in scene.warnings[0]
    sar = trial.sar(units=("", ""), names=("Beta0_HH_db", "Beta0_HV_db"))
    with pytest.raises(SceneError, match=r"hh of .*: it is beta0, .* 1\.4 … 4\.9 dB lower .* calibrate it"):
        trial.open(sar)
    with trial.open(sar, accept_range=True) as scene:
        assert "it is beta0" in scene.warnings[0]


@pytest.mark.parametrize(
    ("names", "made", "cause"),
    [
        (
            ("Amplitude_HH", "Amplitude_HV"),
            lambda db: np.sqrt(power(db)) * 700,
            "uncalibrated|digital numbers",
        ),
        (("Intensity_HH", "Intensity_HV"), lambda db: power(db) * 5e5, "uncalibrated|digital numbers"),
        (("DN_HH", "DN_HV"), lambda db: np.sqrt(power(db)) * 700, "digital numbers"),
    ],
)
def test_bands_that_nobody_has_calibrated_are_refused(trial, names, made, cause):
    with pytest.raises(SceneError, match=rf"hh of .*({cause}).*Calibrate it first"):
        trial.open(trial.sar(made(trial.backscatter).astype(np.float32), ("", ""), names))


def test_rasters_given_for_one_another_are_refused_by_their_names(trial, tmp_path):
    sar, mwr = trial.sar(), trial.mwr()
    with pytest.raises(SceneError) as error:
        trial.open(mwr, sar)
    assert str(error.value) == (
        f"{mwr} is given as SAR but holds btemp_6_9h … btemp_89_0v (4 channels); {sar} is given as MWR and holds hh, "
        f"hv. They are interchanged: give {sar} as SAR and {mwr} as MWR."
    )
    distance = write_raster(tmp_path / "distance.tif", trial.backscatter[:1], GRID, ["distance_map"])
    with pytest.raises(SceneError, match=rf"distance.tif is given as SAR but .* give {sar} as SAR"):
        trial.open(distance, mwr, ancillary=[sar])
    with pytest.raises(
        SceneError, match=rf"mwr.tif is given as SAR but holds btemp.*give {mwr} as|give it as MWR"
    ):
        trial.open(mwr, trial.sar(names=(), name="other.tif"))
    with trial.open(sar, mwr) as scene:
        assert not scene.warnings


def test_rasters_without_names_given_for_one_another_are_refused_by_their_bands_and_pixels(trial, tmp_path):
    sar, mwr = trial.sar(names=()), trial.mwr(names=())
    with pytest.raises(
        SceneError, match=rf"seem interchanged: .*given as SAR and has 4 bands.*Give {sar} as SAR"
    ):
        trial.open(mwr, sar)
    card = trial_card_of_two()
    both = write_raster(tmp_path / "two.tif", trial.temperatures[:2], GRID.coarser(RATIO))
    with pytest.raises(
        SceneError, match=rf"pixels of {both}, given as SAR, are 800 m, .* 80 m.*Give {sar} as SAR"
    ):
        trial.open(both, sar, card=card)
    with pytest.raises(SceneError, match="seem interchanged: the pixels"):
        trial.open(both, sar, card=card, channels="hh=1,hv=2")
    with trial.open(sar, both, card=card) as scene:
        assert all("have no names" in warning for warning in scene.warnings)


def test_temperatures_as_backscatter_are_called_temperatures(trial):
    kelvin = np.random.default_rng(3).normal(230, 9, (2, ROWS, COLS)).astype(np.float32)
    with pytest.raises(SceneError, match="brightness temperatures of a radiometer"):
        trial.open(trial.sar(kelvin, ("", "")))
    decibels = (trial.temperatures - 250) / 10
    with pytest.raises(SceneError, match=r"brightness temperatures are .*: backscatter of a radar"):
        trial.open(mwr=trial.mwr(decibels, ("dB",) * 4))


def trial_card_of_two():
    from floelens.plugin.networks.standard_channels import standard_channels
    from floelens.tests.plugin.io.rasters import card_of

    return card_of(standard_channels(("hh", "hv", *MWR[:2]), RATIO))


def test_a_card_of_gamma0_takes_gamma0_as_it_is_and_sigma0_converted(trial):
    import dataclasses

    card = trial_card_of_two()
    channels = [
        dataclasses.replace(c, name=f"gamma0_{c.name}", aliases=()) if c.sensor == "sar" else c
        for c in card.channels
    ]
    card = dataclasses.replace(card, channels=tuple(channels))
    mwr = trial.mwr()
    with trial.open(
        trial.sar(names=("Gamma0_HH_db", "Gamma0_HV_db"), units=("", "")), mwr, card=card
    ) as scene:
        np.testing.assert_array_equal(scene.read(scene.grid.window).fine, trial.backscatter)
        assert not scene.notes
        assert not scene.warnings[:-1]
    values = np.concatenate([trial.backscatter, ANGLES[None]])
    sar = trial.sar(values, ("dB", "dB", "degree"), ("sigma0_hh", "sigma0_hv", "incidence_angle"))
    with trial.open(sar, mwr, card=card) as scene:
        expected = trial.backscatter - 10 * np.log10(np.cos(np.radians(ANGLES)))
        np.testing.assert_allclose(scene.read(scene.grid.window).fine, expected, rtol=0, atol=2e-5)
