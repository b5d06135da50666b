"""Relevance of every input of a scene for the logits of a target, tile by tile.

Each tile seeds the pixels it answers for, and what its inputs receive — a receptive-field radius around
them too — is added to a strip that rolls down the scene. Rows no later tile can reach are handed on. The
sum over all tiles is the relevance of the whole scene at once, up to rounding, for every method that is
linear in the seed.

Relevance of fine pixels goes to a sink. For coarse channels the *multipliers* of the network's cells are
kept: S being the sampler that made the cells from the coarse raster, the raster's own pixels have the
relevance (x - x₀) ⊙ Sᵀ m. What a method hands to cells as relevance r, not as a multiplier, is Sᵀ r there:
rows of S sum to one, so that nothing is lost.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch

from .accounts import BIAS, EPSILON, PADDING, ZERO_DENOMINATOR, Accounts, Ledger
from .engine import check_cancelled, plan_work, scene_window, tiles_with_patches, writing_behind
from .errors import NumericalError, ParameterError
from .explainers import Explanation, Seeds
from .maps import CellMap, Cells, FineMap
from .methods import INTEGRATED_GRADIENTS, OCCLUSION, ROUNDING, Method, explainer_for
from .network import Inputs, Runner
from .protocols import Patch, Progress, Sink, Source
from .target import Seeding, Target
from .tiling import Plan, Tile
from .uncertainty import Replica, Uncertainty, replicas_of
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
    cells : tuple of Cells
        What the coarse cells of the whole scene received, by replica.
    coarse_relevance : numpy.ndarray
        (coarse channel, cell row, cell column): mean relevance of the cells; NaN where one has no value.
    baseline : numpy.ndarray
        (coarse channel,), x₀ in standardised units.
    accounts : Accounts
        Where the target went; means over the replicas.
    method : Method
        The method as it was run: with the steps that integrated gradients needed.
    pixels : int
        How many pixels were explained.
    text : str
        What was explained, in words.
    """

    cells: tuple[Cells, ...]
    coarse_relevance: np.ndarray
    baseline: np.ndarray
    accounts: Accounts
    method: Method
    pixels: int
    text: str

    @property
    def coarse_multipliers(self) -> np.ndarray:
        """Mean multipliers of the cells, logit per standardised unit."""
        return np.mean([cells.multipliers for cells in self.cells], axis=0)


def plan_relevance(
    runner: Runner,
    source: Source,
    region: Window,
    method: Method,
    memory_mib: float,
    uncertainty: Uncertainty | None = None,
) -> Plan:
    """Choose tiles for :func:`run_relevance`.

    Raises
    ------
    ParameterError
        If the memory is too little, or the region does not lie inside the scene.
    ModelError
        If the method has no rule for a layer of the network, or members of an ensemble do not fit.
    """
    uncertainty = uncertainty or Uncertainty()
    # Steps, samples and patches follow one another and take the same memory as a single one.
    single = dataclasses.replace(method, steps=1, samples=1, patch=max(method.patch, 512))
    replicas = replicas_of(runner, single, uncertainty, lambda: None, scene_window(source))
    number = len(replicas)
    plans = []
    for runner_, replica in {id(r.runner): (r.runner, r) for r in replicas}.values():

        def work(inputs: Inputs, replica: Replica = replica) -> tuple:
            place = Window(0, 0, *inputs.fine.shape[2:])
            return replica.explain(inputs, torch.ones_like, Ledger(), place)

        fine, cells = (
            1.5 * number * len(runner_.fine_channels),
            (2 + 2 * number) * len(runner_.coarse_channels),
        )
        large = getattr(replica.explainer, "takes_large_tiles", False)
        plans.append(plan_work(runner_, source, region, memory_mib, work, fine, cells, large))
    smallest = min(plans, key=lambda plan: plan.tile_rows)
    return dataclasses.replace(
        smallest,
        radius=max(plan.radius for plan in plans),
        alignment=math.lcm(*(plan.alignment for plan in plans)),
    )


