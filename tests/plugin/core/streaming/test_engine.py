"""Streaming: tiles make no difference, errors and cancel come through, memory stays within its bound."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from floelens.plugin.core.streaming import engine
from floelens.plugin.core.streaming.engine import (
    plan_components,
    plan_predictions,
    stream_components,
    stream_predictions,
)
from floelens.plugin.core.streaming.memory import LIBRARY_BUFFERS, peak_bytes
from floelens.plugin.core.streaming.runner import Runner
from floelens.plugin.core.streaming.tiling import LARGEST_SIDE, SMALLEST_SIDE, Cost, Plan
from floelens.plugin.ground.errors import Cancelled, NumericalError, SceneError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.ground.window import Window
from floelens.plugin.networks.aspp.definition import AsppFusion
from floelens.tests.plugin.core.tiny_networks import (
    RADIUS,
    RATIO,
    Listener,
    TinyFusion,
    tiny_card,
    tiny_scene,
)
from floelens.tools.headless import ROOT


def predict(runner, scene, side, region=None):
    region = region or scene.window
    plan = Plan(region, scene.window, runner.radius, runner.alignment, side, side)
    strips = list(stream_predictions(runner, scene, plan, Silent()))
    assert [strip.window.row for strip in strips] == [tiles[0].output.row for tiles in plan.strips()]
    assert all((strip.window.col, strip.window.cols) == (region.col, region.cols) for strip in strips)
    return np.concatenate([s.logits for s in strips], 1), np.concatenate([s.valid for s in strips])


def whole_scene_logits(network, scene):
    """Return the logits of one plain forward pass over the scene, in float64."""
    card = tiny_card()
    fine = np.stack([(scene.fine[i].astype(float) - c.mean) / c.sd for i, c in enumerate(card.channels[:2])])
    coarse = np.stack(
        [(scene.coarse[i].astype(float) - c.mean) / c.sd for i, c in enumerate(card.channels[2:])]
    )
    inputs = np.where(scene.valid, fine, 0.0), np.where(np.isfinite(coarse), coarse, 0.0)
    with torch.no_grad():
        logits = copy.deepcopy(network).double().eval()(*(torch.from_numpy(x)[None] for x in inputs))
    return np.where(scene.valid, logits[0].numpy(), np.nan)


@pytest.mark.parametrize("bilinear", [False, True])
def test_tiled_prediction_equals_whole_scene(bilinear):
    network, scene = TinyFusion(bilinear=bilinear), tiny_scene()
    expected = whole_scene_logits(network, scene)
    card = tiny_card(radius=8 if bilinear else RADIUS)
    for precision, share in (("float64", 1e-10), ("float32", 1e-5)):
        runner = Runner(card, network, "cpu", precision)
        for side in (12, 20, 33):
            found, valid = predict(runner, scene, side)
            assert (valid == scene.valid).all()
            assert (np.isnan(found) == ~valid).all()
            assert np.nanmax(np.abs(found - expected)) <= share * np.nanmax(np.abs(expected))


def test_part_of_a_scene_is_predicted_as_in_the_whole():
    runner, scene, part = (
        Runner(tiny_card(), TinyFusion(), "cpu", "float64"),
        tiny_scene(),
        Window(8, 12, 32, 40),
    )
    expected, _ = predict(runner, scene, 1000)
    found, _ = predict(runner, scene, 17, part)
    np.testing.assert_allclose(found, expected[(slice(None), *part.slices())], rtol=1e-10)


def test_components_are_those_of_the_chosen_pixels_and_give_the_logits():
    network, scene = TinyFusion(), tiny_scene()
    runner = Runner(tiny_card(), network, "cpu", "float64")
    expected = whole_scene_logits(network, scene)

    def every_fifth(window, valid):
        rows, cols = np.mgrid[window.slices()]
        return (rows * scene.cols + cols) % 5 == 0

    found = []
    for side in (1000, 20):
        plan = Plan(scene.window, scene.window, RADIUS, RATIO, side, side)
        samples = list(stream_components(runner, scene, plan, Silent(), every_fifth))
        rows, cols = (np.concatenate([getattr(s, axis) for s in samples]) for axis in ("rows", "cols"))
        order = np.argsort(rows * scene.cols + cols)
        found.append(np.concatenate([s.components for s in samples])[order])
        weight, bias = runner.output_weights()
        logits = found[-1] @ weight.T + bias
        np.testing.assert_allclose(logits, expected[:, rows[order], cols[order]].T, rtol=1e-9)
    assert len(found[0]) == np.count_nonzero(every_fifth(scene.window, None) & scene.valid)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9, atol=1e-12)


def test_cancel_stops_before_the_next_tile():
    runner, scene, listener = Runner(tiny_card(), TinyFusion(), "cpu"), tiny_scene(), Listener(stop_after=3)
    plan = Plan(scene.window, scene.window, RADIUS, RATIO, 12, 12)
    before = threading.active_count()
    with pytest.raises(Cancelled):
        list(stream_predictions(runner, scene, plan, listener))
    assert len(listener.fractions) == 3 < plan.count
    assert threading.active_count() == before


def test_progress_rises_to_one():
    runner, scene, listener = Runner(tiny_card(), TinyFusion(), "cpu"), tiny_scene(), Listener()
    plan = Plan(scene.window, scene.window, RADIUS, RATIO, 25, 25)
    list(stream_predictions(runner, scene, plan, listener))
    assert listener.fractions == sorted(listener.fractions)
    assert len(listener.fractions) == 1 + plan.count
    assert listener.fractions[-1] == 1


def fast_runner():
    """Return a runner that computes two tiles at the same time where there are two cores."""
    return Runner(tiny_card(radius=30), AsppFusion(2, 3, 4, "interpretability_small", outputs=4), "cpu")


def test_tiles_computed_at_the_same_time_give_the_same_logits(monkeypatch):
    torch.manual_seed(1)
    runner, scene = fast_runner(), tiny_scene(200, 230)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert runner.tiles_ahead == 0
    expected = predict(runner, scene, 60)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert runner.tiles_ahead == 1
    for found, wanted in zip(predict(runner, scene, 60), expected):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_a_cancel_waits_for_the_tiles_that_are_computed_and_for_no_more(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    runner, scene, listener = fast_runner(), tiny_scene(200, 230), Listener(stop_after=3)
    plan, computed, before = Plan(scene.window, scene.window, 30, 4, 40, 40), [], threading.active_count()
    logits = runner.logits
    runner.logits = lambda inputs: computed.append(None) or logits(inputs)
    with pytest.raises(Cancelled):
        list(stream_predictions(runner, scene, plan, listener))
    assert len(listener.fractions) == 3
    assert len(computed) <= 4 < plan.count
    assert sum(thread.name.startswith("floelens-tile") for thread in threading.enumerate()) == 0
    assert threading.active_count() <= before + 2  # the cores' own stay


def test_an_error_in_a_tile_ends_the_others(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    runner, scene, listener = fast_runner(), tiny_scene(200, 230), Listener()
    plan = Plan(scene.window, scene.window, 30, 4, 40, 40)
    third = next(plan.strips())[2]
    standardise, begun = runner.standardise, []

    def third_fails(patch, window):
        begun.append(window)
        if window == third.input:
            raise ValueError("no room")
        return standardise(patch, window)

    runner.standardise = third_fails
    with pytest.raises(ValueError, match="no room"):
        list(stream_predictions(runner, scene, plan, listener))
    assert len(begun) <= 4 < plan.count
    assert len(listener.fractions) == 1 + 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("floelens-tile")]


def test_bands_of_two_tiles_at_the_same_time_are_reckoned_with(monkeypatch):
    reckoned = []
    monkeypatch.setattr(engine, "Cost", lambda *given: reckoned.append(given[-1]) or Cost(*given))
    runner, scene = fast_runner(), tiny_scene()
    for cores, expected in ((1, [1, 1]), (2, [2, 2]), (16, [2, 12]), (64, [2, 12])):
        monkeypatch.setattr(torch, "get_num_threads", lambda cores=cores: cores)
        plan_predictions(runner, scene, scene.window, 1024)
        assert [reckoned[-1](rows) for rows in (100, 420)] == expected


def test_two_tiles_at_the_same_time_have_memory_for_two(monkeypatch):
    runner, scene, sides = fast_runner(), tiny_scene(), []
    for cores in (1, 2):
        monkeypatch.setattr(torch, "get_num_threads", lambda cores=cores: cores)
        sides.append(plan_predictions(runner, scene, scene.window, 64).tile_rows)
    assert SMALLEST_SIDE < sides[1] < 0.8 * sides[0]


def test_a_scene_without_valid_pixels_is_a_sentence():
    runner, scene = Runner(tiny_card(), TinyFusion(), "cpu"), tiny_scene()
    scene.valid[:] = False
    with pytest.raises(SceneError, match="no valid pixel"):
        predict(runner, scene, 30)


def test_logits_that_are_no_numbers_are_a_sentence():
    network, scene = TinyFusion(), tiny_scene()
    with torch.no_grad():
        network.output.bias[2] = float("nan")
    with pytest.raises(NumericalError, match="not finite at rows 0 to"):
        predict(Runner(tiny_card(), network, "cpu"), scene, 30)


def test_peak_bytes_counts_what_lives_at_once():
    def work():
        first = torch.zeros(1000)
        second = first + 1  # two arrays at once
        view = second[:10]
        del first
        third = view + 1
        return second, third

    assert peak_bytes(work) == LIBRARY_BUFFERS * 8000


@pytest.mark.parametrize("plan", [plan_predictions, plan_components])
def test_tiles_shrink_with_the_memory(plan):
    runner, scene = Runner(tiny_card(), TinyFusion(), "cpu"), tiny_scene()
    sides = [plan(runner, scene, scene.window, memory).tile_rows for memory in (2, 8, 4096)]
    assert sides[0] < sides[1] < sides[2] == LARGEST_SIDE


LARGE_SCENE = '''
import importlib.util, resource, sys
root, work = sys.argv[1], sys.argv[2]
spec = importlib.util.spec_from_file_location("floelens", root + "/__init__.py", submodule_search_locations=[root])
sys.modules["floelens"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["floelens"])
import numpy as np
from floelens.plugin.networks.aspp.card import aspp_card
from floelens.plugin.networks.card import Head, HeadClass
from floelens.plugin.networks.aspp.definition import AsppFusion
from floelens.plugin.core.streaming import engine
from floelens.plugin.core.streaming.engine import plan_predictions, stream_predictions
from floelens.plugin.core.relevance.methods import Method
from floelens.plugin.core.streaming.runner import Runner
from floelens.plugin.ground.protocols import Patch, Silent
from floelens.plugin.core.relevance.run import plan_relevance, run_relevance
from floelens.plugin.core.target.target import Target
from floelens.plugin.ground.window import Window

SIDE, RATIO = 10_000, 25

ice = Head("ice", "sigmoid", (HeadClass("ice", 1, "#ff0000", percent=100),), unit="%")
card = aspp_card("large", "interpretability_small", RATIO, [ice], title="large", pixel_size_m=80.0)

class Lazy:
    """A scene that exists only where it is read."""
    rows = cols = SIDE
    def read(self, window):
        rows, cols = np.mgrid[window.slices()]
        fine = np.stack([np.sin(0.1 * rows + 0.07 * cols), np.cos(0.05 * rows * (cols % 7))])
        cells = window.coarser(RATIO)
        rows, cols = np.mgrid[cells.slices()]
        coarse = np.stack([np.sin(i + rows * 0.3 + cols * 0.2) for i in range(14)])
        valid = np.ones((window.rows, window.cols), bool)
        return Patch(window, fine.astype(np.float32), coarse.astype(np.float32), valid)

class Counting:
    pixels = 0
    def write(self, values):
        self.pixels += values.shape[1] * values.shape[2]

network = AsppFusion(len(card.fine_channels), len(card.coarse_channels), RATIO, "interpretability_small", 1)
runner, scene, whole = Runner(card, network, "cpu"), Lazy(), Window(0, 0, SIDE, SIDE)
sink = Counting()
if work == "predict":
    for strip in stream_predictions(runner, scene, plan_predictions(runner, scene, whole, 1024), Silent()):
        sink.write(strip.logits)
else:
    method = Method(work)
    plan = plan_relevance(runner, scene, whole, method, 1024)
    books = run_relevance(runner, scene, plan, Target(), method, sink, Silent()).conservation
    assert books.relative_residual <= 1e-4, books.relative_residual
assert sink.pixels == SIDE * SIDE
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
'''


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("work", ["predict", "gradient_x_input", "lrp_epsilon"])
def test_a_scene_of_100_megapixels_stays_below_two_gibibytes(work):
    done = subprocess.run(
        [sys.executable, "-c", LARGE_SCENE, str(ROOT), work],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
    )
    assert done.returncode == 0, done.stderr
    mebibytes = int(done.stdout)
    print(f"{work}: {mebibytes} MiB at most")
    assert mebibytes < 2048


def test_on_many_cores_small_tiles_still_fit_since_few_rows_are_worth_few_cores(monkeypatch):
    network = AsppFusion(2, 3, 4, "interpretability_small")
    runner, scene = Runner(tiny_card(radius=30), network, "cpu"), tiny_scene()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    assert [runner.fast.bands_at_once(rows) for rows in (1, 127, 128, 640, 10_000)] == [1, 1, 2, 10, 64]
    assert plan_predictions(runner, scene, scene.window, 48).tile_rows >= SMALLEST_SIDE


def test_what_a_network_needs_for_its_bands_does_not_limit_its_tiles():
    network = AsppFusion(2, 3, 4, "interpretability_small")
    runner, scene = Runner(tiny_card(radius=30), network, "cpu"), tiny_scene()
    assert runner.fast.band_rows > 0
    at_once = peak_bytes(lambda: network.eval()(torch.zeros(1, 2, 256, 128), torch.zeros(1, 3, 64, 32)))
    for memory in (128, 256):
        side = plan_predictions(runner, scene, scene.window, memory).tile_rows
        assert at_once / (256 * 128) * side**2 > memory * 2**20
