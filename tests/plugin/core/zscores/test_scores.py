"""Z-scores against statsmodels, and where they must not move."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.core.zscores.estimation.estimates import Estimation
from floelens.plugin.core.zscores.score_rows import score_rows
from floelens.plugin.core.zscores.scores import COLUMNS, GROUP_COLUMNS, compute_scores, summed_strengths
from floelens.plugin.core.zscores.sums.clusters import SCENES
from floelens.plugin.core.zscores.sums.information import Information, OutputLayer, SceneAccumulator
from floelens.plugin.core.zscores.zones import ZoneAccumulator, zone_scores
from floelens.plugin.ground.errors import ModelError, NumericalError, ParameterError
from floelens.tests.plugin.core.score_data import binary_labels, class_labels, correlated, layer
from scipy import special, stats

sm = pytest.importorskip("statsmodels.api", reason="statsmodels is the reference")


def accumulate(output, x, labels=None, clusters=None, batch=700):
    accumulator = SceneAccumulator(output)
    for start in range(0, len(x), batch):
        part = slice(start, start + batch)
        accumulator.add(
            x[part],
            None if labels is None else labels[part],
            None if clusters is None else {"blocks": clusters[part]},
        )
    return accumulator.close()


def column(rows, name):
    return np.array([np.nan if row[name] is None else row[name] for row in rows], dtype=float)


def vif(design):
    """Return variance inflation by its definition: 1/(1 - R^2) of each column on the others."""
    found = []
    for j in range(1, design.shape[1]):
        found.append(1.0 / (1.0 - sm.OLS(design[:, j], np.delete(design, j, axis=1)).fit().rsquared))
    return np.array(found)


def weighted_vif(design, weights):
    found = []
    for j in range(1, design.shape[1]):
        fit = sm.WLS(design[:, j], np.delete(design, j, axis=1), weights=weights).fit()
        found.append(1.0 / (1.0 - fit.rsquared))
    return np.array(found)


# --- statsmodels ----------------------------------------------------------------------------------


def test_sigmoid_scores_equal_statsmodels_logit_naive_and_clustered():
    x = correlated(1, 4000, 7)
    y = binary_labels(2, x)
    clusters = np.arange(4000) // 50
    design = sm.add_constant(x)
    fit = sm.Logit(y, design).fit(disp=0, tol=1e-14, method="newton", maxiter=100)
    robust = sm.Logit(y, design).fit(
        disp=0,
        tol=1e-14,
        maxiter=100,
        cov_type="cluster",
        cov_kwds={"groups": clusters, "use_correction": True},
    )
    scores = compute_scores(accumulate(layer(fit.params[1:], fit.params[0]), x, y, clusters))
    np.testing.assert_allclose(column(scores.rows, "weight"), fit.params[1:], rtol=1e-12)
    np.testing.assert_allclose(column(scores.rows, "se"), fit.bse[1:], rtol=1e-6)
    np.testing.assert_allclose(column(scores.rows, "z"), fit.tvalues[1:], rtol=1e-6)
    np.testing.assert_allclose(column(scores.rows, "log10_p"), np.log10(fit.pvalues[1:]), rtol=1e-6)
    np.testing.assert_allclose(column(scores.rows, "se_robust"), robust.bse[1:], rtol=1e-6)
    np.testing.assert_allclose(column(scores.rows, "z_robust"), robust.tvalues[1:], rtol=1e-6)
    expected_p = np.log10(2 * stats.t.sf(np.abs(robust.tvalues[1:]), 79))
    np.testing.assert_allclose(column(scores.rows, "log10_p_robust"), expected_p, rtol=1e-6)
    np.testing.assert_allclose(
        column(scores.rows, "n_effective"),
        4000 * np.square(fit.bse[1:] / robust.bse[1:]),
        rtol=1e-6,
    )
    p = fit.predict()
    np.testing.assert_allclose(column(scores.rows, "vif"), weighted_vif(design, p * (1 - p)), rtol=1e-6)
    assert scores.bias[0]["se"] == pytest.approx(fit.bse[0], rel=1e-6)
    assert scores.measures["dispersion"] == pytest.approx(
        np.sum((y - p) ** 2) / np.sum(p * (1 - p)) * 4000 / (4000 - 8), rel=1e-9
    )
    assert scores.measures["dispersion_pearson"] == pytest.approx(
        np.sum(fit.resid_pearson**2) / (4000 - 8), rel=1e-9
    )
    # at the maximum-likelihood estimate the score vanishes and the one-step shift with it
    assert scores.measures["score_statistic"] < 1e-9
    assert max(abs(row["shift_in_se"]) for row in scores.shifts) < 1e-5


def test_soft_targets_equal_a_binomial_regression_of_fractions():
    x = correlated(3, 3000, 5)
    generator = np.random.default_rng(4)
    y = np.clip(special.expit(x @ generator.normal(size=5) + 0.7 * generator.normal(size=3000)), 0, 1)
    clusters = generator.integers(0, 60, 3000)
    design = sm.add_constant(x)
    model = sm.GLM(y, design, family=sm.families.Binomial())
    fit = model.fit(tol=1e-14, maxiter=100)
    robust = model.fit(tol=1e-14, maxiter=100, cov_type="cluster", cov_kwds={"groups": clusters})
    scores = compute_scores(accumulate(layer(fit.params[1:], fit.params[0]), x, y, clusters))
    np.testing.assert_allclose(column(scores.rows, "se"), fit.bse[1:], rtol=1e-6)
    np.testing.assert_allclose(column(scores.rows, "se_robust"), robust.bse[1:], rtol=1e-6)


@pytest.mark.parametrize("classes", [3, 5])
def test_softmax_scores_equal_statsmodels_mnlogit_naive_and_clustered(classes):
    x = correlated(5, 5000, 4)
    y = class_labels(6, x, classes)
    clusters = np.random.default_rng(7).integers(0, 90, 5000)
    design = sm.add_constant(x)
    fit = sm.MNLogit(y, design).fit(disp=0, method="newton", tol=1e-14, maxiter=100)
    robust = sm.MNLogit(y, design).fit(
        disp=0, method="newton", tol=1e-14, maxiter=100, cov_type="cluster", cov_kwds={"groups": clusters}
    )
    contrasts = np.asarray(fit.params).T  # (class - 0, 1 + component)
    weights = np.vstack([np.zeros(5), contrasts]) + np.array([3.0, -1.0, 0.5, 2.0, 1.0])  # any common part
    scores = compute_scores(accumulate(layer(weights[:, 1:], weights[:, 0], "softmax"), x, y, clusters))

    against_first = scores.contrasts("class_0")
    np.testing.assert_allclose(column(against_first, "se"), np.asarray(fit.bse).T[:, 1:].ravel(), rtol=1e-6)
    np.testing.assert_allclose(
        column(against_first, "z"), np.asarray(fit.tvalues).T[:, 1:].ravel(), rtol=1e-6
    )
    np.testing.assert_allclose(
        column(against_first, "se_robust"), np.asarray(robust.bse).T[:, 1:].ravel(), rtol=1e-6
    )
    # centred weights: T Cov T' of statsmodels' own covariance, whose parameters run class by class
    centring = np.vstack([np.zeros(classes - 1), np.eye(classes - 1)]) - 1.0 / classes
    full = np.kron(centring, np.eye(5))
    for result, name in ((fit, "se"), (robust, "se_robust")):
        expected = np.sqrt(np.diag(full @ np.asarray(result.cov_params()) @ full.T)).reshape(classes, 5)[
            :, 1:
        ]
        np.testing.assert_allclose(column(scores.rows, name), expected.ravel(), rtol=1e-6)
    centred = (weights - weights.mean(axis=0))[:, 1:]
    np.testing.assert_allclose(column(scores.rows, "weight"), centred.ravel(), rtol=1e-10, atol=1e-12)
    probabilities = fit.predict()
    truth = np.eye(classes)[y.astype(int)]
    expected = np.sum((truth - probabilities) ** 2 / probabilities) / ((5000 - 5) * (classes - 1))
    assert scores.measures["dispersion"] == pytest.approx(expected, rel=1e-9)


def test_centred_covariance_equals_the_formula_with_the_common_part_fixed():
    x = correlated(8, 900, 3)
    generator = np.random.default_rng(9)
    output = layer(generator.normal(size=(4, 3)), generator.normal(size=4), "softmax")
    scores = compute_scores(accumulate(output, x))
    design = np.column_stack([np.ones(len(x)), x])
    p = special.softmax(x @ output.weights.T + output.bias, axis=1)
    blocks = [
        [design.T @ (design * (p[:, [k]] * ((k == other) - p[:, [other]]))) for other in range(4)]
        for k in range(4)
    ]
    information = np.block(blocks)
    scale = np.tile(
        np.sqrt(np.diag(information).reshape(4, 4).sum(axis=0)), 4
    )  # one a column, for all classes
    common = np.kron(np.ones((4, 4)) / 4, np.eye(4))
    c = 1.0
    covariance = (np.linalg.inv(information / np.outer(scale, scale) + c * common) - common / c) / np.outer(
        scale, scale
    )
    expected = np.sqrt(np.diag(covariance)).reshape(4, 4)
    np.testing.assert_allclose(column(scores.rows, "se"), expected[:, 1:].ravel(), rtol=1e-8)
    np.testing.assert_allclose(column(scores.bias, "se"), expected[:, 0], rtol=1e-8)


def test_linear_scores_equal_statsmodels_ols_naive_and_clustered():
    x = correlated(10, 1500, 6)
    generator = np.random.default_rng(11)
    y = x @ generator.normal(size=6) + 2.0 + generator.normal(size=1500)
    clusters = np.arange(1500) // 25
    design = sm.add_constant(x)
    fit = sm.OLS(y, design).fit()
    robust = sm.OLS(y, design).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    output = layer(fit.params[1:], fit.params[0], "linear")
    scores = compute_scores(accumulate(output, x, y, clusters))
    np.testing.assert_allclose(column(scores.rows, "se"), fit.bse[1:], rtol=1e-6)
    np.testing.assert_allclose(column(scores.rows, "z"), fit.tvalues[1:], rtol=1e-6)
    np.testing.assert_allclose(column(scores.rows, "log10_p"), np.log10(fit.pvalues[1:]), rtol=1e-6)
    np.testing.assert_allclose(column(scores.rows, "se_robust"), robust.bse[1:], rtol=1e-6)
    np.testing.assert_allclose(column(scores.rows, "vif"), vif(design), rtol=1e-6)
    assert scores.measures["error_variance"] == pytest.approx(fit.scale, rel=1e-9)

    without = compute_scores(accumulate(output, x))
    assert all(row["se"] is None and row["information"] is None for row in without.rows)
    assert "no labels" in without.rows[0]["note"]
    np.testing.assert_allclose(column(without.rows, "vif"), vif(design), rtol=1e-6)


def test_group_tests_equal_the_wald_tests_of_statsmodels():
    x = correlated(12, 3000, 8)
    y = binary_labels(13, x)
    clusters = np.arange(3000) // 30
    model = sm.Logit(y, sm.add_constant(x))
    fit = model.fit(disp=0, tol=1e-14, maxiter=100)
    robust = model.fit(disp=0, tol=1e-14, maxiter=100, cov_type="cluster", cov_kwds={"groups": clusters})
    scores = compute_scores(accumulate(layer(fit.params[1:], fit.params[0]), x, y, clusters))
    for name, members in (("sar", [0, 1, 2, 3]), ("mwr", [4, 5, 6, 7])):
        group = next(g for g in scores.groups if (g["kind"], g["group"]) == ("sensor", name))
        restriction = np.eye(9)[np.array(members) + 1]
        wald = fit.wald_test(restriction, use_f=False, scalar=True)
        assert group["chi2"] == pytest.approx(float(wald.statistic), rel=1e-6)
        assert group["log10_p"] == pytest.approx(np.log10(float(wald.pvalue)), rel=1e-6)
        statistic = float(robust.wald_test(restriction, use_f=False, scalar=True).statistic)
        assert group["chi2_robust"] == pytest.approx(statistic, rel=1e-6)
        expected = np.log10(stats.f.sf(statistic * (100 - 4) / (99 * 4), 4, 100 - 4))
        assert group["log10_p_robust"] == pytest.approx(expected, rel=1e-6)
        assert group["df"] == 4
    assert {g["kind"] for g in scores.groups} == {"sensor", "scale", "frequency", "polarisation"}
    assert all(tuple(g) == GROUP_COLUMNS for g in scores.groups)


def test_a_groups_chi_square_is_the_squared_z_of_its_summed_contribution():
    x = correlated(14, 2000, 6)
    y = binary_labels(15, x)
    fit = sm.Logit(y, sm.add_constant(x)).fit(disp=0, tol=1e-14)
    scores = compute_scores(accumulate(layer(fit.params[1:], fit.params[0]), x, y))
    summed = np.column_stack([x[:, :3], x[:, 3:] @ fit.params[4:]])
    refit = sm.Logit(y, sm.add_constant(summed)).fit(disp=0, tol=1e-14)
    mwr = next(g for g in scores.groups if (g["kind"], g["group"]) == ("sensor", "mwr"))
    assert mwr["chi2"] == pytest.approx(refit.tvalues[-1] ** 2, rel=1e-6)


def test_centred_robust_errors_follow_their_definition_away_from_the_estimate():
    x = correlated(16, 1200, 3)
    y = binary_labels(17, x)
    clusters = np.random.default_rng(18).integers(0, 40, 1200)
    output = layer(np.array([0.3, -0.2, 0.5]), np.array([0.1]))
    scores = compute_scores(accumulate(output, x, y, clusters))
    design = np.column_stack([np.ones(1200), x])
    p = special.expit(design @ np.array([0.1, 0.3, -0.2, 0.5]))
    bread = np.linalg.inv(design.T @ (design * (p * (1 - p))[:, None]))
    u = np.array(
        [((y - p)[clusters == g, None] * design[clusters == g]).sum(axis=0) for g in np.unique(clusters)]
    )
    count = len(u)
    u_centred = u - u.mean(axis=0)
    factor = count / (count - 1) * 1199 / (1200 - 4)
    robust = np.sqrt(np.diag(factor * bread @ u_centred.T @ u_centred @ bread))
    np.testing.assert_allclose(column(scores.rows, "se_robust"), robust[1:], rtol=1e-9)
    total = u.sum(axis=0)
    assert scores.measures["score_statistic"] == pytest.approx(total @ bread @ total, rel=1e-9)
    shift = bread @ total
    np.testing.assert_allclose([row["shift"] for row in scores.shifts], shift[1:], rtol=1e-9)
    np.testing.assert_allclose(
        [row["shift_in_se"] for row in scores.shifts], (shift / np.sqrt(np.diag(bread)))[1:], rtol=1e-9
    )


# --- what must not matter -------------------------------------------------------------------------


def test_two_classes_of_softmax_equal_the_sigmoid_with_opposite_signs():
    x = correlated(19, 2500, 6)
    y = binary_labels(20, x)
    clusters = np.arange(2500) // 40
    generator = np.random.default_rng(21)
    weights, bias = generator.normal(size=(2, 6)), generator.normal(size=2)
    softmax = compute_scores(accumulate(layer(weights, bias, "softmax"), x, y, clusters))
    sigmoid = compute_scores(accumulate(layer(weights[1] - weights[0], bias[1] - bias[0]), x, y, clusters))
    for name in ("z", "z_robust"):
        np.testing.assert_allclose(column(softmax.rows, name)[6:], column(sigmoid.rows, name), rtol=1e-9)
        np.testing.assert_allclose(column(softmax.rows, name)[:6], -column(sigmoid.rows, name), rtol=1e-9)
    for name in ("vif", "information", "n_effective"):
        np.testing.assert_allclose(column(softmax.rows, name)[6:], column(sigmoid.rows, name), rtol=1e-8)
    for ours, theirs in zip(softmax.groups, sigmoid.groups):
        assert ours["chi2"] == pytest.approx(theirs["chi2"], rel=1e-9)
        assert ours["chi2_robust"] == pytest.approx(theirs["chi2_robust"], rel=1e-9)
    assert softmax.measures["score_statistic"] == pytest.approx(sigmoid.measures["score_statistic"], rel=1e-9)


@pytest.mark.parametrize("kind", ["sigmoid", "softmax"])
def test_changing_the_unit_of_a_column_changes_no_score(kind):
    x = correlated(22, 2000, 5)
    generator = np.random.default_rng(23)
    weights = generator.normal(size=(3 if kind == "softmax" else 1, 5))
    bias = generator.normal(size=len(weights))
    y = class_labels(24, x, 3) if kind == "softmax" else binary_labels(24, x)
    clusters = np.arange(2000) // 25
    units = np.array([1e-6, 1.0, 273.15, 1e5, -1.0])
    before = compute_scores(accumulate(layer(weights, bias, kind), x, y, clusters))
    after = compute_scores(accumulate(layer(weights / units, bias, kind), x * units, y, clusters))
    signs = np.tile(np.sign(units), len(weights))
    for name in ("z", "z_robust"):
        np.testing.assert_allclose(column(after.rows, name), signs * column(before.rows, name), rtol=1e-8)
    for name in ("vif", "information", "log10_p", "n_effective"):
        np.testing.assert_allclose(column(after.rows, name), column(before.rows, name), rtol=1e-8)
    np.testing.assert_allclose(column(after.groups, "chi2"), column(before.groups, "chi2"), rtol=1e-8)


def test_an_offset_of_a_column_changes_no_score():
    x = correlated(25, 2000, 4)
    weights, bias = np.array([0.5, -0.4, 0.8, 0.1]), 0.2
    offset = np.array([0.0, 250.0, 0.0, -40.0])  # a brightness temperature in K instead of anomalies
    before = compute_scores(accumulate(layer(weights, bias), x))
    after = compute_scores(accumulate(layer(weights, bias - weights @ offset), x + offset))
    np.testing.assert_allclose(column(after.rows, "z"), column(before.rows, "z"), rtol=1e-8)


@pytest.mark.parametrize("kind", ["sigmoid", "softmax"])
def test_a_duplicated_column_is_listed_and_leaves_the_others_right(kind):
    x = correlated(26, 2000, 5)
    generator = np.random.default_rng(27)
    weights = generator.normal(size=(3 if kind == "softmax" else 1, 5))
    bias = generator.normal(size=len(weights))
    y = class_labels(28, x, 3) if kind == "softmax" else binary_labels(28, x)
    clusters = np.arange(2000) // 25
    plain = compute_scores(accumulate(layer(weights, bias, kind), x, y, clusters))
    # the copy, in another unit, takes over a third of the weight: the map stays the same
    doubled = np.concatenate([weights, weights[:, [2]] / 3 / 10.0], axis=1)
    doubled[:, 2] *= 2.0 / 3.0
    copied = compute_scores(
        accumulate(layer(doubled, bias, kind), np.column_stack([x, 10.0 * x[:, 2]]), y, clusters)
    )
    names = [part.name for part in layer(doubled, bias, kind).components]
    for k in range(len(weights)):
        rows = copied.rows[6 * k : 6 * k + 6]
        expected = plain.rows[5 * k : 5 * k + 5]
        for name in ("weight", "z", "se_robust", "z_robust", "vif"):
            np.testing.assert_allclose(column(rows[:5], name), column(expected, name), rtol=1e-7)
        assert rows[5]["z"] is None
        assert rows[5]["vif"] is None
        assert rows[5]["weight"] is not None
        assert rows[5]["note"] == f"collinear with {names[2]}: dropped"
        assert rows[2]["note"] == f"carries also the weight of {names[5]}"


@pytest.mark.parametrize("kind", ["sigmoid", "softmax"])
def test_the_bias_carries_the_constant_part_of_dropped_columns(kind):
    x = correlated(41, 1500, 4)
    generator = np.random.default_rng(42)
    weights = generator.normal(size=(3 if kind == "softmax" else 1, 6))
    bias = generator.normal(size=len(weights))
    full = np.column_stack([x, np.full(1500, 7.5), 3.0 - 2.0 * x[:, 1]])
    scores = compute_scores(accumulate(layer(weights, bias, kind), full))
    # the same map without the constant and the repeated column
    lean = weights[:, :4].copy()
    lean[:, 1] -= 2.0 * weights[:, 5]
    plain = compute_scores(accumulate(layer(lean, bias + 7.5 * weights[:, 4] + 3.0 * weights[:, 5], kind), x))
    for name in ("weight", "se", "z"):
        np.testing.assert_allclose(column(scores.bias, name), column(plain.bias, name), rtol=1e-6)
    assert "carries also the constant part of" in scores.bias[0]["note"]
    assert "constant part" not in plain.bias[0]["note"]


def test_dead_and_constant_components_keep_a_row_with_a_note_and_blanks():
    x = correlated(29, 800, 6)
    x[:, 1], x[:, 4] = 0.0, 7.5
    weights = np.array([0.5, 3.0, -0.4, 0.2, 1.0, 0.3])
    scores = compute_scores(accumulate(layer(weights, 0.1), x))
    lean = compute_scores(
        accumulate(
            OutputLayer(
                "head",
                "sigmoid",
                ("class_0",),
                tuple(part for j, part in enumerate(layer(weights, 0.1).components) if j not in (1, 4)),
                np.delete(weights, [1, 4])[None],
                np.array([0.1 + 7.5]),
            ),
            np.delete(x, [1, 4], axis=1),
        )
    )
    np.testing.assert_allclose(np.delete(column(scores.rows, "z"), [1, 4]), column(lean.rows, "z"), rtol=1e-9)
    assert scores.rows[1]["note"] == "dead: always 0"
    assert scores.rows[4]["note"] == "dead: constant at 7.5"
    assert scores.rows[1]["z"] is None
    assert scores.rows[4]["se"] is None
    assert np.isnan(scores.correlation[1]).all()
    assert scores.correlation[0, 0] == pytest.approx(1.0)
    assert len(scores.rows) == 6
    assert any("2 dead and 0 collinear components" in warning for warning in scores.warnings)


def test_rows_have_the_published_columns_and_no_value_that_is_not_finite():
    x = correlated(30, 600, 6)
    x[:, 0] = 0.0
    scores = compute_scores(
        accumulate(layer(np.zeros(6), 0.0), x, binary_labels(31, x), np.arange(600) // 60)
    )
    for row in scores.rows:
        assert tuple(row) == COLUMNS
        assert all(np.isfinite(value) for value in row.values() if isinstance(value, float))
    assert scores.rows[1]["z"] == 0.0
    assert scores.rows[1]["log10_p"] is None  # weights of 0 are no fit of these labels
    assert scores.rows[1]["information"] == 0.0


# --- labels, clusters and what is missing ---------------------------------------------------------


def test_without_labels_robust_columns_are_blank_and_the_note_says_why():
    x = correlated(32, 500, 4)
    scores = compute_scores(accumulate(layer(np.ones(4), 0.0), x))
    for row in scores.rows:
        assert row["z"] is not None
        assert row["z_robust"] is None
        assert row["n_effective"] is None
        assert row["log10_p_robust"] is None
        assert row["note"] == "no labels: naive errors only"
    assert scores.measures["dispersion"] is None
    assert scores.shifts == ()


def test_pixels_without_a_label_count_for_naive_scores_only():
    x = correlated(33, 1500, 4)
    y = binary_labels(34, x)
    clusters = np.arange(1500) // 20
    masked = np.where(np.arange(1500) < 1000, y, np.nan)
    output = layer(np.array([0.4, 0.1, -0.3, 0.2]), 0.0)
    scores = compute_scores(accumulate(output, x, masked, clusters))
    everything = compute_scores(accumulate(output, x))
    labelled = compute_scores(accumulate(output, x[:1000], y[:1000], clusters[:1000]))
    np.testing.assert_allclose(column(scores.rows, "z"), column(everything.rows, "z"), rtol=1e-10)
    for name in ("se_robust", "n_effective", "log10_p_robust"):
        np.testing.assert_allclose(column(scores.rows, name), column(labelled.rows, name), rtol=1e-9)
    assert scores.measures["n_labelled"] == 1000
    assert any("1000 of 1500" in warning for warning in scores.warnings)


def test_one_cluster_gives_no_robust_errors_and_few_give_a_warning():
    x = correlated(35, 400, 3)
    y = binary_labels(36, x)
    output = layer(np.array([0.4, 0.1, -0.3]), 0.0)
    single = compute_scores(accumulate(output, x, y, np.zeros(400, dtype=int)))
    assert all(row["z_robust"] is None for row in single.rows)
    assert "1 cluster: robust errors need at least 2" in single.rows[0]["note"]
    few = compute_scores(accumulate(output, x, y, np.arange(400) // 100))
    assert all(row["z_robust"] is not None for row in few.rows)
    assert any("4 clusters" in warning for warning in few.warnings)
    enough = compute_scores(accumulate(output, x, y, np.arange(400) // 5))
    assert enough.warnings == ()
    assert enough.rows[0]["note"] == ""


def test_groups_are_blank_where_clusters_are_fewer_than_their_weights():
    x = correlated(37, 600, 8)
    y = binary_labels(38, x)
    scores = compute_scores(accumulate(layer(np.full(8, 0.1), 0.0), x, y, np.arange(600) // 150))
    sensor = next(g for g in scores.groups if g["kind"] == "sensor")
    assert sensor["chi2"] is not None
    assert sensor["chi2_robust"] is None
    assert "4 clusters: a robust test of 4 weights needs 5" in sensor["note"]


def test_clusters_may_span_batches():
    x = correlated(39, 900, 3)
    y = binary_labels(40, x)
    clusters = np.random.default_rng(41).integers(0, 12, 900)
    output = layer(np.array([0.4, 0.1, -0.3]), 0.0)
    small = compute_scores(accumulate(output, x, y, clusters, batch=37))
    whole = compute_scores(accumulate(output, x, y, clusters, batch=900))
    np.testing.assert_allclose(column(small.rows, "se_robust"), column(whole.rows, "se_robust"), rtol=1e-10)
    assert whole.measures["clusters"] == 12


def test_larger_blocks_show_the_dependence_that_small_ones_hide():
    generator = np.random.default_rng(42)
    x = np.repeat(generator.normal(size=(60, 1)), 40, axis=0) + 0.1 * generator.normal(size=(2400, 1))
    shared = np.repeat(generator.normal(size=60), 40)
    y = (shared > 0).astype(float)
    accumulator = SceneAccumulator(layer(np.array([0.05]), 0.0))
    accumulator.add(x, y, {"a pixel each": np.arange(2400), "as dependent": np.arange(2400) // 40})
    scores = compute_scores(accumulator.close(), "as dependent")
    ratios = {row["clustering"]: row["ratio_median"] for row in scores.clusterings}
    assert ratios["a pixel each"] == pytest.approx(1.0, abs=0.1)
    assert ratios["as dependent"] > 4.0
    assert scores.rows[0]["n_effective"] < 2400 / 16


# --- saturation and bad input ---------------------------------------------------------------------


def test_saturated_predictions_give_a_sentence_and_no_infinite_number():
    x = correlated(43, 500, 4)
    scores = compute_scores(accumulate(layer(np.full(4, 0.1), 5000.0), x, np.ones(500), np.arange(500) // 10))
    assert all(row["z"] is None and "saturated" in row["note"] for row in scores.rows)
    assert "saturated" in scores.warnings[0]
    softmax = layer(np.zeros((3, 4)), np.array([0.0, 2000.0, -2000.0]), "softmax")
    blank = compute_scores(accumulate(softmax, x, np.ones(500)))
    assert all(row["z"] is None and "saturated" in row["note"] for row in blank.rows)


def test_scores_survive_logits_of_many_hundreds():
    x = correlated(44, 3000, 3)
    weights = np.array([200.0, -120.0, 90.0])
    scores = compute_scores(accumulate(layer(weights, 1.0), x, binary_labels(45, x), np.arange(3000) // 30))
    values = [v for row in scores.rows for v in row.values() if isinstance(v, float)]
    assert np.isfinite(values).all()
    assert all(row["z"] is not None for row in scores.rows)
    assert np.isfinite([v for v in scores.measures.values() if isinstance(v, float)]).all()


def test_saturation_lowers_z_while_the_information_share_does_not_fall():
    x = np.random.default_rng(46).normal(size=(4000, 1))
    mild = compute_scores(accumulate(layer(np.array([1.0]), 0.0), x)).rows[0]
    steep = compute_scores(accumulate(layer(np.array([16.0]), 0.0), x)).rows[0]
    assert 0 < steep["z"] < 0.8 * mild["z"]
    assert steep["information"] > mild["information"]


def test_a_class_that_is_never_predicted_is_left_out_and_named():
    x = correlated(47, 1000, 3)
    generator = np.random.default_rng(48)
    weights = generator.normal(size=(4, 3))
    full = compute_scores(accumulate(layer(weights[:3], np.zeros(3), "softmax"), x))
    scores = compute_scores(accumulate(layer(weights, np.array([0.0, 0.0, 0.0, -900.0]), "softmax"), x))
    assert all(row["z"] is None and "never predicted" in row["note"] for row in scores.rows[9:])
    np.testing.assert_allclose(column(scores.rows[:9], "z"), column(full.rows, "z"), rtol=1e-9)
    assert any("class_3" in warning for warning in scores.warnings)


def test_rows_without_a_score_are_centred_over_the_same_classes_as_those_with_one():
    x = correlated(47, 1000, 3)
    x[:, 2] = 0.7  # dead
    generator = np.random.default_rng(48)
    weights = generator.normal(size=(4, 3))
    scores = compute_scores(accumulate(layer(weights, np.array([0.0, 0.0, 0.0, -900.0]), "softmax"), x))
    centred = weights - weights[:3].mean(axis=0)
    np.testing.assert_allclose(column(scores.rows, "weight"), centred.ravel(), rtol=1e-10)
    blank = scores.contrasts("class_3")
    assert all(row["z"] is None and "the reference: class practically never" in row["note"] for row in blank)


def test_fewer_clusters_than_weights_give_a_warning_and_finite_numbers():
    x = correlated(49, 600, 8)
    scores = compute_scores(
        accumulate(layer(np.full(8, 0.1), 0.0), x, binary_labels(50, x), np.arange(600) // 120)
    )
    assert any("5 clusters are fewer than the 9 weights" in warning for warning in scores.warnings)
    values = [v for row in scores.rows + scores.groups for v in row.values() if isinstance(v, float)]
    assert np.isfinite(values).all()


def test_errors_that_still_grow_with_the_blocks_give_a_warning():
    generator = np.random.default_rng(51)
    shared = np.repeat(generator.normal(size=60), 40)
    x = np.repeat(generator.normal(size=60), 40)[:, None] + 0.1 * generator.normal(size=(2400, 1))
    y = (shared + 0.3 * generator.normal(size=2400) > 0).astype(float)
    accumulator = SceneAccumulator(layer(np.array([0.05]), 0.0))
    accumulator.add(x, y, {"8 km blocks": np.arange(2400) // 10, "16 km blocks": np.arange(2400) // 40})
    information = accumulator.close()
    small = compute_scores(information, "8 km blocks")
    assert any("have not levelled off" in warning for warning in small.warnings)
    assert [row["block_km"] for row in small.clusterings] == [8.0, 16.0]
    assert not any("levelled" in warning for warning in compute_scores(information, "16 km blocks").warnings)


def test_errors_that_grow_from_blocks_to_scenes_give_a_warning():
    generator = np.random.default_rng(52)
    shared, common = (np.repeat(generator.normal(size=60), 40) for _ in range(2))
    x = common[:, None] + 0.1 * generator.normal(size=(2400, 1))
    y = (shared + 0.3 * generator.normal(size=2400) > 0).astype(float)
    whole = Information.empty(layer(np.array([0.05]), 0.0))
    for number in range(60):
        accumulator = SceneAccumulator(whole.layer)
        own = slice(40 * number, 40 * number + 40)
        accumulator.add(x[own], y[own], {"64 km blocks": np.arange(40) // 10, SCENES: np.zeros(40, int)})
        whole = whole.merge(accumulator.close())
    warnings = compute_scores(whole, "64 km blocks").warnings
    assert any("from 64 km blocks to scenes" in text and "CLUSTERS=scenes" in text for text in warnings)
    assert not any("levelled" in text for text in compute_scores(whole, SCENES).warnings)


def test_fewer_pixels_than_weights_give_a_sentence():
    scores = compute_scores(accumulate(layer(np.ones(6), 0.0), correlated(49, 5, 6)))
    assert all(row["z"] is None and "too few" in row["note"] for row in scores.rows)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_components_that_are_not_numbers_are_refused_by_name(bad):
    x = correlated(50, 30, 3)
    x[4, 1] = bad
    with pytest.raises(NumericalError, match="'mwr_1' is not a finite number at 1 of 30"):
        SceneAccumulator(layer(np.ones(3), 0.0)).add(x)


def test_no_pixel_at_all_is_a_sentence():
    with pytest.raises(NumericalError, match="no pixel was sampled"):
        compute_scores(SceneAccumulator(layer(np.ones(3), 0.0)).close())


def test_labels_and_clusters_that_cannot_be_meant_are_refused():
    x = correlated(51, 20, 3)
    sigmoid, softmax = layer(np.ones(3), 0.0), layer(np.ones((3, 3)), np.zeros(3), "softmax")
    with pytest.raises(ParameterError, match="fractions, not %"):
        SceneAccumulator(sigmoid).add(x, np.full(20, 87.0))
    with pytest.raises(ParameterError, match="class positions from 0 to 2"):
        SceneAccumulator(softmax).add(x, np.full(20, 3.0))
    with pytest.raises(ParameterError, match="infinite"):
        SceneAccumulator(sigmoid).add(x, np.full(20, np.inf))
    with pytest.raises(ParameterError, match="one label a pixel"):
        SceneAccumulator(sigmoid).add(x, np.ones(19))
    with pytest.raises(ParameterError, match="give one integer"):
        SceneAccumulator(sigmoid).add(x, np.ones(20), {"blocks": np.ones(20)})
    with pytest.raises(ParameterError, match=r"give \(pixel, component\)"):
        SceneAccumulator(sigmoid).add(x[:, :2])
    accumulator = SceneAccumulator(sigmoid)
    accumulator.add(x, np.ones(20), {"blocks": np.zeros(20, dtype=int)})
    with pytest.raises(ParameterError, match="same in every batch"):
        accumulator.add(x, np.ones(20))
    with pytest.raises(ParameterError, match="no clusters 'cells'"):
        compute_scores(accumulator.close(), "cells")


def test_layers_that_do_not_fit_are_refused():
    with pytest.raises(ModelError, match="at least two classes"):
        layer(np.ones(3), 0.0, "softmax")
    with pytest.raises(ModelError, match="not numbers"):
        layer(np.array([1.0, np.nan]), 0.0)
    with pytest.raises(ModelError, match="known are sigmoid"):
        layer(np.ones(3), 0.0, "probit")
    with pytest.raises(ParameterError, match="contrasts need a softmax"):
        compute_scores(accumulate(layer(np.ones(3), 0.0), correlated(52, 99, 3))).contrasts("ice")


# --- information share ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sigmoid", "softmax"])
def test_information_share_follows_its_definition(kind):
    x = correlated(53, 1300, 4)
    generator = np.random.default_rng(54)
    weights = generator.normal(size=(3 if kind == "softmax" else 1, 4))
    bias = generator.normal(size=len(weights))
    scores = compute_scores(accumulate(layer(weights, bias, kind), x))

    def distribution(logits):
        if kind == "softmax":
            return special.softmax(logits, axis=1)
        p = special.expit(logits[:, 0])
        return np.column_stack([p, 1 - p])

    def share(taken):
        kept = weights.copy()
        kept[:, taken] = 0.0
        divergence = special.rel_entr(
            distribution(x @ weights.T + bias), distribution(x @ kept.T + bias)
        ).sum()
        return np.sqrt(2 * divergence)

    expected = [share([j]) for j in range(4)] * len(weights)
    np.testing.assert_allclose(column(scores.rows, "information"), expected, rtol=1e-8)
    mwr = next(g for g in scores.groups if (g["kind"], g["group"]) == ("sensor", "mwr"))
    assert mwr["information"] == pytest.approx(share([2, 3]), rel=1e-8)


# --- level of the test ----------------------------------------------------------------------------


def fitted(x, y, steps=8):
    """Return intercepts and weights of many logistic regressions at once: x (set, n, m), y (set, n)."""
    design = np.concatenate([np.ones((*x.shape[:2], 1)), x], axis=2)
    beta = np.zeros((len(x), design.shape[2]))
    for _ in range(steps):
        p = special.expit(np.einsum("snq,sq->sn", design, beta))
        information = np.einsum("snq,sn,snr->sqr", design, p * (1 - p), design, optimize=True)
        beta += np.linalg.solve(information, np.einsum("snq,sn->sq", design, y - p)[..., None])[..., 0]
    return beta[:, 0], beta[:, 1:]


def test_null_columns_have_standard_normal_scores():
    """Fit by Newton's method, then score: columns that say nothing must look like noise."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(500, 600, 4))
    x[:, :, 3] += 0.6 * x[:, :, 0]
    y = (generator.random((500, 600)) < special.expit(0.8 * x[:, :, 0] - 0.3)).astype(float)
    bias, weights = fitted(x, y)
    found = []
    for at in range(500):
        rows = compute_scores(accumulate(layer(weights[at], bias[at]), x[at], batch=600)).rows
        found.append([row["z"] for row in rows])
    found = np.array(found)
    for null in (1, 2, 3):  # the last of them correlates with the one that matters
        assert stats.kstest(found[:, null], "norm").pvalue > 0.01
    assert np.median(found[:, 0]) > 5


