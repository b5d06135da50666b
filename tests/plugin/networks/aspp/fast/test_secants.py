"""The way back over steps of a path equals the walk with rescaled gates, and comes to integrated gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from floelens.plugin.core.layers.activations import Rescaled
from floelens.plugin.core.layers.backward import LayerwiseBackward, traced
from floelens.plugin.core.layers.conservation import Leaks
from floelens.plugin.core.layers.rules import Rules, along_gradient
from floelens.plugin.core.relevance.explainers import PathExplainer, SecantExplainer
from floelens.plugin.core.relevance.methods import NODES_A_STEP, Method, explainer_for
from floelens.plugin.core.streaming.runner import Inputs, Runner
from floelens.plugin.networks.aspp.fast.secants import SecantGradient, secants
from floelens.plugin.networks.package import load
from floelens.tests.plugin.networks.aspp.fast.test_gradient import inputs_of, network_of, off
from floelens.tests.plugin.networks.networks import fast_of


def rescaled(network, points, seeds):
    """Return the gradients over each step by the walk through the plain network."""
    gates = Rescaled()
    layerwise = LayerwiseBackward(traced(network), Rules(along_gradient, seeds.dtype, gates))
    for begin, end in zip(points, points[1:]):
        gates.record()
        layerwise.forward(*begin)
        gates.recording = False
        layerwise.forward(*end)
        yield layerwise.backward(seeds, Leaks())


@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize(
    ("variant", "outputs", "dtype", "share"),
    [
        ("interpretability_small", 1, torch.float64, 1e-10),
        ("interpretability_large", 4, torch.float64, 1e-10),
        ("interpretability_small", 1, torch.float32, 3e-3),
    ],
)
def test_multipliers_over_steps_are_those_of_the_walk_with_rescaled_gates(variant, outputs, dtype, share):
    network = network_of(variant, outputs, torch.float64)
    fine, coarse = inputs_of(50, 55, torch.float64)
    seeds = torch.zeros(1, outputs, 50, 55, dtype=torch.float64)
    seeds[:, -1, 10:45, :30] = 1.0
    points = [(end * fine, end * coarse) for end in (0.0, 0.3, 1.0)]
    forward_pass = SecantGradient(fast_of(network.to(dtype), dtype))
    found = list(forward_pass.steps([point.to(dtype) for point, _ in points], seeds.to(dtype)))
    expected = list(rescaled(network.to(torch.float64), points, seeds))
    assert len(found) == len(expected) == 2
    for mine, (of_fine, of_coarse) in zip(found, expected):
        assert off(mine, of_fine) < share
        assert off(forward_pass.cells(seeds.to(dtype), coarse.to(dtype)), of_coarse) < 1e-5


def test_the_secant_of_a_relu_is_its_slope_where_it_has_one():
    begin = torch.tensor([-1.0, 2.0, -1.0, 3.0, 0.0, 0.0, -0.0])
    end = torch.tensor([-2.0, 5.0, 3.0, -1.0, 0.0, 4.0, -4.0])
    assert secants(begin, end).tolist() == [0.0, 1.0, 0.75, 0.75, 0.0, 1.0, 0.0]


def test_half_of_the_steps_is_as_close_to_integrated_gradients_as_gauss_legendre_nodes():
    """Away from the mean, where gates change together along the path; the reference are 96 nodes in float64."""
    card, module = load("aspp-concentration-sim")
    runner = Runner(card, module, "cpu", "float64")
    draw = torch.Generator().manual_seed(4)
    fine = torch.randn(1, 2, 40, 40, generator=draw, dtype=torch.float64) * 0.3 - torch.tensor(
        [1.0, 1.6], dtype=torch.float64
    ).view(1, 2, 1, 1)
    coarse = torch.randn(1, len(runner.coarse_channels), 2, 2, generator=draw, dtype=torch.float64)
    inputs = Inputs(fine, coarse)

    def seeds(logits):
        seeded = torch.zeros_like(logits)
        seeded[:, -1, 12:28, 12:28] = 1.0
        return seeded

    def relevance(explainer):
        return (explainer.explain(inputs, seeds, Leaks()).fine * fine).numpy()

    def nodes(number):
        return PathExplainer(runner, runner, (), number, lambda: None)

    reference = relevance(nodes(96))

    def error(found):
        return np.abs(found - reference).sum() / np.abs(reference).sum()

    explainer = explainer_for(runner, Method("integrated_gradients", steps=32))
    assert isinstance(explainer, SecantExplainer)
    passes, steps = [], explainer._secants.to_fine
    explainer._secants.to_fine = lambda *given: passes.append(1) or steps(*given)
    found = relevance(explainer)
    assert len(passes) == 32 // NODES_A_STEP
    assert error(found) <= error(relevance(nodes(32)))
    # What adds up does so exactly: only the reference's own quadrature is between the sums.
    change = (runner.logits(inputs) - runner.logits(runner.constant(inputs)))[:, -1, 12:28, 12:28].sum()
    linear = (runner.gradient(inputs, seeds(runner.logits(inputs)))[1] * coarse).sum()
    assert found.sum() == pytest.approx(float(change - linear), rel=1e-9)
