"""Features of a layer over a scene: what autograd on the whole scene gives, whatever the tiles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from floelens.plugin.core.features.cut import LayerCut, separable_mean
from floelens.plugin.core.features.layer import COMPONENTS, layer_shapes, named_layer
from floelens.plugin.core.features.run import collect, sample_weights, weighted_map
from floelens.plugin.core.features.sums import Regions
from floelens.plugin.core.features.tiles import Analysis
from floelens.plugin.core.streaming.engine import scene_window
from floelens.plugin.core.streaming.runner import Runner
from floelens.plugin.core.streaming.tiling import Plan
from floelens.plugin.core.target.target import Target
from floelens.plugin.ground.errors import ParameterError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.networks.layers import SamePool2d
from floelens.tests.plugin.core.contributions.test_run import runner_of
from floelens.tests.plugin.core.tiny_networks import ListSink, TinyFusion, tiny_card, tiny_scene
from floelens.tests.plugin.networks.networks import random_network

SIZE = 20  # of square samples, pixels
TYPE = Target(head="type", class_name="old ice", reference_class="water")


def squares(scene) -> Regions:
    """Return square samples in pixels."""
    across = -(-scene.cols // SIZE)
    count = -(-scene.rows // SIZE) * across

    def at(window):
        rows = np.arange(window.row, window.row_stop) // SIZE
        cols = np.arange(window.col, window.col_stop) // SIZE
        return (rows[:, None] * across + cols).astype(np.int32)

    return Regions(tuple(map(str, range(count))), at)


def analysis_of(runner, layer: str, target: Target = TYPE) -> Analysis:
    return Analysis.of(runner, named_layer(runner, layer), target.resolve(runner.card))


def planned(analysis: Analysis, scene, side: int) -> Plan:
    window = scene_window(scene)
    return Plan(window, window, analysis.cut.halo, analysis.cut.alignment, side, side)


def by_definition(runner, scene, layer: str, target: Target):
    """Return activations, gradients and logits of the whole scene by autograd through the definition, float64."""
    patch = scene.read(scene.window)
    inputs = runner.standardise(patch)
    if layer == COMPONENTS:
        activation = runner.module.components(inputs.fine, inputs.coarse).detach().requires_grad_()
        logits = runner.module.output(activation)
    else:
        activation, logits = by_hooks(runner.module, layer.split("+"), inputs)
    seeds = target.resolve(runner.card).seeds(logits.detach(), torch.from_numpy(patch.valid))
    leaves = activation if isinstance(activation, list) else [activation]
    gradients = torch.autograd.grad((logits * seeds).sum(), leaves)
    explained = (logits.detach() * seeds).sum((0, 1)).numpy()
    found = (torch.cat([each.detach() for each in kind], 1)[0].numpy() for kind in (leaves, gradients))
    return *found, explained, patch.valid


def by_hooks(module, layers: list[str], inputs) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Return the outputs of layers, each cut off from what comes before, and the logits."""
    kept = []

    def keep(_module, _inputs, output):
        kept.append(output.detach().requires_grad_())
        return kept[-1]

    handles = [module.get_submodule(layer).register_forward_hook(keep) for layer in layers]
    logits = module(inputs.fine, inputs.coarse)
    for handle in handles:
        handle.remove()
    return kept, logits


