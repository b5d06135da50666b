"""What stays in place in maps of inputs that hold nothing: patterns of strides and cells, borders, and the rest.

*Null hypothesis*: the maps of null inputs are the same random field everywhere (stationary). A network that treats all
places alike makes such maps of stationary inputs; strides, padding, coarse cells and dead corners do not.

*Reference*: each null map is moved by an offset of its own, around the window's edges. Moving a stationary field
changes nothing in its distribution, and correlation inside each map is kept; what stays in place over the maps is torn
apart. So statistics of the mean map are exchangeable with those of means over moved maps, for inputs of any spatial
correlation, and no further pass through the network is needed. A map that is moved around has seams, though, where it
wraps: they look like short periods, and break smooth fields into smaller ones. The pattern is therefore tested on crops
that are moved inside the window, three quarters of it a side, and so is the local part of smooth fields. The border of
smooth fields is not: in one window of five, with a correlation length of a quarter of the window, it was significant at
5 % by chance.

The mean map m(s) of R null maps, and as well the mean of their magnitudes (a pattern may multiply what the data do
and leave the mean alone), are taken apart in this order:

1. *pattern*: the mean over pixels of equal phase (row mod P, column mod P), in scene coordinates, for the periods that
   the network's structure gives. The period that explains most of the variance is taken (adjusted for the number of
   phases; the shortest of those that explain about as much). Estimated away from the scene's edges.
2. *border*: the mean by distance to each edge of the scene, within the receptive-field radius; of several windows
   it is pooled (:mod:`.borders`).
3. *local*: what is left, by pixel and by blocks.

Each part is shrunk by max(0, 1 - S₀/S), S its sum of squares and S₀ the mean of those of the moved maps (the positive
part of James and Stein 1961), and left out where it is not significant in its window: what R maps leave by chance is
not called an artifact.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .significance import LEVEL, largest_standardised, rank_p, smooth

# Sums of squares below this share of the mean square are rounding.
ROUNDING = 1e-18
# Blocks in which what is left is summed: for structures larger than a pixel. At least three along a window.
BLOCK = 8
# The least scale of a map, as a share of its mean: where null maps are zero, whatever the data do stands out.
FLOOR = 1e-3
# A period that explains this share of what the best one does is preferred where it is shorter.
SHORTER = 0.9
# Statistics of both maps that may be those of crops: pattern, what is left, and its block means.
IN_CROPS = np.array([[0, 2, 3], [4, 6, 7]])
PARTS = ("pattern", "border", "local")
# Which statistics of the signed and of the magnitude map speak of which part.
COLUMNS: dict[str, Sequence[int]] = {"pattern": (0, 4), "border": (1, 5), "local": (2, 3, 6, 7)}


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
    def interior(self) -> np.ndarray:
        """Pixels farther than the radius from the scene's edges; all where they are less than a quarter."""
        inside = np.ones((self.rows, self.cols), bool)
        for distance in self.distances.values():
            inside &= distance >= self.radius
        return inside if inside.mean() >= 0.25 else np.ones_like(inside)

    @cached_property
    def border(self) -> np.ndarray:
        """Pixels within the radius of an edge of the scene, (row, column)."""
        near = np.zeros((self.rows, self.cols), bool)
        for distance in self.distances.values():
            near |= distance < self.radius
        return near

    @cached_property
    def phases(self) -> dict[int, np.ndarray]:
        """The phase of each pixel by period: (row, column), 0 to P² - 1; periods that fit twice at least."""
        down, across = self.row + np.arange(self.rows), self.col + np.arange(self.cols)
        return {
            period: (down % period)[:, None] * period + (across % period)[None, :]
            for period in self.periods
            if period >= 2 and 2 * period <= min(self.rows, self.cols)
        }


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
    rest = rest - pattern
    border, profiles = np.zeros_like(rest), {}
    for side, distance in place.distances.items():
        profiles[side] = _profile(rest - border, distance, place.radius)
        border += profiles[side][distance]
    rest = rest - border
    blocks = _block_means(rest)
    statistics = [share, float((border**2).sum()), float((rest**2).sum()), float((blocks**2).sum())]
    squares = [float((part**2).sum()) for part in (pattern, border, rest)]
    return Taken(level, pattern, border, rest, period, np.array(statistics), np.array(squares), profiles)


def _pattern(rest: np.ndarray, place: Place) -> tuple[np.ndarray, int, float]:
    """Return the pattern, its period and its share of the variance; zeros where no period fits."""
    inside = place.interior
    values = rest[inside]
    values = values - values.mean()
    whole = float((values**2).sum())
    if whole <= 0:
        return np.zeros_like(rest), 0, 0.0
    candidates = []
    for period, phase in place.phases.items():
        own = phase[inside]
        counts = np.bincount(own, minlength=period**2)
        means = np.bincount(own, values, minlength=period**2) / np.maximum(counts, 1)
        freedom = len(values) - period**2
        if freedom > 0:
            left = max(whole - float((counts * means**2).sum()), 0.0)
            # Shares are adjusted for the number of phases, so that long periods have no advantage.
            candidates.append((1 - left / freedom * (len(values) - 1) / whole, period, means[phase]))
    best = max((share for share, _, _ in candidates), default=0.0)
    for share, period, pattern in candidates:
        if share > 0 and share >= SHORTER * best:  # a pattern also repeats with every multiple of its period
            return pattern, period, best
    return np.zeros_like(rest), 0, best


