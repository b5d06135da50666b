"""Relevance of every input of a scene for the logits of a target, tile by tile.

Each tile seeds the pixels it answers for, and what its inputs receive — a receptive-field radius around
them too — is added to a strip that rolls down the scene. Rows no later tile can reach are handed on. The
sum over all tiles is the relevance of the whole scene at once, up to rounding, for every method that is
linear in the seed.

Relevance of fine pixels goes to a sink. For coarse channels the *multipliers* of the network's cells are
kept: S being the sampler that made the cells from the coarse raster, the raster's own pixels have the
relevance (x - x₀) ⊙ Sᵀ m.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch

from .accounts import Accounts, Ledger
from .engine import check_cancelled, plan_work, scene_window, tiles_with_patches, writing_behind
from .errors import NumericalError, ParameterError
from .methods import GRADIENT, INTEGRATED_GRADIENTS, ROUNDING, Explainer, Explanation, Method, explainer_for
from .network import Inputs, Runner
from .protocols import Patch, Progress, Sink, Source
from .rules import BIAS, EPSILON, ZERO_DENOMINATOR
from .target import Seeding, Target
from .tiling import Plan, Tile
from .window import Window

# Integrated gradients are tried out on windows of this side around this many pixels of the target.
PILOT_SIDE = 48
PILOT_CANDIDATES = 16
PILOTS = 4


@dataclass(frozen=True)
class RelevanceResult:
    """What an explanation leaves besides the fine maps.

    Parameters
    ----------
    coarse_multipliers : numpy.ndarray
        (coarse channel, cell row, cell column) over the whole scene, float64: logit per standardised unit.
    coarse_relevance : numpy.ndarray
        Shaped likewise: multiplier · (x - x₀) (for ``gradient`` the multiplier); NaN where the cell has
        no value.
    baseline : numpy.ndarray
        (coarse channel,), x₀ in standardised units.
    accounts : Accounts
        Where the target went.
    method : Method
        The method as it was run: with the steps that integrated gradients needed.
    pixels : int
        How many pixels were explained.
    text : str
        What was explained, in words.
    """

    coarse_multipliers: np.ndarray
    coarse_relevance: np.ndarray
    baseline: np.ndarray
    accounts: Accounts
    method: Method
    pixels: int
    text: str


def plan_relevance(runner: Runner, source: Source, region: Window, method: Method, memory_mib: float) -> Plan:
    """Choose tiles for :func:`run_relevance`.

    Raises
    ------
    ParameterError
        If the memory is too little, or the region does not lie inside the scene.
    ModelError
        If the method has no rule for a layer of the network.
    """
    single = dataclasses.replace(method, steps=1)  # steps follow one another and take the same memory
    explainer = explainer_for(runner, single)

    def work(inputs: Inputs) -> Explanation:
        return explainer.explain(inputs, torch.ones_like, Ledger())

    cells = 4 * len(runner.coarse_channels)
    return plan_work(runner, source, region, memory_mib, work, 1.5 * len(runner.fine_channels), cells)


def run_relevance(
    runner: Runner,
    source: Source,
    plan: Plan,
    target: Target,
    method: Method,
    sink: Sink | None,
    progress: Progress,
) -> RelevanceResult:
    """Explain a target by the inputs of a scene.

    Parameters
    ----------
    runner : Runner
        The network.
    source : Source
        The scene.
    plan : Plan
        Its tiles; the plan's region is explained, and mapped.
    target : Target
        Which logits.
    method : Method
        How.
    sink : Sink or None
        Takes (fine channel, row, column) strips of the region's width from top to bottom: relevance in
        units of the logit, float32 (float64 for a runner of that precision), NaN where not valid.
    progress : Progress
        Told of every tile; warned where the books do not balance.

    Raises
    ------
    ParameterError
        If the card has no such head or class, or no valid pixel is explained.
    ModelError
        If there is no rule for a layer.
    NumericalError
        If relevance is not finite.
    Cancelled
        Within a tile after the user asked for it.
    """
    seeding = target.resolve(runner.card)
    if method.name == INTEGRATED_GRADIENTS and method.refine:
        method = _refined(runner, source, plan, seeding, method, progress)
    explainer = explainer_for(runner, method, lambda: check_cancelled(progress))
    ledger = Ledger()
    number = len(runner.fine_channels)
    levels = np.array(method.baseline or (0.0,) * (number + len(runner.coarse_channels)))
    cells = _CellMap(runner, scene_window(source), levels[number:])
    target_sum, pixels = 0.0, 0
    with writing_behind(sink) if sink is not None else nullcontext() as behind:
        fine = _FineMap(plan, number, runner.array_dtype, behind)
        for tile, patch, last in tiles_with_patches(source, plan, progress, "Explaining"):
            fine.see(tile, patch)
            mask = _seeded_pixels(seeding, tile, patch)
            if mask.any():
                inputs = runner.standardise(patch, tile.input)
                found = _explained(runner, explainer, seeding, inputs, mask, ledger)
                target_sum += found.target_sum
                pixels += int(mask.sum())
                relevance = runner.array(found.fine[0])
                if method.name != GRADIENT:
                    origin = levels[:number, None, None].astype(relevance.dtype)
                    relevance = relevance * (runner.array(inputs.fine[0]) - origin)
                _check_finite(relevance, tile)
                fine.add(tile.input, relevance)
                cells.add(tile, patch, inputs, found)
            if last:
                fine.hand_on(tile.output.row_stop)
        fine.hand_on(plan.footprint.row_stop, final=True)
    if not pixels:
        raise ParameterError(
            "No valid pixel lies inside the region to be explained. Choose another AOI, POINT or EXTENT."
        )
    accounts = _balance(runner, method, ledger, fine, cells, target_sum)
    _warn(accounts, progress)
    return RelevanceResult(
        cells.multipliers, cells.relevance(method), levels[number:], accounts, method, pixels, seeding.text
    )


def _seeded_pixels(seeding: Seeding, tile: Tile, patch: Patch) -> np.ndarray:
    """Return which pixels of a tile's input window are seeded: the explained ones of its output."""
    mask = np.zeros((tile.input.rows, tile.input.cols), bool)
    valid = patch.valid[tile.output.slices(patch.window)]
    mask[tile.output.slices(tile.input)] = seeding.mask(tile.output, valid)
    return mask


