"""Where relevance is added up: a strip of fine pixels that rolls down the scene, and all coarse cells.

Both hold as many maps as there are replicas (:mod:`.uncertainty`), one as a rule.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...ground.protocols import Patch, Sink
from ...ground.window import Window
from ..streaming.runner import Inputs, Runner
from ..streaming.tiling import SLAB_ROWS, Plan, Tile
from .explainers import Explanation


class FineMap:
    """Relevance of fine pixels on a strip that rolls down the footprint of the region.

    Accumulated in float32 for float32 networks: a pixel receives from at most a few tiles, so nothing is
    lost; sums are taken in float64. Of several replicas the mean and the standard deviation (n - 1) are
    written, the channels' means first.

    Parameters
    ----------
    plan : Plan
        The tiles.
    channels, replicas : int
        Fine channels, and maps of each.
    dtype : numpy.dtype
        Of what is accumulated.
    sink : Sink or None
        Takes the strips.
    margin : int
        How many pixels beyond the network's radius a tile writes to.
    """

    def __init__(
        self, plan: Plan, channels: int, replicas: int, dtype: np.dtype, sink: Sink | None, margin: int = 0
    ) -> None:
        self._region, self._footprint = plan.region, plan.footprint
        self._margin = plan.radius + margin
        self._sink = sink
        self._top = self._footprint.row
        self._values = np.zeros((replicas, channels, 0, self._footprint.cols), dtype)
        self._valid = np.zeros((0, self._footprint.cols), bool)
        # All of these are means over the replicas.
        self.sums = np.zeros(channels)
        self.masked = self.outside = self.absolute = 0.0

    def _rows_until(self, stop: int) -> None:
        """Make room for the rows before `stop`."""
        missing = stop - self._top - len(self._valid)
        if missing > 0:
            replicas, channels, _, cols = self._values.shape
            room = np.zeros((replicas, channels, missing, cols), self._values.dtype)
            self._values = np.concatenate([self._values, room], axis=2)
            self._valid = np.concatenate([self._valid, np.zeros((missing, cols), bool)])

    def _place(self, window: Window) -> tuple[slice, slice]:
        return window.slices(Window(self._top, self._footprint.col, 0, 0))

    def _reached(self, window: Window) -> Window:
        """Return the part of a window that the footprint holds and that is not written yet."""
        held = self._footprint
        below = Window(self._top, held.col, held.row_stop - self._top, held.cols)
        return window.intersection(below)

    def mark_valid(self, tile: Tile, patch: Patch) -> None:
        """Mark which pixels are valid."""
        window = self._reached(tile.input)
        self._rows_until(window.row_stop)
        self._valid[self._place(window)] = patch.valid[window.slices(patch.window)]

    def add(self, replica: int, window: Window, relevance: np.ndarray) -> None:
        """Add the relevance (channel, row, column) of the inputs in `window`."""
        inside = self._reached(window)
        self._rows_until(inside.row_stop)
        here = (replica, slice(None), *self._place(inside))
        self._values[here] += relevance[(slice(None), *inside.slices(window))]

    def flush(self, computed: int, final: bool = False) -> None:
        """Sum up and write the rows that tiles below row `computed` cannot reach (`final`: all)."""
        stop = self._footprint.row_stop if final else computed - self._margin
        number = stop - self._top
        if number <= 0:
            return
        for slab in Window(0, 0, number, self._footprint.cols).split(SLAB_ROWS, self._footprint.cols):
            self._settle(slab.row, slab.row_stop)
        self._values, self._valid = self._values[:, :, number:].copy(), self._valid[number:].copy()
        self._top = stop

    def _settle(self, first: int, stop: int) -> None:
        """Sum up and write the held rows from `first` to `stop`."""
        values, valid = self._values[:, :, first:stop], self._valid[first:stop]
        window = Window(self._top + first, self._footprint.col, stop - first, self._footprint.cols)
        inside = window.intersection(self._region)
        own = inside.slices(window) if not inside.empty else (slice(0, 0), slice(0, 0))
        kept, mapped = values[(slice(None), slice(None), *own)], valid[own]
        replicas = len(values)
        counted = np.where(mapped, kept, 0).sum((0, 2, 3), dtype=np.float64) / replicas
        masked = values[:, :, ~valid].sum(dtype=np.float64) / replicas
        self.sums += counted
        self.masked += masked
        self.outside += values.sum(dtype=np.float64) / replicas - counted.sum() - masked
        self.absolute += np.abs(values).sum(dtype=np.float64) / replicas
        if self._sink is not None and not inside.empty:
            bands = kept[0] if replicas == 1 else np.concatenate([kept.mean(0), kept.std(0, ddof=1)])
            self._sink.write(np.where(mapped, bands, np.nan).astype(values.dtype, copy=False))


@dataclass(frozen=True)
class Cells:
    """Relevance of coarse cells from one replica; arrays (coarse channel, cell row, cell column), float64.

    The relevance of a cell is multiplier · (x - x₀) + direct (without a factor for methods that have none).

    Parameters
    ----------
    multipliers : numpy.ndarray
        Logit per standardised unit.
    direct : numpy.ndarray or None
        Relevance beside what the multipliers give; None for none.
    mean, sd : numpy.ndarray
        (coarse channel,): how the replica's network standardises.
    """

    multipliers: np.ndarray
    direct: np.ndarray | None
    mean: np.ndarray
    sd: np.ndarray


class CellMap:
    """What the coarse cells of the whole scene, which are few, have received, by replica."""

    def __init__(self, runners: list[Runner], scene: Window, levels: np.ndarray, times_input: bool) -> None:
        first = runners[0]
        self._ratio, self._times_input = first.ratio, times_input
        cells = scene.coarser(first.ratio)
        self._shape = (len(first.coarse_channels), cells.rows, cells.cols)
        self._runners, self._levels = runners, levels[:, None, None]
        self._multipliers = [np.zeros(self._shape) for _ in runners]
        self._direct: list[np.ndarray | None] = [None for _ in runners]
        # Replicas of one network read the same values.
        self._values = {id(runner): np.zeros(self._shape) for runner in runners}
        self._gaps = np.zeros(self._shape, bool)

    def add(
        self, replica: int, tile: Tile, patch: Patch, inputs: Inputs, found: Explanation, noise: Inputs | None
    ) -> None:
        """Add what a tile's cells received."""
        if inputs.coarse is None:
            return
        runner = self._runners[replica]
        cells = tile.input.coarser(self._ratio)
        here = (slice(None), *cells.slices())
        direct = found.direct_coarse
        if found.coarse is not None:
            self._multipliers[replica][here] += runner.array(found.coarse[0])
            if noise is not None and self._times_input:
                extra = found.coarse * noise.coarse
                direct = extra if direct is None else direct + extra
        if direct is not None:
            held = self._direct[replica]
            if held is None:
                held = self._direct[replica] = np.zeros(self._shape)
            place = (found.coarse_window or cells).slices()
            held[(slice(None), *place)] += runner.array(direct[0])
        self._values[id(runner)][here] = runner.array(inputs.coarse[0])
        read = patch.coarse[(slice(None), *cells.slices(patch.window.coarser(self._ratio)))]
        self._gaps[here] = ~np.isfinite(read)

    def cells(self) -> tuple[Cells, ...]:
        """Return what each replica found."""
        return tuple(
            Cells(multipliers, direct, *_standardisation(runner))
            for multipliers, direct, runner in zip(self._multipliers, self._direct, self._runners)
        )

    def relevance(self, replica: int) -> np.ndarray:
        """Return the relevance of the cells, gaps included."""
        factor = self._values[id(self._runners[replica])] - self._levels if self._times_input else 1.0
        relevance = self._multipliers[replica] * factor
        direct = self._direct[replica]
        return relevance if direct is None else relevance + direct

    def mean(self) -> np.ndarray:
        """Return the mean relevance of the cells over the replicas; NaN at gaps."""
        number = len(self._runners)
        return np.where(self._gaps, np.nan, sum(self.relevance(r) for r in range(number)) / number)

    def masked(self) -> float:
        """Return the relevance of fills, the mean over replicas."""
        number = len(self._runners)
        return float(sum(self.relevance(r)[self._gaps].sum() for r in range(number)) / number)

    def absolute(self) -> float:
        """Return Σ|relevance|, gaps included, the mean over replicas."""
        number = len(self._runners)
        return float(sum(np.abs(self.relevance(r)).sum() for r in range(number)) / number)


def _standardisation(runner: Runner) -> tuple[np.ndarray, np.ndarray]:
    mean, sd = (
        np.array([getattr(c, name) for c in runner.coarse_channels], float) for name in ("mean", "sd")
    )
    return mean, sd
