"""Tables of a product that are interpolated along lines: what calibration and noise share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .xml import Node

# Of a table at every pixel: a real one has 1e6, as float64 these take 240 MiB.
_MOST_VALUES = 30_000_000


@dataclass(frozen=True)
class Vector:
    """Values along one line of the image.

    Parameters
    ----------
    line : int
        The line, zero-based; may lie outside of the image.
    pixels : numpy.ndarray
        (sample,) pixels of the values, zero-based, strictly increasing, float64.
    values : numpy.ndarray
        (sample,) float64.
    """

    line: int
    pixels: np.ndarray
    values: np.ndarray


def vectors(root: Node, path: str, field: str, cols: int) -> list[Vector]:
    """Return the vectors of a table, by increasing line, the first one where lines repeat.

    Parameters
    ----------
    root : Node
        The file.
    path, field : str
        Where its vectors are, and what their values are called.
    cols : int
        Pixels of a line of the image.

    Raises
    ------
    SceneError
        There is none, or a malformed one.
    """
    nodes = root.all(path)
    if len(nodes) * cols > _MOST_VALUES:
        raise root.error(f"has {len(nodes)} vectors, more than any product")
    vectors_by_line: dict[int, Vector] = {}
    for node in nodes:
        pixels = node.numbers("pixel")
        values = node.numbers(field, count=len(pixels))
        if (np.diff(pixels) <= 0).any():
            raise root.error(f"has a vector at line {node.integer('line')} whose pixels do not increase")
        line = node.integer("line")
        vectors_by_line.setdefault(line, Vector(line, pixels, values))
    if not vectors_by_line:
        raise root.error(f"has no {path.split('/')[-1]}")
    return [vectors_by_line[line] for line in sorted(vectors_by_line)]


@dataclass(frozen=True)
class Rows:
    """Rows over which a table is linear: ``value(row) = base + (row - first) * slope``.

    Parameters
    ----------
    first, stop : int
        First row, and the row after the last one.
    base, slope : numpy.ndarray
        (column,) float64.
    """

    first: int
    stop: int
    base: np.ndarray
    slope: np.ndarray

    def evaluate(self, row: int, out: np.ndarray) -> np.ndarray:
        """Fill `out` (row, column), float64, with the values from `row` on."""
        steps = np.arange(row - self.first, row - self.first + len(out), dtype=np.float64)
        np.multiply(steps[:, None], self.slope, out=out)
        return np.add(out, self.base, out=out)


def along_line(lines: np.ndarray, values: np.ndarray, row: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (values, slope) of a table at `row` and onward to its next line; constant beyond its ends.

    Parameters
    ----------
    lines : numpy.ndarray
        (vector,) strictly increasing.
    values : numpy.ndarray
        (vector, column) float64.
    row : int
        The row.
    """
    after = int(np.searchsorted(lines, row, side="right"))
    if after in (0, len(lines)):
        return values[max(0, after - 1)], np.zeros_like(values[0])
    slope = (values[after] - values[after - 1]) / float(lines[after] - lines[after - 1])
    return values[after - 1] + (row - lines[after - 1]) * slope, slope


def zones(
    breaks: Sequence[int], rows: int, make: Callable[[int], tuple[np.ndarray, np.ndarray]]
) -> Callable[[int], Rows]:
    """Return a function that gives the :class:`Rows` of any row, made as needed; the last ones are kept.

    Parameters
    ----------
    breaks : sequence of int
        Rows at which the table ceases to be the linear function it was.
    rows : int
        Rows of the image.
    make : callable
        Returns (base, slope) of the rows from a given one to the next break.
    """
    starts = np.unique(np.clip([0, *breaks, rows], 0, rows))
    kept: dict[int, Rows] = {}

    def at(row: int) -> Rows:
        number = int(np.searchsorted(starts, row, side="right")) - 1
        zone = kept.get(number)
        if zone is None:
            if len(kept) >= 4:
                kept.clear()
            first = int(starts[number])
            zone = kept[number] = Rows(first, int(starts[number + 1]), *make(first))
        return zone

    return at
