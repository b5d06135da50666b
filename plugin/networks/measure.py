"""What a network really reads: its receptive field, its alignment and its size, measured.

Tiling relies on the receptive field and the alignment a card states, so they are not believed but
measured: the first by the gradient of one output pixel, the second by moving the network's window.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from ..ground.errors import ModelError
from .card import ModelCard
from .positive_copy import positive_copy
from .work_budget import CostPerPixel, OverBudget, WorkBudget

_LARGEST_FIELD = 2048
_TOLERANCE = 1e-9
# Networks that halve their grid do so up to four times, mostly.
_COMMON_STRIDE = 16
_LONGEST_PERIOD = 128
# Pixels across the strips on which a receptive field is measured, at least.
_NARROW = 64
_SIDES = ("up", "down", "left", "right", "cells")


@dataclass(frozen=True)
class ReceptiveField:
    """The fine pixels and coarse cells that one output pixel reads.

    Parameters
    ----------
    up, down, left, right : int
        Fine pixels beyond the output pixel, to each side.
    cells : int
        Coarse cells beyond the one the output pixel lies in, to the farthest side; 0 for its own only.
    """

    up: int
    down: int
    left: int
    right: int
    cells: int

    @property
    def radius(self) -> int:
        """The largest of the four sides: the margin a tile needs."""
        return max(self.up, self.down, self.left, self.right)


@dataclass(frozen=True)
class Measurement:
    """What was measured of a network.

    Parameters
    ----------
    field : ReceptiveField or None
        What an output pixel reads; None where not measured.
    alignment : int or None
        The smallest step by which a window may move without changing what is inside; None where not measured.
    parameters : int
        Its weights, batch-norm statistics included.
    trainable : int
        Its weights without them.
    unmeasured : tuple of str
        Sentences: what was not measured, and why.
    """

    field: ReceptiveField | None
    alignment: int | None
    parameters: int
    trainable: int
    unmeasured: tuple[str, ...] = ()

    def mismatches(self, card: ModelCard) -> tuple[str, ...]:
        """Return a sentence for each number of the card that is smaller than the network needs."""
        sentences = []
        if self.field is not None and card.receptive_field_radius < self.field.radius:
            sentences.append(
                f"The card of '{card.id}' says a receptive-field radius of {card.receptive_field_radius} pixels; "
                f"measured are {self.field.radius}. Correct it: tiles would show seams."
            )
        if self.alignment is not None and card.alignment % self.alignment:
            sentences.append(
                f"The card of '{card.id}' says an alignment of {card.alignment} pixels; measured are "
                f"{self.alignment}. Correct it: tiles would not join."
            )
        return tuple(sentences)


def measure(card: ModelCard, module: nn.Module) -> Measurement:
    """Return what the network of a card measures, within the limits of :mod:`.work_budget`.

    Raises
    ------
    ModelError
        If it cannot be run in tiles.
    """
    if card.whole_image:
        whole = "The network's output depends on the whole image: a scene is run at once, not in tiles."
        return Measurement(None, None, *parameter_counts(module), (whole,))
    field, unmeasured = receptive_field_and_rest(module, card)
    step = None
    try:
        step = alignment(module, card, field)
    except OverBudget as over:
        unmeasured = (*unmeasured, f"The alignment was not measured: {over}.")
    return Measurement(field, step, *parameter_counts(module), unmeasured)


def parameter_counts(module: nn.Module) -> tuple[int, int]:
    """Return the number of weights with and without the batch-norm statistics."""
    trainable = sum(parameter.numel() for parameter in module.parameters())
    statistics = sum(
        b.numel() for name, b in module.named_buffers() if not name.endswith("num_batches_tracked")
    )
    return trainable + statistics, trainable


def receptive_field(module: nn.Module, card: ModelCard) -> ReceptiveField:
    """Return what an output pixel reads, as far as it can be measured.

    Raises
    ------
    ModelError
        If an output pixel reads farther than 1024 pixels, or nothing can be measured.
    """
    field, unmeasured = receptive_field_and_rest(module, card)
    if field is None:
        raise ModelError(" ".join(unmeasured))
    return field


def receptive_field_and_rest(
    module: nn.Module, card: ModelCard
) -> tuple[ReceptiveField | None, tuple[str, ...]]:
    """Return what an output pixel reads, measured by gradients in float64, and sentences on what was not measured.

    The gradient is that of a copy whose weights are all positive, as are its inputs: no ReLU is shut
    and no path cancels another, so it shows every pixel the network can read, whatever its weights.

    Raises
    ------
    ModelError
        If an output pixel reads farther than 1024 pixels.
    """
    open_copy = positive_copy(module)
    fields, reasons = [], []
    try:
        budget = _budget(open_copy, card)
    except OverBudget as over:
        return None, (f"The receptive field was not measured: {over}.",)
    periods = _periods(card)
    if budget.whole_periods and periods[0] > _NARROW:  # it takes no images of the common stride
        periods = periods[:1]
    for period in periods:
        field, reason = _field(open_copy, card, period, budget)
        fields += [field] if field else []
        reasons += [reason] if reason else []
    if not fields:
        return None, (f"The receptive field was not measured: {reasons[0]}.",)
    unmeasured = (
        f"The receptive field was not measured at every place of a cell or period: {reasons[0]}."
        if reasons
        else ""
    )
    return ReceptiveField(*(max(getattr(f, side) for f in fields) for side in _SIDES)), (unmeasured,)[
        : len(reasons)
    ]


def _budget(network: nn.Module, card: ModelCard) -> WorkBudget:
    """Return a budget for a network, from what a small image costs.

    Raises
    ------
    OverBudget
        If even that is too large.
    """
    period = _periods(card)[0]
    budget = WorkBudget(card.ratio, len(card.coarse_channels))
    for budget.whole_periods in (period <= _NARROW, True):
        side = _side(_NARROW, period, budget)
        budget.spend(side, side)
        fine, coarse = _inputs(card, side, torch.ones)
        try:
            budget.cost = CostPerPixel.of(partial(network, fine, coarse), side * side)
        except RuntimeError:
            if budget.whole_periods:
                raise
            continue
        return budget
    return budget


def _side(least: int, period: int, budget: WorkBudget) -> int:
    """Return a side of an image: whole periods where these are short or must be, else whole strides."""
    period = period if budget.whole_periods or period <= _NARROW else _COMMON_STRIDE
    return -(-least // period) * period


def _field(
    open_copy: nn.Module, card: ModelCard, period: int, budget: WorkBudget
) -> tuple[ReceptiveField | None, str]:
    """Return what output pixels at a few places of a period read, on strips along either axis, and what hindered.

    A strip as long as the field and no wider than needed takes a small share of a square's memory and time.
    """
    half = card.receptive_field_radius + 1
    reason = ""
    while 2 * half <= _LARGEST_FIELD:
        reach, cells, clipped, measured = [0, 0, 0, 0], 0, False, False
        # What a pixel reads depends on its place in the period: the first, middle and last one are tried, and where
        # one was too much the one closest to the begin of its image.
        places = sorted({0, period // 2, period - 1})
        for place in (*places, *({half % period} - set(places))):
            if place not in places and not reason:
                continue
            try:
                strips = [_strip(open_copy, card, place, period, half, axis, budget) for axis in (0, 1)]
            except OverBudget as over:
                reason = reason or str(over)
                continue
            measured = True
            for axis, (before, after, own, cut) in enumerate(strips):
                reach[2 * axis] = max(reach[2 * axis], before)
                reach[2 * axis + 1] = max(reach[2 * axis + 1], after)
                cells, clipped = max(cells, own), clipped or cut
        if not measured or (clipped and 4 * half > _LARGEST_FIELD and reason):
            return None, reason
        if not clipped:
            return ReceptiveField(reach[0], reach[1], reach[2], reach[3], cells), reason
        half *= 2
    raise ModelError(
        f"The network of '{card.id}' reads farther than {_LARGEST_FIELD // 2} pixels around an output pixel. "
        "Networks that look at a whole scene cannot be run in tiles."
    )


def _strip(
    open_copy: nn.Module, card: ModelCard, place: int, period: int, half: int, axis: int, budget: WorkBudget
) -> tuple[int, int, int, bool]:
    """Return how far a pixel reads before and behind it along an axis, cells beyond its own, and whether it is cut off.

    The strip begins and ends `half` pixels or more beside the pixel. It holds whole periods where there is room.

    Raises
    ------
    OverBudget
        If the strip is too large, or no work is left.
    """
    along = place + max(0, -(-(half - place) // period)) * period
    length = _side(along + half + 1, period, budget)
    for least in (_NARROW, _NARROW // 2):
        wide = _side(least, period, budget)
        try:
            budget.spend(length, wide, back=True)
        except OverBudget:
            if least != _NARROW:
                raise
            continue
        break
    pixel, sides = (along, wide // 2), (length, wide)
    if axis == 1:
        pixel, sides = (pixel[1], pixel[0]), (sides[1], sides[0])
    (first, last), own = _read_by(open_copy, card, pixel, sides, axis)
    return along - first, last - along, own, first == 0 or last == length - 1


def _read_by(
    open_copy: nn.Module, card: ModelCard, pixel: tuple[int, int], sides: tuple[int, int], axis: int
) -> tuple[tuple[int, int], int]:
    """Return the first and last pixel read along an axis (0: rows), and how many cells beyond the pixel's own."""
    fine, coarse = _inputs(card, sides[0], torch.ones, sides[1])
    fine.requires_grad_(True)
    if coarse is not None:
        coarse.requires_grad_(True)
    open_copy(fine, coarse)[:, :, pixel[0], pixel[1]].sum().backward()
    others = tuple(other for other in range(4) if other != 2 + axis)
    seen = fine.grad.abs().amax(dim=others).nonzero().flatten()
    span = (int(seen[0]), int(seen[-1])) if len(seen) else (pixel[axis], pixel[axis])
    cells = 0
    if coarse is not None and coarse.grad is not None:
        read = coarse.grad.abs().amax(dim=others).nonzero().flatten()
        if len(read):
            own = pixel[axis] // card.ratio
            cells = max(0, own - int(read[0]), int(read[-1]) - own)
    return span, cells