def _explained(
    runner: Runner, explainer: Explainer, seeding: Seeding, inputs: Inputs, mask: np.ndarray, ledger: Ledger
) -> Explanation:
    chosen = torch.from_numpy(mask).to(runner.device)
    return explainer.explain(inputs, lambda logits: seeding.seeds(logits, chosen), ledger)


def _check_finite(relevance: np.ndarray, tile: Tile) -> None:
    if not np.isfinite(relevance).all():
        raise NumericalError(
            f"Relevance is not finite at rows {tile.output.row} to {tile.output.row_stop}, columns "
            f"{tile.output.col} to {tile.output.col_stop}. Check the units of the channels, and the weights."
        )


class _FineMap:
    """Relevance of fine pixels on a strip that rolls down the footprint of the region.

    Accumulated in float32 for float32 networks: a pixel receives from at most a few tiles, so nothing is
    lost; sums are taken in float64.
    """

    def __init__(self, plan: Plan, channels: int, dtype: np.dtype, sink: Sink | None) -> None:
        self._region, self._footprint, self._radius = plan.region, plan.footprint, plan.radius
        self._sink = sink
        self._top = self._footprint.row
        self._values = np.zeros((channels, 0, self._footprint.cols), dtype)
        self._valid = np.zeros((0, self._footprint.cols), bool)
        self.sums = np.zeros(channels)
        self.masked = self.outside = self.absolute = 0.0

    def _rows_until(self, stop: int) -> None:
        """Make room for the rows before `stop`."""
        missing = stop - self._top - len(self._valid)
        if missing > 0:
            channels, _, cols = self._values.shape
            room = np.zeros((channels, missing, cols), self._values.dtype)
            self._values = np.concatenate([self._values, room], axis=1)
            self._valid = np.concatenate([self._valid, np.zeros((missing, cols), bool)])

    def _place(self, window: Window) -> tuple[slice, slice]:
        return window.slices(Window(self._top, self._footprint.col, 0, 0))

    def _reached(self, window: Window) -> Window:
        """Return the part of a window that the footprint holds and that is not handed on yet."""
        held = self._footprint
        below = Window(self._top, held.col, held.row_stop - self._top, held.cols)
        return window.intersection(below)

    def see(self, tile: Tile, patch: Patch) -> None:
        """Take down which pixels are valid."""
        window = self._reached(tile.input)
        self._rows_until(window.row_stop)
        self._valid[self._place(window)] = patch.valid[window.slices(patch.window)]

    def add(self, window: Window, relevance: np.ndarray) -> None:
        """Add the relevance (channel, row, column) of the inputs in `window`."""
        inside = self._reached(window)
        self._values[(slice(None), *self._place(inside))] += relevance[(slice(None), *inside.slices(window))]

    def hand_on(self, computed: int, final: bool = False) -> None:
        """Account for and write the rows that tiles below row `computed` cannot reach (`final`: all)."""
        stop = self._footprint.row_stop if final else computed - self._radius
        number = stop - self._top
        if number <= 0:
            return
        values, valid = self._values[:, :number], self._valid[:number]
        window = Window(self._top, self._footprint.col, number, self._footprint.cols)
        inside = window.intersection(self._region)
        own = inside.slices(window) if not inside.empty else (slice(0, 0), slice(0, 0))
        kept, mapped = values[(slice(None), *own)], valid[own]
        counted = np.where(mapped, kept, 0).sum((1, 2), dtype=np.float64)
        masked = values[:, ~valid].sum(dtype=np.float64)
        self.sums += counted
        self.masked += masked
        self.outside += values.sum(dtype=np.float64) - counted.sum() - masked
        self.absolute += np.abs(values).sum(dtype=np.float64)
        if self._sink is not None and not inside.empty:
            self._sink.write(np.where(mapped, kept, np.nan).astype(values.dtype, copy=False))
        self._values, self._valid = self._values[:, number:].copy(), self._valid[number:].copy()
        self._top = stop


