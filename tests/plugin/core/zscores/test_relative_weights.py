"""Relative weights: shares and ranks by their definition, whatever the number of pixels."""

from __future__ import annotations

import json

import numpy as np
import pytest
from floelens.plugin.core.zscores.fit_distance import FITTED
from floelens.plugin.core.zscores.refit import refit
from floelens.plugin.core.zscores.scores import RELATIVE_COLUMNS, compute_scores
from floelens.plugin.core.zscores.sums.information import SceneAccumulator
from floelens.tests.plugin.core.score_data import binary_labels, class_labels, correlated, layer
from scipy import special


def scored(output, x, labels=None, refitted=None, clusters=None):
    accumulator = SceneAccumulator(output)
    accumulator.add(x, labels, None if clusters is None else {"blocks": clusters})
    return compute_scores(accumulator.close(), refitted=refitted)


def z_by_hand(weights, bias, x):
    """Return z of a logistic regression from its definition, weight over error of a matrix inverted."""
    design = np.column_stack([np.ones(len(x)), x])
    p = special.expit(design @ np.append(bias, weights))
    covariance = np.linalg.inv(design.T @ ((p * (1 - p))[:, None] * design))
    return (np.append(bias, weights) / np.sqrt(np.diag(covariance)))[1:]


def test_shares_ranks_and_leading_components_follow_their_definition():
    x, weights = correlated(1, 2000, 8), np.random.default_rng(2).normal(size=8)
    output = layer(weights, 0.3)
    found = scored(output, x)
    z = np.abs(z_by_hand(weights, 0.3, x))
    rows = {(row["kind"], row["group"]): row for row in found.relative_weights}
    names = [part.name for part in output.components]
    for j, name in enumerate(names):
        row = rows["component", name]
        assert set(row) == set(RELATIVE_COLUMNS)
        assert row["class"] == "class_0"
        assert row["components"] == 1
        assert row["share"] == pytest.approx(z[j] / z.sum(), rel=1e-9)
        assert row["mean_abs_z"] == pytest.approx(z[j], rel=1e-9)
        assert row["rank"] == 1 + int((z > z[j]).sum())
    for group in output.groups():
        own = z[list(group.members)]
        assert rows[group.kind, group.name]["share"] == pytest.approx(own.sum() / z.sum(), rel=1e-9)
        assert rows[group.kind, group.name]["mean_abs_z"] == pytest.approx(own.mean(), rel=1e-9)
    sensors = [row for (kind, _), row in rows.items() if kind == "sensor"]
    assert sum(row["share"] for row in sensors) == pytest.approx(1.0)
    assert sorted(row["rank"] for row in sensors) == [1, 2]
    order = np.argsort(-z)
    carried = np.cumsum(z[order]) / z.sum()
    count = int((carried < 0.9).sum()) + 1
    assert found.leading == {"class_0": tuple(names[j] for j in order[:count])}
    assert 1 < count < 8
    json.dumps(found.as_dict()["relative_weights"])
    assert found.as_dict()["leading"] == found.leading


@pytest.mark.parametrize("kind", ["sigmoid", "softmax", "linear"])
def test_relative_weights_do_not_depend_on_the_number_of_pixels(kind):
    x = correlated(3, 1500, 6)
    generator = np.random.default_rng(4)
    classes = 3 if kind == "softmax" else 1
    output = layer(generator.normal(size=(classes, 6)), np.zeros(classes), kind)
    once, twice = scored(output, x), scored(output, np.concatenate([x, x]))
    assert len(once.relative_weights) == classes * (6 + len(output.groups()))
    for first, second in zip(once.relative_weights, twice.relative_weights):
        assert first["share"] == pytest.approx(second["share"], rel=1e-10)
        assert {**first, "share": 0, "mean_abs_z": 0} == {**second, "share": 0, "mean_abs_z": 0}
        if kind == "linear":  # no errors without labels; shares need none
            assert first["mean_abs_z"] is None
            assert first["share"] is not None
        else:
            assert second["mean_abs_z"] == pytest.approx(np.sqrt(2) * first["mean_abs_z"], rel=1e-9)
    assert once.leading == twice.leading


