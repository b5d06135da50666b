"""What a layer's features are on the pixels of a tile.

A window is seen with a halo in which gradients are exact (:attr:`.cut.LayerCut.halo`): the tiles leave no trace.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from ...ground.errors import NumericalError
from ...ground.protocols import Patch, Source
from ...ground.window import Window
from ..streaming.engine import plan_work
from ..streaming.runner import Inputs, Runner
from ..streaming.tiling import Plan, Tile
from ..target.target import Seeding
from .cut import LayerCut
from .layer import LayerShape


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

    def plan(
        self, source: Source, region: Window, memory_mib: float, maps: int = 1, held: float = 0.0
    ) -> Plan:
        """Choose tiles for a pass that writes so many maps; `held`: bytes that what writes them holds.

        Raises
        ------
        ParameterError
            If the memory is too little, or the region does not lie inside the scene.
        """
        # What the planner needs to know of the network, with the wider halo of gradients.
        wider = copy.copy(self.runner)
        wider.radius, wider.alignment = self.cut.halo, self.cut.alignment

        def work(inputs: Inputs) -> object:
            mapped = inputs.fine.new_empty((maps, *inputs.fine.shape[2:]))
            if self.cut.of_components:
                for _, found in self.cut.component_bands(inputs):
                    held = self.cut.weighted(found), found * found, found.clone()
                return held, mapped
            values = self.cut.values(inputs, torch.ones_like)
            return values, values.contribution, values.activation.clone(), mapped

        large = self.cut.takes_large_tiles
        return plan_work(wider, source, region, memory_mib, work, maps, large=large, held=held)

    def slopes(self) -> torch.Tensor:
        """Return the gradient of a linear layer's features for each class that may be the target's.

        Returns
        -------
        torch.Tensor
            (class, feature); one row where the target is the same everywhere.
        """
        seeding = self.seeding
        own = self.cut.weight[seeding.first : seeding.first + seeding.outputs]
        own = own[:, self.cut.columns] if self.cut.columns else own
        wanted = own if seeding.wanted is None else own[seeding.wanted : seeding.wanted + 1]
        return wanted if seeding.reference is None else wanted - own[seeding.reference]


@dataclass(frozen=True)
class TileValues:
    """Pixels of a tile, or of some of its rows; tensors on the device of the network.

    Parameters
    ----------
    window : Window
        The pixels.
    valid : numpy.ndarray
        (row, column), bool: those that can be mapped.
    logits : torch.Tensor
        (output, row, column).
    target : torch.Tensor
        (row, column), float64, the explained logit.
    cells : torch.Tensor
        (place, feature): activations at all pixels that the network saw, row by row.
    corner : tuple of int
        Row and column of the first pixel among these.
    width : int
        Columns that the network saw.
    slopes : torch.Tensor or None
        Gradients: (place, feature), or (class, feature) where `chosen` says of which class.
    chosen : torch.Tensor or None
        (row, column), int64: the row of `slopes` that holds at each pixel.
    density : float
        Cells of the layer a pixel.
    """

    window: Window
    valid: np.ndarray
    logits: torch.Tensor
    target: torch.Tensor
    cells: torch.Tensor
    corner: tuple[int, int]
    width: int
    slopes: torch.Tensor | None
    chosen: torch.Tensor | None
    density: float

    @cached_property
    def places(self) -> torch.Tensor:
        """(pixel,): where the valid pixels are in `cells`."""
        return self.places_of(*np.nonzero(self.valid))

    def places_of(self, rows: np.ndarray, cols: np.ndarray) -> torch.Tensor:
        """Return where pixels are in `cells`, (pixel,), by row and column in the window."""
        places = (rows + self.corner[0]) * self.width + cols + self.corner[1]
        return torch.from_numpy(places).to(self.cells.device)

    @cached_property
    def activation(self) -> torch.Tensor:
        """(pixel, feature), of the valid pixels."""
        return self.cells[self.places]

    @cached_property
    def gradient(self) -> torch.Tensor:
        """(pixel, feature), of the valid pixels."""
        if self.slopes is None:
            raise AssertionError("self.slopes is None")
        if self.chosen is None:
            return self.slopes[self.places]
        return self.slopes[self.chosen[torch.from_numpy(self.valid).to(self.chosen.device)]]

    @property
    def contribution(self) -> torch.Tensor:
        """(pixel, feature): what each feature adds to the explained logit."""
        product = self.activation * self.gradient
        return product if self.density == 1 else product * self.density

    @cached_property
    def products(self) -> torch.Tensor:
        """(place, feature): gradient x activation; where `slopes` has a row a place."""
        if self.slopes is None:
            raise AssertionError("self.slopes is None")
        return self.cells * self.slopes

    def full_map(self) -> torch.Tensor:
        """Return the full CAM (row, column), of any value where not valid."""
        if self.chosen is not None:
            if self.slopes is None:
                raise AssertionError("self.slopes is None")
            parts = (self.slopes @ self.cells.T).view(len(self.slopes), -1, self.width)
            return self._own(parts).gather(0, self.chosen[None])[0]
        return self._own(self.products.sum(1).view(1, -1, self.width))[0] * self.density

    def _own(self, maps: torch.Tensor) -> torch.Tensor:
        """Return maps (…, row, column) of all that the network saw on the pixels."""
        (row, col), (rows, cols) = self.corner, self.valid.shape
        return maps[..., row : row + rows, col : col + cols]

    def masked(self, values: torch.Tensor) -> np.ndarray:
        """Return a map (row, column) with NaN where not valid."""
        image = values.cpu().numpy()
        return np.where(self.valid, image, image.dtype.type(np.nan))

    def image(self, values: torch.Tensor | np.ndarray) -> np.ndarray:
        """Return values (pixel, …) as an image (…, row, column), NaN where not valid."""
        flat = values.cpu().numpy() if isinstance(values, torch.Tensor) else values
        image = np.full((*self.valid.shape, *flat.shape[1:]), np.nan, flat.dtype)
        image[self.valid] = flat
        return np.moveaxis(image, (0, 1), (-2, -1))


def tile_values(
    patch: Patch, analysis: Analysis, tile: Tile, region: Window, gradient: bool = True
) -> Iterator[TileValues]:
    """Yield what a network makes of a tile, a few rows at a time where it computes so; rows without a valid pixel not.

    Raises
    ------
    NumericalError
        If a logit of a valid pixel is not finite.
    """
    seeding, runner, cut = analysis.seeding, analysis.runner, analysis.cut
    inputs = runner.standardise(patch, tile.input)
    explained = patch.valid[tile.input.slices(patch.window)] & _inside(tile.input, region)
    explained = seeding.mask(tile.input, explained)
    rows, cols = tile.output.slices(tile.input)
    if not cut.of_components:
        mask = torch.from_numpy(explained).to(runner.device)
        values = cut.values(inputs, (lambda logits: seeding.seeds(logits, mask)) if gradient else None)
        slopes = None if values.gradient is None else _flat(values.gradient)
        yield _values(
            analysis, tile.output, explained[rows, cols], values.logits[:, rows, cols], _flat(values.activation),
            (rows.start, cols.start), tile.input.cols, slopes, None, values.density,
        )  # fmt: skip
        return
    slopes = analysis.slopes()
    head = slice(seeding.first, seeding.first + seeding.outputs)
    for band, components in cut.component_bands(inputs):
        first, stop = max(rows.start, band.start), min(rows.stop, band.stop)
        valid = explained[first:stop, cols]
        if not valid.any():
            continue
        window = Window(tile.input.row + first, tile.output.col, stop - first, tile.output.cols)
        own = slice(first - band.start, stop - band.start)
        logits = cut.weighted(components)[:, own, cols]
        chosen = (
            logits[head].argmax(0)
            if len(slopes) > 1
            else torch.zeros(valid.shape, dtype=torch.long, device=logits.device)
        )
        cells = _flat(components[cut.columns] if cut.columns else components)
        corner = own.start, cols.start
        yield _values(analysis, window, valid, logits, cells, corner, tile.input.cols, slopes, chosen, 1.0)


def _flat(maps: torch.Tensor) -> torch.Tensor:
    """Return maps (feature, row, column) as a matrix (place, feature), contiguous."""
    return maps.permute(1, 2, 0).reshape(-1, len(maps)).contiguous()


def _values(
    analysis: Analysis, window: Window, valid: np.ndarray, logits: torch.Tensor, cells: torch.Tensor,
    corner: tuple[int, int], width: int, slopes: torch.Tensor | None, chosen: torch.Tensor | None, density: float,
) -> TileValues:  # fmt: skip
    """Return the values of pixels, their target with them; parameters as of :class:`TileValues`."""
    if not _finite(logits, valid):
        raise NumericalError(
            f"The network returned logits that are not finite at rows {window.row} to {window.row_stop}, "
            f"columns {window.col} to {window.col_stop}. Check the units of the channels, and the weights."
        )
    target = _target(analysis.seeding, logits)
    return TileValues(window, valid, logits, target, cells, corner, width, slopes, chosen, density)


def _finite(logits: torch.Tensor, valid: np.ndarray) -> bool:
    """Return whether the logits (output, row, column) of valid pixels are finite: mostly those of all are."""
    if bool(torch.isfinite(logits).all()):
        return True
    return bool(torch.isfinite(logits[:, torch.from_numpy(valid).to(logits.device)]).all())


def _target(seeding: Seeding, logits: torch.Tensor) -> torch.Tensor:
    """Return the explained logit (row, column), float64, of logits (output, row, column)."""
    if seeding.wanted is None:
        seeds = seeding.seeds(logits[None], torch.ones((), dtype=torch.bool, device=logits.device))[0]
        return (logits.double() * seeds).sum(0)
    target = logits[seeding.first + seeding.wanted].double()
    return (
        target if seeding.reference is None else target - logits[seeding.first + seeding.reference].double()
    )


def _inside(window: Window, region: Window) -> np.ndarray:
    """Return which pixels of a window lie in a region: (row, column), bool."""
    rows = np.arange(window.row, window.row_stop)
    cols = np.arange(window.col, window.col_stop)
    down = (rows >= region.row) & (rows < region.row_stop)
    across = (cols >= region.col) & (cols < region.col_stop)
    return down[:, None] & across
