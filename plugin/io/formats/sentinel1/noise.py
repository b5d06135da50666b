"""Thermal noise: η_range · η_azimuth in units of DN².

Since IPF 2.9 (March 2018) the azimuth table divides the image into blocks, each a rectangle of one
sub-swath. To a block belong the range vectors whose line lies inside of it; they are interpolated
between each other along lines and held constant to the block's ends: nothing is carried over from
another block. Short blocks have no vector of their own; the nearest one in lines at which the same
sub-swath has noise is then held. Of every vector only the samples of the block's own sub-swath
count (it restarts at each sub-swath's first pixel), and only positive ones: zero says that a
sub-swath has not started or has ended, and must not draw its neighbours down.

The older format has range vectors only: they are bilinear over the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .nersc_noise import Rescaling
from .tables import Rows, Vector, along_line, vectors, zones
from .xml import Node

_MOST_BLOCKS = 2000


@dataclass(frozen=True)
class Bounds:
    """A rectangle of one sub-swath; all limits are inclusive, zero-based."""

    swath: str
    first_line: int
    last_line: int
    first_pixel: int
    last_pixel: int

    def holds(self, line: int) -> bool:
        """Return whether a line passes through."""
        return self.first_line <= line <= self.last_line


def _read_bounds(node: Node, swath: str) -> Bounds:
    """Return the rectangle that a block's fields describe."""
    bounds = Bounds(
        swath,
        node.integer("firstAzimuthLine"),
        node.integer("lastAzimuthLine"),
        node.integer("firstRangeSample"),
        node.integer("lastRangeSample"),
    )
    if bounds.last_line < bounds.first_line or bounds.last_pixel < bounds.first_pixel:
        raise node.error(f"has a block of {swath} that ends before it begins")
    return bounds


@dataclass(frozen=True)
class _Block:
    """A rectangle with its noise.

    Parameters
    ----------
    bounds : Bounds
        Cut to the image.
    lines, values : numpy.ndarray
        (vector,) and (vector, column): range noise.
    azimuth_lines, azimuth : numpy.ndarray
        (sample,) lines and factors; linear between, constant beyond.
    """

    bounds: Bounds
    lines: np.ndarray
    values: np.ndarray
    azimuth_lines: np.ndarray
    azimuth: np.ndarray

    @property
    def columns(self) -> slice:
        return slice(self.bounds.first_pixel, self.bounds.last_pixel + 1)


