"""A scene scored without a job: network, scene and labels in, mergeable information out."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.core.streaming.engine import plan_components, stream_components
from floelens.plugin.core.streaming.runner import Runner
from floelens.plugin.core.zscores.scene_scores import SceneCollector
from floelens.plugin.core.zscores.scores import compute_scores
from floelens.plugin.core.zscores.sums.clusters import BlockLadder
from floelens.plugin.core.zscores.sums.information import Component, OutputLayer, SceneAccumulator
from floelens.plugin.core.zscores.sums.refit_sample import RefitSampler
from floelens.plugin.ground.protocols import Silent
from floelens.tests.plugin.core.tiny_networks import TinyFusion, tiny_card, tiny_scene


@pytest.fixture(scope="module")
def streamed():
    """Return the scene, its blocks, the batches of all pixels, and two heads on the same components."""
    runner, scene = Runner(tiny_card(), TinyFusion(), "cpu"), tiny_scene()
    plan = plan_components(runner, scene, scene.window, 256, every=True)
    batches = list(stream_components(runner, scene, plan, Silent()))
    parts = tuple(Component(f"c{at}", "sar") for at in range(batches[0].components.shape[1]))
    generator = np.random.default_rng(1)
    heads = tuple(
        OutputLayer(
            name,
            kind,
            classes,
            parts,
            generator.normal(size=(len(classes), len(parts))),
            np.zeros(len(classes)),
        )
        for name, kind, classes in (("ice", "sigmoid", ("ice",)), ("type", "softmax", ("old", "young")))
    )
    return scene, BlockLadder.over(scene.window, 1000.0, 8.0, (16.0,)), batches, heads


def labels_of(batch):
    """Return a fraction for the first head; nothing for the second."""
    return np.where(batch.cols % 3 == 0, np.nan, (batch.rows % 5) / 4), None


def test_all_heads_are_scored_from_one_stream_with_and_without_labels(streamed):
    _, ladder, batches, heads = streamed
    collector = SceneCollector(heads, ladder)
    plain = [SceneAccumulator(head) for head in heads]
    for batch in batches:
        collector.add(batch, labels_of(batch))
        for each, labels in zip(plain, labels_of(batch)):
            each.add(batch.components, labels, {ladder.finest: ladder.blocks(batch.rows, batch.cols)})
    for found, expected in zip(collector.close(), plain):
        expected = expected.close({ladder.finest: ladder.coarser})
        np.testing.assert_array_equal(found.total.pairs, expected.total.pairs)
        np.testing.assert_array_equal(found.labels.score, expected.labels.score)
        assert found.labels.clusters.keys() == expected.labels.clusters.keys()
    assert collector.close()[0].labelled.n > 0
    assert collector.close()[1].labelled.n == 0


def test_the_fast_way_over_every_pixel_gives_the_same_scores_and_zones(streamed):
    scene, ladder, batches, heads = streamed
    fast = SceneCollector(heads, ladder, every=scene.window, zoned=True)
    slow = SceneCollector(heads, ladder, zoned=True)
    for batch in batches:
        zones = np.where(batch.cols < scene.cols // 2, 0, -1)
        fast.add(batch, (), zones)
        slow.add(batch, (), zones)
    values = np.concatenate([batch.components for batch in batches])
    dead = {f"c{at}" for at in np.flatnonzero(np.ptp(values, axis=0) == 0)}
    for found, expected in zip(fast.close(), slow.close()):
        assert found.n == expected.n == int(scene.valid.sum())
        for ours, theirs in zip(compute_scores(found).rows, compute_scores(expected).rows):
            assert (ours["z"] is None) == (theirs["z"] is None) == (ours["component"] in dead)
            assert ours["z"] is None or ours["z"] == pytest.approx(theirs["z"], rel=1e-6)
    for found, expected in zip(fast.zone_scores(), slow.zone_scores()):
        assert {zone: each.n for zone, each in found.items()} == {
            zone: each.n for zone, each in expected.items()
        }


def test_labelled_pixels_alone_are_kept_for_refits(streamed):
    _, ladder, batches, heads = streamed
    samplers = [RefitSampler(len(head.components), "scene", "place") for head in heads]
    kept = []
    collector = SceneCollector(
        heads, ladder, samplers=samplers, keep=lambda head, x, _labels, _blocks: kept.append((head, len(x)))
    )
    for batch in batches:
        collector.add(batch, labels_of(batch))
    assert set(collector.samples()) == {"ice"}  # the other head has no labels
    assert len(collector.samples()["ice"]) == sum(int((~np.isnan(labels_of(b)[0])).sum()) for b in batches)
    assert {head for head, _ in kept} == {0}
