"""Training on simulated scenes, measures of skill, and the two packages that ship."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from floelens.models.layers import SamePool2d
from floelens.models.network import build, load
from floelens.models.registry import load_card
from floelens.plugin.core.protocols import Silent
from floelens.plugin.core.simulation import BLOCK, SimulatedScene
from floelens.plugin.core.training import (
    DoublingPool,
    Patches,
    Recipe,
    Standards,
    TestScene,
    choose_blocks,
    concentration_loss,
    concentration_skill,
    icetype_loss,
    icetype_skill,
    predicted_scenes,
    simulate_patches,
    train,
    with_doubling_pools,
)
from floelens.plugin.jobs.train import TASKS, TrainDemonstration, bare_card, standards_of
from torch import nn

BUNDLED = ("aspp-concentration-sim", "aspp-icetype-sim")


def separable_patches(count: int, size: int = 50, ratio: int = 25) -> Patches:
    """Return patches whose truth is plain to see: ice where the first coarse channel is high."""
    draw = np.random.default_rng(4)
    fine = draw.normal(size=(count, 2, size, size)).astype(np.float16)
    coarse = draw.normal(size=(count, 14, size // ratio, size // ratio)).astype(np.float32)
    ice = np.repeat(np.repeat(coarse[:, 0] > 0.0, ratio, axis=1), ratio, axis=2)
    return Patches(fine, coarse, ice.astype(np.float16), np.where(ice, 2, 0).astype(np.uint8))


class Coarse(nn.Module):
    """The smallest network: a weighted sum of the coarse channels."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.output = nn.Conv2d(14, outputs, 1)

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        return self.output(nn.functional.interpolate(coarse, size=fine.shape[-2:], mode="nearest"))


