"""Occlusion: what the target loses when a patch of one channel is put at its baseline.

Zeiler and Fergus 2014 (arXiv 1311.2901). Patches lie on a grid that begins at the scene's first pixel, so
that tiles do not matter, and each channel is taken away on its own. What a patch changes is written on all
of its pixels in equal parts: the sum over the patch is the change.

A patch changes no logit further away than the receptive field reaches. Patches so far apart that no logit
sees two of them are therefore taken away together: a forward pass a phase of a coarser grid and channel,
instead of one a patch. The cost of a tile does not depend on how many patches it holds::

    passes = channels * ceil((patch + 2 * radius) / patch)²
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import fx, nn

from ...ground.errors import ModelError
from ...ground.window import Window
from ..layers.backward import traced
from ..layers.conservation import Leaks
from ..layers.kinds import kind_of_node, reach_of_node, read_inputs
from ..streaming.runner import Inputs, Runner
from .explainers import Check, Explanation, Network, Seeds, seeded_sum


@dataclass(frozen=True)
class _Patches:
    """Patches along one axis, and which of them one pass takes away.

    Parameters
    ----------
    side : int
        Of a patch, in units of its raster: fine pixels or coarse cells.
    pixels : int
        Fine pixels along one unit.
    reach : int
        How many pixels beside itself a patch acts on.
    """

    side: int
    pixels: int
    reach: int

    @property
    def phases(self) -> int:
        """How many passes an axis takes: patches of one phase are seen by no logit together."""
        span = self.side * self.pixels
        return -(-(span + 2 * self.reach) // span)

    def acting_on(self, start: int, count: int, phase: int) -> torch.Tensor:
        """Return for each fine pixel the only patch of a phase that can act on it."""
        span = self.side * self.pixels
        pixel = torch.arange(start, start + count)
        block = torch.div(pixel + self.reach - phase * span, span * self.phases, rounding_mode="floor")
        return phase + block * self.phases


class OcclusionExplainer:
    """Explains by taking patches away.

    Parameters
    ----------
    runner : Runner
        The network's card: radius, ratio, baseline.
    network : Network
        What gives logits.
    patch : int
        Side of a patch, fine pixels; of coarse channels as many whole cells as come closest, at least one.
    levels : tuple of float
        The baseline, one standardised value a channel; empty: 0 for all.
    scene : Window or None
        The whole scene, at whose edge patches are cut; None: the tile is the scene.
    check : callable
        Called between passes, and may raise.
    """

    def __init__(
        self,
        runner: Runner,
        network: Network,
        patch: int,
        levels: tuple[float, ...],
        scene: Window | None,
        check: Check,
    ) -> None:
        self._runner, self._network, self._levels = runner, network, levels
        self._scene, self._check = scene, check
        self._fine = _Patches(patch, 1, runner.radius)
        cells = max(1, round(patch / runner.ratio))
        self._coarse = _Patches(cells, runner.ratio, coarse_reach(runner.module, runner.radius, runner.ratio))

    def explain(self, inputs: Inputs, seeds: Seeds, leaks: Leaks, place: Window | None = None) -> Explanation:
        """Explain one tile."""
        place = place or Window(0, 0, *inputs.fine.shape[2:])
        scene = self._scene or place
        logits = self._network.logits(inputs).clone()
        seeded = seeds(logits).clone()
        origin = self._runner.constant(inputs, self._levels)

        def change(fine: torch.Tensor, coarse: torch.Tensor | None) -> torch.Tensor:
            self._check()
            without = self._network.logits(Inputs(fine, coarse))
            # Logits that are not seeded need not be finite.
            return torch.where(seeded != 0, seeded * (logits - without), 0.0).sum(1)[0].double()

        fine, fine_window = self._by_patch(
            inputs.fine, origin.fine, lambda v: change(v, inputs.coarse), self._fine, place, place, scene
        )
        coarse = coarse_window = None
        if inputs.coarse is not None:
            cells, ratio = place.coarser(self._runner.ratio), self._runner.ratio
            coarse, coarse_window = self._by_patch(
                inputs.coarse,
                origin.coarse,
                lambda v: change(inputs.fine, v),
                self._coarse,
                place,
                cells,
                scene.coarser(ratio),
            )
        return Explanation(seeded_sum(seeded, logits), None, None, fine, coarse, fine_window, coarse_window)

    def _by_patch(
        self,
        values: torch.Tensor,
        origin: torch.Tensor,
        change: Callable[[torch.Tensor], torch.Tensor],
        patches: _Patches,
        place: Window,
        units: Window,
        scene: Window,
    ) -> tuple[torch.Tensor, Window]:
        """Return relevance and where it lies: on all of every patch that `units` touches.

        Parameters
        ----------
        values, origin : torch.Tensor
            (1, channel, row, column): inputs and baseline.
        change : callable
            Returns how much less the seeded logits are with other values, (row, column) of fine pixels.
        patches : _Patches
            How patches lie along either axis.
        place, units, scene : Window
            The tile in fine pixels, and in units of `values`; the scene in these.
        """
        window = units.snapped(patches.side, within=scene)
        relevance = values.new_zeros((1, values.shape[1], window.rows, window.cols))
        down, across = (
            _Axis.of(patches, *lengths)
            for lengths in (
                (units.row, units.rows, window.row, window.rows, place.row, place.rows, scene.row_stop),
                (units.col, units.cols, window.col, window.cols, place.col, place.cols, scene.col_stop),
            )
        )
        area = (down.lengths[:, None] * across.lengths).to(values.device)
        for phase_row in range(patches.phases):
            rows, to_row = down.phase(phase_row, values.device)
            for phase_col in range(patches.phases):
                cols, to_col = across.phase(phase_col, values.device)
                away = rows[down.units][:, None] & cols[across.units]
                if not away.any():
                    continue
                picked = rows[:, None] & cols
                written = rows[down.window][:, None] & cols[across.window]
                for channel in range(values.shape[1]):
                    without = values.clone()
                    without[0, channel] = torch.where(away, origin[0, channel], values[0, channel])
                    lost = change(without)
                    # Patches that act on no pixel here share one place beyond the others.
                    by_row = lost.new_zeros((len(rows) + 1, lost.shape[1])).index_add_(0, to_row, lost)
                    sums = lost.new_zeros((len(rows) + 1, len(cols) + 1)).index_add_(1, to_col, by_row)
                    shares = torch.where(picked, sums[:-1, :-1] / area, 0.0).to(relevance.dtype)
                    spread = shares[down.window][:, across.window]
                    relevance[0, channel] = torch.where(written, spread, relevance[0, channel])
        return relevance, window


@dataclass(frozen=True)
class _Axis:
    """The patches that a tile touches along one axis, counted from the first of them.

    Parameters
    ----------
    patches : _Patches
        How they lie.
    first, number : int
        The first patch in the scene, and how many there are.
    units, window : torch.Tensor
        The patch of each unit of the tile, and of each unit of all these patches.
    pixels : tuple of int
        First fine pixel of the tile, and how many.
    lengths : torch.Tensor
        How many units of each patch lie inside the scene.
    """

    patches: _Patches
    first: int
    number: int
    units: torch.Tensor
    window: torch.Tensor
    pixels: tuple[int, int]
    lengths: torch.Tensor

    @classmethod
    def of(
        cls,
        patches: _Patches,
        start: int,
        count: int,
        low: int,
        length: int,
        pixel: int,
        pixels: int,
        stop: int,
    ) -> _Axis:
        """Lay out the patches of units `start` on; `low` begins the first patch, `stop` ends the scene."""
        units = torch.arange(start, start + count) // patches.side
        first = int(units[0])
        number = int(units[-1]) - first + 1
        inside = (stop - (first + torch.arange(number)) * patches.side).clamp(max=patches.side).double()
        window = torch.arange(low, low + length) // patches.side
        return cls(patches, first, number, units - first, window - first, (pixel, pixels), inside)

    def phase(self, phase: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Return which patches are of a phase, and for each fine pixel the only one that can act on it."""
        chosen = (self.first + torch.arange(self.number)) % self.patches.phases == phase
        acting = self.patches.acting_on(*self.pixels, phase) - self.first
        acting = torch.where((acting >= 0) & (acting < self.number), acting, self.number)
        return chosen.to(device), acting.to(device)


