"""How many steps integrated gradients take: enough that relevance adds up, tried on a few small windows.

The number must be one for all tiles and not depend on how they are cut, so the windows are fixed in the scene.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from ...ground.protocols import Patch, Progress, Source
from ...ground.window import Window
from ..layers.conservation import BIAS, Leaks
from ..streaming.engine import check_cancelled
from ..streaming.out_of_memory import OutOfMemoryFallback
from ..streaming.runner import Inputs, Runner
from ..streaming.tiling import Plan, Tile
from ..target.target import Seeding
from .explainers import Seeds
from .methods import NODES_A_STEP, Method, explainer_for

# Integrated gradients are tried out on windows of this side around this many pixels of the target.
PROBE_SIDE = 48
PROBE_CANDIDATES = 16
PROBES = 4
# Twice as many steps move relevance by at most this share of Σ|relevance|: about what is wrong with it, pixel by pixel.
MOVED = 0.05
# A channel that moves by less than this share of its relevance is linear: what moves is rounding.
LINEAR = 1e-4


def seeded_pixels(seeding: Seeding, tile: Tile, patch: Patch) -> np.ndarray:
    """Return which pixels of a tile's input window are seeded: the explained ones of its output."""
    mask = np.zeros((tile.input.rows, tile.input.cols), bool)
    valid = patch.valid[tile.output.slices(patch.window)]
    mask[tile.output.slices(tile.input)] = seeding.mask(tile.output, valid)
    return mask


def seeds_of(seeding: Seeding, mask: np.ndarray, runner: Runner, inputs: Inputs, fixed: bool) -> Seeds:
    """Return what seeds logits; `fixed`: by the class the network itself predicts, for all replicas."""
    chosen = torch.from_numpy(mask).to(runner.device)
    if fixed and seeding.classes is None and seeding.outputs > 1:
        seeds = seeding.seeds(runner.logits(inputs), chosen)
        return lambda logits: seeds.to(logits.dtype)
    return lambda logits: seeding.seeds(logits, chosen)


def refined(
    runner: Runner, source: Source, plan: Plan, seeding: Seeding, method: Method, progress: Progress
) -> Method:
    """Double the steps of integrated gradients until they suffice on windows fixed in the scene.

    They suffice where relevance adds up within the method's tolerance and, for a network with a backward pass over
    steps, where it adds up anyway, twice as many move it by no more than :data:`MOVED`. Both are judged on the
    channels that are not linear: the others are exact with any number of steps, and large sums of theirs would
    hide what is wrong with the rest.

    The number must be one for all tiles, and not depend on how they are cut. It stands in the log. A method
    that does not ask for it comes back as it is; one that did asks no more.
    """
    if not (method.how.in_steps and method.refine):
        return method
    progress.report(0.0, "Trying how many steps are needed")
    windows = probe_windows(source, plan, seeding)
    fallback = OutOfMemoryFallback(runner, plan, progress, lambda runner: runner)
    secants = runner.fast.secants is not None

    def trial(method: Method) -> list[_Trial]:
        return [
            fallback.whole(
                tile, partial(_tried, patch, mask, seeding, method, lambda: check_cancelled(progress))
            )
            for tile, patch, mask in windows
        ]

    tried = trial(method)
    while windows:
        steps = 2 * max(method.steps, NODES_A_STEP if secants else 1)
        finer = dataclasses.replace(method, steps=steps)
        after = trial(finer)
        moved, off = _unsettled(tried, after)
        enough = off <= method.tolerance and (moved <= MOVED or not secants)
        if enough or 2 * method.steps > method.most_steps:
            number = (
                f"{-(-method.steps // NODES_A_STEP)} steps" if secants else f"{method.steps} steps (nodes)"
            )
            progress.message(
                f"Integrated gradients: {number}; in {len(windows)} small window{'s'[: len(windows) != 1]} tried, "
                f"twice as many move relevance by {100 * moved:.2g} %, and what does not add up is {off:.2g} of "
                "Σ|relevance|, both of the channels that are not linear."
            )
            break
        method, tried = finer, after
    return dataclasses.replace(method, refine=False)


@dataclass(frozen=True)
class _Trial:
    """Integrated gradients on a window.

    Parameters
    ----------
    relevance : tuple of numpy.ndarray
        (row, column) by channel, the fine ones first, float64.
    missing : float
        What they lack of the difference of the logits.
    """

    relevance: tuple[np.ndarray, ...]
    missing: float


def _unsettled(found: list[_Trial], finer: list[_Trial]) -> tuple[float, float]:
    """Return by how much relevance moves to `finer`, and what is missing of it: shares of Σ|relevance|.

    Of the channels that are not linear; a linear one is the same with any number of steps.
    """
    moved = size = 0.0
    for channel in range(len(found[0].relevance) if found else 0):
        pairs = [(one.relevance[channel], other.relevance[channel]) for one, other in zip(found, finer)]
        change = sum(float(np.abs(after - before).sum()) for before, after in pairs)
        whole = sum(float(np.abs(after).sum()) for _, after in pairs)
        if change > LINEAR * whole:
            moved, size = moved + change, size + whole
    missing = sum(abs(trial.missing) for trial in found)
    return (moved / size, missing / size) if size else (0.0, 0.0)


def _tried(
    patch: Patch,
    mask: np.ndarray,
    seeding: Seeding,
    method: Method,
    check: Callable[[], None],
    runner: Runner,
    tile: Tile,
) -> _Trial:
    inputs, leaks = runner.standardise(patch, tile.input), Leaks()
    seeds = seeds_of(seeding, mask, runner, inputs, fixed=False)
    explanation = explainer_for(runner, method, check).explain(inputs, seeds, leaks)
    origin = runner.constant(inputs, method.baseline)
    parts = list((explanation.fine * (inputs.fine - origin.fine))[0].double())
    if inputs.coarse is not None:
        parts += (explanation.coarse * (inputs.coarse - origin.coarse))[0].double()
    at_origin = sum(leaks.by_layer()[BIAS].values())
    missing = explanation.target_sum - at_origin - float(sum(part.sum() for part in parts))
    return _Trial(tuple(part.cpu().numpy() for part in parts), missing)


def around_seeds(plan: Plan, tile: Tile, mask: np.ndarray) -> Tile:
    """Return the tile of the smallest window of `tile.output` that holds all seeded pixels.

    Parameters
    ----------
    plan : Plan
        Of the tile.
    tile : Tile
        A tile with seeded pixels.
    mask : numpy.ndarray
        Which pixels of its input window are seeded.
    """
    rows, cols = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    first, left = tile.input.row + int(rows[0]), tile.input.col + int(cols[0])
    last, right = tile.input.row + int(rows[-1]), tile.input.col + int(cols[-1])
    return plan.tile(Window(first, left, last - first + 1, right - left + 1))


def probe_windows(source: Source, plan: Plan, seeding: Seeding) -> list[tuple[Tile, Patch, np.ndarray]]:
    """Return tile, patch and seeded pixels of a few small windows around pixels of the target."""
    windows = []
    for row, col in _spread_pixels(plan.region, seeding, PROBE_CANDIDATES):
        around = Window(row, col, 1, 1).grown(PROBE_SIDE // 2, within=plan.region)
        tile = plan.tile(around)
        patch = dataclasses.replace(source.read(tile.read), scene=plan.scene)
        mask = seeded_pixels(seeding, tile, patch)
        if mask.any():
            windows.append((tile, patch, mask))
    return windows[:: max(1, len(windows) // PROBES)][:PROBES]


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