class Noise:
    """The thermal noise of one polarisation.

    Parameters
    ----------
    root : Node
        The noise file.
    rows, cols : int
        Size of the image.

    Attributes
    ----------
    format : str
        ``range and azimuth`` or ``range only``.
    blocks : int
        Number of azimuth blocks.
    covered : float
        Share of the image that lies in a block.
    empty : bool
        Whether the table holds zeros only.

    Raises
    ------
    SceneError
        The table is malformed or does not cover the image.
    """

    def __init__(self, root: Node, rows: int, cols: int) -> None:
        self._rows, self._cols = rows, cols
        old = root.has("noiseVectorList") and not root.has("noiseRangeVectorList")
        self.format = "range only" if old else "range and azimuth"
        names = ("noiseVector", "noiseLut") if old else ("noiseRangeVector", "noiseRangeLut")
        table = vectors(root, f"{names[0]}List/{names[0]}", names[1], cols)
        if any((vector.values < 0).any() for vector in table):
            raise root.error("has negative noise")
        self.empty = not any((vector.values > 0).any() for vector in table)
        azimuth = root.all("noiseAzimuthVectorList/noiseAzimuthVector")
        if old or not azimuth:
            # Products without azimuth table: one block without factors.
            whole = Bounds("", min(0, table[0].line), max(rows - 1, table[-1].line), 0, cols - 1)
            self._blocks = [self._block(whole, [whole], table, np.zeros(1), np.ones(1), root)]
        else:
            self._blocks = self._azimuth_blocks(azimuth, table, root)
        self.blocks = len(self._blocks)
        last = float(max(vector.line for vector in table))
        spacing = float(np.diff([vector.line for vector in table]).max()) if len(table) > 1 else 0.0
        self.covered = self._covered()
        if last < rows - 1 - spacing or self.covered < 0.5:
            raise root.error(f"does not cover the image of {rows} x {cols} pixels")
        breaks = [b for block in self._blocks for b in (block.bounds.first_line, block.bounds.last_line + 1)]
        breaks += [
            int(line) for block in self._blocks for line in block.lines if block.bounds.holds(int(line))
        ]
        self._at = zones(breaks, rows, self._make)

    def rows(self, row: int) -> Rows:
        """Return the range noise from `row` on; infinite in pixels of no block."""
        return self._at(row)

    def apply_azimuth(self, row: int, noise: np.ndarray) -> None:
        """Multiply `noise` (row, column), whose first row is `row`, by the azimuth factors.

        All its rows must lie in the same :class:`Rows`.
        """
        lines = np.arange(row, row + len(noise), dtype=np.float64)
        for block in self._blocks:
            if block.bounds.holds(row) and (len(block.azimuth) > 1 or block.azimuth[0] != 1.0):
                factor = np.interp(lines, block.azimuth_lines, block.azimuth)
                noise[:, block.columns] *= factor[:, None]

    def rescale(
        self, row: int, noise: np.ndarray, gain: np.ndarray, rescalings: Mapping[str, Rescaling]
    ) -> None:
        """Turn `noise` (row, column) in DN², azimuth factors included, into NERSC's: factor · noise + offset · A².

        Parameters
        ----------
        row : int
            The first row; all rows must lie in the same :class:`Rows`.
        noise, gain : numpy.ndarray
            (row, column) float64: the noise, changed in place, and A².
        rescalings : mapping
            By the name of the sub-swath; blocks of others keep their noise.
        """
        for block in self._blocks:
            rescaling = rescalings.get(block.bounds.swath)
            if rescaling is not None and block.bounds.holds(row):
                part = noise[:, block.columns]
                part *= rescaling.factor
                part += rescaling.offset * gain[:, block.columns]

    @property
    def sub_swaths(self) -> dict[str, tuple[float, float]]:
        """First and last pixel of each sub-swath, the median over its blocks, in their order; empty where unnamed."""
        held: dict[str, list[tuple[int, int]]] = {}
        for block in self._blocks:
            if block.bounds.swath:
                held.setdefault(block.bounds.swath, []).append(
                    (block.bounds.first_pixel, block.bounds.last_pixel)
                )
        middle = {name: tuple(np.median(ends, axis=0).tolist()) for name, ends in held.items()}
        return dict(sorted(middle.items(), key=lambda item: item[1][0]))

    def _make(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        base, slope = np.full(self._cols, np.inf), np.zeros(self._cols)
        for block in self._blocks:
            if block.bounds.holds(row):
                base[block.columns], slope[block.columns] = along_line(block.lines, block.values, row)
        return base, slope

    def _azimuth_blocks(self, nodes: Sequence[Node], table: Sequence[Vector], root: Node) -> list[_Block]:
        if len(nodes) > _MOST_BLOCKS:
            raise root.error(f"has {len(nodes)} azimuth blocks, more than any product")
        bounds = [_read_bounds(node, node.text("swath", default="")) for node in nodes]
        _check_overlaps(bounds, root)
        blocks = []
        for node, own in zip(nodes, bounds):
            if own.first_line >= self._rows or own.first_pixel >= self._cols or own.last_line < 0:
                continue
            lines = node.numbers("line")
            factors = node.numbers("noiseAzimuthLut", count=len(lines))
            if (np.diff(lines) <= 0).any() or (factors < 0).any():
                raise root.error(f"has a malformed azimuth vector of {own.swath} at line {own.first_line}")
            same = [other for other in bounds if other.swath == own.swath]
            blocks.append(self._block(own, same, table, lines, factors, root))
        return blocks

    def _block(
        self,
        own: Bounds,
        swath: Sequence[Bounds],
        table: Sequence[Vector],
        azimuth_lines: np.ndarray,
        azimuth: np.ndarray,
        root: Node,
    ) -> _Block:
        cut = Bounds(
            own.swath,
            own.first_line,
            own.last_line,
            max(0, own.first_pixel),
            min(self._cols - 1, own.last_pixel),
        )
        if cut.last_pixel < cut.first_pixel:
            raise root.error(f"has a block of {own.swath} outside of the image")
        columns = np.arange(cut.first_pixel, cut.last_pixel + 1, dtype=np.float64)
        inside = [vector for vector in table if own.holds(vector.line)]
        samples = [(v.line, part) for v in inside if (part := _part(v, own)) is not None]
        if not samples:
            samples = _nearest(own, swath, table)
        if not samples:
            # Zeros only: nothing to subtract.
            return _Block(cut, np.zeros(1), np.zeros((1, len(columns))), azimuth_lines, azimuth)
        values = np.stack([np.interp(columns, pixels, noise) for _, (pixels, noise) in samples])
        return _Block(cut, np.array([line for line, _ in samples], float), values, azimuth_lines, azimuth)

    def _covered(self) -> float:
        area = sum(
            (min(self._rows - 1, b.bounds.last_line) - max(0, b.bounds.first_line) + 1)
            * (b.bounds.last_pixel - b.bounds.first_pixel + 1)
            for b in self._blocks
        )
        return area / (self._rows * self._cols)


_Samples = tuple[np.ndarray, np.ndarray]


def _part(vector: Vector, bounds: Bounds) -> _Samples | None:
    """Return pixels and positive values of a vector inside of a sub-swath's pixels, or None."""
    kept = (vector.pixels >= bounds.first_pixel) & (vector.pixels <= bounds.last_pixel) & (vector.values > 0)
    return (vector.pixels[kept], vector.values[kept]) if kept.any() else None


def _nearest(own: Bounds, swath: Sequence[Bounds], table: Sequence[Vector]) -> list[tuple[int, _Samples]]:
    """Return the nearest vector, in lines, that holds noise of the same sub-swath; the earlier of two."""

    def distance(vector: Vector) -> int:
        return max(own.first_line - vector.line, vector.line - own.last_line, 0)

    for vector in sorted(table, key=distance):
        for bounds in swath:
            if bounds.holds(vector.line) and (part := _part(vector, bounds)) is not None:
                return [(vector.line, part)]
    return []


def _check_overlaps(bounds: Sequence[Bounds], root: Node) -> None:
    first_line, last_line, first_pixel, last_pixel = np.array(
        [(b.first_line, b.last_line, b.first_pixel, b.last_pixel) for b in bounds]
    ).T
    for i, own in enumerate(bounds[:-1]):
        after = slice(i + 1, None)
        meets = (first_line[after] <= own.last_line) & (last_line[after] >= own.first_line)
        meets &= (first_pixel[after] <= own.last_pixel) & (last_pixel[after] >= own.first_pixel)
        if meets.any():
            other = bounds[i + 1 + int(np.argmax(meets))]
            raise root.error(f"has azimuth blocks of {own.swath} and {other.swath} that overlap")
