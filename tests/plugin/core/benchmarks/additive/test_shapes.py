"""Squares and circles: what is drawn, and the three failures on maps whose values are known."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.core.benchmarks.additive.breaking import broken, without_network
from floelens.plugin.core.benchmarks.additive.failures import failures
from floelens.plugin.core.benchmarks.additive.shapes import Shapes
from scipy import ndimage


@pytest.fixture(scope="module")
def drawn():
    return Shapes().samples(3, 60)


def test_an_image_is_covered_by_up_to_two_frames_of_each_kind_of_which_one_covers_more(drawn):
    inputs, truth = drawn
    assert inputs.shape == (60, 65, 65)
    assert set(np.unique(inputs)) == {0.0, 1.0}
    for image, contributions, of_class in zip(inputs, truth.contributions, truth.classes):
        assert contributions.sum() > 0  # the class is that of what covers more
        np.testing.assert_array_equal(np.abs(contributions), image)
        signs = contributions if of_class == 1 else -contributions
        counts = [ndimage.label(signs == sign, np.ones((3, 3)))[1] for sign in (1, -1)]
        assert max(counts) <= 2
        for sign, kind in ((1, "square"), (-1, "circle")):
            frames, number = ndimage.label(signs == sign, np.ones((3, 3)))
            for frame in range(1, number + 1):
                rows, cols = np.nonzero(frames == frame)
                corner = (frames == frame)[rows.min(), cols.min()]
                assert corner == (kind == "square")
    np.testing.assert_allclose(truth.target, truth.contributions.mean((1, 2)))
    assert 15 < truth.classes.sum() < 45


def test_the_same_images_are_drawn_inverted(drawn):
    inputs, truth = drawn
    inverted, same = Shapes(inverted=True).samples(3, 60)
    np.testing.assert_array_equal(inverted, 1 - inputs)
    np.testing.assert_array_equal(same.contributions, truth.contributions)


def test_the_truth_shows_no_failure_and_maps_with_one_show_it(drawn):
    inputs, truth = drawn
    there = truth.contributions
    perfect = failures(there, there, inputs)
    assert set(perfect) == {"smooth", "against"}  # shapes are not zero here
    assert (perfect["smooth"] == 1).all()
    assert (perfect["against"] == 1).all()
    assert 0 < len(perfect["against"]) < 60  # images of one kind say nothing
    shattered = np.random.default_rng(0).standard_normal(there.shape)
    assert failures(shattered, there, inputs)["smooth"].mean() == pytest.approx(0.5, abs=0.01)
    assert (failures(np.abs(there), there, inputs)["against"] == 0).all()
    zero = 1 - inputs
    assert (failures(there, there, zero)["zero_seen"] == 1).all()
    assert (failures(there * zero + zero, there, zero)["zero_seen"] == 0).all()
    assert np.isnan(failures(np.zeros_like(there), there, zero)["zero_seen"]).all()


def test_broken_maps_are_what_their_names_say():
    maps = np.random.default_rng(0).normal(size=(4, 1, 9))
    found = broken(maps, seed=0)
    np.testing.assert_array_equal(found["broken_sign"], -maps)
    np.testing.assert_array_equal(found["broken_shifted"][:, 0, 1:], maps[:, 0, :-1])
    assert not np.array_equal(found["broken_swapped"], maps)
    np.testing.assert_array_equal(np.sort(found["broken_swapped"], 2), np.sort(maps, 2))
    image = np.zeros((1, 5, 5))
    image[0, 2, 2] = 1.0
    assert broken(image, 0)["broken_shifted"][0, 3, 3] == 1
    assert set(without_network(maps, 0)) == {"random"}
    edges = without_network(image, 0)["sobel"]
    assert edges[0, 2, 2] == 0
    assert edges[0, 2, 1] > 0
