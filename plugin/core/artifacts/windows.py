"""Windows of a scene: which are looked at, and values that go from one to the next without a seam.

They are squares of a grid that begins at the scene's first pixel.

Windows belong to the scene, not to the tiles or the memory, so that results depend on neither. A sample begins with
the corners, where padding acts, and is then spread evenly.

Noise has the mean and the spectrum of its window, so the level of the mean null map changes from window to window. It
holds for the middle of a window; between the middles of neighbours it is interpolated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

import numpy as np

from ...ground.window import Window

Found = TypeVar("Found")
# Windows and their levels, by row and column of the grid of windows.
Levels = Mapping[tuple[int, int], tuple[Window, float]]
SIDE = 256
# Windows with a shorter side are mapped, but null maps of them take no part in the tests.
SMALLEST = 48


def window_side(alignment: int, periods: tuple[int, ...] = ()) -> int:
    """Return the side of a window: about :data:`SIDE`, whole multiples of the alignment, four periods at least."""
    wanted = max(SIDE, 4 * max(periods, default=1))
    return math.ceil(wanted / alignment) * alignment


def grid_windows(region: Window, side: int) -> list[list[Window]]:
    """Return the windows that cover a region, row by row."""
    rows = []
    for top in range(region.row // side * side, region.row_stop, side):
        row = [
            Window(top, left, side, side).intersection(region)
            for left in range(region.col // side * side, region.col_stop, side)
        ]
        rows.append([window for window in row if not window.empty])
    return rows


def sampled(windows: list[Window], number: int) -> list[Window]:
    """Return `number` of the windows, in their order: first and last, then evenly between; all for 0."""
    if not number or number >= len(windows):
        return list(windows)
    if number == 1:
        return windows[:1]
    last = len(windows) - 1
    return [windows[round(index * last / (number - 1))] for index in range(number)]


def pieces(windows: list[Window], share: float, least: int) -> list[Window]:
    """Return windows, or a part of one of `least` pixels a side, that hold about `share` of all their pixels.

    Of windows that are whole squares first; a part of a window keeps its first corner, where edges of the scene are.
    """
    total = sum(window.rows * window.cols for window in windows)
    ordered = sorted(windows, key=lambda window: -min(window.rows, window.cols, SIDE))
    chosen: list[Window] = []
    room = share * total
    for window in ordered:
        size = window.rows * window.cols
        if size <= room:
            chosen.append(window)
            room -= size
    if chosen or not ordered:
        return chosen
    first = ordered[0]
    factor = math.sqrt(room / (first.rows * first.cols))
    rows, cols = (min(size, max(least, int(size * factor))) for size in (first.rows, first.cols))
    return [Window(first.row, first.col, rows, cols)]


def blended_level(place: tuple[int, int], levels: Levels) -> np.ndarray:
    """Return the level (row, column) over a window, interpolated towards its neighbours where they have one.

    Parameters
    ----------
    place : tuple of int
        Row and column of the window in the grid of windows.
    levels : mapping
        Windows and their levels by place.
    """
    window, _ = levels[place]
    down, across = np.arange(window.rows) + window.row, np.arange(window.cols) + window.col
    by_row = {}
    for row in (place[0] - 1, place[0], place[0] + 1):
        if (row, place[1]) in levels:
            by_row[row] = _along([(row, place[1] + step) for step in (-1, 0, 1)], levels, across, axis=1)
    own = by_row[place[0]]
    result = np.repeat(own[None], window.rows, axis=0)
    middle = _middle(window, 0)
    for row in (place[0] - 1, place[0] + 1):
        if row in by_row:
            other = _middle(levels[row, place[1]][0], 0)
            share = np.clip((down - middle) / (other - middle), 0, 1)[:, None]
            result += share * (by_row[row] - own)
    return result


def _along(places: list[tuple[int, int]], levels: Levels, at: np.ndarray, axis: int) -> np.ndarray:
    """Return levels at coordinates, interpolated between the middles of windows beside each other."""
    known = [levels[place] for place in places if place in levels]
    return np.interp(at, [_middle(window, axis) for window, _ in known], [level for _, level in known])


def _middle(window: Window, axis: int) -> float:
    first, size = ((window.row, window.rows), (window.col, window.cols))[axis]
    return first + (size - 1) / 2


def with_neighbours(
    rows: Iterable[tuple[list[Window], list[tuple[Window, Found]]]],
    side: int,
    level_of: Callable[[Found], float],
) -> Iterator[tuple[list[Window], list[tuple[Window, Found, np.ndarray]]]]:
    """Yield each row of windows when the next one is known, with the level over each window.

    Parameters
    ----------
    rows : iterable
        Rows of the grid of windows, each with the windows that have a map.
    side : int
        Of the windows.
    level_of : callable
        ``level_of(found)``: the level of a window.
    """
    levels: dict[tuple[int, int], tuple[Window, float]] = {}
    held: tuple[list[Window], list[tuple[Window, Found]]] | None = None
    for row, with_maps in rows:
        levels.update({_place(window, side): (window, level_of(each)) for window, each in with_maps})
        if held is not None:
            yield held[0], _blended(held[1], levels, side)
        held = row, with_maps
        above = row[0].row // side - 1
        levels = {place: each for place, each in levels.items() if place[0] >= above}
    if held is not None:
        yield held[0], _blended(held[1], levels, side)


def _blended(
    with_maps: list[tuple[Window, Found]], levels: Levels, side: int
) -> list[tuple[Window, Found, np.ndarray]]:
    return [(window, each, blended_level(_place(window, side), levels)) for window, each in with_maps]


def _place(window: Window, side: int) -> tuple[int, int]:
    return window.row // side, window.col // side
