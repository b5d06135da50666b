"""Every architecture keeps the contract; a network of none of them is read by its definition alone."""

from __future__ import annotations

import copy
import sys
from types import ModuleType

import pytest
import torch
from floelens.plugin.core.streaming.runner import Inputs, Runner
from floelens.plugin.core.target.channel_groups import scale_groups
from floelens.plugin.core.target.output_layer import OutputLayer
from floelens.plugin.ground.errors import ModelError
from floelens.plugin.networks.architectures import ARCHITECTURES, architecture, fast_paths
from floelens.plugin.networks.contract import Architecture, FastPaths
from floelens.plugin.networks.inner_layers import activation, layer_names, output_convolution
from floelens.plugin.networks.package import build
from floelens.tests.plugin.core.tiny_networks import TinyFusion, tiny_card
from floelens.tests.plugin.networks.conformance import assert_architecture_conforms, assert_conforms
from floelens.tests.plugin.networks.networks import (
    ICE_TYPE,
    VARIANTS,
    changed,
    make_card,
    random_inputs,
    random_network,
)
from torch import nn

RATIO = 5


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_conforms(name):
    assert_architecture_conforms(name)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("channels", [(1, 3), (3, 0)])
def test_the_fusion_network_conforms_with_other_channels(variant, channels):
    network = random_network(
        variant, ratio=RATIO, outputs=3, fine_channels=channels[0], coarse_channels=channels[1]
    )
    fine, coarse = random_inputs(40, 55, RATIO, channels=channels)
    coarse = coarse if channels[1] else None
    assert_conforms(network, fast_paths(network, torch.float64), fine, coarse, 1e-10)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_leaves_the_networks_of_others_alone(name):
    card = make_card(heads=(ICE_TYPE,))
    other = changed(card, architecture=changed(card.architecture, name=name))
    fast = architecture(other).fast
    assert fast is None or fast(nn.Conv2d(2, 3, 1), torch.float32) is None


