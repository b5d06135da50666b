"""Scenes unlike those that a network was trained on, and radiometry of another time, are named."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.io.scene.reader import Scene
from floelens.plugin.networks.standard_channels import MWR_CHANNELS, standard_channels
from floelens.tests.plugin.io.rasters import card_of


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (
            lambda k: k + [[[0]], [[0]], [[-60]], [[-90]]],
            r"btemp_89_0v is 159.8 ± 3.89 K \(training: 241.3 ± 16.3 K\)",
        ),
        (
            lambda k: np.broadcast_to(k[3], k.shape) + [[[0]], [[0.1]], [[0.2]], [[0.3]]],
            r"89_0v − btemp_89_0h is \+0.1 K",
        ),
    ],
    ids=["far", "one channel as all"],
)
def test_a_scene_outside_of_the_networks_experience_is_told_with_both_numbers(trial, made, told):
    import re

    with trial.open(mwr=trial.mwr(made(trial.temperatures).astype(np.float32))) as scene:
        assert any(re.search(told, warning) for warning in scene.warnings), scene.warnings


def test_decibels_of_amplitude_that_were_halved_are_told(trial):
    with trial.open(trial.sar(trial.backscatter + [[[0]], [[6]]])) as scene:  # bright pack ice: -19 dB of HV
        assert not scene.warnings
    with trial.open(trial.sar(trial.backscatter / 2)) as scene:
        assert any("hv is -12." in warning and "(training: -24.7" in warning for warning in scene.warnings)


@pytest.mark.parametrize(
    ("sar", "mwr", "told"),
    [
        (lambda db: db[::-1], None, r"hh − hv is -1\S* dB"),
        (None, lambda k: k[[1, 0, 3, 2]], r"btemp_6_9v − btemp_6_9h is -79\S* K on average"),
        (None, lambda k: k[[0, 1, 3, 2]], r"btemp_89_0v − btemp_89_0h is -3\S* K"),
    ],
    ids=["SAR", "radiometry", "one frequency of two"],
)
def test_interchanged_polarisations_are_refused_unless_accepted(trial, sar, mwr, told):
    paths = {
        "sar": sar and trial.sar(sar(trial.backscatter)),
        "mwr": mwr and trial.mwr(mwr(trial.temperatures)),
    }
    with pytest.raises(SceneError, match=f"Polarisations are interchanged.*{told}.*ACCEPT_RANGE") as error:
        trial.open(**paths)
    assert len(str(error.value)) < 500
    import re

    with trial.open(**paths, accept_range=True) as scene:
        assert any(re.search(told, warning) for warning in scene.warnings)
        assert re.search(told, scene.check_tags()["FLOELENS_UNFAMILIAR"])


def test_another_polarisation_by_hand_is_told(trial):
    with trial.open(trial.sar(names=("Sigma0_VV_db", "Sigma0_VH_db")), channels="hh=1,hv=2") as scene:
        assert "called 'Sigma0_VV_db' but taken as hh" in scene.warnings[0]


def test_unfamiliar_channels_stand_in_the_tags(trial):
    cold = trial.temperatures.copy()
    cold[2:] -= [[[60]], [[90]]]
    with trial.open(mwr=trial.mwr(cold)) as scene:
        assert scene.check_tags()["FLOELENS_UNFAMILIAR"].startswith("btemp_89_0v is 159.8 ± 3.89 K (training")


@pytest.mark.parametrize(
    ("sar", "mwr", "told"),
    [
        ("2019-08-23T03:30:23Z", "2019-08-23T04:30:00Z", ""),
        (
            "2019-08-23T03:30:23Z",
            "2019-08-23T09:30:00Z",
            "6.0 h apart (2019-08-23 03:30 UTC and 2019-08-23 09:30 UTC)",
        ),
        ("2019-08-23T03:30:23Z", "2019-08-23", ""),
        ("2020-01-23T12:06:18", "2019-08-23T03:30:23Z", "days apart"),
        ("2019-08-23", "20190826T000000", "48.0 h apart"),
        ("", "2019-08-23T03:30:23Z", ""),
    ],
)
def test_the_time_between_sar_and_radiometer_is_judged(trial, sar, mwr, told):
    paths = trial.sar(), trial.mwr()
    for path, time in zip(paths, (sar, mwr)):
        with rasterio.open(path, "r+") as raster:
            raster.update_tags(**({"start_time": time} if time else {}))
    with trial.open(*paths, accept_delay=True) as scene:
        found = [warning for warning in scene.warnings if "apart" in warning]
        assert told in " ".join(found)
        assert bool(found) == bool(told)
    if "days" in told or "48" in told:
        with pytest.raises(SceneError, match=r"apart.*ACCEPT_DELAY"):
            trial.open(*paths)


def test_times_are_read_from_the_names_of_files_and_recorded_delays_from_tags(trial):
    sar = trial.sar(name="S1A_EW_GRDM_1SDH_20190823T033023_20190823T033127_028691.tif")
    with pytest.raises(SceneError, match="apart"):
        trial.open(sar, trial.mwr(name="GW1AM2_201908250512_124D_L1SGRTBR.tif"))
    late = trial.mwr()
    with rasterio.open(late, "r+") as raster:
        raster.update_tags(amsr2_delay_s="1292..14400")
    with trial.open(sar, late) as scene:
        assert any("4.0 h apart" in warning for warning in scene.warnings)


def test_real_radiometry_is_familiar(real_data, tmp_path):
    from floelens.tests.real_scene import concentration_path, write_brightness_temperatures

    mwr = write_brightness_temperatures(real_data, tmp_path / "mwr.tif")
    card = card_of(standard_channels(("hh", "hv", *MWR_CHANNELS), 25))
    with rasterio.open(concentration_path(real_data)) as chart:
        rows, cols = chart.shape
        gcps, crs = chart.gcps
    draw = np.random.default_rng(2)
    with rasterio.open(
        tmp_path / "sar.tif", "w", "GTiff", cols, rows, 2, crs, dtype="int16", gcps=gcps, compress="lzw"
    ) as out:
        out.write(np.stack([np.resize(draw.normal(mean, 3, 9973), (rows, cols)) for mean in (-14, -25)]))
        out.descriptions = ("hh", "hv")
    with Scene.open(card, str(tmp_path / "sar.tif"), str(mwr)) as scene:
        assert not scene.warnings