@pytest.mark.slow  # 13 s of simulation; robust errors are held to statsmodels above
def test_naive_errors_over_reject_clustered_data_and_robust_ones_keep_their_level():
    sets, count, size = 2000, 400, 6
    groups = np.repeat(np.arange(count), size)
    naive, robust = [], []
    for part in range(10):
        generator = np.random.default_rng([1, part])
        shape = sets // 10, count * size
        drawn = generator.normal(size=(2, shape[0], count))[:, :, groups]
        x = (drawn[0] + 0.5 * generator.normal(size=shape))[..., None]
        y = (drawn[1] + 0.5 * generator.normal(size=shape) > 0).astype(float)
        bias, weights = fitted(x, y, 4)
        for at in range(shape[0]):
            output = layer(weights[at], bias[at])
            information = accumulate(output, x[at], y[at], groups, batch=shape[1])
            row = score_rows(Estimation.of(information, "blocks"))[0][0]  # the table alone: it is what counts
            naive.append(row["log10_p"] < np.log10(0.05))
            robust.append(row["log10_p_robust"] < np.log10(0.05))
    assert len(robust) == 2000
    assert np.mean(naive) > 0.2
    assert abs(np.mean(robust) - 0.05) < 0.02


# --- zones ----------------------------------------------------------------------------------------


