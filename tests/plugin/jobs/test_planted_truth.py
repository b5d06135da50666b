"""A truth that is planted is found: through rasters, a trained network, channels and the table of a whole run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from floelens.models.aspp_card import aspp_card
from floelens.models.card import Head, HeadClass, ModelCard
from floelens.models.network import build, save_package
from floelens.plugin.core.protocols import Silent
from floelens.plugin.jobs.inputs import SceneInputs
from floelens.plugin.jobs.zscores import ZScores
from rasterio.transform import from_origin
from scipy import ndimage, special

RATIO = 25
HV, V36 = 1, 11  # among the fine, and among the coarse channels


def fields(draw: np.random.Generator, count: int, side: int, smooth: float) -> np.ndarray:
    """Return independent smooth fields of mean 0 and deviation 1, (field, row, column)."""
    found = ndimage.gaussian_filter(draw.normal(size=(count, side, side)), (0, smooth, smooth), mode="wrap")
    return (found / found.std()).astype(np.float32)


def planted(fine: np.ndarray, coarse: np.ndarray) -> np.ndarray:
    """Return the logit of ice: it depends on HV and 36.5 GHz V alone."""
    cells = coarse[V36].repeat(RATIO, axis=0).repeat(RATIO, axis=1)
    return 1.5 * fine[HV] + 1.5 * cells


@dataclass
class Scene:
    """A simulated scene in standardised units, and what is true of it."""

    fine: np.ndarray
    coarse: np.ndarray
    ice: np.ndarray

    @classmethod
    def draw(cls, seed: int, cells: int) -> Scene:
        draw = np.random.default_rng(seed)
        fine, coarse = fields(draw, 2, cells * RATIO, 4.0), fields(draw, 14, cells, 0.3)
        p = special.expit(planted(fine, coarse))
        return cls(fine, coarse, draw.uniform(size=p.shape) < p)

    def write(self, card: ModelCard, folder: Path) -> tuple[SceneInputs, str]:
        """Write the scene in its channels' units, and its labels in %."""
        folder.mkdir()
        for name, values, channels, pixel in (
            ("sar", self.fine, card.fine_channels, 80.0),
            ("mwr", self.coarse, card.coarse_channels, 80.0 * RATIO),
        ):
            physical = np.stack([c.mean + c.sd * v for c, v in zip(channels, values)])
            raster(folder / f"{name}.tif", physical.astype("float32"), pixel, [c.name for c in channels])
        raster(folder / "ice.tif", (100 * self.ice[None]).astype("uint8"), 80.0, ["concentration"])
        return SceneInputs(str(folder / "sar.tif"), str(folder / "mwr.tif")), str(folder / "ice.tif")


def raster(path: Path, values: np.ndarray, pixel: float, names: list[str]) -> None:
    count, rows, cols = values.shape
    transform = from_origin(0.0, -1_000_000.0, pixel, pixel)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=count,
        height=rows,
        width=cols,
        dtype=values.dtype,
        crs="EPSG:3413",
        transform=transform,
    ) as out:
        out.write(values)
        out.descriptions = names


