"""The common scale: the authors' end points, merging in any order, what it is refused for; importance of features."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from floelens.plugin.core.features.importance import (
    PREDICTED,
    correlations,
    importance,
    kept_number,
    top_mask,
)
from floelens.plugin.core.features.scale import CommonScale, ScaleKey, check_key, merged_scales, per_sample
from floelens.plugin.ground.errors import ParameterError
from floelens.tests.plugin.core.features.test_samples import some

KEY = ScaleKey("net", "0" * 64, "relu6", "full", "logit of 'ice'")


def of(scene: str, seed: int, n: int = 11, key: ScaleKey = KEY) -> CommonScale:
    draw = np.random.default_rng(seed)
    low = draw.normal(-2, 1, n)
    return CommonScale.of(key, scene, low, low + draw.gamma(2, 2, n))


def test_linear_and_tanh_forms_have_the_authors_end_points():
    scale = of("a", 0)
    pairs = scale.extremes["a"]
    assert scale.low == np.median(pairs[:, 0])
    assert scale.high == pytest.approx(np.sort(pairs[:, 1])[9])  # 90 % of 11 values: the tenth
    ends = np.array([scale.low, scale.high])
    np.testing.assert_allclose(scale.applied(ends), [0, 1], atol=1e-12)
    np.testing.assert_allclose(scale.applied(ends, "tanh"), [0.05, 0.95], atol=1e-12)
    expected = (3.0 - 1.5 * scale.low) / (1.5 * (scale.high - scale.low))
    assert scale.applied(np.array(3.0), width=1.5) == pytest.approx(expected, abs=1e-12)
    slope = (math.atanh(0.95) - math.atanh(0.05)) / (scale.high - scale.low)
    expected = math.tanh(slope * 3.0 + math.atanh(0.05) - slope * scale.low)
    assert scale.applied(np.array(3.0), "tanh") == pytest.approx(expected, abs=1e-12)


def test_maps_without_negative_values_begin_at_zero():
    scale = of("a", 0, key=replace(KEY, cam="gradcam"))
    assert scale.low == 0.0
    assert scale.usable


def test_scales_merge_to_that_of_all_samples_in_any_order_and_through_files():
    parts = [of("a", 1, 7), of("b", 2, 20), of("c", 3, 5)]
    low = np.concatenate([each.extremes[name][:, 0] for each, name in zip(parts, "abc")])
    high = np.concatenate([each.extremes[name][:, 1] for each, name in zip(parts, "abc")])
    texts = set()
    for order in itertools.permutations(parts):
        read = [CommonScale.from_json(each.to_json(), "file") for each in order]
        both = merged_scales([merged_scales(read[:2]), read[2], read[0]])
        assert both.low == pytest.approx(np.percentile(low, 50), abs=1e-9)
        assert both.high == pytest.approx(np.percentile(high, 90), abs=1e-9)
        texts.add(both.to_json())
    assert len(texts) == 1


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("model", "other", "another model"),
        ("weights_sha256", "1" * 64, "another weights"),
        ("layer", "relu2", "another NETWORK_LAYER"),
        ("cam", "gradcam", "another CAM"),
        ("target", "logit of 'water'", "another target"),
    ],
)
def test_a_scale_of_anything_else_is_refused_with_what_differs(field, value, said):
    with pytest.raises(ParameterError, match=said):
        check_key(of("a", 0), replace(KEY, **{field: value}), "scale.json")


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": "floelens-cam-scale", "format_version": 1}'])
def test_a_file_that_is_no_scale_is_refused(text):
    with pytest.raises(ParameterError, match="is no scale"):
        CommonScale.from_json(text, "scale.json")


def test_a_scale_of_a_later_version_and_other_samples_of_a_scene_are_refused():
    text = of("a", 0).to_json().replace('"format_version": 1', '"format_version": 2')
    with pytest.raises(ParameterError, match="version 2"):
        CommonScale.from_json(text, "scale.json")
    with pytest.raises(ParameterError, match="other samples"):
        merged_scales([of("a", 0), of("a", 1)])


def test_importance_is_the_mean_of_correct_samples_and_the_order_that_of_its_difference():
    samples = some(40)
    found = importance(samples)
    sums, counts = np.zeros((2, 2)), np.zeros(2)
    for i in range(len(samples)):
        if samples.label[i] in (-1, samples.predicted[i]):
            group = samples.predicted[i]
            sums[group] += samples.f[i]
            counts[group] += 1
    overall = sums.sum(0) / counts.sum()
    np.testing.assert_allclose(found.overall, overall, rtol=1e-9)
    np.testing.assert_allclose(found.by_class, sums / counts[:, None], rtol=1e-9)
    expected = np.argsort(-np.abs(sums[1] / counts[1] - overall))
    np.testing.assert_array_equal(found.order(1), expected)
    assert found.contrast(PREDICTED) is not None
    # Of the predicted class a feature is named with the class in which it differs most, and with its sign.
    away = sums / counts[:, None] - overall
    np.testing.assert_array_equal(found.leading_class(PREDICTED), np.abs(away).argmax(0))
    np.testing.assert_array_equal(found.leading_class(1), [1, 1])
    assert replace(found, class_samples=np.array([0, 9])).leading_class(PREDICTED) is None


def test_of_one_class_alone_no_feature_is_more_than_another_class_has():
    samples = replace(some(6), predicted=np.ones(6, int), label=np.full(6, -1))
    found = importance(samples)
    assert found.contrast(1) is None
    np.testing.assert_array_equal(found.order(1), np.argsort(-np.abs(samples.f.mean(0))))


def test_a_share_is_at_least_one_feature():
    assert [kept_number(share, 18) for share in (0.01, 0.05, 0.25, 1.0)] == [1, 1, 4, 18]
    np.testing.assert_array_equal(top_mask(np.array([2, 0, 1]), 2), [True, False, True])


def test_correlations_leave_out_what_is_undefined():
    draw = np.random.default_rng(0)
    x = draw.normal(size=30)
    y = np.exp(x)
    x[4] = np.nan
    known = np.isfinite(x)
    pearson, spearman = correlations(x, y)
    assert pearson == pytest.approx(np.corrcoef(x[known], y[known])[0, 1], abs=1e-12)
    assert spearman == pytest.approx(1.0)
    np.testing.assert_array_equal(
        per_sample(np.array([1.0, 2.0]), np.zeros(2), np.array([4.0, 0.0]))[0], 0.25
    )
