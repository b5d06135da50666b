"""Sanity measures of networks whose values are known: linear ones, squares, and maps that know nothing."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from floelens.plugin.core.sanity.measures import infidelity, randomisation, relative_change, sparseness
from floelens.plugin.core.sanity.run import Explained, Joint, Settings, losses, random_sets, sanity
from floelens.plugin.ground.errors import NumericalError, ParameterError
from floelens.plugin.ground.vocabulary.sanity import SANITY_MEASURES
from scipy import stats

WEIGHTS = np.random.default_rng(1).normal(size=(3, 4))
INPUTS = np.random.default_rng(0).normal(size=(6, 3, 4))
BASELINE = np.full((3, 4), 0.3)


def linear(inputs: np.ndarray) -> np.ndarray:
    """Return the logits of a linear network of inputs (sample, 3, 4)."""
    return (inputs * WEIGHTS).sum((1, 2)) + 0.7


def parts(inputs: np.ndarray, baseline: np.ndarray | float = BASELINE) -> np.ndarray:
    return (inputs - baseline) * WEIGHTS


def batches(inputs: np.ndarray = INPUTS, at_once: int = 4) -> list[np.ndarray]:
    return [inputs[at : at + at_once] for at in range(0, len(inputs), at_once)]


def test_the_map_of_a_linear_network_is_faithful_and_a_map_of_noise_is_not():
    good = sanity(batches(), Explained(linear, parts, BASELINE))
    np.testing.assert_allclose(good["infidelity"], 0, atol=1e-20)
    np.testing.assert_allclose(good["faithfulness_correlation"], 1)
    noise = np.random.default_rng(2)
    poor = sanity(batches(), Explained(linear, lambda x: noise.normal(size=x.shape), BASELINE))
    assert poor["infidelity"].min() > 0.3
    assert poor["faithfulness_correlation"].mean() < 0.6
    assert poor["mean_sensitivity"].min() > 0.5
    empty = sanity(batches(), Explained(linear, np.zeros_like, BASELINE))
    np.testing.assert_allclose(empty["infidelity"], 1)
    for name in ("faithfulness_correlation", "sparseness", "max_sensitivity"):
        assert np.isnan(empty[name]).all()


def test_slopes_predict_a_loss_by_the_distance_from_the_baseline():
    slopes = Explained(linear, lambda x: np.broadcast_to(WEIGHTS, x.shape).copy(), BASELINE, slopes=True)
    found = sanity(batches(), slopes)
    np.testing.assert_allclose(found["infidelity"], 0, atol=1e-20)
    np.testing.assert_allclose(found["max_sensitivity"], 0)
    as_parts = sanity(batches(), Explained(linear, slopes.explain, BASELINE))
    assert as_parts["infidelity"].min() > 0.01
    np.testing.assert_allclose(as_parts["faithfulness_correlation"], found["faithfulness_correlation"])


def test_losses_are_those_of_a_loop_over_samples_and_sets():
    def predict(inputs):
        return (inputs**2).sum((1, 2)) - inputs[:, 0, 0] * inputs[:, 2, 3]

    maps = parts(INPUTS).reshape(6, -1)
    sets = list(random_sets(maps.shape, 3, 5, np.random.default_rng(4)))
    found = losses(INPUTS, maps, Explained(predict, parts, BASELINE), sets)
    for sample in range(6):
        for number, inside in enumerate(sets):
            assert inside[sample].sum() == 3
            changed, total = INPUTS[sample].copy(), 0.0
            for at in np.flatnonzero(inside[sample]):
                changed.ravel()[at] = 0.3
                total += maps[sample, at]
            expected = predict(INPUTS[sample : sample + 1])[0] - predict(changed[None])[0]
            assert found.lost[sample, number] == pytest.approx(expected)
            assert found.summed[sample, number] == pytest.approx(total)
    expected = np.mean((found.predicted[2] - found.lost[2]) ** 2)
    assert infidelity(found.predicted, found.lost)[2] == pytest.approx(expected)


def test_sparseness_is_the_gini_index_by_its_definition():
    maps = np.stack([np.arange(8.0) - 3, np.eye(8)[3], np.full(8, -2.0)])
    for values, found in zip(np.abs(maps), sparseness(maps)):
        pairs = np.abs(values[:, None] - values[None]).sum()
        assert found == pytest.approx(pairs / (2 * 8 * values.sum()))


def test_likeness_to_an_untrained_network_is_spearmans_of_sizes():
    draw = np.random.default_rng(5)
    maps, others = draw.normal(size=(2, 4, 30))
    others[0] = -(maps[0] ** 3)  # signs and scale do not count
    found = randomisation(maps, others)
    assert found[0] == pytest.approx(1)
    for sample in range(4):
        expected = stats.spearmanr(np.abs(maps[sample]), np.abs(others[sample]))[0]
        assert found[sample] == pytest.approx(expected)
    assert np.isnan(randomisation(maps, np.ones_like(maps))).all()


def test_changes_are_relative_to_the_size_of_the_map():
    maps = np.array([[3.0, 4.0], [0.0, 0.0]])
    found = relative_change(maps, np.array([[3.0, 5.0], [1.0, 0.0]]))
    assert found[0] == pytest.approx(0.2)
    assert np.isnan(found[1])
    network = Explained(linear, parts, BASELINE, rebased=partial(parts, baseline=0.0))
    expected = np.linalg.norm(0.3 * WEIGHTS) / np.linalg.norm(parts(INPUTS).reshape(6, -1), axis=1)
    np.testing.assert_allclose(sanity(batches(), network)["baseline_sensitivity"], expected)


def test_every_measure_has_its_words_and_one_value_a_sample_whatever_the_batches():
    network = Explained(linear, parts, BASELINE, untrained=lambda x: parts(x)[:, ::-1], rebased=parts)
    found = sanity(batches(), network)
    assert set(found) == set(SANITY_MEASURES)
    assert {values.shape for values in found.values()} == {(6,)}
    again = sanity(batches(), network)
    for name, values in found.items():
        np.testing.assert_array_equal(values, again[name])
    whole = sanity([INPUTS], network)
    for name in ("sparseness", "randomisation", "infidelity"):
        np.testing.assert_allclose(found[name], whole[name], atol=1e-12)


def test_fine_and_coarse_inputs_are_joined_and_parted_again():
    fine, coarse = INPUTS, np.arange(12.0, dtype=np.float32).reshape(6, 1, 2)
    joint, values = Joint.of([fine, coarse])
    assert values.shape == (6, 14)
    for part, expected in zip(joint.split(values), (fine, coarse)):
        np.testing.assert_array_equal(part, expected)


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(ParameterError, match="shape"):
        sanity(batches(), Explained(linear, lambda x: x[:, 0]))
    with pytest.raises(NumericalError, match="map holds"):
        sanity(batches(), Explained(linear, lambda x: x * np.nan))
    with pytest.raises(NumericalError, match="network gave"):
        sanity(batches(), Explained(lambda x: linear(x) * np.nan, parts))
    with pytest.raises(ParameterError, match="no samples"):
        sanity([], Explained(linear, parts))
    with pytest.raises(ParameterError, match="between 0 and 1"):
        Settings(share=1.0)
