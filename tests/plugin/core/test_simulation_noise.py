"""Smooth random fields."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.core.simulation.noise import Axis, SmoothNoise, key_of, lattice_values, octaves


def spline(distance: float) -> float:
    """Return the centred cubic B-spline at a distance, by its definition."""
    distance = abs(distance)
    if distance < 1.0:
        return 2.0 / 3.0 - distance**2 + distance**3 / 2.0
    return (2.0 - distance) ** 3 / 6.0 if distance < 2.0 else 0.0


def slow_field(noise: SmoothNoise, y: float, x: float) -> float:
    """Return a field at one place: the sum of all nodes near it, weighted by the spline."""
    total = 0.0
    for octave, (spacing, amplitude) in enumerate(zip(noise.spacings, noise.amplitudes)):
        key = key_of(f"{noise.name}/{octave}")
        rows = np.arange(int(np.floor(y / spacing)) - 3, int(np.floor(y / spacing)) + 4)
        cols = np.arange(int(np.floor(x / spacing)) - 3, int(np.floor(x / spacing)) + 4)
        values = lattice_values(key, rows, cols).astype(np.float64)
        for row, of_row in zip(rows, values):
            for col, value in zip(cols, of_row):
                total += amplitude * value * spline(y / spacing - row) * spline(x / spacing - col)
    return total / (151.0 / 315.0) / np.sqrt(np.sum(np.square(noise.amplitudes)))


def test_a_field_equals_its_slow_definition_also_at_negative_places():
    noise = SmoothNoise("a field", spacings=(700.0, 310.0), amplitudes=(1.0, 0.6))
    rows, cols = Axis(-1234.5, 97.0, 30), Axis(-88.0, 61.0, 25)
    field = noise.evaluate(rows, cols)
    for row, col in ((0, 0), (7, 21), (29, 24), (13, 2)):
        expected = slow_field(noise, rows.positions[row], cols.positions[col])
        assert field[row, col] == pytest.approx(expected, abs=2e-5)


def test_a_piece_of_a_field_is_the_field_there():
    noise = SmoothNoise("a field", **octaves(4000.0, 250.0, 0.7))
    whole = noise.evaluate(Axis(40.0, 80.0, 90), Axis(40.0, 80.0, 70))
    piece = noise.evaluate(Axis(40.0 + 80.0 * 31, 80.0, 20), Axis(40.0 + 80.0 * 9, 80.0, 11))
    np.testing.assert_allclose(piece, whole[31:51, 9:20], atol=1e-5)


def test_fields_have_mean_zero_and_variance_one_and_do_not_know_each_other():
    axes = Axis(0.0, 500.0, 700), Axis(0.0, 500.0, 700)
    one = SmoothNoise("one", **octaves(4000.0, 1000.0, 0.8)).evaluate(*axes)
    two = SmoothNoise("two", **octaves(4000.0, 1000.0, 0.8)).evaluate(*axes)
    assert abs(one.mean()) < 0.05
    assert one.var() == pytest.approx(1.0, abs=0.05)
    assert abs(np.corrcoef(one.ravel(), two.ravel())[0, 1]) < 0.05


def test_lattice_values_are_nearly_normal_and_independent():
    values = lattice_values(key_of("x"), np.arange(-300, 300), np.arange(-250, 350)).astype(np.float64)
    assert abs(values.mean()) < 0.005
    assert values.var() == pytest.approx(1.0, abs=0.01)
    assert np.mean(np.abs(values) < 1.0) == pytest.approx(0.6827, abs=0.02)
    for neighbours in ((values[:-1], values[1:]), (values[:, :-1], values[:, 1:])):
        assert abs(np.corrcoef(neighbours[0].ravel(), neighbours[1].ravel())[0, 1]) < 0.01


def test_octaves_finer_than_a_pixel_are_left_out_and_the_variance_stays():
    noise = SmoothNoise("a field", **octaves(8000.0, 125.0, 0.9))
    coarse = noise.coarser_than(1000.0)
    assert coarse.spacings == (8000.0, 4000.0, 2000.0, 1000.0)
    field = coarse.evaluate(Axis(0.0, 1000.0, 600), Axis(0.0, 1000.0, 600))
    assert field.var() == pytest.approx(1.0, abs=0.08)
    assert SmoothNoise("x", (100.0,), (1.0,)).coarser_than(1000.0).spacings == (100.0,)


def test_octaves_and_amplitudes_must_match():
    with pytest.raises(ValueError, match="one amplitude"):
        SmoothNoise("x", (100.0, 50.0), (1.0,))
