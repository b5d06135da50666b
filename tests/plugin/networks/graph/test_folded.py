"""The forward pass of a graph network without its batch norms."""

import pytest
import torch
from floelens.plugin.networks.graph.examples import unet
from floelens.plugin.networks.graph.folded import folded
from floelens.plugin.networks.graph.modules import build
from floelens.plugin.networks.graph.spec import GraphSpec, Node


def network_of(spec: GraphSpec) -> torch.nn.Module:
    torch.manual_seed(3)
    module = build(spec).eval().requires_grad_(False).double()
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2.0)
            layer.weight.normal_()
            layer.bias.normal_()
    return module


# A norm before a padded convolution, one whose convolution is read twice, and one that is an output.
AWKWARD = GraphSpec(
    2,
    (
        Node("first", "batch_norm", ("fine",)),
        Node("conv", "conv", ("first",), {"channels": 3, "kernel": 3, "padding": 1}),
        Node("twice", "batch_norm", ("conv",)),
        Node("act", "relu", ("conv",)),
        Node("sum", "add", ("twice", "act")),
        Node("head", "conv", ("sum",), {"channels": 2, "kernel": 1}),
        Node("norm", "batch_norm", ("head",)),
        Node("other", "conv", ("sum",), {"channels": 2, "kernel": 1}),
    ),
    ("norm", "other"),
)


@pytest.mark.parametrize(
    ("spec", "left"), [(unet(fine=3, coarse=0, ratio=1, heads=(3, 2, 4)), 0), (AWKWARD, 2)]
)
def test_the_logits_without_batch_norms_are_those_of_the_layers(spec, left):
    module = network_of(spec)
    inputs = torch.randn(1, spec.fine, 13, 18, dtype=torch.float64)
    given = inputs.clone()
    plain = folded(module)
    torch.testing.assert_close(plain(inputs, None), module(inputs, None), rtol=1e-12, atol=1e-12)
    assert torch.equal(inputs, given)
    assert sum(node.kind == "batch_norm" for node in plain.spec.nodes) == left


def test_a_network_whose_layers_were_exchanged_is_not_folded():
    module = network_of(AWKWARD)
    module.act = torch.nn.Tanh()
    assert folded(module) is None
