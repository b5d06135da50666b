"""A mean map taken apart: level, pattern, border and the rest; and crops of maps, in which patterns are tested.

Everything is a mean over lines or over phases, so that the parts of a window are rectangles and no pixel is looked up.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

# Blocks in which what is left is summed: for structures larger than a pixel. At least three along a window.
BLOCK = 8
# A period that explains this share of what the best one does is preferred where it is shorter.
SHORTER = 0.9


@dataclass(frozen=True)
class Place:
    """Where a window lies, as far as its structure goes.

    Parameters
    ----------
    row, col, rows, cols : int
        The window in the scene.
    edges : tuple of bool
        Whether top, bottom, left and right are edges of the scene.
    radius : int
        How far a border may reach, in pixels.
    periods : tuple of int
        Periods of patterns that are looked for, in pixels; at least 2 each.
    """

    row: int
    col: int
    rows: int
    cols: int
    edges: tuple[bool, bool, bool, bool] = (False,) * 4
    radius: int = 0
    periods: tuple[int, ...] = ()

    @cached_property
    def distances(self) -> dict[int, np.ndarray]:
        """The distance to each edge of the scene, (row, column), capped at the radius; by the side's number."""
        down, across = np.arange(self.rows)[:, None], np.arange(self.cols)[None, :]
        sides = (down, self.rows - 1 - down, across, self.cols - 1 - across)
        shape = (self.rows, self.cols)
        return {
            number: np.broadcast_to(np.minimum(side, self.radius), shape)
            for number, (side, edge) in enumerate(zip(sides, self.edges))
            if edge and self.radius > 0
        }

    @cached_property
    def interior(self) -> tuple[slice, slice]:
        """Rows and columns farther than the radius from the scene's edges; all where they are less than a quarter."""
        top, bottom, left, right = (self.radius if edge else 0 for edge in self.edges)
        height, width = max(0, self.rows - top - bottom), max(0, self.cols - left - right)
        if height * width < 0.25 * self.rows * self.cols:
            return slice(0, self.rows), slice(0, self.cols)
        return slice(top, top + height), slice(left, left + width)

    @cached_property
    def border(self) -> np.ndarray:
        """Pixels within the radius of an edge of the scene, (row, column)."""
        near = np.zeros((self.rows, self.cols), bool)
        for distance in self.distances.values():
            near |= distance < self.radius
        return near

    @property
    def fitting_periods(self) -> tuple[int, ...]:
        """The periods that fit into the window twice at least."""
        least = min(self.rows, self.cols)
        return tuple(period for period in self.periods if period >= 2 and 2 * period <= least)


@dataclass(frozen=True)
class Taken:
    """A mean map taken apart; arrays (row, column) that add up to it.

    Parameters
    ----------
    level : float
        Its mean.
    pattern, border, local : numpy.ndarray
        The three parts.
    period : int
        Of the pattern; 0 where there is none.
    statistics : numpy.ndarray
        (4,): the pattern's share of the variance; sums of squares of border, of what is left and of its block means,
        as shares of the sum of squares of the map without what came before.
    squares : numpy.ndarray
        (3,): sum of squares of each part.
    profiles : mapping of int to numpy.ndarray
        (radius + 1,) by side: the border by distance to it.
    """

    level: float
    pattern: np.ndarray
    border: np.ndarray
    local: np.ndarray
    period: int
    statistics: np.ndarray
    squares: np.ndarray
    profiles: Mapping[int, np.ndarray]

    def with_border(self, border: np.ndarray) -> Taken:
        """Return the same with another border; what it leaves is local."""
        return dataclasses.replace(self, border=border, local=self.border + self.local - border)


def take_apart(mean: np.ndarray, place: Place) -> Taken:
    """Take a mean map (row, column) apart into level, pattern, border and the rest."""
    level = float(mean.mean())
    rest = mean - level
    pattern, period, share = _pattern(rest, place)
    if period:
        rest = rest - pattern
    border, profiles = np.zeros_like(rest), {}
    for side in place.distances:
        profiles[side] = edge_profile(lines_of(rest - border, side), place.radius)
        border += on_lines(profiles[side], side, rest.shape)
    if profiles:
        rest = rest - border
    squares = [
        _squares(pattern) if period else 0.0, _squares(border) if profiles else 0.0, _squares(rest),
    ]  # fmt: skip
    statistics = [share, squares[1], squares[2], _squares(block_means(rest))]
    return Taken(level, pattern, border, rest, period, np.array(statistics), np.array(squares), profiles)


def _squares(values: np.ndarray) -> float:
    """Return the sum of squares."""
    return float(np.vdot(values, values))


