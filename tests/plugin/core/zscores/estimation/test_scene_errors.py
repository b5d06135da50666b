"""Intervals of slopes from few scenes cover as they claim; verdicts are tests.

Simulated once with 1,000 draws (500 from ten scenes on) of scenes unlike each other in ice, spread and
slopes, true value the pooled fit of 6,000 scenes; SAR / MWR, for a spread of the slopes of 0.4 and of 0.1:

======  ============================  ============================
scenes  sums of clusters (before)     jackknife (now)
======  ============================  ============================
2       92.3 / 90.7   92.6 / 88.0     96.5 / 93.4   94.2 / 85.2
3       92.0 / 91.1   92.0 / 91.4     96.9 / 95.9   97.2 / 97.6
4       91.1 / 88.0   91.6 / 89.6     96.1 / 94.0   96.4 / 95.5
5       89.1 / 89.9   90.0 / 90.0     95.5 / 94.4   95.8 / 94.8
6       91.9 / 90.5   90.3 / 92.0     96.7 / 95.0   96.0 / 95.9
8       90.6 / 90.5   90.6 / 91.0     95.0 / 94.3   96.1 / 94.9
10      92.2 / 89.2   95.0 / 91.8     95.4 / 92.6   97.4 / 94.4
15      92.2 / 92.0   92.8 / 92.8     93.8 / 93.8   95.6 / 95.6
20      92.0 / 92.6   93.8 / 92.2     94.6 / 93.8   95.2 / 94.4
======  ============================  ============================

So intervals are given from three scenes on.
"""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.core.zscores.channels.evidence import ChannelAccumulator, ChannelEvidence
from floelens.plugin.core.zscores.channels.levels import InputChannel
from floelens.plugin.core.zscores.channels.slopes import (
    EQUIVALENT,
    Clusters,
    _fitted,
    _reading,
    channel_slopes,
)
from floelens.plugin.core.zscores.estimation.regression import ChannelRows
from floelens.plugin.core.zscores.estimation.scene_errors import FEW_SCENES, LEAST_SCENES, jackknife
from floelens.plugin.core.zscores.sums.clusters import SCENES
from scipy import special, stats

PIXELS = 60
SPREAD = 0.4  # of the slopes from scene to scene


def draw(generator, scenes):
    """Return contributions (scene, pixel, 2) of SAR and MWR, and fractions of ice, of scenes unlike each other."""
    level = generator.normal(0, 2.0, (scenes, 1))
    width = np.exp(generator.normal(0, 0.4, (scenes, 1)))
    mwr = level + width * generator.normal(0, 1.5, (scenes, PIXELS))
    sar = 0.6 * width * generator.normal(0, 1, (scenes, PIXELS)) + 0.2 * mwr
    parts = np.stack([sar, mwr], axis=-1)
    slopes = 1.0 + SPREAD * generator.normal(size=(scenes, 1, 2)) * np.array([1.0, 0.6])
    logits = (parts * slopes).sum(-1) + 0.8 * generator.normal(size=(scenes, 1))
    return parts, special.expit(logits + 0.8 * generator.normal(size=(scenes, PIXELS)))


def fitted(parts, labels):
    scenes = len(parts)
    flat = parts.reshape(-1, 1, 2)
    rows = ChannelRows.of("sigmoid", np.zeros((len(flat), 1)), flat, labels.ravel())
    return _fitted(rows, Clusters(np.repeat(np.arange(scenes), PIXELS), scenes, True))


@pytest.mark.parametrize("scenes", [LEAST_SCENES, 8])
def test_intervals_from_few_scenes_cover_as_they_claim(scenes):
    truth = fitted(*draw(np.random.default_rng(1), 2500)).slopes
    covered, draws = np.zeros(2), 250
    for seed in range(draws):
        found = fitted(*draw(np.random.default_rng([2, scenes, seed]), scenes))
        half = stats.t.ppf(0.975, found.freedom) * np.sqrt(np.diag(found.robust))
        covered += np.abs(found.slopes - truth) <= half
    chance = 2.5 * np.sqrt(0.95 * 0.05 / draws)  # of so many draws, beside the three points
    assert (np.abs(covered / draws - 0.95) < 0.03 + chance).all()
    assert (covered / draws > 0.92).all()


