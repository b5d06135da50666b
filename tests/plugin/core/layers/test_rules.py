"""Each rule equals its definition, written out with explicit matrices in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from floelens.plugin.core.layers.backward import LayerwiseBackward, traced
from floelens.plugin.core.layers.conservation import Leaks
from floelens.plugin.core.layers.rules import AlongEpsilon, Rules, along_gradient
from floelens.plugin.ground.errors import ModelError
from floelens.plugin.networks.layers import BilinearUpsample, NearestUpsample, SamePool2d
from torch import nn

EPSILON = 0.03


def matrix_of(layer, shape):
    """Return W and b of a layer that is affine in inputs of `shape`, by running it on unit vectors."""
    size = int(np.prod(shape))
    with torch.no_grad():
        offset = layer(torch.zeros(1, *shape).double()).flatten().numpy()
        columns = layer(torch.eye(size).double().view(size, *shape)).flatten(1).numpy() - offset
    return columns.T, offset


def lrp(weight, bias, values, relevance, epsilon):
    """Return relevance of inputs, of the bias, and what ε took: LRP as it is written in the literature."""
    received, to_bias, to_epsilon = np.zeros(len(values)), 0.0, 0.0
    for j in range(len(bias)):
        z = values * weight[j]
        total = z.sum() + bias[j]
        sign = -1.0 if total < 0 else 1.0
        stabiliser = epsilon * sign * (np.abs(z).sum() + abs(bias[j]))
        denominator = total + stabiliser
        if denominator == 0:
            assert relevance[j] == 0
            continue
        received += z / denominator * relevance[j]
        to_bias += bias[j] / denominator * relevance[j]
        to_epsilon += stabiliser / denominator * relevance[j]
    return received, to_bias, to_epsilon


def random_layer(kind, seed=0):
    torch.manual_seed(seed)
    layer = {
        "conv": lambda: nn.Conv2d(2, 3, 3, padding=1),
        "conv without bias": lambda: nn.Conv2d(2, 3, 3, bias=False),
        "dilated": lambda: nn.Conv2d(2, 3, 3, padding=2, dilation=2),
        "strided": lambda: nn.Conv2d(2, 3, 3, padding=1, stride=2),
        "grouped": lambda: nn.Conv2d(2, 4, 3, padding=1, groups=2),
        "same": lambda: nn.Conv2d(2, 3, 3, padding="same", dilation=2),
        "one by one": lambda: nn.Conv2d(2, 1, 1),
        "linear": lambda: nn.Linear(6, 4),
        "batch norm": lambda: nn.BatchNorm2d(2, eps=1e-3),
        "batch norm without weights": lambda: nn.BatchNorm2d(2, affine=False),
    }[kind]()
    if isinstance(layer, nn.BatchNorm2d):
        layer.running_mean.normal_()
        layer.running_var.uniform_(0.2, 2)
        if layer.affine:
            nn.init.normal_(layer.weight)
            nn.init.normal_(layer.bias)
    return layer.double().eval().requires_grad_(False)


KINDS = [
    "conv", "conv without bias", "dilated", "strided", "grouped", "same", "one by one", "linear",
    "batch norm", "batch norm without weights",
]  # fmt: skip


def explained(layer, values, relevance, rule):
    """Return what the rule hands to the inputs, and its leaks."""
    leaks = Leaks()
    output, backward = Rules(rule, torch.float64).layer("layer", layer, (values,))
    expected = layer(values)
    assert torch.allclose(output, expected, rtol=1e-13, atol=1e-13)
    (multipliers,) = backward(relevance.view_as(output) / output, leaks.of_layer("layer"))
    amounts = {kind: layers["layer"] for kind, layers in leaks.by_layer().items()}
    return (multipliers * values).flatten().numpy(), amounts


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("epsilon", [0.0, EPSILON])
def test_affine_layers_equal_lrp_with_explicit_matrices(kind, epsilon):
    layer = random_layer(kind)
    values = torch.randn(1, 2, 5, 6, dtype=torch.float64)
    relevance = torch.randn(layer(values).numel(), dtype=torch.float64)
    rule = AlongEpsilon(epsilon) if epsilon else along_gradient
    found, amounts = explained(layer, values, relevance, rule)
    weight, bias = matrix_of(layer, values.shape[1:])
    expected, to_bias, to_epsilon = lrp(weight, bias, values.flatten().numpy(), relevance.numpy(), epsilon)
    assert np.abs(found - expected).max() <= 1e-9 * np.abs(expected).max()
    assert amounts["bias"] == pytest.approx(to_bias, rel=1e-9, abs=1e-12)
    assert amounts.get("epsilon", 0.0) == pytest.approx(to_epsilon, rel=1e-9, abs=1e-12)


def test_epsilon_does_not_depend_on_the_scale_of_a_layer():
    layer, values = random_layer("conv"), torch.randn(1, 2, 5, 6, dtype=torch.float64)
    relevance = torch.randn(layer(values).numel(), dtype=torch.float64)
    found, _ = explained(layer, values, relevance, AlongEpsilon(EPSILON))
    layer.weight.mul_(1000)
    layer.bias.mul_(1000)
    scaled, _ = explained(layer, values, relevance, AlongEpsilon(EPSILON))
    assert np.allclose(found, scaled, rtol=1e-12)


def test_epsilon_hands_nothing_on_where_nothing_arrives():
    layer = random_layer("conv without bias")
    output, backward = Rules(AlongEpsilon(EPSILON), torch.float64).layer(
        "layer", layer, (torch.zeros(1, 2, 5, 6).double(),)
    )
    leaks = Leaks()
    assert (backward(torch.ones_like(output), leaks.of_layer("layer"))[0] == 0).all()
    assert leaks.by_layer()["epsilon"]["layer"] == 0


@pytest.mark.parametrize("rule", [along_gradient, AlongEpsilon(EPSILON)])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 8])
def test_pools_pass_in_proportion(size, rule):
    layer = SamePool2d(size)
    values, multipliers = torch.randn(2, 1, 3, 7, 9, dtype=torch.float64)
    output, backward = Rules(rule, torch.float64).layer("pool", layer, (values,))
    assert torch.allclose(output, layer(values), rtol=1e-13, atol=1e-13)
    weight, _ = matrix_of(layer, values.shape[1:])
    expected = weight.T @ multipliers.flatten().numpy()
    (found,) = backward(multipliers, Leaks().of_layer("pool"))
    assert np.allclose(found.flatten().numpy(), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("layer", [NearestUpsample(3), BilinearUpsample(3)])
def test_upsampling_passes_in_proportion_and_loses_nothing(layer):
    coarse, fine = torch.randn(1, 2, 3, 4, dtype=torch.float64), torch.zeros(1, 1, 8, 11).double()
    output, backward = Rules(along_gradient, torch.float64).layer("up", layer, (coarse, fine))
    multipliers = torch.randn_like(output)
    found, nothing = backward(multipliers, Leaks().of_layer("up"))
    weight, _ = matrix_of(lambda x: layer(x, fine), coarse.shape[1:])
    assert np.allclose(found.flatten(), weight.T @ multipliers.flatten().numpy(), rtol=1e-12, atol=1e-13)
    assert nothing is None
    assert (found * coarse).sum().item() == pytest.approx((multipliers * output).sum().item())


class Branches(nn.Module):
    """A sum, a concatenation, and an input used twice."""

    def __init__(self):
        super().__init__()
        self.conv1 = random_layer("conv", 1)
        self.conv2 = random_layer("conv", 2)
        self.relu = nn.ReLU()
        self.output = nn.Conv2d(6, 1, 1).double()

    def forward(self, fine, coarse):
        first = self.relu(self.conv1(fine))
        second = self.relu(self.conv2(fine))
        return self.output(torch.cat([first + second, second], 1))


def test_lrp_epsilon_of_a_network_equals_layer_by_layer_matrices():
    torch.manual_seed(3)
    network = Branches().eval().requires_grad_(False)
    fine = torch.randn(1, 2, 4, 5, dtype=torch.float64)
    layerwise, leaks = (
        LayerwiseBackward(traced(network), Rules(AlongEpsilon(EPSILON), torch.float64)),
        Leaks(),
    )
    logits = layerwise.forward(fine, None)
    multipliers, unused = layerwise.backward(torch.ones_like(logits), leaks)
    assert unused is None
    assert torch.allclose(logits, network(fine, None), rtol=1e-13)

    values = fine.flatten().numpy()
    layers = {name: matrix_of(getattr(network, name), (2, 4, 5)) for name in ("conv1", "conv2")}
    z = {name: weight @ values + bias for name, (weight, bias) in layers.items()}
    first, second = (np.maximum(z[name], 0) for name in ("conv1", "conv2"))
    joined = np.concatenate([first + second, second])
    weight, bias = matrix_of(network.output, (6, 4, 5))
    relevance, to_bias, to_epsilon = lrp(weight, bias, joined, weight @ joined + bias, EPSILON)
    of_sum, of_second = np.split(relevance, 2)
    share = np.divide(first, first + second, out=np.zeros_like(first), where=first + second != 0)
    received = 0
    for name, arrived in (("conv1", of_sum * share), ("conv2", of_sum * (1 - share) + of_second)):
        handed, bias_part, epsilon_part = lrp(*layers[name], values, arrived, EPSILON)
        received, to_bias, to_epsilon = received + handed, to_bias + bias_part, to_epsilon + epsilon_part
    assert np.allclose((multipliers * fine).flatten(), received, rtol=1e-10, atol=1e-12)
    amounts = leaks.by_layer()
    assert sum(amounts["bias"].values()) == pytest.approx(to_bias)
    assert sum(amounts["epsilon"].values()) == pytest.approx(to_epsilon)


def test_layers_and_functions_without_a_rule_are_named():
    class Odd(nn.Module):
        def __init__(self, function):
            super().__init__()
            self.function = function

        def forward(self, fine, coarse):
            return self.function(fine)

    for function, says in (
        (torch.sin, "'sin'"),
        (lambda x: x.abs(), "method 'abs'"),
        (lambda x: x + 1.0, "adding a number"),
        (lambda x: torch.add(x, x, alpha=2), "adding with alpha"),
        (nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), "padding 'circular'"),
        (nn.BatchNorm2d(2, track_running_stats=False), "running statistics"),
        (nn.Softsign(), "Softsign"),
    ):
        layerwise = LayerwiseBackward(traced(Odd(function).eval()), Rules(along_gradient, torch.float32))
        with pytest.raises(ModelError, match=says):
            layerwise.forward(torch.ones(1, 2, 4, 4), None)


def test_arguments_by_keyword_are_followed_or_refused():
    class Named(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer

        def forward(self, fine, coarse):
            joined = torch.cat(tensors=[fine, fine], dim=1)
            return self.layer(input=joined) if isinstance(self.layer, nn.Conv2d) else self.layer(joined)

    rules = Rules(along_gradient, torch.float32, first=along_gradient)
    layerwise = LayerwiseBackward(traced(Named(nn.Conv2d(4, 1, 1)).eval()), rules)
    with pytest.raises(ModelError, match=r"'layer'.*by position, not input="):
        layerwise.forward(torch.ones(1, 2, 4, 4), None)
    layerwise = LayerwiseBackward(traced(Named(nn.ReLU()).eval()), Rules(along_gradient, torch.float32))
    assert layerwise.forward(torch.ones(1, 2, 4, 4), None).shape == (1, 4, 4, 4)


@pytest.mark.parametrize(
    "between", [nn.Dropout(0.1), nn.ZeroPad2d(1), nn.BatchNorm2d(2), nn.AvgPool2d(3, 1, 1)]
)
def test_a_first_layer_that_cannot_have_its_rule_is_named(between):
    class Apart(nn.Module):
        def __init__(self):
            super().__init__()
            self.between, self.conv, self.other = between, nn.Conv2d(2, 1, 3), nn.Conv2d(2, 1, 3)

        def forward(self, fine, coarse):
            return self.conv(self.between(fine)).sum_to_size(1) + self.other(fine)

    with pytest.raises(ModelError, match="'conv' reads the inputs through 'between'"):
        LayerwiseBackward(traced(Apart().eval()), Rules(along_gradient, torch.float32, first=along_gradient))


def test_a_network_whose_way_depends_on_data_is_refused():
    class Choosing(nn.Module):
        def forward(self, fine, coarse):
            return fine if fine.sum() > 0 else -fine

    with pytest.raises(ModelError, match="Choosing cannot be explained"):
        traced(Choosing())
