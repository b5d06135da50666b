"""Distributions of features: what is planted is found and named, nothing is named on clean samples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from floelens.plugin.core.distributions.comparisons import differences, distances
from floelens.plugin.core.distributions.confounders import associations
from floelens.plugin.core.distributions.exchange import exchanged, least_p, unit_groups
from floelens.plugin.core.distributions.outliers import outliers
from floelens.plugin.core.distributions.redundancy import correlations, redundant_pairs
from floelens.plugin.core.distributions.run import analyse
from floelens.plugin.core.distributions.separation import separations
from floelens.plugin.core.distributions.table import FeatureTable, effective_sizes
from floelens.plugin.ground.vocabulary.feature_findings import (
    CONFOUNDER,
    DEAD,
    OUTLIER,
    OVERFITTING,
    REDUNDANT,
    SHIFT,
)
from floelens.tests.plugin.core.distributions.planted import NAMES, planted, trained
from scipy import stats
from scipy.ndimage import gaussian_filter

SEEDS = range(20)


def found(table, kind):
    return [each for each in analyse(table).findings if each.kind == kind]


def test_nothing_is_named_on_clean_samples():
    for seed in SEEDS:
        assert analyse(planted(seed)).findings == (), seed


def test_a_feature_driven_by_the_incidence_angle_alone_is_named_with_it_and_no_other_feature_is():
    for seed in SEEDS[:8]:
        (only,) = found(planted(seed, confounder=4), CONFOUNDER)
        assert (only.features, only.what) == ((NAMES[4],), "incidence_angle"), seed
        assert only.effect > 0.8
        # The column goes with the angle in every scene of this kind: the two are not told apart.
        assert "column" in only.alike
        assert only.also == ()


def test_a_second_covariate_that_acts_beside_the_first_is_not_one_that_cannot_be_distinguished():
    for seed in SEEDS[:3]:
        table = planted(seed, confounder=4)
        values, row = table.values.copy(), table.covariates["row"]
        values[:, 4] = (table.covariates["incidence_angle"] - 33.0) / 8.0 + 0.7 * (row - 3.0) / 2.0
        (only,) = found(replace(table, values=values), CONFOUNDER)
        assert (only.what, only.also) == ("incidence_angle", ("row",)), seed
        assert set(only.alike) == {"column", "sub_swath"}


def test_repeated_and_dead_features_and_an_unusual_sample_are_named():
    for seed in SEEDS[:4]:
        result = analyse(planted(seed, duplicate=(2, 7), dead=9, outlier=100))
        named = {each.kind: each for each in result.findings}
        assert set(named) == {REDUNDANT, DEAD, OUTLIER}, seed
        assert named[REDUNDANT].features == (NAMES[2], NAMES[7])
        assert named[DEAD].features == (NAMES[9],)
        assert named[OUTLIER].sample == 100
        assert result.pairs[0].same


def test_a_network_that_knows_its_training_scenes_by_heart_is_called_overfitted_and_a_clean_one_is_not():
    for seed in SEEDS[:6]:
        (overfitted,) = found(trained(seed, scenes=30, side=2, ridge=1e-3, hidden=60), OVERFITTING)
        assert overfitted.effect > 0.3, seed
        assert overfitted.features
    for seed in SEEDS[:6]:
        assert analyse(trained(seed, scenes=60, side=4, ridge=1.0, hidden=12)).findings == (), seed


def test_a_feature_that_other_scenes_have_otherwise_is_a_shift():
    table = planted(1, scenes=32)
    values = table.values.copy()
    values[table.groups["split"] == "test", 5] += 2.0 * table.sd[5]
    shifted = found(replace(table, values=values), SHIFT)
    assert {each.features for each in shifted} == {(NAMES[5],)}
    assert {(each.what, *each.also[:2]) for each in shifted} == {("split", "train", "test")}
    assert all(each.effect == pytest.approx(2.0, abs=0.6) for each in shifted)


def test_distances_are_those_of_scipy_whatever_the_ties():
    draw = np.random.default_rng(3)
    values = np.round(draw.normal(size=(60, 4)), 1)
    values[:, 3] = np.maximum(values[:, 3], 0.0)
    first = draw.random((5, 60)) < 0.4
    ks, wasserstein = distances(values, first)
    for at, own in enumerate(first):
        for k in range(4):
            assert ks[at, k] == pytest.approx(
                stats.ks_2samp(values[own, k], values[~own, k]).statistic, abs=1e-12
            )
            expected = stats.wasserstein_distance(values[own, k], values[~own, k])
            assert wasserstein[at, k] == pytest.approx(expected, abs=1e-12)


def test_dependent_samples_do_not_make_differences():
    """Naively, smooth scenes differ in most features; with whole scenes exchanged 5 % are at 5 %."""
    naive, honest = [], []
    for seed in range(12):
        table = planted(seed)
        rows = differences(table, "split", seed)
        honest += [row.p for row in rows]
        train = table.groups["split"] == "train"
        for at in range(2):
            own = table.label == at
            naive += [
                stats.ks_2samp(table.values[train & own, k], table.values[~train & own, k]).pvalue
                for k in range(len(NAMES))
            ]
    assert np.mean(np.array(naive) <= 0.05) > 0.5
    assert np.mean(np.array(honest) <= 0.05) < 0.12


def test_what_differs_from_scene_to_scene_is_no_confounder_and_no_shift_of_two_scenes():
    scene = np.repeat([0, 1], 36)
    groups = {"season": np.array(["winter", "summer"])[scene], "split": np.array(["train", "test"])[scene]}
    for seed in SEEDS[:5]:
        draw = np.random.default_rng(seed)
        values = draw.normal(size=(72, 18))
        values[:, :6] += 0.7 * draw.normal(size=(2, 6))[scene]
        table = FeatureTable(
            tuple(f"f{k:02d}" for k in range(18)),
            values,
            ("ice",),
            np.zeros(72, int),
            0,
            np.arange(72),
            covariates={"month": np.array([1.0, 7.0])[scene]},
            groups=groups,
            scene=scene,
        )
        result = analyse(table)
        assert not {CONFOUNDER, SHIFT, OVERFITTING} & {each.kind for each in result.findings}, seed
        assert {CONFOUNDER, SHIFT}.isdisjoint(result.tested)
        assert np.isnan([row.q for row in (*result.differences, *result.associations)]).all()


def test_smooth_features_of_one_scene_are_not_tied_to_the_position():
    place = np.indices((14, 14)).reshape(2, -1).astype(float)
    for seed in SEEDS[:5]:
        draw = np.random.default_rng(seed)
        fields = [gaussian_filter(draw.normal(size=(38, 38)), 3.0)[12:-12, 12:-12].ravel() for _ in NAMES]
        table = FeatureTable(
            NAMES,
            np.column_stack(fields),
            ("ice",),
            np.zeros(196, int),
            0,
            np.arange(196) // 4,
            covariates={"row": place[0], "column": place[1], "incidence_angle": 20.0 + 2.0 * place[1]},
            scene=np.zeros(196, int),
        )
        result = analyse(table)
        assert not [each for each in result.findings if each.kind == CONFOUNDER], seed
        assert max(row.partial_r2 for row in result.associations) > 0.1  # what a test by blocks would name


def test_what_is_corrected_for_is_all_pairs_of_groups():
    draw = np.random.default_rng(4)
    scene = np.repeat(np.arange(40), 8)
    table = FeatureTable(
        ("a", "b"),
        draw.normal(size=(320, 2)),
        ("ice",),
        np.zeros(320, int),
        0,
        scene,
        groups={"season": np.array(["winter", "spring", "summer", "autumn"])[scene % 4]},
    )
    rows = differences(table, "season")
    assert len(rows) == 8
    p = np.sort([row.p for row in rows])
    expected = [min(p[at] * 8 / (at + 1) for at in range(first, 8)) for first in range(8)]
    np.testing.assert_allclose(np.sort([row.q for row in rows]), expected, rtol=1e-12)


def test_samples_far_away_that_are_too_few_or_too_many_to_be_outliers_make_no_pair():
    for number, far in ((18, 1), (40, 3)):
        for seed in SEEDS:
            draw = np.random.default_rng(seed)
            values = draw.normal(size=(number, 6))
            values[:far] += 30.0 * draw.choice([-1.0, 1.0], 6)
            label = np.zeros(number, int)
            table = FeatureTable(tuple("abcdef"), values, ("ice",), label, 0, np.arange(number))
            result = analyse(table)
            assert not [each for each in result.findings if each.kind == REDUNDANT], (number, seed)
            if number == 40:  # one far sample does not hide the other
                assert {each.sample for each in result.outliers} == set(range(far))
            else:
                assert any("18 samples do not tell which" in note for note in result.notes)


@pytest.mark.parametrize(("features", "distance"), [(6, 40.0), (84, 12.0)])
def test_a_tenth_of_far_samples_is_found_though_they_hide_each_other_and_clean_ones_are_not(
    features, distance
):
    for seed in SEEDS[:6]:
        draw = np.random.default_rng(seed)
        number = 200
        values = draw.normal(size=(number, features)) @ draw.normal(size=(features, features))
        values[:, ::3] = np.maximum(
            values[:, ::3], 0
        )  # rectified features, which are zero in half of the samples
        clean = FeatureTable(
            tuple(map(str, range(features))), values, ("ice",), np.zeros(number, int), 0, np.arange(number)
        )
        assert outliers(clean)[1] == (), seed
        far = values.copy()
        # All in one direction: they bend mean, spread and correlation towards themselves.
        far[: number // 10] += distance * clean.sd * draw.choice([-1.0, 1.0], features)
        found = outliers(replace(clean, values=far))[1]
        assert {each.sample for each in found} == set(range(number // 10)), seed


def test_units_stay_together_and_few_of_them_allow_no_small_p_value():
    unit = np.repeat([7, 3, 9, 4], 5)
    first = np.isin(unit, (7, 4))
    by_unit, at = unit_groups(first, unit)
    assert np.array_equal(by_unit[at], first)
    draws = exchanged(by_unit, 50, 0)
    assert (draws.sum(axis=1) == 2).all()
    assert least_p(by_unit) == pytest.approx(1 / 6)
    result = analyse(planted(0, scenes=4))
    assert result.findings == ()
    assert any("'split' were not tested: 4 scenes" in note for note in result.notes)
    assert any("follow incidence angle, " in note and "4 scenes cannot tell" in note for note in result.notes)
    assert result.associations  # how much they go together is there, without a verdict
    assert all(np.isnan([row.p, row.q]).all() and row.partial_r2 >= 0 for row in result.associations)


def test_what_a_covariate_explains_is_what_a_regression_says():
    table = planted(5)
    k, angle = 6, stats.rankdata(table.covariates["incidence_angle"])
    angle = 2 * (angle - 1) / (len(angle) - 1) - 1
    others = table.values.sum(axis=1) - table.values[:, k]
    own = np.eye(2)[table.label]
    granted = np.column_stack([own, own * others[:, None], own * others[:, None] ** 2])
    columns = np.column_stack([angle, angle**2])

    def rest(design):
        return np.square(
            table.values[:, k] - design @ np.linalg.lstsq(design, table.values[:, k], rcond=None)[0]
        ).sum()

    expected = 1 - rest(np.column_stack([granted, columns])) / rest(granted)
    row = next(each for each in associations(table, "incidence_angle") if each.feature == NAMES[k])
    assert row.partial_r2 == pytest.approx(expected, abs=1e-9)
    assert row.units == 16


def test_with_two_codes_the_test_over_scenes_is_that_of_student():
    draw = np.random.default_rng(0)
    unit = np.repeat(np.arange(20), 6)
    code = draw.integers(0, 2, 120).astype(float)
    values = draw.normal(size=(120, 2)) + draw.normal(size=20)[unit][:, None]
    table = FeatureTable(
        ("a", "b"),
        values,
        ("ice",),
        np.zeros(120, int),
        0,
        unit,
        covariates={"sub_swath": code},
        categorical=frozenset({"sub_swath"}),
    )
    design = np.column_stack([np.ones(120), values[:, 1], values[:, 1] ** 2])
    left = [v - design @ np.linalg.lstsq(design, v, rcond=None)[0] for v in (values[:, 0], code)]
    sums = np.array([(left[0] * left[1])[unit == at].sum() for at in range(20)])
    row = associations(table, "sub_swath")[0]
    assert row.p == pytest.approx(stats.ttest_1samp(sums, 0.0).pvalue, rel=1e-9)


def test_samples_are_worth_between_their_number_and_that_of_the_scenes():
    draw = np.random.default_rng(2)
    unit = np.repeat(np.arange(30), 20)
    values = np.column_stack([draw.normal(size=600), draw.normal(size=30)[unit]])
    table = FeatureTable(("free", "bound"), values, ("ice",), np.zeros(600, int), 0, unit)
    free, bound = effective_sizes(table)
    assert free > 300
    assert bound == pytest.approx(30, abs=1e-6)


def test_correlations_are_within_the_classes_and_one_far_sample_makes_no_pair():
    table = planted(3, outlier=5)
    centred = (
        table.values
        - np.array([table.values[table.label == each].mean(axis=0) for each in (0, 1)])[table.label]
    )
    expected = np.corrcoef(centred.T)
    np.testing.assert_allclose(correlations(table), expected, atol=1e-9)
    assert outliers(table)[1][0].sample == 5
    assert not analyse(table).pairs
    few = FeatureTable(
        ("a", "b"),
        np.ones((4, 1)) * [[1.0, 2.0]] * [[1], [2], [3], [5]],
        ("ice",),
        np.zeros(4, int),
        0,
        np.zeros(4, int),
    )
    assert redundant_pairs(few) == ()  # four samples of one scene do not tell


def test_separation_is_that_of_the_means_inside_the_scenes():
    table = planted(2)
    rows = separations(table)
    train = table.groups["split"] == "train"
    total = table.values.sum(axis=1)
    for split, value in ((train, rows[0].train), (~train, rows[0].test)):
        top = bottom = 0.0
        for scene in range(16):
            ice, water = (split & (table.unit == scene) & (table.label == each) for each in (1, 0))
            if ice.any() and water.any():
                weight = ice.sum() * water.sum() / (ice.sum() + water.sum())
                top += weight * (total[ice].mean() - total[water].mean())
                bottom += weight
        squares = sum(
            np.square(total[own] - total[own].mean()).sum()
            for own in (split & table.label.astype(bool), split & (table.label == 0))
        )
        assert value == pytest.approx(top / bottom / np.sqrt(squares / split.sum()), rel=1e-9)


def test_a_table_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="do not fit"):
        FeatureTable(("a",), np.zeros((3, 1)), ("ice",), np.zeros(2, int), 0, np.zeros(3, int))
    with pytest.raises(ValueError, match="not finite"):
        FeatureTable(("a",), np.full((3, 1), np.nan), ("ice",), np.zeros(3, int), 0, np.zeros(3, int))
