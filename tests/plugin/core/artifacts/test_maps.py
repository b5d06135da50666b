"""Maps of windows are those of the scene, and a rule that does not see the last layers is found out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from floelens.plugin.core.artifacts.experiments import similarity
from floelens.plugin.core.artifacts.maps import NetworkMapper
from floelens.plugin.core.artifacts.periods import structural_periods
from floelens.plugin.core.artifacts.randomised import layers_with_weights, randomised
from floelens.plugin.core.relevance.methods import Method
from floelens.plugin.core.relevance.run import run_relevance
from floelens.plugin.core.streaming.engine import scene_window
from floelens.plugin.core.streaming.runner import Runner
from floelens.plugin.core.streaming.tiling import Plan
from floelens.plugin.core.target.target import Target
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.ground.window import Window
from floelens.tests.plugin.core.tiny_networks import ListSink, TinyFusion, tiny_card, tiny_scene
from torch import nn

CORE = Window(24, 20, 20, 24)
ICE = Target(head="concentration")


class PlainReLU(nn.Module):
    """Seven convolutions with ReLU, one after the other; the coarse channels are not used."""

    def __init__(self) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(4)
        sizes = [2, *[12] * 6]
        layers = []
        for few, many in zip(sizes, sizes[1:]):
            layers += [nn.Conv2d(few, many, 3, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(12, 4, 1))
        with torch.no_grad():
            for layer in self.layers:
                if isinstance(layer, nn.Conv2d):
                    fan = layer.weight[0].numel()
                    layer.weight.copy_(torch.randn(layer.weight.shape, generator=draw) * (2 / fan) ** 0.5)
                    layer.bias.zero_()

    def forward(self, fine, coarse):
        return self.layers(fine)


def mapper_of(network: nn.Module, scene, method: str = "gradient_x_input") -> NetworkMapper:
    runner = Runner(tiny_card(), network, "cpu", "float64")
    whole = scene_window(scene)
    plan = Plan(whole, whole, runner.radius, runner.alignment, 1000, 1000)
    return NetworkMapper(runner, ICE, Method(method), whole, whole, plan, Silent())


def test_the_map_of_a_window_is_that_of_the_whole_scene_there():
    scene = tiny_scene()
    mapper = mapper_of(TinyFusion(), scene)
    found = mapper.relevance(scene.read(mapper.needs(CORE)), CORE)
    whole = scene_window(scene)
    runner, sink = Runner(tiny_card(), TinyFusion(), "cpu", "float64"), ListSink()
    plan = Plan(whole, whole, runner.radius, runner.alignment, 1000, 1000)
    run_relevance(runner, scene, plan, ICE, Method(), sink, Silent())
    np.testing.assert_allclose(found, sink.values.sum(axis=0)[CORE.slices()], atol=1e-12)
    assert mapper.cost.pixels == CORE.rows * CORE.cols


def test_weights_are_shuffled_from_the_output_back_and_the_network_is_left_alone():
    network = TinyFusion()
    before = {name: values.clone() for name, values in network.state_dict().items()}
    names = layers_with_weights(network)
    changed = randomised(network, 1, 1)
    assert names[-1] == "output"
    assert torch.equal(changed.conv1.weight, network.conv1.weight)
    assert not torch.equal(changed.output.weight, network.output.weight)
    assert torch.equal(changed.output.weight.flatten().sort()[0], network.output.weight.flatten().sort()[0])
    assert all(torch.equal(before[name], values) for name, values in network.state_dict().items())


@pytest.mark.parametrize(("method", "alike"), [("lrp_zplus", True), ("gradient_x_input", False)])
def test_zplus_on_a_relu_network_does_not_see_the_last_layers(method, alike):
    scene = tiny_scene(gaps=False)
    mapper = mapper_of(PlainReLU(), scene, method)
    patch = scene.read(mapper.needs(CORE))
    maps = [mapper.relevance(patch, CORE), *(mapper.randomised(n).relevance(patch, CORE) for n in (1, 2, 3))]
    cascade = [(n, mapper.randomised(1, n).relevance(patch, CORE)) for n in (2, 4)]
    found = similarity(maps, cascade).cascade
    assert all((correlation >= 0.7) == alike for _, correlation in found)


def test_periods_are_those_of_strides_and_cells():
    network = nn.Sequential(nn.Conv2d(2, 3, 3, stride=2), nn.MaxPool2d(2), nn.Upsample(scale_factor=4))
    assert structural_periods(network, 25) == (2, 4, 8, 16, 25, 50)
    assert structural_periods(nn.Conv2d(2, 3, 3), 1) == ()
