"""A network of all 24 channels of the AutoICE data reads a simulated scene, and every job takes it."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
import torch
from floelens.plugin.core.streaming.engine import plan_predictions
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.jobs.common.inputs import Compute, SceneInputs
from floelens.plugin.jobs.importmodel import ImportModel
from floelens.plugin.jobs.predict import Predict
from floelens.plugin.jobs.relevance import Relevance
from floelens.plugin.networks import registry
from floelens.plugin.networks.families.published import AUTOICE_CHANNELS
from floelens.plugin.networks.package import load
from floelens.tests.plugin.jobs.conftest import simulate
from floelens.tests.plugin.networks.families.definitions import StarterKit, Up, drawn

RATIO = 25  # pixels of 80 m along a cell of 2 km


@pytest.fixture(autouse=True)
def own_models(monkeypatch, tmp_path):
    """Let models be installed into a folder of the test alone."""
    monkeypatch.setattr(registry, "user_folder", lambda: tmp_path / "user")
    monkeypatch.setenv(registry.VARIABLE, "")


def all_channels(folder, **changes) -> SceneInputs:
    """Simulate a scene with incidence angles, distances to land and weather."""
    paths = {f"ancillary_{grid}": str(folder / f"{grid}.tif") for grid in ("fine", "coarse")}
    made = simulate(folder, **paths, **changes)
    return SceneInputs(made.sar, made.mwr, ancillary=tuple(paths.values()))


def standardised(scene: SceneInputs, model: str, names: tuple[str, ...]) -> torch.Tensor:
    """Return the channels `names` of a scene by their definition: (1, channel, row, column)."""
    bands = {}
    for path in (scene.sar, scene.mwr, *scene.ancillary):
        with rasterio.open(path) as raster:
            bands |= dict(zip(raster.descriptions, raster.read().astype(np.float64)))
    rows, cols = bands["hh"].shape
    card, _ = load(model)
    full = []
    for name in names:
        values, channel = bands[name], card.channel(name)
        if values.shape != (rows, cols):
            values = np.kron(values, np.ones((RATIO, RATIO)))[:rows, :cols]
        full.append((values - channel.mean) / channel.sd)
    return torch.from_numpy(np.nan_to_num(np.stack(full)))[None]


def test_a_starter_kit_network_of_24_channels_maps_and_explains_a_simulated_scene_tiled_or_whole(tmp_path):
    network = drawn(StarterKit(filters=(3, 4)))
    for layer in network.modules():
        if isinstance(layer, Up):
            layer.aligned = False
    torch.save(network.state_dict(), tmp_path / "best.pth")
    file = str(tmp_path / "best.pth")
    results = ImportModel(file, family="autoice", name="all", upsampling="bilinear").run(Silent())
    assert results["TESTS_FAILED"] == 0
    scene = all_channels(tmp_path, rows=220, cols=330)
    runner = Compute().runner("all")
    with scene.open(runner.card, Silent()) as opened:
        plans = [plan_predictions(runner, opened, opened.region, memory) for memory in (16, 1024)]
    assert [plan.count > 1 for plan in plans] == [True, False]
    maps = []
    for memory in (16, 1024):
        path, p = str(tmp_path / f"{memory}.tif"), str(tmp_path / f"p{memory}.tif")
        job = Predict(
            scene,
            "all",
            path,
            head="stage of development",
            probabilities=p,
            compute=Compute(memory_mib=memory),
        )
        job.run(Silent())
        with rasterio.open(path) as codes, rasterio.open(p) as probabilities:
            maps.append((codes.read(1), probabilities.read()))
    assert np.isfinite(maps[0][1]).any()
    np.testing.assert_allclose(maps[0][1], maps[1][1], atol=1e-5)
    logits = network.double()(standardised(scene, "all", AUTOICE_CHANNELS))["sod"][0, :6]
    codes, probabilities = maps[1]
    inside = codes != 255
    assert inside.mean() > 0.9
    np.testing.assert_allclose(probabilities[:, inside], logits.softmax(0).numpy()[:, inside], atol=1e-4)

    explained = Relevance(
        scene, "all", head="stage of development", sar_relevance=str(tmp_path / "relevance.tif")
    ).run(Silent())
    assert explained["RELATIVE_RESIDUAL"] < 1e-5
