"""What a network is shown in place of the scene: nothing, noise, the scene moved, mirrored or capped.

*Noise* keeps the first and second order statistics of a window: each draw adds random phases to the Fourier transform
of the window, the same ones to all channels of a grid, so that means, spectra and cross-spectra of these channels stay
(Theiler et al. 1992, doi 10.1016/0167-2789(92)90102-S; Prichard and Theiler 1994). Everything that makes ice of noise
is in the phases. The window is continued by its mirror image first, since it does not end as it begins. Given the
amplitudes, phases of a stationary Gaussian field are independent and uniform: such a window and its draws are
exchangeable. Phases are hashes of the place in the scene, so that no result depends on tiles. Channels on the SAR grid
and those on coarse cells are drawn apart: correlation between them is not kept.

Gaps stay gaps, and land stays land, in every one of these.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import fft

from ...ground.protocols import Patch
from ...ground.window import Window
from ..relevance.random_fields import normal_deviates


class Surrogates:
    """Draws of noise with the statistics of a patch.

    Parameters
    ----------
    patch : Patch
        The scene.
    seed : int
        Another number, other draws.
    """

    def __init__(self, patch: Patch, seed: int) -> None:
        self._patch, self._seed = patch, seed
        self._fine = _Spectrum(patch.fine, patch.valid)
        self._coarse = _Spectrum(patch.coarse, None)

    def draw(self, number: int) -> Patch:
        """Return one draw."""
        place = f"{self._seed}/null/{number}/{self._patch.window.row}/{self._patch.window.col}"
        return dataclasses.replace(
            self._patch, fine=self._fine.draw(f"{place}/fine"), coarse=self._coarse.draw(f"{place}/coarse")
        )


class _Spectrum:
    """The Fourier transform of channels (channel, row, column), continued by their mirror image."""

    def __init__(self, values: np.ndarray, valid: np.ndarray | None) -> None:
        self._like = values
        self._known = np.isfinite(values) if valid is None else np.isfinite(values) & valid
        filled = np.where(self._known, values, means_of(values, valid)[:, None, None]).astype(np.float64)
        self._shape = values.shape[1:]
        if filled.size:
            mirrored = np.pad(filled, ((0, 0), (0, self._shape[0]), (0, self._shape[1])), mode="symmetric")
            self._transform = fft.rfft2(mirrored)

    def draw(self, key: str) -> np.ndarray:
        """Return the channels with random phases; gaps as they were."""
        if not self._like.size:
            return self._like
        rows, cols = self._shape
        white = fft.rfft2(normal_deviates(key, Window(0, 0, 2 * rows, 2 * cols)))
        white /= np.maximum(np.abs(white), 1e-300)
        white[0, 0] = 1.0  # the mean stays
        # Along rows, then along columns, of which the mirrored half is not wanted.
        lines = fft.ifft(self._transform * white, axis=1, overwrite_x=True)[:, :rows]
        field = fft.irfft(lines, n=2 * cols, axis=2)[:, :, :cols]
        return np.where(self._known, field, np.nan).astype(self._like.dtype)


def means_of(values: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    """Return the mean of each channel (channel, row, column) over what is known; 0 where nothing is."""
    known = np.isfinite(values) if valid is None else np.isfinite(values) & valid
    counts = np.maximum(known.sum(axis=(1, 2)), 1)
    return np.where(known, values, 0.0).sum(axis=(1, 2), dtype=np.float64) / counts


def constant(patch: Patch, fine: np.ndarray, coarse: np.ndarray | None = None) -> Patch:
    """Return a patch whose channels stand at these values (physical units); gaps stay. `coarse` None: as it was."""
    levels = np.asarray(fine, float)[:, None, None]
    flat = np.where(np.isfinite(patch.fine), levels, np.nan).astype(patch.fine.dtype)
    if coarse is None:
        return dataclasses.replace(patch, fine=flat)
    cells = np.where(np.isfinite(patch.coarse), np.asarray(coarse, float)[:, None, None], np.nan)
    return dataclasses.replace(patch, fine=flat, coarse=cells.astype(patch.coarse.dtype))


def flat_cells(patch: Patch) -> Patch:
    """Return a patch whose coarse channels stand at their means, since cells cannot move by single pixels."""
    levels = means_of(patch.coarse, None)[:, None, None]
    cells = np.where(np.isfinite(patch.coarse), levels, np.nan).astype(patch.coarse.dtype)
    return dataclasses.replace(patch, coarse=cells)


def moved(patch: Patch, offset: tuple[int, int]) -> Patch:
    """Return a patch whose fine content lies `offset` (rows, columns) further; beyond its edges it is mirrored."""
    rows, cols = (_mirrored(np.arange(size) - step, size) for size, step in zip(patch.valid.shape, offset))
    return dataclasses.replace(patch, fine=patch.fine[:, rows][:, :, cols], valid=patch.valid[rows][:, cols])


def flipped(patch: Patch, core: Window, axis: int) -> Patch:
    """Return a patch whose fine content is mirrored about the middle of `core`, along an axis (0 rows, 1 columns)."""
    first, stop = ((core.row, core.row_stop), (core.col, core.col_stop))[axis]
    origin = (patch.window.row, patch.window.col)[axis]
    size = patch.valid.shape[axis]
    index = _mirrored(first + stop - 1 - 2 * origin - np.arange(size), size)
    return dataclasses.replace(
        patch, fine=np.take(patch.fine, index, axis=axis + 1), valid=np.take(patch.valid, index, axis=axis)
    )


def permuted(patch: Patch, core: Window, axis: int, order: np.ndarray) -> Patch:
    """Return a patch whose rows (axis 0) or columns (1) of fine content inside `core` stand in another order.

    Parameters
    ----------
    patch, core, axis
        What was read, the window, and along which axis.
    order : numpy.ndarray
        A permutation: at place i of the window stands what stood at place ``order[i]``.
    """
    first = (core.row - patch.window.row, core.col - patch.window.col)[axis]
    index = np.arange(patch.valid.shape[axis])
    index[first : first + len(order)] = first + order
    return dataclasses.replace(
        patch, fine=np.take(patch.fine, index, axis=axis + 1), valid=np.take(patch.valid, index, axis=axis)
    )


def capped(patch: Patch, bounds: np.ndarray) -> Patch:
    """Return a patch whose fine values lie within `bounds` (fine channel, 2), physical units."""
    low, high = bounds[:, 0, None, None], bounds[:, 1, None, None]
    return dataclasses.replace(patch, fine=np.clip(patch.fine, low, high).astype(patch.fine.dtype))


def robust_bounds(patch: Patch, deviations: float) -> np.ndarray:
    """Return median ± `deviations` robust standard deviations of each fine channel: (fine channel, 2).

    The robust standard deviation is 1.4826 times the median absolute deviation, which outliers do not move.
    """
    bounds = np.empty((len(patch.fine), 2))
    for channel, values in enumerate(patch.fine):
        known = values[np.isfinite(values) & patch.valid].astype(np.float64)
        middle = np.median(known) if len(known) else 0.0
        spread = 1.4826 * np.median(np.abs(known - middle)) if len(known) else 0.0
        bounds[channel] = (
            (middle - deviations * spread, middle + deviations * spread) if spread else (-np.inf, np.inf)
        )
    return bounds


def _mirrored(index: np.ndarray, size: int) -> np.ndarray:
    """Return positions within `size`, those beyond its ends mirrored back."""
    index = np.mod(index, 2 * size)
    return np.where(index < size, index, 2 * size - 1 - index)