def test_zones_give_the_scores_that_their_pixels_allow():
    output = layer(np.array([0.5, -0.4, 0.3, 0.8, 0.2, -0.6]), 0.3)
    x = correlated(55, 400, 6)
    zones = np.full(400, -1)
    zones[:200], zones[200:250], zones[250:262] = 7, 2, 5
    accumulator = ZoneAccumulator(output)
    for start in range(0, 400, 90):
        accumulator.add(x[start : start + 90], zones[start : start + 90])
    found = accumulator.close()
    assert list(found) == [2, 5, 7]
    assert (found[7].level, found[2].level, found[5].level) == ("components", "sensors", "none")
    assert found[5].leading_sensor == ""
    assert found[5].row()["strength_sar"] is None
    assert "too few" in found[5].note
    assert found[2].leading_z is None
    assert found[2].strength["mwr"] > 0
    alone = compute_scores(accumulate(output, x[:200]))
    np.testing.assert_allclose(column(found[7].scores.rows, "z"), column(alone.rows, "z"), rtol=1e-9)
    assert abs(found[7].leading_z) == pytest.approx(np.abs(column(alone.rows, "z")).max())
    part = x[250:262]
    assert found[5].mean_logit == pytest.approx(np.mean(part @ output.weights[0] + 0.3), rel=1e-9)
    assert found[5].contribution["mwr"] == pytest.approx(
        np.mean(part[:, 3:] @ output.weights[0, 3:]), rel=1e-9
    )
    assert found[5].contribution["sar"] + found[5].contribution["mwr"] + 0.3 == pytest.approx(
        found[5].mean_logit
    )


