"""What a network maps on a place, with all it reads and with the channels of one sensor at their mean."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from ...ground.errors import ParameterError
from ...ground.protocols import Progress, Source
from ..streaming.engine import tiles_with_work
from ..streaming.runner import Inputs, Runner
from ..streaming.tiling import Plan
from ..target.channel_groups import ChannelGroup
from ..target.probabilities import class_probabilities
from ..target.target import Seeding


@dataclass(frozen=True)
class Answers:
    """What a network answers on a place, on average over its pixels.

    Parameters
    ----------
    probabilities : numpy.ndarray
        (class,), float64: of a softmax the mean probability of each class, of a sigmoid that of its one class, of a
        linear head the mean value.
    """

    probabilities: np.ndarray


@dataclass(frozen=True)
class Mapped:
    """What a network maps on a place.

    Parameters
    ----------
    pixels : int
        How many pixels of the place are valid.
    answers : Answers
        With all channels.
    without : mapping
        Name of a group → the same with the channels of the group at their mean.
    """

    pixels: int
    answers: Answers
    without: dict[str, Answers]


def map_place(
    runner: Runner,
    source: Source,
    plan: Plan,
    seeding: Seeding,
    groups: Sequence[ChannelGroup],
    progress: Progress,
) -> Mapped:
    """Map the pixels of a place.

    Parameters
    ----------
    runner, source, plan
        The network, the scene, and tiles that hold the place.
    seeding : Seeding
        Its head, and its region as the pixels of the place.
    groups : sequence of ChannelGroup
        Which channels are taken out together: set to their mean, as a baseline of zero is in `ablation`.
    progress : Progress
        Asked whether to go on, between tiles.

    Raises
    ------
    ParameterError
        No pixel of the place is valid.
    Cancelled
        The user asked for it.
    """
    sums = {name: _Sums(seeding.outputs) for name in ("", *(group.name for group in groups))}
    with closing(tiles_with_work(source, plan, progress, "Mapping", lambda *_: None)) as tiles:
        for tile, patch, _, _ in tiles:
            mask = seeding.mask(tile.output, patch.valid[tile.output.slices(patch.window)])
            if not mask.any():
                continue
            inputs = runner.standardise(patch, tile.input)
            of_head = slice(seeding.first, seeding.first + seeding.outputs)
            variants = {"": inputs, **{group.name: without(inputs, group) for group in groups}}
            for name, variant in variants.items():
                logits = runner.array(runner.logits(variant)[0, of_head])
                here = logits[(slice(None), *tile.output.slices(tile.input))].astype(np.float64)
                sums[name].add(class_probabilities(here, seeding.head)[:, mask])
    if not sums[""].pixels:
        raise ParameterError(
            "No pixel of this place is valid: it lies on land, outside of the scene, or a channel is missing there. "
            "Choose another place."
        )
    answers = {name: held.answers() for name, held in sums.items()}
    return Mapped(sums[""].pixels, answers.pop(""), answers)


def without(inputs: Inputs, group: ChannelGroup) -> Inputs:
    """Return inputs with the channels of a group at their mean, which is 0 in standardised units."""
    number = inputs.fine.shape[1]
    fine, coarse = inputs.fine.clone(), None if inputs.coarse is None else inputs.coarse.clone()
    for member in group.members:
        if member < number:
            fine[:, member] = 0.0
        elif coarse is not None:
            coarse[:, member - number] = 0.0
    return Inputs(fine, coarse, inputs.edges)


class _Sums:
    """Sums over the pixels of a place."""

    def __init__(self, outputs: int) -> None:
        self.pixels = 0
        self._probabilities = np.zeros(outputs)

    def add(self, probabilities: np.ndarray) -> None:
        """Add pixels: (class, pixel)."""
        self.pixels += probabilities.shape[1]
        self._probabilities += probabilities.sum(1)

    def answers(self) -> Answers:
        """Return the means."""
        return Answers(self._probabilities / self.pixels)
