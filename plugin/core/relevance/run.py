"""Relevance of every input of a scene for the logits of a target, tile by tile.

Each tile seeds the pixels it answers for, and what its inputs receive — a receptive-field radius around
them too — is added to a strip that rolls down the scene. Rows that no later tile can reach are written. The
sum over all tiles is the relevance of the whole scene at once, up to rounding, for every method that is
linear in the seed.

Relevance of fine pixels goes to a sink. For coarse channels the *multipliers* of the network's cells are
kept: S being the sampler that made the cells from the coarse raster, the raster's own pixels have the
relevance (x - x₀) ⊙ Sᵀ m. What cells receive as relevance r, not as a multiplier, is Sᵀ r there:
rows of S sum to one, so that nothing is lost.
"""

from __future__ import annotations

import dataclasses
import math
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from ...ground.errors import ParameterError
from ...ground.protocols import Progress, Sink, Source
from ...ground.window import Window
from ..layers.conservation import (
    BIAS,
    EPSILON,
    PADDING,
    ROUNDING,
    ZERO_DENOMINATOR,
    ConservationReport,
    Leaks,
)
from ..streaming.engine import check_cancelled, plan_work, scene_window, tiles_with_patches
from ..streaming.out_of_memory import OutOfMemoryFallback
from ..streaming.pipeline import writing_behind
from ..streaming.run_time import Probe
from ..streaming.runner import Inputs, Runner
from ..streaming.thumbnail import Thumbnail
from ..streaming.tiling import Plan
from ..target.target import Target
from .audit import leaking_layer
from .maps import CellMap, Cells, FineMap
from .methods import Method
from .pieces import Pieces
from .steps import probe_windows, refined, seeded_pixels
from .uncertainty import Replica, Uncertainty, replicas_of


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
    conservation : ConservationReport
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
    conservation: ConservationReport
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
    single = dataclasses.replace(method, steps=1, samples=1, patch=max(method.patch, 256))
    replicas = replicas_of(runner, single, uncertainty, lambda: None, scene_window(source))
    number = len(replicas)
    plans = []
    for runner_, replica in {id(r.runner): (r.runner, r) for r in replicas}.values():

        def work(inputs: Inputs, replica: Replica = replica) -> tuple:
            place = Window(0, 0, *inputs.fine.shape[2:])
            # Results of the other replicas stay in host memory.
            waiting = inputs.fine.new_empty((number - 1, *inputs.fine.shape[1:]))
            return waiting, replica.explain(inputs, torch.ones_like, Leaks(), place)

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
    audited: bool = True,
    pictured: Thumbnail | None = None,
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
        Informed of every tile; warned where relevance is not conserved.
    uncertainty : Uncertainty, optional
        What is varied; default: nothing.
    audited : bool
        Whether it is looked at if relevance is conserved. It is not where the plan's radius is smaller than the
        network's, so that logits at the sides of tiles are wrong.
    pictured : Thumbnail, optional
        Takes the logits of the explained head, one band an output, unless something is varied.

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
    seeding, uncertainty = target.resolve(runner.card), uncertainty or Uncertainty()
    check = partial(check_cancelled, progress)
    method = refined(runner, source, plan, seeding, method, progress)

    def replicas_on(device: Runner) -> list[Replica]:
        varied = uncertainty if device is runner else uncertainty.on_cpu()
        return replicas_of(device, method, varied, check, scene_window(source))

    fallback = OutOfMemoryFallback(runner, plan, progress, replicas_on)
    runners = [replica.runner for replica in fallback.ready]
    number = len(runner.fine_channels)
    levels = np.array(method.baseline or (0.0,) * (number + len(runner.coarse_channels)))
    pieces = Pieces(plan, seeding, method, levels[:number], check, pictured)
    cells = CellMap(runners, scene_window(source), levels[number:], method.times_input)
    with writing_behind(sink) if sink is not None else nullcontext() as behind:
        fine = FineMap(plan, number, len(runners), runner.array_dtype, behind, method.how.beyond(method))
        leaks, target_sum, pixels = _add_up(source, pieces, fallback, progress, fine, cells)
        fine.flush(plan.footprint.row_stop, final=True)
    if not pixels:
        raise ParameterError(
            "No valid pixel lies inside the region to be explained. Choose another AOI, POINT or EXTENT."
        )
    conservation = _balance(runner, method, leaks, fine, cells, target_sum, len(runners))
    if audited:
        conservation = _audited(conservation, source, pieces, fallback, method)
        _warn(conservation, progress)
    return RelevanceResult(
        cells.cells(), cells.mean(), levels[number:], conservation, method, pixels, seeding.text
    )