def test_strength_of_summed_contributions_equals_a_regression_with_an_offset_free_slope():
    x = correlated(56, 1500, 6)
    generator = np.random.default_rng(57)
    weights, bias = generator.normal(size=(3, 6)), generator.normal(size=3)
    for output in (layer(weights, bias, "softmax"), layer(weights[0], bias[0])):
        information = accumulate(output, x)
        strengths = summed_strengths(output, information.total, [[0, 1, 2], [3, 4, 5]])
        parts = np.stack(
            [x[:, :3] @ output.weights[:, :3].T, x[:, 3:] @ output.weights[:, 3:].T]
        )  # (c, n, k)
        logits = x @ output.weights.T + output.bias
        if output.kind == "softmax":
            p = special.softmax(logits, axis=1)
            free = np.eye(3)[:, :2]
            design = np.concatenate([np.repeat(free[None], len(x), axis=0), parts.transpose(1, 2, 0)], axis=2)
            centred = design - np.einsum("nk,nkc->nc", p, design)[:, None]
            expected = np.einsum("nk,nkc,nkd->cd", p, centred, centred)
        else:
            p = special.expit(logits[:, 0])
            design = np.column_stack([np.ones(len(x)), parts[0, :, 0], parts[1, :, 0]])
            expected = design.T @ (design * (p * (1 - p))[:, None])
        np.testing.assert_allclose(strengths, 1 / np.sqrt(np.diag(np.linalg.inv(expected))[-2:]), rtol=1e-9)


