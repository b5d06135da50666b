"""Whether a relevance map is true to its network: deletion and insertion of blocks.

Samek et al. 2017 (doi 10.1109/TNNLS.2016.2599820), Petsiuk et al. 2018 (arXiv 1806.07421). Blocks are ranked
by the sum of relevance over all channels, what speaks most for the target first. *Deletion* puts the inputs
of ever more blocks at the baseline and follows the target; *insertion* begins with all blocks at the baseline
and puts them back in the same order. A map that ranks well makes the target fall early, and rise early.

What is measured at the baseline was measured: gaps keep the fill that stands for them. Which class is meant
where the target is the predicted one is decided by the whole inputs, once.

Cost: 2 + 11 (2 + orders) forward passes. Of a large scene a sample of windows is drawn, fixed in the scene;
blocks of the sample are deleted, the rest of the scene stays, and the target is followed on all pixels that
these blocks can reach. Its change is therefore that of the whole target, not of a part. Curves, their areas
and the control by random orders: :mod:`.curves`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial

import numpy as np
import torch

from ...ground.errors import NumericalError, ParameterError
from ...ground.protocols import Patch, Progress, Source
from ...ground.window import Window
from ..streaming.engine import check_cancelled, plan_work
from ..streaming.out_of_memory import OutOfMemoryFallback
from ..streaming.pipeline import read_ahead
from ..streaming.run_time import Probe, announce
from ..streaming.runner import Inputs, Runner
from ..streaming.tiling import Plan, Tile
from ..target.target import Seeding
from .blocks import BlockGrid, BlockRelevance, sample_blocks
from .curves import Control, Faithfulness, States


def plan_faithfulness(runner: Runner, source: Source, region: Window, memory_mib: float) -> Plan:
    """Choose tiles for :func:`run_faithfulness`.

    Raises
    ------
    ParameterError
        If the memory is too little, or the region does not lie inside the scene.
    """

    def work(inputs: Inputs) -> torch.Tensor:
        logits = runner.logits(inputs)
        # The baseline, what is deleted of the inputs, the logits of the scene as it is, and probabilities.
        held = [runner.constant(inputs), runner.constant(inputs), logits.double(), logits.double()]
        return runner.logits(held[0])

    return plan_work(runner, source, region, memory_mib, work, per_strip_pixel=0)


def run_faithfulness(
    runner: Runner,
    source: Source,
    plan: Plan,
    seeding: Seeding,
    relevance: BlockRelevance,
    progress: Progress,
    control: Control | None = None,
    baseline: tuple[float, ...] = (),
) -> Faithfulness:
    """Delete and insert blocks in the order of their relevance, and in random orders.

    Parameters
    ----------
    runner : Runner
        The network.
    source : Source
        The scene.
    plan : Plan
        Its tiles.
    seeding : Seeding
        The target that was explained.
    relevance : BlockRelevance
        The relevance of each block of the plan's region. Inputs outside, which the network also reads, stay.
    progress : Progress
        Informed of every tile.
    control : Control, optional
        Random orders, and how much of a large scene is looked at.
    baseline : tuple of float
        What stands for a deleted input: one standardised value a channel; empty: 0 for all, the mean.

    Raises
    ------
    ParameterError
        If no block can act on the target.
    NumericalError
        If logits are not finite.
    Cancelled
        Within a forward pass after the user asked for it.
    """
    control = control or Control()
    grid = relevance.grid
    chosen, windows = sample_blocks(grid, relevance.players, control.most_pixels, control.seed)
    places = np.argwhere(chosen)
    states = States.of(relevance.sums[chosen], control)
    sums = np.zeros((len(states.deleted), 2))
    pixels = 0

    def follow(patch: Patch, runner: Runner, piece: Tile) -> tuple[int, np.ndarray | float]:
        own = patch.valid[piece.output.slices(patch.window)]
        followed = seeding.mask(piece.output, own) & grid.pixels_near(chosen, runner.radius, piece.output)
        if not followed.any():
            return 0, 0.0
        deletion = _Deletion(runner, seeding, grid, piece, patch, followed, baseline)
        return int(followed.sum()), deletion.follow(places, states.deleted, progress)

    fallback = OutOfMemoryFallback(runner, plan, progress, lambda runner: runner)
    tiles = _reachable_tiles(plan, grid, chosen, seeding)
    # The logits of the inputs as they are, and of every state.
    probe = Probe(
        lambda tile, patch: fallback.whole(tile, partial(_logits, patch)), passes=1 + len(states.deleted)
    )
    if tiles:
        announce(source, plan, progress, "Deleting and inserting blocks", probe, tiles)
    for tile, patch, done in _with_patches(source, tiles, progress):
        for _, (number, curve) in fallback.pieces(tile, partial(follow, patch)):
            pixels += number
            sums += curve
        progress.report(done, "Deleting and inserting blocks")
    check_cancelled(progress)
    if not pixels:
        raise ParameterError(
            "No pixel of the target lies near a block with measured inputs: there is nothing to delete. "
            "Choose another AOI, POINT or EXTENT."
        )
    names = ("logit",) if seeding.head.kind == "linear" else ("logit", "probability")
    measures = tuple(states.measure(name, sums[:, index] / pixels) for index, name in enumerate(names))
    number, players = len(places), int(relevance.players.sum())
    return Faithfulness(measures, grid.side, number, players, windows, pixels, control)


def _logits(patch: Patch, runner: Runner, piece: Tile) -> np.ndarray:
    return runner.array(runner.logits(runner.standardise(patch, piece.input)))


def _reachable_tiles(plan: Plan, grid: BlockGrid, chosen: np.ndarray, seeding: Seeding) -> list[Tile]:
    """Return the tiles of a plan, each cut to the pixels of the target that the chosen blocks can reach."""
    tiles = []
    for tile in (tile for strip in plan.strips() for tile in strip):
        near = grid.pixels_near(chosen, plan.radius, tile.output)
        if near.any():
            near = seeding.mask(tile.output, near)
        rows, cols = (np.flatnonzero(near.any(axis=axis)) for axis in (1, 0))
        if len(rows):
            size = (int(rows[-1] - rows[0]) + 1, int(cols[-1] - cols[0]) + 1)
            place = (tile.output.row + int(rows[0]), tile.output.col + int(cols[0]))
            tiles.append(plan.tile(Window(*place, *size)))
    return tiles


def _with_patches(
    source: Source, tiles: Sequence[Tile], progress: Progress
) -> Iterator[tuple[Tile, Patch, float]]:
    """Yield tiles, what was read for them, and the share done."""
    with closing(read_ahead(source, (tile.read for tile in tiles))) as patches:
        for index, tile in enumerate(tiles):
            check_cancelled(progress)
            yield tile, next(patches), (index + 1) / len(tiles)


class _Deletion:
    """One tile whose blocks are put at the baseline, in all states one after the other.

    Parameters
    ----------
    runner, seeding, grid, tile, patch, baseline
        As in :func:`run_faithfulness`.
    followed : numpy.ndarray
        (row, column) of the tile's output, bool: the pixels of the target.
    """

    def __init__(
        self,
        runner: Runner,
        seeding: Seeding,
        grid: BlockGrid,
        tile: Tile,
        patch: Patch,
        followed: np.ndarray,
        baseline: tuple[float, ...],
    ) -> None:
        self._runner, self._seeding, self._grid, self._tile = runner, seeding, grid, tile
        self._inputs = runner.standardise(patch, tile.input)
        self._cells = tile.input.coarser(runner.ratio)
        self._origin = self._baseline_where_measured(patch, runner.constant(self._inputs, baseline))
        mask = np.zeros((tile.input.rows, tile.input.cols), bool)
        mask[tile.output.slices(tile.input)] = followed
        logits = runner.logits(self._inputs)
        self._seeds = seeding.seeds(logits, torch.from_numpy(mask).to(runner.device))
        own = logits[0, seeding.first : seeding.first + seeding.outputs]
        self._class = (
            own.argmax(0) if seeding.wanted is None else torch.full_like(own[0], seeding.wanted).long()
        )
        self._mask = torch.from_numpy(mask).to(runner.device)

    def _baseline_where_measured(self, patch: Patch, constant: Inputs) -> Inputs:
        """Return the inputs of which all that was measured is at the baseline."""
        place = (slice(None), *self._tile.input.slices(patch.window))
        known = patch.valid[place[1:]] & np.isfinite(patch.fine[place])
        fine = torch.where(self._tensor(known), constant.fine, self._inputs.fine)
        if self._inputs.coarse is None:
            return Inputs(fine, None)
        inside = self._cells.slices(patch.window.coarser(self._runner.ratio))
        known = np.isfinite(patch.coarse[(slice(None), *inside)])
        return Inputs(fine, torch.where(self._tensor(known), constant.coarse, self._inputs.coarse))

    def _tensor(self, mask: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(mask).to(self._runner.device)

    def follow(self, places: np.ndarray, deleted: np.ndarray, progress: Progress) -> np.ndarray:
        """Return Σ logit and Σ probability of the pixels followed, by state.

        Parameters
        ----------
        places : numpy.ndarray
            (block, 2): row and column in the grid.
        deleted : numpy.ndarray
            (state, block), bool.
        """
        seen = self._tile.input.intersection(self._grid.region).coarser(self._grid.side)
        seen_here = seen.slices(self._grid.window)
        known: dict[bytes, torch.Tensor] = {}
        points = []
        for state in deleted:
            away = np.zeros(self._grid.shape, bool)
            away[tuple(places[state].T)] = True
            key = away[seen_here].tobytes()  # other states may look the same from here
            if key not in known:
                check_cancelled(progress)
                known[key] = self._sums(self._without(away))
            points.append(known[key])
        sums = torch.stack(points).cpu().numpy()
        if not np.isfinite(sums).all():
            at = self._tile.output
            raise NumericalError(
                f"With blocks at the baseline the logits are not finite at rows {at.row} to {at.row_stop}, columns "
                f"{at.col} to {at.col_stop}. Check the baseline and the weights, or leave FAITHFULNESS out."
            )
        return sums

    def _without(self, away: np.ndarray) -> Inputs:
        pixels = self._grid.spread(away, self._tile.input)
        fine = torch.where(self._tensor(pixels), self._origin.fine, self._inputs.fine)
        if self._inputs.coarse is None:
            return Inputs(fine, None)
        cells = self._grid.spread(away, self._cells, self._runner.ratio)
        return Inputs(fine, torch.where(self._tensor(cells), self._origin.coarse, self._inputs.coarse))

    def _sums(self, inputs: Inputs) -> torch.Tensor:
        seeding = self._seeding
        logits = self._runner.logits(inputs)
        # Logits that are not seeded need not be finite.
        target = torch.where(self._seeds != 0, self._seeds * logits, 0.0).sum(dtype=torch.float64)
        own = logits[0, seeding.first : seeding.first + seeding.outputs].double()
        p = own.softmax(0) if seeding.head.kind == "softmax" else own.sigmoid()
        probability = p.gather(0, self._class[None])[0][self._mask].sum()
        return torch.stack([target, probability])
