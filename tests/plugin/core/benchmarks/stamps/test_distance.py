"""The distance of a map from the stamp is that of its definition; broken maps are far from it."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.core.benchmarks.stamps import controls
from floelens.plugin.core.benchmarks.stamps.distance import (
    UNINFORMATIVE,
    distance,
    is_constant,
    mass,
    overlap,
    proximity,
)
from floelens.plugin.core.benchmarks.stamps.run import scores_of, seen_by

SHAPE = 2, 30, 40


def truth_of(rows=slice(12, 13), cols=slice(5, 21), channel: int = 0) -> np.ndarray:
    truth = np.zeros(SHAPE, bool)
    truth[channel, rows, cols] = True
    return truth


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(SHAPE)


def test_the_distance_is_that_of_pearsons_correlation_to_twelve_digits():
    for seed in range(5):
        truth = truth_of()
        relevance = noise(seed) + seed * truth
        rho = np.corrcoef(relevance.ravel(), truth.ravel())[0, 1]
        assert distance(relevance, truth) == pytest.approx(np.sqrt(2 * (1 - rho)), abs=1e-12)
        assert distance(3.0 * relevance - 7.0, truth) == pytest.approx(distance(relevance, truth), abs=1e-12)


def test_the_stamp_itself_is_at_zero_and_its_opposite_at_two():
    truth = truth_of()
    assert distance(0.3 * truth, truth) == pytest.approx(0.0, abs=1e-12)
    assert distance(-truth.astype(float), truth) == pytest.approx(2.0, abs=1e-12)


def test_noise_is_at_the_root_of_two_within_its_interval():
    distances = np.array([distance(noise(seed), truth_of()) for seed in range(200)])
    error = distances.std(ddof=1) / np.sqrt(len(distances))
    assert abs(distances.mean() - np.sqrt(2)) < 3 * error


def test_a_constant_map_counts_as_the_root_of_two_and_has_no_score():
    truth = truth_of()
    for constant in (np.zeros(SHAPE), np.full(SHAPE, 0.1), np.full(SHAPE, np.inf)):
        assert is_constant(constant)
        assert distance(constant, truth) == UNINFORMATIVE
    scores = scores_of([np.full(SHAPE, 0.1), noise(1)], [truth, truth])
    assert np.isnan(scores["distance"]).tolist() == [True, False]


def test_overlap_mass_and_proximity_are_those_of_their_loops():
    relevance, truth = noise(3), truth_of(slice(4, 7), slice(8, 11), 1)
    order = sorted(np.ndindex(SHAPE), key=lambda at: -abs(relevance[at]))[: int(truth.sum())]
    assert overlap(relevance, truth) == pytest.approx(np.mean([truth[at] for at in order]))
    total = sum(abs(relevance[at]) for at in np.ndindex(SHAPE))
    inside = sum(abs(relevance[at]) for at in np.ndindex(SHAPE) if truth[at])
    assert mass(relevance, truth) == pytest.approx(inside / total)
    stamped = np.argwhere(truth)[:, 1:]
    moved = sum(
        abs(relevance[at]) * min(np.hypot(at[1] - row, at[2] - col) for row, col in stamped)
        for at in np.ndindex(SHAPE)
        if at[0] == 1
    ) + np.abs(relevance[0]).sum() * np.hypot(29, 39)
    assert proximity(relevance, truth) == pytest.approx(1 - moved / (total * np.hypot(29, 39)))
    perfect = truth.astype(float)
    assert overlap(perfect, truth) == mass(perfect, truth) == proximity(perfect, truth) == 1.0
    assert overlap(np.where(truth, 0.0, 1e-300), truth) == 0.0


@pytest.mark.parametrize("truth", [truth_of(), truth_of(slice(9, 10), slice(9, 10), 1)])
def test_a_true_map_with_any_fault_is_no_better_than_one_that_tells_nothing(truth):
    broken = controls.broken(truth)
    assert sorted(broken) == sorted(controls.BROKEN)
    for relevance in broken.values():
        assert distance(relevance, truth) > UNINFORMATIVE
        assert relevance.sum() == pytest.approx(truth.sum() * np.sign(relevance.sum()))


def test_of_slopes_the_size_is_compared_and_a_wrong_sign_shows_in_one_measure_alone():
    truth = truth_of()
    dark = -truth.astype(float) + 0.01 * noise(1)
    assert scores_of([dark], [truth], signed=False)["distance"][0] < 0.2
    assert scores_of([dark], [truth])["distance"][0] > 1.9
    everything = scores_of([dark], [truth])
    assert list(seen_by(everything, controls.SIGN)) == ["distance"]
    assert set(everything) - set(seen_by(everything, controls.SHIFTED)) == {"proximity"}
    assert set(seen_by(everything, controls.RANDOM)) == set(everything)


def test_edge_filters_are_those_of_their_definitions():
    values = noise(2)
    row, col = 10, 17
    patch = values[1, row - 1 : row + 2, col - 1 : col + 2]
    weights = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    found = controls.edges(values)
    expected = np.hypot((patch * weights).sum(), (patch * weights.T).sum())
    assert found[controls.SOBEL][1, row, col] == pytest.approx(expected)
    cross = (
        values[1, row - 1, col] + values[1, row + 1, col] + values[1, row, col - 1] + values[1, row, col + 1]
    )
    assert found[controls.LAPLACE][1, row, col] == pytest.approx(abs(cross - 4 * values[1, row, col]))
