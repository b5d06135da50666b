"""Each method equals its definition, worked out slowly, on a network with every kind of layer."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from floelens.plugin.core.layers.conservation import Leaks
from floelens.plugin.core.layers.rules import along_gradient
from floelens.plugin.core.relevance.methods import (
    FIRST_RULES,
    METHODS,
    RUNS,
    Method,
    MethodRun,
    explainer_for,
)
from floelens.plugin.core.relevance.random_fields import Noise
from floelens.plugin.core.streaming.runner import Inputs, Runner
from floelens.plugin.ground.errors import ParameterError
from floelens.plugin.ground.vocabulary.relevance_methods import RelevanceMethod
from floelens.plugin.ground.vocabulary.words import FIRST_LAYERS
from floelens.plugin.ground.window import Window
from floelens.tests.plugin.core.slow_relevance import RATIO, EveryKind, Slow
from floelens.tests.plugin.core.tiny_networks import tiny_card
from torch import nn

SIDE = 8
LEVELS = (0.3, -0.2, 0.1, 0.4, -0.5)


def runner_of(network):
    card = tiny_card(radius=SIDE)
    return Runner(card, network, "cpu", "float64")


def inputs_of(seed=0):
    draw = torch.Generator().manual_seed(seed)
    fine = torch.randn(1, 2, SIDE, SIDE, generator=draw, dtype=torch.float64)
    return Inputs(fine, torch.randn(1, 3, SIDE // RATIO, SIDE // RATIO, generator=draw, dtype=torch.float64))


def seeds_of(logits):
    """Return weights of the logits of which some are zero and some negative."""
    draw = torch.Generator().manual_seed(5)
    seeds = torch.randn(logits.shape, generator=draw, dtype=torch.float64)
    return torch.where(seeds.abs() < 0.3, 0.0, seeds)


def explained(method, network=None, inputs=None, leaks=None):
    """Return relevance of fine and coarse inputs, and the target."""
    network, inputs = network or EveryKind(), inputs or inputs_of()
    runner = runner_of(network)
    found = explainer_for(runner, method).explain(inputs, seeds_of, leaks or Leaks())
    origin = runner.constant(inputs, method.baseline)
    relevance = []
    for multipliers, handed, x, x_0 in (
        (found.fine, found.direct_fine, inputs.fine, origin.fine),
        (found.coarse, found.direct_coarse, inputs.coarse, origin.coarse),
    ):
        total = torch.zeros_like(x) if handed is None else handed
        if multipliers is not None:
            total = total + (multipliers * (x - x_0) if method.times_input else multipliers)
        relevance.append(total.numpy())
    return relevance, found.target_sum


def gradients(network, inputs, seeds):
    network = copy.deepcopy(network).double().eval()
    leaves = [part.clone().requires_grad_() for part in (inputs.fine, inputs.coarse)]
    return [g.numpy() for g in torch.autograd.grad((network(*leaves) * seeds).sum(), leaves)]


def same(found, expected, share=1e-9):
    for ours, theirs in zip(found, expected):
        assert np.abs(ours - theirs).max() <= share * np.abs(theirs).max()


def slow_pass(inputs, network=None):
    network = (network or EveryKind()).double().eval().requires_grad_(False)
    return Slow(network, inputs.fine, inputs.coarse)


def seeds_for(network, inputs):
    with torch.no_grad():
        return seeds_of(copy.deepcopy(network).double().eval()(inputs.fine, inputs.coarse))


def test_gradients_equal_autograd():
    inputs, network = inputs_of(), EveryKind()
    expected = gradients(network, inputs, seeds_for(network, inputs))
    same(explained(Method("gradient"))[0], expected)
    factors = (inputs.fine.numpy(), inputs.coarse.numpy())
    same(explained(Method("gradient_x_input"))[0], [g * x for g, x in zip(expected, factors)])


def test_integrated_gradients_equal_the_sum_over_their_nodes():
    inputs, network = inputs_of(), EveryKind()
    seeds = seeds_for(network, inputs)
    method = Method("integrated_gradients", steps=7, baseline=LEVELS)
    origin = runner_of(network).constant(inputs, LEVELS)
    nodes, weights = np.polynomial.legendre.leggauss(7)
    total = [0.0, 0.0]
    for node, weight in zip(nodes, weights):
        share = (1 + node) / 2
        point = Inputs(
            origin.fine + share * (inputs.fine - origin.fine),
            origin.coarse + share * (inputs.coarse - origin.coarse),
        )
        total = [t + weight / 2 * g for t, g in zip(total, gradients(network, point, seeds))]
    factors = ((inputs.fine - origin.fine).numpy(), (inputs.coarse - origin.coarse).numpy())
    same(explained(method)[0], [t * f for t, f in zip(total, factors)])


def test_smoothgrad_equals_the_mean_gradient_over_its_noise():
    inputs, network = inputs_of(), EveryKind()
    seeds = seeds_for(network, inputs)
    place = Window(0, 0, SIDE, SIDE)
    total = [0.0, 0.0]
    for sample in range(5):
        point = inputs.plus(Noise(0.3, RATIO, 9, sample).of(inputs, place))
        total = [t + g / 5 for t, g in zip(total, gradients(network, point, seeds))]
    same(explained(Method("smoothgrad", noise=0.3, samples=5, seed=9))[0], total)


@pytest.mark.parametrize("levels", [(), LEVELS])
def test_deeplift_equals_its_layers_with_matrices(levels):
    inputs, network = inputs_of(), EveryKind()
    origin = runner_of(network).constant(inputs, levels)
    seeds, leaks = seeds_for(network, inputs), Leaks()
    expected = slow_pass(inputs).deeplift(seeds.numpy().reshape(-1), slow_pass(origin))
    found, target = explained(Method("deeplift", baseline=levels), leaks=leaks)
    same(found, expected)
    # Complete whatever the gates: what is shared out is the difference of the targets.
    at_origin = sum(leaks.by_layer()["bias"].values())
    assert sum(part.sum() for part in found) == pytest.approx(target - at_origin, rel=1e-10)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_deeplift_does_not_depend_on_the_scale_inside_a_network(precision):
    class Bent(nn.Module):
        def __init__(self, scale):
            super().__init__()
            self.conv, self.output = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(6, 4, 1)
            draw = torch.Generator().manual_seed(0)
            with torch.no_grad():
                for parameter in self.parameters():
                    parameter.copy_(torch.randn(parameter.shape, generator=draw))
                for parameter in self.conv.parameters():
                    parameter.mul_(scale)
                self.output.weight.div_(scale)

        def forward(self, fine, coarse):
            return self.output(nn.functional.leaky_relu(self.conv(fine), 0.1))

    found = []
    for scale in (1.0, 2.0**-20):  # a power of two: nothing is rounded otherwise
        runner = Runner(tiny_card(radius=1), Bent(scale), "cpu", precision)
        inputs = Inputs(inputs_of().fine.to(runner.dtype), None)
        found.append(
            explainer_for(runner, Method("deeplift")).explain(inputs, torch.ones_like, Leaks()).fine.numpy()
        )
    same([found[1]], [found[0]], 1e-6 if precision == "float32" else 1e-12)


LRP = {
    "lrp_0": (("epsilon", 0.0),) * 3,
    "lrp_epsilon": (("epsilon", 0.02),) * 3,
    "lrp_gamma": (("gamma", 0.4), ("gamma", 0.4), ("epsilon", 0.0)),
    "lrp_alpha_beta": (("signs", 1.7), ("signs", 1.7), ("epsilon", 0.0)),
    "lrp_zplus": (("signs", 1.0), ("signs", 1.0), ("epsilon", 0.0)),
    "lrp_composite": (("gamma", 0.4), ("epsilon", 0.02), ("epsilon", 0.0)),
}


@pytest.mark.parametrize("first", ["same", "w_square", "flat", "z_box"])
@pytest.mark.parametrize("name", LRP)
def test_layer_wise_relevance_equals_its_rules_with_matrices(name, first):
    wide, pointwise, norm = LRP[name]

    def rule_of(layer_name, layer):
        if first != "same" and layer_name in ("conv", "coarse"):
            return first, 1.5
        if isinstance(layer, nn.BatchNorm2d):
            return norm
        narrow = isinstance(layer, nn.Linear) or layer.kernel_size == (1, 1)
        return pointwise if narrow else wide

    inputs, network = inputs_of(), EveryKind()
    seeds = seeds_for(network, inputs)
    below = ("bilinear",) if first != "same" else ()
    expected = slow_pass(inputs).lrp(seeds.numpy().reshape(-1), rule_of, below)
    method = Method(name, epsilon=0.02, gamma=0.4, alpha=1.7, first_layer=first, bound=1.5)
    leaks = Leaks()
    found, target = explained(method, leaks=leaks)
    same(found, expected)
    leaks = sum(sum(layers.values()) for layers in leaks.by_layer().values())
    scale = sum(np.abs(part).sum() for part in found) + abs(leaks)
    assert abs(sum(part.sum() for part in found) + leaks - target) <= 1e-12 * scale


@pytest.mark.parametrize("patch", [1, 3, 5])
def test_occlusion_equals_taking_patches_away_one_by_one(patch):
    inputs, network = inputs_of(), EveryKind().double().eval()
    seeds, runner = seeds_for(network, inputs), runner_of(network)
    origin = runner.constant(inputs, LEVELS)
    cells = max(1, round(patch / RATIO))

    def target(fine, coarse):
        with torch.no_grad():
            return (network(fine, coarse) * seeds).sum().item()

    expected = []
    for index, (name, side) in enumerate((("fine", patch), ("coarse", cells))):
        values, base = getattr(inputs, name), getattr(origin, name)
        relevance = np.zeros(values.shape)
        for channel in range(values.shape[1]):
            for row in range(0, values.shape[2], side):
                for col in range(0, values.shape[3], side):
                    place = (0, channel, slice(row, row + side), slice(col, col + side))
                    without = values.clone()
                    without[place] = base[place]
                    pair = [inputs.fine, inputs.coarse]
                    pair[index] = without
                    lost = target(inputs.fine, inputs.coarse) - target(*pair)
                    relevance[place] = lost / relevance[place].size
        expected.append(relevance)
    same(explained(Method("occlusion", patch=patch, baseline=LEVELS), network, inputs)[0], expected)


class LinearEverything(nn.Module):
    """Linear layers of all kinds, without biases."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.conv = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.strided = nn.Conv2d(4, 4, 3, stride=2, padding=2, dilation=2, groups=2, bias=False)
        self.average = nn.AvgPool2d(2, stride=2, ceil_mode=True)
        self.up = nn.Upsample(scale_factor=4)
        self.bilinear = EveryKind().bilinear
        self.output = nn.Conv2d(4 + 4 + 3, 2, 1, bias=False)

    def forward(self, fine, coarse):
        first = self.conv(fine)
        second = self.up(self.average(self.strided(first)))
        return self.output(torch.cat([first + second, second, self.bilinear(coarse, fine)], 1))


