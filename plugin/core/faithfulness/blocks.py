"""Blocks of a scene, squares of whole coarse cells, and the relevance that lies in each.

Blocks begin at the scene's first pixel, so that neither tiles nor an extent move them. A block takes part
where something was measured in it and a pixel of the target lies within the network's radius: all others
can change nothing, and would only dilute a ranking.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ...ground.errors import ParameterError
from ...ground.window import Window
from ..target.target import Seeding
from .curves import shuffled

ROWS_AT_ONCE = 64  # of a strip, so that little beside it is held
WINDOW_BLOCKS = 4  # along the side of a window of a sample


def whole_cells(side: int, ratio: int) -> int:
    """Return the multiple of `ratio` that comes closest to `side` pixels, at least one."""
    return max(1, round(side / ratio)) * ratio


@dataclass(frozen=True)
class BlockGrid:
    """The blocks that a region touches; at its border they are cut.

    Parameters
    ----------
    region : Window
        The pixels whose inputs blocks hold.
    side : int
        Of a block, in fine pixels: a multiple of `ratio`.
    ratio : int
        Fine pixels along a coarse cell.
    """

    region: Window
    side: int
    ratio: int

    @property
    def window(self) -> Window:
        """The blocks, counted from the scene's first."""
        return self.region.coarser(self.side)

    @property
    def shape(self) -> tuple[int, int]:
        """How many rows and columns of blocks there are."""
        return self.window.rows, self.window.cols

    def sums(self, values: np.ndarray, window: Window, unit: int = 1) -> np.ndarray:
        """Return Σ values by block.

        Parameters
        ----------
        values : numpy.ndarray
            (row, column), on units of `unit` x `unit` fine pixels.
        window : Window
            Which units, inside the region.

        Returns
        -------
        numpy.ndarray
            (block row, block column), float64.
        """
        rows, cols = self._places(window, unit)
        down, across = (np.flatnonzero(np.diff(places, prepend=-1)) for places in (rows, cols))
        sums = np.add.reduceat(np.asarray(values, np.float64), down, axis=0)
        totals = np.zeros(self.shape)
        totals[np.ix_(rows[down], cols[across])] = np.add.reduceat(sums, across, axis=1)
        return totals

    def spread(self, of_blocks: np.ndarray, window: Window, unit: int = 1) -> np.ndarray:
        """Return for each unit of a window whether its block is marked; no unit outside the region is.

        Parameters
        ----------
        of_blocks : numpy.ndarray
            (block row, block column), bool.
        window : Window
            Units of `unit` x `unit` fine pixels.

        Returns
        -------
        numpy.ndarray
            (row, column), bool.
        """
        inside = window.intersection(self.region.coarser(unit))
        marked = np.zeros((window.rows, window.cols), bool)
        if not inside.empty:
            marked[inside.slices(window)] = of_blocks[np.ix_(*self._places(inside, unit))]
        return marked

    def _places(self, window: Window, unit: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the block row of each row of a window, and the block column of each column."""
        rows = np.arange(window.row, window.row_stop) * unit // self.side - self.window.row
        cols = np.arange(window.col, window.col_stop) * unit // self.side - self.window.col
        return rows, cols

    def pixels_near(self, of_blocks: np.ndarray, radius: int, window: Window) -> np.ndarray:
        """Return which pixels of a window lie within `radius` of a marked block, (row, column) bool."""
        around = window.grown(radius, within=self.region)
        near = self.spread(of_blocks, around).astype(np.uint8)
        for axis in (0, 1):
            near = ndimage.maximum_filter1d(near, 2 * radius + 1, axis=axis, mode="constant")
        return near[window.slices(around)].astype(bool)


class BlockRelevance:
    """A sink that adds up a relevance map by blocks.

    Parameters
    ----------
    grid : BlockGrid
        The blocks; the map is that of its region.
    seeding : Seeding
        The target explained.
    radius : int
        Receptive-field radius of the network.
    channels : int
        Fine channels: the first bands of the strips. Others, standard deviations, are left out.
    """

    def __init__(self, grid: BlockGrid, seeding: Seeding, radius: int, channels: int) -> None:
        self.grid = grid
        self.sums = np.zeros(grid.shape)
        self._measured = np.zeros(grid.shape, bool)
        self._acting = np.zeros(grid.shape, bool)
        self._seeding, self._radius, self._channels = seeding, radius, channels
        self._row = grid.region.row

    def write(self, values: np.ndarray) -> None:
        """Add the next rows: (band, row, column); NaN where not valid."""
        strip = Window(self._row, self.grid.region.col, *values.shape[1:])
        for window in strip.split(ROWS_AT_ONCE, strip.cols):
            part = values[(slice(self._channels), *window.slices(strip))]
            valid = np.isfinite(part).all(axis=0)
            self.sums += self.grid.sums(np.where(valid, part, 0.0).sum(axis=0, dtype=np.float64), window)
            self._measured |= self.grid.sums(valid, window) > 0
            self._mark_acting(self._seeding.mask(window, valid), window)
        self._row = strip.row_stop

    def add_cells(self, relevance: np.ndarray) -> None:
        """Add what the coarse cells of the whole scene received: (coarse channel, row, column), NaN for none."""
        if not len(relevance):
            return
        cells = self.grid.region.coarser(self.grid.ratio)
        own = relevance[(slice(None), *cells.slices())]
        known = np.isfinite(own)
        self.sums += self.grid.sums(np.where(known, own, 0.0).sum(axis=0), cells, self.grid.ratio)
        self._measured |= self.grid.sums(known.any(axis=0), cells, self.grid.ratio) > 0

    @property
    def players(self) -> np.ndarray:
        """The blocks that take part: (block row, block column), bool."""
        return self._measured & self._acting

    def _mark_acting(self, target: np.ndarray, window: Window) -> None:
        """Mark the blocks that have a pixel of the target within the radius."""
        side, first = self.grid.side, self.grid.window
        starts = (first.col + np.arange(first.cols)) * side - window.col
        low = np.clip(starts - self._radius, 0, window.cols)
        high = np.clip(starts + side + self._radius, 0, window.cols)
        for index in range(first.rows):
            top = (first.row + index) * side - window.row
            reached = target[max(0, top - self._radius) : max(0, top + side + self._radius)]
            if reached.size:
                before = np.concatenate([[0], np.cumsum(reached.any(axis=0))])
                self._acting[index] |= before[high] > before[low]


def sample_blocks(
    grid: BlockGrid, players: np.ndarray, most_pixels: int, seed: int
) -> tuple[np.ndarray, int]:
    """Return the blocks to delete, and of how many windows they are (0: all that take part).

    Windows of blocks are drawn at random, without replacement, until the next one would hold too many pixels.

    Parameters
    ----------
    grid : BlockGrid
        The blocks.
    players : numpy.ndarray
        (block row, block column), bool: those that take part.
    most_pixels : int
        In all blocks together; one window is drawn in any case.
    seed : int
        Another number, other windows.

    Raises
    ------
    ParameterError
        If no block takes part.
    """
    rows, cols = np.nonzero(players)
    if not len(rows):
        raise ParameterError(
            "No block of the scene has measured inputs that can act on the target: there is nothing to delete. "
            "Choose another AOI, POINT or EXTENT."
        )
    most = most_pixels // grid.side**2
    if len(rows) <= most:
        return players, 0
    window = grid.window
    keys = np.stack([(rows + window.row) // WINDOW_BLOCKS, (cols + window.col) // WINDOW_BLOCKS], axis=1)
    _, of_window, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    drawn = shuffled(len(counts), np.random.default_rng((seed, 1)))
    number = max(1, int(np.searchsorted(np.cumsum(counts[drawn]), most, side="right")))
    taken = np.isin(of_window.ravel(), drawn[:number])
    chosen = np.zeros_like(players)
    chosen[rows[taken], cols[taken]] = True
    return chosen, number