def alignment(
    module: nn.Module, card: ModelCard, field: ReceptiveField | None, largest: int = _LONGEST_PERIOD
) -> int:
    """Return the smallest step by which a window may move without changing what is inside.

    For each step the network is run on an image and on a window of it that begins `step` columns
    later; where no border is in reach, the two must agree. Coarse cells move by whole cells only. Steps that
    work can be added and subtracted, so if the card's works the smallest is one of its divisors.

    Raises
    ------
    ModelError
        If no step up to `largest` pixels works.
    OverBudget
        If the images are too large, or the budget ends before a step is found.
    """
    network = copy.deepcopy(module).to("cpu", torch.float64).eval().requires_grad_(False)
    budget = _budget(network, card)
    try:
        trial = _Moves(network, card, field, card.alignment, budget)
        if trial.moves(card.alignment):
            return next(
                step
                for step in range(1, card.alignment + 1)
                if not card.alignment % step and trial.moves(step)
            )
    except OverBudget:
        if card.coarse_channels:  # smaller steps cut through cells
            raise
    trial = _Moves(network, card, field, largest, budget)
    for step in range(1, largest + 1):
        if trial.moves(step):
            return step
    raise ModelError(
        f"The network of '{card.id}' gives other values when its window moves by up to {largest} pixels. "
        "It cannot be run in tiles."
    )