def test_the_jackknife_of_a_linear_head_is_that_of_fits_without_each_scene():
    generator = np.random.default_rng(3)
    x, y = generator.normal(size=(5, 40, 2)), generator.normal(size=(5, 40))
    rows = ChannelRows.of("linear", np.zeros((200, 1)), x.reshape(-1, 1, 2), y.ravel())

    def least_squares(chosen):
        design = np.column_stack([np.ones(chosen.sum() * 40), x[chosen].reshape(-1, 2)])
        return np.linalg.lstsq(design, y[chosen].ravel(), rcond=None)[0]

    everything = np.ones(5, bool)
    left = np.array([least_squares(np.arange(5) != g) for g in range(5)])
    away = left - left.mean(axis=0)
    covariance, freedom = jackknife(
        rows, np.repeat(np.arange(5), 40), 5, least_squares(everything), np.arange(3)
    )
    np.testing.assert_allclose(covariance, 4 / 5 * away.T @ away, rtol=1e-8, atol=1e-14)
    assert (freedom > 2.5).all()
    assert (freedom <= 4).all()


def test_a_scene_that_holds_all_of_the_evidence_counts_as_the_only_one():
    generator = np.random.default_rng(4)
    parts, labels = draw(generator, 6)
    parts[1:] *= 1e-3
    found = fitted(parts, labels)
    assert (found.freedom < 1.01).all()


def evidence(scenes, seed=5, spread=1.0):
    parts, labels = draw(np.random.default_rng(seed), scenes)
    merged = None
    for number in range(scenes):
        empty = ChannelEvidence.empty(
            "ice", "sigmoid", ("ice",), (InputChannel("hh", "sar"), InputChannel("t2m", "mwr")), "gated"
        )
        accumulator = ChannelAccumulator(empty, f"scene {number}")
        at = np.arange(PIXELS)
        clusters = {"blocks": at // 10, SCENES: 0 * at}
        accumulator.add(np.zeros(PIXELS), parts[number] * spread, at, at, labels[number], clusters)
        merged = accumulator.close() if merged is None else merged.merge(accumulator.close())
    return merged


@pytest.mark.parametrize("scenes", [1, 2, LEAST_SCENES, FEW_SCENES])
def test_words_from_too_few_scenes_are_hints_without_an_interval(scenes):
    rows, warnings = channel_slopes(evidence(scenes), SCENES if scenes >= LEAST_SCENES else "blocks")
    hints = scenes < LEAST_SCENES
    for row in rows:
        assert row["hint"] is hints
        assert row["scenes"] == scenes
        assert (row["low"] is None) == hints
        assert row["slope"] is not None
        assert ("a hint" in row["note"]) == hints
        if not hints:
            assert row["low"] < row["slope"] < row["high"]
            assert row["reading"] == _reading(row["low"], row["high"])
    assert any("hints" in text for text in warnings) == hints
    assert any("allow for so few" in text for text in warnings) == (not hints and scenes < FEW_SCENES)


def test_every_word_is_a_test_and_a_wide_interval_is_no_agreement():
    words = {
        (0.8, 1.3): "deserved",
        (0.2, 9.0): "undecided",  # 4.6, of which 1 is not excluded by width alone
        (0.4, 1.1): "undecided",
        (1.1, 9.0): "under-trusted",
        (0.2, 0.9): "over-trusted",
        (-0.3, 0.4): "useless",
        (-0.9, -0.1): "misleading",
        (-3.0, 4.0): "undecided",
    }
    for (low, high), word in words.items():
        assert _reading(low, high) == word
    assert EQUIVALENT[0] * EQUIVALENT[1] == 1
