"""The output layer fitted anew: the estimates of statsmodels, from any start, in columns of their own."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.core.zscores.refit import refit
from floelens.plugin.core.zscores.scores import compute_scores
from floelens.plugin.core.zscores.sums.information import SceneAccumulator
from floelens.tests.plugin.core.score_data import binary_labels, class_labels, correlated, layer

sm = pytest.importorskip("statsmodels.api", reason="statsmodels is the reference")


def batches_of(x, y, clusters, size=700):
    def batches():
        for start in range(0, len(x), size):
            part = slice(start, start + size)
            yield x[part], y[part], {"blocks": clusters[part]}

    return batches


def scored(output, x, y, clusters):
    accumulator = SceneAccumulator(output)
    accumulator.add(x, y, {"blocks": clusters})
    return compute_scores(accumulator.close(), "blocks", refit(output, batches_of(x, y, clusters), "blocks"))


def column(rows, name):
    return np.array([np.nan if row[name] is None else row[name] for row in rows], dtype=float)


def test_a_refit_equals_statsmodels_logit_whatever_the_trained_weights():
    x = correlated(1, 3000, 6)
    y, clusters = binary_labels(2, x), np.arange(3000) // 30
    model = sm.Logit(y, sm.add_constant(x))
    fit = model.fit(disp=0, tol=1e-14, method="newton", maxiter=100)
    robust = model.fit(disp=0, tol=1e-14, maxiter=100, cov_type="cluster", cov_kwds={"groups": clusters})
    for trained in (np.zeros(6), np.full(6, 2.0), np.full(6, 400.0)):
        scores = scored(layer(trained, 0.0), x, y, clusters)
        np.testing.assert_allclose(column(scores.rows, "refit_weight"), fit.params[1:], rtol=1e-8)
        np.testing.assert_allclose(column(scores.rows, "refit_se"), fit.bse[1:], rtol=1e-8)
        np.testing.assert_allclose(column(scores.rows, "refit_z"), fit.tvalues[1:], rtol=1e-8)
        np.testing.assert_allclose(column(scores.rows, "refit_se_robust"), robust.bse[1:], rtol=1e-6)
        np.testing.assert_allclose(column(scores.rows, "refit_z_robust"), robust.tvalues[1:], rtol=1e-6)
        assert scores.bias[0]["refit_weight"] == pytest.approx(fit.params[0], rel=1e-8)
        np.testing.assert_array_equal(
            column(scores.rows, "weight"), trained
        )  # the trained ones stay as they are
        assert scores.measures["refit_log_loss"] == pytest.approx(-fit.llf / 3000, rel=1e-9)


def test_a_refit_equals_statsmodels_mnlogit_centred_and_as_contrasts():
    x = correlated(3, 3000, 4)
    y, clusters = class_labels(4, x, 3), np.random.default_rng(5).integers(0, 80, 3000)
    fit = sm.MNLogit(y, sm.add_constant(x)).fit(disp=0, method="newton", tol=1e-14, maxiter=100)
    scores = scored(
        layer(np.random.default_rng(6).normal(size=(3, 4)), np.zeros(3), "softmax"), x, y, clusters
    )
    contrasts = scores.contrasts("class_0")
    params, bse = np.asarray(fit.params).T[:, 1:], np.asarray(fit.bse).T[:, 1:]
    np.testing.assert_allclose(column(contrasts, "refit_weight"), params.ravel(), rtol=1e-7)
    np.testing.assert_allclose(column(contrasts, "refit_se"), bse.ravel(), rtol=1e-7)
    centred = np.vstack([np.zeros(4), params])
    centred -= centred.mean(axis=0)
    np.testing.assert_allclose(column(scores.rows, "refit_weight"), centred.ravel(), rtol=1e-7)


def test_a_refit_of_a_linear_head_is_least_squares():
    x, generator = correlated(7, 900, 5), np.random.default_rng(8)
    y = x @ generator.normal(size=5) + 2.0 + generator.normal(size=900)
    clusters = np.arange(900) // 15
    fit = sm.OLS(y, sm.add_constant(x)).fit()
    robust = sm.OLS(y, sm.add_constant(x)).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    scores = scored(layer(np.ones(5), 0.0, "linear"), x, y, clusters)
    np.testing.assert_allclose(column(scores.rows, "refit_weight"), fit.params[1:], rtol=1e-9)
    np.testing.assert_allclose(column(scores.rows, "refit_se"), fit.bse[1:], rtol=1e-9)
    np.testing.assert_allclose(column(scores.rows, "refit_se_robust"), robust.bse[1:], rtol=1e-6)


def test_soft_targets_and_missing_labels_equal_a_binomial_regression_of_the_known_fractions():
    x, generator = correlated(9, 2000, 4), np.random.default_rng(10)
    y = np.round(generator.beta(0.6, 0.6, 2000), 1)
    y[generator.random(2000) < 0.3] = np.nan
    known = ~np.isnan(y)
    fit = sm.GLM(y[known], sm.add_constant(x[known]), family=sm.families.Binomial()).fit(
        tol=1e-14, maxiter=100
    )
    scores = scored(layer(np.ones(4), 0.0), x, y, np.arange(2000) // 20)
    np.testing.assert_allclose(column(scores.rows, "refit_weight"), fit.params[1:], rtol=1e-8)
    np.testing.assert_allclose(column(scores.rows, "refit_se"), fit.bse[1:], rtol=1e-8)


def test_dead_and_repeated_components_are_left_out_of_a_refit_and_leave_the_others_right():
    x = correlated(11, 1500, 4)
    y, clusters = binary_labels(12, x), np.arange(1500) // 15
    wide = np.column_stack([x, 3.0 * x[:, 1] + 0.5, np.full(1500, 2.0)])
    fit = sm.Logit(y, sm.add_constant(x)).fit(disp=0, tol=1e-14)
    scores = scored(layer(np.full(6, 0.3), 0.0), wide, y, clusters)
    np.testing.assert_allclose(column(scores.rows[:4], "refit_weight"), fit.params[1:], rtol=1e-8)
    np.testing.assert_allclose(column(scores.rows[:4], "refit_z"), fit.tvalues[1:], rtol=1e-8)
    assert all(row["refit_weight"] is None for row in scores.rows[4:])


def test_classes_without_a_label_are_left_out_of_a_refit_and_named():
    x = correlated(13, 1500, 3)
    y, clusters = class_labels(14, x, 3), np.arange(1500) // 15
    three = scored(layer(np.ones((3, 3)), np.zeros(3), "softmax"), x, y, clusters)
    four = scored(layer(np.ones((4, 3)), np.zeros(4), "softmax"), x, y, clusters)
    np.testing.assert_allclose(column(four.rows[:9], "refit_z"), column(three.rows, "refit_z"), rtol=1e-9)
    assert all(row["refit_z"] is None for row in four.rows[9:])
    assert any("no pixel is labelled class_3" in warning for warning in four.warnings)


def test_labels_that_cannot_be_fitted_give_a_sentence_and_blanks():
    x = correlated(15, 600, 3)
    clusters = np.arange(600) // 10
    output = layer(np.ones(3), 0.0)
    separated = scored(output, x, (x[:, 0] > 0.2).astype(float), clusters)
    assert any("separate the labels" in warning for warning in separated.warnings)
    # One component is 1 for ice alone: its weight would grow for ever, whatever the others do.
    mixed = binary_labels(16, x)
    flagged = np.column_stack([x[:, :2], mixed * (np.arange(600) % 3 == 0)])
    partly = scored(output, flagged, mixed, clusters)
    assert any("separate the labels" in warning for warning in partly.warnings)
    three = np.where(x[:, 1] > 0.5, 2.0, (x[:, 0] > 0.2).astype(float))
    softmax = scored(layer(np.ones((3, 3)), np.zeros(3), "softmax"), x, three, clusters)
    assert any("separate the labels" in warning for warning in softmax.warnings)
    single = scored(output, x, np.ones(600), clusters)
    assert any("all labels are the same" in warning for warning in single.warnings)
    for scores in (separated, partly, softmax, single):
        assert all(row["refit_z"] is None for row in scores.rows)
        assert scores.rows[0]["z"] is not None


def test_a_refit_that_is_not_asked_for_leaves_its_columns_empty():
    accumulator = SceneAccumulator(layer(np.ones(3), 0.0))
    accumulator.add(correlated(17, 200, 3))
    scores = compute_scores(accumulator.close())
    assert all(row["refit_weight"] is None for row in scores.rows)
    assert "refit_steps" not in scores.measures


@pytest.mark.parametrize("active", [1, 2, 7])
def test_units_active_at_few_pixels_are_left_out_by_name_and_leave_a_fit_of_chance_alone(active):
    """Coin flips cannot be explained: a unit active at two pixels of 3,600 separates no labels."""
    x = correlated(31, 3600, 5)
    generator = np.random.default_rng(32)
    y = (generator.random(3600) < 0.5).astype(float)
    rare = np.flatnonzero(y)[:active]  # all where the coin fell on one side
    x[:, 2] = 0.0
    x[rare, 2] = 1.0 + generator.random(active)
    found = refit(layer(np.zeros(5), 0.0), lambda: iter([(x[:2000], y[:2000], {}), (x[2000:], y[2000:], {})]))
    assert found.fit is not None
    assert "sar_" not in found.note.replace(found.fit.layer.components[2].name, "")
    assert found.fit.layer.components[2].name in found.note
    assert "fewer than 10" in found.note
    others = np.delete(x, 2, axis=1)
    import statsmodels.api as sm

    expected = sm.Logit(y, sm.add_constant(others)).fit(disp=0, method="newton").params[1:]
    kept = np.delete(found.fit.layer.weights[0], 2)
    np.testing.assert_allclose(kept, expected, rtol=1e-6, atol=1e-9)
    assert np.abs(kept).max() < 0.5


def test_labels_that_a_component_separates_name_it():
    x = correlated(33, 900, 5)
    y = (x[:, 3] > x[:, 3].mean()).astype(float)
    found = refit(layer(np.zeros(5), 0.0), lambda: iter([(x, y, {})]))
    assert found.fit is None
    assert f"'{layer(np.zeros(5), 0.0).components[3].name}' most of all" in found.note
