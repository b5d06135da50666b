"""Tiles cover the region once, see what they need, and fit into the memory."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.core.streaming.tiling import (
    BLOCK_COLS,
    LARGEST_SIDE,
    LARGEST_SIDE_AT_BEST,
    Cost,
    Plan,
    plan_tiles,
)
from floelens.plugin.ground.errors import ParameterError
from floelens.plugin.ground.window import Window
from hypothesis import given, settings
from hypothesis import strategies as st


@st.composite
def plans(draw):
    rows, cols = draw(st.integers(1, 150)), draw(st.integers(1, 150))
    row, col = draw(st.integers(0, rows - 1)), draw(st.integers(0, cols - 1))
    region = Window(row, col, draw(st.integers(1, rows - row)), draw(st.integers(1, cols - col)))
    return Plan(
        region,
        Window(0, 0, rows, cols),
        draw(st.integers(0, 40)),
        draw(st.integers(1, 30)),
        draw(st.integers(1, 90)),
        draw(st.integers(1, 90)),
    )


@settings(max_examples=60, deadline=None)
@given(plans())
def test_tiles_cover_each_pixel_of_the_region_once_in_reading_order(plan):
    times = np.zeros((plan.scene.rows, plan.scene.cols), int)
    row, number = plan.region.row, 0
    for strip in plan.strips():
        assert {(tile.output.row, tile.output.row_stop) for tile in strip} == {
            (row, strip[0].output.row_stop)
        }
        row = strip[0].output.row_stop
        for tile in strip:
            times[tile.output.slices()] += 1
            number += 1
    expected = np.zeros_like(times)
    expected[plan.region.slices()] = 1
    assert (times == expected).all()
    assert number == plan.count


@settings(max_examples=60, deadline=None)
@given(plans())
def test_input_windows_hold_the_margin_and_begin_on_the_alignment(plan):
    for tile in (tile for strip in plan.strips() for tile in strip):
        needed = tile.output.grown(plan.radius, within=plan.scene)
        assert tile.input.intersection(needed) == needed
        assert tile.input.row_stop == needed.row_stop
        assert tile.input.col_stop == plan.scene.col_stop or tile.input.cols % BLOCK_COLS == 0
        assert tile.input.col_stop - needed.col_stop < BLOCK_COLS
        assert tile.input.row % plan.alignment == tile.input.col % plan.alignment == 0
        assert tile.read == tile.input.snapped(plan.alignment, within=plan.scene)
        assert tile.output.rows <= plan.tile_rows + plan.alignment
        assert tile.output.cols <= plan.tile_cols + plan.alignment


def test_inner_tiles_read_no_more_than_the_radius():
    scene = Window(0, 0, 2000, 2000)
    plan = Plan(scene, scene, 30, 25, 400, 400)
    tile = list(plan.strips())[2][2]
    assert (tile.output.row - tile.input.row, tile.input.row_stop - tile.output.row_stop) == (30, 30)
    assert tile.output.col - tile.input.col == 30
    assert 30 <= tile.input.col_stop - tile.output.col_stop < 30 + BLOCK_COLS


def test_tiles_are_as_large_as_memory_and_caches_allow():
    scene = Window(0, 0, 10_000, 10_000)
    cost = Cost(tile=2000, strip=20, fixed=1e6)
    sides = {memory: plan_tiles(scene, scene, 30, 25, cost, memory).tile_rows for memory in (128, 256, 4096)}
    for memory, side in sides.items():
        needed = cost.fixed + cost.tile * (side + 60) ** 2 + cost.strip * 10_000 * (side + 60)
        assert needed <= memory * 2**20
    assert sides[128] < sides[256] < sides[4096] == LARGEST_SIDE


def test_work_in_bands_takes_larger_tiles_and_what_a_band_needs_grows_with_the_columns_only():
    scene = Window(0, 0, 10_000, 10_000)
    cost = Cost(tile=500, strip=20, column=100_000)
    sides = [plan_tiles(scene, scene, 30, 25, cost, memory, True).tile_rows for memory in (512, 8192)]
    seen = sides[0] + 60
    assert cost.tile * seen**2 + (cost.column + cost.strip * 10_000) * seen <= 512 * 2**20
    assert LARGEST_SIDE < sides[0] < sides[1] == LARGEST_SIDE_AT_BEST


def test_bands_are_counted_as_often_as_they_are_computed_at_the_same_time():
    scene, rows = Window(0, 0, 300, 10_000), []

    def at_once(number: int) -> int:
        rows.append(number)
        return number // 64

    cost = Cost(tile=0, strip=0, column=100_000, at_once=at_once)
    side = plan_tiles(scene, scene, 30, 25, cost, 128, True).tile_rows
    seen = side + 60
    assert rows[-1] == seen + 1
    assert seen // 64 * 100_000 * seen <= 0.8 * 128 * 2**20 < (seen + 1) // 64 * 100_000 * (seen + 1)


def test_too_little_memory_is_a_sentence_that_names_what_is_needed():
    scene = Window(0, 0, 10_000, 10_000)
    cost = Cost(tile=2000, strip=20)
    with pytest.raises(ParameterError, match=r"at least (\d+) MiB") as caught:
        plan_tiles(scene, scene, 30, 25, cost, 8)
    needed = int(str(caught.value).split("at least ")[1].split()[0])
    assert plan_tiles(scene, scene, 30, 25, cost, needed).tile_rows >= 1


def test_a_region_outside_the_scene_is_refused():
    with pytest.raises(ParameterError, match="does not lie inside the scene"):
        Plan(Window(0, 0, 11, 5), Window(0, 0, 10, 10), 1, 1, 5, 5)
    with pytest.raises(ParameterError, match="does not lie inside the scene"):
        Plan(Window(3, 3, 0, 5), Window(0, 0, 10, 10), 1, 1, 5, 5)
