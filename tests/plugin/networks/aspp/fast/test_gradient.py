"""The fast network's own way back equals the walk through its definition, layer by layer."""

from __future__ import annotations

import pytest
import torch
from floelens.plugin.core.layers.backward import LayerwiseBackward, traced
from floelens.plugin.core.layers.conservation import Leaks
from floelens.plugin.core.layers.rules import BIAS, AlongEpsilon, Rules, along_gradient
from floelens.plugin.core.relevance.fast import FastEpsilon, FastGradient
from floelens.plugin.core.relevance.methods import LayerwiseExplainer, Method, explainer_for
from floelens.plugin.core.streaming.runner import Runner
from floelens.plugin.networks.architectures import fast_paths
from floelens.plugin.networks.aspp.definition import AsppFusion
from floelens.plugin.networks.aspp.fast.gradient import GradientPass
from floelens.plugin.networks.aspp.fast.lrp_epsilon import EpsilonPass
from floelens.plugin.networks.package import load
from floelens.tests.plugin.core.tiny_networks import tiny_card
from floelens.tests.plugin.networks.networks import fast_of

pytestmark = pytest.mark.usefixtures("two_cores")

RATIO = 25
REACH = 30


def network_of(variant: str, outputs: int, dtype: torch.dtype) -> AsppFusion:
    torch.manual_seed(3)
    network = AsppFusion(2, 3, RATIO, variant, outputs).eval().requires_grad_(False)
    for norm in (network.norm1, network.norm2):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        torch.nn.init.normal_(norm.bias)
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.normal_(layer.bias, std=0.1)
    return network.to(dtype)


