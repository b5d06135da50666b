"""Splitting of logits over groups of channels: with frozen gates, or along the path from a baseline.

:mod:`.run` defines both. Along the path only the groups with an activation between them and the
output need steps. A channel that reaches the output in a linear way contributes its weights times its
distance from the baseline, whatever the path. One more group needs no steps: over every step the secants
make the groups add up exactly, so the last group is what the others leave of the difference of the logits.
:mod:`.completeness` checks on a few windows that it would be the same computed on its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from ...ground.errors import ParameterError
from ...ground.vocabulary.settings import CONTRIBUTION_STEPS
from ...ground.vocabulary.words import CONTRIBUTION_GROUPS, CONTRIBUTION_METHODS, check_word
from ..layers.split_activations import Frozen, Step, Straight
from ..layers.split_forward import ChannelParts, SplitForward
from ..streaming.runner import Inputs, Runner
from ..target.channel_groups import SCALE, channel_groups
from ..target.target import Seeding

GATED, INTEGRATED = "gated", "integrated"


@dataclass(frozen=True)
class Splitting:
    """How logits are split.

    Parameters
    ----------
    method : str
        A word of :data:`~floelens.plugin.ground.vocabulary.words.CONTRIBUTION_METHODS`.
    groups : str
        A word of :data:`~floelens.plugin.ground.vocabulary.words.CONTRIBUTION_GROUPS`.
    baseline : tuple of float
        x₀: one standardised value per channel, the fine ones first; empty: 0 for all, each channel's mean.
    steps : int
        Steps of ``integrated`` to begin with.
    settled : float
        Steps are doubled until no band moves by more than this share of |bias| + Σ|bands|.
    most_steps : int
        Where the doubling ends.

    Raises
    ------
    ParameterError
        If a value makes no sense.
    """

    method: str = next(iter(CONTRIBUTION_METHODS))
    groups: str = next(iter(CONTRIBUTION_GROUPS))
    baseline: tuple[float, ...] = ()
    steps: int = CONTRIBUTION_STEPS.default
    settled: float = 0.01
    most_steps: int = CONTRIBUTION_STEPS.most

    def __post_init__(self) -> None:
        check_word("METHOD", self.method, CONTRIBUTION_METHODS)
        check_word("GROUPS", self.groups, CONTRIBUTION_GROUPS)
        if self.steps < 1:
            raise ParameterError(f"The path takes at least 1 step, not {self.steps}. Change STEPS.")
        if self.baseline and self.groups == SCALE:
            raise ParameterError(
                "GROUPS=scale splits at the last layer and has no baseline of channels. "
                "Choose other GROUPS, or leave BASELINE empty."
            )


class ChannelSplitter:
    """What splitting by channels has in common: parts of the inputs, and the seeded sum of the output's."""

    takes_large_tiles, tiles_ahead, takes_steps = False, 0, False

    def __init__(self, runner: Runner, splitting: Splitting, check: Callable[[], None]) -> None:
        self.groups = channel_groups(runner.card, splitting.groups)
        self.splitting = splitting
        self.runner = runner
        self._check = check
        self._forward = SplitForward(runner.module, runner.dtype)

    def split(self, inputs: Inputs, seeding: Seeding) -> torch.Tensor:
        """Return (groups, then bias, then logit; row, column) of a target."""
        with torch.no_grad():
            logits = self.runner.logits(inputs)
            seeds = seeding.seeds(logits, torch.ones_like(logits[0, 0], dtype=torch.bool))
            outputs = seeding.logits
            seeds, logits = seeds[0, list(outputs)], logits[0, list(outputs)]
            bands = logits.new_zeros((len(self.groups) + 2, *logits.shape[1:]))
            bands[-1] = (logits * seeds).sum(0)
            for band, row in self._carried(inputs, outputs):
                for part, seed in zip(row[0].to(seeds.dtype), seeds):
                    bands[band].addcmul_(part, seed)
            self._complete(bands)
        return bands

    def split_outputs(self, inputs: Inputs) -> torch.Tensor:
        """Return (groups, then bias, then logit; output, row, column) of every output of the network."""
        with torch.no_grad():
            logits = self.runner.logits(inputs)
            bands = logits.new_zeros((len(self.groups) + 2, *logits.shape[1:]))
            bands[-1] = logits[0]
            for band, row in self._carried(inputs):
                bands[band] += row[0].to(logits.dtype)
            self._complete(bands)
        return bands

    def _carried(
        self, inputs: Inputs, outputs: Sequence[int] | None = None
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield bands, and what is to be added to them (1, output, row, column): of some outputs, or of all."""
        raise NotImplementedError

    def _complete(self, bands: torch.Tensor) -> None:
        """Fill in place what follows from the other bands; nothing here."""

    def _parts(
        self,
        inputs: Inputs,
        origin: Inputs,
        base: Sequence[Inputs],
        wanted: Callable[[int, int], bool] = lambda _number, _group: True,
    ) -> list[ChannelParts]:
        """Return the rows of fine and coarse inputs: `base`, and the groups' distances from the baseline.

        A group's part of the fine (number 0) or coarse (1) input is a row where ``wanted(number, group)``.
        """
        parts, first = [], 0
        pairs = ((inputs.fine, origin.fine), (inputs.coarse, origin.coarse))
        for number, (own, start) in enumerate(pairs):
            if own is None:
                continue
            distance = own - start
            points = [(point.fine, point.coarse)[number] for point in base]
            rows = {row - len(base): point for row, point in enumerate(points) if point is not None}
            for group, members in enumerate(self._members(first, distance.shape[1])):
                if members and wanted(number, group):
                    rows[group] = torch.zeros_like(distance)
                    rows[group][:, members] = distance[:, members]
            dtype = self.runner.dtype
            parts.append(
                ChannelParts({name: row.to(dtype) for name, row in rows.items()}, distance.to(dtype))
            )
            first += distance.shape[1]
        return parts

    def _members(self, first: int, number: int) -> list[list[int]]:
        """Return for each group its channels among `number` channels from `first` on, counted from there."""
        return [[c - first for c in group.members if first <= c < first + number] for group in self.groups]


class GatedSplitter(ChannelSplitter):
    """Splits with the gates frozen: by the network's own pass in parts where it has one."""

    def __init__(self, runner: Runner, splitting: Splitting, check: Callable[[], None]) -> None:
        super().__init__(runner, splitting, check)
        self._own_rows = runner.fast.gated
        if self._own_rows is not None:
            self.takes_large_tiles, self.tiles_ahead = runner.takes_large_tiles, runner.tiles_ahead

    def _carried(
        self, inputs: Inputs, outputs: Sequence[int] | None = None
    ) -> Iterator[tuple[int, torch.Tensor]]:
        origin = self.runner.constant(inputs, self.splitting.baseline)
        if self._own_rows is not None:
            groups = [group.members for group in self.groups]
            coarse = None if inputs.coarse is None else inputs.coarse - origin.coarse
            distance = (inputs.fine - origin.fine, coarse)
            parts = self._own_rows(distance, (origin.fine, origin.coarse), groups, inputs.edges, outputs)
            for name, row in parts:
                yield (name if name >= 0 else -2), row
            return
        rows = self._forward.propagate(self._parts(inputs, origin, [origin]), Frozen())
        for name, row in rows.values.items():
            yield (name if name >= 0 else -2), _some(row, outputs)


def _some(row: torch.Tensor, outputs: Sequence[int] | None) -> torch.Tensor:
    if outputs is None:
        return row
    first, last = min(outputs), max(outputs)
    if tuple(outputs) == tuple(range(first, last + 1)):
        return row[:, first : last + 1]  # a view: a copy of a head's outputs took a tenth of the time
    return row[:, list(outputs)]


class PathSplitter(ChannelSplitter):
    """Splits along the straight path from the baseline.

    Parameters
    ----------
    runner, splitting, check
        As of every splitter.
    rest : bool
        Whether the last group that is not linear is what the others leave, which saves its passes; else every
        group is computed on its own, and what is missing shows.

    Attributes
    ----------
    bent : tuple of int
        The groups with an activation between some of their channels and the output. With more than one of them
        the path takes steps; else the split is exact without.
    """

    def __init__(
        self, runner: Runner, splitting: Splitting, check: Callable[[], None], rest: bool = True
    ) -> None:
        super().__init__(runner, splitting, check)
        self._rest = rest
        self._straight = self._forward.straight_inputs()
        number = len(runner.fine_channels)
        self.bent = tuple(
            index
            for index, group in enumerate(self.groups)
            if not all(self._straight[member >= number] for member in group.members)
        )
        self.takes_steps = len(self.bent) > 1
        self.takes_large_tiles = not self.takes_steps and runner.takes_large_tiles
        # Logits of the baseline: the same for every tile of one size that touches the same edges of the scene.
        self._at_origin: tuple[object, torch.Tensor | None] = (None, None)

    def _carried(
        self, inputs: Inputs, outputs: Sequence[int] | None = None
    ) -> Iterator[tuple[int, torch.Tensor]]:
        origin = self.runner.constant(inputs, self.splitting.baseline)
        yield -2, _some(self._logits_of(origin), outputs)
        self._check()
        # A part that reaches the output in a linear way is the same at every point of the path.
        linear = self._parts(inputs, origin, [], lambda number, _group: self._straight[number])
        if any(part.values for part in linear):
            for name, row in self._forward.propagate(linear, Straight()).values.items():
                yield name, _some(row, outputs)
        carried = self.bent[:-1] if self._rest else self.bent
        if not carried:
            return
        steps = self.splitting.steps
        ends = [origin, *(inputs.towards(origin, step / steps) for step in range(1, steps)), inputs]
        for ends_of_step in zip(ends, ends[1:]):
            self._check()
            parts = self._parts(
                inputs,
                origin,
                ends_of_step,
                lambda number, group: group in carried and not self._straight[number],
            )
            rows = self._forward.propagate(parts, Step())
            for name, row in rows.values.items():
                if name >= 0:
                    yield name, _some(row, outputs) / steps

    def _logits_of(self, origin: Inputs) -> torch.Tensor:
        key = origin.fine.shape, origin.edges
        kept, logits = self._at_origin
        if kept != key:
            logits = self.runner.logits(origin)
            self._at_origin = key, logits
        return logits

    def _complete(self, bands: torch.Tensor) -> None:
        """Add to the last of the bent groups what all bands leave of the logit, where it is not computed on its own."""
        if self.bent and self._rest:
            bands[self.bent[-1]] += bands[-1] - bands[:-1].sum(0)


# What splits by each word of CONTRIBUTION_METHODS.
SPLITTERS: Mapping[str, type[ChannelSplitter]] = {INTEGRATED: PathSplitter, GATED: GatedSplitter}