class _CellMap:
    """Multipliers and values of the coarse cells of the whole scene, which are few."""

    def __init__(self, runner: Runner, scene: Window, levels: np.ndarray) -> None:
        self._runner = runner
        cells = scene.coarser(runner.ratio)
        shape = (len(runner.coarse_channels), cells.rows, cells.cols)
        self.multipliers = np.zeros(shape)
        self._values = np.zeros(shape)
        self._gaps = np.zeros(shape, bool)
        self._levels = levels[:, None, None]

    def add(self, tile: Tile, patch: Patch, inputs: Inputs, found: Explanation) -> None:
        """Add what a tile's cells received."""
        if found.coarse is None:
            return
        cells = tile.input.coarser(self._runner.ratio)
        here = (slice(None), *cells.slices())
        self.multipliers[here] += self._runner.array(found.coarse[0])
        self._values[here] = self._runner.array(inputs.coarse[0])
        read = patch.coarse[(slice(None), *cells.slices(patch.window.coarser(self._runner.ratio)))]
        self._gaps[here] = ~np.isfinite(read)

    def relevance(self, method: Method, gaps: bool = True) -> np.ndarray:
        """Return the relevance of the cells; NaN at `gaps`."""
        factor = 1.0 if method.name == GRADIENT else self._values - self._levels
        return np.where(self._gaps & gaps, np.nan, self.multipliers * factor)

    def masked(self, method: Method) -> float:
        """Return the relevance of fills."""
        return float(self.relevance(method, gaps=False)[self._gaps].sum())


def _balance(
    runner: Runner, method: Method, ledger: Ledger, fine: _FineMap, cells: _CellMap, target_sum: float
) -> Accounts:
    layers = ledger.by_layer()
    coarse = np.nan_to_num(cells.relevance(method))
    sums = [*fine.sums, *coarse.sum((1, 2))]
    names = [channel.name for channel in (*runner.fine_channels, *runner.coarse_channels)]
    everything = np.abs(cells.relevance(method, gaps=False)).sum()
    rounding = ROUNDING[runner.precision]
    return Accounts(
        target_sum=target_sum,
        relevance={name: float(total) for name, total in zip(names, sums)},
        bias=sum(layers.get(BIAS, {}).values()) if method.conservative else 0.0,
        epsilon=sum(layers.get(EPSILON, {}).values()),
        zero_denominator=sum(layers.get(ZERO_DENOMINATOR, {}).values()),
        masked_input=float(fine.masked + cells.masked(method)),
        outside_region=float(fine.outside),
        absolute=float(fine.absolute + everything),
        conservative=method.conservative,
        tolerance=max(rounding, method.tolerance) if method.name == INTEGRATED_GRADIENTS else rounding,
        layers=layers if method.conservative else {},
    )


