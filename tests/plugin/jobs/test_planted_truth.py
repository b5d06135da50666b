"""A truth that is planted is found: through simulated scenes, a trained network, channels and merged states.

The scenes are those of the project's simulator; what is ice in them is decided by HV and 36.5 GHz V alone.
Simulated radiometer channels repeat each other as real ones do (VIF of 100 and more), so that the radiometer
is judged as a sensor and by frequency; HV, which no other channel repeats, is judged by itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from floelens.plugin.core.simulation import LAND, SimulatedScene
from floelens.plugin.core.simulation.noise import Axis
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.io.transaction.packages import save_package
from floelens.plugin.jobs.common.inputs import SceneInputs
from floelens.plugin.jobs.zscores import ZScores
from floelens.plugin.networks.aspp.card import aspp_card
from floelens.plugin.networks.card import Channel, Head, HeadClass, ModelCard
from floelens.plugin.networks.package import build
from rasterio.transform import from_origin
from scipy import special

RATIO = 25
SIDE = 400  # pixels of 80 m: 16 cells
PATCH = 75
HV, V36 = 1, 11  # among the fine, and among the coarse channels
TRAINING, HELD_OUT = range(10_000, 10_040), range(20_000, 20_006)


def standard(values: np.ndarray, channels: tuple[Channel, ...]) -> np.ndarray:
    """Return values (channel, row, column) in standard units."""
    return np.stack([(band - c.mean) / c.sd for band, c in zip(values, channels)]).astype(np.float32)


def planted(fine: np.ndarray, coarse: np.ndarray) -> np.ndarray:
    """Return the logit of ice: it depends on HV and 36.5 GHz V alone."""
    cells = coarse[V36].repeat(RATIO, axis=0).repeat(RATIO, axis=1)
    return 1.5 * fine[HV] + 1.5 * cells + 2.5


@dataclass
class Scene:
    """A scene of the simulator in standard units, and what is true of it."""

    fine: np.ndarray
    coarse: np.ndarray
    ice: np.ndarray
    sea: np.ndarray
    quiet: Callable[[], np.ndarray]  # HV without speckle and noise, standard units

    @classmethod
    def simulated(cls, seed: int, card: ModelCard) -> Scene:
        scene = SimulatedScene(seed, SIDE, SIDE, 80.0)
        surface = scene.surface(scene.window)
        fine = standard(np.nan_to_num(scene.backscatter(scene.window)), card.fine_channels)
        coarse = standard(scene.brightness_temperature(), card.coarse_channels)
        ice = np.random.default_rng(seed).uniform(size=fine.shape[1:]) < special.expit(planted(fine, coarse))

        def quiet() -> np.ndarray:
            pixels = Axis(40.0, 80.0, SIDE)
            known, share = np.minimum(surface.classes, LAND), np.nan_to_num(surface.concentration)
            return standard(scene.radar.mean(pixels, pixels, known, share), card.fine_channels)[HV]

        return cls(fine, coarse, ice, surface.classes < LAND, quiet)

    def write(self, card: ModelCard, folder: Path) -> tuple[SceneInputs, str]:
        """Write the scene in its channels' units, and its labels in %."""
        folder.mkdir(parents=True)
        fine = np.where(self.sea, self.fine, np.nan)
        for name, values, channels, pixel in (
            (f"sar_{folder.name}", fine, card.fine_channels, 80.0),
            ("mwr", self.coarse, card.coarse_channels, 80.0 * RATIO),
        ):
            physical = np.stack([c.mean + c.sd * v for c, v in zip(channels, values)])
            raster(folder / f"{name}.tif", physical.astype("float32"), pixel, [c.name for c in channels])
        raster(folder / "ice.tif", (100 * self.ice[None]).astype("uint8"), 80.0, ["concentration"])
        sar = str(folder / f"sar_{folder.name}.tif")
        return SceneInputs(sar, str(folder / "mwr.tif")), str(folder / "ice.tif")


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
    inside = (slice(None), slice(10, -10, 5), slice(10, -10, 5))
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
    ridge = 1e-7 * len(x)
    for _ in range(30):
        p = special.expit(x @ beta)
        information = (x * (p * (1 - p))[:, None]).T @ x + ridge * np.eye(len(beta))
        beta += np.linalg.solve(information, x.T @ (y - p) - ridge * beta)
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
    scenes = [Scene.simulated(seed, card) for seed in TRAINING]
    draw = np.random.default_rng(1)
    for _ in range(steps):
        fine, coarse, truth = [], [], []
        for scene in (scenes[at] for at in draw.integers(len(scenes), size=8)):
            row, col = draw.integers(SIDE // RATIO - PATCH // RATIO + 1, size=2)
            coarse.append(scene.coarse[:, row : row + PATCH // RATIO, col : col + PATCH // RATIO])
            place = slice(row * RATIO, row * RATIO + PATCH), slice(col * RATIO, col * RATIO + PATCH)
            fine.append(scene.fine[(slice(None), *place)])
            truth.append(special.expit(planted(fine[-1], coarse[-1])).astype(np.float32))
        fine, coarse, truth = (torch.from_numpy(np.stack(part)) for part in (fine, coarse, truth))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(fine, coarse)[:, 0], truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    network.eval()
    fit_output_layer(network, scenes)
    folder = tmp_path_factory.mktemp("planted") / "model"
    return save_package(folder, card, network.eval()), str(folder)


def judged(model: tuple[ModelCard, str], scenes: list[Scene], folder: Path) -> dict:
    """Return what the report says of the channels of scenes, merged one after the other."""
    card, package = model
    content, state = folder / "z.json", folder / "z.npz"
    for number, scene in enumerate(scenes):
        inputs, labels = scene.write(card, folder / str(number))
        ZScores(
            package,
            str(folder / "z.csv"),
            scene=inputs,
            labels=labels,
            state_in=(str(state),) if number else (),
            sample=7,
            block_size_km=4.0,
            state=str(state),
            report_json=str(content),
        ).run(Silent())
    found = json.loads(content.read_text(encoding="utf-8"))
    slopes, strengths = (
        {(row["level"], row["group"]): row for row in found["channels"][0][name]}
        for name in ("slopes", "strengths")
    )
    head = found["heads"][0]
    return {"slopes": slopes, "strengths": strengths, "summary": head["summary"], "rows": head["rows"]}


def slopes_on_the_truth(scenes: list[Scene]) -> tuple[np.ndarray, np.ndarray]:
    """Return the slopes of HV's and of the radiometer's part of the planted logit, and their errors.

    A logistic regression of the labels on what was planted, not on what the network made of it; the errors come from
    leaving out each scene in turn.
    """
    parts = []
    for scene in scenes:
        sea = scene.sea[::7, ::7]
        cells = scene.coarse[V36].repeat(RATIO, axis=0).repeat(RATIO, axis=1)
        terms = [1.5 * values[::7, ::7][sea] for values in (scene.fine[HV], cells)]
        parts.append((np.column_stack([np.ones(len(terms[0])), *terms]), scene.ice[::7, ::7][sea]))

    def slopes(chosen: list) -> np.ndarray:
        x, y = (np.concatenate(values) for values in zip(*chosen))
        beta = np.zeros(x.shape[1])
        for _ in range(25):
            p = special.expit(x @ beta)
            beta += np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x, x.T @ (y - p))
        return beta[1:]

    without = np.stack([slopes(parts[:n] + parts[n + 1 :]) for n in range(len(parts))])
    spread = np.square(without - without.mean(axis=0)).sum(axis=0)
    return slopes(parts), np.sqrt(spread * (len(parts) - 1) / len(parts))


def held_out(card: ModelCard) -> list[Scene]:
    return [Scene.simulated(seed, card) for seed in HELD_OUT]


@pytest.mark.slow
def test_the_planted_channels_lead_and_their_trust_is_deserved(model, tmp_path):
    found = judged(model, held_out(model[0]), tmp_path)
    strength = {
        key: row["strength"] for key, row in found["strengths"].items() if row["strength"] is not None
    }

    def leads(level: str, name: str, among: str, factor: float) -> bool:
        others = [v for (at, key), v in strength.items() if at == level and key != name and among in key]
        return strength[level, name] > factor * max(others)

    assert leads("channel", "hv", "h", 3.0)  # HH takes a part: the network is no exact copy of the truth
    assert leads("frequency", "36.5 GHz", "GHz", 4.0)
    assert leads("channel", "btemp_36_5v", "btemp", 3.0)
    for key in (("sensor", "sar"), ("sensor", "mwr"), ("channel", "hv")):
        row = found["slopes"][key]
        assert row["z_against_0"] > 10
        assert 0.9 < row["slope"] < 1.15
    row = found["slopes"]["frequency", "36.5 GHz"]
    assert row["z_against_0"] > 4
    assert 0.6 < row["slope"] < 1.5
    assert found["slopes"]["channel", "btemp_36_5v"]["vif"] > 30  # why it has no slope of its own
    # The summary names sensors and components, each by its part of all |z|.
    size = {row["component"]: abs(row["z"]) for row in found["rows"]}
    of_sar = sum(size[row["component"]] for row in found["rows"] if row["sensor"] == "sar") / sum(
        size.values()
    )
    assert found["summary"][0].startswith(f"SAR's 70 components carry {100 * of_sar:.2g} % of all scores")
    largest = sorted(size, key=size.get, reverse=True)[:3]
    assert found["summary"][1].endswith("the largest are {}, {} and {}.".format(*largest))


@pytest.mark.slow
def test_a_channel_made_useless_after_training_gets_a_slope_of_zero(model, tmp_path):
    """HV in pieces of a cell, shuffled over all scenes: it looks as ever, and the labels know nothing of it."""
    scenes = held_out(model[0])
    cells = SIDE // RATIO
    pieces = np.concatenate(
        [
            scene.fine[HV].reshape(cells, RATIO, cells, RATIO).swapaxes(1, 2).reshape(-1, RATIO, RATIO)
            for scene in scenes
        ]
    )
    pieces = np.random.default_rng(99).permutation(pieces).reshape(-1, cells, cells, RATIO, RATIO)
    for scene, shuffled in zip(scenes, pieces):
        scene.fine[HV] = shuffled.swapaxes(1, 2).reshape(SIDE, SIDE)
    found = judged(model, scenes, tmp_path)
    for key in (("sensor", "sar"), ("channel", "hv")):
        row = found["slopes"][key]
        assert abs(row["slope"]) < 0.1
        assert abs(row["z_against_0"]) < 3.5
        assert row["z_against_1"] < -10
    assert found["slopes"]["sensor", "sar"]["reading"] == "useless"
    # Without HV the radiometer's part is worth less than it was planted (logistic regression attenuates), and six
    # scenes tell it apart from nothing as far as they do for who knows the truth.
    slope, error = (values[1] for values in slopes_on_the_truth(scenes))
    row = found["slopes"]["sensor", "mwr"]
    assert abs(row["slope"] - slope) < error
    assert slope / error > 4
    assert row["z_against_0"] == pytest.approx(slope / error, rel=0.25)


@pytest.mark.slow
def test_a_channel_whose_noise_was_doubled_is_over_trusted(model, tmp_path):
    """What speckle and noise add to HV, in dB, is doubled after the labels were made."""
    scenes = held_out(model[0])
    for scene in scenes:
        scene.fine[HV] = 2.0 * scene.fine[HV] - scene.quiet()
    row = judged(model, scenes, tmp_path)["slopes"]["channel", "hv"]
    assert row["reading"] == "over-trusted"
    assert 0.3 < row["slope"] < 0.8
    assert row["z_against_1"] < -5