@pytest.mark.parametrize(
    "layer", ["relu1", "relu3", "scale4", "upsample", "relu1+norm2+upsample", COMPONENTS]
)
@pytest.mark.parametrize("target", [TYPE, Target(head="type")], ids=["contrast", "predicted"])
def test_the_full_cam_and_its_sums_are_those_of_autograd_on_the_whole_scene(layer, target):
    scene, runner = tiny_scene(), runner_of(TinyFusion(), "float64")
    analysis = analysis_of(runner, layer, target)
    sink, regions = ListSink(), squares(scene)
    sums = collect(analysis, scene, planned(analysis, scene, 17), regions, "full", sink, Silent())
    activation, gradient, logit, valid = by_definition(runner, scene, layer, target)
    product = activation * gradient
    np.testing.assert_allclose(sink.values[0][valid], product.sum(0)[valid], atol=1e-10)
    assert np.isnan(sink.values[0][~valid]).all()
    numbers = regions.at(scene.window)
    for number in range(len(regions.names)):
        own = (numbers == number) & valid
        assert sums.pixels[number] == own.sum()
        np.testing.assert_allclose(sums.sums["f"][number], product[:, own].sum(1), atol=1e-9)
        np.testing.assert_allclose(sums.sums["target"][number], logit[own].sum(), atol=1e-9)
        if own.any():
            whole = product.sum(0)[own]
            np.testing.assert_allclose(sums.extremes[number], [whole.min(), whole.max()], atol=1e-10)
    np.testing.assert_allclose(sums.sums["f"].sum(1), sums.sums["map"], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(
    ("layer", "target"),
    [
        ("relu2", TYPE), ("relu5", TYPE), ("relu6", Target(head="type")), ("scales.3", TYPE),
        ("scales.0+upsample", Target(head="type")),
        ("relu6+relu2+upsample", TYPE), (COMPONENTS, TYPE), (COMPONENTS, Target(head="type")),
    ],
)  # fmt: skip
def test_fast_paths_give_the_cam_and_the_sums_of_the_definition(layer, target):
    network = random_network("interpretability_small", ratio=4, outputs=4, fine_channels=2, coarse_channels=3)
    scene, runner = tiny_scene(rows=150, cols=130), Runner(tiny_card(radius=30), network, "cpu", "float64")
    analysis, sink, regions = analysis_of(runner, layer, target), ListSink(), squares(scene)
    assert (analysis.cut.fast is not None) == (layer.startswith("relu") and "+" not in layer)
    assert bool(analysis.cut.columns) == layer.startswith("scales")
    sums = collect(analysis, scene, planned(analysis, scene, 70), regions, "full", sink, Silent())
    activation, gradient, logit, valid = by_definition(runner, scene, layer, target)
    product = activation * gradient
    size = np.abs(product.sum(0)[valid]).max()
    np.testing.assert_allclose(sink.values[0][valid], product.sum(0)[valid], atol=1e-9 * size)
    assert np.isnan(sink.values[0][~valid]).all()
    numbers = regions.at(scene.window)
    for number in (0, 9, 24):
        own = (numbers == number) & valid
        np.testing.assert_allclose(
            sums.sums["f"][number], product[:, own].sum(1), atol=1e-9 * size * own.sum()
        )
        np.testing.assert_allclose(sums.sums["target"][number], logit[own].sum(), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(
            sums.sums["activation"][number],
            activation[:, own].sum(1),
            rtol=1e-9,
            atol=1e-9 * size * own.sum(),
        )


def test_in_float32_the_sums_of_the_features_make_those_of_the_map_to_a_millionth():
    network = random_network("interpretability_large", ratio=4, outputs=4, fine_channels=2, coarse_channels=3)
    network = network.float()
    scene = tiny_scene(rows=200, cols=170, gaps=False)
    regions = squares(scene)
    runner = Runner(tiny_card(radius=30), network, "cpu", "float32")
    for layer in (COMPONENTS, "relu3", "relu6"):
        analysis = analysis_of(runner, layer)
        sums = collect(analysis, scene, planned(analysis, scene, 90), regions, "full", None, Silent())
        sizes = np.abs(sums.sums["f"]).sum(1)
        assert (np.abs(sums.sums["f"].sum(1) - sums.sums["map"]) <= 1e-6 * sizes).all(), layer


@pytest.mark.parametrize("cam", ["gradcam", "gradcam_plus_plus", "xgradcam"])
def test_weighted_cams_are_their_formulas_sample_by_sample(cam):
    scene, runner = tiny_scene(), runner_of(TinyFusion(), "float64")
    analysis, regions, sink = analysis_of(runner, "relu2"), squares(scene), ListSink()
    plan = planned(analysis, scene, 23)
    sums = collect(analysis, scene, plan, regions, cam, None, Silent())
    weights = sample_weights(analysis, scene, plan, regions, cam, sums, Silent())
    weighted_map(analysis, scene, plan, regions, weights, sums, sink, Silent())
    activation, gradient, _, valid = by_definition(runner, scene, "relu2", TYPE)
    numbers = regions.at(scene.window)
    for number in range(len(regions.names)):
        own = (numbers == number) & valid
        if not own.any():
            continue
        a, g = activation[:, own], gradient[:, own]
        if cam == "gradcam":
            expected = g.mean(1)
        elif cam == "xgradcam":
            expected = (g * a / (a.sum(1, keepdims=True) + 1e-7)).sum(1)
        else:
            alpha = g**2 / (2 * g**2 + a.sum(1, keepdims=True) * g**3 + 1e-6)
            expected = (np.maximum(g, 0) * np.where(g != 0, alpha, 0)).sum(1)
        np.testing.assert_allclose(weights[number], expected, rtol=1e-8, atol=1e-12)
        mapped = np.maximum(expected @ a, 0)
        np.testing.assert_allclose(sink.values[0][own], mapped, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(sums.extremes[number], [mapped.min(), mapped.max()], rtol=1e-7, atol=1e-9)


def test_an_unknown_layer_lists_those_there_are_with_their_features():
    runner = runner_of(TinyFusion(), "float32")
    with pytest.raises(ParameterError, match=r"no layer 'relu9'.*relu1 \(5\).*components \(15\)") as error:
        named_layer(runner, "relu9")
    assert len(str(error.value)) < 500
    assert named_layer(runner, "").name == COMPONENTS
    assert {shape.name: shape.channels for shape in layer_shapes(runner)}["conv2"] == 6


def test_layers_that_are_joined_must_each_act_by_themselves_and_have_one_resolution():
    runner = runner_of(TinyFusion(), "float32")
    shape = named_layer(runner, " upsample + relu1 ")
    assert (shape.name, shape.channels) == ("relu1+upsample", 8)
    assert LayerCut(runner, named_layer(runner, "norm2")).beside == ("relu1", "upsample")
    with pytest.raises(ParameterError, match=r"relu2\+norm2: relu2 acts through the others alone"):
        LayerCut(runner, named_layer(runner, "relu2+norm2"))
    with pytest.raises(ParameterError, match="the components hold all"):
        named_layer(runner, "relu1+components")
    with pytest.raises(ParameterError, match=r"no layer 'relu1\+relu9'"):
        named_layer(runner, "relu1+relu9")


def test_the_reach_of_a_layer_is_as_far_as_the_layers_behind_it_see():
    runner = runner_of(TinyFusion(), "float32")
    # norm2 → pool of 4 (up to 2 pixels) → 3 x 3 of dilation 2 (2 pixels): 4 in all.
    assert LayerCut(runner, named_layer(runner, "norm2")).reach == 4
    assert LayerCut(runner, named_layer(runner, "scale4")).reach == 0


@pytest.mark.parametrize("size", [1, 2, 5, 16])
def test_a_pool_by_rows_and_columns_is_the_pool(size):
    values = torch.randn(1, 3, 21, 34, dtype=torch.float64)
    pool = SamePool2d(size)
    np.testing.assert_allclose(separable_mean(pool, values).numpy(), pool(values).numpy(), atol=1e-12)


def test_less_memory_makes_smaller_tiles_with_the_halo_of_gradients():
    scene, runner = tiny_scene(rows=300, cols=300, gaps=False), runner_of(TinyFusion(), "float32")
    analysis = analysis_of(runner, "norm2")
    small, large = (analysis.plan(scene, scene_window(scene), memory) for memory in (16, 1024))
    assert small.tile_rows < large.tile_rows
    assert small.radius == large.radius == runner.radius + 4
    with pytest.raises(ParameterError, match="MEMORY=1 MiB is too little"):
        analysis.plan(scene, scene_window(scene), 1)