def _warn(accounts: Accounts, progress: Progress) -> None:
    if accounts.balanced:
        return
    leak = accounts.largest_leak()
    where = f" The largest leak: {leak[2]:.3g} to {leak[0]} in layer '{leak[1]}'." if leak else ""
    progress.warn(
        f"Relevance does not add up: {accounts.residual:.3g} of {accounts.target_sum:.6g} is missing, "
        f"{accounts.relative_residual:.2g} of Σ|relevance| + |bias| (accepted: {accounts.tolerance:g}).{where}"
    )


def _refined(
    runner: Runner, source: Source, plan: Plan, seeding: Seeding, method: Method, progress: Progress
) -> Method:
    """Double the steps of integrated gradients until they suffice on windows fixed in the scene.

    The number must be one for all tiles, and not depend on how they are cut.
    """
    pilots = _pilots(runner, source, plan, seeding)
    while pilots:
        explainer = explainer_for(runner, method, lambda: check_cancelled(progress))
        off = scale = 0.0
        for inputs, mask in pilots:
            ledger = Ledger()
            found = _explained(runner, explainer, seeding, inputs, mask, ledger)
            origin = runner.constant(inputs, method.baseline)
            parts = [(found.fine * (inputs.fine - origin.fine)).double()]
            if inputs.coarse is not None:
                parts.append((found.coarse * (inputs.coarse - origin.coarse)).double())
            at_origin = sum(ledger.by_layer()[BIAS].values())
            off += abs(found.target_sum - at_origin - float(sum(part.sum() for part in parts)))
            scale += abs(at_origin) + float(sum(part.abs().sum() for part in parts))
        share = off / scale if scale else 0.0
        if share <= method.tolerance or 2 * method.steps > method.most_steps:
            progress.message(
                f"Integrated gradients: {method.steps} steps, complete to {share:.2g} in {len(pilots)} places."
            )
            break
        method = dataclasses.replace(method, steps=2 * method.steps)
    return method


def _pilots(runner: Runner, source: Source, plan: Plan, seeding: Seeding) -> list[tuple[Inputs, np.ndarray]]:
    """Return inputs and seeded pixels of a few small windows around pixels of the target."""
    found = []
    for row, col in _spread_pixels(plan.region, seeding, PILOT_CANDIDATES):
        around = Window(row, col, 1, 1).grown(PILOT_SIDE // 2, within=plan.region)
        tile = plan.tile(around)
        patch = source.read(tile.read)
        mask = _seeded_pixels(seeding, tile, patch)
        if mask.any():
            found.append((runner.standardise(patch, tile.input), mask))
    return found[:: max(1, len(found) // PILOTS)][:PILOTS]


def _spread_pixels(region: Window, seeding: Seeding, number: int) -> Iterator[tuple[int, int]]:
    """Yield pixels spread evenly over those meant by the target, valid or not."""
    if seeding.region is None:
        side = round(number**0.5)
        for index in range(side * side):
            down, across = divmod(index, side)
            yield (
                region.row + region.rows * (2 * down + 1) // (2 * side),
                region.col + region.cols * (2 * across + 1) // (2 * side),
            )
        return
    bands = list(region.split(256, region.cols))
    counts = [int(np.count_nonzero(seeding.region(band))) for band in bands]
    wanted = sorted({sum(counts) * (2 * index + 1) // (2 * number) for index in range(number)})
    before = 0
    for band, count in zip(bands, counts):
        ranks = [rank - before for rank in wanted if before <= rank < before + count]
        if ranks:
            rows, cols = np.nonzero(seeding.region(band))
            for rank in ranks:
                yield band.row + int(rows[rank]), band.col + int(cols[rank])
        before += count
