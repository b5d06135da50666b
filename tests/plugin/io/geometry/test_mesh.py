"""The mesh of ground control points and its inverse."""

from __future__ import annotations

import time

import numpy as np
import pytest
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.io.geometry.mesh import Mesh
from hypothesis import given, settings
from hypothesis import strategies as st

ROWS, COLS = 1000.0, 800.0


def bent(row, col):
    """A smooth, invertible map from pixels to metres that no affine map fits."""
    u = 40.0 * col - 3.0 * row + 2e-3 * row * col
    v = -40.0 * row + 5.0 * col + 1e-3 * col**2
    return u, v


def lattice(at_rows, at_cols):
    row, col = (axis.ravel() for axis in np.meshgrid(at_rows, at_cols, indexing="ij"))
    return row, col


def scattered(seed=0, n=60):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, ROWS, n), rng.uniform(0, COLS, n)


POINTS = {
    "lattice": lattice(np.linspace(0, ROWS, 9), np.linspace(0, COLS, 7)),
    "uneven lattice": lattice([0, 250, 500, 750, 990, 1000], [0, 300, 600, 799.5]),
    "scattered": scattered(),
    "lattice and scattered": tuple(
        np.append(a, b)
        for a, b in zip(lattice(np.linspace(0, ROWS, 9), np.linspace(0, COLS, 7)), scattered(n=5))
    ),
    "one triangle": (np.array([0.0, ROWS, 0.0]), np.array([0.0, 0.0, COLS])),
}


def mesh_of(kind):
    row, col = POINTS[kind]
    return Mesh(row, col, *bent(row, col))


