"""States: merging in any order, files, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from floelens.plugin.core.zscores.channels.evidence import ChannelAccumulator, ChannelEvidence
from floelens.plugin.core.zscores.channels.levels import InputChannel
from floelens.plugin.core.zscores.channels.scores import channel_scores
from floelens.plugin.core.zscores.refit import refit
from floelens.plugin.core.zscores.scores import compute_scores
from floelens.plugin.core.zscores.state import ScoreState, check_state, merge_states
from floelens.plugin.core.zscores.sums.cluster_sums import ClusterSums
from floelens.plugin.core.zscores.sums.clusters import (
    SCENES,
    BlockLadder,
    block_clusters,
    block_size_of,
    blocks_name,
)
from floelens.plugin.core.zscores.sums.information import (
    Component,
    Information,
    OutputLayer,
    SceneAccumulator,
)
from floelens.plugin.core.zscores.sums.refit_sample import RefitSampler, sampled_batches
from floelens.plugin.ground.errors import ModelError, ParameterError
from floelens.plugin.ground.window import Window
from floelens.tests.plugin.core.score_data import binary_labels, class_labels, correlated, layer
from floelens.tests.plugin.core.tiny_networks import tiny_card
from hypothesis import given, settings
from hypothesis import strategies as st


def head(kind: str = "softmax", bias: float = 0.2) -> OutputLayer:
    generator = np.random.default_rng(3)
    weights = generator.normal(size=(3 if kind == "softmax" else 1, 5))
    return layer(weights, np.full(len(weights), bias), kind)


def scene(
    output: OutputLayer, seed: int, first: int = 0, last: int = 900, cluster_size: int = 30
) -> Information:
    """Return the information of pixels first..last of a made scene."""
    x = correlated(seed, 900, 5)
    y = class_labels(seed, x, 3) if output.kind == "softmax" else binary_labels(seed, x)
    accumulator = SceneAccumulator(output)
    part = slice(first, last)
    accumulator.add(x[part], y[part], {"blocks": (np.arange(900) // cluster_size)[part]})
    return accumulator.close()


def state(output: OutputLayer, seed: int, **pixels) -> ScoreState:
    return ScoreState(
        "model", "ab" * 32, (scene(output, seed, **pixels),), (f"scene {seed}",), "FloeLens 0.1.0"
    )


def assert_same_scores(first: Information, second: Information, tolerance: float = 1e-9) -> None:
    ours, theirs = compute_scores(first), compute_scores(second)
    for a, b in zip(ours.rows + ours.groups, theirs.rows + theirs.groups):
        for name, value in a.items():
            if isinstance(value, float):
                assert value == pytest.approx(b[name], rel=tolerance, abs=1e-12), name
            else:
                assert value == b[name]
    for name, value in ours.measures.items():
        if isinstance(value, float):
            assert value == pytest.approx(theirs.measures[name], rel=tolerance)


@pytest.mark.parametrize("kind", ["sigmoid", "softmax", "linear"])
def test_two_halves_merged_equal_the_whole(kind):
    output = head(kind)
    whole = scene(output, 1)
    halves = scene(output, 1, last=450).merge(scene(output, 1, first=450))  # clusters end at the cut
    assert_same_scores(whole, halves)


def test_merging_is_independent_of_order_and_grouping():
    output = head()
    states = [state(output, seed) for seed in range(3)]
    reference = merge_states(states).heads[0]
    for order in permutations(states):
        assert_same_scores(reference, merge_states(order).heads[0])
    right = states[0].merge(states[1].merge(states[2]))
    assert_same_scores(reference, right.heads[0])
    assert right.scenes == merge_states(states).scenes


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 900), min_size=1, max_size=4))
def test_any_cut_of_the_unlabelled_pixels_gives_the_same_information(cuts):
    output = head("sigmoid")
    x = correlated(9, 900, 5).astype(np.float32)
    edges = [0, *sorted(cuts), 900]
    merged = Information.empty(output)
    for first, last in zip(edges[:-1], edges[1:]):
        accumulator = SceneAccumulator(output)
        accumulator.add(x[first:last])
        merged = merged.merge(accumulator.close())
    accumulator = SceneAccumulator(output)
    accumulator.add(x)
    whole = accumulator.close()
    assert merged.n == 900
    np.testing.assert_allclose(merged.total.pairs, whole.total.pairs, rtol=1e-11)
    np.testing.assert_allclose(merged.total.divergence, whole.total.divergence, rtol=1e-9)


def test_merging_nothing_changes_nothing():
    output = head()
    information = scene(output, 4)
    assert_same_scores(information, information.merge(Information.empty(output)), 1e-15)
    assert_same_scores(information, Information.empty(output).merge(information), 1e-15)


def test_scenes_without_labels_join_scenes_with_labels():
    output = head("sigmoid")
    labelled = scene(output, 5)
    accumulator = SceneAccumulator(output)
    accumulator.add(correlated(6, 500, 5))
    merged = labelled.merge(accumulator.close())
    scores = compute_scores(merged)
    assert (scores.measures["n"], scores.measures["n_labelled"]) == (1400, 900)
    assert scores.rows[0]["se_robust"] == pytest.approx(
        compute_scores(labelled).rows[0]["se_robust"], rel=1e-10
    )


def test_clusterings_that_differ_leave_no_robust_errors_and_say_so():
    output = head("sigmoid")
    x = correlated(7, 300, 5)
    accumulator = SceneAccumulator(output)
    accumulator.add(x, binary_labels(7, x), {"scenes": np.zeros(300, dtype=int)})
    scores = compute_scores(scene(output, 8).merge(accumulator.close()))
    assert scores.rows[0]["z_robust"] is None
    assert "no clusters common" in scores.rows[0]["note"]


def test_scenes_of_one_name_are_told_apart_by_time_and_place():
    first, other = (
        replace(state(head(), seed), scenes=(f"sar|2019-08-2{seed}T03:30:23Z|0,80 1,81|900x1",))
        for seed in (3, 4)
    )
    assert first.merge(other).repeated_scenes == ()
    assert first.merge(other).scene_names == ("sar", "sar")
    assert first.merge(other).merge(first).repeated_scenes == ("sar",)


@pytest.mark.parametrize("kind", ["sigmoid", "softmax", "linear"])
def test_a_file_gives_back_the_state_and_the_same_bytes(tmp_path, kind):
    saved = state(head(kind), 2)
    saved.save(tmp_path / "a.state")
    loaded = ScoreState.load(tmp_path / "a.state")
    loaded.save(tmp_path / "b.state")
    assert (tmp_path / "a.state").read_bytes() == (tmp_path / "b.state").read_bytes()
    assert_same_scores(saved.heads[0], loaded.heads[0], 1e-15)
    assert (loaded.model, loaded.weights_sha256, loaded.scenes) == ("model", "ab" * 32, ("scene 2",))
    assert loaded.software == "FloeLens 0.1.0"
    assert loaded.merge(saved).repeated_scenes == ("scene 2",)


def test_few_clusters_are_kept_as_they_are_and_many_as_products():
    rows = np.random.default_rng(1).normal(size=(12, 10))
    whole = rows.T @ rows
    few, others = ClusterSums.of(rows[:4]), ClusterSums.of(rows[4:5])
    assert few.products is None
    assert (few + others).products is None
    np.testing.assert_allclose((few + others).outer, rows[:5].T @ rows[:5], rtol=1e-12)
    many = ClusterSums.of(rows[5:])
    assert many.scores is None
    for merged in (few + others + many, many + (others + few), ClusterSums.of(rows)):
        assert merged.count == 12
        assert merged.scores is None
        np.testing.assert_allclose(merged.outer, whole, rtol=1e-12)
        np.testing.assert_allclose(merged.total, rows.sum(axis=0), rtol=1e-12)


def test_a_state_of_many_classes_is_small_for_one_scene(tmp_path):
    output = layer(np.random.default_rng(4).normal(size=(8, 30)), np.zeros(8), "softmax")
    x = correlated(5, 600, 30)
    accumulator = SceneAccumulator(output)
    clusters = {
        f"{size} km blocks": np.arange(600) * count // 600 for size, count in ((8, 100), (64, 9), (256, 1))
    }
    accumulator.add(x, class_labels(6, x, 8), clusters)
    saved = ScoreState("model", "ab" * 32, (accumulator.close(),), ("scene",), "FloeLens 0.1.0")
    saved.save(tmp_path / "s.npz")
    size = 8 * 31  # weights: their products alone take size * (size + 1) / 2 numbers for each clustering
    pairs = 28 * 31 * 32 // 2
    assert (tmp_path / "s.npz").stat().st_size < 8 * (pairs + 110 * size) + 60_000
    assert_same_scores(ScoreState.load(tmp_path / "s.npz").heads[0], saved.heads[0])


def test_the_size_of_a_state_does_not_grow_with_pixels(tmp_path):
    output = head("sigmoid")
    sizes = []
    for count in (900, 9000):
        x = correlated(1, count, 5)
        accumulator = SceneAccumulator(output)
        accumulator.add(x, binary_labels(1, x), {"blocks": np.arange(count) // 10})
        ScoreState("model", "ab", (accumulator.close(),)).save(tmp_path / "s")
        sizes.append((tmp_path / "s").stat().st_size)
    assert abs(sizes[1] - sizes[0]) < 200


def test_states_of_other_models_weights_and_heads_are_refused():
    output = head()
    ours = state(output, 1)
    with pytest.raises(ParameterError, match="model 'other'"):
        ours.merge(replace(ours, model="other"))
    with pytest.raises(ParameterError, match="other weights"):
        ours.merge(replace(ours, weights_sha256="cd" * 32))
    with pytest.raises(ParameterError, match="heads, components or weights differ"):
        ours.merge(replace(ours, heads=(scene(head(bias=0.3), 1),)))
    check_state(ours, "model", "ab" * 32, [output], "s.npz")
    with pytest.raises(ParameterError, match=r"State s\.npz belongs to model 'model', not to 'ice'"):
        check_state(ours, "ice", "ab" * 32, [output], "s.npz")
    with pytest.raises(ParameterError, match="other weights of model"):
        check_state(ours, "model", "cd" * 32, [output], "s.npz")
    with pytest.raises(ParameterError, match="does not have in this form"):
        check_state(ours, "model", "ab" * 32, [head(bias=0.3)], "s.npz")
    with pytest.raises(ParameterError, match="no state to merge"):
        merge_states([])


def test_files_that_are_no_state_are_refused_with_a_sentence(tmp_path):
    good = tmp_path / "good"
    state(head(), 1).save(good)
    damaged = tmp_path / "damaged"
    damaged.write_bytes(good.read_bytes()[:-4000])
    text = tmp_path / "text"
    text.write_text("model: ice")
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    other = tmp_path / "other.npz"
    np.savez(other, x=np.ones(3))
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, header=np.array([{"format": "floelens-zscores-state"}], dtype=object))
    for path in (damaged, text, empty, other, pickled):
        with pytest.raises(ParameterError, match="no readable state"):
            ScoreState.load(path)
    with pytest.raises(ParameterError, match="no state file"):
        ScoreState.load(tmp_path / "absent")


def rewritten(path: Path, target: Path, change) -> Path:
    """Write a state again with a changed header or changed arrays."""
    with np.load(path) as arrays:
        content = dict(arrays)
    header = json.loads(str(content["header"][()]))
    change(header, content)
    content["header"] = np.array(json.dumps(header))
    with Path(target).open("wb") as file:
        np.savez(file, **content)
    return target


def test_another_format_version_or_shape_is_refused(tmp_path):
    good = tmp_path / "good"
    state(head(), 1).save(good)
    newer = rewritten(good, tmp_path / "newer", lambda header, _: header.update(format_version=5))
    with pytest.raises(ParameterError, match="format version 5, this version of FloeLens reads 3 and 4"):
        ScoreState.load(newer)
    cut = rewritten(
        good, tmp_path / "cut", lambda _, arrays: arrays.update({"head0/lowest": arrays["head0/lowest"][:2]})
    )
    with pytest.raises(ParameterError, match="head0/lowest has shape"):
        ScoreState.load(cut)


def test_a_layer_is_cut_out_of_a_model_with_several_heads():
    card = tiny_card()
    card.components = Component("c", "sar", "skip"), Component("d", "mwr")
    weights = np.arange(8.0).reshape(4, 2, 1, 1)
    ice_type = OutputLayer.from_card(card, "type", weights, np.arange(4.0))
    assert ice_type.classes == ("water", "young ice", "old ice")
    np.testing.assert_array_equal(ice_type.weights, [[2, 3], [4, 5], [6, 7]])
    np.testing.assert_array_equal(ice_type.bias, [1, 2, 3])
    assert OutputLayer.from_card(card, "concentration", weights, np.arange(4.0)).outputs == 1
    with pytest.raises(ModelError, match=r"no head 'floe'\. Its heads are concentration, type"):
        OutputLayer.from_card(card, "floe", weights, np.arange(4.0))


def test_blocks_are_at_least_as_wide_as_asked_and_cover_the_scene():
    window = Window(0, 0, 5000, 5200)
    rows, cols = np.meshgrid(np.arange(0, 5000, 20), np.arange(0, 5200, 20), indexing="ij")
    blocks = block_clusters(rows.ravel(), cols.ravel(), window, 80.0, 64.0).reshape(rows.shape)
    assert np.unique(blocks).size == 36  # 400 km / 64 km = 6 blocks down, 416 / 64 = 6 across
    heights = [np.ptp(rows[blocks == number]) + 20 for number in np.unique(blocks)]
    widths = [np.ptp(cols[blocks == number]) + 20 for number in np.unique(blocks)]
    assert min(heights) * 80 >= 64_000
    assert min(widths) * 80 >= 64_000
    assert np.unique(block_clusters(rows.ravel(), cols.ravel(), window, 80.0, 1000.0)).tolist() == [0]
    with pytest.raises(ParameterError, match="positive"):
        block_clusters(rows.ravel(), cols.ravel(), window, 80.0, 0.0)


def test_blocks_of_a_ladder_nest_and_are_at_least_as_wide_as_their_size():
    window = Window(0, 0, 5000, 5200)
    ladder = BlockLadder.over(window, 80.0, 100.0)
    rows, cols = (
        part.ravel() for part in np.meshgrid(np.arange(0, 5000, 20), np.arange(0, 5200, 20), indexing="ij")
    )
    finest = ladder.blocks(rows, cols)
    np.testing.assert_array_equal(finest, block_clusters(rows, cols, window, 80.0, 8.0))
    assert [block_size_of(name) for name in ladder.coarser] == [8, 16, 32, 64, 100, 128, 256, None]
    for name, numbers in ladder.coarser.items():
        blocks = numbers[finest]
        size = block_size_of(name) or 400.0
        for block in np.unique(blocks):
            inside = blocks == block
            assert (np.ptp(rows[inside]) + 20) * 0.08 >= size
            assert (np.ptp(cols[inside]) + 20) * 0.08 >= size
    assert np.unique(ladder.coarser[SCENES]).size == 1
    assert np.unique(ladder.coarser[blocks_name(64)]).size == 36


def test_coarser_clusters_of_finer_ones_equal_those_given_directly():
    output = head("softmax")
    x, y = correlated(11, 900, 5), class_labels(12, correlated(11, 900, 5), 3)
    fine = np.random.default_rng(13).integers(0, 40, 900)
    coarser = np.arange(40) // 7
    direct, nested = SceneAccumulator(output), SceneAccumulator(output)
    direct.add(x, y, {"fine": fine, "coarse": coarser[fine]})
    nested.add(x, y, {"fine": fine})
    ours = nested.close({"fine": {"fine": np.arange(40), "coarse": coarser}})
    theirs = direct.close()
    for name in ("fine", "coarse"):
        assert ours.labels.clusters[name].count == theirs.labels.clusters[name].count
        np.testing.assert_allclose(
            ours.labels.clusters[name].outer, theirs.labels.clusters[name].outer, rtol=1e-9, atol=1e-12
        )


def test_the_evidence_of_channels_travels_in_the_state(tmp_path):
    parts = np.random.default_rng(14).normal(size=(300, 2)).astype(np.float32)
    channels = (InputChannel("hh", "sar"), InputChannel("36v", "mwr", 36.5, "v"))

    def with_channels(seed: int) -> ScoreState:
        accumulator = ChannelAccumulator(
            ChannelEvidence.empty("head", "sigmoid", ["ice"], channels, "gated"), f"scene {seed}"
        )
        labels = binary_labels(seed, parts)
        rows = np.arange(300)
        accumulator.add(np.zeros(300), parts, rows, rows, labels, {"blocks": rows // 10})
        return replace(state(head("sigmoid"), seed), channels=(accumulator.close(),))

    first, second, without = with_channels(1), with_channels(2), state(head("sigmoid"), 3)
    merged = merge_states([first, without, second])
    merged.save(tmp_path / "s.npz")
    back = ScoreState.load(tmp_path / "s.npz")
    reference = channel_scores(merge_states([second, first, without]).channels[0])
    found = channel_scores(back.channels[0])
    assert found.slopes == reference.slopes
    assert len(found.slopes) == 2
    assert found.measures["n_labelled"] == 600
    assert found.measures["clusters"] == 60
    assert set(found.as_dict()) == {
        "head", "kind", "method", "classes", "strengths", "slopes", "measures", "warnings"
    }  # fmt: skip
    damaged = rewritten(
        tmp_path / "s.npz",
        tmp_path / "damaged",
        lambda _, arrays: arrays.update({"channels0/labels": arrays["channels0/labels"][1:]}),
    )
    with pytest.raises(ParameterError, match="array labels has shape"):
        ScoreState.load(damaged)


# --- blocks of pixels that are a little short; scenes of one name; pixels for a refit --------------


@pytest.mark.parametrize("pixel", [80.0, 79.999993, 79.96, 40.0000013])
@pytest.mark.parametrize(("side_km", "expected"), [(128, 4), (192, 9), (384, 36), (100, 1)])
def test_blocks_are_not_lost_to_rounding(pixel, side_km, expected):
    pixels = round(side_km * 1000.0 / round(pixel, -1))
    window = Window(0, 0, pixels, pixels)
    rows, cols = (at.ravel() for at in np.mgrid[0:pixels:31, 0:pixels:31])
    assert np.unique(block_clusters(rows, cols, window, pixel, 64.0)).size == expected
    ladder = BlockLadder.over(window, pixel, 64.0)
    assert np.unique(ladder.coarser[blocks_name(64)][ladder.blocks(rows, cols)]).size == expected
    assert np.unique(ladder.coarser[blocks_name(32)][ladder.blocks(rows, cols)]).size == (side_km // 32) ** 2


def test_blocks_are_never_much_narrower_than_asked():
    for pixels in range(700, 1700, 37):
        window = Window(0, 0, pixels, 10)
        count = np.unique(block_clusters(np.arange(pixels), np.zeros(pixels, int), window, 80.0, 64.0)).size
        assert pixels * 0.08 / count >= 63.9 or count == 1


def test_scenes_of_one_name_and_place_are_told_apart_by_their_values():
    place = "sar||1.000,80.000 2.000,79.000|400x400"
    first = replace(state(head("sigmoid"), 1), scenes=(place + "|0123456789abcdef",))
    second = replace(state(head("sigmoid"), 2), scenes=(place + "|fedcba9876543210",))
    assert first.merge(second).repeated_scenes == ()
    assert first.merge(first).repeated_scenes == ("sar",)
    copy = replace(
        first, scenes=("copy" + place[3:] + "|0123456789abcdef",)
    )  # the same file under another name
    assert first.merge(copy).repeated_scenes == ("copy", "sar")
    older = replace(state(head("sigmoid"), 3), scenes=(place,))  # of a version without checksums
    assert older.merge(first).repeated_scenes == ("sar",)


def refit_samples(layer_, pixels, capacity=None, scenes=3):
    """Return states of scenes with labels and pixels for a refit, and all pixels together."""
    made, seen = [], []
    for number in range(scenes):
        x = correlated(40 + number, pixels, 4).astype(np.float32)
        y = binary_labels(5, x)
        y[::9] = np.nan
        at = np.arange(pixels)
        sampler = RefitSampler(4, f"scene {number}", f"scene {number}")
        if capacity:
            sampler._sample = replace(sampler._sample, capacity=capacity)
        accumulator = SceneAccumulator(layer_)
        for start in range(0, pixels, 170):
            part = slice(start, start + 170)
            accumulator.add(x[part], y[part], {"blocks": at[part] // 50})
            sampler.add(x[part], at[part], at[part], y[part], {"blocks": at[part] // 50})
        sample = sampler.close({})
        made.append(
            ScoreState("m", "0" * 64, (accumulator.close(),), (f"scene {number}",), samples={"head": sample})
        )
        seen.append((x, y))
    return made, tuple(np.concatenate(parts) for parts in zip(*seen))


def test_a_refit_over_merged_states_is_that_of_all_their_pixels(tmp_path):
    output = layer(np.zeros(4), 0.0)
    states, (x, y) = refit_samples(output, 500)
    merged = merge_states([states[2], states[0], states[1]])
    merged.save(tmp_path / "state.npz")
    back = ScoreState.load(tmp_path / "state.npz")
    clusters = np.arange(1500) // 50
    expected = refit(output, lambda: iter([(x, y, {"blocks": clusters})]), "blocks").fit
    found = refit(output, sampled_batches(back.samples["head"], "blocks"), "blocks").fit
    np.testing.assert_allclose(found.layer.weights, expected.layer.weights, rtol=1e-8)
    np.testing.assert_allclose(found.estimate.robust, expected.estimate.robust, rtol=1e-7, atol=1e-15)
    scores = compute_scores(
        back.heads[0], "blocks", refit(output, sampled_batches(back.samples["head"], "blocks"))
    )
    assert all(row["refit_z"] is not None for row in scores.rows)


def test_the_pixels_for_a_refit_are_bounded_and_the_same_in_any_order_and_batches():
    output = layer(np.zeros(4), 0.0)
    states, (x, y) = refit_samples(output, 900, capacity=400)
    one = merge_states(states).samples["head"]
    other = merge_states([states[1], states[2], states[0]]).samples["head"]
    assert len(one) == 400 < np.isfinite(y).sum()
    for name in ("keys", "scenes", "contributions", "labels"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    weights = refit(output, sampled_batches(one, "blocks"), "blocks").fit.layer.weights
    whole = refit(output, lambda: iter([(x, y, {})])).fit
    error = np.sqrt(np.einsum("fafa->fa", whole.estimate.naive)[0, 1:] * 2400 / 400)
    assert (np.abs(weights - whole.layer.weights) < 4 * error).all()


def test_states_of_the_version_before_are_read_and_carry_no_pixels_for_a_refit(tmp_path):
    output = layer(np.zeros(4), 0.0)
    (first, second, _), _ = refit_samples(output, 300)
    first.save(tmp_path / "new.npz")

    def older(header, arrays):
        header["format_version"] = 3
        del header["samples"], header["sampling"]
        for name in [name for name in arrays if "/sample/" in name]:
            del arrays[name]

    old = ScoreState.load(rewritten(tmp_path / "new.npz", tmp_path / "old", older))
    assert old.samples == {}
    assert old.sampling == ()
    assert old.heads[0].labelled.n == first.heads[0].labelled.n
    assert old.merge(second).samples == {}
    assert second.merge(old).samples == {}
    unlabelled = SceneAccumulator(output)
    unlabelled.add(correlated(1, 90, 4))
    bare = ScoreState("m", "0" * 64, (unlabelled.close(),), ("bare",))
    assert len(bare.merge(second).samples["head"]) == len(second.merge(bare).samples["head"]) > 0
