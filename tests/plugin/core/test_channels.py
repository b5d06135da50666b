"""Strength and held-out slopes of channels: against statsmodels, in any order, and where they must say no."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from floelens.plugin.core.zscores.channels.evidence import ChannelEvidence
from floelens.plugin.core.zscores.channels.levels import InputChannel, level_groups
from floelens.plugin.core.zscores.channels.slopes import SLOPE_COLUMNS, channel_slopes
from floelens.plugin.core.zscores.channels.strength import STRENGTH_COLUMNS, channel_strengths
from floelens.plugin.ground.errors import NumericalError, ParameterError
from floelens.tests.plugin.core.channel_data import CHANNELS, contributions, drawn, evidence_of
from scipy import special, stats

sm = pytest.importorskip("statsmodels.api", reason="statsmodels is the reference")


def column(rows, name, level):
    values = [row[name] for row in rows if row["level"] == level]
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def level_of(rows, level):
    return {row["group"]: row for row in rows if row["level"] == level}


# --- groups ---------------------------------------------------------------------------------------


def test_channels_are_grouped_by_sensor_frequency_and_alone():
    groups = {level: [] for level in ("sensor", "frequency", "channel")}
    for group in level_groups(CHANNELS):
        groups[group.level].append((group.name, group.members))
    assert groups["sensor"] == [("sar", (0, 1)), ("mwr", (2, 3, 4, 5))]
    assert groups["frequency"] == [("sar", (0, 1)), ("18.7 GHz", (2, 3)), ("36.5 GHz", (4, 5))]
    assert [name for name, _ in groups["channel"]] == [channel.name for channel in CHANNELS]


def test_levels_that_repeat_a_coarser_one_are_left_out():
    assert [
        group.level for group in level_groups((InputChannel("hh", "sar"), InputChannel("a", "mwr", 6.9)))
    ] == [
        "sensor",
        "sensor",
    ]


# --- statsmodels ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "combine"), [("channel", np.eye(4)), ("sensor", np.eye(2).repeat(2, axis=0))]
)
def test_slopes_of_a_sigmoid_equal_a_logistic_regression_with_offset(level, combine):
    parts, generator = contributions(1, 3000, 4), np.random.default_rng(2)
    offset = generator.normal(size=3000).astype(np.float32)
    y = drawn(3, offset + parts[:, 0].astype(float) @ np.array([1.0, 0.2, 0.6, 1.3]))
    clusters = np.arange(3000) // 30
    rows, warnings = channel_slopes(evidence_of(parts, offset, y, clusters))
    design = sm.add_constant(parts[:, 0].astype(float) @ combine)
    model = sm.GLM(y, design, family=sm.families.Binomial(), offset=offset.astype(float))
    fit = model.fit(tol=1e-14, maxiter=100)
    robust = model.fit(tol=1e-14, maxiter=100, cov_type="cluster", cov_kwds={"groups": clusters})
    np.testing.assert_allclose(column(rows, "slope", level), fit.params[1:], rtol=1e-6)
    np.testing.assert_allclose(column(rows, "se", level), fit.bse[1:], rtol=1e-6)
    np.testing.assert_allclose(column(rows, "se_robust", level), robust.bse[1:], rtol=1e-6)
    np.testing.assert_allclose(column(rows, "z_against_0", level), robust.tvalues[1:], rtol=1e-6)
    against_1 = (robust.params[1:] - 1) / robust.bse[1:]
    np.testing.assert_allclose(column(rows, "z_against_1", level), against_1, rtol=1e-6)
    expected = np.log10(2 * stats.t.sf(np.abs(against_1), 99))
    np.testing.assert_allclose(column(rows, "log10_p_against_1", level), expected, rtol=1e-6)
    p = fit.predict()
    inflation = []
    for j in range(1, design.shape[1]):
        other = sm.WLS(design[:, j], np.delete(design, j, axis=1), weights=p * (1 - p)).fit()
        inflation.append(1 / (1 - other.rsquared))
    np.testing.assert_allclose(column(rows, "vif", level), inflation, rtol=1e-6)
    assert [text.partition(": ")[2][:43] for text in warnings] == [
        "the slopes of channels come from one scene;"
    ]
    assert all(tuple(row) == SLOPE_COLUMNS for row in rows)


def test_slopes_of_a_softmax_equal_a_conditional_logit():
    """One slope over all classes is a choice model whose alternatives are the classes."""
    from statsmodels.discrete.conditional_models import ConditionalLogit

    n, k = 800, 3
    parts = contributions(4, n, 4, k)
    truth = np.array([1.0, 0.3, 0.0, 1.5])
    y = drawn(5, np.einsum("nkc,c->nk", parts.astype(float), truth) + np.array([0.0, 0.4, -0.3]))
    rows, _ = channel_slopes(evidence_of(parts, np.zeros((n, k)), y, np.arange(n) // 8, "softmax"))
    chosen = (y[:, None] == np.arange(k)).astype(float).ravel()
    dummies = np.tile(np.eye(k)[:, 1:], (n, 1))
    design = np.column_stack([dummies, parts.reshape(n * k, 4).astype(float)])
    fit = ConditionalLogit(chosen, design, groups=np.repeat(np.arange(n), k)).fit(disp=0, method="newton")
    np.testing.assert_allclose(column(rows, "slope", "channel"), fit.params[2:], rtol=1e-6)
    np.testing.assert_allclose(column(rows, "se", "channel"), fit.bse[2:], rtol=1e-6)


def test_an_offset_of_a_softmax_counts_like_a_contribution_of_slope_one():
    n, k = 600, 3
    parts = contributions(6, n, 3, k)
    y = drawn(7, parts.astype(float).sum(axis=2))
    fitted = {"labels": y, "clusters": np.arange(n) // 6, "kind": "softmax"}
    rows, _ = channel_slopes(evidence_of(parts[:, :, 1:], parts[:, :, 0], **fitted))
    slopes = column(rows, "slope", "channel")

    def minus_log_likelihood(parameters):
        logits = (
            parts[:, :, 0] + np.append(0, parameters[:2]) + parts[:, :, 1:].astype(float) @ parameters[2:]
        )
        return -(logits - special.logsumexp(logits, axis=1, keepdims=True))[np.arange(n), y.astype(int)].sum()

    from scipy.optimize import minimize

    best = minimize(minus_log_likelihood, np.array([0, 0, 1.0, 1.0]), method="BFGS", options={"gtol": 1e-7})
    np.testing.assert_allclose(slopes, best.x[2:], atol=1e-5)


def test_slopes_of_a_linear_head_equal_least_squares_of_what_the_offset_leaves():
    parts, generator = contributions(8, 900, 3), np.random.default_rng(9)
    offset = generator.normal(size=900).astype(np.float32)
    y = offset + parts[:, 0].astype(float) @ np.array([1.0, 0.1, 0.7]) + 3.0 + generator.normal(size=900)
    clusters = np.arange(900) // 15
    rows, _ = channel_slopes(evidence_of(parts, offset, y, clusters, "linear"))
    model = sm.OLS(y - offset, sm.add_constant(parts[:, 0].astype(float)))
    fit, robust = model.fit(), model.fit(cov_type="cluster", cov_kwds={"groups": clusters})
    np.testing.assert_allclose(column(rows, "slope", "channel"), fit.params[1:], rtol=1e-6)
    np.testing.assert_allclose(column(rows, "se", "channel"), fit.bse[1:], rtol=1e-6)
    np.testing.assert_allclose(column(rows, "se_robust", "channel"), robust.bse[1:], rtol=1e-6)


@pytest.mark.parametrize("kind", ["sigmoid", "softmax"])
def test_strength_is_the_inverse_error_of_a_slope_of_one(kind):
    k = 3 if kind == "softmax" else 1
    parts = contributions(10, 1500, 4, k)
    offset = np.random.default_rng(11).normal(size=(1500, k))
    rows = channel_strengths(evidence_of(parts, offset, kind=kind))
    logits = offset + parts.astype(float).sum(axis=2)
    if kind == "sigmoid":
        p = special.expit(logits[:, 0])
        design = sm.add_constant(parts[:, 0].astype(float))
        information = design.T @ (design * (p * (1 - p))[:, None])
    else:
        p = special.softmax(logits, axis=1)
        free = np.broadcast_to(np.eye(k)[:, 1:], (1500, k, k - 1))
        design = np.concatenate([free, parts.astype(float)], axis=2)
        centred = design - np.einsum("nk,nkc->nc", p, design)[:, None]
        information = np.einsum("nk,nkc,nkd->cd", p, centred, centred)
    expected = 1 / np.sqrt(np.diag(np.linalg.inv(information))[-4:])
    np.testing.assert_allclose(column(rows, "strength", "channel"), expected, rtol=1e-9)
    assert all(tuple(row) == STRENGTH_COLUMNS for row in rows)
    assert not any("p" in name.split("_") for name in STRENGTH_COLUMNS)
    if kind == "sigmoid":
        np.testing.assert_allclose(
            column(rows, "mean", "channel"), parts[:, 0].astype(float).mean(axis=0), rtol=1e-9
        )
        np.testing.assert_allclose(
            column(rows, "sd", "channel"), parts[:, 0].astype(float).std(axis=0), rtol=1e-6
        )


def test_the_strength_of_a_sensor_is_that_of_its_summed_contributions():
    parts, offset = contributions(12, 1200, 4), np.zeros(1200)
    by_sensor = column(channel_strengths(evidence_of(parts, offset)), "strength", "sensor")
    summed = parts[:, :, ::2] + parts[:, :, 1::2].astype(float)
    two = (InputChannel("a", "sar"), InputChannel("b", "mwr"))
    alone = channel_strengths(evidence_of(summed, offset, channels=two))
    np.testing.assert_allclose(by_sensor, column(alone, "strength", "sensor"), rtol=1e-9)


# --- what slopes find -----------------------------------------------------------------------------


def features(generator, n, count):
    """Return a contribution that enters through `count` features of unit variance in all."""
    loadings = generator.normal(size=count) / np.sqrt(count)
    return generator.normal(size=(n, count)) @ loadings


def test_a_useless_channel_gets_zero_and_a_noisier_one_less_than_one():
    generator = np.random.default_rng(13)
    n = 20_000
    ice, signal = generator.normal(size=n), generator.normal(size=n)
    y = drawn(14, 1.5 * ice + 1.0 * signal)
    useless = generator.normal(size=n)  # it meant something in training: the network still listens
    noisy = 1.0 * (signal + 1.0 * generator.normal(size=n))
    parts = np.stack([1.5 * ice, 0.8 * useless, noisy], axis=1)
    channels = (InputChannel("36v", "mwr", 36.5, "v"), InputChannel("hh", "sar"), InputChannel("hv", "sar"))
    rows, _ = channel_slopes(evidence_of(parts, np.zeros(n), y, np.arange(n) // 50, channels=channels))
    found = level_of(rows, "channel")
    assert found["36v"]["slope"] == pytest.approx(1.0, abs=0.25)
    assert abs(found["hh"]["slope"]) < 0.1
    assert found["hh"]["reading"] == "useless"
    assert 0.2 < found["hv"]["slope"] < 0.8
    assert found["hv"]["reading"] == "over-trusted"
    assert found["hv"]["z_against_1"] < -3
    assert found["hv"]["z_against_0"] > 3
    strengths = level_of(channel_strengths(evidence_of(parts, np.zeros(n), channels=channels)), "channel")
    assert strengths["hh"]["strength"] > 30  # strength sees what the network uses, not whether it is right


def test_a_channel_that_deserves_more_is_under_trusted():
    generator = np.random.default_rng(15)
    signal = generator.normal(size=(6000, 2))
    y = drawn(16, 2.0 * signal[:, 0] + signal[:, 1])
    rows, _ = channel_slopes(evidence_of(signal, np.zeros(6000), y, np.arange(6000) // 20))
    found = level_of(rows, "channel")
    assert (found["hh"]["reading"], found["hv"]["reading"]) == ("under-trusted", "deserved")


@pytest.mark.parametrize("count", [1, 40])
def test_slopes_keep_their_level_whatever_the_number_of_features(count):
    """A channel that says nothing, in clusters of equal evidence, entering through one feature or many."""
    rejected_0, rejected_1, strengths = [], [], []
    channels = (InputChannel("36v", "mwr", 36.5, "v"), InputChannel("hh", "sar"))
    clusters = np.arange(600) // 6
    for seed in range(300):
        generator = np.random.default_rng([17, count, seed])
        ice = np.repeat(generator.normal(size=100), 6) + 0.3 * generator.normal(size=600)
        false = np.repeat(features(generator, 100, count), 6) + 0.3 * generator.normal(size=600)
        y = drawn(seed, ice)
        evidence = evidence_of(np.stack([ice, false], axis=1), np.zeros(600), y, clusters, channels=channels)
        rows, _ = channel_slopes(evidence)
        found = level_of(rows, "sensor")
        rejected_0.append(found["sar"]["log10_p_against_0"] < np.log10(0.05))
        rejected_1.append(found["mwr"]["log10_p_against_1"] < np.log10(0.05))
        strengths.append(level_of(channel_strengths(evidence), "sensor")["sar"]["strength"])
    for rejected in (rejected_0, rejected_1):
        assert abs(np.mean(rejected) - 0.05) < 0.035  # three standard deviations of 300 draws
    assert np.mean(strengths) > 5


# --- merging --------------------------------------------------------------------------------------


def scene_of(seed, capacity=None, n=700):
    parts = contributions(seed, n, 4)
    y = drawn(seed + 1, parts[:, 0].astype(float).sum(axis=1))
    y[::7] = np.nan
    return evidence_of(parts, np.zeros(n), y, np.arange(n) // 25, scene=f"scene {seed}", capacity=capacity)


@pytest.mark.parametrize("capacity", [None, 500])
def test_evidence_merges_to_the_same_slopes_in_any_order_and_grouping(capacity):
    scenes = [scene_of(seed, capacity) for seed in (20, 30, 40)]
    reference = scenes[0].merge(scenes[1]).merge(scenes[2])
    rows, warnings = channel_slopes(reference)
    strengths = channel_strengths(reference)
    assert len(warnings) == (2 if capacity else 1)
    assert "rest on 3 scenes" in warnings[-1]
    if capacity:
        assert len(reference.sample) == 500
        assert reference.sums.n_labelled == 1800
        assert "random sample of 500 of 1800 labelled pixels" in warnings[0]
    others = [a.merge(b).merge(c) for a, b, c in permutations(scenes)]
    others.append(scenes[0].merge(scenes[1].merge(scenes[2])))
    for other in others:
        assert channel_slopes(other)[0] == rows  # not a digit differs: the rows are the same, in one order
        np.testing.assert_allclose(
            column(channel_strengths(other), "strength", "channel"),
            column(strengths, "strength", "channel"),
            rtol=1e-9,
        )


def test_the_sample_is_a_fair_one():
    parts = np.linspace(-1, 1, 40_000, dtype=np.float32)[:, None]
    sample = evidence_of(parts, np.zeros(40_000), np.zeros(40_000), capacity=2000).sample
    assert stats.kstest(sample.contributions[:, 0, 0], "uniform", args=(-1, 2)).pvalue > 0.01
    other = evidence_of(parts, np.zeros(40_000), np.zeros(40_000), capacity=2000, scene="another").sample
    assert len(np.intersect1d(sample.contributions, other.contributions)) < 200


def test_batches_do_not_matter_and_a_pixel_seen_twice_counts_once():
    parts = contributions(50, 900, 3)
    y = drawn(51, parts[:, 0].astype(float).sum(axis=1))
    given = {"offset": np.zeros(900), "labels": y, "clusters": np.arange(900) // 20, "capacity": 600}
    one = evidence_of(parts, batch=900, **given)
    many = evidence_of(parts, batch=31, **given)
    assert channel_slopes(one)[0] == channel_slopes(many)[0]
    np.testing.assert_array_equal(one.merge(many).sample.keys, one.sample.keys)


def test_evidence_of_other_channels_or_methods_is_refused():
    ours = scene_of(20)
    other = evidence_of(contributions(1, 50, 3), np.zeros(50))
    with pytest.raises(ParameterError, match="made in one way, of one model"):
        ours.merge(other)


def test_evidence_returns_from_a_file_as_it_was():
    ours = scene_of(20)
    back = ChannelEvidence.of_file(ours.header(), ours.arrays())
    assert channel_slopes(back)[0] == channel_slopes(ours)[0]
    assert channel_strengths(back) == channel_strengths(ours)
    wrong = dict(ours.arrays(), labels=ours.sample.labels[:-1])
    with pytest.raises(ValueError, match="array labels has shape"):
        ChannelEvidence.of_file(ours.header(), wrong)


# --- what cannot be told --------------------------------------------------------------------------


def finite_or_none(rows):
    return all(
        value is None or np.isfinite(value)
        for row in rows
        for value in row.values()
        if not isinstance(value, str)
    )


def test_channels_that_others_repeat_or_nearly_repeat_are_blank_and_leave_the_others_right():
    parts = contributions(60, 2000, 3)
    generator = np.random.default_rng(61)
    near = parts[:, :, :1] + 0.05 * generator.normal(size=(2000, 1, 1))
    repeated = np.concatenate([parts, parts[:, :, 2:], near], axis=2).astype(np.float32)
    y = drawn(62, parts[:, 0].astype(float).sum(axis=1))
    given = {"offset": np.zeros(2000), "labels": y, "clusters": np.arange(2000) // 20}
    channels = tuple(InputChannel(name, "sar") for name in ("a", "b", "c", "c again", "near a"))
    rows, _ = channel_slopes(evidence_of(repeated, channels=channels, **given))
    found = level_of(rows, "channel")
    assert found["c"]["slope"] is None
    assert "repeated by c again" in found["c"]["note"]
    assert found["c again"]["slope"] is None
    assert "repeats c" in found["c again"]["note"]
    assert found["a"]["slope"] is None
    assert found["a"]["vif"] > 30
    assert "VIF above 30" in found["near a"]["note"]
    plain = np.concatenate([parts, near], axis=2).astype(np.float32)
    alone, _ = channel_slopes(evidence_of(plain, channels=(*channels[:3], channels[4]), **given))
    assert found["b"]["slope"] == pytest.approx(level_of(alone, "channel")["b"]["slope"], rel=1e-8)
    strengths = level_of(
        channel_strengths(evidence_of(repeated, np.zeros(2000), channels=channels)), "channel"
    )
    assert strengths["c"]["strength"] is None
    assert strengths["b"]["strength"] > 0
    assert finite_or_none(rows)
    assert finite_or_none(strengths.values())


def test_constant_separated_single_class_and_saturated_input_give_sentences():
    parts = contributions(63, 400, 3)
    logits = parts[:, 0].astype(float).sum(axis=1)
    y, clusters, zero = drawn(64, logits), np.arange(400) // 10, np.zeros(400)
    constant = parts.copy()
    constant[:, :, 1] = 0.7
    rows, _ = channel_slopes(evidence_of(constant, zero, y, clusters))
    assert "does not vary" in level_of(rows, "channel")["hv"]["note"]
    assert level_of(rows, "channel")["hh"]["slope"] is not None
    assert finite_or_none(rows)
    separated, _ = channel_slopes(evidence_of(parts, zero, (logits > 0).astype(float), clusters))
    assert all(r["slope"] is None and "separated" in r["note"] for r in separated if r["level"] == "channel")
    single, _ = channel_slopes(evidence_of(parts, zero, np.ones(400), clusters))
    assert all(row["slope"] is None and "all labels are the same" in row["note"] for row in single)
    saturated = evidence_of(parts, np.full(400, 3000.0), y, clusters)
    assert all("saturated" in row["note"] for row in channel_strengths(saturated))
    rows, _ = channel_slopes(saturated)  # the labels, which are not saturated, tell the offset's error
    assert finite_or_none(rows)
    none, warnings = channel_slopes(evidence_of(parts, zero))
    assert none == ()
    assert "no labels" in warnings[0]
    few, _ = channel_slopes(evidence_of(parts[:3], zero[:3], np.array([0.0, 1.0, 0.5]), clusters[:3]))
    assert all("too few" in row["note"] for row in few if row["level"] == "channel")


def test_few_and_missing_clusters_give_sentences():
    parts = contributions(65, 400, 3)
    y, zero = drawn(66, parts[:, 0].astype(float).sum(axis=1)), np.zeros(400)
    rows, warnings = channel_slopes(evidence_of(parts, zero, y, np.arange(400) // 200))
    assert "2 clusters for 4 parameters" in level_of(rows, "channel")["hh"]["note"]
    assert "come from one scene" in warnings[0]
    rows, warnings = channel_slopes(evidence_of(parts, zero, y))
    found = level_of(rows, "channel")["hh"]
    assert found["slope"] is not None
    assert found["z_against_0"] is None
    assert "naive" in found["note"]
    assert "no clusters in common" in warnings[0]
    rows, _ = channel_slopes(evidence_of(parts, zero, y, np.zeros(400, int)))
    assert "1 cluster: no test" in level_of(rows, "channel")["hh"]["note"]
    assert finite_or_none(rows)


def test_classes_without_labels_are_left_out_of_the_choice_and_named():
    parts = contributions(67, 900, 3, 4)
    y = drawn(68, parts[:, :3].astype(float).sum(axis=2))
    given = {"clusters": np.arange(900) // 10, "kind": "softmax"}
    rows, warnings = channel_slopes(evidence_of(parts, np.zeros((900, 4)), y, **given))
    assert "no pixel is labelled class_3" in warnings[0]
    three, _ = channel_slopes(evidence_of(parts[:, :3], np.zeros((900, 3)), y, **given))
    np.testing.assert_allclose(column(rows, "slope", "channel"), column(three, "slope", "channel"), rtol=1e-8)


def test_contributions_that_are_no_numbers_or_do_not_fit_are_refused_by_name():
    parts = contributions(69, 30, 3)
    parts[4, 0, 1] = np.nan
    with pytest.raises(NumericalError, match="channel 'hv' to head 'ice' is not a finite number"):
        evidence_of(parts, np.zeros(30))
    with pytest.raises(ParameterError, match="has 1 outputs and 3 channels"):
        evidence_of(parts[:, :, :2], np.zeros(30), channels=CHANNELS[:3])


def test_a_linear_head_without_labels_has_no_strength():
    rows = channel_strengths(evidence_of(contributions(70, 60, 3), np.zeros(60), kind="linear"))
    assert all(row["strength"] is None and "no labels" in row["note"] for row in rows)
