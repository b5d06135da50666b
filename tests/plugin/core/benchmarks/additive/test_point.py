"""Sums of known functions: each value by its definition, and the moments of what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.core.benchmarks.additive.agreement import MEASURES, agreement, pearson, spearman
from floelens.plugin.core.benchmarks.additive.piecewise import PiecewiseLinear, drawn
from floelens.plugin.core.benchmarks.additive.point import Points, merge
from floelens.plugin.ground.errors import ParameterError
from floelens.plugin.io.formats.fields import read_covariance, read_functions
from scipy.stats import pearsonr, spearmanr

COVARIANCE = np.array([[1.0, 0.6, -0.2], [0.6, 2.0, 0.1], [-0.2, 0.1, 0.5]])


def by_steps(breaks: np.ndarray, slopes: np.ndarray, x: float) -> float:
    """Return the integral of the slope from 0 to x, from one break point on the way to the next."""
    ends = [0.0, *sorted((b for b in breaks if min(0, x) < b < max(0, x)), reverse=bool(x < 0)), x]
    total = 0.0
    for begin, end in zip(ends, ends[1:]):
        piece = int((breaks < (begin + end) / 2).sum())
        total += slopes[piece] * (end - begin)
    return total


def test_a_contribution_is_the_integral_of_the_slope_from_zero():
    functions = drawn(COVARIANCE, seed=3)
    values = np.random.default_rng(0).normal(0, 2, (50, 3))
    values[0], values[1] = 0.0, functions.breaks[:, 1]
    expected = [
        [by_steps(functions.breaks[i], functions.slopes[i], x) for i, x in enumerate(row)] for row in values
    ]
    found = functions.contributions(values)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)
    assert (found[0] == 0).all()


def test_the_target_is_the_mean_of_the_contributions_and_the_inputs_have_the_covariance():
    points = Points.drawn(COVARIANCE, seed=0)
    inputs, truth = points.samples(0, 40_000)
    assert np.abs(truth.contributions.sum(1) / 3 - truth.target).max() < 1e-12
    np.testing.assert_allclose(np.cov(inputs.T), COVARIANCE, atol=0.05)
    np.testing.assert_array_equal(inputs, points.samples(0, 40_000)[0])
    assert not np.array_equal(truth.contributions, points.samples(1, 40_000)[1].contributions)
    nothing = points.functions.contributions(np.zeros((1, 3)))
    assert (nothing == 0).all()


def test_break_points_and_slopes_are_drawn_with_the_covariance_of_the_inputs():
    many = [drawn(COVARIANCE, seed) for seed in range(4000)]
    slopes = np.stack([functions.slopes[:, 2] for functions in many])
    np.testing.assert_allclose(np.cov(slopes.T), COVARIANCE, atol=0.12)
    for functions in many[:50]:
        assert functions.breaks.shape == (3, 5)
        assert functions.slopes.shape == (3, 6)
        assert ((functions.breaks == 0).sum(1) == 1).all()
    inner = np.stack([functions.breaks[functions.breaks != 0].reshape(3, 4) for functions in many])
    np.testing.assert_allclose((inner**2).mean((0, 2)), np.diag(COVARIANCE), rtol=0.05)


def test_inputs_that_are_one_and_the_same_are_merged_and_their_functions_added():
    twice = np.array([0, 1, 1, 2])
    covariance, groups = merge(COVARIANCE[np.ix_(twice, twice)])
    np.testing.assert_array_equal(covariance, COVARIANCE)
    np.testing.assert_array_equal(groups, twice)
    functions = drawn(COVARIANCE[np.ix_(twice, twice)], 1)
    values = np.random.default_rng(0).normal(size=(20, 3))
    single, merged = functions.contributions(values[:, twice]), functions.merged(groups)
    assert merged.number == 3
    expected = np.stack([single[:, 0], single[:, 1] + single[:, 2], single[:, 3]], axis=1)
    np.testing.assert_allclose(merged.contributions(values), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("breaks", "slopes", "named"),
    [
        (np.zeros((2, 5)), np.zeros((2, 5)), r"slopes of shape \(2, 6\)"),
        (np.array([[1.0, 0.0]]), np.zeros((1, 3)), "sorted"),
        (np.array([[0.0, np.inf]]), np.zeros((1, 3)), "finite"),
    ],
    ids=["shape", "order", "infinite"],
)
def test_functions_that_make_no_sense_are_refused(breaks, slopes, named):
    with pytest.raises(ParameterError, match=named):
        PiecewiseLinear(breaks, slopes)


def test_correlations_are_those_of_scipy_and_of_a_constant_map_there_is_none():
    maps, truth = np.random.default_rng(0).normal(size=(2, 6, 9))
    maps[:, 1] = maps[:, 0]  # ties
    for ours, theirs in ((pearson, pearsonr), (spearman, spearmanr)):
        expected = [theirs(*pair)[0] for pair in zip(maps, truth)]
        np.testing.assert_allclose(ours(maps, truth), expected, rtol=1e-12)
        np.testing.assert_allclose(ours(-3 * truth - 2, truth), -1)
        assert np.isnan(ours(np.full((6, 9), 0.1), truth)).all()


def test_maps_are_compared_with_contributions_their_sizes_and_what_speaks_for_the_prediction():
    contributions = np.array([[2.0, -1.0, 0.5], [-3.0, 1.0, 0.2]])
    predictions = contributions.mean(1)  # positive, negative
    speaking = np.array([[2.0, 0.0, 0.5], [-3.0, 0.0, 0.0]])  # relevance adds up to the prediction
    found = agreement(speaking, contributions, predictions)
    assert set(found) == {measure.word for measure in MEASURES}
    np.testing.assert_allclose(found["pearson_positive"], 1)
    np.testing.assert_allclose(found["spearman_positive"], 1)
    assert (found["pearson_absolute"] < 1).all()
    assert (found["pearson"] < 1).all()
    signless = agreement(np.abs(contributions), contributions, predictions)
    np.testing.assert_allclose(signless["pearson_absolute"], 1)
    np.testing.assert_allclose(agreement(3 * contributions, contributions, predictions)["spearman"], 1)


def test_the_published_function_of_sea_surface_temperature_is_read_in_the_order_of_its_cells(real_data):
    folder = real_data / "xai-cobe-covariances"
    covariance, mask, _ = read_covariance(folder / "sstanom_cov.npz")
    breaks, slopes = read_functions(folder / "pwl-fun.npz", mask)
    with np.load(folder / "pwl-fun.npz") as stored, np.load(folder / "sstanom_cov.npz") as given:
        edges, there = stored["edges"], given["mask"]
        expected = np.full(there.shape, np.nan)
        expected[there] = edges[:, 1]  # cells row by row from 0° E
    found = np.full(mask.shape, np.nan)
    found[mask] = breaks[:, 0]
    np.testing.assert_array_equal(found, np.roll(expected, 18, axis=1))
    smaller, groups = merge(covariance)
    assert len(smaller) == 459  # two of the 460 cells are one
    inputs, truth = Points(smaller, PiecewiseLinear(breaks, slopes, groups)).samples(0, 3000)
    design = np.concatenate([np.ones((3000, 1)), inputs], axis=1)
    off = truth.target - design @ np.linalg.lstsq(design, truth.target, rcond=None)[0]
    unexplained = (off**2).sum() / (3000 - 460) / truth.target.var()
    assert 1 - unexplained == pytest.approx(0.905, abs=0.015)  # a linear model cannot do more


def test_independent_inputs_have_the_same_functions_and_nothing_in_common_with_their_neighbours():
    places = np.linspace(0, 1, 200)
    points = Points.drawn(np.exp(-5 * np.abs(places[:, None] - places)), seed=1)
    alone = points.independent(seed=1)
    same = [sorted(map(tuple, each.functions.slopes)) for each in (points, alone)]
    assert same[0] == same[1]
    found = {}
    for name, generator in (("alike", points), ("independent", alone)):
        inputs, truth = generator.samples(3, 400)
        assert inputs.std() == pytest.approx(1, abs=0.05)
        shifted = np.roll(truth.contributions, 1, axis=1)
        found[name] = pearson(shifted, truth.contributions).mean()
    assert found["alike"] > 0.5
    assert abs(found["independent"]) < 0.15  # 200 functions in a row that were drawn once
    functions = alone.functions
    own = PiecewiseLinear(functions.breaks, functions.slopes).contributions(inputs[:, functions.reads])
    np.testing.assert_allclose(truth.contributions[:, functions.reads], own)