def _audited(
    conservation: ConservationReport,
    source: Source,
    pieces: Pieces,
    fallback: OutOfMemoryFallback,
    method: Method,
) -> ConservationReport:
    """Return a report that names the layer where relevance is lost, if any is and a backward pass can find it."""
    if conservation.balanced or not method.how.audited:
        return conservation
    losses = [
        fallback.whole(window, partial(pieces.lost_by_layer, patch, mask))
        for window, patch, mask in probe_windows(source, pieces.plan, pieces.seeding)
    ]
    return dataclasses.replace(conservation, leaking=leaking_layer(losses))


def _add_up(
    source: Source,
    pieces: Pieces,
    fallback: OutOfMemoryFallback,
    progress: Progress,
    fine: FineMap,
    cells: CellMap,
) -> tuple[Leaks, float, int]:
    """Explain all tiles of a scene, and add what each receives to the maps.

    Returns
    -------
    tuple of (Leaks, float, int)
        What did not reach the inputs, summed over replicas; the sum of the explained logits, the mean over replicas;
        and how many pixels were explained.
    """
    leaks, target_sum, pixels = Leaks(), 0.0, 0
    probe = Probe(
        lambda tile, patch: fallback.whole(tile, partial(pieces.everywhere.explain, patch)),
        pieces.needed_if_valid,
    )
    for tile, patch, last in tiles_with_patches(source, pieces.plan, progress, "Explaining", probe):
        fine.mark_valid(tile, patch)
        mask = seeded_pixels(pieces.seeding, tile, patch)
        if mask.any():
            for piece, results in fallback.pieces(pieces.needed(tile, mask), partial(pieces.explain, patch)):
                for index, result in enumerate(results):
                    explanation = result.explanation
                    fine.add(index, explanation.fine_window or piece.input, result.relevance)
                    cells.add(index, piece, patch, result.inputs, explanation, result.noise)
                    leaks.add(result.leaks)
                    target_sum += explanation.target_sum / len(results)
            pixels += int(mask.sum())
        if last:
            fine.flush(tile.output.row_stop)
    return leaks, target_sum, pixels


def _balance(
    runner: Runner,
    method: Method,
    leaks: Leaks,
    fine: FineMap,
    cells: CellMap,
    target_sum: float,
    replicas: int,
) -> ConservationReport:
    layers = {
        kind: {layer: amount / replicas for layer, amount in amounts.items()}
        for kind, amounts in leaks.by_layer().items()
        if method.conservative
    }

    def recorded(kind: str) -> float:
        return sum(layers.get(kind, {}).values())

    sums = [*fine.sums, *np.nan_to_num(cells.mean()).sum((1, 2))]
    names = [channel.name for channel in (*runner.fine_channels, *runner.coarse_channels)]
    rounding = ROUNDING[runner.precision]
    return ConservationReport(
        target_sum=target_sum,
        relevance={name: float(total) for name, total in zip(names, sums)},
        bias=recorded(BIAS),
        epsilon=recorded(EPSILON),
        zero_denominator=recorded(ZERO_DENOMINATOR),
        padding=recorded(PADDING),
        masked_input=float(fine.masked + cells.masked()),
        outside_region=float(fine.outside),
        absolute=float(fine.absolute + cells.absolute()),
        conservative=method.conservative,
        tolerance=max(rounding, method.tolerance) if method.how.in_steps else rounding,
        layers=layers,
    )


def _warn(conservation: ConservationReport, progress: Progress) -> None:
    if conservation.balanced:
        return
    where = f" The largest leak: {conservation.leak}." if conservation.leak else ""
    progress.warn(
        f"Relevance does not add up: {conservation.residual:.3g} of {conservation.target_sum:.6g} is missing, "
        f"{conservation.relative_residual:.2g} of Σ|relevance| + |bias| (accepted: {conservation.tolerance:g}).{where}"
    )