EXACT = ["gradient_x_input", "integrated_gradients", "deeplift", "lrp_0", "occlusion"]


@pytest.mark.parametrize("name", METHODS)
def test_on_a_linear_network_some_methods_are_weight_times_input_and_the_others_are_not(name):
    inputs, network = inputs_of(), LinearEverything()
    weights = gradients(network, inputs, seeds_for(network, inputs))
    expected = [w * x.numpy() for w, x in zip(weights, (inputs.fine, inputs.coarse))]
    method = Method(name, patch=1, steps=3, epsilon=0.1, samples=2)
    found, _ = explained(method, network, inputs)
    if name == "occlusion":  # one cell at a time where a pixel is smaller
        expected[1] = expected[1].reshape(found[1].shape)
    far = max(np.abs(f - e).max() / np.abs(e).max() for f, e in zip(found, expected))
    if name in EXACT:
        assert far <= 1e-9
    elif name in ("gradient", "smoothgrad"):
        same(found, weights)
    else:
        assert far > 0.01


@pytest.mark.parametrize("first", ["w_square", "flat", "z_box"])
def test_rules_of_first_layers_are_not_weight_times_input(first):
    inputs, network = inputs_of(), LinearEverything()
    expected = gradients(network, inputs, seeds_for(network, inputs))[0] * inputs.fine.numpy()
    found, _ = explained(Method("lrp_0", first_layer=first), network, inputs)
    assert np.abs(found[0] - expected).max() > 0.01 * np.abs(expected).max()


