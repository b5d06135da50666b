"""Networks that depend on the whole image run in windows: each pixel by the nearest centre, whatever the memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from floelens.plugin.core.ablation.run import Ablator, plan_ablation, run_ablation
from floelens.plugin.core.contributions.run import plan_contributions, run_contributions
from floelens.plugin.core.contributions.splitters import Splitting
from floelens.plugin.core.relevance.methods import Method
from floelens.plugin.core.relevance.run import plan_relevance, run_relevance
from floelens.plugin.core.streaming.engine import (
    plan_components,
    plan_predictions,
    stream_components,
    stream_predictions,
)
from floelens.plugin.core.streaming.runner import Runner
from floelens.plugin.core.streaming.seams import SeamMeter, sample_seams
from floelens.plugin.core.streaming.windows import Axis
from floelens.plugin.core.target.channel_groups import channel_groups
from floelens.plugin.core.target.target import Target
from floelens.plugin.ground.errors import ParameterError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.ground.window import Window
from floelens.plugin.networks.card import ImageWindow
from floelens.plugin.networks.card_checks import WHOLE_IMAGE
from floelens.plugin.networks.graph.examples import unet
from floelens.plugin.networks.graph.geometry import geometry
from floelens.plugin.networks.graph.modules import build
from floelens.plugin.networks.graph.spec import GraphSpec, Node
from floelens.tests.plugin.core.tiny_networks import RATIO, ArraySource, ListSink, tiny_card, tiny_scene
from floelens.tests.plugin.networks.networks import randomise

TARGET = Target(head="type", class_name="old ice")
SIZE, OVERLAP = 24, 8
WINDOW = ImageWindow(SIZE, OVERLAP)


def pooled() -> GraphSpec:
    """Return a U-Net with aligned corners, whose last features are joined with their mean over the image."""
    body = unet(coarse=3, ratio=RATIO, heads=(4,), align_corners=True, filters=(4, 5))
    more = (
        Node("mean", "global_average", ("up_0_relu_b",)),
        Node("mean_conv", "conv", ("mean",), {"channels": 3, "kernel": 1}),
        Node("mean_relu", "relu", ("mean_conv",)),
        Node("spread", "resize", ("mean_relu", "up_0_relu_b"), {"mode": "bilinear"}),
        Node("joined", "concatenate", ("up_0_relu_b", "spread")),
        Node("logits", "conv", ("joined",), {"channels": 4, "kernel": 1}),
    )
    return GraphSpec(2, (*body.nodes[:-1], *more), ("logits",), 3, RATIO)


def runner_of(window: ImageWindow | None = WINDOW) -> Runner:
    torch.manual_seed(1)
    module = build(pooled()).double().eval()
    randomise(module, 2)
    card = tiny_card(radius=WHOLE_IMAGE)
    card.alignment = geometry(pooled()).alignment
    card.window = window
    return Runner(card, module, "cpu", "float64")


def starts_of(length: int, alignment: int) -> list[int]:
    """Return where windows begin, as the text of the method says it."""
    step = (SIZE - OVERLAP) // alignment * alignment
    starts = [start for start in range(0, length, step) if start + SIZE < length]
    last = min(start for start in range(0, length, alignment) if start + SIZE >= length)
    return [*starts, last]


def nearest(length: int, alignment: int) -> list[slice]:
    """Return, for each pixel, the window whose centre is nearest; the first of two."""
    windows = [slice(start, min(start + SIZE, length)) for start in starts_of(length, alignment)]
    centres = [(window.start + window.stop) / 2 for window in windows]
    return [windows[int(np.argmin([abs(p + 0.5 - c) for c in centres]))] for p in range(length)]


def windowed(scene: ArraySource, alignment: int, answer) -> np.ndarray:
    """Return ``answer(window)``, (band, row, column) of a window, of the nearest window at each pixel."""
    rows, cols = nearest(scene.rows, alignment), nearest(scene.cols, alignment)
    cache = {}
    pixels = []
    for row, down in enumerate(rows):
        for col, across in enumerate(cols):
            key = down.start, across.start
            if key not in cache:
                cache[key] = answer(Window(*key, down.stop - down.start, across.stop - across.start))
            pixels.append(cache[key][:, row - key[0], col - key[1]])
    return np.stack(pixels, 1).reshape(-1, scene.rows, scene.cols)


def cut_out(scene: ArraySource, window: Window) -> ArraySource:
    """Return a window of a scene as a scene of its own."""
    cells = window.coarser(RATIO)
    here = window.slices()
    return ArraySource(
        scene.fine[(slice(None), *here)], scene.coarse[(slice(None), *cells.slices())], scene.valid[here]
    )


def inputs_of(scene: ArraySource) -> list[torch.Tensor]:
    channels = tiny_card().channels
    standard = [
        np.stack([(values[i].astype(float) - c.mean) / c.sd for i, c in enumerate(part)])
        for values, part in ((scene.fine, channels[:2]), (scene.coarse, channels[2:]))
    ]
    filled = np.where(scene.valid, standard[0], 0.0), np.where(np.isfinite(standard[1]), standard[1], 0.0)
    return [torch.from_numpy(each)[None].requires_grad_() for each in filled]


def logits_by_definition(runner: Runner, scene: ArraySource, inputs: list[torch.Tensor]):
    """Return the logits of a window, as a function of the window."""

    def logits(window: Window) -> torch.Tensor:
        cells = window.coarser(RATIO)
        fine = inputs[0][(..., *window.slices())]
        return runner.module(fine, inputs[1][(..., *cells.slices())])[0]

    return logits


def predicted(runner: Runner, scene: ArraySource, region: Window, memory: float, seams=None) -> np.ndarray:
    plan = plan_predictions(runner, scene, region, memory)
    return np.concatenate([s.logits for s in stream_predictions(runner, scene, plan, Silent(), seams)], 1)


def test_each_pixel_is_answered_by_the_window_with_the_nearest_centre():
    runner, scene = runner_of(), tiny_scene()
    logits = logits_by_definition(runner, scene, inputs_of(scene))
    expected = windowed(scene, runner.alignment, lambda window: logits(window).detach().numpy())
    found = predicted(runner, scene, scene.window, 512)
    assert np.abs(found - expected)[:, scene.valid].max() < 1e-12 * np.abs(expected).max()


def test_windows_lie_on_the_scene_whatever_region_and_memory():
    runner, scene = runner_of(), tiny_scene()
    whole = predicted(runner, scene, scene.window, 64)
    np.testing.assert_array_equal(predicted(runner, scene, scene.window, 2048), whole)
    part = Window(7, 13, 30, 41)
    np.testing.assert_array_equal(predicted(runner, scene, part, 99), whole[(slice(None), *part.slices())])
    with pytest.raises(ParameterError, match=r"windows of 24 x 24 pixels.*MEMORY=0.01"):
        plan_predictions(runner, scene, scene.window, 0.01)


def test_relevance_is_the_gradient_of_the_logits_that_are_mapped():
    runner, scene = runner_of(), tiny_scene()
    inputs = inputs_of(scene)
    logits = logits_by_definition(runner, scene, inputs)
    rows, cols = nearest(scene.rows, runner.alignment), nearest(scene.cols, runner.alignment)
    total = 0.0
    for down in {(s.start, s.stop) for s in rows}:
        for across in {(s.start, s.stop) for s in cols}:
            window = Window(down[0], across[0], down[1] - down[0], across[1] - across[0])
            mine = np.array([(s.start, s.stop) == down for s in rows])[:, None] & np.array(
                [(s.start, s.stop) == across for s in cols]
            )
            own = torch.from_numpy((mine & scene.valid)[window.slices()])
            total = total + logits(window)[3][own].sum()
    gradient = torch.autograd.grad(total, inputs)[0]
    expected = (gradient * inputs[0]).detach().numpy()[0]
    for memory in (64, 512):
        plan = plan_relevance(runner, scene, scene.window, Method(), memory)
        sink = ListSink()
        result = run_relevance(runner, scene, plan, TARGET, Method(), sink, Silent())
        assert np.abs(sink.values - expected)[:, scene.valid].max() < 1e-12 * np.abs(expected).max()
        assert result.conservation.target_sum == pytest.approx(float(total.detach()), rel=1e-12)
        assert abs(result.conservation.residual) < 1e-9 * abs(result.conservation.target_sum)


@pytest.mark.parametrize("method", ["lrp_epsilon", "integrated_gradients", "deeplift"])
def test_methods_conserve_the_logits_that_are_mapped(method):
    runner, scene = runner_of(), tiny_scene(32, 39)
    plan = plan_relevance(runner, scene, scene.window, Method(method), 512)
    found = run_relevance(runner, scene, plan, TARGET, Method(method), ListSink(), Silent()).conservation
    logits = predicted(runner, scene, scene.window, 512)[3]
    assert found.target_sum == pytest.approx(float(logits[scene.valid].sum()), rel=1e-10)
    assert found.balanced


def test_contributions_ablation_and_components_are_those_of_each_window_alone():
    runner, alone, scene = runner_of(), runner_of(None), tiny_scene(32, 39)
    seeding = TARGET.resolve(runner.card)
    splitting = Splitting(groups="sensor")

    def contributions(device: Runner, source: ArraySource) -> np.ndarray:
        plan = plan_contributions(device, source, source.window, splitting, seeding, 512)
        run_contributions(device, source, plan, seeding, splitting, sink := ListSink(), Silent())
        return sink.values

    def ablation(device: Runner, source: ArraySource) -> np.ndarray:
        groups = channel_groups(device.card, "sensor")
        ablator = Ablator(device, seeding, groups, "logit")
        plan = plan_ablation(device, source, source.window, ablator, 512)
        run_ablation(device, source, plan, ablator, sink := ListSink(), Silent())
        return sink.values

    def components(device: Runner, source: ArraySource) -> np.ndarray:
        plan = plan_components(device, source, source.window, 512)
        image = np.full((7, source.rows, source.cols), np.nan)
        for sample in stream_components(device, source, plan, Silent()):
            image[:, sample.rows, sample.cols] = sample.components.T
        return image

    for work in (contributions, ablation, components):
        expected = windowed(
            scene,
            runner.alignment,
            lambda window, work=work: (
                work(alone, source)
                if (source := cut_out(scene, window)).valid.any()
                else np.full((1, window.rows, window.cols), np.nan)
            ),
        )
        found = work(runner, scene)
        scale = np.nanmax(np.abs(expected))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11 * scale, err_msg=work.__name__)


def test_seams_are_the_differences_of_neighbours_where_they_overlap():
    runner, scene = runner_of(), tiny_scene()
    logits = logits_by_definition(runner, scene, inputs_of(scene))

    def percent(values: np.ndarray) -> np.ndarray:
        return 100 / (1 + np.exp(-values[:1]))

    plan = plan_predictions(runner, scene, scene.window, 512)
    predicted(runner, scene, scene.window, 512, meter := SeamMeter(plan, percent))
    found = meter.seams()
    starts = [starts_of(length, runner.alignment) for length in (scene.rows, scene.cols)]
    windows = {
        (i, j): Window(row, col, min(SIZE, scene.rows - row), min(SIZE, scene.cols - col))
        for i, row in enumerate(starts[0])
        for j, col in enumerate(starts[1])
    }
    differences = []
    for (i, j), window in windows.items():
        for other in (windows.get((i, j + 1)), windows.get((i + 1, j))):
            if other is None:
                continue
            common = window.intersection(other)
            two = [
                percent(logits(w).detach().numpy())[(0, *common.slices(w))][scene.valid[common.slices()]]
                for w in (window, other)
            ]
            differences.extend(np.abs(two[0] - two[1]))
    assert found.pixels == len(differences)
    assert found.largest == pytest.approx(max(differences), rel=1e-9)
    assert found.median == pytest.approx(np.quantile(differences, 0.5), rel=0.01)
    assert found.high == pytest.approx(np.quantile(differences, 0.95), rel=0.01)
    assert found.median > 0.01, "the test is void without seams"

    few = sample_seams(runner, scene, plan, percent)
    assert 0 < few.pixels < found.pixels
    assert few.largest <= found.largest * (1 + 1e-12)


def test_windows_of_a_scene_that_is_smaller_are_the_scene():
    assert Axis.of(20, 24, 16, 10) == Axis((0,), (20,), ())
    found = Axis.of(61, 24, 10, 10)
    assert found.starts == (0, 10, 20, 30, 40)
    assert found.stops == (24, 34, 44, 54, 61)
    small = tiny_scene(20, 22)
    assert SeamMeter(plan_predictions(runner_of(), small, small.window, 64), abs).seams() is None
