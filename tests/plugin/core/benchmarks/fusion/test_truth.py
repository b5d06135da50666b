"""The truth of the fusion scenes, by loops over the definitions in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from floelens.plugin.core.benchmarks.fusion.generator import Fusion
from floelens.plugin.core.benchmarks.fusion.neighbourhoods import Cells, Kernel
from floelens.plugin.core.benchmarks.fusion.scenes import FusionScene
from floelens.plugin.core.benchmarks.fusion.truth import AdditiveTarget, slopes_at
from floelens.plugin.ground.window import Window
from floelens.plugin.networks.layers import BilinearUpsample, NearestUpsample

VARIANTS = ("interpretability_small", "v2")
MWR = ("btemp_18_7v", "btemp_36_5h")


def drawn(variant: str, seed: int = 3) -> tuple[AdditiveTarget, FusionScene, np.ndarray]:
    """Return a target, a scene of 4 × 4 cells of 5 × 5 pixels, and its contributions."""
    fusion = Fusion(variant, MWR, ratio=5)
    scenes, contributions = fusion.samples(seed, 1, 4)
    return fusion.target(seed), scenes[0], contributions[0]


def by_steps(breaks: np.ndarray, slopes: np.ndarray, x: float) -> float:
    """Return the integral of the slope from 0 to x, from one break point on the way to the next."""
    ends = [0.0, *sorted((b for b in breaks if min(0, x) < b < max(0, x)), reverse=bool(x < 0)), x]
    total = 0.0
    for begin, end in zip(ends, ends[1:]):
        total += slopes[int((breaks < (begin + end) / 2).sum())] * (end - begin)
    return total


def weights_of(target: AdditiveTarget, channel: int, scene: FusionScene, row: int, col: int) -> np.ndarray:
    """Return how much each place of a channel's own grid counts in the mean at a SAR pixel, place by place."""
    around = target.neighbourhoods[channel]
    weights = np.zeros(scene.channels[channel].shape)
    if isinstance(around, Kernel):
        reach = len(around.weights) // 2
        for down in range(-reach, reach + 1):
            for across in range(-reach, reach + 1):
                if 0 <= row + down < scene.rows and 0 <= col + across < scene.cols:
                    weights[row + down, col + across] = around.weights[reach + down, reach + across]
        return weights
    if not around.bilinear:
        weights[row // scene.ratio, col // scene.ratio] = 1.0
        return weights
    ones = torch.eye(weights.size, dtype=torch.float64).reshape(1, weights.size, *weights.shape)
    like = torch.zeros(1, 1, scene.rows, scene.cols)
    return BilinearUpsample(scene.ratio)(ones, like)[0, :, row, col].numpy().reshape(weights.shape)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_contribution_is_the_function_of_the_mean_around_a_pixel(variant):
    target, scene, contributions = drawn(variant)
    functions = target.functions
    for channel, values in enumerate(scene.channels):
        for row, col in ((0, 0), (7, 11), (19, 4)):
            mean = (weights_of(target, channel, scene, row, col) * values.astype(np.float64)).sum()
            expected = by_steps(functions.breaks[channel], functions.slopes[channel], mean)
            assert contributions[channel, row, col] == pytest.approx(expected, abs=1e-13)
    nothing = FusionScene(np.zeros_like(scene.fine), np.zeros_like(scene.coarse), scene.ratio)
    assert (target.contributions(nothing) == 0).all()
    curved = [len(set(slopes)) > 1 for slopes in functions.slopes]
    assert curved == [True, True, *[variant == "v2"] * len(MWR)]


@pytest.mark.parametrize("variant", VARIANTS)
def test_relevance_adds_up_to_the_summed_target_and_is_its_integrated_gradients(variant):
    target, scene, contributions = drawn(variant)
    area = Window(5, 5, 10, 10)
    relevance = target.relevance(scene, area)
    own = contributions[(slice(None), *area.slices())]
    for part, whole in zip(relevance, own):  # channel by channel, and so in all
        assert part.sum() == pytest.approx(whole.sum(), rel=0, abs=1e-12 * np.abs(whole).sum())
    path = (np.arange(4000) + 0.5) / 4000
    for channel, (row, col) in ((0, (6, 6)), (1, (9, 14)), (2, (1, 2)), (3, (2, 1))):
        found = 0.0
        for s in np.ndindex(area.rows, area.cols):
            weights = weights_of(target, channel, scene, area.row + s[0], area.col + s[1])
            mean = (weights * scene.channels[channel].astype(np.float64)).sum()
            found += weights[row, col] * slopes_at(target.functions, channel, path * mean).mean()
        expected = scene.channels[channel][row, col] * found
        assert relevance[channel][row, col] == pytest.approx(
            expected, abs=2e-3 * np.abs(relevance[channel]).max()
        )


def test_gates_show_the_slope_times_the_mean():
    target, scene, contributions = drawn("v2")
    means, step = target.means(scene), 1e-7
    expected = np.empty_like(means)
    for channel, plane in enumerate(means):
        breaks, slopes = target.functions.breaks[channel], target.functions.slopes[channel]
        for place in np.ndindex(plane.shape):
            x = plane[place]
            rise = by_steps(breaks, slopes, x + step) - by_steps(breaks, slopes, x - step)
            expected[channel][place] = rise / (2 * step) * x
    close = np.abs(target.gated(scene) - expected) < 1e-6
    assert close.mean() > 0.999  # but where a break point lies within a step
    assert not np.allclose(target.gated(scene), contributions, atol=0.01)
    linear, flat, exact = drawn("interpretability_small")
    np.testing.assert_allclose(linear.gated(flat)[2:], exact[2:], rtol=1e-12)


@pytest.mark.parametrize(
    "around",
    [Kernel(np.arange(15.0).reshape(3, 5)), Kernel.gaussian(5, 0.8), Cells(4), Cells(4, bilinear=True)],
    ids=["lopsided", "gaussian", "cells", "bilinear"],
)
def test_what_is_spread_is_the_transpose_of_what_is_gathered(around):
    draw = np.random.default_rng(1)
    own = draw.normal(size=(3, 5) if isinstance(around, Cells) else (12, 20))
    pixels = draw.normal(size=(12, 20))
    assert (around.mean(own) * pixels).sum() == pytest.approx((own * around.spread(pixels)).sum(), rel=1e-12)


def test_cells_reach_the_pixels_as_in_the_network():
    own = np.random.default_rng(2).normal(size=(3, 5))
    given, like = torch.from_numpy(own)[None, None], torch.zeros(1, 1, 12, 20)
    for bilinear, layer in ((False, NearestUpsample(4)), (True, BilinearUpsample(4))):
        np.testing.assert_allclose(Cells(4, bilinear).mean(own), layer(given, like)[0, 0].numpy(), atol=1e-14)


def test_a_seed_decides_target_and_scenes():
    fusion = Fusion(mwr=MWR, ratio=5)
    one, again = fusion.samples(1, 2, 4), fusion.samples(1, 2, 4)
    assert [scene.fine.tobytes() for scene in one[0]] == [scene.fine.tobytes() for scene in again[0]]
    assert np.array_equal(one[1], again[1])
    held_out = fusion.samples(1, 2, 4, part=1)
    assert not np.allclose(held_out[0][0].fine, one[0][0].fine)
    assert not np.allclose(fusion.samples(2, 2, 4)[0][0].fine, one[0][0].fine)
    spread = np.concatenate([scene.fine.reshape(2, -1) for scene in fusion.samples(4, 20, 8)[0]], axis=1)
    assert spread.std(1) == pytest.approx([1, 1], abs=0.15)
    assert 0.3 < np.corrcoef(spread)[0, 1] < 0.7  # channels go along with each other