def inputs_of(rows: int, cols: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(rows * cols)
    fine = torch.randn(1, 2, rows, cols, generator=draw, dtype=dtype)
    return fine, torch.randn(1, 3, -(-rows // RATIO), -(-cols // RATIO), generator=draw, dtype=dtype)


def off(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def walked(network, fine, coarse, seeds):
    layerwise = LayerwiseBackward(traced(network), Rules(along_gradient, fine.dtype))
    logits, leaks = layerwise.forward(fine, coarse), Leaks()
    return logits, *layerwise.backward(seeds, leaks), leaks.by_layer()[BIAS]


@pytest.mark.parametrize("model", ["aspp-concentration-sim", "aspp-icetype-sim"])
def test_bfloat16_opens_most_gates_of_float32_and_gives_its_maps(model):
    module = load(model)[1].eval().requires_grad_(False)
    channels = module.conv1.in_channels
    draw = torch.Generator().manual_seed(7)
    fine = torch.nn.functional.interpolate(
        torch.randn(1, channels, 12, 12, generator=draw), (96, 96), mode="bicubic"
    )
    fine = fine + 0.3 * torch.randn(fine.shape, generator=draw)
    coarse = torch.randn(
        1, module.coarse_channels, -(-96 // module.ratio), -(-96 // module.ratio), generator=draw
    )
    found = {}
    for dtype in (torch.float32, torch.bfloat16):
        paths = fast_paths(module, dtype)
        logits, backward = paths.gradient(fine, coarse)
        seeds = torch.zeros_like(logits)
        seeds[:, -1] = 1.0
        gradients = backward(seeds)[0]
        (steps,) = paths.secants.steps([0 * fine, fine], seeds)
        found[dtype] = logits.clone(), gradients * fine, steps * fine
    exact, rough = found[torch.float32], found[torch.bfloat16]
    assert off(rough[0], exact[0]) < 0.02
    # Over the steps of a path all gates are those of float32.
    for mine, expected, least in zip(rough[1:], exact[1:], (0.993, 0.9995)):
        assert not torch.equal(mine, expected)
        for channel in range(channels):
            pair = torch.stack([mine[0, channel].ravel(), expected[0, channel].ravel()])
            assert torch.corrcoef(pair)[0, 1] > least


@pytest.mark.parametrize(
    ("variant", "outputs"), [("interpretability_small", 1), ("interpretability_large", 4)]
)
@pytest.mark.parametrize(
    ("dtype", "share", "size"),
    [
        (torch.float64, 1e-10, (70, 75)),
        (torch.float64, 1e-10, (130, 97)),
        (torch.float32, 1e-5, (101, 130)),
    ],
    ids=["small", "large", "float32"],
)
def test_logits_multipliers_and_the_share_of_every_bias_are_those_of_the_walk(
    variant, outputs, dtype, share, size
):
    network = network_of(variant, outputs, dtype)
    fine, coarse = inputs_of(*size, dtype)
    seeds = torch.randn(1, outputs, *size, dtype=dtype, generator=torch.Generator().manual_seed(1))
    logits, to_fine, to_cells, biases = walked(network, fine, coarse, seeds)
    found, backward = GradientPass(fast_of(network))(fine, coarse)
    noted = {}
    fast_fine, fast_cells = backward(seeds, noted.__setitem__)
    assert off(found, logits) < share
    assert off(fast_fine, to_fine) < share
    assert off(fast_cells, to_cells) < share
    assert noted.keys() == biases.keys()
    largest = max(map(abs, biases.values()))
    assert all(abs(float(noted[name]) - biases[name]) < share * largest for name in biases)


@pytest.mark.parametrize(("side", "outputs"), [(0, 1), (1, 2), (2, 2), (3, 1)])
def test_sides_that_are_not_the_scenes_spoil_nothing_beyond_the_receptive_field(side, outputs):
    network = network_of("interpretability_small", outputs, torch.float64)
    rows, cols = 128, 141
    fine, coarse = inputs_of(rows, cols, torch.float64)
    edges = tuple(index != side for index in range(4))
    margin = [0 if edge else REACH for edge in edges]
    own = (..., slice(margin[0], rows - margin[1]), slice(margin[2], cols - margin[3]))
    seeds = torch.zeros(1, outputs, rows, cols, dtype=torch.float64)
    seeds[own] = torch.randn(seeds[own].shape, dtype=torch.float64)
    logits, to_fine, to_cells, _ = walked(network, fine, coarse, seeds)
    found, backward = GradientPass(fast_of(network))(fine, coarse, edges)
    fast_fine, fast_cells = backward(seeds)
    assert off(found[own], logits[own]) < 1e-12
    assert off(fast_fine, to_fine) < 1e-12
    assert off(fast_cells, to_cells) < 1e-12


def test_variants_with_gates_behind_the_trunk_are_left_to_autograd():
    for variant in ("fusion", "v2"):
        paths = fast_paths(AsppFusion(2, 3, RATIO, variant).eval(), torch.float32)
        assert paths.gradient is paths.secants is paths.lrp_epsilon is None


@pytest.mark.parametrize(
    ("dtype", "epsilon", "share", "outputs"),
    # In float32 a tiny ε leaves the sign of what cancels to rounding.
    [
        (torch.float64, 1e-6, 1e-10, 4),
        (torch.float64, 0.05, 1e-10, 1),
        (torch.float32, 0.05, 1e-5, 1),
        (torch.float32, 0.05, 1e-5, 4),
    ],
    ids=["tiny", "float64", "float32-1", "float32-4"],
)
def test_epsilon_relevance_and_its_books_are_those_of_the_walk(dtype, epsilon, share, outputs):
    network = network_of("interpretability_small", outputs, dtype)
    fine, coarse = inputs_of(61, 74, dtype)
    seeds = torch.randn(1, outputs, 61, 74, dtype=dtype, generator=torch.Generator().manual_seed(1))
    layerwise, books = LayerwiseBackward(traced(network), Rules(AlongEpsilon(epsilon), dtype)), Leaks()
    logits = layerwise.forward(fine, coarse)
    to_fine, to_cells = layerwise.backward(seeds, books)
    found, backward = EpsilonPass(fast_of(network), epsilon)(fine, coarse)
    fast_books = Leaks()
    fast_fine, fast_cells = backward(seeds, fast_books.record)
    assert off(found, logits) < share
    assert off(fast_fine, to_fine) < share
    assert off(fast_cells, to_cells) < share
    expected, noted = books.by_layer(), fast_books.by_layer()
    assert {kind: layers.keys() for kind, layers in noted.items()} == {
        kind: layers.keys() for kind, layers in expected.items()
    }
    largest = max(map(abs, expected[BIAS].values()))
    for kind, layers in expected.items():
        assert all(abs(noted[kind][name] - layers[name]) < share * largest for name in layers)


def test_an_epsilon_too_small_for_the_precision_leaves_the_gradient():
    network = network_of("interpretability_small", 1, torch.float32)
    fine, coarse = inputs_of(20, 20, torch.float32)
    seeds, notes = torch.ones(1, 1, 20, 20), Leaks()
    to_fine, _ = EpsilonPass(fast_of(network), 1e-60)(fine, coarse)[1](seeds, notes.record)
    assert off(to_fine, GradientPass(fast_of(network))(fine, coarse)[1](seeds)[0]) < 1e-5
    assert abs(sum(notes.by_layer()["epsilon"].values())) < 1e-20


def test_a_norm_without_gain_is_not_merged_and_keeps_its_share():
    network = network_of("interpretability_small", 1, torch.float64)
    network.norm1.weight[3] = 0
    fine, coarse = inputs_of(70, 75, torch.float64)
    seeds = torch.ones(1, 1, 70, 75, dtype=torch.float64)
    _, to_fine, _, biases = walked(network, fine, coarse, seeds)
    noted = {}
    _, backward = GradientPass(fast_of(network))(fine, coarse)
    assert off(backward(seeds, noted.__setitem__)[0], to_fine) < 1e-12
    assert float(noted["norm1"]) == pytest.approx(biases["norm1"], rel=1e-10)


def test_explainers_by_the_networks_own_way_back_are_chosen_where_there_is_one():
    runner = Runner(tiny_card(radius=30), AsppFusion(2, 3, 4, "interpretability_small", 4), "cpu")
    for name in ("gradient", "gradient_x_input", "lrp_0"):
        assert isinstance(explainer_for(runner, Method(name)), FastGradient)
    assert isinstance(explainer_for(runner, Method("lrp_epsilon")), FastEpsilon)
    runner = Runner(tiny_card(radius=30), AsppFusion(2, 3, 4, "fusion", 4), "cpu")
    assert isinstance(explainer_for(runner, Method("gradient")), LayerwiseExplainer)
    assert isinstance(explainer_for(runner, Method("lrp_epsilon")), LayerwiseExplainer)
