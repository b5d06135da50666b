"""Contributions lie on the grid of the map, are named, and add up to the map's own logits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from floelens.plugin.ground.errors import Cancelled, ParameterError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.io.geometry.grid import Grid
from floelens.plugin.jobs.common.baseline import baseline_levels
from floelens.plugin.jobs.common.inputs import Compute
from floelens.plugin.jobs.contributions import Contributions
from floelens.plugin.jobs.predict import Predict
from floelens.plugin.networks.card import ModelCard


def read(path) -> np.ndarray:
    with rasterio.open(path) as raster:
        return raster.read().astype(np.float64)


@pytest.fixture
def split(scene, packages, tmp_path):
    """Return a function that splits the scene's logits and returns results and bands."""

    def run(name: str = "parts", model: str = "trial-concentration", progress=None, **changes):
        path = str(tmp_path / f"{name}.tif")
        settings = {"scene": scene.inputs, "model": str(packages / model), "output": path, "method": "gated"}
        results = Contributions(**{**settings, **changes}).run(progress or Silent())
        return results, read(path)

    return run


def residual(bands: np.ndarray) -> float:
    off = np.abs(bands[:-1].sum(axis=0) - bands[-1]) / np.abs(bands[:-1]).sum(axis=0)
    return float(np.nanmax(off))


@pytest.mark.parametrize("settings", [{}, {"method": "integrated", "steps": 2}, {"groups": "scale"}])
def test_bands_and_bias_add_up_to_the_logit_of_the_map(split, scene, packages, tmp_path, settings):
    results, bands = split(**settings)
    ice = str(tmp_path / "ice.tif")
    Predict(scene.inputs, str(packages / "trial-concentration"), ice).run(Silent())
    assert residual(bands) < 1e-4
    assert results["RELATIVE_RESIDUAL"] < 1e-4
    concentration = read(ice)[0]
    assert (np.isnan(bands[-1]) == np.isnan(concentration)).all()
    np.testing.assert_allclose(100 / (1 + np.exp(-bands[-1])), concentration, atol=1e-3)
    assert results["PIXELS"] == np.isfinite(concentration).sum()


def test_bands_are_named_have_a_unit_and_lie_on_the_grid_of_sar(split, scene, tmp_path):
    results, _ = split()
    assert Grid.from_file(tmp_path / "parts.tif").same_as(Grid.from_file(scene.sar))
    with rasterio.open(tmp_path / "parts.tif") as raster:
        assert raster.descriptions[:3] == ("hh", "hv", "btemp_6_9h")
        assert raster.descriptions[-2:] == ("bias", "logit")
        assert set(raster.units) == {"logit"}
        assert raster.tags(3)["footprint_km"] == "35 x 62"
        assert raster.tags()["FLOELENS_METHOD"] == "gated"
        assert raster.tags()["FLOELENS_BASELINE"] == "channel means"
        shown = raster.descriptions.index(results["LEADING_GROUP"]) + 1
    style = (tmp_path / "parts.qml").read_text(encoding="utf-8")
    assert "speaks for ice (logit)" in style
    assert f'band="{shown}"' in style


@pytest.mark.parametrize("groups", ["frequency", "polarisation", "sensor"])
def test_groups_are_sums_of_channels(split, groups):
    _, single = split("single")
    results, bands = split(groups=groups)
    names = [entry.split("=")[0] for entry in results["SHARES"].split(", ")]
    assert len(bands) == len(names) + 2
    np.testing.assert_allclose(bands[:-2].sum(axis=0), single[:-2].sum(axis=0), atol=1e-4)
    if groups == "sensor":
        assert names == ["sar", "mwr"]
        np.testing.assert_allclose(bands[0], single[:2].sum(axis=0), atol=1e-4)


def test_coarse_contributions_are_means_over_cells(split, scene, tmp_path):
    _, fine = split("fine", groups="sensor")
    _, coarse = split(groups="sensor", resolution="coarse")
    assert Grid.from_file(tmp_path / "parts.tif").same_as(Grid.from_file(scene.sar).coarser(25))
    assert coarse.shape[1:] == (11, 12)
    for row, col in ((0, 0), (6, 8), (10, 11)):  # the last cells are cut
        cell = fine[:, 25 * row : 25 * row + 25, 25 * col : 25 * col + 25]
        np.testing.assert_allclose(coarse[:, row, col], np.nanmean(cell, axis=(1, 2)), rtol=1e-5, atol=1e-6)
    assert residual(coarse) < 1e-4


def test_a_baseline_in_physical_units_makes_another_split_of_the_same_logit(split, packages):
    card = ModelCard.from_json(packages / "trial-concentration")
    levels = baseline_levels(card, "hh=-20; BTEMP_6_9H=170")
    assert levels[0] == pytest.approx((-20 + 14.508) / 5.660)
    assert levels[2] == pytest.approx((170 - 148.847) / 61.649)
    assert not any(levels[3:])
    assert len(levels) == 16
    _, mean = split("mean")
    _, other = split(baseline="hh=-20,btemp_6_9h=170")
    np.testing.assert_allclose(other[-1], mean[-1], atol=1e-4)
    assert np.nanmax(np.abs(other[0] - mean[0])) > 0.01
    assert residual(other) < 1e-4


def test_memory_does_not_change_the_split(split):
    _, large = split("large")
    _, small = split(compute=Compute(memory_mib=70))
    scale = np.abs(large[:-1]).sum(axis=0)
    assert np.nanmax(np.abs(small - large) / scale) < 1e-4


def test_a_contrast_of_classes_is_split(split):
    results, bands = split(
        model="trial-type", class_name="old ice", reference_class="young ice", groups="sensor"
    )
    assert results["CLASS_NAME"] == "old ice rather than young ice"
    assert residual(bands) < 1e-4


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"method": "exact"}, "Unknown METHOD 'exact'"),
        ({"resolution": "fine"}, "Unknown RESOLUTION 'fine'"),
        ({"class_name": "slush"}, "no class 'slush'"),
        ({"baseline": "mean"}, "'mean' is no channel with a value. .* leave BASELINE empty"),
        ({"baseline": "hh=-20", "groups": "scale"}, "leave BASELINE empty"),
        ({"baseline": "vv=-20"}, "no channel 'vv'"),
        ({"baseline": "hh=low"}, "'hh=low' is no value"),
        ({"baseline": "hh=1,hh=2"}, "names 'hh' twice"),
    ],
)
def test_bad_input_is_a_sentence_and_leaves_nothing(split, tmp_path, changes, sentence):
    with pytest.raises(ParameterError, match=sentence):
        split(**changes)
    assert list(tmp_path.iterdir()) == []


def test_cancelling_leaves_nothing(split, tmp_path, stopping):
    with pytest.raises(Cancelled):
        split(progress=stopping, compute=Compute(memory_mib=60))
    assert list(tmp_path.iterdir()) == []


def test_the_same_parameters_give_the_same_bytes(split, tmp_path):
    split("one", groups="sensor")
    split("two", groups="sensor")
    assert Path(tmp_path / "one.tif").read_bytes() == Path(tmp_path / "two.tif").read_bytes()
