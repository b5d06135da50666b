"""Networks whose output depends on the whole image run a scene at once, or say what that takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from floelens.plugin.core.relevance.methods import Method
from floelens.plugin.core.relevance.run import plan_relevance, run_relevance
from floelens.plugin.core.streaming.engine import plan_predictions, stream_predictions
from floelens.plugin.core.streaming.runner import Runner
from floelens.plugin.core.target.target import Target
from floelens.plugin.ground.errors import ModelError, ParameterError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.ground.window import Window
from floelens.plugin.networks.card_checks import WHOLE_IMAGE
from floelens.plugin.networks.graph.examples import unet
from floelens.plugin.networks.graph.geometry import geometry
from floelens.plugin.networks.graph.modules import build
from floelens.plugin.networks.graph.spec import GraphSpec, Node
from floelens.plugin.networks.measure import measure
from floelens.plugin.networks.package import build as build_card
from floelens.tests.plugin.core.tiny_networks import RATIO, ListSink, tiny_card, tiny_scene
from floelens.tests.plugin.networks.graph.graphs import graph_card, random_module
from floelens.tests.plugin.networks.networks import changed, randomise

TARGET = Target(head="type", class_name="old ice")


def gated() -> GraphSpec:
    """Return a network with a gate of each channel by the mean of the image, behind a U-Net with aligned corners."""
    body = unet(coarse=3, ratio=RATIO, heads=(4,), align_corners=True, filters=(4, 5))
    gate = (
        Node("mean", "global_average", ("up_0_relu_b",)),
        Node("gate_conv", "conv", ("mean",), {"channels": 4, "kernel": 1}),
        Node("gate", "sigmoid", ("gate_conv",)),
        Node("gated", "multiply", ("up_0_relu_b", "gate")),
        Node("logits", "conv", ("gated",), {"channels": 4, "kernel": 1}),
    )
    return GraphSpec(2, (*body.nodes[:-1], *gate), ("logits",), 3, RATIO)


def runner_of() -> Runner:
    torch.manual_seed(1)
    module = build(gated()).double().eval()
    randomise(module, 2)
    card = tiny_card(radius=WHOLE_IMAGE)
    card.alignment = geometry(gated()).alignment
    return Runner(card, module, "cpu", "float64")


def inputs_of(scene) -> list[torch.Tensor]:
    channels = tiny_card().channels
    fine = np.stack([(scene.fine[i].astype(float) - channels[i].mean) / channels[i].sd for i in range(2)])
    coarse = np.stack(
        [(scene.coarse[i].astype(float) - channels[2 + i].mean) / channels[2 + i].sd for i in range(3)]
    )
    inputs = np.where(scene.valid, fine, 0.0), np.where(np.isfinite(coarse), coarse, 0.0)
    return [torch.from_numpy(each)[None].double().requires_grad_() for each in inputs]


def test_a_scene_is_predicted_and_explained_at_once():
    runner, scene = runner_of(), tiny_scene()
    inputs = inputs_of(scene)
    logits = runner.module(*inputs)[0]
    part = Window(10, 12, 30, 33)
    plan = plan_predictions(runner, scene, part, 512)
    assert plan.count == 1
    found = np.concatenate([strip.logits for strip in stream_predictions(runner, scene, plan, Silent())], 1)
    valid = scene.valid[part.slices()]
    expected = logits.detach().numpy()[:, 10:40, 12:45]
    assert np.abs(found - expected)[:, valid].max() < 1e-12 * np.abs(expected).max()

    gradient = torch.autograd.grad(logits[3][torch.from_numpy(scene.valid)].sum(), inputs)[0]
    plan = plan_relevance(runner, scene, scene.window, Method(), 512)
    sink = ListSink()
    result = run_relevance(runner, scene, plan, TARGET, Method(), sink, Silent())
    expected = (gradient * inputs[0]).detach().numpy()[0]
    assert np.abs(sink.values - expected)[:, scene.valid].max() < 1e-12 * np.abs(expected).max()
    assert abs(result.conservation.residual) < 1e-9 * abs(result.conservation.target_sum)


def test_a_gate_is_explained_by_slopes_and_says_so_for_rules():
    with pytest.raises(
        ModelError, match=r"'mul'.*product of arrays.*METHOD=gradient_x_input, integrated_gradients"
    ):
        plan_relevance(runner_of(), tiny_scene(), Window(0, 0, 61, 74), Method("lrp_epsilon"), 512)


def test_occlusion_of_such_a_network_is_refused_since_it_would_take_a_pass_a_patch():
    with pytest.raises(ModelError, match="METHOD=occlusion takes patches away one by one"):
        plan_relevance(runner_of(), tiny_scene(), Window(0, 0, 61, 74), Method("occlusion"), 512)


def test_too_little_memory_for_a_whole_scene_is_one_sentence():
    with pytest.raises(
        ParameterError, match=r"depends on the whole image.*61 x 74 pixels.*MiB; MEMORY=0.1"
    ) as error:
        plan_predictions(runner_of(), tiny_scene(), Window(0, 0, 61, 74), 0.1)
    assert len(str(error.value)) < 500


def test_a_card_that_would_cut_such_a_network_into_tiles_is_refused():
    spec = unet(align_corners=True)
    card = graph_card(spec, radius=30)
    with pytest.raises(
        ModelError, match=r"'up_1_up' interpolates from corner to corner.*receptive_field_radius to 100000"
    ):
        build_card(card)
    whole = changed(card, receptive_field_radius=WHOLE_IMAGE)
    found = measure(whole, random_module(whole))
    assert found.field is None
    assert "a scene is run at once" in found.unmeasured[0]
    assert found.mismatches(whole) == ()
