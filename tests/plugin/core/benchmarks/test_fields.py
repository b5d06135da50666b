"""Fields of the Earth: classes by an index, draws from a covariance, and data that cannot serve."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.core.benchmarks.fields import Fields, drawn_fields
from floelens.plugin.ground.errors import ParameterError, SceneError


def box(rows: int = 8, cols: int = 9) -> np.ndarray:
    inside = np.zeros((rows, cols), dtype=bool)
    inside[2:4, 3:6] = True
    return inside


def test_drawn_fields_have_the_covariance_they_were_drawn_from():
    mask = np.ones((2, 2), dtype=bool)
    mask[1, 0] = False
    factor = np.array([[1.0, 0, 0], [0.5, 1.0, 0], [-0.3, 0.2, 0.7]])
    fields = drawn_fields(factor @ factor.T, mask, 20000, seed=0)
    assert np.isnan(fields[:, 1, 0]).all()
    np.testing.assert_allclose(np.cov(fields[:, mask].T), factor @ factor.T, atol=0.05)


def test_the_class_is_the_side_of_the_median_of_the_mean_over_the_box():
    fields = np.random.default_rng(0).normal(3.0, 2.0, (60, 8, 9))
    fields[:, 0, 0] = np.nan  # land
    fields[:, 7, 7] = 4.0  # does not vary
    fields[5, 6, 6] = np.nan
    fields[0, 5, 5] = 1e6  # an outlier, capped
    inputs, truth = Fields(fields, box()).samples(3)
    order = np.random.default_rng([3, 5]).permutation(60)
    index = fields[order][:, 2:4, 3:6].mean((1, 2))
    np.testing.assert_array_equal(truth.classes, index <= np.median(index))
    assert (~truth.valid).sum() == 3
    assert (inputs[:, ~truth.valid] == 0).all()
    assert np.abs(inputs).max() == 1.0  # five standard deviations
    cell = fields[order][:, 1, 1]
    np.testing.assert_allclose(inputs[:, 1, 1], (cell - cell.mean()) / cell.std() / 5)


def test_what_cannot_serve_is_refused_with_a_sentence():
    fields = np.random.default_rng(0).normal(size=(60, 8, 9))
    with pytest.raises(SceneError, match="at least 40 fields"):
        Fields(fields[:30], box())
    with pytest.raises(SceneError, match="8 × 8 cells"):
        Fields(fields[:, :5], box()[:5])
    fields[3, 2:4, 3:6] = np.nan
    with pytest.raises(ParameterError, match="INDEX_BOX holds no cell"):
        Fields(fields, box())