class Rectified(nn.Module):
    """Convolutions with biases and ReLU."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(4)
        self.first, self.second = nn.Conv2d(2, 5, 3, padding=1), nn.Conv2d(5, 5, 3, padding=1)
        self.output = nn.Conv2d(5, 2, 1)

    def forward(self, fine, coarse):
        return self.output(torch.relu(self.second(torch.relu(self.first(fine)))))


@pytest.mark.parametrize(("name", "alike"), [("lrp_0", True), ("lrp_zplus", False), ("lrp_gamma", False)])
def test_lrp_0_of_a_network_of_relus_is_gradient_x_input_and_zplus_is_not(name, alike):
    inputs, network = inputs_of(), Rectified()
    expected = explained(Method("gradient_x_input"), network, inputs)[0][0]
    found = explained(Method(name), network, inputs)[0][0]
    far = np.abs(found - expected).max() / np.abs(expected).max()
    assert far <= 1e-12 if alike else far > 0.01


def test_tangents_of_curved_gates_record_their_intercept_as_a_bias_and_lrp_does_not():
    leaks = {}
    for name in ("gradient_x_input", "lrp_0"):
        leaks[name] = Leaks()
        explained(Method(name), leaks=leaks[name])
    recorded = {name: set(leaks.by_layer()["bias"]) for name, leaks in leaks.items()}
    assert {"tanh", "sigmoid"} <= recorded["gradient_x_input"]
    assert not {"tanh", "sigmoid"} & recorded["lrp_0"]


def test_what_has_no_contribution_of_a_sign_is_lost_to_a_zero_denominator():
    class Negative(nn.Module):
        def __init__(self):
            super().__init__()
            self.output = nn.Conv2d(2, 1, 1)
            nn.init.constant_(self.output.weight, -1.0)
            nn.init.constant_(self.output.bias, 1.0)

        def forward(self, fine, coarse):
            return self.output(fine)

    leaks = Leaks()
    inputs = Inputs(torch.ones(1, 2, 4, 4).double(), None)
    runner = runner_of(Negative())
    found = explainer_for(runner, Method("lrp_zplus")).explain(inputs, torch.ones_like, leaks)
    assert not found.fine.any()
    assert found.target_sum == -16
    assert leaks.by_layer()["zero_denominator"]["output"] == -16


def test_constants_that_are_padded_have_an_account():
    class Padded(nn.Module):
        def __init__(self):
            super().__init__()
            self.pad, self.conv = nn.ConstantPad2d(1, 2.0), nn.Conv2d(2, 1, 3, bias=False)

        def forward(self, fine, coarse):
            return self.conv(self.pad(fine))

    torch.manual_seed(0)
    leaks, inputs = Leaks(), Inputs(inputs_of().fine, None)
    runner = runner_of(Padded())
    found = explainer_for(runner, Method("lrp_0")).explain(inputs, seeds_of, leaks)
    padding = leaks.by_layer()["padding"]["pad"]
    assert padding != 0
    assert (found.fine * inputs.fine).sum().item() + padding == pytest.approx(found.target_sum)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"method": "lrp_gamma", "gamma": -1}, "GAMMA of at least 0"),
        ({"method": "lrp_alpha_beta", "alpha": 0.5}, "ALPHA of at least 1"),
        ({"method": "smoothgrad", "samples": 0}, "at least 1 of SAMPLES"),
        ({"method": "smoothgrad", "noise": 0.0}, "NOISE above 0"),
        ({"method": "occlusion", "patch": 0}, "side of at least 1 pixel"),
        ({"method": "lrp_0", "first_layer": "round"}, "Unknown FIRST_LAYER 'round'"),
        ({"method": "gradient", "first_layer": "flat"}, "is for the LRP methods"),
        ({"method": "lrp_0", "baseline": (1.0,)}, "has no baseline"),
        ({"method": "shap"}, "Unknown METHOD 'shap'"),
    ],
)
def test_settings_that_make_no_sense_are_sentences(settings, says):
    with pytest.raises(ParameterError, match=says):
        Method(**settings)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_says_what_it_did(name):
    assert len(Method(name).text()) > 4
    assert Method("lrp_composite").text().endswith("first layer: z^B, bounds ±4")


def test_the_words_of_methods_and_what_runs_them_are_the_same_in_the_published_order():
    assert list(RUNS) == list(METHODS)
    assert {"default", "same", *FIRST_RULES} == set(FIRST_LAYERS)


def test_a_new_method_is_one_row_of_each_table(monkeypatch):
    """As docs/how-to/relevance-method.md says: a rule of affine layers that keeps half of what biases would take."""

    def half_to_bias(layer, values):
        output, backward = along_gradient(layer, values)

        def halved(multipliers, record):
            return tuple(0.5 * part for part in backward(multipliers, record))

        return output, halved

    words = RelevanceMethod("help", "A sentence.", "toy with ε = {epsilon:g}", ("epsilon",), propagates=True)
    monkeypatch.setitem(METHODS, "toy", words)
    with pytest.raises(KeyError):
        explained(Method("toy"))
    monkeypatch.setitem(RUNS, "toy", MethodRun(rule=lambda _method: half_to_bias))
    method = Method("toy", epsilon=0.1)
    assert method.text() == "toy with ε = 0.1"
    assert method.used_settings() == {"epsilon": 0.1}
    network = Rectified()
    found = explained(method, network)[0][0]
    same([8 * found], [explained(Method("lrp_0"), network)[0][0]])  # three layers, a half each