def test_components_without_a_score_have_no_share_and_no_rank():
    x = correlated(5, 800, 6)
    x[:, 1] = 0.0
    x[:, 4] = 3.0
    found = scored(layer(np.random.default_rng(6).normal(size=6), 0.0), x)
    rows = {(row["kind"], row["group"]): row for row in found.relative_weights}
    for name in ("sar_1", "mwr_4"):
        assert rows["component", name]["share"] is None
        assert rows["component", name]["rank"] is None
    assert rows["sensor", "sar"]["components"] == 2
    ranks = [row["rank"] for row in found.relative_weights if row["kind"] == "component" and row["rank"]]
    assert sorted(ranks) == [1, 2, 3, 4]
    assert not {"sar_1", "mwr_4"} & set(found.leading["class_0"])


@pytest.mark.parametrize("kind", ["sigmoid", "softmax", "linear"])
def test_fitted_weights_are_told_from_a_random_draw_and_the_refit_is_the_basis_then(kind):
    x = correlated(7, 6000, 6)
    classes = 3 if kind == "softmax" else 1
    y = class_labels(8, x, 3) if kind == "softmax" else binary_labels(8, x)
    clusters = np.arange(6000) // 100
    drawn = layer(np.random.default_rng(9).normal(size=(classes, 6)), np.zeros(classes), kind)
    fitted = refit(drawn, lambda: iter([(x, y, {"blocks": clusters})]), "blocks")
    far = scored(drawn, x, y, fitted, clusters)
    assert far.measures["fit_distance"] > 1.5 * FITTED
    assert far.measures["weights_fitted"] is False
    assert far.measures["basis"] == "refit"
    z = np.array([row["refit_z"] for row in far.rows if row["class"] == "class_0"], dtype=float)
    shares = [row["share"] for row in far.relative_weights[:6]]
    np.testing.assert_allclose(shares, np.abs(z) / np.abs(z).sum(), rtol=1e-9)
    there = layer(fitted.fit.layer.weights, fitted.fit.layer.bias, kind)
    near = scored(there, x, y, fitted, clusters)
    assert near.measures["fit_distance"] < 1e-3
    assert near.measures["weights_fitted"] is True
    assert near.measures["basis"] == "trained"
    unknown = scored(there, x)
    assert unknown.measures["fit_distance"] is None
    assert unknown.measures["weights_fitted"] is None
    assert unknown.measures["basis"] == "trained"


def test_shares_and_ranks_of_all_tables_are_those_of_the_weights_that_the_summary_rests_on():
    generator = np.random.default_rng(1)
    x = generator.normal(size=(3000, 8))
    y = (generator.random(3000) < special.expit(x @ np.array([0.0] * 4 + [0.7] * 4))).astype(float)
    clusters = np.arange(3000) // 60
    drawn = layer(np.array([0.8] * 4 + [0.0] * 4), 0.0)  # leans on SAR, which tells nothing
    found = scored(drawn, x, y, refit(drawn, lambda: iter([(x, y, {})])), clusters)
    assert found.measures["basis"] == "refit"
    relative = {(row["kind"], row["group"]): row for row in found.relative_weights}
    for row in found.rows:
        known = relative["component", row["component"]]
        assert (row["share"], row["rank"]) == (known["share"], known["rank"])
    for row in found.groups:
        known = relative[row["kind"], row["group"]]
        assert row["share"] == pytest.approx(known["share"])
        assert row["rank"] == known["rank"]
    leader = min(found.groups, key=lambda row: (row["kind"] != "sensor", row["rank"]))
    assert leader["group"] == "mwr"
    assert leader["information_share"] > 0.95


def test_the_share_of_components_without_effect_is_known_of_a_refit_whatever_the_number_of_pixels():
    for n in (1000, 8000):
        generator = np.random.default_rng([2, n])
        x = generator.normal(size=(n, 60))
        truth = np.concatenate([np.zeros(30), np.full(30, 0.1)])
        y = (generator.random(n) < special.expit(x @ truth)).astype(float)
        drawn = layer(generator.normal(size=60), 0.0)
        clusters = np.arange(n) * 100 // n
        fitted = refit(drawn, lambda x=x, y=y, of=clusters: iter([(x, y, {"blocks": of})]), "blocks")
        found = scored(drawn, x, y, fitted, clusters)
        rows = {row["group"]: row for row in found.relative_weights if row["kind"] == "sensor"}
        assert rows["sar"]["chance_share"] == pytest.approx(rows["sar"]["share"], rel=0.3)
        assert rows["mwr"]["chance_share"] < 0.85 * rows["mwr"]["share"]
    trained = scored(layer(truth, 0.0), x, y, None, clusters)
    assert all(row["chance_share"] is None for row in trained.relative_weights)
