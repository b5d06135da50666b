"""From the MWR raster's own pixels to the network's cells, and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from floelens.plugin.ground.window import Window
from floelens.plugin.io.geometry.grid import Grid
from floelens.plugin.io.geometry.sampler import Sampler
from floelens.tests.plugin.io.rasters import NORTH, PLACES, affine_grid, gcp_grid
from hypothesis import given, settings
from hypothesis import strategies as st


def nested(fine: Grid, rows: int, cols: int) -> Grid:
    """Return a grid of rows x cols cells that spans the fine one."""
    points = tuple(replace(g, row=g.row * rows / fine.rows, col=g.col * cols / fine.cols) for g in fine.gcps)
    return Grid(rows, cols, fine.crs, gcps=points)


def polar(fine: Grid, size: float = 700.0, rows: int = 90, cols: int = 90) -> Grid:
    """Return a polar stereographic grid of its own around the middle of the fine one."""
    import pyproj

    lon, lat = fine.pixel_to_lonlat(fine.rows / 2, fine.cols / 2)
    x, y = pyproj.Transformer.from_crs("EPSG:4326", NORTH, always_xy=True).transform(lon, lat)
    return Grid(rows, cols, NORTH, transform=(size, 0, x - size * cols / 2, 0, -size, y + size * rows / 2))


def sampler(fine, ratio, coarse, valid=None) -> Sampler:
    return Sampler.build(
        fine, ratio, coarse, np.ones((coarse.rows, coarse.cols), bool) if valid is None else valid
    )


FINE = gcp_grid(rows=200, cols=230)


@pytest.mark.parametrize("ratio", [10, 7, 25])
def test_the_same_cells_are_taken_over_one_by_one(ratio):
    # 7 and 25 leave partial cells at the edge, which are whole pixels of the coarse raster.
    s = sampler(FINE, ratio, FINE.coarser(ratio))
    np.testing.assert_array_equal(s.matrix.toarray(), np.eye(s.matrix.shape[0]))
    assert s.cell_valid.all()


def test_the_same_cells_are_found_on_affine_grids_in_another_crs_too():
    fine = affine_grid(rows=60, cols=80)
    s = sampler(fine, 10, fine.coarser(10))
    np.testing.assert_array_equal(s.matrix.toarray(), np.eye(48))


def test_a_coarse_raster_without_the_last_partial_cells_answers_with_its_last_pixels():
    coarse = FINE.coarser(7).subset(Window(0, 0, 28, 32))
    s = sampler(FINE, 7, coarse)
    assert s.cell_shape == (29, 33)
    assert s.cell_valid.all()
    values = np.arange(28.0 * 32).reshape(1, 28, 32)
    np.testing.assert_array_equal(s.forward(values)[0, 28, :32], values[0, 27])


def test_cells_that_are_not_whole_pixels_follow_a_ramp_exactly():
    # Bilinear interpolation reproduces a ramp; a raster of 14 x 16 over 200 x 230 drifts against 10-pixel cells.
    coarse = nested(FINE, 14, 16)
    row, col = np.meshgrid(np.arange(14) + 0.5, np.arange(16) + 0.5, indexing="ij")
    values = np.stack([row, col])
    cells = sampler(FINE, 10, coarse).forward(values)
    cell_row, cell_col = np.meshgrid(np.arange(5, 200, 10), np.arange(5, 230, 10), indexing="ij")
    truth = np.stack([np.clip(cell_row * 14 / 200, 0.5, 13.5), np.clip(cell_col * 16 / 230, 0.5, 15.5)])
    np.testing.assert_allclose(cells, truth, rtol=0, atol=1e-6)


@pytest.mark.parametrize("place", ["svalbard", "north pole", "antimeridian near the pole"])
def test_a_projected_grid_of_its_own_is_sampled_where_the_cells_lie(place):
    fine = gcp_grid(PLACES[place], rows=200, cols=230)
    coarse = polar(fine)
    row, col = np.meshgrid(np.arange(90) + 0.5, np.arange(90) + 0.5, indexing="ij")
    cells = sampler(fine, 10, coarse).forward(np.stack(coarse.pixel_to_map(row, col)))
    centre = np.meshgrid(np.arange(5, 200, 10), np.arange(5, 230, 10), indexing="ij")
    lonlat = fine.pixel_to_lonlat(*centre)
    truth = coarse.pixel_to_map(*coarse.lonlat_to_pixel(*lonlat))
    np.testing.assert_allclose(cells, truth, rtol=0, atol=1e-3)


def random_sampler(seed: int, kind: str, ratio: int) -> tuple[Sampler, np.random.Generator]:
    rng = np.random.default_rng(seed)
    coarse = {"nested": nested(FINE, 14, 16), "same": FINE.coarser(ratio), "polar": polar(FINE)}[kind]
    return sampler(FINE, ratio, coarse, rng.random((coarse.rows, coarse.cols)) > 0.3), rng


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from(["nested", "same", "polar"]), st.sampled_from([7, 10, 25]))
def test_the_way_back_is_the_exact_transpose(seed, kind, ratio):
    s, rng = random_sampler(seed, kind, ratio)
    x, y = rng.normal(size=(3, *s.coarse_shape)), rng.normal(size=(3, *s.cell_shape))
    forward, back = np.where(s.cell_valid, s.forward(x), 0.0), s.adjoint(y)
    left, right = (forward * np.where(s.cell_valid, y, 0.0)).sum(axis=(1, 2)), (x * back).sum(axis=(1, 2))
    scale = np.abs(forward * y).sum(axis=(1, 2)) + 1.0
    np.testing.assert_array_less(np.abs(left - right), 1e-12 * scale)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from(["nested", "same", "polar"]))
def test_weights_of_valid_cells_sum_to_one_and_use_valid_pixels_only(seed, kind):
    rng = np.random.default_rng(seed)
    coarse = {"nested": nested(FINE, 14, 16), "same": FINE.coarser(10), "polar": polar(FINE)}[kind]
    valid = rng.random((coarse.rows, coarse.cols)) > 0.5
    s = sampler(FINE, 10, coarse, valid)
    np.testing.assert_allclose(s.matrix.sum(axis=1).A1, s.cell_valid.ravel(), rtol=0, atol=1e-12)
    assert not s.matrix.tocsc()[:, ~valid.ravel()].nnz


def test_nothing_is_lost_on_the_way_back():
    s = sampler(FINE, 10, nested(FINE, 14, 16))
    y = np.random.default_rng(0).normal(size=(2, *s.cell_shape))
    np.testing.assert_allclose(s.adjoint(y).sum(axis=(1, 2)), y.sum(axis=(1, 2)), rtol=1e-12)


def test_values_of_invalid_cells_and_pixels_do_not_spread():
    coarse = nested(FINE, 14, 16)
    valid = np.ones((14, 16), bool)
    valid[3:7, 4:9] = False
    s = sampler(FINE, 10, coarse, valid)
    assert not s.cell_valid.all()
    x = np.where(valid, 1.0, np.nan)[None]
    cells = s.forward(x)[0]
    np.testing.assert_allclose(cells[s.cell_valid], 1.0, rtol=1e-12)
    assert np.isnan(cells[~s.cell_valid]).all()
    assert np.isfinite(s.adjoint(np.where(s.cell_valid, 1.0, np.nan)[None])).all()


def test_a_cell_counts_if_half_of_its_weight_is_valid():
    fine = affine_grid(rows=20, cols=40, size=80.0)
    a, b, c, d, e, f = fine.transform
    # Coarse pixels of 10 fine ones, moved by a quarter: neighbours weigh 0.75 and 0.25.
    coarse = Grid(2, 6, fine.crs, transform=(10 * a, b, c - 2.5 * a, d, 10 * e, f))
    valid = np.ones((2, 6), bool)
    valid[:, 2] = False
    s = sampler(fine, 10, coarse, valid)
    np.testing.assert_array_equal(s.cell_valid[0], [True, True, False, True])
    values = np.arange(6.0) * np.ones((1, 2, 1))
    np.testing.assert_allclose(s.forward(np.where(valid, values, np.nan))[0, 0, [0, 1, 3]], [0.25, 1.0, 3.25])


def test_cells_beyond_half_a_pixel_outside_are_invalid():
    fine = affine_grid(rows=40, cols=40, size=80.0)
    a, b, c, d, e, f = fine.transform
    # The raster begins 14 fine pixels inside: centres at 5 (0.9 pixels outside) and 15 (inside).
    coarse = Grid(4, 2, fine.crs, transform=(10 * a, b, c + 14 * a, d, 10 * e, f))
    np.testing.assert_array_equal(sampler(fine, 10, coarse).cell_valid[0], [False, True, True, True])
    # Beginning 9 pixels inside, the first centre is 0.4 pixels outside.
    coarse = Grid(4, 3, fine.crs, transform=(10 * a, b, c + 9 * a, d, 10 * e, f))
    s = sampler(fine, 10, coarse)
    assert s.cell_valid[0, 0]
    assert s.forward(np.arange(3.0) * np.ones((1, 4, 1)))[0, 0, 0] == 0.0


def test_a_raster_elsewhere_reaches_no_cell():
    assert not sampler(FINE, 10, gcp_grid(PLACES["south pole"], rows=30, cols=30)).cell_valid.any()


def test_a_validity_of_another_shape_is_a_mistake():
    with pytest.raises(ValueError, match="shape"):
        Sampler.build(FINE, 10, FINE.coarser(10), np.ones((3, 3), bool))
