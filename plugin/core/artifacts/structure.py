"""What stays in place in maps of inputs that hold nothing: patterns of strides and cells, borders, and the rest.

*Null hypothesis*: the maps of null inputs are the same random field everywhere (stationary). A network that treats all
places alike makes such maps of stationary inputs; strides, padding, coarse cells and dead corners do not.

*Reference*: each null map is moved by an offset of its own, around the window's edges. Moving a stationary field
changes nothing in its distribution, and correlation inside each map is kept; what stays in place over the maps is torn
apart. So statistics of the mean map are exchangeable with those of means over moved maps, for inputs of any spatial
correlation, and no further pass through the network is needed. A map that is moved around has seams, though, where it
wraps: they look like short periods, and break smooth fields into smaller ones. The pattern is therefore tested on crops
that are moved inside the window, three quarters of it a side, and so is the local part of smooth fields.

The border has a reference of its own. An edge is the end of a window, and the ends of a smooth field differ more from
its mean than other places do: of maps moved around, with a correlation length of a quarter of the window, the border
was significant at 5 % in one window of five. But a border is a contrast, of lines near an edge with those farther away,
and where the field is stationary the contrast of each null map is as likely as its opposite. The replicates are means
of the draws' contrasts with random signs, whatever the correlation. A pattern that is significant is subtracted first.

The mean map m(s) of R null maps, and as well the mean of their magnitudes (a pattern may multiply what the data do
and leave the mean alone), are taken apart in this order:

1. *pattern*: the mean over pixels of equal phase (row mod P, column mod P), in scene coordinates, for the periods that
   the network's structure gives. The period that explains most of the variance is taken (adjusted for the number of
   phases; the shortest of those that explain about as much). Estimated away from the scene's edges.
2. *border*: the mean by distance to each edge of the scene, within the receptive-field radius; of several windows
   it is pooled (:mod:`.borders`).
3. *local*: what is left, by pixel and by blocks.

Each part is shrunk by max(0, 1 - S₀/S), S its sum of squares and S₀ the mean of those of the replicates (the positive
part of James and Stein 1961), and left out where it is not significant in its window: what R maps leave by chance is
not called an artifact.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .decomposition import Crops, Place, Taken, edge_profile, lines_of, on_lines, take_apart
from .significance import LEVEL, largest_standardised, rank_p, smooth

# Sums of squares below this share of the mean square are rounding.
ROUNDING = 1e-18
# The least scale of a map, as a share of its mean: where null maps are zero, whatever the data do stands out.
FLOOR = 1e-3
# Statistics of both maps that may be those of crops: pattern, what is left, and its block means.
IN_CROPS = np.array([[0, 2, 3], [4, 6, 7]])
PARTS = ("pattern", "border", "local")
# Which statistics of the signed and of the magnitude map speak of which part.
COLUMNS: dict[str, Sequence[int]] = {"pattern": (0, 4), "border": (1, 5), "local": (2, 3, 6, 7)}


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
        for side in place.distances:
            fitted = self.coefficients[which].get(side)
            if fitted is not None:
                border += on_lines(np.array(units) @ fitted, side, border.shape)
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
        (1 + replicates, 8): the statistics of both maps, the observed first, then those of the replicates.
    profiles : tuple of mapping
        Of both maps, by side (1 + replicates, radius + 1): the border by distance, the observed first.
    borders : Borders, optional
        Pooled over windows; None: the window's own.
    """

    signed: Taken
    magnitude: Taken
    kept: np.ndarray
    statistics: np.ndarray
    profiles: tuple[Mapping[int, np.ndarray], Mapping[int, np.ndarray]] = ({}, {})
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
    stacks = maps, sizes
    signed, magnitude = (take_apart(stack.mean(axis=0), place) for stack in stacks)
    statistics = np.zeros((1 + replicates, 8))
    statistics[0] = np.concatenate([signed.statistics, magnitude.statistics])
    squares = np.zeros((2, 3))
    crops = Crops.of(place)
    is_smooth = smooth(maps - maps.mean(axis=0))
    columns_of_crops = IN_CROPS if is_smooth else IN_CROPS[:, : bool(crops.place.fitting_periods)]
    # Large radii leave no crop away from edges: a border that moves along would look like structure.
    inner = (maps - signed.border, sizes - magnitude.border)
    for stack, columns in zip(inner, columns_of_crops):
        statistics[0, columns] = crops.statistics(stack, None, len(columns))
    doubled = tuple(_doubled(stack) for stack in stacks)
    for replicate in range(1, 1 + replicates):
        offsets = np.stack([random.integers(0, rows, draws), random.integers(0, cols, draws)], axis=1)
        moved = [take_apart(_moved_mean(stack, offsets), place) for stack in doubled]
        statistics[replicate] = np.concatenate([taken.statistics for taken in moved])
        for stack, columns in zip(inner, columns_of_crops):
            if len(columns):
                statistics[replicate, columns] = crops.statistics(stack, offsets, len(columns))
        squares += np.array([taken.squares for taken in moved]) / replicates
    observed = np.array([signed.squares, magnitude.squares])
    flipped = random.choice((-1.0, 1.0), (replicates, draws))  # nosec B311 # numpy's generator
    signs = np.concatenate([np.ones((1, draws)), flipped])
    profiles = []
    for which, (stack, taken) in enumerate(zip(stacks, (signed, magnitude))):
        pattern = taken.pattern if _exceeds(statistics[:, [4 * which]]) else None
        profiles.append(_edge_profiles(stack, pattern, place, signs / draws))
        border = _border_squares(profiles[-1], place)
        if len(border):
            statistics[:, 4 * which + 1] = border
            observed[which, 1], squares[which, 1] = border[0], border[1:].mean()
    rounding = ROUNDING * np.array([[(maps**2).sum()], [(sizes**2).sum()]])
    ratio = np.divide(squares, observed, out=np.ones_like(observed), where=observed > rounding)
    units = np.maximum([(maps**2).mean(), (sizes**2).mean()], 1e-300)
    scaled = statistics / np.repeat(units, 4)
    scaled[:, [0, 4]] = statistics[:, [0, 4]]  # shares have no unit
    kept = np.where(_significant(scaled), np.clip(1 - ratio, 0, 1), 0.0)
    return Structure(signed, magnitude, kept, scaled, (profiles[0], profiles[1]))


