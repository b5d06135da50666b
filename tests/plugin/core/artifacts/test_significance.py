"""P-values that are uniform where nothing is there, and false discoveries that stay below their level."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.core.artifacts.decomposition import Place, take_apart
from floelens.plugin.core.artifacts.experiments import _cropped_products
from floelens.plugin.core.artifacts.fields import corrected
from floelens.plugin.core.artifacts.inputs import Surrogates, capped, flipped, moved, robust_bounds
from floelens.plugin.core.artifacts.significance import (
    benjamini_hochberg,
    holm,
    largest_standardised,
    pooled_p,
    rank_correlation,
    rank_p,
    repeats_needed,
    smooth,
)
from floelens.plugin.core.artifacts.structure import COLUMNS, structure_of
from floelens.plugin.ground.window import Window
from floelens.tests.plugin.core.artifacts.analytic import clean, correlated, patch_of
from scipy import stats
from scipy.ndimage import gaussian_filter


def test_corrections_are_those_of_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p_values = np.array([0.001, 0.2, 0.03, 0.03, 0.9, 0.004])
    np.testing.assert_allclose(holm(p_values), multitest.multipletests(p_values, method="holm")[1])
    expected = multitest.multipletests(p_values, method="fdr_bh")[1]
    np.testing.assert_allclose(benjamini_hochberg(np.append(p_values, np.nan))[:-1], expected)


def test_ranks_count_ties_against_the_observed_value():
    assert rank_p(2.0, np.array([1.0, 2.0, 3.0])) == 0.75
    assert rank_p(0.0, np.zeros(19)) == 1.0
    np.testing.assert_array_equal(
        pooled_p(np.array([2.0, np.nan, 9.0]), np.array([1.0, 2.0, 3.0])), [0.75, np.nan, 0.25]
    )


def test_more_draws_are_advised_where_they_would_call_a_pixel_fact_and_not_where_noise_is_as_large():
    random = np.random.default_rng(0)
    null = random.normal(size=(19, 1000))
    loud = np.append(random.normal(size=999), 9.0)
    p_values = pooled_p(loud, null)
    assert benjamini_hochberg(p_values).min() > 0.05
    needed = repeats_needed(p_values, null.size, 19)
    assert needed == 20  # q = 1/R
    more = random.normal(size=(int(needed), 1000))
    assert benjamini_hochberg(pooled_p(loud, more)).min() <= 0.05
    assert repeats_needed(pooled_p(0.8 * random.normal(size=1000), null), null.size, 19) == np.inf


def test_the_rank_correlation_is_scipys_and_zero_for_a_constant():
    random = np.random.default_rng(0)
    first, second = random.integers(0, 9, (2, 50)).astype(float)
    assert rank_correlation(first, second) == pytest.approx(stats.spearmanr(first, second)[0], abs=1e-12)
    assert rank_correlation(first, np.ones(50)) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("sigma", [0.0, 1.5])
def test_p_values_of_structure_are_uniform_where_null_maps_are_stationary(sigma):
    place = Place(0, 0, 24, 24, (True, False, False, False), 3, (2,))
    found = {part: [] for part in COLUMNS}
    for seed in range(500):
        maps = clean(correlated(seed, 19 * 30, 24, sigma).reshape(2, 19, 30, 24)[:, :, :24], None)
        statistics = structure_of(maps, place, 79, np.random.default_rng(seed)).statistics
        for part, columns in COLUMNS.items():
            chosen = largest_standardised(statistics[:, list(columns)])
            found[part].append(rank_p(chosen[0], chosen[1:]))
    for part, p_values in found.items():
        spread = np.random.default_rng(1).uniform(0, 1 / 80, 500)  # p-values lie on a grid of 1/80
        assert stats.kstest(np.array(p_values) - spread, "uniform").pvalue > 0.01, part


def planes(random, number: int, side: int = 32) -> np.ndarray:
    """Return planes of random slopes, as smooth fields are in a small window: moved, each looks the same."""
    down, across = np.mgrid[:side, :side] / side
    slopes = random.normal(size=(2, number, 1, 1))
    return 10.0 + slopes[0] * down + slopes[1] * across


def test_fields_that_are_smooth_over_a_window_have_no_structure_of_their_own():
    place = Place(0, 0, 32, 32)
    for seed in range(12):
        random = np.random.default_rng(seed)
        statistics = structure_of(planes(random, 19), place, 39, random).statistics
        local = largest_standardised(statistics[:, COLUMNS["local"][:2]])
        assert rank_p(local[0], local[1:]) > 0.05


def periodic_fields(random, number: int, side: int, sigma: float) -> np.ndarray:
    """Return windows (field, row, column) of Gaussian fields that are stationary on a torus of twice the side."""
    frequency = np.fft.fftfreq(2 * side)
    spectrum = np.exp(-((np.pi * sigma) ** 2) * (frequency[:, None] ** 2 + frequency**2) * 2)
    white = np.fft.fft2(random.normal(size=(number, 2 * side, 2 * side)))
    fields = np.fft.ifft2(white * spectrum).real[:, :side, :side]
    return fields / np.sqrt((spectrum**2).mean())


@pytest.mark.parametrize("sigma", [1.0, 16.0])
def test_a_border_is_found_by_chance_as_often_as_its_level_says_however_smooth_the_fields(sigma):
    place = Place(0, 0, 48, 48, (True, False, True, False), 8)
    found = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        maps = periodic_fields(random, 19, 48, sigma) ** 2
        statistics = structure_of(maps, place, 19, random).statistics
        border = largest_standardised(statistics[:, COLUMNS["border"]])
        found += rank_p(border[0], border[1:]) <= 0.05
    assert found <= 7  # of 60 at 5 %: more in 1 of 100 such tests


def test_a_border_of_smooth_fields_is_found():
    place = Place(0, 0, 48, 48, (True, False, False, False), 8)
    random = np.random.default_rng(0)
    maps = periodic_fields(random, 19, 48, 16.0) ** 2
    maps[:, :4] += 0.8
    structure = structure_of(maps, place, 59, random)
    assert structure.kept[0, 1] > 0.5


def test_what_two_translations_leave_is_no_artifact_where_it_is_smooth_and_is_one_where_it_stays():
    for seed in range(12):
        random = np.random.default_rng(seed)
        found = largest_standardised(_cropped_products(*planes(random, 2), 39, random))
        assert rank_p(found[0], found[1:]) > 0.05
    stays, first, second = (correlated(seed, 48, 48, 3.0, 1)[0] for seed in range(3))
    products = _cropped_products(stays + 0.3 * first, stays + 0.3 * second, 149, random)
    assert rank_p(products[0, 0], products[1:, 0]) < 0.02


def test_no_pixel_is_called_fact_where_the_field_is_too_smooth_for_its_window():
    place = Place(0, 0, 64, 64)
    for seed in (1, 4, 11):
        fields = correlated(seed, 64, 64, 16.0)
        draws = Surrogates(patch_of(fields), seed)
        maps = np.stack([draws.draw(n).fine[0] for n in range(19)])
        found = corrected(fields[0], maps, structure_of(maps, place, 2, np.random.default_rng(seed)), place)
        assert found.smooth
        assert (found.q_values == 1.0).all()
        assert found.p_values.min() < 1.0


@pytest.mark.parametrize(("sigma", "expected"), [(0.0, False), (2.0, False), (6.0, True), (16.0, True)])
def test_a_field_is_too_smooth_where_half_of_its_correlation_reaches_a_tenth_of_the_window(sigma, expected):
    # Half of the correlation of a field smoothed by sigma is left at 1.67 sigma: 3.3, 10 and 27 of 64 pixels.
    fields = correlated(0, 19 * 64, 64, sigma, 1).reshape(19, 64, 64)
    assert smooth(fields) == expected


@pytest.mark.slow
@pytest.mark.parametrize("sigma", [0.0, 1.5])
def test_p_values_of_pixels_are_uniform_where_the_scene_is_noise(sigma):
    size, p_values = 24, []
    place = Place(0, 0, size, size)
    for seed in range(500):
        patch = patch_of(correlated(seed, size, size, sigma), Window(100, 60, size, size))
        draws = Surrogates(patch, seed)
        maps = np.stack([clean(draws.draw(n).fine, None) for n in range(19)])
        structure = structure_of(maps, place, 2, np.random.default_rng(seed))
        found = corrected(clean(patch.fine, None), maps, structure, place)
        p_values.append(found.p_values[seed % size, (7 * seed) % size])
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_false_discoveries_stay_below_their_level_and_planted_ice_is_found():
    size, shares, hits = 64, [], []
    place = Place(0, 0, size, size)
    for seed in range(40):
        background = correlated(seed, size, size, 1.5)
        fact = np.zeros((size, size), bool)
        fact[20:30, 30:40] = True
        scene = background + 8.0 * fact
        draws = Surrogates(patch_of(scene), seed)
        maps = np.stack([clean(draws.draw(n).fine, None) for n in range(19)])
        structure = structure_of(maps, place, 10, np.random.default_rng(seed))
        found = corrected(clean(scene, None), maps, structure, place).q_values <= 0.05
        shares.append((found & ~fact).sum() / max(1, found.sum()))
        hits.append((found & fact).sum() / fact.sum())
    assert np.mean(shares) <= 0.05
    assert np.mean(hits) > 0.9


@pytest.mark.parametrize("sigma", [0.7, 2.0])
def test_blocks_are_fact_where_pixels_are_lost_in_noise_and_false_ones_stay_below_the_level(sigma):
    size, place = 64, Place(0, 0, 64, 64)
    fact = np.zeros((8, 8), bool)
    fact[1:4, 3:6] = True
    planted = 2.0 * np.repeat(np.repeat(fact, 8, axis=0), 8, axis=1)
    empty, shares, hits, pixels = 0, [], [], []
    for seed in range(30):
        fields = periodic_fields(np.random.default_rng(seed), 20, size, sigma)
        structure = structure_of(fields[1:], place, 19, np.random.default_rng(seed))
        nothing = corrected(fields[0], fields[1:], structure, place)
        empty += bool((nothing.block_q_values <= 0.05).any())
        something = corrected(fields[0] + planted * (1 if sigma < 1 else 2), fields[1:], structure, place)
        found = something.block_q_values <= 0.05
        shares.append((found & ~fact).sum() / max(1, found.sum()))
        hits.append((found & fact).sum() / fact.sum())
        pixels.append((something.q_values <= 0.05)[planted > 0].mean())
    assert empty <= 4  # of 30 at 5 %: more in 1 of 60 such tests
    assert np.mean(shares) <= 0.07  # 0.05 x 55/64 is expected; its standard error is 0.011
    assert np.mean(hits) > 0.9
    assert sigma > 1 or np.mean(pixels) < 0.1


def test_a_mean_map_is_taken_apart_exactly():
    random = np.random.default_rng(3)
    down, _ = np.mgrid[:40, :50]
    mean = 2.0 + 0.5 * (down % 5 == 0) + 3.0 * np.exp(-down) + random.normal(0, 0.01, (40, 50))
    place = Place(0, 0, 40, 50, (True, False, False, False), 6, (5, 7))
    taken = take_apart(mean, place)
    assert taken.period == 5
    np.testing.assert_allclose(taken.level + taken.pattern + taken.border + taken.local, mean, atol=1e-12)
    np.testing.assert_allclose(taken.pattern[20] - taken.pattern[21], 0.5, atol=0.02)
    np.testing.assert_allclose((taken.border[0] - taken.border[30])[25], 3.0, atol=0.1)


def test_noise_keeps_means_and_spectra_and_gaps():
    fine = correlated(2, 60, 70, 2.0)
    fine[1] = 3.0 + fine[0] + 0.1 * fine[1]  # correlated channels
    patch = patch_of(fine, Window(20, 30, 60, 70))
    draws = [Surrogates(patch, 0).draw(n).fine for n in range(40)]
    assert np.mean([d.mean() for d in draws]) == pytest.approx(fine.mean(), abs=0.15)
    near = [np.corrcoef(d[0, :, 1:].ravel(), d[0, :, :-1].ravel())[0, 1] for d in draws]
    truth = np.corrcoef(fine[0, :, 1:].ravel(), fine[0, :, :-1].ravel())[0, 1]
    assert np.mean(near) == pytest.approx(truth, abs=0.02)
    assert np.mean([np.corrcoef(d[0].ravel(), d[1].ravel())[0, 1] for d in draws]) > 0.97
    np.testing.assert_array_equal(Surrogates(patch, 0).draw(3).fine, draws[3])
    fine[0, 5:9, 5:9] = np.nan
    assert np.array_equal(np.isnan(Surrogates(patch_of(fine), 0).draw(0).fine), np.isnan(fine))


def test_scenes_are_moved_mirrored_and_capped():
    fine = np.arange(2 * 6 * 8, dtype=float).reshape(2, 6, 8)
    patch = patch_of(fine, Window(10, 20, 6, 8))
    np.testing.assert_array_equal(moved(patch, (1, -2)).fine[:, 1:, :-2], fine[:, :-1, 2:])
    core = Window(10, 22, 6, 4)
    np.testing.assert_array_equal(flipped(patch, core, 1).fine[:, :, 2:6], fine[:, :, 5:1:-1])
    noise = np.random.default_rng(0).normal(size=(2, 40, 40))
    noise[0, 3, 4] = 50.0
    low, high = robust_bounds(patch_of(noise), 5.0)[0]
    assert high - low == pytest.approx(10.0, abs=1.0)
    assert capped(patch_of(noise), robust_bounds(patch_of(noise), 5.0)).fine[0, 3, 4] == pytest.approx(high)


def test_a_moved_mean_is_that_of_rolled_maps():
    from floelens.plugin.core.artifacts.structure import _doubled, _moved_mean

    maps = gaussian_filter(np.random.default_rng(0).normal(size=(3, 7, 9)), 1.0)
    offsets = np.array([[0, 0], [3, 5], [6, 0]])
    expected = np.mean([np.roll(m, tuple(o), (0, 1)) for m, o in zip(maps, offsets)], axis=0)
    np.testing.assert_allclose(_moved_mean(_doubled(maps), offsets), expected)
