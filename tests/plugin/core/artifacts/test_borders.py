"""What padding adds is pooled over windows, and the level of null maps has no seam."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.core.artifacts.borders import BorderPool
from floelens.plugin.core.artifacts.decomposition import Place
from floelens.plugin.core.artifacts.structure import structure_of
from floelens.plugin.core.artifacts.windows import blended_level, grid_windows, with_neighbours
from floelens.plugin.ground.window import Window
from floelens.tests.plugin.core.artifacts.analytic import correlated

PROFILE = np.array([0.5, 0.3, 0.1])  # of a map's level, by distance to the first row


def windows_at_the_top(levels, noise: float, side: int = 32, draws: int = 19):
    """Return places and structures of windows of one row, whose level near the edge is raised by a profile."""
    found = []
    for number, level in enumerate(levels):
        place = Place(0, number * side, side, side, (True, False, False, False), 6)
        fields = correlated(number, draws * (side + 4), side, 1.0, 1)[0].reshape(draws, side + 4, side)[
            :, :side
        ]
        factor = np.ones((side, 1))
        factor[: len(PROFILE), 0] += PROFILE
        maps = factor * level + noise * fields
        found.append((place, structure_of(maps, place, 59, np.random.default_rng(number))))
    return found


def test_a_border_that_single_windows_hardly_show_is_found_in_all_of_them():
    windows = windows_at_the_top([1.0, 0.8, 1.2, -0.9, 1.1, 0.7], noise=1.6)
    alone = [structure.kept[0, 1] for _, structure in windows]
    assert min(alone) == 0.0  # the border would begin and end at windows
    pool = BorderPool()
    for place, structure in windows:
        pool.add(place, structure)
    borders = pool.fit()
    assert borders.kept[0] > 0.7
    errors = []
    for place, structure in windows:
        pooled = structure.pooled(borders, place)
        truth = np.append(PROFILE, np.zeros(29)) * structure.signed.level
        errors.append(np.abs(pooled.parts()["border"][:, 5] - truth).max() / abs(structure.signed.level))
        whole = pooled.signed
        np.testing.assert_allclose(
            whole.level + whole.pattern + whole.border + whole.local,
            structure.signed.level
            + structure.signed.pattern
            + structure.signed.border
            + structure.signed.local,
        )
    # The window of the other sign shares little with the others, and keeps more of its own noise.
    assert sorted(errors)[-2] < 0.12
    assert max(errors) < 0.35


def test_windows_without_a_border_get_none():
    pool, kept = BorderPool(), 0
    for place, structure in windows_at_the_top([0.0] * 4, noise=1.0):
        pool.add(place, structure)
    kept = pool.fit().kept
    assert kept[0] < 0.5
    assert BorderPool().fit() is None


def test_a_single_window_keeps_its_own_border():
    ((place, structure),) = windows_at_the_top([1.0], noise=0.2)
    pool = BorderPool()
    pool.add(place, structure)
    pooled = structure.pooled(pool.fit(), place)
    np.testing.assert_allclose(pooled.signed.border, structure.signed.border, atol=1e-12)


def test_levels_of_neighbours_meet_and_each_holds_in_the_middle():
    grid = grid_windows(Window(0, 0, 50, 64), 16)
    random = np.random.default_rng(1)
    levels = {(i, j): (w, float(random.normal())) for i, row in enumerate(grid) for j, w in enumerate(row)}
    del levels[1, 2]  # not looked at
    surface = np.full((50, 64), np.nan)
    for place, (window, _) in levels.items():
        surface[window.slices()] = blended_level(place, levels)
    assert np.isnan(surface).sum() == 16 * 16
    for place in ((0, 0), (2, 1), (3, 3)):
        window, level = levels[place]
        here = surface[window.slices()]
        rows, cols = here.shape
        middle = here[rows // 2 - 1 : rows // 2 + 1, cols // 2 - 1 : cols // 2 + 1]
        assert middle.mean() == pytest.approx(level, abs=0.1)
    steps = np.abs(np.diff(surface, axis=0)), np.abs(np.diff(surface, axis=1))
    spread = max(level for _, level in levels.values()) - min(level for _, level in levels.values())
    # No step from pixel to pixel is larger than the slope between two middles, but around the window left out.
    near = np.zeros((50, 64), bool)
    near[0:50, 16:64] = True
    for step in steps:
        far = ~near[: step.shape[0], : step.shape[1]]
        assert np.nanmax(step[far]) <= spread / 8


def test_rows_come_one_later_with_the_level_of_both_neighbours():
    grid = grid_windows(Window(0, 0, 32, 16), 16)
    rows = [(row, [(window, float(window.row)) for window in row]) for row in grid]
    found = list(with_neighbours(rows, 16, lambda level: level))
    assert [row for row, _ in found] == grid
    upper = found[0][1][0][2]
    assert upper[0, 0] == pytest.approx(0.0)
    assert upper[-1, 0] == pytest.approx(16 * 7.5 / 16)