def fit_output_layer(network: torch.nn.Module, scenes: list[Scene]) -> None:
    """Finish the training: the last layer is a logistic regression, which Newton steps fit exactly."""
    inside = (slice(None), slice(10, -10, 4), slice(10, -10, 4))
    rows, truth = [], []
    with torch.no_grad():
        for scene in scenes:
            found = network.components(
                torch.from_numpy(scene.fine)[None], torch.from_numpy(scene.coarse)[None]
            )
            rows.append(found[0].double().numpy()[inside].reshape(found.shape[1], -1).T)
            truth.append(special.expit(planted(scene.fine, scene.coarse))[inside[1:]].ravel())
    x = np.column_stack([np.ones(sum(map(len, truth))), np.concatenate(rows)])
    y, beta = np.concatenate(truth), np.zeros(x.shape[1])
    for _ in range(20):
        p = special.expit(x @ beta)
        information = (x * (p * (1 - p))[:, None]).T @ x + 1e-6 * len(x) * np.eye(len(beta))
        beta += np.linalg.solve(information, x.T @ (y - p) - 1e-6 * len(x) * beta)
    with torch.no_grad():
        network.output.bias[:] = float(beta[0])
        network.output.weight[0, :, 0, 0] = torch.from_numpy(beta[1:]).float()


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> tuple[ModelCard, str]:
    """Return a network of 84 components, quickly trained on scenes of the planted truth."""
    torch.manual_seed(1)
    head = Head("concentration", "sigmoid", (HeadClass("ice", 1, "#ff0000", percent=100),), unit="%")
    card = aspp_card("planted", "interpretability_small", RATIO, [head], title="planted", pixel_size_m=80.0)
    network = build(card).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=4e-3)
    steps = 60
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for step in range(steps):
        scenes = [Scene.draw(10_000 + 8 * step + number, 3) for number in range(8)]
        fine, coarse = (
            torch.from_numpy(np.stack([getattr(s, name) for s in scenes])) for name in ("fine", "coarse")
        )
        truth = torch.from_numpy(
            np.stack([special.expit(planted(s.fine, s.coarse)) for s in scenes]).astype(np.float32)
        )
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(fine, coarse)[:, 0], truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    network.eval()
    fit_output_layer(network, [Scene.draw(20_000 + number, 3) for number in range(60)])
    folder = tmp_path_factory.mktemp("planted") / "model"
    return save_package(folder, card, network.eval()), str(folder)


def judged(model: tuple[ModelCard, str], scene: Scene, folder: Path) -> dict:
    """Return what the report says of the channels of a scene."""
    card, package = model
    inputs, labels = scene.write(card, folder)
    content = folder / "z.json"
    ZScores(
        package,
        str(folder / "z.csv"),
        scene=inputs,
        labels=labels,
        sample=7,
        block_size_km=4.0,
        report_json=str(content),
    ).run(Silent())
    found = json.loads(content.read_text(encoding="utf-8"))
    rows = {row["group"]: row for row in found["channels"][0]["slopes"] if row["level"] == "channel"}
    strengths = {
        row["group"]: row["strength"]
        for row in found["channels"][0]["strengths"]
        if row["level"] == "channel"
    }
    return {"slopes": rows, "strengths": strengths, "summary": found["heads"][0]["summary"]}


@pytest.mark.slow
def test_the_planted_channels_lead_and_their_trust_is_deserved(model, tmp_path):
    found = judged(model, Scene.draw(1, 16), tmp_path / "as_trained")
    ranked = sorted(found["strengths"], key=lambda name: -found["strengths"][name])
    assert set(ranked[:2]) == {"hv", "btemp_36_5v"}
    assert found["strengths"][ranked[1]] > 2 * found["strengths"][ranked[2]]
    for name in ("hv", "btemp_36_5v"):
        row = found["slopes"][name]
        assert row["z_against_0"] > 8 and row["reading"] == "deserved"
        assert 0.8 < row["slope"] < 1.25
    assert "hv" in found["summary"][1] and "btemp_36_5v" in found["summary"][1]


@pytest.mark.slow
def test_a_channel_made_useless_after_training_gets_a_slope_of_zero(model, tmp_path):
    scene = Scene.draw(2, 16)
    scene.fine[HV] = fields(np.random.default_rng(99), 1, 16 * RATIO, 4.0)[0]  # the labels know nothing of it
    found = judged(model, scene, tmp_path / "useless")
    row = found["slopes"]["hv"]
    assert abs(row["slope"]) < 0.2 and abs(row["z_against_0"]) < 3 and row["z_against_1"] < -8
    assert row["reading"] == "useless"
    assert found["slopes"]["btemp_36_5v"]["z_against_0"] > 8


@pytest.mark.slow
def test_a_channel_that_became_noisier_is_over_trusted(model, tmp_path):
    scene = Scene.draw(3, 16)
    scene.fine[HV] += fields(np.random.default_rng(98), 1, 16 * RATIO, 4.0)[0]
    found = judged(model, scene, tmp_path / "noisier")
    row = found["slopes"]["hv"]
    assert row["reading"] == "over-trusted" and 0.2 < row["slope"] < 0.8 and row["z_against_1"] < -3
