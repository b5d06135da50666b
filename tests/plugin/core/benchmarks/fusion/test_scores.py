"""Measures of maps on two grids, beside scipy's on one, and maps that are broken on purpose."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.core.benchmarks.fusion.controls import BROKEN, CONTROLS, SHIFTED, SIGN, SWAPPED, control
from floelens.plugin.core.benchmarks.fusion.explaining import Maps
from floelens.plugin.core.benchmarks.fusion.generator import Fusion
from floelens.plugin.core.benchmarks.fusion.scores import CHANNEL, DETAIL, MEASURES, PEARSON, SPEARMAN, scored
from scipy.stats import pearsonr, spearmanr

RATIO = 4


def maps(seed: int) -> Maps:
    draw = np.random.default_rng(seed)
    return Maps(draw.normal(size=(2, 20, 24)), draw.normal(0, 3, size=(3, 5, 6)))


def at_pixels(each: Maps) -> np.ndarray:
    cells = each.coarse.repeat(RATIO, axis=1).repeat(RATIO, axis=2)
    return np.concatenate([each.fine, cells])


def test_correlations_are_those_of_all_channels_at_the_pixels():
    truth, noise = maps(0), maps(1)
    found = Maps(truth.fine + noise.fine, truth.coarse + noise.coarse)
    scores = scored(found, truth)
    left, right = at_pixels(found).ravel(), at_pixels(truth).ravel()
    assert scores[PEARSON] == pytest.approx(pearsonr(left, right)[0], abs=1e-12)
    assert scores[SPEARMAN] == pytest.approx(spearmanr(left, right)[0], abs=1e-12)
    by_channel = [
        pearsonr(a.ravel(), b.ravel())[0]
        for grid in ("fine", "coarse")
        for a, b in zip(getattr(found, grid), getattr(truth, grid))
    ]
    assert scores[CHANNEL] == pytest.approx(min(by_channel), abs=1e-12)

    def details(plane: np.ndarray) -> list[float]:
        rows, cols = plane.shape
        right = [plane[r, c + 1] - plane[r, c] for r in range(rows) for c in range(cols - 1)]
        below = [plane[r + 1, c] - plane[r, c] for r in range(rows - 1) for c in range(cols)]
        return right + below

    expected = min(
        pearsonr(details(a), details(b))[0]
        for grid in ("fine", "coarse")
        for a, b in zip(getattr(found, grid), getattr(truth, grid))
    )
    assert scores[DETAIL] == pytest.approx(expected, abs=1e-12)


def test_a_map_of_another_size_is_perfect_and_one_without_a_channel_has_no_score():
    truth = maps(0)
    perfect = scored(Maps(2 * truth.fine, 2 * truth.coarse), truth)
    assert perfect == pytest.approx({measure.word: measure.ideal for measure in MEASURES}, abs=1e-12)
    silent = scored(Maps(truth.fine, np.zeros_like(truth.coarse)), truth)
    assert np.isnan(silent[CHANNEL])
    assert np.isnan(silent[DETAIL])


def test_each_way_of_breaking_a_map_is_seen():
    fusion = Fusion(mwr=("btemp_18_7v", "btemp_36_5h", "btemp_89_0h"), ratio=5)
    scenes, contributions = fusion.samples(0, 1, 12)
    scene = scenes[0]
    bands = contributions[0][(slice(None), *scene.inner.slices())]
    truth = Maps.of_output(bands, 2, 5)
    draw = np.random.default_rng(0)
    found = {word: scored(control(word, truth, scene, draw), truth) for word in CONTROLS}
    assert found[SIGN][PEARSON] == pytest.approx(-1)
    assert abs(found[SWAPPED][CHANNEL]) < 0.9
    assert found[SHIFTED][DETAIL] < 0.5
    assert all(found[word][DETAIL] < 0.5 for word in CONTROLS)
    assert set(BROKEN) < set(CONTROLS)
    moved = control(SHIFTED, truth, scene, draw)
    assert np.array_equal(moved.fine[:, 1:, 1:], truth.fine[:, :-1, :-1])
    assert np.array_equal(moved.coarse[:, 1:, 1:], truth.coarse[:, :-1, :-1])
