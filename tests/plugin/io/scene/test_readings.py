"""Undeclared backscatter: decibels are taken, what would be another scene in another unit is refused."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.io.scene.readings import other_readings
from floelens.plugin.networks.standard_channels import standard_channels
from floelens.tests.plugin.io.rasters import card_of
from floelens.tests.plugin.io.scene.scene_values import MWR, RATIO

ONLY_HH = card_of(standard_channels(("hh", *MWR), RATIO))
UNITS = {
    "log10 of power": lambda db: db / 10,
    "natural logarithm of power": lambda db: np.log(10 ** (db / 10)),
    "log2 of power": lambda db: np.log2(10 ** (db / 10)),
    "log10 of amplitude": lambda db: np.log10(10 ** (db / 20)),
    "natural logarithm of amplitude": lambda db: np.log(10 ** (db / 20)),
    "standardised values": lambda db: (db + 14.5) / 5.7,
}


@pytest.mark.parametrize("written", UNITS)
@pytest.mark.parametrize("unit", ["", "1"])
def test_a_raster_of_hh_alone_in_another_unit_is_refused_with_its_likely_one(trial, written, unit):
    sar = trial.sar(UNITS[written](trial.backscatter[:1]).astype(np.float32), (unit,), ("hh",))
    with pytest.raises(SceneError, match=r"hh (of|in) .*sar.tif") as error:
        trial.open(sar, card=ONLY_HH)
    assert len(str(error.value)) < 500
    if "power" in written:  # the others are as bright as no scene is, whatever its unit
        assert written in str(error.value)


@pytest.mark.parametrize("written", list(UNITS)[:-1])
def test_cross_polarisation_of_a_dark_sea_in_another_unit_is_refused(trial, written):
    """A tenth of it lies below -8, as decibels do; a calm scene has its mean at the noise floor and below."""
    dark = trial.backscatter + np.array([0, -7], np.float32)[:, None, None]
    hv = UNITS[written](dark[1])
    sar = trial.sar(np.stack([dark[0], hv]).astype(np.float32), ("dB", ""))
    with pytest.raises(SceneError, match=r"^hv of .*sar.tif is .*unit") as error:
        trial.open(sar)
    if "amplitude" not in written:
        assert written in str(error.value)


def test_decibels_that_were_made_of_amplitude_are_refused_where_no_unit_vouches_for_them(trial):
    with pytest.raises(SceneError, match=r"hv of .*10 log10 of amplitude"):
        trial.open(trial.sar(trial.backscatter / 2, ("", "")))
    # Halved it is -14.5 and -18, as ice might be but for what lies between.
    dark = trial.backscatter - [[[15]], [[11]]]
    sar = trial.sar((dark / 2).astype(np.float32), ("", ""))
    with pytest.raises(SceneError, match=r"hv is -18 dB on average and only 3\.5 dB below hh") as error:
        trial.open(sar)
    assert len(str(error.value)) < 500
    with trial.open(sar, accept_range=True) as scene:
        assert any("half of dB" in warning for warning in scene.warnings)
    with trial.open(trial.sar(dark.astype(np.float32), ("", ""))) as scene:
        assert not any("half of dB" in warning for warning in scene.warnings)


def test_who_says_that_they_are_decibels_is_believed(trial):
    values = (trial.backscatter[:1] / 10).astype(np.float32)
    with trial.open(trial.sar(values, ("dB",), ("hh",)), card=ONLY_HH) as scene:
        assert any("outside of what model" in warning for warning in scene.warnings)
    with trial.open(trial.sar(values, ("",), ("hh",)), card=ONLY_HH, accept_range=True) as scene:
        assert any("log10 of power" in warning for warning in scene.warnings)
        assert "hh: accepted against the checks" in scene.check_tags()["FLOELENS_UNITS"]


@pytest.mark.parametrize("crossed", [False, True])
def test_usual_scenes_are_decibels_whatever_their_wind_ice_and_season(crossed):
    """Medians from the darkest sea to rough ice, spreads from a part of a scene to one of calm sea and bright ice."""
    draw = np.random.default_rng(3).normal(size=2000)
    for median in np.arange(-34.0, -16.0, 1.5) if crossed else np.arange(-26.0, -6.0, 1.5):
        for spread in (1.4, 2.5, 4.0, 7.0):
            assert other_readings(median + spread * draw, crossed) == (), (median, spread)
