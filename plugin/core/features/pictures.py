"""Every n-th row and column of a scene: maps for a report, and pixels for Z-scores and the short list.

What is kept does not depend on the tiles, and a tile that is computed again changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from ...ground.window import Window
from .tiles import TileValues

SIDE = 128  # most rows and columns that are kept
# targets(window, (rows, columns in it)): labels (pixel,) of the target's head, NaN without one.
TargetsAt = Callable[[Window, tuple[np.ndarray, np.ndarray]], np.ndarray]


class _Lattice:
    """Every n-th row and column of a region."""

    def __init__(self, region: Window, side: int) -> None:
        self._region = region
        self._step = max(1, -(-max(region.rows, region.cols) // side))
        self.shape = -(-region.rows // self._step), -(-region.cols // self._step)

    def within(self, values: TileValues) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """Return rows and columns, in the window of `values`, of its valid pixels here; and their places here."""
        window, step = values.window, self._step
        first, left = -(window.row - self._region.row) % step, -(window.col - self._region.col) % step
        rows, cols = np.nonzero(values.valid[first::step, left::step])
        rows, cols = rows * step + first, cols * step + left
        down, across = rows + window.row - self._region.row, cols + window.col - self._region.col
        return rows, cols, (down // step, across // step)


class Picture(_Lattice):
    """Contributions of all features and the explained logit.

    Parameters
    ----------
    region : Window
        The pixels.
    features : int
        Features.
    side : int
        Most rows and columns that are kept.
    """

    def __init__(self, region: Window, features: int, side: int = SIDE) -> None:
        super().__init__(region, side)
        self.contributions = np.full((features, *self.shape), np.nan, np.float32)
        self.target = np.full(self.shape, np.nan, np.float32)

    def add(self, values: TileValues) -> None:
        """Take the pixels of a tile."""
        rows, cols, place = self.within(values)
        if not len(rows):
            return
        at = values.places_of(rows, cols)
        own = tuple(torch.from_numpy(each).to(at.device) for each in (rows, cols))
        if values.slopes is None:
            raise AssertionError("values.slopes is None")
        slopes = values.slopes[at if values.chosen is None else values.chosen[own]]
        picked = values.cells[at] * slopes * values.density
        self.contributions[(slice(None), *place)] = picked.cpu().numpy().T
        self.target[place] = values.target[own].cpu().numpy()


class PixelSample(_Lattice):
    """Activations of all features, with labels.

    Parameters
    ----------
    region : Window
        The pixels.
    features : int
        Features.
    targets_at : callable, optional
        Labels of some pixels of a window.
    side : int
        Most rows and columns that are kept.
    """

    def __init__(
        self, region: Window, features: int, targets_at: TargetsAt | None = None, side: int = SIDE
    ) -> None:
        super().__init__(region, side)
        self.labelled = targets_at is not None
        self._targets_at = targets_at
        self._activations = np.full((*self.shape, features), np.nan, np.float32)
        self._targets = np.full(self.shape, np.nan)

    def add(self, values: TileValues) -> None:
        """Take the pixels of a tile."""
        rows, cols, place = self.within(values)
        if not len(rows):
            return
        self._activations[place] = values.cells[values.places_of(rows, cols)].cpu().numpy()
        if self._targets_at is not None:
            self._targets[place] = self._targets_at(values.window, (rows, cols))

    @property
    def _known(self) -> np.ndarray:
        return np.isfinite(self._activations).all(axis=2)

    @property
    def activations(self) -> np.ndarray:
        """(pixel, feature), float32."""
        return self._activations[self._known]

    @property
    def targets(self) -> np.ndarray:
        """(pixel,), float64, NaN without a label."""
        return self._targets[self._known]

    @property
    def positions(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the pixels in the scene, (pixel,) each."""
        down, across = np.nonzero(self._known)
        return down * self._step + self._region.row, across * self._step + self._region.col
