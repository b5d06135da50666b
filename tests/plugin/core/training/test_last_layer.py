"""The last layer at its maximum: Newton's method against statsmodels, and what it says of its distance."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from floelens.plugin.core.training.last_layer import Rows, fit_last_layer, set_weights, weights_of
from torch import nn


def drawn(rows: int, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Return components (row, 4) and the chances of the classes (row, class) that follow from them."""
    draw = np.random.default_rng(outputs)
    components = (draw.normal(size=(rows, 4)) * [1.0, 5.0, 0.2, 1.0]).astype(np.float32)
    logits = components @ draw.normal(size=(4, outputs)) * 0.5 + draw.normal(size=outputs)
    chances = np.exp(logits)
    return components, chances / chances.sum(axis=1, keepdims=True)


def test_soft_targets_are_fitted_as_by_an_independent_regression():
    components, chances = drawn(3000, 2)
    target = np.round(chances[:, 1] * 9.0) / 9.0
    fit = fit_last_layer(Rows(components, target, 1))
    model = sm.GLM(target, sm.add_constant(components.astype(float)), family=sm.families.Binomial())
    np.testing.assert_allclose(fit.weights[0], model.fit(tol=1e-14).params, rtol=1e-6)
    assert fit.shift < 1e-6
    assert fit.score < 1e-8


def test_classes_are_fitted_as_by_an_independent_regression():
    components, chances = drawn(3000, 3)
    draw = np.random.default_rng(1)
    target = np.array([draw.choice(3, p=row) for row in chances]).astype(np.uint8)
    fit = fit_last_layer(Rows(components, target, 3))
    model = sm.MNLogit(target, sm.add_constant(components.astype(float))).fit(disp=0, tol=1e-12, maxiter=200)
    np.testing.assert_allclose((fit.weights[1:] - fit.weights[0]).T, model.params, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(fit.weights.sum(axis=0), 0.0, atol=1e-12)
    assert fit.loss == pytest.approx(-model.llf / 3000, rel=1e-9)


def test_a_first_look_at_a_part_of_many_rows_ends_where_all_rows_say():
    components, chances = drawn(60_000, 2)
    few = fit_last_layer(Rows(components, chances[:, 1], 1), most=0)
    whole = fit_last_layer(Rows(components, chances[:, 1], 1))
    assert few.shift > 10.0
    assert whole.shift < 1e-6
    assert fit_last_layer(Rows(components, chances[:, 1], 1), whole.weights, most=0).shift < 1e-6


def test_a_component_that_is_always_zero_gets_no_weight_and_moves_no_other():
    components, chances = drawn(2000, 2)
    dead = np.concatenate([components, np.zeros((2000, 1), np.float32)], axis=1)
    with_it, without = (fit_last_layer(Rows(part, chances[:, 1], 1)) for part in (dead, components))
    assert with_it.weights[0, -1] == 0.0
    np.testing.assert_allclose(with_it.weights[0, :-1], without.weights[0], rtol=1e-7)


def test_a_prior_draws_weights_towards_zero_but_for_the_bias():
    components, chances = drawn(2000, 2)
    free, bound = (fit_last_layer(Rows(components, chances[:, 1], 1), prior=value) for value in (0.0, 100.0))
    assert np.abs(bound.weights[0, 1:]).max() < 0.02 < np.abs(free.weights[0, 1:]).max()
    mean = chances[:, 1].mean()
    assert bound.weights[0, 0] == pytest.approx(np.log(mean / (1.0 - mean)), abs=0.05)


def test_a_row_that_counts_thrice_is_a_row_given_three_times():
    components, chances = drawn(1500, 2)
    counts = np.where(np.arange(1500) < 400, 3.0, 1.0)
    thrice = np.repeat(np.arange(1500), counts.astype(int))
    counted = fit_last_layer(Rows(components, chances[:, 1], 1, counts))
    given = fit_last_layer(Rows(components[thrice], chances[thrice, 1], 1))
    np.testing.assert_allclose(counted.weights, given.weights, rtol=1e-8)
    assert counted.loss == pytest.approx(given.loss, rel=1e-12)


def test_weights_go_into_a_layer_and_come_back():
    layer, weights = nn.Conv2d(4, 3, 1), np.arange(15.0).reshape(3, 5)
    set_weights(layer, weights)
    np.testing.assert_array_equal(weights_of(layer), weights)
