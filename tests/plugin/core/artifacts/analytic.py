"""Networks in a formula, in float64: clean ones, and ones with an artifact planted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from floelens.plugin.core.artifacts.maps import Maps
from floelens.plugin.ground.protocols import Patch
from floelens.plugin.ground.window import Window
from scipy.ndimage import gaussian_filter

# map(standardised inputs (channel, row, column), window of these): (row, column).
MapOf = Callable[[np.ndarray, Window], np.ndarray]
# cells(patch, window): relevance of a radiometer's cells (cell row, cell column).
CellsOf = Callable[[Patch, Window], np.ndarray]


def clean(inputs: np.ndarray, _window: Window, gain: float = 1.0) -> np.ndarray:
    """Gradient x input of Σ gain·(x₀ x₁ + x₀²/2): every place is treated alike."""
    return gain * (2 * inputs[0] * inputs[1] + inputs[0] ** 2)


class Analytic:
    """A mapper whose map is a function of the inputs; it counts maps."""

    def __init__(
        self,
        scene: Window,
        map_of: MapOf = clean,
        radius: int = 4,
        periods: tuple[int, ...] = (),
        logit_of: MapOf | None = None,
        untrained: MapOf | None = None,
        feeding_axis: int | None = None,
        cells_of: CellsOf | None = None,
    ) -> None:
        self.scene, self.map_of, self.radius, self.periods = scene, map_of, radius, periods
        self._logit_of, self._untrained = logit_of or map_of, untrained
        self.feeding_axis, self._cells_of = feeding_axis, cells_of
        self.ratio, self.mapped = 8, 0

    def needs(self, core: Window, margin: int = 0) -> Window:
        return core.grown(2 * self.radius + margin, within=self.scene)

    def relevance(self, patch: Patch, core: Window) -> np.ndarray:
        self.mapped += core.rows * core.cols
        values = self.map_of(np.nan_to_num(patch.fine).astype(float), patch.window)[core.slices(patch.window)]
        return np.where(patch.valid[core.slices(patch.window)], values, np.nan)

    def maps(self, patch: Patch, core: Window) -> Maps:
        cells = None if self._cells_of is None else self._cells_of(patch, core)
        return Maps(self.relevance(patch, core), cells)

    def logits(self, patch: Patch, core: Window) -> np.ndarray:
        return self._logit_of(np.nan_to_num(patch.fine).astype(float), patch.window)[
            core.slices(patch.window)
        ]

    def zero(self, patch: Patch) -> Patch:
        return dataclasses.replace(patch, fine=np.zeros_like(patch.fine))

    def depth(self) -> int:
        return 1

    def randomised(self, draw: int, _layers: int | None = None) -> Analytic:
        mixed = np.random.default_rng(draw).normal(size=(2, 2))

        def other(inputs: np.ndarray, window: Window) -> np.ndarray:
            if self._untrained is not None:
                return self._untrained(inputs, window)
            return np.einsum("ij,jrc->irc", mixed, inputs)[0] * inputs[1]

        return Analytic(self.scene, other, self.radius, self.periods)

    def refilled(self) -> Analytic:
        return self

    def padded(self) -> None:
        return None

    def compared(self) -> dict:
        return {}


def correlated(seed: int, rows: int, cols: int, sigma: float, channels: int = 2) -> np.ndarray:
    """Return Gaussian fields (channel, row, column) of mean 0 and variance 1, stationary away from any edge."""
    margin = int(4 * sigma) + 1
    white = np.random.default_rng(seed).normal(size=(channels, rows + 2 * margin, cols + 2 * margin))
    if not sigma:
        return white[:, margin:-margin, margin:-margin]
    smooth = gaussian_filter(white, (0, sigma, sigma), mode="wrap")[:, margin:-margin, margin:-margin]
    peak = np.zeros(white.shape[1:])
    peak[0, 0] = 1.0
    return smooth / np.sqrt((gaussian_filter(peak, sigma, mode="wrap") ** 2).sum())


def patch_of(fine: np.ndarray, window: Window | None = None) -> Patch:
    """Return a patch without coarse channels or gaps."""
    window = window or Window(0, 0, *fine.shape[1:])
    return Patch(window, fine, np.zeros((0, 1, 1)), np.ones(fine.shape[1:], bool))
