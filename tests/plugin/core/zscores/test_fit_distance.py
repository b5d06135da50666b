"""Distance of trained weights from a fit: judged jointly, whatever says the same, and open where labels cannot tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from floelens.plugin.core.zscores.estimation.estimates import Estimation
from floelens.plugin.core.zscores.fit_distance import (
    CLUSTERS,
    FITTED,
    _reversed,
    fit_distance,
    most_gained,
    weights_fitted,
    widening,
    widening_of_wide_blocks,
)
from floelens.plugin.core.zscores.refit import refit
from floelens.plugin.core.zscores.scores import compute_scores
from floelens.plugin.core.zscores.sums.clusters import SCENES, BlockLadder
from floelens.plugin.core.zscores.sums.information import SceneAccumulator
from floelens.plugin.ground.window import Window
from floelens.tests.plugin.core.score_data import layer
from scipy import optimize, special


def scored(output, x, labels, clusters):
    accumulator = SceneAccumulator(output)
    accumulator.add(x, labels, {"blocks": clusters})
    return compute_scores(accumulator.close())


def drawn(generator, x, weights):
    return (generator.random(len(x)) < special.expit(x @ weights)).astype(float)


def fitted_to(x, y):
    return refit(layer(np.zeros(x.shape[1]), 0.0), lambda: iter([(x, y, {})])).fit.layer


def test_a_random_draw_is_no_fit_though_its_components_repeat_each_other():
    """Single weights of nearly collinear components have errors so large that none looks far from its fit."""
    generator = np.random.default_rng(0)
    n = 2500
    sar = np.repeat(generator.normal(size=(n, 5)), 6, axis=1) + 0.14 * generator.normal(size=(n, 30))
    x = np.concatenate([sar, generator.normal(size=(n, 30))], axis=1)
    truth = np.concatenate([0.25 * generator.normal(size=30), np.tile([1.0, -1.0], 15)])
    start = 0.25 * generator.normal(size=30)
    y = drawn(generator, x, truth)
    found = scored(layer(np.concatenate([start, truth[30:]]), 0.0), x, y, np.arange(n) // 40)
    assert found.measures["score_log10_p"] < -10  # no chance
    singly = [shift["shift_in_se"] for shift in found.shifts[:30]]
    assert np.sqrt(np.mean(np.square(singly))) < FITTED
    assert found.measures["fit_distance"] > FITTED
    assert found.measures["weights_fitted"] is False
    assert all(row["log10_p"] is None and row["log10_p_robust"] is None for row in found.rows)


@pytest.mark.parametrize(("times", "verdict"), [(0.25, True), (3, False)])
def test_weights_fitted_to_few_other_pixels_have_no_p_values(times, verdict):
    """Scores of weights without effect scatter by the root of how many times more pixels are scored than fitted."""
    generator = np.random.default_rng(10)
    known = 4000
    n = int(known * times)
    x = generator.normal(size=(known + n, 24))
    truth = np.concatenate([np.zeros(12), np.tile([0.6, -0.6], 6)])
    y = drawn(generator, x, truth)
    there = fitted_to(x[:known], y[:known])
    found = scored(layer(there.weights, there.bias), x[known:], y[known:], np.arange(n) * 50 // n)
    distance = found.measures["fit_distance"]
    assert 0.75 * np.sqrt(1 + times) < distance < 1.35 * np.sqrt(1 + times)
    assert found.measures["weights_fitted"] is verdict
    assert (found.rows[0]["log10_p"] is not None) == verdict
    assert fit_distance(found._estimation) == distance
    assert weights_fitted(found._estimation) is verdict


def test_fewer_than_ten_clusters_leave_it_open_for_true_weights_and_for_random_ones():
    generator = np.random.default_rng(5)
    x = generator.normal(size=(1000, 20))
    truth = 0.6 * generator.normal(size=(3, 20))
    logits = x @ truth.T
    y = np.argmax(logits + generator.gumbel(size=logits.shape), axis=1).astype(float)
    far = 1.5 * generator.normal(size=(3, 20))
    for weights in (truth, far):
        for count, known in ((5, False), (40, True)):
            found = scored(layer(weights, np.zeros(3), "softmax"), x, y, np.arange(1000) * count // 1000)
            assert (found.measures["fit_distance"] is not None) == known
            assert found.measures["weights_fitted"] is ((weights is truth) if known else None)


def test_labels_that_depend_on_their_neighbours_do_not_count_as_misfit():
    generator = np.random.default_rng(6)
    blocks = np.arange(4000) // 40
    x = generator.normal(size=(100, 12))[blocks]
    truth = 0.4 * generator.normal(size=12)
    y = (generator.random(100)[blocks] < special.expit(x @ truth)).astype(
        float
    )  # a block is all ice, or none
    found = scored(layer(truth, 0.0), x + 0.1 * generator.normal(size=x.shape), y, blocks)
    assert found.measures["score_log10_p"] < -10
    assert found.measures["fit_distance"] < FITTED
    assert found.measures["weights_fitted"] is not False


SIDE, PIXEL_KM = 100, 4.0  # of a simulated scene
LADDER = BlockLadder.over(Window(0, 0, SIDE, SIDE), 1000 * PIXEL_KM, 64.0)


def one_reach(seed, reach_km, trained):
    """Return the estimation of :func:`scene_information`, with blocks of 64 km."""
    return Estimation.of(scene_information(seed, reach_km, trained), "64 km blocks")


def scene_information(seed, reach_km, trained, truth_seed=None):
    """Return what a scene says whose components and labels depend on their neighbours, with correlation e^-d/reach.

    The label is 1 where a uniform field, of the same reach, lies below the probability of the true weights: these are
    exactly right at every pixel, and so are `trained` weights where they are "true".
    """
    generator = np.random.default_rng(seed)
    along = np.minimum(np.arange(2 * SIDE), 2 * SIDE - np.arange(2 * SIDE)) * PIXEL_KM
    spectrum = np.fft.fft2(np.exp(-np.hypot(along[:, None], along) / reach_km)).real
    noise = generator.normal(size=(6, 2 * SIDE, 2 * SIDE)) + 1j * generator.normal(
        size=(6, 2 * SIDE, 2 * SIDE)
    )
    fields = np.fft.ifft2(np.sqrt(np.maximum(spectrum, 0)) * np.fft.fft2(noise))[:, :SIDE, :SIDE]
    *x, uniform = np.concatenate([fields.real, fields.imag]).reshape(12, -1)
    x = np.array(x).T
    if truth_seed is not None:
        generator = np.random.default_rng(truth_seed)  # one network for several scenes
    truth = 0.4 * generator.normal(size=11)
    labels = (special.ndtr(uniform) < special.expit(x @ truth)).astype(float)
    weights = truth if trained == "true" else 0.4 * generator.normal(size=11)
    accumulator = SceneAccumulator(layer(weights, 0.0), shares=False)
    rows, cols = (at.ravel() for at in np.indices((SIDE, SIDE)))
    accumulator.add(x, labels, {LADDER.finest: LADDER.blocks(rows, cols)})
    return accumulator.close({LADDER.finest: LADDER.coarser})


@pytest.mark.parametrize("reach_km", [16, 100])
def test_true_weights_are_hardly_ever_called_no_fit_however_far_neighbours_depend_on_each_other(reach_km):
    """Blocks of 64 km that share what reaches 100 km gave errors so small that a quarter of them were."""
    found = [weights_fitted(one_reach(seed, reach_km, "true")) for seed in range(30)]
    assert found.count(False) <= 1
    assert (found.count(True) >= 27) == (reach_km < 64)  # where the blocks are too small it stays open


@pytest.mark.parametrize("reach_km", [16, 32])
def test_random_weights_are_no_fit_where_blocks_are_wider_than_the_reach(reach_km):
    assert [weights_fitted(one_reach(seed, reach_km, "random")) for seed in range(5)] == [False] * 5


@pytest.mark.parametrize("reach_km", [64, 100])
def test_most_random_weights_are_no_fit_where_blocks_are_no_wider_than_the_reach(reach_km):
    """They map the labels worse than a constant. Without that, half of them stayed unknown at 100 km."""
    found = [weights_fitted(one_reach(seed, reach_km, "random")) for seed in range(12)]
    assert found.count(False) >= 9
    assert found.count(True) == 0


def test_no_intercept_gains_more_than_the_bound_and_two_values_reach_it():
    assert 1000 * most_gained(0.5, 1e-4, 1e-4 * (1 - 1e-4)) == pytest.approx(
        1000 * (0.5 * np.log(0.5 / 1e-4) + 0.5 * np.log(0.5 / (1 - 1e-4)))
    )
    draw = np.random.default_rng(0)
    for _ in range(20):
        logits, y = draw.normal(draw.normal(0, 4), draw.uniform(0, 4), 50), draw.uniform()
        if draw.random() < 0.3:
            logits = np.where(np.arange(50) < 30, -200.0, logits[0])  # a part that says 0, the others alike
        p = special.expit(logits)

        def lost(d, logits=logits, y=y):
            return np.mean(np.logaddexp(0, logits + d) - np.logaddexp(0, logits)) - d * y

        truth = -optimize.minimize_scalar(lost, bounds=(-40, 40), method="bounded").fun
        bound = most_gained(y, p.mean(), (p * (1 - p)).mean())
        assert bound >= truth - 1e-6
        if logits[0] == -200.0 and p.mean() < y < 0.4:
            assert bound == pytest.approx(truth, rel=1e-4)


def test_reversed_weights_are_worse_than_a_constant_however_saturated_their_map_is():
    draw = np.random.default_rng(1)
    x = draw.normal(size=(2000, 1))
    y = drawn(draw, x, np.array([3.0]))
    for weight, expected in ((-0.5, True), (0.5, False)):
        accumulator = SceneAccumulator(layer(np.array([weight]), -9.0))
        accumulator.add(x, y, {"blocks": np.arange(2000) // 40})
        assert _reversed(Estimation.of(accumulator.close(), "blocks")) == expected


def test_whole_scenes_count_as_one_more_size_of_blocks_where_there_are_many():
    whole = scene_information(0, 250, "random", truth_seed=1)
    for seed in range(1, CLUSTERS):
        whole = whole.merge(scene_information(seed, 250, "random", truth_seed=1))
    blocks, scenes = (Estimation.of(whole, name) for name in ("64 km blocks", SCENES))
    limit, independent = widening_of_wide_blocks(blocks)
    within = {name: sums for name, sums in whole.labels.clusters.items() if name != SCENES}
    ladder = Estimation.of(replace(whole, labels=replace(whole.labels, clusters=within)), "64 km blocks")
    assert limit == pytest.approx(max(widening_of_wide_blocks(ladder)[0], widening(scenes)))
    assert independent <= 1.001 * blocks.cluster_count * widening(blocks) / limit
    assert weights_fitted(blocks) is not True


def test_small_blocks_are_judged_like_those_that_they_make_up():
    wide = one_reach(1, 64, "true")
    small = Estimation.of(wide.information, "8 km blocks")
    assert widening(small) < 0.2 * widening(wide)
    assert widening_of_wide_blocks(small) == pytest.approx(widening_of_wide_blocks(wide))
    assert fit_distance(small) == pytest.approx(fit_distance(wide))


def test_a_class_that_no_label_has_leaves_it_open_and_is_named():
    generator = np.random.default_rng(5)
    x = generator.normal(size=(3000, 20))
    truth = 0.4 * generator.normal(size=(4, 20))
    logits = x @ truth.T
    y = np.argmax(logits + generator.gumbel(size=logits.shape), axis=1).astype(float)
    output, clusters = layer(truth, np.zeros(4), "softmax"), np.arange(3000) // 50
    assert scored(output, x, y, clusters).measures["weights_fitted"]
    found = scored(output, x, np.where(y == 3, np.nan, y), clusters)
    for key in ("fit_distance", "weights_fitted", "score_statistic", "score_df", "score_log10_p"):
        assert found.measures[key] is None
    assert any("class_3" in sentence and "labelled" in sentence for sentence in found.warnings)


def test_too_few_labels_to_tell_weights_from_chance_leave_it_open():
    generator = np.random.default_rng(12)
    x = generator.normal(size=(400, 6))
    y = (generator.random(400) < 0.5).astype(float)
    found = scored(layer(0.02 * generator.normal(size=6), 0.0), x, y, np.arange(400) // 10)
    assert found.measures["fit_distance"] < FITTED
    assert found.measures["weights_fitted"] is None
    assert all(row["log10_p"] is None for row in found.rows)


def test_few_labels_do_not_vouch_for_the_errors_of_many_pixels_without():
    """Weights without effect, fitted to 4000 pixels, would differ from 0 beyond doubt by the errors of 60 000."""
    generator = np.random.default_rng(13)
    x = generator.normal(size=(65_000, 12))
    truth = np.concatenate([np.zeros(6), np.full(6, 0.6)])
    y = drawn(generator, x, truth)
    there = fitted_to(x[:4000], y[:4000])
    y[5000:] = np.nan
    for stop, given in ((5500, True), (65_000, False)):
        here = x[4000:stop], y[4000:stop]
        found = scored(layer(there.weights, there.bias), *here, np.arange(stop - 4000) // 10)
        assert found.measures["weights_fitted"] is True
        assert all((row["log10_p"] is not None) == given for row in found.rows)
        assert all(row["log10_p_robust"] is not None for row in found.rows)
        assert all((row["log10_p"] is not None) == given for row in found.groups)
        assert any("no p-values" in sentence for sentence in found.warnings) != given
