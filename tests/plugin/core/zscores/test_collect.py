"""Z-scores collected without a job: a network, any source of patches, labels; no file."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from floelens.plugin.core.contributions.run import Splitting, splitter_for
from floelens.plugin.core.streaming.runner import Runner
from floelens.plugin.core.streaming.tiling import Plan
from floelens.plugin.core.zscores import collect
from floelens.plugin.core.zscores.channels.collect import STEPS, SceneMark, collect_contributions
from floelens.plugin.core.zscores.collect import collect_components, output_layers
from floelens.plugin.core.zscores.sampling import label_targets, sampling
from floelens.plugin.core.zscores.scene_scores import SceneCollector
from floelens.plugin.core.zscores.sums.clusters import BlockLadder
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.networks.card import Component
from floelens.tests.plugin.core.tiny_networks import RATIO, TinyFusion, tiny_card, tiny_scene

SCENE = tiny_scene()


@pytest.fixture(scope="module")
def runner():
    card = tiny_card()
    names = [*(f"skip{i}" for i in range(5)), *(f"d{i}" for i in range(7))]
    parts = [*(Component(name, "sar") for name in names), *(Component(f"m{i}", "mwr") for i in range(3))]
    card.components = tuple(parts)
    for channel in card.channels:
        channel.frequency_ghz, channel.polarisation = None, ""
    return Runner(card, TinyFusion(), "cpu", "float64")


def percents(rows, cols):
    """Return a chart: %, nothing in every fifth column."""
    return np.where(cols % 5 == 0, np.nan, (rows * 7 + cols * 3) % 101)


@pytest.mark.parametrize("side", [16, 80])
def test_information_of_a_scene_is_the_sum_over_its_sampled_pixels(runner, side):
    head = runner.card.heads[0]

    def labels_at(window, at):
        return label_targets(head, percents(at[0] + window.row, at[1] + window.col)), None

    collector = SceneCollector(output_layers(runner), BlockLadder.over(SCENE.window, 1000.0, 16.0))
    plan = Plan(SCENE.window, SCENE.window, runner.radius, runner.alignment, side, side)
    collect_components(runner, SCENE, plan, collector, Silent(), sampling(0, RATIO), labels_at)
    found = collector.close()[0]

    inputs = runner.standardise(SCENE.read(SCENE.window))
    components = runner.components(inputs)[0].numpy()
    layer = output_layers(runner)[0]
    information = {True: np.zeros((16, 16)), False: np.zeros((16, 16))}
    score, counts = np.zeros(16), {True: 0, False: 0}
    for row in range(RATIO // 2, SCENE.rows, RATIO):
        for col in range(RATIO // 2, SCENE.cols, RATIO):
            if not SCENE.valid[row, col]:
                continue
            x = np.append(1.0, components[:, row, col])
            p = 1 / (1 + np.exp(-(layer.bias[0] + layer.weights[0] @ x[1:])))
            label = percents(np.array(row), np.array(col)) / 100
            labelled = not np.isnan(label)
            information[labelled] += p * (1 - p) * np.outer(x, x)
            counts[labelled] += 1
            score += (label - p) * x if labelled else 0.0
    assert (found.labelled.n, found.unlabelled.n) == (counts[True], counts[False])
    np.testing.assert_allclose(found.labelled.pairs[0], information[True], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.unlabelled.pairs[0], information[False], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.labels.score[0], score, rtol=1e-9, atol=1e-9)


def test_sums_beside_the_forward_pass_are_the_same_to_the_last_bit(runner, monkeypatch):
    plan = Plan(SCENE.window, SCENE.window, runner.radius, runner.alignment, 16, 16)
    found, threads = [], []
    components = runner.components
    monkeypatch.setattr(
        runner, "components", lambda inputs: threads.append(threading.get_ident()) or components(inputs)
    )
    for cores in (1, 2):
        monkeypatch.setattr(collect, "worker_count", lambda cores=cores: cores)
        ladder = BlockLadder.over(SCENE.window, 1000.0, 16.0)
        collector = SceneCollector(output_layers(runner), ladder, every=SCENE.window)
        collect_components(runner, SCENE, plan, collector, Silent())
        found.append(collector.close())
    assert set(threads[: len(threads) // 2]) == {threading.get_ident()}
    assert set(threads[len(threads) // 2 + 1 :]) != {threading.get_ident()}  # the first is the probe's
    for one, other in zip(*found):
        assert one.unlabelled.n == other.unlabelled.n == SCENE.valid.sum()
        for name in ("pairs", "logits", "means", "inputs", "divergence"):
            np.testing.assert_array_equal(getattr(one.unlabelled, name), getattr(other.unlabelled, name))
        np.testing.assert_array_equal(one.lowest, other.lowest)


def test_an_error_beside_the_forward_pass_ends_its_thread(runner, monkeypatch):
    monkeypatch.setattr(collect, "worker_count", lambda: 2)
    plan = Plan(SCENE.window, SCENE.window, runner.radius, runner.alignment, 16, 16)
    collector = SceneCollector(
        output_layers(runner), BlockLadder.over(SCENE.window, 1000.0, 16.0), every=SCENE.window
    )
    monkeypatch.setattr(collector, "add", lambda *_: 1 / 0)
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        collect_components(runner, SCENE, plan, collector, Silent())
    assert threading.active_count() == before


def test_contributions_and_offset_of_every_pixel_add_up_to_its_logit(runner):
    def splitter_on(device):
        return splitter_for(device, Splitting("integrated", "channel", steps=STEPS))

    evidence = collect_contributions(
        runner,
        SCENE,
        SCENE.window,
        SceneMark("a scene", "a place"),
        "integrated",
        splitter_on,
        sampling(0, RATIO),
        lambda _window, rows, _cols: (rows / SCENE.rows, None),
        BlockLadder.over(SCENE.window, 1000.0, 16.0),
        256,
        Silent(),
    )
    logits = runner.logits(runner.standardise(SCENE.read(SCENE.window)))[0].numpy()
    chosen = sampling(0, RATIO)(SCENE.window, SCENE.valid)
    first, second = evidence
    assert first.sums.n == second.sums.n == int(chosen.sum())
    assert (len(first.sample), len(second.sample)) == (int(chosen.sum()), 0)
    summed = first.sample.offset[:, 0] + first.sample.contributions[:, 0].sum(axis=1)
    np.testing.assert_allclose(np.sort(summed), np.sort(logits[0][chosen]), rtol=1e-5, atol=1e-5)
    assert sorted(first.sample.labels) == sorted(np.nonzero(chosen)[0] / SCENE.rows)
