"""Sanity measures of a fusion network: radiometry enters it linearly, so that losses there are known exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from floelens.plugin.core.benchmarks.fusion.behaviour import _inner_parts, _Scene, scene_sanity
from floelens.plugin.core.benchmarks.fusion.generator import Fusion
from floelens.plugin.core.benchmarks.fusion.networks import card_of
from floelens.plugin.core.relevance.methods import Method
from floelens.plugin.core.sanity.run import Explained, Joint, Settings, losses
from floelens.plugin.core.streaming.runner import Runner
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.networks.package import build

FUSION = Fusion("interpretability_small", ("btemp_18_7v", "btemp_36_5h"))


@pytest.fixture(scope="module")
def runner() -> Runner:
    torch.manual_seed(0)
    card = card_of(FUSION)
    return Runner(card, build(card).eval().requires_grad_(False), "cpu", "float32")


@pytest.fixture(scope="module")
def scenes():
    return FUSION.samples(0, 2, 4)[0]


def test_what_the_network_loses_without_cells_is_their_relevance(runner, scenes):
    joint, values = Joint.of(_inner_parts(scenes[:1]))
    task = _Scene(scenes[0], joint, Method("gradient_x_input"), Silent())
    maps = task.explain(runner, values)
    pixels = 2 * 50 * 50
    inside = np.zeros(values.shape, dtype=bool)
    inside[:, pixels + 1 : pixels + 6] = True  # cells of both channels
    explained = Explained(lambda x: task.predict(runner, x), None)
    found = losses(values, maps, explained, [inside])
    assert abs(found.lost[0, 0]) > 1.0
    np.testing.assert_allclose(found.summed, found.lost, rtol=1e-4)


def test_every_measure_has_a_value_a_scene(runner, scenes):
    settings = Settings(noisy=1, sets=3)
    found = scene_sanity(runner, Method("gradient"), scenes, settings, Silent())
    assert {values.shape for values in found.values()} == {(2,)}
    assert all(np.isfinite(values).all() for values in found.values())
    assert np.abs(found["randomisation"]).max() < 1
    assert "baseline_sensitivity" not in found  # a gradient has no baseline


def test_another_baseline_moves_relevance_by_the_slope_where_the_network_is_linear(runner, scenes):
    found = scene_sanity(runner, Method("deeplift"), scenes[:1], Settings(noisy=1, sets=3), Silent())
    joint, values = Joint.of(_inner_parts(scenes[:1]))
    task = _Scene(scenes[0], joint, Method("deeplift"), Silent())
    higher = _Scene(scenes[0], joint, Method("deeplift", baseline=(0.5,) * 4), Silent())
    maps, moved = task.explain(runner, values)[0], higher.explain(runner, values)[0]
    cells = slice(2 * 50 * 50, None)
    slopes = maps[cells] / values[0, cells]
    np.testing.assert_allclose(moved[cells], slopes * (values[0, cells] - 0.5), rtol=1e-3, atol=1e-3)
    expected = np.linalg.norm(moved - maps) / np.linalg.norm(maps)
    np.testing.assert_allclose(found["baseline_sensitivity"], expected)