def _edge_profiles(
    maps: np.ndarray, pattern: np.ndarray | None, place: Place, weights: np.ndarray
) -> dict[int, np.ndarray]:
    """Return weighted sums over draws of the border's profiles: by side (sum, radius + 1).

    Parameters
    ----------
    maps : numpy.ndarray
        (draw, row, column).
    pattern : numpy.ndarray or None
        (row, column), subtracted from each.
    place : Place
        Where they lie.
    weights : numpy.ndarray
        (sum, draw).
    """
    profiles: dict[int, np.ndarray] = {}
    levels = maps.mean(axis=(1, 2))[:, None]
    for sides in ((0, 1), (2, 3)):
        at_edges = [side for side in sides if side in place.distances]
        if not at_edges:
            continue
        lines = lines_of(maps, sides[0]) - levels
        if pattern is not None:
            lines = lines - lines_of(pattern, sides[0])
        lines = np.einsum("sd,dl->sl", weights, lines)
        for side in at_edges:
            backwards = slice(None, None, -1 if side in (1, 3) else 1)
            profiles[side] = edge_profile(lines[:, backwards], place.radius)
            near = min(place.radius, lines.shape[1])
            lines[:, backwards][:, :near] -= profiles[side][
                :, :near
            ]  # as a border is taken from a map, side by side
    return profiles


def _border_squares(profiles: Mapping[int, np.ndarray], place: Place) -> np.ndarray:
    """Return the border's sum of squares over the pixels of a window by replicate; empty without an edge."""
    along = place.cols, place.cols, place.rows, place.rows
    return np.sum(
        [along[side] * (profile**2).sum(axis=1) for side, profile in profiles.items()] or [[]], axis=0
    )


def _exceeds(statistics: np.ndarray) -> bool:
    """Return whether the first of statistics (1 + replicates, statistic) is significant among the others."""
    chosen = largest_standardised(statistics)
    return rank_p(chosen[0], chosen[1:]) <= LEVEL


def _significant(statistics: np.ndarray) -> np.ndarray:
    """Return which parts of the signed and of the magnitude map are significant by themselves: (2, 3), bool."""
    significant = np.zeros((2, len(PARTS)), bool)
    for index, part in enumerate(PARTS):
        for row in (0, 1):
            columns = [column for column in COLUMNS[part] if column // 4 == row]
            significant[row, index] = _exceeds(statistics[:, columns])
    return significant


def _doubled(maps: np.ndarray) -> np.ndarray:
    """Return maps (draw, row, column) repeated along rows and columns: one that is moved around is a part of it."""
    return np.tile(maps, (1, 2, 2))


def _moved_mean(doubled: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return the mean of maps, each moved around by its offset; `doubled` as :func:`_doubled` returns them."""
    rows, cols = (size // 2 for size in doubled.shape[1:])
    total = np.zeros((rows, cols))
    for values, (down, across) in zip(doubled, offsets):
        total += values[rows - down : 2 * rows - down, cols - across : 2 * cols - across]
    return total / len(doubled)
