"""What a layer's features are on the pixels of a tile.

A window is seen with a halo in which gradients are exact (:attr:`.layer.LayerCut.halo`): the tiles leave no trace.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch

from ...ground.errors import NumericalError
from ...ground.protocols import Patch, Source
from ...ground.window import Window
from ..streaming.engine import plan_work
from ..streaming.runner import Inputs, Runner
from ..streaming.tiling import Plan, Tile
from ..target.target import Seeding
from .layer import LayerCut, LayerShape, LayerValues


@dataclass(frozen=True)
class Analysis:
    """What is looked at: a layer of a network, and the logit that its features add to.

    Parameters
    ----------
    runner : Runner
        The network.
    shape : LayerShape
        The layer.
    seeding : Seeding
        The logit.
    cut : LayerCut
        The network cut at the layer.
    """

    runner: Runner
    shape: LayerShape
    seeding: Seeding
    cut: LayerCut

    @classmethod
    def of(cls, runner: Runner, shape: LayerShape, seeding: Seeding) -> Analysis:
        """Return the analysis of a layer."""
        return cls(runner, shape, seeding, LayerCut(runner, shape))

    def on(self, runner: Runner) -> Analysis:
        """Return the same for the network on another device."""
        return self if runner is self.runner else Analysis.of(runner, self.shape, self.seeding)

    def plan(self, source: Source, region: Window, memory_mib: float, maps: int = 1) -> Plan:
        """Choose tiles for a pass that writes so many maps.

        Raises
        ------
        ParameterError
            If the memory is too little, or the region does not lie inside the scene.
        """
        # What the planner needs to know of the network, with the wider halo of gradients.
        wider = copy.copy(self.runner)
        wider.radius, wider.alignment = self.cut.halo, self.cut.alignment

        def work(inputs: Inputs) -> object:
            values = self.cut.values(inputs, torch.ones_like)
            return values, values.contribution, values.activation.clone()

        return plan_work(wider, source, region, memory_mib, work, per_strip_pixel=maps)

    def constant_gradient(self) -> torch.Tensor | None:
        """Return the gradient (feature,) at every explained pixel, where it is the same at all; else None."""
        if not self.cut.linear or self.seeding.wanted is None:
            return None
        weight = self.cut.weight[self.seeding.first + self.seeding.wanted]
        if self.seeding.reference is not None:
            weight = weight - self.cut.weight[self.seeding.first + self.seeding.reference]
        return weight


@dataclass(frozen=True)
class TileValues:
    """A tile's own pixels that can be mapped; arrays (pixel, …) on the device of the network.

    Parameters
    ----------
    window : Window
        The tile.
    valid : numpy.ndarray
        (row, column), bool, of the tile.
    logits, activation : torch.Tensor
        (pixel, output) and (pixel, feature), of the valid pixels.
    target : torch.Tensor
        (pixel,), the explained logit.
    gradient : torch.Tensor or None
        (pixel, feature), or (feature,) where it is the same everywhere.
    density : float
        Cells of the layer a pixel.
    """

    window: Window
    valid: np.ndarray
    logits: torch.Tensor
    activation: torch.Tensor
    target: torch.Tensor
    gradient: torch.Tensor | None
    density: float

    @property
    def contribution(self) -> torch.Tensor:
        """(pixel, feature): what each feature adds to the explained logit."""
        assert self.gradient is not None
        product = self.activation * self.gradient
        return product if self.density == 1 else product * self.density

    def full_map(self) -> torch.Tensor:
        """Return the full CAM (pixel,)."""
        assert self.gradient is not None
        if self.gradient.dim() == 1:
            return self.activation @ self.gradient
        return (self.activation * self.gradient).sum(1) * self.density

    def image(self, values: torch.Tensor | np.ndarray) -> np.ndarray:
        """Return values (pixel, …) as an image (…, row, column), NaN where not valid."""
        flat = values.cpu().numpy() if isinstance(values, torch.Tensor) else values
        image = np.full((*self.valid.shape, *flat.shape[1:]), np.nan, flat.dtype)
        image[self.valid] = flat
        return np.moveaxis(image, (0, 1), (-2, -1))


def tile_values(
    patch: Patch, analysis: Analysis, tile: Tile, region: Window, gradient: bool = True
) -> TileValues:
    """Return what a network makes of a tile.

    Raises
    ------
    NumericalError
        If a logit of a valid pixel is not finite.
    """
    seeding, runner = analysis.seeding, analysis.runner
    inputs = runner.standardise(patch, tile.input)
    explained = patch.valid[tile.input.slices(patch.window)] & _inside(tile.input, region)
    explained = seeding.mask(tile.input, explained)
    mask = torch.from_numpy(explained).to(runner.device)
    constant = analysis.constant_gradient()
    needed = gradient and constant is None
    values: LayerValues = analysis.cut.values(
        inputs, (lambda logits: seeding.seeds(logits, mask)) if needed else None
    )
    own = tile.output.slices(tile.input)
    valid = explained[own]
    chosen = torch.from_numpy(valid).to(runner.device)

    def picked(maps: torch.Tensor) -> torch.Tensor:
        rows = maps[(slice(None), *own)].permute(1, 2, 0)
        return rows.reshape(-1, rows.shape[-1]) if valid.all() else rows[chosen]

    logits = picked(values.logits)
    if not bool(torch.isfinite(logits).all()):
        raise NumericalError(
            f"The network returned logits that are not finite at rows {tile.output.row} to {tile.output.row_stop}, "
            f"columns {tile.output.col} to {tile.output.col_stop}. Check the units of the channels, and the weights."
        )
    seeds = seeding.seeds(logits.T[None, :, :, None], torch.ones((), dtype=torch.bool, device=runner.device))
    target = (logits.double() * seeds[0, :, :, 0].T).sum(1)
    slopes = (
        constant if constant is not None else None if values.gradient is None else picked(values.gradient)
    )
    return TileValues(tile.output, valid, logits, picked(values.activation), target, slopes, values.density)


def _inside(window: Window, region: Window) -> np.ndarray:
    """Return which pixels of a window lie in a region: (row, column), bool."""
    rows = np.arange(window.row, window.row_stop)
    cols = np.arange(window.col, window.col_stop)
    down = (rows >= region.row) & (rows < region.row_stop)
    across = (cols >= region.col) & (cols < region.col_stop)
    return down[:, None] & across


class Picture:
    """Every n-th row and column of a scene: contributions of all features and the full CAM.

    Parameters
    ----------
    region : Window
        The pixels.
    features : int
        Features.
    side : int
        Most rows and columns that are kept.
    """

    def __init__(self, region: Window, features: int, side: int = 128) -> None:
        self._region = region
        self._step = max(1, -(-max(region.rows, region.cols) // side))
        shape = -(-region.rows // self._step), -(-region.cols // self._step)
        self.contributions = np.full((features, *shape), np.nan, np.float32)
        self.target = np.full(shape, np.nan, np.float32)

    def add(self, values: TileValues) -> None:
        """Take the pixels of a tile."""
        window, step = values.window, self._step
        rows, cols = np.nonzero(values.valid)
        down, across = rows + window.row - self._region.row, cols + window.col - self._region.col
        here = (down % step == 0) & (across % step == 0)
        if not here.any():
            return
        at = torch.from_numpy(np.flatnonzero(here)).to(values.activation.device)
        assert values.gradient is not None
        slopes = values.gradient if values.gradient.dim() == 1 else values.gradient[at]
        picked = values.activation[at] * slopes * values.density
        place = down[here] // step, across[here] // step
        self.contributions[(slice(None), *place)] = picked.cpu().numpy().T
        self.target[place] = values.target[at].cpu().numpy()
