"""What the bands of a run hold: means over its valid pixels, and the largest residual."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...ground.errors import NumericalError
from ...ground.window import Window

# Rows that are summed at once: few enough for the processor's cache.
ROWS_AT_ONCE = 16


@dataclass(frozen=True)
class Shares:
    """What the bands hold, over all valid pixels.

    Parameters
    ----------
    names : tuple of str
        Of the groups.
    mean, mean_abs : tuple of float
        By group: mean contribution and mean size, in units of the logit.
    bias, logit : float
        Means of these two.
    pixels : int
        Number of valid pixels.
    residual : float
        Largest |Σ bands + bias - logit| as a share of |bias| + Σ|bands|.
    place : tuple of int
        Row and column where it is.
    windows : int
        Number of small windows on which every group was computed on its own; 0 where every band of the run is.
        `residual` is the largest of these windows and of all pixels.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    mean_abs: tuple[float, ...]
    bias: float
    logit: float
    pixels: int
    residual: float
    place: tuple[int, int]
    windows: int = 0

    @property
    def share(self) -> tuple[float, ...]:
        """By group: its mean size as a share of all groups'."""
        total = sum(self.mean_abs)
        return tuple(value / total if total else 0.0 for value in self.mean_abs)


class ContributionSums:
    """Sums over valid pixels, and the largest residual."""

    def __init__(self, groups: int) -> None:
        self._sums = np.zeros(groups + 2)
        self._sizes = np.zeros(groups)
        self._pixels = 0
        self._residual, self._place = -1.0, (0, 0)

    def add(self, bands: np.ndarray, valid: np.ndarray, window: Window) -> None:
        """Add the bands of a tile: (groups, bias, logit; row, column)."""
        for slab in window.split(ROWS_AT_ONCE, window.cols):
            rows, _ = slab.slices(window)
            if valid[rows].any():
                self._add_pixels(bands[:, rows][:, valid[rows]].astype(np.float64), valid[rows], slab)

    def _add_pixels(self, chosen: np.ndarray, valid: np.ndarray, window: Window) -> None:
        """Add the bands of valid pixels: (groups, bias, logit; pixel)."""
        if not np.isfinite(chosen).all():
            raise NumericalError(
                f"Contributions are not finite at rows {window.row} to {window.row_stop}, columns {window.col} "
                f"to {window.col_stop}. Check the units of the channels, and the weights."
            )
        sizes = np.abs(chosen)
        off = np.abs(chosen[:-1].sum(axis=0) - chosen[-1])
        residual = off / np.maximum(sizes[:-1].sum(axis=0), np.finfo(np.float64).tiny)
        worst = int(residual.argmax())
        if residual[worst] > self._residual:
            rows, cols = np.nonzero(valid)
            self._residual = float(residual[worst])
            self._place = (window.row + int(rows[worst]), window.col + int(cols[worst]))
        self._sums += chosen.sum(axis=1)
        self._sizes += sizes[:-2].sum(axis=1)
        self._pixels += chosen.shape[1]

    def means(self, names: tuple[str, ...]) -> Shares:
        """Return the means."""
        means, sizes = self._sums / self._pixels, self._sizes / self._pixels
        return Shares(
            names=names,
            mean=tuple(means[:-2].tolist()),
            mean_abs=tuple(sizes.tolist()),
            bias=float(means[-2]),
            logit=float(means[-1]),
            pixels=self._pixels,
            residual=self._residual,
            place=self._place,
        )
