"""How many steps integrated gradients take: enough that relevance adds up, tried on a few small windows.

The number must be one for all tiles and not depend on how they are cut, so the windows are fixed in the scene.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch

from .accounts import BIAS, Ledger
from .engine import check_cancelled
from .explainers import Seeds
from .methods import INTEGRATED_GRADIENTS, Method, explainer_for
from .network import Inputs, Runner
from .protocols import Patch, Progress, Source
from .retreat import Retreat
from .target import Seeding
from .tiling import Plan, Tile
from .window import Window

# Integrated gradients are tried out on windows of this side around this many pixels of the target.
PILOT_SIDE = 48
PILOT_CANDIDATES = 16
PILOTS = 4


def seeded_pixels(seeding: Seeding, tile: Tile, patch: Patch) -> np.ndarray:
    """Return which pixels of a tile's input window are seeded: the explained ones of its output."""
    mask = np.zeros((tile.input.rows, tile.input.cols), bool)
    valid = patch.valid[tile.output.slices(patch.window)]
    mask[tile.output.slices(tile.input)] = seeding.mask(tile.output, valid)
    return mask


def seeds_of(seeding: Seeding, mask: np.ndarray, runner: Runner, inputs: Inputs, fixed: bool) -> Seeds:
    """Return what seeds logits; `fixed`: by the class the network itself predicts, for all replicas."""
    chosen = torch.from_numpy(mask).to(runner.device)
    if fixed and seeding.wanted is None and seeding.outputs > 1:
        seeds = seeding.seeds(runner.logits(inputs), chosen)
        return lambda logits: seeds.to(logits.dtype)
    return lambda logits: seeding.seeds(logits, chosen)


def refined(
    runner: Runner, source: Source, plan: Plan, seeding: Seeding, method: Method, progress: Progress
) -> Method:
    """Double the steps of integrated gradients until they suffice on windows fixed in the scene.

    The number must be one for all tiles, and not depend on how they are cut. It is told in the log. A method
    that does not ask for it comes back as it is; one that did asks no more.
    """
    if method.name != INTEGRATED_GRADIENTS or not method.refine:
        return method
    progress.report(0.0, "Trying how many steps are needed")
    pilots = pilots_of(source, plan, seeding)
    retreat = Retreat(runner, plan, progress, lambda runner: runner)
    while pilots:
        off = scale = 0.0
        for tile, patch, mask in pilots:
            work = partial(_completeness, patch, mask, seeding, method, lambda: check_cancelled(progress))
            missing, size = retreat.whole(tile, work)
            off += missing
            scale += size
        share = off / scale if scale else 0.0
        if share <= method.tolerance or 2 * method.steps > method.most_steps:
            progress.message(
                f"Integrated gradients: {method.steps} steps; in {len(pilots)} small window{'s'[: len(pilots) != 1]} "
                f"tried, what does not add up is {share:.2g} of Σ|relevance| + |logits of the baseline|."
            )
            break
        method = dataclasses.replace(method, steps=2 * method.steps)
    return dataclasses.replace(method, refine=False)


def _completeness(
    patch: Patch,
    mask: np.ndarray,
    seeding: Seeding,
    method: Method,
    check: Callable[[], None],
    runner: Runner,
    tile: Tile,
) -> tuple[float, float]:
    """Return what integrated gradients miss on a pilot, and Σ|relevance| + |logits of the baseline|."""
    inputs, ledger = runner.standardise(patch, tile.input), Ledger()
    seeds = seeds_of(seeding, mask, runner, inputs, fixed=False)
    found = explainer_for(runner, method, check).explain(inputs, seeds, ledger)
    origin = runner.constant(inputs, method.baseline)
    parts = [(found.fine * (inputs.fine - origin.fine)).double()]
    if inputs.coarse is not None:
        parts.append((found.coarse * (inputs.coarse - origin.coarse)).double())
    at_origin = sum(ledger.by_layer()[BIAS].values())
    off = abs(found.target_sum - at_origin - float(sum(part.sum() for part in parts)))
    return off, abs(at_origin) + float(sum(part.abs().sum() for part in parts))


def pilots_of(source: Source, plan: Plan, seeding: Seeding) -> list[tuple[Tile, Patch, np.ndarray]]:
    """Return tile, patch and seeded pixels of a few small windows around pixels of the target."""
    found = []
    for row, col in _spread_pixels(plan.region, seeding, PILOT_CANDIDATES):
        around = Window(row, col, 1, 1).grown(PILOT_SIDE // 2, within=plan.region)
        tile = plan.tile(around)
        patch = dataclasses.replace(source.read(tile.read), scene=plan.scene)
        mask = seeded_pixels(seeding, tile, patch)
        if mask.any():
            found.append((tile, patch, mask))
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
