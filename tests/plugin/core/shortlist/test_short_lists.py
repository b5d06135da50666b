"""Short lists: R² of logits from sums of products, skill against labels, orders side by side."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.core.shortlist.importance import importance
from floelens.plugin.core.shortlist.moments import Moments
from floelens.plugin.core.shortlist.reproduction import reproduction, suffices
from floelens.plugin.core.shortlist.run import ordered, short_lists
from floelens.plugin.core.shortlist.skill import (
    LabelledPixels,
    constant_skill,
    skill_curve,
    suffices_for_skill,
)
from floelens.plugin.core.zscores.sums.information import Component, OutputLayer
from floelens.plugin.core.zscores.sums.pixel_sums import pixel_sums
from scipy import special

M = 7


def layer_of(kind, outputs=1):
    generator = np.random.default_rng(outputs)
    parts = tuple(Component(f"part_{at}", "sar") for at in range(M))
    weights, bias = generator.normal(size=(outputs, M)), generator.normal(size=outputs)
    return OutputLayer("head", kind, tuple(f"class {k}" for k in range(outputs)), parts, weights, bias)


def components_of(n=400, seed=0):
    """Return components that depend on each other, with means of their own."""
    generator = np.random.default_rng(seed)
    return generator.normal(size=(n, 3)) @ generator.normal(size=(3, M)) + generator.normal(1.0, 0.6, (n, M))


def weights_of_pixels(layer, x):
    """Return how much each pixel counts in the pooled information: p(1-p), summed over pairs of classes."""
    logits = x @ layer.weights.T + layer.bias
    if layer.kind == "linear":
        return np.ones(len(x))
    p = special.softmax(logits, axis=1) if layer.kind == "softmax" else special.expit(logits)
    if layer.kind == "sigmoid":
        return p[:, 0] * (1 - p[:, 0])
    return 0.5 * (1 - np.square(p).sum(axis=1))


@pytest.mark.parametrize(("kind", "outputs"), [("sigmoid", 1), ("softmax", 4), ("linear", 1)])
def test_r2_from_the_sums_of_a_state_is_that_of_the_pixels(kind, outputs):
    layer, x = layer_of(kind, outputs), components_of()
    moments = Moments.of_sums(pixel_sums(layer, x, np.zeros((0, M), bool)).pairs.sum(axis=0))
    order = np.array([3, 0, 6, 1, 5, 2, 4])
    found = reproduction(moments, layer.weights, order)
    w = weights_of_pixels(layer, x)
    w = w / w.sum()
    beta = layer.weights - layer.weights.mean(axis=0) if outputs > 1 else layer.weights
    logits = x @ beta.T
    total = (w[:, None] * (logits - w @ logits) ** 2).sum()
    for k in range(M + 1):
        kept = order[:k]
        for fill, curve in ((w @ x, found.at_mean), (np.zeros(M), found.at_zero)):
            seen = np.where(np.isin(np.arange(M), kept), x, fill)
            missing = (w[:, None] * (logits - seen @ beta.T) ** 2).sum()
            assert curve[k] == pytest.approx(1 - missing / total, abs=1e-9)
        design = np.sqrt(w)[:, None] * np.column_stack([np.ones(len(x)), x[:, kept]])
        wanted = np.sqrt(w)[:, None] * logits
        rest = wanted - design @ np.linalg.lstsq(design, wanted, rcond=None)[0]
        assert found.refitted[k] == pytest.approx(1 - np.square(rest).sum() / total, abs=1e-9)


def test_pixels_counted_alike_give_the_moments_of_the_values():
    x = components_of()
    ones = np.column_stack([np.ones(len(x)), x])
    both = Moments.of_values(x), Moments.of_sums(ones.T @ ones)
    np.testing.assert_allclose(both[0].mean, both[1].mean, atol=1e-12)
    np.testing.assert_allclose(both[0].covariance, np.cov(x.T, bias=True), atol=1e-12)
    np.testing.assert_allclose(both[0].covariance, both[1].covariance, atol=1e-10)
    with pytest.raises(ValueError, match="weights of all pixels are zero"):
        Moments.of_sums(np.zeros((3, 3)))


def test_a_component_that_repeats_another_adds_nothing_to_fitted_weights():
    x = components_of()
    x[:, 4] = 2.0 - 3.0 * x[:, 1]
    x[:, 2] = 0.5  # dead
    found = reproduction(Moments.of_values(x), layer_of("sigmoid").weights, np.array([1, 4, 2, 0, 3, 5, 6]))
    assert found.refitted[2] == pytest.approx(found.refitted[1], abs=1e-12)
    assert found.refitted[3] == found.refitted[2]
    assert found.refitted[-1] == pytest.approx(1.0, abs=1e-9)


def test_a_map_without_structure_has_no_short_list():
    found = reproduction(Moments.of_values(np.ones((5, M))), layer_of("sigmoid").weights, np.arange(M))
    assert np.isnan(found.at_mean).all()
    assert suffices(found.at_mean) is None


def test_what_suffices_is_reached_for_good():
    assert suffices(np.array([0.0, 0.995, 0.7, 0.99, 1.0])) == 3
    assert suffices(np.array([1.0, 1.0])) == 0
    assert suffices(np.array([0.0, 0.98])) is None


@pytest.mark.parametrize(("kind", "outputs"), [("sigmoid", 1), ("softmax", 3), ("linear", 1)])
@pytest.mark.parametrize("fill", ["mean", "zero"])
def test_skill_is_that_of_a_map_made_without_the_others(kind, outputs, fill):
    layer, x = layer_of(kind, outputs), components_of(90)
    generator = np.random.default_rng(5)
    labels = {
        "sigmoid": generator.uniform(size=90),
        "softmax": generator.integers(0, 3, 90).astype(float),
        "linear": generator.normal(size=90),
    }[kind]
    order = np.array([2, 5, 0, 1, 6, 3, 4])
    found = skill_curve(LabelledPixels(kind, x, labels, layer.weights, layer.bias), order, fill)
    for k in range(M + 1):
        seen = np.where(np.isin(np.arange(M), order[:k]), x, x.mean(axis=0) if fill == "mean" else 0.0)
        logits = seen @ layer.weights.T + layer.bias
        if kind == "softmax":
            expected = np.mean(logits.argmax(axis=1) == labels)
        elif kind == "sigmoid":
            expected = np.sqrt(np.mean((100 / (1 + np.exp(-logits[:, 0])) - 100 * labels) ** 2))
        else:
            expected = np.sqrt(np.mean((logits[:, 0] - labels) ** 2))
        assert found[k] == pytest.approx(expected, abs=1e-9)


def test_skill_suffices_where_it_stays_near_that_of_all():
    assert suffices_for_skill(np.array([0.5, 0.9, 0.7, 0.89, 0.9]), "accuracy", 0.99, 0.5) == 4
    assert suffices_for_skill(np.array([30.0, 10.05, 12.0, 10.05, 10.0]), "rmse", 0.99, 30.0) == 3


def test_a_constant_map_never_keeps_the_skill():
    """Of 100 labels 99 are of one class: a constant is right at 99 % of them, and all components at 99.9 %."""
    assert suffices_for_skill(np.array([0.99, 0.99, 0.999]), "accuracy", 0.99, 0.99) == 2
    assert suffices_for_skill(np.array([0.99, 0.99]), "accuracy", 0.99, 0.99) is None
    assert suffices_for_skill(np.array([10.0, 9.95, 9.9]), "rmse", 0.99, 10.0) == 2
    assert suffices_for_skill(np.array([9.0, 10.0]), "rmse", 0.99, 9.0) is None
    kinds = {"softmax": np.array([0.0, 2.0, 2.0, 1.0]), "sigmoid": np.array([0.0, 1.0, 0.5, 0.5])}
    for kind, expected in (("softmax", 0.5), ("sigmoid", 100 * np.sqrt(0.125))):
        pixels = LabelledPixels(kind, np.zeros((4, 1)), kinds[kind], np.zeros((1, 1)), np.zeros(1))
        assert constant_skill(pixels) == pytest.approx(expected)


def test_importance_is_the_mean_part_of_a_class_less_that_of_all_where_the_map_is_right():
    layer, x = layer_of("softmax", 3), components_of(200)
    labels = np.random.default_rng(1).integers(0, 3, 200)
    beta = layer.weights - layer.weights.mean(axis=0)
    mapped = (x @ layer.weights.T + layer.bias).argmax(axis=1)
    expected = np.zeros(M)
    for k in range(M):
        for c in range(3):
            parts = [beta[c, k] * x[i, k] for i in range(200) if mapped[i] == labels[i]]
            own = [beta[c, k] * x[i, k] for i in range(200) if mapped[i] == labels[i] == c]
            expected[k] += abs(np.mean(own) - np.mean(parts)) / 3
    found = importance(LabelledPixels("softmax", x, labels.astype(float), layer.weights, layer.bias))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_importance_of_a_single_logit_is_that_of_the_pixels_above_its_threshold():
    layer, x = layer_of("sigmoid"), components_of(200)
    labels = np.random.default_rng(1).uniform(size=200)
    ice, mapped = labels >= 0.5, (x @ layer.weights[0] + layer.bias[0]) >= 0
    right = ice == mapped
    parts = layer.weights[0] * x
    expected = np.abs(parts[right & ice].mean(axis=0) - parts[right].mean(axis=0))
    found = importance(LabelledPixels("sigmoid", x, labels, layer.weights, layer.bias))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    alone = importance(LabelledPixels("sigmoid", x[ice], labels[ice], layer.weights, layer.bias))
    assert np.isnan(alone).all()


def test_components_of_one_value_keep_the_order_of_the_first_measure_and_blanks_come_last():
    values = np.array([2.0, np.nan, 5.0, 2.0, 5.0, 2.0, 0.0])
    tie = np.array([0.0, 9.0, 1.0, 7.0, 2.0, np.nan, 4.0])
    assert ordered(values, tie).tolist() == [4, 2, 3, 0, 5, 6, 1]
    x = components_of()
    lists = short_lists(
        {"z": tie, "group": values, "importance": np.full(M, np.nan)},
        Moments.of_values(x),
        layer_of("linear").weights,
    )
    assert [each.by for each in lists] == ["z", "group"]
    assert lists[1].order.tolist() == [4, 2, 3, 0, 5, 6, 1]
    assert lists[0].needed == suffices(lists[0].r2.at_mean)
