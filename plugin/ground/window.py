"""Rectangles of pixels.

A window says which rows and columns of a grid are meant::

    Window(100, 200, 50, 60)            # rows 100..149, columns 200..259
    Window(100, 200, 50, 60).grown(30, within=Window(0, 0, 400, 400))

Windows are values: every operation returns a new one. Rows come first, always.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels.

    Parameters
    ----------
    row, col : int
        First row and column.
    rows, cols : int
        Number of rows and columns, at least zero.
    """

    row: int
    col: int
    rows: int
    cols: int

    def __post_init__(self) -> None:
        if self.rows < 0 or self.cols < 0:
            raise ValueError(f"a window cannot have {self.rows} x {self.cols} pixels")

    @property
    def row_stop(self) -> int:
        """The row after the last one."""
        return self.row + self.rows

    @property
    def col_stop(self) -> int:
        """The column after the last one."""
        return self.col + self.cols

    @property
    def empty(self) -> bool:
        """Whether the window holds no pixel."""
        return self.rows == 0 or self.cols == 0

    def intersection(self, other: Window) -> Window:
        """Return the pixels that both windows hold (an empty window where none)."""
        row, col = max(self.row, other.row), max(self.col, other.col)
        return Window(
            row,
            col,
            max(0, min(self.row_stop, other.row_stop) - row),
            max(0, min(self.col_stop, other.col_stop) - col),
        )

    def grown(self, margin: int, within: Window) -> Window:
        """Return the window with `margin` pixels more on each side, cut to `within`."""
        grown = Window(self.row - margin, self.col - margin, self.rows + 2 * margin, self.cols + 2 * margin)
        return grown.intersection(within)

    def snapped(self, step: int, within: Window) -> Window:
        """Return the window grown outward to multiples of `step`, cut to `within`."""
        row, col = self.row // step * step, self.col // step * step
        row_stop, col_stop = -(-self.row_stop // step) * step, -(-self.col_stop // step) * step
        return Window(row, col, row_stop - row, col_stop - col).intersection(within)

    def coarser(self, ratio: int) -> Window:
        """Return the window of the cells of `ratio` x `ratio` pixels that this window touches."""
        row, col = self.row // ratio, self.col // ratio
        return Window(row, col, -(-self.row_stop // ratio) - row, -(-self.col_stop // ratio) - col)

    def slices(self, origin: Window | None = None) -> tuple[slice, slice]:
        """Return row and column slices into an array that begins at `origin` (default: at 0, 0)."""
        row, col = (origin.row, origin.col) if origin else (0, 0)
        return slice(self.row - row, self.row_stop - row), slice(self.col - col, self.col_stop - col)

    def shared_sides(self, other: Window) -> tuple[bool, bool, bool, bool]:
        """Return whether top, bottom, left and right are those of `other`."""
        return (
            self.row == other.row,
            self.row_stop == other.row_stop,
            self.col == other.col,
            self.col_stop == other.col_stop,
        )

    def split(self, rows: int, cols: int) -> Iterator[Window]:
        """Yield windows of at most `rows` x `cols` pixels that cover this one, row by row."""
        for row in range(self.row, self.row_stop, rows):
            for col in range(self.col, self.col_stop, cols):
                yield Window(row, col, min(rows, self.row_stop - row), min(cols, self.col_stop - col))
