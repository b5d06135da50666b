"""Samples of features: correctness, classes, merging."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.core.features.samples import UNKNOWN, FeatureSamples, merged


def some(n: int, seed: int = 0, scene: str = "a", **covariates: np.ndarray) -> FeatureSamples:
    """Return samples of two features."""
    draw = np.random.default_rng(seed)
    f = draw.normal(size=(n, 2))
    predicted = draw.integers(0, 2, n)
    return FeatureSamples(
        features=("x", "y"),
        classes=("water", "ice"),
        scenes=(scene,),
        f=f,
        logit=f.sum(axis=1),
        label=np.where(np.arange(n) % 3 == 0, UNKNOWN, np.arange(n) % 2),
        predicted=predicted,
        scene=np.zeros(n, int),
        pixels=np.full(n, 9),
        bounds=np.zeros((n, 4), int),
        names=tuple(f"{scene}{i}" for i in range(n)),
        minimum=f.min(axis=1),
        maximum=f.max(axis=1),
        covariates=covariates,
    )


def test_a_sample_without_label_counts_as_correct_and_belongs_to_its_predicted_class():
    samples = some(7)
    for i in range(7):
        known = i % 3 != 0
        assert samples.correct[i] == (not known or samples.predicted[i] == i % 2)
        assert samples.group[i] == (i % 2 if known else samples.predicted[i])


def test_merged_samples_keep_their_scene_and_lack_covariates_that_only_others_have():
    both = merged([some(3, scene="a", month=np.ones(3)), some(2, 1, scene="b")])
    assert [both.scenes[i] for i in both.scene] == ["a", "a", "a", "b", "b"]
    np.testing.assert_array_equal(both.covariates["month"], [1, 1, 1, np.nan, np.nan])
    last = both.chosen(both.scene == 1)
    np.testing.assert_array_equal(last.f, some(2, 1).f)
    assert last.names == ("b0", "b1")


def test_parts_of_different_length_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        some(3, month=np.ones(2))
