"""The bands of both rasters: what a window's maps become on the scene's own grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .decomposition import block_side
from .run import WindowMaps
from .sensors import SensorBands
from .significance import LEVEL

# Opacity of pixels that are fact, and of all others, as masks of GDAL count: QGIS draws the corrected map by it.
OPAQUE, FAINT = 255.0, 80.0


@dataclass(frozen=True)
class Layout:
    """Which bands there are.

    Parameters
    ----------
    radiometry : bool
        Whether the network reads a radiometer.
    ensemble : bool
        Whether other trained networks were given.
    ratio : int
        SAR pixels along a cell.
    level : float
        False discovery rate up to which a pixel is fact.
    """

    radiometry: bool = False
    ensemble: bool = False
    ratio: int = 1
    level: float = LEVEL

    @property
    def artifact(self) -> tuple[str, ...]:
        """The bands of the first raster."""
        return (
            "share", "border", "pattern", "untrained", "local", "null_mean",
            *(("mwr_share", "mwr_null_mean") if self.radiometry else ()),
            *(("trained",) if self.ensemble else ()),
        )  # fmt: skip

    @property
    def corrected(self) -> tuple[str, ...]:
        """The bands of the second raster."""
        cells = ("mwr_relevance", "mwr_q_value", "mwr_p_value") if self.radiometry else ()
        return ("relevance", "q_value", "p_value", "fact", *cells, "block_q_value")

    def artifact_bands(self, maps: WindowMaps, null_mean: np.ndarray | None = None) -> np.ndarray:
        """Return (band, row, column) of the first raster; `null_mean` in place of the window's own."""
        fine = maps.fine
        mean = fine.null_mean if null_mean is None else null_mean
        bands = [fine.share, fine.border, fine.pattern, fine.untrained, fine.local, mean]
        if self.radiometry:
            bands += self._on_pixels(maps, ("share", False), ("null_mean", True))
        if self.ensemble:
            bands.append(np.full_like(mean, np.nan) if maps.trained is None else maps.trained)
        return np.stack(bands)

    def corrected_bands(self, maps: WindowMaps) -> np.ndarray:
        """Return (band, row, column) of the second raster."""
        fine = maps.fine
        fact = np.where(fine.q_values <= self.level, OPAQUE, FAINT)
        bands = [
            fine.relevance,
            fine.q_values,
            fine.p_values,
            np.where(np.isfinite(fine.relevance), fact, np.nan),
        ]
        if self.radiometry:
            bands += self._on_pixels(maps, ("relevance", True), ("q_values", False), ("p_values", False))
        bands.append(_on_blocks(fine))
        return np.stack(bands)

    def _on_pixels(self, maps: WindowMaps, *parts: tuple[str, bool]) -> list[np.ndarray]:
        """Return cells spread over SAR pixels; sums of a cell, where the second says so, by pixel."""
        observed = maps.fine.observed
        if maps.cells is None:
            return [np.full(observed.shape, np.nan) for _ in parts]
        ratio, (rows, cols) = self.ratio, observed.shape
        counts = [np.minimum(ratio, size - np.arange(0, size, ratio)) for size in (rows, cols)]
        found = []
        for name, summed in parts:
            values = getattr(maps.cells, name)
            values = values / np.outer(*counts) if summed else values
            spread = np.repeat(np.repeat(values, ratio, axis=0), ratio, axis=1)[:rows, :cols]
            found.append(np.where(np.isfinite(observed), spread, np.nan))
        return found


def _on_blocks(fine: SensorBands) -> np.ndarray:
    """Return the q-values of blocks at their pixels; NaN outside whole blocks and where there is no map."""
    side, spread = block_side(fine.observed.shape), np.full(fine.observed.shape, np.nan)
    values = np.repeat(np.repeat(fine.block_q_values, side, axis=0), side, axis=1)
    spread[: values.shape[0], : values.shape[1]] = values
    return np.where(np.isfinite(fine.observed), spread, np.nan)
