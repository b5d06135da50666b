"""Sums over samples from runs of pixels: what adding up pixel by pixel gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from floelens.plugin.core.features.sums import Runs
from floelens.plugin.ground.window import Window


@pytest.mark.parametrize("kind", ["squares", "scattered", "one"])
def test_sums_over_runs_are_those_pixel_by_pixel(kind):
    draw = np.random.default_rng(4)
    rows, cols, width, corner = 37, 301, 330, (5, 11)
    row, col = np.indices((rows, cols))
    numbers = {
        "squares": row // 16 * 40 + col // 100 + 3,
        "scattered": draw.integers(-1, 6, (rows, cols)),
        "one": np.where(draw.random((rows, cols)) < 0.9, 7, -1),
    }[kind]
    runs, window = Runs(numbers), Window(1000, 2000, rows, cols)
    values = draw.normal(3, 1, (rows + 9, width, 13)).astype(np.float32)
    own = values[corner[0] : corner[0] + rows, corner[1] : corner[1] + cols].astype(np.float64)
    found = runs.sums_of_cells(torch.from_numpy(values.reshape(-1, 13)), corner, width)
    positions, extremes, bounds = runs.positions(window), runs.extremes(own[..., 0]), runs.bounds(window)
    assert list(runs.samples) == sorted(set(numbers[numbers >= 0].tolist()))
    for at, number in enumerate(runs.samples):
        here = numbers == number
        assert runs.pixels[at] == here.sum()
        np.testing.assert_allclose(found[at], own[here].sum(0), rtol=1e-6)
        np.testing.assert_allclose(runs.sums(own[..., 2])[at], own[here, 2].sum(), rtol=1e-12)
        np.testing.assert_allclose(
            [each[at] for each in positions], [(row[here] + 1000.5).sum(), (col[here] + 2000.5).sum()]
        )
        np.testing.assert_allclose(extremes[at], [own[here, 0].min(), own[here, 0].max()])
        assert list(bounds[at]) == [
            row[here].min() + 1000, col[here].min() + 2000, row[here].max() + 1001, col[here].max() + 2001,
        ]  # fmt: skip