class TwoHeads(nn.Module):
    """Two heads on the same features, as networks of ice charts have them."""

    def __init__(self, last: type[nn.Module] = nn.Identity) -> None:
        super().__init__()
        self.body = nn.Conv2d(2, 6, 3, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.ice = nn.Conv2d(6, 1, 1)
        self.kind = nn.Conv2d(6, 3, 1, bias=False)
        self.last = last()

    def forward(self, fine, coarse):
        features = self.act(self.body(fine))
        found = torch.cat((self.ice(features), self.kind(features)), 1)
        return found if isinstance(self.last, nn.Identity) else self.last(found)


def test_heads_that_share_their_features_share_their_components():
    torch.manual_seed(1)
    module, fine = TwoHeads().double().eval(), torch.randn(1, 2, 9, 11, dtype=torch.float64)
    output = output_convolution(module)
    assert output.names == ("ice", "kind")
    assert output.components == 6
    weights, biases = output.weights(module)
    with torch.no_grad():
        components = output.inputs(module, fine, None)
        expected = module(fine, None)[0]
    assert float(biases[1:].detach().abs().max()) == 0
    found = torch.einsum("kj,jrc->krc", weights.detach(), components[0]) + biases.detach()[:, None, None]
    assert (found - expected).abs().max() < 1e-12


def test_what_a_layer_puts_out_is_not_what_the_next_makes_of_it_in_place():
    torch.manual_seed(1)
    module, fine = TwoHeads().eval(), torch.randn(1, 2, 9, 11)
    assert layer_names(module) == ("body", "act", "ice", "kind")
    with torch.no_grad():
        body = activation(module, "body", fine, None)
        assert torch.equal(body, module.body(fine))
        assert float(body.min()) < 0
        assert torch.equal(activation(module, "act", fine, None), body.relu())
    with pytest.raises(ModelError, match=r"no layer 'neck'. Its layers are body, act, ice, kind"):
        activation(module, "neck", fine, None)


def test_a_network_that_ends_otherwise_has_no_components_and_says_so():
    assert output_convolution(TwoHeads(nn.Sigmoid)) is None
    runner = Runner(tiny_card(), TwoHeads(nn.Sigmoid), "cpu")
    assert not runner.has_components
    with pytest.raises(ModelError, match="does not end in a 1 x 1 convolution"):
        runner.output_weights()


def test_a_network_of_no_architecture_is_read_by_its_definition():
    module = TinyFusion(0).double().eval()
    runner = Runner(tiny_card(), module, "cpu", "float64")
    fine, coarse = random_inputs(24, 28, runner.ratio, channels=(2, 3))
    inputs = Inputs(fine, coarse)
    with torch.no_grad():
        expected = module(fine, coarse)
    assert runner.fast.gradient is runner.fast.lrp_epsilon is runner.fast.gated is None
    assert torch.allclose(runner.logits(inputs), expected, rtol=1e-12, atol=1e-12)
    weight, bias = runner.output_weights()
    rebuilt = torch.einsum("kj,jrc->krc", torch.from_numpy(weight), runner.components(inputs)[0])
    assert (rebuilt + torch.from_numpy(bias)[:, None, None] - expected[0]).abs().max() < 1e-12
    assert {"conv1", "relu1"} <= set(runner.layer_names)
    assert runner.activation(inputs, "relu1").min() >= 0


def test_a_card_without_components_maps_and_is_explained_but_not_scored():
    card = changed(make_card(heads=(ICE_TYPE,)), components=())
    module = build(card).eval()
    runner = Runner(card, module, "cpu", "float64")
    fine, coarse = random_inputs(50, 50, card.ratio)
    assert runner.logits(Inputs(fine, coarse)).shape == (1, 3, 50, 50)
    with pytest.raises(ModelError, match=r"lists no components.*relevance, contributions or ablation"):
        OutputLayer.from_card(card, "ice type", *runner.output_weights())
    with pytest.raises(ModelError, match="Choose GROUPS other than scale"):
        scale_groups(card)


class Toy(nn.Module):
    """The network of the how-to: SAR alone, one width."""

    def __init__(self, channels: int, width: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Conv2d(channels, width, 3, padding=1)
        self.relu = nn.ReLU()
        self.last = nn.Conv2d(width, outputs, 1)

    def forward(self, fine, coarse):
        return self.last(self.relu(self.body(fine)))


class ToyGradient:
    """Its gradient, written out."""

    def __init__(self, network: Toy, sign: float = 1.0) -> None:
        self.network, self.sign = network, sign

    def __call__(self, fine, coarse, edges=(True,) * 4):
        network = self.network
        before = network.body(fine)

        def backward(seeds, record):
            back = torch.einsum("skrc,kj->sjrc", seeds, network.last.weight[:, :, 0, 0]) * (before > 0)
            return self.sign * nn.functional.conv_transpose2d(back, network.body.weight, padding=1), None

        return network.last(before.relu()), backward


def toy_architecture(sign: float = 1.0) -> Architecture:
    def fast(module, dtype):
        if not isinstance(module, Toy):
            return None
        copied = copy.deepcopy(module).to(dtype).eval()
        return FastPaths(
            forward=lambda fine, coarse, _edges=None: copied(fine, coarse), gradient=ToyGradient(copied, sign)
        )

    def built(card, arguments):
        return Toy(len(card.fine_channels), arguments.get("width", 4), card.outputs)

    return Architecture(("width", "outputs"), built, fast, examples=({}, {"width": 6}))


def test_an_architecture_is_added_as_the_how_to_says(monkeypatch):
    torch.manual_seed(2)
    monkeypatch.setitem(ARCHITECTURES, "toy", "toy_architecture")
    place = ModuleType("floelens.plugin.networks.toy_architecture")
    place.ARCHITECTURE = toy_architecture()
    monkeypatch.setitem(sys.modules, "floelens.plugin.networks.toy_architecture", place)
    assert_architecture_conforms("toy")
    card = make_card(heads=(ICE_TYPE,))
    fine_only = tuple(channel for channel in card.channels if channel.grid == "fine")
    card = changed(
        card,
        channels=fine_only,
        components=(),
        architecture=changed(card.architecture, name="toy", arguments={"width": 6}),
    )
    module = build(card).double().eval()
    fine, _ = random_inputs(20, 23, 1)
    runner = Runner(card, module, "cpu", "float64")
    assert runner.fast.gradient is not None
    assert runner.logits(Inputs(fine, None)).shape == (1, 3, 20, 23)
    place.ARCHITECTURE = toy_architecture(sign=-1.0)
    with pytest.raises(AssertionError):  # the conformance test sees a wrong gradient
        assert_architecture_conforms("toy")
