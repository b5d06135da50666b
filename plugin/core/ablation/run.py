r"""What a prediction loses without a channel or a group of channels.

Without a group: its channels are replaced by their baseline (see :mod:`.baselines`), in the whole scene at
once. Groups whose way to the logits is linear throughout contribute the same whatever the others are; their
part of the logits is computed once, from their own weights. For all others the network runs again.

Shapley values share f(x) - f(x₀), x₀ all groups replaced, among the groups: exactly, by running the network
on every set of the groups that are not linear.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from ...ground.errors import ModelError, ParameterError
from ...ground.protocols import Patch, Progress, Sink, Source
from ...ground.vocabulary.words import QUANTITIES, check_word
from ...ground.window import Window
from ..layers.split_activations import Straight
from ..layers.split_forward import ChannelParts, SplitForward
from ..streaming.engine import check_cancelled, plan_work, tiles_with_patches
from ..streaming.out_of_memory import OutOfMemoryFallback
from ..streaming.pipeline import writing_behind
from ..streaming.run_time import Probe
from ..streaming.runner import Inputs, Runner
from ..streaming.tiling import Plan, Tile
from ..target.baselines import baseline_inputs
from ..target.channel_groups import ChannelGroup
from ..target.target import Seeding
from .effects import AblationResult, Answer, EffectSums
from .shapley import MOST_PLAYERS, shapley_values

LOGIT, MAP = "logit", "map"
# Accepted |Σ φ - (f(x) - f(x₀))| as a share of Σ|φ|, over all pixels, by precision.
EFFICIENCY = {"float64": 1e-9, "float32": 1e-6, "bfloat16": 3e-2}


class Ablator:
    """Groups taken out of a network one at a time, and in all sets.

    Parameters
    ----------
    runner : Runner
        The network.
    seeding : Seeding
        Which logit.
    groups : sequence of ChannelGroup
        Which channels belong together.
    quantity : {'map', 'logit'}
        What the bands hold.
    shapley : bool
        Whether Shapley values are computed.

    Raises
    ------
    ParameterError
        If the quantity is unknown, or there are too many groups for Shapley values.
    """

    def __init__(
        self,
        runner: Runner,
        seeding: Seeding,
        groups: Sequence[ChannelGroup],
        quantity: str = MAP,
        shapley: bool = True,
    ) -> None:
        check_word("QUANTITY", quantity, QUANTITIES)
        self.groups = tuple(groups)
        self.shapley = shapley
        self._runner, self._seeding, self._quantity = runner, seeding, quantity
        try:
            self._forward: SplitForward | None = SplitForward(runner.module, runner.dtype)
            straight = self._forward.straight_inputs()
        except ModelError:  # a layer that cannot be followed: the network is run for every group
            self._forward, straight = None, (False, False)
        number = len(runner.fine_channels)
        self.linear = tuple(
            all(straight[member >= number] for member in group.members) for group in self.groups
        )
        self.bent = tuple(i for i, linear in enumerate(self.linear) if not linear)
        if shapley and len(self.bent) > MOST_PLAYERS:
            raise ParameterError(
                f"Exact Shapley values of {len(self.bent)} groups would run the network {2 ** len(self.bent)} times; "
                f"{MOST_PLAYERS} groups are the most. Choose larger groups (GROUPS=sensor), or SHAPLEY=false."
            )

    def on(self, runner: Runner) -> Ablator:
        """Return the same for the network on another device."""
        return Ablator(runner, self._seeding, self.groups, self._quantity, self.shapley)

    @property
    def in_percent(self) -> bool:
        """Whether the map is in percent."""
        return self._seeding.head.kind != "linear" or self._seeding.head.unit == "%"

    @property
    def has_classes(self) -> bool:
        """Whether the map has classes that can change."""
        return self._seeding.head.kind != "linear"

    def seeds(self, logits: torch.Tensor) -> torch.Tensor:
        """Return how each logit counts, decided on the whole input: (1, output, row, column)."""
        return self._seeding.seeds(logits, torch.ones_like(logits[0, 0], dtype=torch.bool))

    def target(self, logits: torch.Tensor, seeds: torch.Tensor) -> torch.Tensor:
        """Return the target's logit (row, column), float64."""
        return (logits.double() * seeds).sum((0, 1))

    def mapped(self, logits: torch.Tensor, seeds: torch.Tensor) -> torch.Tensor:
        """Return what the map shows of the target (row, column), float64: % for probabilities."""
        head = slice(self._seeding.first, self._seeding.first + self._seeding.outputs)
        own, chosen = logits[:, head].double(), seeds[:, head]
        if self._seeding.head.kind == "sigmoid":
            own = 100 * torch.sigmoid(own)
        elif self._seeding.head.kind == "softmax":
            own = 100 * torch.softmax(own, 1)
        return (own * chosen).sum((0, 1))

    def classes(self, logits: torch.Tensor) -> torch.Tensor | None:
        """Return the class mapped (row, column); None for a linear head."""
        own = logits[0, self._seeding.first : self._seeding.first + self._seeding.outputs]
        if self._seeding.head.kind == "linear":
            return None
        return own.argmax(0) if len(own) > 1 else (own[0] > 0).long()

    def change(self, before: Answer, after: Answer) -> np.ndarray:
        """Return the bands' quantity before minus after (row, column)."""
        if self._quantity == LOGIT:
            return before.target - after.target
        return before.mapped - after.mapped

    def answer(self, logits: torch.Tensor, seeds: torch.Tensor) -> Answer:
        """Return what logits (1, output, row, column) say of the target."""
        classes = self.classes(logits)
        return Answer(
            self.target(logits, seeds).cpu().numpy(),
            self.mapped(logits, seeds).cpu().numpy(),
            None if classes is None else classes.cpu().numpy(),
        )

    def linear_parts(self, inputs: Inputs, baseline: Inputs) -> dict[int, torch.Tensor]:
        """Return what each linear group adds to the logits: (1, output, row, column) by its number."""
        wanted = [number for number, linear in enumerate(self.linear) if linear]
        if not wanted or self._forward is None:
            return {}
        rows = []
        for distance, first in self._distances(inputs, baseline):
            values = {}
            for number in wanted:
                mask = self._mask((number,), distance, first)
                if mask.any():
                    values[number] = (distance * mask).to(self._runner.dtype)
            rows.append(ChannelParts(values, distance.to(self._runner.dtype)))
        parts = self._forward.propagate(rows, Straight())
        return {number: parts.part(number).to(self._runner.input_dtype) for number in wanted}

    def replaced(self, inputs: Inputs, baseline: Inputs, numbers: Sequence[int]) -> Inputs:
        """Return the inputs with the groups `numbers` at their baseline."""
        fine = torch.where(self._mask(numbers, inputs.fine, 0), baseline.fine, inputs.fine)
        if inputs.coarse is None:
            return Inputs(fine, None)
        chosen = self._mask(numbers, inputs.coarse, inputs.fine.shape[1])
        return Inputs(fine, torch.where(chosen, baseline.coarse, inputs.coarse))

    def _distances(self, inputs: Inputs, baseline: Inputs) -> list[tuple[torch.Tensor, int]]:
        distances = [(inputs.fine - baseline.fine, 0)]
        if inputs.coarse is not None:
            distances.append((inputs.coarse - baseline.coarse, inputs.fine.shape[1]))
        return distances

    def _mask(self, numbers: Sequence[int], like: torch.Tensor, first: int) -> torch.Tensor:
        """Return which channels of an array belong to groups: (1, channel, 1, 1), bool."""
        members = {member for number in numbers for member in self.groups[number].members}
        mask = [first + channel in members for channel in range(like.shape[1])]
        return torch.tensor(mask, device=like.device).view(1, -1, 1, 1)


