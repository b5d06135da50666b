"""One component as the target: what it adds to the logits, for every method."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from floelens.plugin.core.layers.conservation import Leaks
from floelens.plugin.core.relevance.methods import METHODS, Method, explainer_for
from floelens.plugin.core.relevance.run import run_relevance
from floelens.plugin.core.streaming.engine import scene_window
from floelens.plugin.core.streaming.runner import Inputs, Runner
from floelens.plugin.core.streaming.tiling import Plan
from floelens.plugin.core.target.component import component_weights, through_component
from floelens.plugin.core.target.target import Target
from floelens.plugin.ground.errors import ParameterError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.networks.aspp.definition import AsppFusion
from floelens.plugin.networks.card import Component
from floelens.tests.plugin.core.tiny_networks import (
    RATIO,
    ListSink,
    TinyFusion,
    tiny_card,
    tiny_scene,
)

COMPONENTS = 5 + 3 + 4 + 3
# A rectified one, a linear one whose values have both signs, and a coarse channel itself.
KINDS = {"rectified": 1, "linear": 6, "channel": 13}


def card_of(number=COMPONENTS, **changes):
    card = tiny_card(**changes)
    card.components = tuple(Component(f"part_{at:02d}", "sar") for at in range(number))
    return card


def runner_of(network, **changes):
    return Runner(card_of(**changes), network, "cpu", "float64")


def explain(position, method="gradient_x_input", side=1000, network=None):
    """Return result and fine map of what a component adds to the logit of old ice."""
    name = "" if position is None else f"part_{position:02d}"
    scene, runner = tiny_scene(), through_component(runner_of(network or TinyFusion(2)), name)
    whole = scene_window(scene)
    plan = Plan(whole, whole, runner.radius, runner.alignment, side, side)
    settings = Method(method, steps=6, refine=False, tolerance=1.0, samples=3, patch=6)
    target, sink = Target("type", "old ice", component=name), ListSink()
    return run_relevance(runner, scene, plan, target, settings, sink, Silent()), sink.values


def autograd(network, position, points, logit=3):
    """Return the mean gradient of Σ weight · component over some inputs, in float64, by torch alone."""
    network, found = network.double().eval(), []
    for fine, coarse in points:
        leaves = fine.clone().requires_grad_(), coarse.clone().requires_grad_()
        part = network.output.weight[logit, position, 0, 0] * network.components(*leaves)[:, position]
        gradients = torch.autograd.grad(part.sum(), leaves, allow_unused=True)
        found.append([torch.zeros_like(x) if g is None else g for g, x in zip(gradients, leaves)])
    return [torch.stack(each).mean(0) for each in zip(*found)]


@pytest.mark.parametrize("position", KINDS.values(), ids=KINDS)
def test_the_multipliers_of_a_component_are_those_of_autograd(position):
    draw = torch.Generator().manual_seed(position)
    fine = torch.randn((1, 2, 16, 20), generator=draw, dtype=torch.float64)
    coarse = torch.randn((1, 3, 4, 5), generator=draw, dtype=torch.float64)
    runner = through_component(runner_of(TinyFusion(2)), f"PART_{position:02d}")  # in any case
    seeds = lambda logits: torch.zeros_like(logits).index_fill_(1, torch.tensor([3]), 1.0)  # noqa: E731
    nodes = (np.polynomial.legendre.leggauss(6)[0] + 1) / 2
    for name in ("gradient", "gradient_x_input", "lrp_0", "integrated_gradients"):
        method = Method(name, steps=6, refine=False)
        path = name == "integrated_gradients"
        weights = np.polynomial.legendre.leggauss(6)[1] / 2 if path else [1.0]
        expected = [0.0, 0.0]
        for share, weight in zip(nodes if path else [1.0], weights):
            step = autograd(TinyFusion(2), position, [(share * fine, share * coarse)])
            expected = [total + weight * part for total, part in zip(expected, step)]

        found = explainer_for(runner, method).explain(Inputs(fine, coarse), seeds, Leaks())
        for own, wanted in zip((found.fine, found.coarse), expected):
            assert torch.allclose(own, wanted, rtol=1e-12, atol=1e-13), name


# Those that go back layer by layer, along a path, over noise and by patches each in a way of their own.
TILED = ["gradient_x_input", "integrated_gradients", "deeplift", "lrp_zplus", "lrp_composite", "smoothgrad"]


@pytest.mark.parametrize("method", TILED)
def test_tiled_relevance_of_a_component_equals_the_whole_and_is_conserved(method):
    result, whole = explain(KINDS["linear"], method)
    tiled, parts = explain(KINDS["linear"], method, side=5 * RATIO)
    np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-11 * np.nanmax(np.abs(whole)))
    np.testing.assert_allclose(tiled.coarse_relevance, result.coarse_relevance, rtol=0, atol=1e-12)
    accounts = result.conservation
    assert accounts.target_sum == pytest.approx(tiled.conservation.target_sum, rel=1e-12)
    # Of a path with few steps the tolerance is wide.
    assert not accounts.conservative or accounts.relative_residual < (0.1 if "integrated" in method else 1e-9)


def test_the_maps_of_all_components_and_the_biases_add_up_to_the_map_of_the_logit():
    whole, expected = explain(None)
    parts = [explain(position) for position in range(COMPONENTS)]
    np.testing.assert_allclose(sum(values for _, values in parts), expected, rtol=0, atol=1e-11)
    bias = float(TinyFusion(2).output.bias.detach()[3]) * whole.pixels
    sums = sum(result.conservation.target_sum for result, _ in parts)
    assert sums + bias == pytest.approx(whole.conservation.target_sum, rel=1e-12)


@pytest.mark.parametrize("method", [each for each in METHODS if each not in TILED])
def test_every_other_method_explains_a_component_too(method):
    result, _ = explain(KINDS["linear"], method)
    assert np.isfinite(result.conservation.relevance_sum)
    assert not result.conservation.conservative or result.conservation.relative_residual < 1e-9


@pytest.mark.parametrize("method", ["lrp_zplus", "lrp_alpha_beta"])
def test_what_speaks_against_the_class_is_explained_by_every_rule(method):
    """The rules act below the last layer: a component that adds less than nothing is not lost there."""
    result, _ = explain(KINDS["linear"], method)
    lost = result.conservation.layers.get("zero_denominator", {})
    assert "output" not in lost
    assert "output" not in result.conservation.layers.get("bias", {})


def test_fast_gradients_of_a_component_are_those_of_the_definition():
    torch.manual_seed(1)
    network = AsppFusion(2, 3, RATIO, "interpretability_small", 4).double().eval()
    number = network.output.in_channels
    card = card_of(number, radius=60)
    card.alignment = RATIO
    runner = through_component(Runner(card, network, "cpu", "float64"), "part_20")
    fine = torch.randn((1, 2, 24, 32), dtype=torch.float64)
    coarse = torch.randn((1, 3, 6, 8), dtype=torch.float64)
    seeds = torch.zeros((1, 4, 24, 32), dtype=torch.float64)
    seeds[:, 3] = 1.0
    expected = autograd(network, 20, [(fine, coarse)])
    assert runner.fast.gradient is not None
    assert runner.fast.lrp_epsilon is None
    for own, wanted in zip(runner.gradient(Inputs(fine, coarse), seeds), expected):
        assert torch.allclose(own, wanted, rtol=1e-10, atol=1e-12)


def test_the_network_itself_is_left_alone_and_no_component_is_the_network():
    runner = runner_of(TinyFusion(2))
    before = runner.module.output.weight.clone()
    assert through_component(runner, "") is runner
    alone = through_component(runner, "part_06")
    assert torch.equal(runner.module.output.weight, before)
    assert component_weights(alone, "type", "part_06") == pytest.approx(before[1:, 6, 0, 0].numpy())


def test_an_unknown_component_lists_those_that_exist_in_one_short_sentence():
    with pytest.raises(
        ParameterError, match=r"no component 'd2_99'. Set COMPONENT to one of: part_00, part_01"
    ):
        through_component(runner_of(TinyFusion(2)), "d2_99")
    card = card_of()
    card.components = tuple(Component(f"a_component_with_a_long_name_{at:03d}", "sar") for at in range(140))
    with pytest.raises(ParameterError) as found:
        Target("concentration", component="x" * 400).resolve(card)
    assert len(str(found.value)) < 500
    listed = str(found.value).count("a_component_with_a_long_name_")
    assert f"and {140 - listed} more, which the table of zscores lists" in str(found.value)
    card.components = ()
    with pytest.raises(ParameterError, match="lists no components"):
        Target("concentration", component="d2_01").resolve(card)


def test_a_component_of_several_classes_needs_one_of_them():
    with pytest.raises(ParameterError, match="Set CLASS to one of: water, young ice, old ice"):
        Target("type", component="part_06").resolve(card_of())
    seeding = Target("type", "old ice", "water", component="part_06").resolve(card_of())
    assert seeding.text == "logit of 'old ice' rather than 'water' (head 'type'), through component part_06"
    assert seeding.shown == "old ice rather than water through part_06"
    assert Target("concentration", component="part_06").resolve(card_of()).wanted == 0