def test_a_saturated_zone_and_a_linear_head_say_so():
    x = correlated(58, 300, 6)
    saturated = zone_scores(1, accumulate(layer(np.ones(6), 9000.0), x))
    assert saturated.leading_sensor == ""
    assert "saturated" in saturated.note
    linear = zone_scores(1, accumulate(layer(np.ones(6), 0.0, "linear"), x))
    assert "no errors without labels" in linear.note
    assert linear.contribution["sar"] is not None


def test_classes_that_no_label_has_get_no_robust_score():
    x = correlated(90, 4000, 4)
    y = class_labels(91, x, 4)
    y[y == 3] = np.nan
    weights = np.random.default_rng(92).normal(size=(4, 4))
    scores = compute_scores(accumulate(layer(weights, np.zeros(4), "softmax"), x, y, np.arange(4000) // 40))
    for row in (*scores.rows, *scores.bias):
        assert row["z"] is not None
        known = row["class"] != "class_3"
        assert (row["z_robust"] is not None) == known
        assert (row["n_effective"] is not None) == known
        assert ("no pixel is labelled so" in row["note"]) != known
    for row in scores.contrasts("class_3"):
        assert row["z_robust"] is None
        assert row["z"] is not None


def test_more_effective_pixels_than_there_are_come_with_the_reason():
    """Fractions scatter less than yes or no: that must not pass for independence."""
    generator = np.random.default_rng(93)
    x = np.repeat(generator.normal(size=(100, 3)), 6, axis=0)
    truth = np.array([0.5, -0.3, 0.2])
    soft = special.expit(x @ truth + np.repeat(0.2 * generator.normal(size=100), 6))
    for labels, more in ((soft, True), ((generator.random(600) < soft).astype(float), False)):
        found = compute_scores(accumulate(layer(truth, 0.0), x, labels, np.arange(600) // 6))
        for row in found.rows:
            assert ("labels scatter less" in row["note"]) == more
        assert (np.median(column(found.rows, "n_effective")) > 1000) == more


def test_weights_that_are_no_fit_have_no_p_values():
    x = correlated(94, 3000, 5)
    y = binary_labels(95, x)
    clusters = np.arange(3000) // 30
    drawn = layer(2 * np.random.default_rng(96).normal(size=5), 0.0)
    for given in ((x, y, clusters), (x,)):
        scores = compute_scores(accumulate(drawn, *given))
        assert not scores.measures["weights_fitted"]
        for row in (*scores.rows, *scores.groups):
            assert row["log10_p"] is None
            assert row["log10_p_robust"] is None
        assert all(row["z"] is not None for row in scores.rows)


def test_shares_of_the_information_do_not_grow_with_the_sample_and_count_no_constants():
    x = correlated(97, 1500, 6)
    x[:, 4] = 2.5
    weights = np.random.default_rng(98).normal(size=6)
    once = compute_scores(accumulate(layer(weights, 0.1), x))
    twice = compute_scores(accumulate(layer(weights, 0.1), np.concatenate([x, x])))
    p = special.expit(x @ weights + 0.1)
    w = p * (1 - p)
    expected = np.array([np.average((c - np.average(c, weights=w)) ** 2, weights=w) for c in (x * weights).T])
    found = column(once.rows, "information_share")
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(column(twice.rows, "information_share"), found, rtol=1e-9, atol=1e-15)
    assert found[4] < 1e-15
    assert once.rows[4]["information"] > 1
    np.testing.assert_allclose(column(twice.rows, "share"), column(once.rows, "share"), rtol=1e-9)
    sensors = [group for group in once.groups if group["kind"] == "sensor"]
    assert sum(group["information_share"] for group in sensors) == pytest.approx(1.0)
    assert sum(group["share"] for group in sensors) == pytest.approx(1.0)
    assert COLUMNS[-4:] == ("note", "share", "rank", "information_share")