@pytest.mark.parametrize("kind", POINTS)
def test_the_points_themselves_are_met(kind):
    row, col = POINTS[kind]
    np.testing.assert_allclose(mesh_of(kind).forward(row, col), bent(row, col), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", POINTS)
def test_the_inverse_leads_back_inside_and_far_outside(kind):
    mesh = mesh_of(kind)
    rng = np.random.default_rng(1)
    for reach in (0.0, 0.5, 50.0):  # of the image's size
        row = rng.uniform(-reach * ROWS, (1 + reach) * ROWS, 2000)
        col = rng.uniform(-reach * COLS, (1 + reach) * COLS, 2000)
        back = mesh.inverse(*mesh.forward(row, col))
        np.testing.assert_allclose(back, (row, col), rtol=0, atol=1e-6)


def test_a_bilinear_surface_is_met_exactly_between_the_points():
    row, col = POINTS["uneven lattice"]

    def surface(r, c):
        return 40.0 * c + 2e-3 * r * c, -40.0 * r + 1e-3 * r * c

    mesh = Mesh(row, col, *surface(row, col))
    r, c = scattered(seed=3, n=500)
    np.testing.assert_allclose(mesh.forward(r, c), surface(r, c), rtol=0, atol=1e-6)


def test_an_affine_surface_is_met_exactly_everywhere_by_scattered_points():
    row, col = POINTS["scattered"]
    mesh = Mesh(row, col, 40.0 * col - row, 3.0 * col - 40.0 * row)
    r, c = np.array([-500.0, 2000.0, 333.0]), np.array([-900.0, 3.0, 444.0])
    np.testing.assert_allclose(mesh.forward(r, c), (40.0 * c - r, 3.0 * c - 40.0 * r), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", POINTS)
def test_the_surface_is_continuous_where_the_mesh_ends(kind):
    mesh = mesh_of(kind)
    row, col = np.full(3000, ROWS / 3), np.linspace(-2 * COLS, 3 * COLS, 3000)
    u, v = mesh.forward(row, col)
    step = np.hypot(np.diff(u), np.diff(v)) / np.diff(col)
    assert step.max() < 2 * np.median(step)


@pytest.mark.parametrize("kind", POINTS)
def test_moved_and_scaled_pixel_coordinates_give_the_same_places(kind):
    row, col = POINTS[kind]
    mesh, moved = mesh_of(kind), Mesh((row - 130) / 25.0, (col + 70) / 25.08, *bent(row, col))
    r, c = scattered(seed=5, n=1000)
    np.testing.assert_allclose(
        moved.forward((r - 130) / 25.0, (c + 70) / 25.08), mesh.forward(r, c), rtol=0, atol=1e-5
    )


@settings(deadline=None, max_examples=30)
@given(
    st.integers(2, 6),
    st.integers(2, 6),
    st.floats(-0.2, 0.2),
    st.floats(-180, 180),
    st.booleans(),
    st.integers(0, 99),
)
def test_any_gently_bent_image_is_inverted(n_rows, n_cols, bend, heading, mirrored, seed):
    rng = np.random.default_rng(seed)
    at_rows = np.cumsum(np.append(0, rng.uniform(20, 200, n_rows - 1)))
    at_cols = np.cumsum(np.append(0, rng.uniform(20, 200, n_cols - 1)))
    row, col = lattice(at_rows, at_cols)
    y, x = row / at_rows[-1], col / at_cols[-1]
    x, y = x + bend * y**2, y + bend * x * y / 2
    turn = np.radians(heading)
    x = -x if mirrored else x
    mesh = Mesh(
        row, col, 1e5 * (x * np.cos(turn) - y * np.sin(turn)), 1e5 * (x * np.sin(turn) + y * np.cos(turn))
    )
    r, c = rng.uniform(0, at_rows[-1], 200), rng.uniform(0, at_cols[-1], 200)
    np.testing.assert_allclose(mesh.inverse(*mesh.forward(r, c)), (r, c), rtol=0, atol=1e-6)


def test_a_million_places_are_inverted_in_a_few_seconds():
    mesh = mesh_of("lattice and scattered")
    rng = np.random.default_rng(0)
    row, col = rng.uniform(0, ROWS, 1_000_000), rng.uniform(0, COLS, 1_000_000)
    u, v = mesh.forward(row, col)
    start = time.process_time()
    back = mesh.inverse(u, v)
    assert time.process_time() - start < 10.0  # 1 s on an idle core
    assert np.abs(np.subtract(back, (row, col))).max() < 0.01


def test_places_that_are_not_numbers_have_no_pixel():
    row, col = mesh_of("lattice").inverse(np.array([np.nan, 100.0]), np.array([0.0, -100.0]))
    assert np.isnan([row[0], col[0]]).all()
    assert np.isfinite([row[1], col[1]]).all()


def test_points_given_twice_count_once():
    row, col = POINTS["lattice"]
    u, v = bent(row, col)
    twice = Mesh(np.append(row, row[:5]), np.append(col, col[:5]), np.append(u, u[:5]), np.append(v, v[:5]))
    r, c = scattered(seed=2, n=50)
    np.testing.assert_allclose(twice.forward(r, c), mesh_of("lattice").forward(r, c), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("row", "col", "why"),
    [
        ([0.0, 10.0], [0.0, 10.0], "only 2"),
        ([0.0, 10.0, 20.0, 30.0], [0.0, 10.0, 20.0, 30.0], "one line"),
        ([5.0, 5.0, 5.0], [0.0, 10.0, 20.0], "one line"),
    ],
)
def test_points_that_fix_no_image_are_refused(row, col, why):
    row, col = np.array(row), np.array(col)
    with pytest.raises(SceneError, match=why):
        Mesh(row, col, 40.0 * col, -40.0 * row)


def test_points_that_lie_on_one_line_of_the_map_are_refused():
    row, col = POINTS["lattice"]
    with pytest.raises(SceneError, match="line of the map"):
        Mesh(row, col, row + col, 2 * (row + col))


def test_points_that_contradict_each_other_are_refused():
    row, col = POINTS["lattice"]
    u, v = bent(row, col)
    u[20], u[21] = u[21], u[20]
    with pytest.raises(SceneError, match="fold"):
        Mesh(row, col, u, v)
