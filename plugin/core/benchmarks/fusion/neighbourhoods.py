"""What of a channel a pixel's target looks at: a weighted mean of pixels around it, or of the cells that it lies in.

Each is a linear operator M on one channel. ``mean`` applies M, ``spread`` its transpose: Σ_s v(s) (M x)(s) is
Σ_q x(q) (Mᵀ v)(q). Beyond the edge of a scene every channel is zero, its mean in training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import ndimage


class Neighbourhood(Protocol):
    """A linear operator from a channel's own grid to the SAR pixels."""

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Return M x at the SAR pixels (row, column), of a channel on its own grid."""

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Return Mᵀ v on the channel's own grid, of values (row, column) at the SAR pixels."""


@dataclass(frozen=True, eq=False)
class Kernel:
    """The weighted mean of the SAR pixels around each pixel.

    Parameters
    ----------
    weights : numpy.ndarray
        (side, side), side odd: of the pixels around the middle one.
    """

    weights: np.ndarray

    @classmethod
    def box(cls, side: int) -> Kernel:
        """Return the plain mean over `side` × `side` pixels."""
        return cls(np.full((side, side), 1.0 / side**2))

    @classmethod
    def gaussian(cls, side: int, deviation: float) -> Kernel:
        """Return a mean over `side` × `side` pixels with Gaussian weights of a standard deviation (pixels)."""
        along = np.exp(-0.5 * ((np.arange(side) - side // 2) / deviation) ** 2)
        weights = np.outer(along, along)
        return cls(weights / weights.sum())

    @classmethod
    def pixel(cls, side: int) -> Kernel:
        """Return the pixel itself, as weights of `side` × `side` pixels."""
        weights = np.zeros((side, side))
        weights[side // 2, side // 2] = 1.0
        return cls(weights)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Return the mean around each pixel (row, column), float64."""
        return ndimage.correlate(values.astype(np.float64), self.weights, mode="constant")

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Return what each pixel is looked at with: the transpose of :meth:`mean`."""
        return ndimage.correlate(values.astype(np.float64), self.weights[::-1, ::-1], mode="constant")


@dataclass(frozen=True)
class Cells:
    """A coarse channel at the SAR pixels: of the cell that a pixel lies in, or interpolated bilinearly.

    Between centres of cells it is interpolated as the variant ``v2`` does; beyond the outermost centres the outermost
    cell is continued.

    Parameters
    ----------
    ratio : int
        SAR pixels along the side of a cell.
    bilinear : bool
        Whether cells are interpolated.
    """

    ratio: int
    bilinear: bool = False

    def _along(self, cells: int) -> np.ndarray:
        """Return the weights of cells at pixels along one axis: (pixel, cell)."""
        pixels = np.arange(cells * self.ratio)
        if not self.bilinear:
            return (pixels[:, None] // self.ratio == np.arange(cells)).astype(np.float64)
        place = np.clip((pixels + 0.5) / self.ratio - 0.5, 0.0, cells - 1.0)
        return np.maximum(0.0, 1.0 - np.abs(place[:, None] - np.arange(cells)))

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Return cells (row, column) at the SAR pixels, float64."""
        rows, cols = values.shape
        return self._along(rows) @ values.astype(np.float64) @ self._along(cols).T

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Return the sum over the pixels that look at each cell: the transpose of :meth:`mean`."""
        rows, cols = (size // self.ratio for size in values.shape)
        return self._along(rows).T @ values.astype(np.float64) @ self._along(cols)
