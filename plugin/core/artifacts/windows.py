"""Which windows of a scene are looked at: squares of a grid that begins at the scene's first pixel.

Windows belong to the scene, not to the tiles or the memory, so that results depend on neither. A sample begins with
the corners, where padding acts, and is then spread evenly.
"""

from __future__ import annotations

import math

from ...ground.window import Window

SIDE = 256
# Windows with a shorter side are mapped, but take no part in the tests.
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


def pieces(windows: list[Window], share: float) -> list[Window]:
    """Return windows, or a part of one, that hold about `share` of all their pixels.

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
    rows, cols = (min(size, max(SMALLEST, int(size * factor))) for size in (first.rows, first.cols))
    return [Window(first.row, first.col, rows, cols)]