def coarse_reach(module: nn.Module, radius: int, ratio: int) -> int:
    """Return how many pixels beside its own a coarse cell acts on, `radius` where that is not known.

    A coarse channel that joins behind the last wide convolution acts on its own pixels alone, and all its
    cells can be taken away in one pass.

    Parameters
    ----------
    module : torch.nn.Module
        The network.
    radius : int
        Of its receptive field, in fine pixels.
    ratio : int
        Fine pixels along one side of a coarse cell.
    """
    try:
        graph = traced(module)
    except ModelError:
        return radius
    # By node: fine pixels before and after what it reads of the coarse input, and pixels along one of its places.
    known: dict[fx.Node, tuple[Fraction, Fraction, Fraction] | None] = {}
    inputs = 0
    for node in graph.graph.nodes:
        if node.op == "placeholder":
            known[node] = (Fraction(0), Fraction(0), Fraction(ratio)) if inputs == 1 else None
            inputs += 1
            continue
        kind = kind_of_node(graph, node)
        read = [reach for reach in map(known.get, read_inputs(node, kind)) if reach is not None]
        if not read:
            known[node] = None  # does not depend on the coarse channels
            continue
        before, after, pixels = (max(each) for each in zip(*read))
        if node.op == "output":
            return min(radius, math.ceil(max(before, after, 0)))
        try:
            own = None if kind is None else reach_of_node(graph, node, kind)
        except ModelError:
            own = None
        if own is None:
            return radius
        known[node] = (before + own.before * pixels, after + own.after * pixels, pixels * own.step)
    return 0