def plan_ablation(
    runner: Runner, source: Source, region: Window, ablator: Ablator, memory_mib: float
) -> Plan:
    """Choose tiles for :func:`run_ablation`.

    Raises
    ------
    ParameterError
        If the memory is too little, or the region does not lie inside the scene.
    """

    def work(inputs: Inputs) -> object:
        baseline = runner.constant(inputs)
        # Besides the network's own arrays a tile holds, in float64, a few bands for each group.
        held = [
            ablator.target(runner.logits(inputs), torch.ones(1)) for _ in range(4 + 3 * len(ablator.groups))
        ]
        return (
            held,
            ablator.linear_parts(inputs, baseline),
            runner.logits(ablator.replaced(inputs, baseline, (0,))),
        )

    return plan_work(runner, source, region, memory_mib, work, per_strip_pixel=len(ablator.groups))


def run_ablation(
    runner: Runner, source: Source, plan: Plan, ablator: Ablator, sink: Sink, progress: Progress
) -> AblationResult:
    """Take out every group, at every valid pixel of the plan's region.

    Parameters
    ----------
    runner, source, plan
        The network, the scene (or a :class:`.baselines.PairedSource`) and its tiles.
    ablator : Ablator
        What is taken out, and what the bands hold of it.
    sink : Sink
        Takes (group, row, column) strips of the region's width: the quantity with the group minus without
        it; NaN where not valid.
    progress : Progress
        Informed of every tile; warned where Shapley values do not add up.

    Raises
    ------
    NumericalError
        If a change is not finite.
    Cancelled
        Between two runs of the network after the user asked for it.
    """

    def ablator_on(device: Runner) -> tuple[Runner, Ablator]:
        return device, ablator if device is runner else ablator.on(device)

    def take_out(patch: Patch, ready: tuple[Runner, Ablator], piece: Tile) -> tuple[np.ndarray, EffectSums]:
        device, ablator = ready
        inputs = device.standardise(patch, piece.input)
        baseline = baseline_inputs(device, patch, inputs, piece.input)
        valid = patch.valid[piece.output.slices(patch.window)]
        return _ablated(device, ablator, inputs, baseline, piece, valid, progress)

    fallback = OutOfMemoryFallback(runner, plan, progress, ablator_on)
    sums = EffectSums(len(ablator.groups))
    strip = None
    probe = Probe(lambda tile, patch: fallback.whole(tile, partial(take_out, patch)))
    with writing_behind(sink) as behind:
        for tile, patch, last in tiles_with_patches(source, plan, progress, "Taking out", probe):
            if strip is None:
                window = Window(tile.output.row, plan.region.col, tile.output.rows, plan.region.cols)
                strip = np.full((len(ablator.groups), window.rows, window.cols), np.nan, runner.array_dtype)
            if patch.valid[tile.output.slices(patch.window)].any():
                for piece, (changes, taken) in fallback.pieces(tile, partial(take_out, patch)):
                    sums.merge(taken)
                    valid = patch.valid[piece.output.slices(patch.window)]
                    strip[(slice(None), *piece.output.slices(window))] = np.where(valid, changes, np.nan)
            if last:
                behind.write(strip)
                strip = None
    channels = [channel.name for channel in (*runner.fine_channels, *runner.coarse_channels)]
    members = [tuple(channels[i] for i in group.members) for group in ablator.groups]
    named = list(zip([group.name for group in ablator.groups], members, ablator.linear))
    named.append(("all", tuple(channels), all(ablator.linear)))
    result = sums.close(named, ablator.has_classes, ablator.in_percent, ablator.shapley)
    accepted = EFFICIENCY[runner.precision]
    if result.efficiency is not None and not result.efficiency <= accepted:
        progress.warn(
            f"Shapley values do not add up to what all groups change: {result.efficiency:.2g} of Σ|φ| is missing "
            f"(accepted: {accepted:g}). Use PRECISION=float32; if you do already, please report it."
        )
    return result


