"""Maps of windows are those of the scene, and a rule that does not see the last layers is found out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from floelens.plugin.core.artifacts.experiments import similarity
from floelens.plugin.core.artifacts.maps import COMPARED, NetworkMapper
from floelens.plugin.core.artifacts.periods import structural_periods
from floelens.plugin.core.artifacts.run import Study
from floelens.plugin.core.artifacts.settings import Settings, fewer
from floelens.plugin.core.artifacts.variants import layers_with_weights, padded_otherwise, randomised
from floelens.plugin.core.relevance.methods import Method
from floelens.plugin.core.relevance.run import run_relevance
from floelens.plugin.core.streaming.engine import scene_window
from floelens.plugin.core.streaming.runner import Runner
from floelens.plugin.core.streaming.tiling import Plan
from floelens.plugin.core.target.target import Target
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.ground.window import Window
from floelens.plugin.networks.package import load
from floelens.plugin.networks.registry import BUNDLED
from floelens.tests.plugin.core.tiny_networks import ArraySource, ListSink, TinyFusion, tiny_card, tiny_scene
from torch import nn

CORE = Window(24, 20, 20, 24)
BLOCK = Window(0, 8, 52, 52)
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


def test_another_padding_changes_the_map_near_edges_alone_and_the_network_is_left_alone():
    scene = tiny_scene(gaps=False)
    network = TinyFusion()
    mapper = mapper_of(network, scene)
    whole = scene_window(scene)
    patch = scene.read(whole)
    before, after = mapper.relevance(patch, whole), mapper.padded().relevance(patch, whole)
    reach = 2 * mapper.radius
    inner = slice(reach, -reach), slice(reach, -reach)
    np.testing.assert_allclose(before[inner], after[inner], atol=1e-12)
    assert np.abs(before - after)[0].max() > 1e-3
    assert network.conv1.padding_mode == "zeros"
    assert padded_otherwise(nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect")) is None


def test_the_conservation_error_is_what_the_sum_of_the_map_lacks_of_the_logits():
    scene = tiny_scene(gaps=False)
    network = TinyFusion().double().eval()
    mapper = mapper_of(network, scene)
    whole = scene_window(scene)
    patch = scene.read(whole)
    found = mapper.maps(patch, whole)
    inputs = Runner(tiny_card(), network, "cpu", "float64").standardise(patch)
    fine, coarse = inputs.fine.requires_grad_(), inputs.coarse.requires_grad_()
    logits = network(fine, coarse)[:, 0].sum()
    logits.backward()
    received = (fine * fine.grad).sum() + (coarse * coarse.grad).sum()
    assert found.target_sum == pytest.approx(float(logits.detach()), rel=1e-9)
    assert found.relevance_sum == pytest.approx(float(received.detach()), rel=1e-9)


def test_cells_of_a_window_are_those_of_the_radiometers_channels_in_the_whole_scene():
    scene = tiny_scene()
    mapper = mapper_of(TinyFusion(), scene)
    whole = scene_window(scene)
    runner = Runner(tiny_card(), TinyFusion(), "cpu", "float64")
    plan = Plan(whole, whole, runner.radius, runner.alignment, 1000, 1000)
    found = run_relevance(runner, scene, plan, ICE, Method(), None, Silent())
    core = Window(24, 20, 20, 24)
    cells = mapper.maps(scene.read(mapper.needs(core)), core).cells
    here = core.coarser(runner.ratio).slices()
    np.testing.assert_allclose(cells, found.coarse_relevance[(slice(None), *here)].sum(axis=0), atol=1e-12)
    odd = Window(25, 20, 20, 24)
    assert mapper.maps(scene.read(mapper.needs(odd)), odd).cells is None


def test_periods_are_those_of_strides_and_cells():
    network = nn.Sequential(nn.Conv2d(2, 3, 3, stride=2), nn.MaxPool2d(2), nn.Upsample(scale_factor=4))
    assert structural_periods(network, 25) == (2, 4, 8, 16, 25, 50)
    assert structural_periods(nn.Conv2d(2, 3, 3), 1) == ()


def test_every_method_is_compared_with_the_map_and_with_the_logit_it_should_add_up_to(monkeypatch):
    monkeypatch.setattr("floelens.plugin.core.artifacts.sensors.REPLICATES", 1)
    scene = tiny_scene(gaps=False)
    mapper = mapper_of(TinyFusion(), scene)
    study = Study(mapper, scene_window(scene), [BLOCK], Settings(("rule_comparison",)))
    study.look(scene.read(study.needs(BLOCK)), BLOCK)
    rows = {finding.part: finding for finding in study.findings()}
    assert set(rows) == set(COMPARED)
    own = rows["gradient_x_input"]
    assert own.statistic == pytest.approx(1.0)
    (piece,) = fewer([BLOCK])
    found = mapper.maps(scene.read(study.needs(BLOCK)), piece)
    error = abs(found.relevance_sum - found.target_sum) / abs(found.target_sum)
    assert own.numbers["conservation_error"] == pytest.approx(error)
    assert own.numbers["conservation_error"] > 0.01  # biases take their part of the logit


@pytest.mark.parametrize("core", [Window(50, 75, 60, 50), Window(0, 150, 75, 70)])
def test_a_map_with_known_seeds_is_that_of_the_whole_scene_at_edges_and_around_gaps(core):
    card, module = load(BUNDLED / "aspp-concentration-sim")
    draw = np.random.default_rng(2)
    fine, coarse = (
        np.array([c.mean for c in channels])[:, None, None]
        + np.array([c.sd for c in channels])[:, None, None] * draw.normal(size=(len(channels), rows, cols))
        for channels, rows, cols in ((card.fine_channels, 190, 220), (card.coarse_channels, 8, 9))
    )
    valid = np.ones((190, 220), bool)
    valid[60:80, 60:90] = valid[:9, 170:190] = False
    scene = ArraySource(fine, coarse, valid, card.ratio)
    runner, whole, sink = Runner(card, module, "cpu", "float64"), scene_window(scene), ListSink()
    plan, target = Plan(whole, whole, runner.radius, runner.alignment, 1000, 1000), Target()
    mapper = NetworkMapper(runner, target, Method(), whole, whole, plan, Silent())
    patch = scene.read(mapper.needs(core))
    assert mapper._with_known_seeds(patch, core, core.grown(runner.radius, within=whole)) is not None
    run_relevance(runner, scene, plan, target, Method(), sink, Silent())
    expected = sink.values.sum(axis=0)[core.slices()]
    np.testing.assert_allclose(
        mapper.relevance(patch, core), expected, atol=1e-12 * np.nanmax(np.abs(expected))
    )