@pytest.mark.parametrize("size", [2, 4, 8, 16])
def test_pools_by_doubling_equal_the_plain_ones(size):
    values = torch.randn(2, 3, 21, 37, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    plain = SamePool2d(size)
    torch.testing.assert_close(DoublingPool(plain)(values), plain(values), rtol=1e-12, atol=1e-12)


def test_a_network_with_doubling_pools_computes_the_same_and_keeps_its_weights():
    plain = build(bare_card("concentration")).double().eval()
    other = build(bare_card("concentration")).double().eval()
    other.load_state_dict(plain.state_dict())
    other = with_doubling_pools(other)
    assert any(isinstance(layer, DoublingPool) for layer in other.modules())
    fine, coarse = (
        torch.randn(1, 2, 50, 75, dtype=torch.float64),
        torch.randn(1, 14, 2, 3, dtype=torch.float64),
    )
    torch.testing.assert_close(other(fine, coarse), plain(fine, coarse), rtol=1e-10, atol=1e-10)
    assert list(other.state_dict()) == list(plain.state_dict())


def test_a_pool_that_is_no_power_of_two_is_refused():
    with pytest.raises(ValueError, match="doubling"):
        DoublingPool(SamePool2d(3))


@pytest.mark.parametrize(("task", "outputs"), [("concentration", 1), ("icetype", 4)])
def test_training_learns_what_the_input_tells(task, outputs):
    torch.manual_seed(0)
    recipe = Recipe(scenes=10, patches=8, epochs=6, batch=4, rate=0.1, crop=50, margin=5)
    history = train(Coarse(outputs), separable_patches(80), recipe, task, Silent())
    assert history[-1] < 0.5 * history[0]


def test_the_same_recipe_gives_the_same_weights():
    weights = []
    for _ in range(2):
        torch.manual_seed(0)
        module = Coarse(1)
        train(module, separable_patches(20), Recipe(epochs=1, crop=50, margin=0), "concentration", Silent())
        weights.append(module.output.weight.detach().clone())
    assert torch.equal(*weights)


def test_land_has_no_part_in_the_losses():
    logits = torch.randn(1, 4, 6, 6)
    concentration = np.full((1, 6, 6), 0.7, dtype=np.float16)
    icetype = np.full((1, 6, 6), 2, dtype=np.uint8)
    concentration[0, 3:], icetype[0, 3:] = np.nan, 255
    sea = concentration_loss(logits[:, :, :3], concentration[:, :3], icetype[:, :3])
    torch.testing.assert_close(concentration_loss(logits, concentration, icetype), sea)
    sea = icetype_loss(logits[:, :, :3], concentration[:, :3], icetype[:, :3])
    torch.testing.assert_close(icetype_loss(logits, concentration, icetype), sea)


def test_the_soft_target_loss_is_the_cross_entropy_of_its_definition():
    logits, target = np.array([[-1.3, 0.4], [2.0, 0.0]]), np.array([[0.1, 0.5], [1.0, 0.25]])
    p = 1.0 / (1.0 + np.exp(-logits))
    expected = -np.mean(target * np.log(p) + (1.0 - target) * np.log(1.0 - p))
    found = concentration_loss(torch.tensor(logits, dtype=torch.float32)[None, None], target[None], None)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_standardised_input_is_zero_where_it_is_missing():
    values = np.array([[[-14.0, np.nan]], [[-20.0, -30.0]]])
    standards = np.array([(-14.0, 2.0), (-25.0, 5.0)])
    np.testing.assert_allclose(Standards.apply(values, standards), [[[0.0, 0.0]], [[1.0, -1.0]]])


def test_half_of_the_training_blocks_are_mixed_and_none_is_mostly_land():
    scene = SimulatedScene(100_003, 5000, 5000, 80.0)
    fractions, _ = scene.cell_fractions()
    blocks = choose_blocks(scene, np.random.default_rng(0), 12)
    assert len(blocks) == 12
    mixed = 0
    for row, col in blocks:
        cell = fractions[:, row * 8 : row * 8 + 8, col * 8 : col * 8 + 8].mean(axis=(1, 2))
        assert cell[4] < 0.5
        ice = 1.0 - cell[0] / (1.0 - cell[4])
        mixed += 0.03 < ice < 0.97
    assert mixed >= 6


def test_patches_hold_what_the_scene_holds():
    recipe = Recipe(first_seed=100_000, scenes=1, patches=2)
    card = bare_card("concentration")
    patches = simulate_patches(recipe, standards_of(card), Silent())
    assert patches.fine.shape == (2, 2, BLOCK, BLOCK) and patches.coarse.shape == (2, 14, 8, 8)
    scene = SimulatedScene(100_000, 5000, 5000, 80.0)
    blocks = choose_blocks(scene, np.random.default_rng(100_000), 2)
    surface = scene.surface(scene._block_window(*blocks[0]))
    np.testing.assert_array_equal(patches.icetype[0], surface.icetype)
    sea = patches.concentration[0][np.isfinite(patches.concentration[0])].astype(float)
    assert sea.min() >= 0.0 and sea.max() <= 1.0
    # Standardised input is of the order of one: the simulated scenes are like the real ones of the means.
    assert np.abs(patches.fine.astype(np.float32)).mean() < 3.0
    assert np.abs(patches.coarse).mean() < 3.0


def made_up(
    logits: np.ndarray, concentration: np.ndarray, icetype: np.ndarray, summer: bool = False
) -> TestScene:
    return TestScene(0, summer, concentration.astype(np.float32), icetype.astype(np.uint8), logits)


def test_concentration_skill_is_that_of_its_definition():
    draw = np.random.default_rng(1)
    truth = draw.uniform(size=(30, 40))
    truth[:3] = 0.0
    truth[5, 5] = np.nan
    logits = draw.normal(size=(1, 30, 40)).astype(np.float32)
    skill = concentration_skill([made_up(logits, truth, np.zeros((30, 40)))])
    found = 1.0 / (1.0 + np.exp(-logits[0].astype(float)))
    sea = np.isfinite(truth)
    error = found[sea] - truth[sea]
    assert skill["pixels"] == 1199
    assert skill["rmse_percent"] == pytest.approx(100 * np.sqrt(np.mean(error**2)), abs=0.01)
    assert skill["bias_percent"] == pytest.approx(100 * error.mean(), abs=0.01)
    expected = 1 - np.sum(error**2) / np.sum((truth[sea] - truth[sea].mean()) ** 2)
    assert skill["r2"] == pytest.approx(expected, abs=1e-3)
    assert sum(entry["pixels"] for entry in skill["by_concentration"]) == 1199
    assert skill["winter"]["scenes"] == 1 and "summer" not in skill


def test_type_skill_is_that_of_its_definition():
    draw = np.random.default_rng(2)
    truth = draw.choice([0, 1, 2, 3, 255], size=(30, 40))
    logits = draw.normal(size=(4, 30, 40)).astype(np.float32)
    logits[0] += truth == 0
    names = ["open water", "young ice", "first-year ice", "multi-year ice"]
    skill = icetype_skill([made_up(logits, np.zeros((30, 40)), truth)], names)
    sea = truth != 255
    found = logits.argmax(axis=0)
    scores = []
    for code, name in enumerate(names):
        hits = np.sum(sea & (truth == code) & (found == code))
        precision, recall = hits / np.sum(sea & (found == code)), hits / np.sum(truth == code)
        scores.append(2 * precision * recall / (precision + recall))
        assert skill["f1"][name] == pytest.approx(scores[-1], abs=1e-4)
        assert sum(skill["confusion_rows_truth"][code]) == np.sum(truth == code)
    assert skill["macro_f1"] == pytest.approx(np.mean(scores), abs=1e-4)


@pytest.mark.parametrize("task", list(TASKS))
def test_a_package_is_written_whole(task, tmp_path):
    torch.manual_seed(0)
    recipe = Recipe(scenes=1, patches=1, test_scenes=1, test_blocks=1)
    module = with_doubling_pools(build(bare_card(task))).eval()
    folder = TrainDemonstration(task, str(tmp_path), recipe).write(module, [0.5], Silent())
    card, loaded = load(str(folder))
    assert card.demonstration and card.skill["scenes"] == 1
    assert "not for operational use" in (folder / "README.md").read_text(encoding="utf-8")
    for name, value in loaded.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(value, module.state_dict()[name])


def test_a_model_is_trained_from_seeds_alone(tmp_path):
    recipe = Recipe(scenes=1, patches=4, epochs=1, batch=2, crop=75, test_scenes=1, test_blocks=1)
    results = TrainDemonstration("concentration", str(tmp_path), recipe).run(Silent())
    card = load_card(str(results["OUTPUT"]))
    assert card.skill["rmse_percent"] == results["SKILL"]["rmse_percent"]
    assert len(card.training.details["loss_by_percent_of_steps"]) == 2
    assert card.training.details["scenes"] == 1


# The packages that ship


@pytest.mark.parametrize("model", BUNDLED)
def test_a_bundled_model_says_what_it_is_and_is_not(model):
    card = load_card(model)
    assert card.demonstration
    assert any("not for operational use" in limit for limit in card.limits)
    assert any("Young ice" in limit and "assumed" in limit for limit in card.limits)
    assert card.pixel_size_m == 80.0 and card.ratio == 25
    trained = range(card.training.details["first_seed"], card.training.details["first_seed"] + 10_000)
    assert card.training.details["test_seed"] not in trained
    assert str(card.training.details["test_seed"]) in card.skill["measured_on"]


def test_the_bundled_models_reach_the_skill_they_promise():
    assert load_card(BUNDLED[0]).skill["r2"] >= 0.90
    assert load_card(BUNDLED[1]).skill["macro_f1"] >= 0.80


@pytest.mark.parametrize("model", BUNDLED)
def test_a_bundled_model_maps_unseen_scenes_nearly_as_well_as_its_card_says(model):
    """Twelve scenes are few, so the bounds are wide; the card's figures come from ten times as many."""
    card, module = load(model)
    seeds = range(7_000_000, 7_000_012)
    scenes = list(predicted_scenes(with_doubling_pools(module), standards_of(card), seeds, blocks=1))
    if card.head().name == "concentration":
        assert concentration_skill(scenes)["r2"] > card.skill["r2"] - 0.15
    else:
        skill = icetype_skill(scenes, [c.name for c in card.head().classes])
        assert skill["accuracy"] > card.skill["accuracy"] - 0.15


def test_the_skill_in_the_card_does_not_rest_on_pure_pixels_alone():
    ranges = load_card(BUNDLED[0]).skill["by_concentration"]
    between = [entry for entry in ranges if 0 < entry["to_percent"] <= 95]
    assert all(entry["rmse_percent"] < 25.0 for entry in between)