def _profile(rest: np.ndarray, distance: np.ndarray, radius: int) -> np.ndarray:
    """Return the mean by distance to an edge, (radius + 1,); zero at the radius."""
    counts = np.bincount(distance.ravel(), minlength=radius + 1)
    sums = np.bincount(distance.ravel(), rest.ravel(), minlength=radius + 1)
    means = sums / np.maximum(counts, 1)
    far = means[radius] if counts[radius] else 0.0
    means = means - far
    means[radius] = 0.0
    return means


def _block_means(rest: np.ndarray) -> np.ndarray:
    side = max(1, min(BLOCK, min(rest.shape) // 3))
    rows, cols = (size // side * side for size in rest.shape)
    return rest[:rows, :cols].reshape(rows // side, side, cols // side, side).mean(axis=(1, 3))


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
        inside = place.interior
        rows, cols = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        height, width = len(rows), len(cols)
        room = min(height, width) // 4
        middle = Place(
            place.row + int(rows[0]) + room // 2,
            place.col + int(cols[0]) + room // 2,
            height - room,
            width - room,
            periods=place.periods,
        )
        return cls(int(rows[0]), int(cols[0]), height - room, width - room, room, middle)

    def statistics(self, maps: np.ndarray, offsets: np.ndarray | None) -> np.ndarray:
        """Return those of the mean of crops: those in the middle, or each moved by an offset.

        Returns
        -------
        numpy.ndarray
            (3,): the pattern's share of the variance, and the sums of squares of what it leaves and of its block means.
        """
        total = np.zeros((self.rows, self.cols))
        middle = np.full((len(maps), 2), self.room // 2)
        for values, (down, across) in zip(maps, middle if offsets is None else offsets % (self.room + 1)):
            top, left = self.row + down, self.col + across
            total += values[top : top + self.rows, left : left + self.cols]
        rest = total / len(maps)
        rest -= rest.mean()
        pattern, _, share = _pattern(rest, self.place)
        rest -= pattern
        return np.array([share, (rest**2).sum(), (_block_means(rest) ** 2).sum()])


@dataclass(frozen=True)
class Borders:
    """Profiles of the border, pooled over windows (:mod:`.borders`).

    Parameters
    ----------
    coefficients : tuple of mapping
        For the mean null map and for its magnitude: by side (2, radius + 1), for a level and for a size of 1.
    kept : numpy.ndarray
        (2,): what is kept of each after shrinking, 0 to 1.
    """

    coefficients: tuple[Mapping[int, np.ndarray], Mapping[int, np.ndarray]]
    kept: np.ndarray

    def of(self, which: int, units: tuple[float, float], place: Place) -> np.ndarray:
        """Return the border (row, column) of a window's mean null map (0) or of its magnitude (1), not shrunk."""
        border = np.zeros((place.rows, place.cols))
        for side, distance in place.distances.items():
            fitted = self.coefficients[which].get(side)
            if fitted is not None:
                border += (np.array(units) @ fitted)[distance]
        return border


@dataclass(frozen=True)
class Structure:
    """What stays in place over null maps.

    Parameters
    ----------
    signed, magnitude : Taken
        The mean map, and the mean distance from the maps' one mean, taken apart.
    kept : numpy.ndarray
        (2, 3): what is kept of each part after shrinking, 0 to 1, by map and part.
    statistics : numpy.ndarray
        (1 + replicates, 8): the statistics of both maps, the observed first, then those of moved maps.
    moved_profiles : sequence
        By replicate the borders' profiles of both maps.
    borders : Borders, optional
        Pooled over windows; None: the window's own.
    """

    signed: Taken
    magnitude: Taken
    kept: np.ndarray
    statistics: np.ndarray
    moved_profiles: Sequence[tuple[Mapping[int, np.ndarray], Mapping[int, np.ndarray]]] = ()
    borders: Borders | None = None

    @property
    def units(self) -> tuple[float, float]:
        """The level of the mean map and of the mean distance from it."""
        return self.signed.level, self.magnitude.level

    def pooled(self, borders: Borders, place: Place) -> Structure:
        """Return the same with borders that are pooled over windows."""
        kept = self.kept.copy()
        kept[:, PARTS.index("border")] = borders.kept
        return dataclasses.replace(
            self,
            signed=self.signed.with_border(borders.of(0, self.units, place)),
            magnitude=self.magnitude.with_border(borders.of(1, self.units, place)),
            kept=kept,
            borders=borders,
        )

    def parts(self) -> dict[str, np.ndarray]:
        """Return pattern, border and local part of the mean map, shrunk: (row, column) each."""
        return {name: k * getattr(self.signed, name) for name, k in zip(PARTS, self.kept[0])}

    @property
    def tied(self) -> np.ndarray:
        """What is tied to places, (row, column): the shrunk parts together."""
        return np.sum(list(self.parts().values()), axis=0)

    @property
    def null_mean(self) -> np.ndarray:
        """The mean null map, (row, column): its level and what is tied to places."""
        return self.signed.level + self.tied

    def scale(self, distances: np.ndarray, place: Place) -> np.ndarray:
        """Return the size that `distances` (row, column), means over draws, have in place: shrunk as magnitudes are."""
        taken = take_apart(distances, place)
        if self.borders is not None:
            taken = taken.with_border(self.borders.of(1, (0.0, taken.level), place))
        parts = (k * getattr(taken, name) for name, k in zip(PARTS, self.kept[1]))
        return np.maximum(taken.level + sum(parts), FLOOR * taken.level)


def structure_of(maps: np.ndarray, place: Place, replicates: int, random: np.random.Generator) -> Structure:
    """Take the mean of null maps apart, and compare it with means over moved maps.

    Parameters
    ----------
    maps : numpy.ndarray
        (draw, row, column), finite.
    place : Place
        Where they lie.
    replicates : int
        How often the maps are moved.
    random : numpy.random.Generator
        Of the offsets.

    Returns
    -------
    Structure
        Its statistics are in units of the maps' mean square, so that those of several windows can be added.
    """
    draws, rows, cols = maps.shape
    sizes = np.abs(maps - maps.mean())
    signed, magnitude = take_apart(maps.mean(axis=0), place), take_apart(sizes.mean(axis=0), place)
    statistics = [np.concatenate([signed.statistics, magnitude.statistics])]
    squares = np.zeros((2, 3))
    profiles = []
    crops = Crops.of(place)
    taken_columns = IN_CROPS if smooth(maps - maps.mean(axis=0)) else IN_CROPS[:, :1]
    # Large radii leave no crop away from edges: a border that moves along would look like structure.
    inner = (maps - signed.border, sizes - magnitude.border)
    for stack, columns in zip(inner, taken_columns):
        statistics[0][columns] = crops.statistics(stack, None)[: len(columns)]
    for _ in range(replicates):
        offsets = np.stack([random.integers(0, rows, draws), random.integers(0, cols, draws)], axis=1)
        moved = [take_apart(_moved_mean(stack, offsets), place) for stack in (maps, sizes)]
        of_moved = np.concatenate([taken.statistics for taken in moved])
        profiles.append((moved[0].profiles, moved[1].profiles))
        for stack, columns in zip(inner, taken_columns):
            of_moved[columns] = crops.statistics(stack, offsets)[: len(columns)]
        statistics.append(of_moved)
        squares += np.array([taken.squares for taken in moved]) / replicates
    observed = np.array([signed.squares, magnitude.squares])
    rounding = ROUNDING * np.array([[(maps**2).sum()], [(sizes**2).sum()]])
    ratio = np.divide(squares, observed, out=np.ones_like(observed), where=observed > rounding)
    units = np.maximum([(maps**2).mean(), (sizes**2).mean()], 1e-300)
    scaled = np.array(statistics) / np.repeat(units, 4)
    scaled[:, [0, 4]] = np.array(statistics)[:, [0, 4]]  # shares have no unit
    kept = np.where(_significant(scaled), np.clip(1 - ratio, 0, 1), 0.0)
    return Structure(signed, magnitude, kept, scaled, profiles)


def _significant(statistics: np.ndarray) -> np.ndarray:
    """Return which parts of the signed and of the magnitude map are significant by themselves: (2, 3), bool."""
    significant = np.zeros((2, len(PARTS)), bool)
    for index, part in enumerate(PARTS):
        for row in (0, 1):
            columns = [column for column in COLUMNS[part] if column // 4 == row]
            chosen = largest_standardised(statistics[:, columns])
            significant[row, index] = rank_p(chosen[0], chosen[1:]) <= LEVEL
    return significant


def _moved_mean(maps: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    total = np.zeros(maps.shape[1:])
    rows, cols = total.shape
    for values, (down, across) in zip(maps, offsets):
        # Four pieces, each added where it goes: no copy as of numpy.roll.
        lower, upper = (slice(down, None), slice(0, rows - down)), (slice(0, down), slice(rows - down, None))
        for to_row, from_row in (lower, upper):
            total[to_row, across:] += values[from_row, : cols - across]
            if across:
                total[to_row, :across] += values[from_row, cols - across :]
    return total / len(maps)