def _ablated(
    runner: Runner,
    ablator: Ablator,
    inputs: Inputs,
    baseline: Inputs,
    tile: Tile,
    valid: np.ndarray,
    progress: Progress,
) -> tuple[np.ndarray, EffectSums]:
    """Return the bands of a tile, and its statistics."""
    sums = EffectSums(len(ablator.groups))
    own = (slice(None), slice(None), *tile.output.slices(tile.input))
    everything = tuple(range(len(ablator.groups)))

    def without(numbers: Sequence[int]) -> torch.Tensor:
        check_cancelled(progress)
        sums.runs += 1
        return runner.logits(ablator.replaced(inputs, baseline, numbers))[own]

    with torch.no_grad():
        sums.tiles += 1
        sums.runs += 1
        whole = runner.logits(inputs)[own]
        seeds = ablator.seeds(whole)
        # The target by the groups taken out: Shapley values need some of the same again.
        before = ablator.answer(whole, seeds)
        known: dict[tuple[int, ...], np.ndarray] = {(): before.target}
        parts = {number: part[own] for number, part in ablator.linear_parts(inputs, baseline).items()}
        bands = []
        for number in everything:
            lost = whole - parts[number] if number in parts else without((number,))
            after = ablator.answer(lost, seeds)
            known[number,] = after.target
            bands.append(ablator.change(before, after))
            sums.add_change(number, before, after, valid, tile.output)
        nothing = ablator.answer(without(everything), seeds)
        known[everything] = nothing.target
        sums.add_change(len(everything), before, nothing, valid, tile.output)
        if ablator.shapley:

            def value(members: tuple[int, ...]) -> np.ndarray:
                gone = tuple(number for i, number in enumerate(ablator.bent) if i not in members)
                if gone in known:
                    return known[gone]
                return ablator.target(without(gone), seeds).cpu().numpy()

            shares = np.zeros((len(everything), *valid.shape))
            if ablator.bent:
                shares[list(ablator.bent)] = shapley_values(value, len(ablator.bent))
            for number, part in parts.items():
                shares[number] = ablator.target(part, seeds).cpu().numpy()
            sums.add_shares(shares, before.target - nothing.target, valid)
        sums.pixels += int(valid.sum())
    return np.stack(bands), sums