def run_relevance(
    runner: Runner,
    source: Source,
    plan: Plan,
    target: Target,
    method: Method,
    sink: Sink | None,
    progress: Progress,
    uncertainty: Uncertainty | None = None,
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
        units of the logit, float32 (float64 for a runner of that precision), NaN where not valid. With
        `uncertainty` twice as many bands: the channels' means, then their standard deviations.
    progress : Progress
        Told of every tile; warned where the books do not balance.
    uncertainty : Uncertainty, optional
        What is varied; default: nothing.

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

    def check() -> None:
        check_cancelled(progress)

    method = refined(runner, source, plan, seeding, method, progress)
    replicas = replicas_of(runner, method, uncertainty or Uncertainty(), check, scene_window(source))
    ledger = Ledger()
    number = len(runner.fine_channels)
    levels = np.array(method.baseline or (0.0,) * (number + len(runner.coarse_channels)))
    runners = [replica.runner for replica in replicas]
    distinct = {id(r): r for r in runners}
    cells = CellMap(runners, scene_window(source), levels[number:], method.times_input)
    target_sum, pixels = 0.0, 0
    with writing_behind(sink) if sink is not None else nullcontext() as behind:
        margin = method.patch if method.name == OCCLUSION else 0
        fine = FineMap(plan, number, len(replicas), runner.array_dtype, behind, margin)
        for tile, patch, last in tiles_with_patches(source, plan, progress, "Explaining"):
            fine.see(tile, patch)
            mask = _seeded_pixels(seeding, tile, patch)
            if mask.any():
                inputs = {key: r.standardise(patch, tile.input) for key, r in distinct.items()}
                seeds = _seeds(seeding, mask, runner, inputs[id(runner)], fixed=len(replicas) > 1)
                for index, replica in enumerate(replicas):
                    check()
                    given = inputs[id(replica.runner)]
                    found, noise = replica.explain(given, seeds, ledger, tile.input)
                    relevance = _relevance(replica.runner, method, found, given, noise, levels[:number])
                    _check_finite(relevance, tile)
                    fine.add(index, found.fine_window or tile.input, relevance)
                    cells.add(index, tile, patch, given, found, noise)
                    target_sum += found.target_sum / len(replicas)
                pixels += int(mask.sum())
            if last:
                fine.hand_on(tile.output.row_stop)
        fine.hand_on(plan.footprint.row_stop, final=True)
    if not pixels:
        raise ParameterError(
            "No valid pixel lies inside the region to be explained. Choose another AOI, POINT or EXTENT."
        )
    accounts = _balance(runner, method, ledger, fine, cells, target_sum, len(replicas))
    _warn(accounts, progress)
    return RelevanceResult(
        cells.cells(), cells.mean(), levels[number:], accounts, method, pixels, seeding.text
    )


def _seeded_pixels(seeding: Seeding, tile: Tile, patch: Patch) -> np.ndarray:
    """Return which pixels of a tile's input window are seeded: the explained ones of its output."""
    mask = np.zeros((tile.input.rows, tile.input.cols), bool)
    valid = patch.valid[tile.output.slices(patch.window)]
    mask[tile.output.slices(tile.input)] = seeding.mask(tile.output, valid)
    return mask


def _seeds(seeding: Seeding, mask: np.ndarray, runner: Runner, inputs: Inputs, fixed: bool) -> Seeds:
    """Return what seeds logits; `fixed`: by the class the network itself predicts, for all replicas."""
    chosen = torch.from_numpy(mask).to(runner.device)
    if fixed and seeding.wanted is None and seeding.outputs > 1:
        seeds = seeding.seeds(runner.logits(inputs), chosen)
        return lambda logits: seeds.to(logits.dtype)
    return lambda logits: seeding.seeds(logits, chosen)


def _relevance(
    runner: Runner,
    method: Method,
    found: Explanation,
    inputs: Inputs,
    noise: Inputs | None,
    levels: np.ndarray,
) -> np.ndarray:
    """Return the relevance (fine channel, row, column) of a tile's fine inputs."""
    handed = None if found.handed_fine is None else runner.array(found.handed_fine[0])
    if found.fine is None:
        return np.zeros(inputs.fine.shape[1:], runner.array_dtype) if handed is None else handed
    relevance = runner.array(found.fine[0])
    if method.times_input:
        given = inputs.fine if noise is None else inputs.fine + noise.fine
        relevance = relevance * (runner.array(given[0]) - levels[:, None, None].astype(relevance.dtype))
    return relevance if handed is None else relevance + handed


def _check_finite(relevance: np.ndarray, tile: Tile) -> None:
    if not np.isfinite(relevance).all():
        raise NumericalError(
            f"Relevance is not finite at rows {tile.output.row} to {tile.output.row_stop}, columns "
            f"{tile.output.col} to {tile.output.col_stop}. Check the units of the channels, and the weights."
        )


def _balance(
    runner: Runner,
    method: Method,
    ledger: Ledger,
    fine: FineMap,
    cells: CellMap,
    target_sum: float,
    replicas: int,
) -> Accounts:
    layers = {
        account: {layer: amount / replicas for layer, amount in amounts.items()}
        for account, amounts in ledger.by_layer().items()
        if method.conservative
    }

    def booked(account: str) -> float:
        return sum(layers.get(account, {}).values())

    sums = [*fine.sums, *np.nan_to_num(cells.mean()).sum((1, 2))]
    names = [channel.name for channel in (*runner.fine_channels, *runner.coarse_channels)]
    rounding = ROUNDING[runner.precision]
    return Accounts(
        target_sum=target_sum,
        relevance={name: float(total) for name, total in zip(names, sums)},
        bias=booked(BIAS),
        epsilon=booked(EPSILON),
        zero_denominator=booked(ZERO_DENOMINATOR),
        padding=booked(PADDING),
        masked_input=float(fine.masked + cells.masked()),
        outside_region=float(fine.outside),
        absolute=float(fine.absolute + cells.absolute()),
        conservative=method.conservative,
        tolerance=max(rounding, method.tolerance) if method.name == INTEGRATED_GRADIENTS else rounding,
        layers=layers,
    )


def _warn(accounts: Accounts, progress: Progress) -> None:
    if accounts.balanced:
        return
    where = f" The largest leak: {accounts.leak}." if accounts.leak else ""
    progress.warn(
        f"Relevance does not add up: {accounts.residual:.3g} of {accounts.target_sum:.6g} is missing, "
        f"{accounts.relative_residual:.2g} of Σ|relevance| + |bias| (accepted: {accounts.tolerance:g}).{where}"
    )


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
    pilots = _pilots(runner, source, plan, seeding)
    while pilots:
        explainer = explainer_for(runner, method, lambda: check_cancelled(progress))
        off = scale = 0.0
        for inputs, mask in pilots:
            ledger = Ledger()
            found = explainer.explain(inputs, _seeds(seeding, mask, runner, inputs, fixed=False), ledger)
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
                f"Integrated gradients: {method.steps} steps; in {len(pilots)} small window{'s'[: len(pilots) != 1]} "
                f"tried, what does not add up is {share:.2g} of Σ|relevance| + |logits of the baseline|."
            )
            break
        method = dataclasses.replace(method, steps=2 * method.steps)
    return dataclasses.replace(method, refine=False)


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
