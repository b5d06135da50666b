"""Networks of graphs: their values, tiles, and every explanation, beside definitions written by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from floelens.plugin.core.contributions.run import Splitting, splitter_for
from floelens.plugin.core.layers.conservation import Leaks
from floelens.plugin.core.relevance.methods import METHODS, Method, explainer_for
from floelens.plugin.core.streaming.runner import Inputs
from floelens.plugin.core.streaming.tiling import Plan
from floelens.plugin.core.target.target import Target
from floelens.plugin.core.zscores.collect import output_layers
from floelens.plugin.ground.errors import ModelError
from floelens.plugin.ground.window import Window
from floelens.plugin.networks.graph.examples import fusion, unet
from floelens.plugin.networks.graph.geometry import geometry
from floelens.plugin.networks.graph.modules import build
from floelens.plugin.networks.graph.spec import GraphSpec, Node
from floelens.plugin.networks.measure import measure
from floelens.plugin.networks.package import build as build_card
from floelens.plugin.networks.package import load, package_files
from floelens.tests.plugin.networks.graph.graphs import (
    graph_card,
    graph_runner,
    heads_of,
    measured_card,
    random_module,
)
from floelens.tests.plugin.networks.networks import changed, random_inputs, randomise
from torch import nn
from torch.nn import functional


class HandUNet(nn.Module):
    """A U-Net of two levels as its authors write it, with centred padding before the concatenation."""

    def __init__(self, padding: str) -> None:
        super().__init__()
        self.mode = {"zeros": "constant"}.get(padding, padding)

        def double(inputs, outputs):
            layers = []
            for channels in (inputs, outputs):
                layers += [
                    nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
                    nn.BatchNorm2d(outputs),
                    nn.ReLU(),
                ]
            return nn.Sequential(*layers)

        self.down_0, self.down_1, self.down_2 = double(2, 4), double(4, 6), double(6, 6)
        self.up_1, self.up_0 = double(12, 6), double(10, 4)
        self.head_0, self.head_1 = nn.Conv2d(4, 2, 1), nn.Conv2d(4, 3, 1)

    def joined(self, values, skip):
        values = functional.interpolate(values, scale_factor=2, mode="bilinear", align_corners=False)
        rows, cols = (skip.shape[axis] - values.shape[axis] for axis in (2, 3))
        sides = [cols // 2, cols - cols // 2, rows // 2, rows - rows // 2]
        return torch.cat([functional.pad(values, sides, self.mode), skip], 1)

    def forward(self, fine):
        first = self.down_0(fine)
        second = self.down_1(functional.max_pool2d(first, 2))
        values = self.down_2(functional.max_pool2d(second, 2))
        values = self.up_0(self.joined(self.up_1(self.joined(values, second)), first))
        return torch.cat([self.head_0(values), self.head_1(values)], 1)


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_a_u_net_is_the_one_that_its_authors_write(padding):
    torch.manual_seed(4)
    by_hand = HandUNet(padding).double().eval()
    randomise(by_hand, 3)
    module = build(unet(coarse=0, heads=(2, 3), padding=padding)).double().eval()
    names = [name for name in by_hand.state_dict() if not name.endswith("num_batches_tracked")]
    parts = {"0": "conv_a", "1": "norm_a", "3": "conv_b", "4": "norm_b"}
    tensors = {}
    for name in names:
        block, *rest = name.split(".")
        own = f"{block}_{parts[rest[0]]}.{rest[1]}" if block[:2] in ("do", "up") else name
        tensors[own] = by_hand.state_dict()[name]
    module.load_state_dict(tensors, strict=False)
    assert set(tensors) == {name for name in module.state_dict() if not name.endswith("num_batches_tracked")}
    fine, _ = random_inputs(45, 38, 1)
    with torch.no_grad():
        assert (module(fine, None) - by_hand(fine)).abs().max() < 1e-12


FORMS = {
    "bilinear": unet(coarse=3, ratio=3),
    "nearest": unet(coarse=0, upsampling="nearest", padding="reflect"),
    "transposed": unet(coarse=3, ratio=5, upsampling="transposed", padding="replicate"),
    "fusion": fusion(coarse=3, ratio=5),
    "gaps": GraphSpec(  # pools that overlap or leave gaps, strides of 3, a kernel without a middle
        2,
        (
            Node("edge", "pad", ("fine",), {"sides": [1, 2, 1, 2]}),
            Node("first", "conv", ("edge",), {"channels": 3, "kernel": 4}),
            Node("bend", "relu6", ("first",)),
            Node("pool", "max_pool", ("bend",), {"kernel": 2, "stride": 3, "dilation": 2}),
            Node("over", "max_pool", ("pool",), {"kernel": 3, "stride": 1, "padding": 1}),
            Node(
                "back", "conv_transposed", ("over",), {"channels": 4, "kernel": 5, "stride": 3, "padding": 1}
            ),
            Node("fitted", "fit", ("back", "fine"), {"mode": "replicate"}),
            Node("out", "conv", ("fitted",), {"channels": 3, "kernel": 1}),
        ),
        ("out",),
    ),
    "uneven": GraphSpec(  # a pool that reads farther behind than before, and activations that bound what they read
        2,
        (
            Node("wide", "conv", ("fine",), {"channels": 3, "kernel": 3, "padding": 1}),
            *(
                node
                for n in range(8)
                for node in (
                    Node(f"bend_{n}", "relu6", (f"conv_{n - 1}" if n else "wide",)),
                    Node(f"conv_{n}", "conv", (f"bend_{n}",), {"channels": 3, "kernel": 3, "padding": 1}),
                )
            ),
            Node("pool", "max_pool", ("conv_7",), {"kernel": 6, "stride": 2}),
            Node("back", "upsample", ("pool",), {"factor": 2}),
            Node("fitted", "fit", ("back", "fine")),
            Node("out", "conv", ("fitted",), {"channels": 3, "kernel": 1}),
        ),
        ("out",),
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_tiles_give_what_the_whole_gives(form):
    spec = FORMS[form]
    card = graph_card(spec)
    module = random_module(card)
    card = measured_card(card, module, spec)
    radius, alignment, ratio = card.receptive_field_radius, card.alignment, card.ratio
    assert measure(card, module).mismatches(card) == ()
    scene = Window(0, 0, 4 * radius + 47, 3 * radius + 61)
    fine, coarse = random_inputs(scene.rows, scene.cols, ratio, channels=(spec.fine, max(1, spec.coarse)))
    coarse = coarse if spec.coarse else None
    with torch.no_grad():
        whole = module(fine, coarse)
        plan = Plan(scene, scene, radius, alignment, 29, 41)
        for tile in (tile for strip in plan.strips() for tile in strip):
            rows, cols = tile.input.slices()
            cells = (slice(None), slice(None), *tile.input.coarser(ratio).slices())
            part = module(fine[:, :, rows, cols], None if coarse is None else coarse[cells])
            own = (slice(None), slice(None), *tile.output.slices(tile.input))
            expected = whole[(slice(None), slice(None), *tile.output.slices())]
            assert (part[own] - expected).abs().max() < 1e-12 * whole.abs().max()


def test_a_radius_is_measured_through_pools_and_bounded_activations():
    card = graph_card(FORMS["uneven"])
    assert measured_card(card, random_module(card), FORMS["uneven"]).receptive_field_radius == 9 + 5


def test_a_radius_one_pixel_too_small_shows_in_the_tiles():
    """The measured radius is not only enough: less would not do."""
    spec = FORMS["bilinear"]
    card = graph_card(spec)
    module = random_module(card)
    radius = measured_card(card, module, spec).receptive_field_radius
    fine, coarse = random_inputs(120, 120, 3, channels=(2, 3))
    changed_fine = fine.clone()
    changed_fine[:, :, 60] += 100 * torch.randn(1, 2, 120, dtype=torch.float64)
    with torch.no_grad():
        reached = (module(changed_fine, coarse) != module(fine, coarse)).any(1)[0].any(1).nonzero()[:, 0]
    assert radius - 4 <= max(60 - int(reached[0]), int(reached[-1]) - 60) <= radius


@pytest.mark.parametrize("form", ["bilinear", "fusion"])
@pytest.mark.parametrize("name", METHODS)
def test_every_method_conserves_on_a_graph_network(form, name):
    runner = graph_runner(FORMS[form])
    inputs = Inputs(*random_inputs(24, 31, runner.ratio, channels=(2, 3)))
    method, leaks = Method(name, steps=64, samples=2, patch=12), Leaks()

    def seeds(logits):
        chosen = torch.zeros_like(logits)
        chosen[:, 1, 5:20, 4:30] = 1.0
        return chosen

    found = explainer_for(runner, method).explain(inputs, seeds, leaks, Window(0, 0, 24, 31))
    total = 0.0
    for multipliers, direct, values in (
        (found.fine, found.direct_fine, inputs.fine),
        (found.coarse, found.direct_coarse, inputs.coarse),
    ):
        assert any(part is not None and part.abs().max() > 0 for part in (multipliers, direct))
        total += 0.0 if multipliers is None else (multipliers * values).sum().item()
        total += 0.0 if direct is None else direct.sum().item()
    if method.conservative:
        kept = sum(sum(layers.values()) for layers in leaks.by_layer().values())
        tolerance = 0.02 if method.how.in_steps else 1e-9
        assert total + kept == pytest.approx(found.target_sum, rel=tolerance)


@pytest.mark.parametrize("form", ["bilinear", "fusion"])
def test_contributions_add_up_to_the_logit(form):
    runner = graph_runner(FORMS[form])
    inputs = Inputs(*random_inputs(24, 31, runner.ratio, channels=(2, 3)))
    target = Target(head="head 0", class_name="class 1").resolve(runner.card)
    with torch.no_grad():
        logit = runner.module(inputs.fine, inputs.coarse)[0, 1]
    for way in ("gated", "integrated"):
        bands = splitter_for(runner, Splitting(way, "sensor")).split(inputs, target)
        assert (bands[:-1].sum(0) - bands[-1]).abs().max() < 1e-10
        assert (bands[-1] - logit).abs().max() < 1e-10


@pytest.mark.parametrize(("form", "components"), [("bilinear", 4), ("fusion", 18)])
def test_components_are_the_inputs_of_the_last_convolution(form, components):
    runner = graph_runner(FORMS[form], components=components)
    inputs = Inputs(*random_inputs(24, 31, runner.ratio, channels=(2, 3)))
    (layer,) = output_layers(runner)
    weight, bias = runner.output_weights()
    rebuilt = np.einsum("kj,jrc->krc", weight, runner.components(inputs)[0].numpy()) + bias[:, None, None]
    assert np.abs(rebuilt - runner.logits(inputs)[0].numpy()).max() < 1e-10
    assert layer is not None


def test_a_package_of_a_graph_is_read_as_it_was_written(tmp_path):
    spec = unet(coarse=3, heads=(1, 4))
    card = changed(graph_card(spec, heads=heads_of((1, 4)), components=4), id="my-unet")
    module = random_module(card).float()
    written, files = package_files(card, module)
    (tmp_path / "my-unet").mkdir()
    for name, content in files.items():
        (tmp_path / "my-unet" / name).write_bytes(content)
    read, again = load(tmp_path / "my-unet")
    assert read == written
    fine, coarse = random_inputs(20, 23, 5, torch.float32, channels=(2, 3))
    with torch.no_grad():
        assert torch.equal(again(fine, coarse), module(fine, coarse))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"heads": heads_of((5,))}, "do not agree: outputs: 5 by channels and heads, 3 in the graph"),
        ({"channels": graph_card(unet(coarse=0)).channels}, "coarse channels: 0 .*, 14 in the graph"),
        ({"architecture": {}}, "has no graph in architecture.arguments"),
        ({"architecture": {"graph": 7}}, "The card of 'test-model': The graph of a network is 7"),
        ({"architecture": {"grape": 7}}, "an argument 'grape', which is not known. Known are: graph"),
    ],
)
def test_a_card_that_does_not_fit_its_graph_is_one_sentence(fields, words):
    card = graph_card(unet())
    if "architecture" in fields:
        fields = {"architecture": changed(card.architecture, arguments=fields["architecture"])}
    with pytest.raises(ModelError, match=words) as error:
        build_card(changed(card, **fields))
    assert len(str(error.value)) < 500


def test_geometry_agrees_with_the_measured_alignment():
    spec = unet(coarse=0, upsampling="nearest")
    card = graph_card(spec, radius=30)
    assert measure(card, random_module(card)).alignment == geometry(spec).alignment == 4
