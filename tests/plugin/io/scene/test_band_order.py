"""Radiometry bands without names: any order but the model's is found by what sea and ice look like."""

from __future__ import annotations

import json

import numpy as np
import pytest
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.ground.paths import RESOURCES
from floelens.plugin.io.scene.band_order import likelier_order
from floelens.plugin.networks.standard_channels import MWR_CHANNELS, standard_channels

CHANNELS = standard_channels(MWR_CHANNELS, 25)
NAMES = [channel.name for channel in CHANNELS]
STATISTICS = json.loads((RESOURCES / "amsr2_tie_statistics.json").read_text(encoding="utf-8"))["classes"]


def surfaces():
    """Yield the name of a surface and temperatures (pixel, channel), K, as a radiometer sees it."""
    draw = np.random.default_rng(11)
    drawn = {
        name: draw.multivariate_normal(each["mean"], each["covariance"], 200)
        for name, each in STATISTICS.items()
    }
    yield from drawn.items()
    water, ice = drawn["open_water_arctic"], drawn["first_year_winter"]
    share = draw.beta(0.4, 0.4, (200, 1))
    yield "ice edge", share * ice + (1 - share) * water
    yield "ice everywhere but a lead", np.concatenate([ice[:190], water[:10]])
    yield "half land", np.concatenate([ice[:100], np.tile([255.0, 265.0], 7) + draw.normal(0, 5, (100, 1))])
    yield "instrument 2 K off", water + 2.0


SURFACES = dict(surfaces())
FREQUENCIES = ("6_9", "7_3", "10_7", "18_7", "23_8", "36_5", "89_0")
ORDERS = {
    "alphabetical": sorted(NAMES),
    "H, then V": [f"btemp_{f}{p}" for p in "hv" for f in FREQUENCIES],
    "V, then H": [f"btemp_{f}{p}" for p in "vh" for f in FREQUENCIES],
    "V before H": [f"btemp_{f}{p}" for f in FREQUENCIES for p in "vh"],
    "89 GHz first": [f"btemp_{f}{p}" for f in FREQUENCIES[::-1] for p in "hv"],
    "turned": NAMES[1:] + NAMES[:1],
    **{f"shuffled {seed}": np.random.default_rng(seed).permutation(NAMES).tolist() for seed in range(8)},
}


def taken_as(values, order):
    """Return samples of bands that hold `order` and are taken in the model's."""
    return {name: values[:, NAMES.index(held)] for name, held in zip(NAMES, order)}


@pytest.mark.parametrize("surface", SURFACES)
def test_the_right_order_is_never_questioned(surface):
    assert likelier_order(CHANNELS, taken_as(SURFACES[surface], NAMES)) is None
    exchanged = [
        {"6": "7_3", "7": "6_9"}.get(n[6], n[6:-1]) + n[-1] if n[6] in "67" else n[6:] for n in NAMES
    ]
    near = [f"btemp_{name}" for name in exchanged]  # 6.9 and 7.3 GHz say the same
    assert likelier_order(CHANNELS, taken_as(SURFACES[surface], near)) is None


@pytest.mark.parametrize("order", ORDERS)
def test_another_order_is_found_and_named_on_any_surface(order):
    for surface in ("open_water_arctic", "multi_year_winter", "ice edge", "instrument 2 K off"):
        found = likelier_order(CHANNELS, taken_as(SURFACES[surface], ORDERS[order]))
        assert found is not None, surface
        if surface == "ice edge":  # up to 6.9 and 7.3 GHz, it is the order that the bands have
            same = [a.replace("7_3", "6_9") == b.replace("7_3", "6_9") for a, b in zip(found, ORDERS[order])]
            assert np.mean(same) > 0.8


def test_bands_without_names_in_another_order_are_refused_and_by_name_they_are_right(trial):
    turned = trial.temperatures[[2, 3, 0, 1]]
    with pytest.raises(SceneError, match=r"band 1 would be btemp_6_9h, but looks like btemp_89_0h") as error:
        trial.open(mwr=trial.mwr(turned, names=()))
    assert len(str(error.value)) < 500
    named = trial.mwr(turned, names=("btemp_89_0h", "btemp_89_0v", "btemp_6_9h", "btemp_6_9v"))
    np.testing.assert_array_equal(trial.values(mwr=named)[1], trial.temperatures)
    with trial.open(mwr=trial.mwr(turned, names=()), accept_range=True) as scene:
        assert any("looks like btemp_89_0h" in warning for warning in scene.warnings)


def test_bands_without_names_in_the_right_order_are_named_in_the_tags(trial):
    with trial.open(trial.sar(names=()), trial.mwr(names=())) as scene:
        assert scene.check_tags()["FLOELENS_BANDS"] == (
            "bands of SAR without names, in the model's order; bands of MWR without names, in the model's order"
        )