def _pattern(rest: np.ndarray, place: Place) -> tuple[np.ndarray, int, float]:
    """Return the pattern, its period and its share of the variance; zeros where no period fits."""
    rows, cols = place.interior
    values = rest[rows, cols]
    values = values - values.mean()
    whole = _squares(values)
    if whole <= 0:
        return np.zeros_like(rest), 0, 0.0
    candidates = []
    top, left = place.row + rows.start, place.col + cols.start
    for period in place.fitting_periods:
        means, counts = _phase_means(values, top % period, left % period, period)
        freedom = values.size - period**2
        if freedom > 0:
            unexplained = max(whole - float((counts * means**2).sum()), 0.0)
            # Shares are adjusted for the number of phases, so that long periods have no advantage.
            share = 1 - unexplained / freedom * (values.size - 1) / whole
            candidates.append((share, period, means))
    best = max((share for share, _, _ in candidates), default=0.0)
    for share, period, means in candidates:
        if share > 0 and share >= SHORTER * best:  # a pattern also repeats with every multiple of its period
            down = (place.row + np.arange(place.rows)) % period
            across = (place.col + np.arange(place.cols)) % period
            return means[np.ix_(down, across)], period, best
    return np.zeros_like(rest), 0, best


def _phase_means(values: np.ndarray, down: int, across: int, period: int) -> tuple[np.ndarray, np.ndarray]:
    """Return means of values (row, column) by phase and their numbers, (period, period) both.

    `down` and `across` are the phases of the first row and column.
    """
    rows, cols = values.shape
    high, wide = -(-(down + rows) // period), -(-(across + cols) // period)
    padded = np.zeros((high * period, wide * period))
    padded[down : down + rows, across : across + cols] = values
    sums = padded.reshape(high, -1).sum(axis=0).reshape(period, wide, period).sum(axis=1)
    counts = np.outer(*(
        np.bincount((first + np.arange(size)) % period, minlength=period)
        for first, size in ((down, rows), (across, cols))
    ))  # fmt: skip
    return sums / np.maximum(counts, 1), counts


def lines_of(maps: np.ndarray, side: int) -> np.ndarray:
    """Return means (..., line) of maps (..., row, column) over the lines along a side, the outermost first."""
    lines = maps.mean(axis=-1 if side < 2 else -2)
    return lines if side in (0, 2) else lines[..., ::-1]


def edge_profile(lines: np.ndarray, radius: int) -> np.ndarray:
    """Return how lines (..., line) near an edge differ from those beyond the radius: (..., radius + 1), the last 0."""
    profile = np.zeros((*lines.shape[:-1], radius + 1))
    near = min(radius, lines.shape[-1])
    far = lines[..., radius:].mean(axis=-1, keepdims=True) if lines.shape[-1] > radius else 0.0
    profile[..., :near] = lines[..., :near] - far
    return profile


def on_lines(profile: np.ndarray, side: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return a profile at its places in a window of this shape: (row, 1) or (1, column)."""
    length = shape[0] if side < 2 else shape[1]
    values = profile[np.minimum(np.arange(length), len(profile) - 1)]
    values = values if side in (0, 2) else values[::-1]
    return values[:, None] if side < 2 else values[None, :]


def block_side(shape: tuple[int, ...]) -> int:
    """Return the side of the blocks of a window (row, column), in pixels: at least three fit along it."""
    return max(1, min(BLOCK, min(shape) // 3))


def block_means(maps: np.ndarray) -> np.ndarray:
    """Return means of maps (..., row, column) over whole blocks: (..., block row, block column)."""
    side, before = block_side(maps.shape[-2:]), maps.shape[:-2]
    rows, cols = (size // side * side for size in maps.shape[-2:])
    # Sums over rows first: whole lines at once.
    sums = maps[..., :rows, :cols].reshape(*before, rows // side, side, cols).sum(axis=-2)
    return sums.reshape(*before, rows // side, cols // side, side).sum(axis=-1) / side**2


@dataclass(frozen=True)
class Crops:
    """Where a pattern is tested: parts of a window that can be moved within it, so that no seam looks like one.

    Parameters
    ----------
    row, col, rows, cols : int
        The part of the window that lies away from the scene's edges.
    room : int
        How far a crop can be moved in it, in pixels.
    place : Place
        Of the crop in its middle.
    """

    row: int
    col: int
    rows: int
    cols: int
    room: int
    place: Place

    @classmethod
    def of(cls, place: Place) -> Crops:
        """Return the crops of a window."""
        rows, cols = place.interior
        height, width = rows.stop - rows.start, cols.stop - cols.start
        room = min(height, width) // 4
        middle = Place(
            place.row + rows.start + room // 2,
            place.col + cols.start + room // 2,
            height - room,
            width - room,
            periods=place.periods,
        )
        return cls(rows.start, cols.start, height - room, width - room, room, middle)

    def statistics(self, maps: np.ndarray, offsets: np.ndarray | None, number: int = 3) -> np.ndarray:
        """Return those of the mean of crops: those in the middle, or each moved by an offset.

        Returns
        -------
        numpy.ndarray
            The first `number` of: the pattern's share of the variance, and the sums of squares of what it leaves and
            of its block means.
        """
        total = np.zeros((self.rows, self.cols))
        middle = np.full((len(maps), 2), self.room // 2)
        for values, (down, across) in zip(maps, middle if offsets is None else offsets % (self.room + 1)):
            top, left = self.row + down, self.col + across
            total += values[top : top + self.rows, left : left + self.cols]
        rest = total / len(maps)
        rest -= rest.mean()
        pattern, period, share = _pattern(rest, self.place)
        if number == 1:
            return np.array([share])
        if period:
            rest -= pattern
        return np.array([share, _squares(rest), _squares(block_means(rest))])[:number]
