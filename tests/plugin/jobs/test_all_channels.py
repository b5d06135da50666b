"""Networks of every published family, up to all 24 channels of the AutoICE data, read a simulated scene."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from floelens.plugin.core.streaming.engine import plan_predictions
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.jobs.ablation import Ablation
from floelens.plugin.jobs.common.inputs import Compute, SceneInputs
from floelens.plugin.jobs.contributions import Contributions
from floelens.plugin.jobs.importmodel import ImportModel
from floelens.plugin.jobs.predict import Predict
from floelens.plugin.jobs.relevance import Relevance
from floelens.plugin.jobs.zscores import ZScores
from floelens.plugin.networks import registry
from floelens.plugin.networks.card import ModelCard
from floelens.plugin.networks.card_json import to_values
from floelens.plugin.networks.families.published import (
    AUTOICE_CHANNELS,
    FAMILIES,
    MMSEAICE_CHANNELS,
    published_channel,
)
from floelens.plugin.networks.package import load
from floelens.plugin.networks.standard_channels import MWR_CHANNELS
from floelens.tests.plugin.io.models.onnx import test_onnx_networks as onnx
from floelens.tests.plugin.jobs.conftest import simulate
from floelens.tests.plugin.networks.families.definitions import StarterKit, Steps, Up, drawn
from floelens.tests.plugin.networks.families.keras_files import asip_layers, config_of, write_keras
from floelens.tests.plugin.networks.graph.test_nersc import random_tensors
from scipy.ndimage import gaussian_filter

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


def weights_of(path: Path, network: torch.nn.Module) -> str:
    torch.save(drawn(network).state_dict(), path)
    return str(path)


def card_beside(folder: Path, **fields) -> str:
    (folder / "by-hand.json").write_text(json.dumps(fields), encoding="utf-8")
    return str(folder / "by-hand.json")


def autoice(folder: Path) -> ImportModel:
    file = weights_of(folder / "best.pth", StarterKit(filters=(3, 4)))
    return ImportModel(file, family="autoice", upsampling="bilinear")


def mmseaice(folder: Path) -> ImportModel:
    """Month, latitude and longitude are made; all channels lie on its pixels."""
    family = FAMILIES["mmseaice"]
    place = {"sensor": "map", "grid": "fine", "unit": "degree", "mean": 70, "sd": 20}
    channels = [
        {"name": name, **place} if published is None else to_values(published, ())
        for name in MMSEAICE_CHANNELS
        for published in [published_channel(name, family, 0)]
    ]
    file = weights_of(folder / "m.pth", StarterKit(16, (3, 4), padding="reflect", linear=True))
    card = card_beside(folder, channels=channels)
    return ImportModel(file, family="mmseaice", upsampling="bilinear", padding="reflect", card=card)


def uit(folder: Path) -> ImportModel:
    file = weights_of(folder / "u.pt", Steps(3, (3, 4, 4), transposed=True))
    return ImportModel(file, family="uit", pixel_size=80.0)


def any_unet(folder: Path) -> ImportModel:
    file = weights_of(folder / "w.pt", Steps(4, (3, 4), transposed=True))
    return ImportModel(
        file, family="unet", channels="hh,btemp_18_7h,t2m,hv", pixel_size=80.0, order="skip_first"
    )


def asip(folder: Path) -> ImportModel:
    file = write_keras(folder / "k.h5", asip_layers(12, 24, 14), config_of(cell=25), top="model_weights")
    return ImportModel(str(file), family="asip", pixel_size=80.0)


def nersc(folder: Path) -> ImportModel:
    """Its two smoothed channels stand in a raster of their own."""
    with rasterio.open(folder / "sar.tif") as sar:
        smooth = np.stack([gaussian_filter(band, 2.0) for band in sar.read()[:2]])
        profile = {**sar.profile, "count": 2, "gcps": sar.gcps[0], "crs": sar.gcps[1]}
    with rasterio.open(folder / "more.tif", "w", **profile) as raster:
        raster.write(smooth)
        raster.descriptions = ("hh_smooth", "hv_smooth")
    np.savez(folder / "n.npz", **random_tensors())
    sar = {"sensor": "sar", "grid": "fine", "unit": "dB", "mean": -20, "sd": 5}
    mwr = {"sensor": "mwr", "grid": "coarse", "unit": "K", "mean": 200, "sd": 40, "ratio": 5}
    channels = [{"name": name, **sar} for name in ("hh", "hv", "hh_smooth", "hv_smooth")]
    channels += [{"name": name, **mwr} for name in MWR_CHANNELS]
    return ImportModel(str(folder / "n.npz"), card=card_beside(folder, channels=channels, pixel_size_m=80))


def from_onnx(folder: Path) -> ImportModel:
    file = folder / "net.onnx"
    file.write_bytes(
        onnx.model([*onnx.BODY, *onnx.PADDED, *onnx.ENDS], onnx.WEIGHTS, outputs=("kind", "ice"))
    )
    classes = [{"name": n, "value": v, "colour": "#00ff00"} for v, n in enumerate("abc")]
    heads = [
        {"name": "type", "kind": "softmax", "classes": classes},
        {"name": "ice", "kind": "sigmoid", "classes": [{"name": "ice", "value": 1, "colour": "#ff0000"}]},
    ]
    return ImportModel(
        str(file), card=card_beside(folder, heads=heads), channels="hh,hv", pixel_size=80.0, name="From ONNX"
    )


FAMILY_FILES = (autoice, mmseaice, uit, any_unet, asip, nersc, from_onnx)


@pytest.mark.slow
@pytest.mark.parametrize("make", FAMILY_FILES, ids=lambda make: make.__name__)
def test_every_job_takes_a_network_of_each_family(make, tmp_path):
    scene = all_channels(tmp_path, rows=130, cols=180)
    results = make(tmp_path).run(Silent())
    assert results["TESTS_FAILED"] == 0
    more = tuple(str(path) for path in tmp_path.glob("more.tif"))
    scene = dataclasses.replace(scene, ancillary=(*scene.ancillary, *more))
    model = str(results["MODEL_ID"])
    card = ModelCard.from_json(tmp_path / "user" / model)
    for head in card.heads:
        Predict(scene, model, str(tmp_path / "map.tif"), head=head.name).run(Silent())
        with rasterio.open(tmp_path / "map.tif") as raster:
            assert (raster.read_masks(1) > 0).mean() > 0.9
        relevance = Relevance(scene, model, head=head.name, sar_relevance=str(tmp_path / "r.tif"))
        assert relevance.run(Silent())["RELATIVE_RESIDUAL"] < 1e-5
    for method in ("gated", "integrated"):
        split = Contributions(
            scene, model, str(tmp_path / f"{method}.tif"), method=method, groups="sensor"
        ).run(Silent())
        assert split["RELATIVE_RESIDUAL"] < 1e-4
    if card.components:
        ZScores(model, str(tmp_path / "z.csv"), scene=scene, channel_method="gated").run(Silent())
        assert len((tmp_path / "z.csv").read_text(encoding="utf-8").splitlines()) > len(card.components)
    removed = Ablation(
        scene, model, str(tmp_path / "a.tif"), table=str(tmp_path / "a.csv"), groups="sensor"
    ).run(Silent())
    assert removed["PIXELS"] > 0