def _smallest(step: int, trial: _Moves) -> int:
    """Return the smallest step that works, given one: it divides all that do, so primes are left out one by one."""
    prime = 2
    while prime <= step:
        while step % prime == 0 and trial.moves(step // prime):
            step //= prime
        prime += 1
        while step % prime and prime <= step:
            prime += 1
    return step


class _Moves:
    """Tells whether a window may move by a step.

    Parameters
    ----------
    network, card, field
        The network, and what it reads; what its card says where that was not measured.
    largest : int
        The largest step.
    budget : WorkBudget
        What may be spent.

    Raises
    ------
    OverBudget
        If the image is too large, or no work is left.
    """

    def __init__(
        self,
        network: nn.Module,
        card: ModelCard,
        field: ReceptiveField | None,
        largest: int,
        budget: WorkBudget,
    ) -> None:
        self._network, self._card, self._budget = network, card, budget
        # Bilinear neighbours reach whole cells; the border of the window must be out of their reach, too.
        margin = card.receptive_field_radius if field is None else field.radius + field.cells * card.ratio
        period = _periods(card)[0]
        self._rows = _side(32, period, budget)
        # Between the margins lies a whole period at least, so that the begin of a cell is seen.
        self._width = -(-(2 * margin + max(64, period + 1)) // period) * period
        self._inside = slice(margin, self._width - margin)
        generator = torch.Generator().manual_seed(0)

        def random(*shape: int, dtype: torch.dtype) -> torch.Tensor:
            return torch.randn(*shape, dtype=dtype, generator=generator)

        cols = self._width + -(-largest // period) * period
        budget.spend(self._rows, cols)
        self._fine, self._coarse = _inputs(card, self._rows, random, cols)
        self._whole = network(self._fine, self._coarse)
        self._scale = float(self._whole.abs().max())

    def moves(self, step: int) -> bool:
        """Return whether a window that begins `step` columns later shows the same."""
        self._budget.spend(self._rows, self._width)
        first, part = step // self._card.ratio, None
        if self._coarse is not None:
            part = self._coarse[:, :, :, first : first + -(-self._width // self._card.ratio)]
        moved = self._network(self._fine[:, :, :, step : step + self._width], part)
        difference = (self._whole[:, :, :, step : step + self._width] - moved)[:, :, :, self._inside]
        return float(difference.abs().max()) <= _TOLERANCE * self._scale


def _periods(card: ModelCard) -> tuple[int, ...]:
    """Return steps at which a network of this card repeats itself: test images hold whole ones.

    One that holds both the card's alignment and the stride of most networks, where it is no longer than
    :data:`_LONGEST_PERIOD`; else each of the two: images of their common multiple would fill the memory.
    """
    if card.coarse_channels:
        return (card.alignment if card.alignment <= _LONGEST_PERIOD else card.ratio,)
    both = math.lcm(card.alignment, _COMMON_STRIDE)
    if both <= _LONGEST_PERIOD:
        return (both,)
    return (card.alignment, _COMMON_STRIDE) if card.alignment <= _LONGEST_PERIOD else (_COMMON_STRIDE,)


def _inputs(card: ModelCard, rows: int, values, cols: int = 0) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return inputs of `rows` x `cols` pixels (square by default) made by `values(*shape, dtype=)`."""
    cols = cols or rows
    fine = values(1, len(card.fine_channels), rows, cols, dtype=torch.float64)
    if not card.coarse_channels:
        return fine, None
    shape = (-(-rows // card.ratio), -(-cols // card.ratio))
    return fine, values(1, len(card.coarse_channels), *shape, dtype=torch.float64)
