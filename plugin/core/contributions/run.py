r"""Which channel decided: at every output pixel the logit split over groups of channels.

The split of a target's logit f at pixel s is f(s) = b(s) + Σ_c C_c(s), against a baseline x₀:

``gated``
    C_c = J (x - x₀)_c with the Jacobian J at x, all its gates frozen, and (x - x₀)_c zero outside of the
    group. b is what the frozen network makes of x₀, its biases and batch-norm shifts: what the gates
    decide is hidden in it. It is carried through the network as a row of its own, never as the remainder.
``integrated``
    C_c = (∫₀¹ J(x₀ + t (x - x₀)) dt) (x - x₀)_c, integrated gradients (Sundararajan et al. 2017, arXiv
    1703.01365) of every output pixel, and b = f(x₀). The path is taken in steps; over each step every gate
    has the secant as its slope, so that the split is complete whatever the number of steps. More steps
    settle how gates that change within one step share: they are doubled until the split stands still.

Groups of scales are split at the components of the last layer instead, in which every network is linear:
C_g = Σ_j w_j a_j over the components of the group, b the bias of the last layer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Protocol

import numpy as np
import torch

from ...ground.errors import ModelError
from ...ground.protocols import Patch, Progress, Sink, Source
from ...ground.window import Window
from ..layers.conservation import ROUNDING
from ..streaming.engine import check_cancelled, plan_work, tiles_with_work
from ..streaming.out_of_memory import OutOfMemoryFallback
from ..streaming.pipeline import writing_behind
from ..streaming.run_time import Probe
from ..streaming.runner import Inputs, Runner
from ..streaming.tiling import Plan, Tile
from ..target.channel_groups import SCALE, ChannelGroup, scale_groups
from ..target.target import Seeding
from .completeness import Completeness, CompletenessCheck
from .splitters import SPLITTERS, Splitting
from .sums import ContributionSums, Shares


class Splitter(Protocol):
    """A way of splitting, made ready for a network."""

    groups: tuple[ChannelGroup, ...]
    splitting: Splitting
    # Whether large tiles cost it no speed, and for how many more tiles it may run at the same time.
    takes_large_tiles: bool
    tiles_ahead: int
    # Whether the number of steps along the path matters.
    takes_steps: bool

    def split(self, inputs: Inputs, seeding: Seeding) -> torch.Tensor:
        """Return (groups, then bias, then logit; row, column) of a target."""


def splitter_for(runner: Runner, splitting: Splitting, check: Callable[[], None] = lambda: None) -> Splitter:
    """Return the splitter; `check` is called between steps, and may raise.

    Raises
    ------
    ModelError
        If the network holds a layer that is not known, naming it, or has no components to split.
    """
    if splitting.groups == SCALE:
        return ComponentSplitter(runner, splitting)
    return SPLITTERS[splitting.method](runner, splitting, check)


class ComponentSplitter:
    """Splits over groups of components of the last layer."""

    takes_large_tiles, tiles_ahead, takes_steps = False, 0, False

    def __init__(self, runner: Runner, splitting: Splitting) -> None:
        self.groups = scale_groups(runner.card)
        self.splitting = splitting
        self._runner = runner
        if not runner.has_components:
            raise ModelError(
                f"The network of '{runner.card.id}' has no components. Choose GROUPS other than scale."
            )
        weight, bias = runner.output_weights()
        self._weight = torch.from_numpy(weight).to(runner.device, runner.input_dtype)
        self._bias = torch.from_numpy(bias).to(runner.device, runner.input_dtype)

    def split(self, inputs: Inputs, seeding: Seeding) -> torch.Tensor:
        """Return (groups, then bias, then logit; row, column) of a target."""
        with torch.no_grad():
            logits = self._runner.logits(inputs)
            seeds = seeding.seeds(logits, torch.ones_like(logits[0, 0], dtype=torch.bool))
            components = self._runner.components(inputs)[0].to(logits.dtype)
            bands = logits.new_zeros((len(self.groups) + 2, *logits.shape[2:]))
            for number, group in enumerate(self.groups):
                members = list(group.members)
                parts = torch.einsum("kj,jrc->krc", self._weight[:, members], components[members])
                bands[number] = (parts * seeds[0]).sum(0)
            bands[-2] = (self._bias[:, None, None] * seeds[0]).sum(0)
            bands[-1] = (logits * seeds).sum((0, 1))
        return bands


def plan_contributions(
    runner: Runner, source: Source, region: Window, splitting: Splitting, seeding: Seeding, memory_mib: float
) -> Plan:
    """Choose tiles for :func:`run_contributions`.

    Raises
    ------
    ParameterError
        If the memory is too little, or the region does not lie inside the scene.
    ModelError
        If the network cannot be split.
    """
    # Steps follow one another; two take as much memory as many.
    splitter = splitter_for(runner, dataclasses.replace(splitting, steps=min(splitting.steps, 2)))
    return plan_work(
        runner,
        source,
        region,
        memory_mib,
        lambda inputs: splitter.split(inputs, seeding),
        per_strip_pixel=len(splitter.groups) + 2,
        large=splitter.takes_large_tiles,
        ahead=splitter.tiles_ahead,
    )


def run_contributions(
    runner: Runner,
    source: Source,
    plan: Plan,
    seeding: Seeding,
    splitting: Splitting,
    sink: Sink,
    progress: Progress,
) -> Shares:
    """Split the logit at every valid pixel of the plan's region.

    Parameters
    ----------
    runner, source, plan
        The network, the scene and its tiles.
    seeding : Seeding
        Which logit.
    splitting : Splitting
        How.
    sink : Sink
        Takes (band, row, column) strips of the region's width: the groups, then ``bias``, then ``logit``;
        float32 (float64 for a runner of that precision), NaN where not valid.
    progress : Progress
        Informed of every tile; warned where the bands do not add up.

    Raises
    ------
    ModelError
        If the network cannot be split.
    NumericalError
        If a contribution is not finite.
    Cancelled
        Within a tile after the user asked for it.
    """

    def splitter_on(device: Runner) -> tuple[Runner, Splitter]:
        return device, splitter_for(device, splitting, lambda: check_cancelled(progress))

    def split(patch: Patch, ready: tuple[Runner, Splitter], piece: Tile) -> np.ndarray:
        device, splitter = ready
        bands = splitter.split(device.standardise(patch, piece.input), seeding)
        return device.array(bands[(slice(None), *piece.output.slices(piece.input))])

    fallback = OutOfMemoryFallback(runner, plan, progress, splitter_on)

    def work(tile: Tile, patch: Patch) -> list[tuple[Tile, np.ndarray]]:
        if not patch.valid[tile.output.slices(patch.window)].any():
            return []
        return list(fallback.pieces(tile, partial(split, patch)))

    groups, ahead = fallback.ready[1].groups, fallback.ready[1].tiles_ahead
    completeness = CompletenessCheck(runner, plan, seeding, splitting, progress)
    completeness.run(source)
    sums = ContributionSums(len(groups))
    strip = None
    probe = Probe(lambda tile, patch: fallback.whole(tile, partial(split, patch)))
    tiles = tiles_with_work(source, plan, progress, "Splitting", work, ahead, probe)
    with writing_behind(sink) as behind, closing(tiles):
        for tile, patch, pieces, last in tiles:
            if strip is None:
                window = Window(tile.output.row, plan.region.col, tile.output.rows, plan.region.cols)
                shape = len(groups) + 2, window.rows, window.cols
                strip = np.full(shape, np.nan, runner.array_dtype)
            if pieces:
                completeness.run_inside(tile, patch)
            for piece, of_piece in pieces:
                valid = patch.valid[piece.output.slices(patch.window)]
                sums.add(of_piece, valid, piece.output)
                filled = strip[(slice(None), *piece.output.slices(window))]
                filled[...] = of_piece
                np.copyto(filled, np.nan, where=~valid)
            if last:
                behind.write(strip)
                strip = None
    shares = _with_windows(sums.means(tuple(group.name for group in groups)), completeness.found)
    _warn(shares, ROUNDING[runner.precision], progress)
    return shares


def _with_windows(shares: Shares, apart: Completeness) -> Shares:
    """Return the shares with the largest residual of all pixels and of the windows computed group by group."""
    shares = dataclasses.replace(shares, windows=apart.windows)
    if apart.residual <= shares.residual:
        return shares
    return dataclasses.replace(shares, residual=apart.residual, place=apart.place)


def _warn(shares: Shares, accepted: float, progress: Progress) -> None:
    if not shares.residual <= accepted:
        row, col = shares.place
        progress.warn(
            f"Contributions do not add up at row {row}, column {col}: {shares.residual:.2g} of |bias| + "
            f"Σ|contributions| is missing (accepted: {accepted:g}). "
            "Use PRECISION=float32; if you do already, please report it."
        )
