"""What stands for a channel that is taken away: its mean, the scene blurred, or another scene.

A baseline that depends on the place is read together with the scene, window by window: a
:class:`PairedSource` returns patches that carry their baseline with them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from ...ground.errors import ParameterError
from ...ground.protocols import Patch, Source
from ...ground.window import Window
from ..streaming.runner import Inputs, Runner

MEAN, BLUR, SCENE = "mean", "blur", "scene"
# A Gaussian is cut off here, in standard deviations.
TRUNCATE = 3.0


@dataclass(frozen=True)
class PairedPatch(Patch):
    """A patch and what stands in for it.

    Parameters
    ----------
    baseline : Patch
        The same window of the baseline.
    """

    baseline: Patch | None = None  # never None: a field after those of Patch needs a default


class PairedSource:
    """A scene read together with its baseline.

    Parameters
    ----------
    scene, baseline : Source
        Both; the baseline may be larger.
    ratio : int
        Pixels along the side of a coarse cell.

    Raises
    ------
    ParameterError
        If the baseline is smaller than the scene.
    """

    def __init__(self, scene: Source, baseline: Source, ratio: int) -> None:
        self._scene, self._baseline, self._ratio = scene, baseline, ratio
        self.rows, self.cols = scene.rows, scene.cols
        if baseline.rows < scene.rows or baseline.cols < scene.cols:
            raise ParameterError(
                f"The baseline scene has {baseline.rows} x {baseline.cols} pixels, fewer than the {scene.rows} x "
                f"{scene.cols} of the scene. Give a scene at least as large; its upper left part is used."
            )

    def read(self, window: Window) -> PairedPatch:
        """Return the channels over `window`, and the baseline's."""
        patch = self._scene.read(window)
        # The scene may end within a cell, the baseline only at its own edge.
        whole = Window(0, 0, self._baseline.rows, self._baseline.cols)
        baseline = _cut(self._baseline.read(window.snapped(self._ratio, within=whole)), window, self._ratio)
        return PairedPatch(patch.window, patch.fine, patch.coarse, patch.valid, baseline=baseline)


class BlurredSource:
    """A scene blurred by a Gaussian; missing and masked pixels take no part.

    What a pixel becomes does not depend on the window that is read: a margin is read around it.

    Parameters
    ----------
    source : Source
        The scene.
    ratio : int
        Pixels along the side of a coarse cell.
    sigma : float
        Standard deviation in fine pixels; coarse channels are blurred by as much on the ground.
    """

    def __init__(self, source: Source, ratio: int, sigma: float) -> None:
        if not sigma > 0:
            raise ParameterError(f"The blur has to be wider than 0, not {sigma:g} pixels. Raise BLUR.")
        self._source, self._ratio, self._sigma = source, ratio, sigma
        self.rows, self.cols = source.rows, source.cols

    def read(self, window: Window) -> Patch:
        """Return the blurred channels over `window`."""
        scene = Window(0, 0, self.rows, self.cols)
        # The coarse channels need as many whole cells; the reach is that of the filter, rounded up.
        margin = (int(TRUNCATE * self._sigma / self._ratio + 0.5) + 1) * self._ratio
        patch = self._source.read(window.grown(margin, within=scene).snapped(self._ratio, within=scene))
        fine = _blurred(patch.fine, patch.valid, self._sigma)
        coarse = _blurred(patch.coarse, None, self._sigma / self._ratio)
        # Where the scene itself is masked nothing is known, and nothing must come in from beside.
        return _cut(Patch(patch.window, fine, coarse, patch.valid), window, self._ratio)


def _cut(patch: Patch, window: Window, ratio: int) -> Patch:
    """Return the part of a patch over `window`."""
    inside = window.slices(patch.window)
    cells = window.coarser(ratio).slices(patch.window.coarser(ratio))
    return Patch(
        window, patch.fine[(slice(None), *inside)], patch.coarse[(slice(None), *cells)], patch.valid[inside]
    )


def _blurred(values: np.ndarray, valid: np.ndarray | None, sigma: float) -> np.ndarray:
    """Return (channel, row, column) blurred over what is known; NaN where nothing is near."""
    result = np.full(values.shape, np.nan, np.float32)
    for channel, channel_values in enumerate(values):
        known = np.isfinite(channel_values) if valid is None else np.isfinite(channel_values) & valid
        # Sums of the same numbers in the same order, whatever the window: zeros lie outside of it.
        weight = gaussian_filter(known.astype(np.float64), sigma, mode="constant", truncate=TRUNCATE)
        total = gaussian_filter(
            np.where(known, channel_values, 0.0).astype(np.float64), sigma, mode="constant", truncate=TRUNCATE
        )
        near = weight > 1e-9
        result[channel][near] = (total[near] / weight[near]).astype(np.float32)
    return result


def baseline_inputs(runner: Runner, patch: Patch, inputs: Inputs, window: Window) -> Inputs:
    """Return the standardised baseline of a patch: the channels' means where it carries none."""
    if isinstance(patch, PairedPatch) and patch.baseline is not None:
        return runner.standardise(patch.baseline, window)
    return runner.constant(inputs)
