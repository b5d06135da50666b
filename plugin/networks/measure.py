"""What a network really reads: its receptive field, its alignment and its size, measured.

Tiling relies on the receptive field and the alignment a card states, so they are not believed but
measured: the first by the gradient of one output pixel, the second by moving the network's window.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import nn

from ..ground.errors import ModelError
from .card import ModelCard

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
    field : ReceptiveField
        What an output pixel reads.
    alignment : int
        The smallest step by which a window may move without changing what is inside.
    parameters : int
        Its weights, batch-norm statistics included.
    trainable : int
        Its weights without them.
    """

    field: ReceptiveField
    alignment: int
    parameters: int
    trainable: int

    def mismatches(self, card: ModelCard) -> tuple[str, ...]:
        """Return a sentence for each number of the card that is smaller than the network needs."""
        sentences = []
        if card.receptive_field_radius < self.field.radius:
            sentences.append(
                f"The card of '{card.id}' says a receptive-field radius of {card.receptive_field_radius} pixels; "
                f"measured are {self.field.radius}. Correct it: tiles would show seams."
            )
        if card.alignment % self.alignment:
            sentences.append(
                f"The card of '{card.id}' says an alignment of {card.alignment} pixels; measured are "
                f"{self.alignment}. Correct it: tiles would not join."
            )
        return tuple(sentences)


def measure(card: ModelCard, module: nn.Module) -> Measurement:
    """Return what the network of a card measures; takes about a second."""
    field = receptive_field(module, card)
    return Measurement(field, alignment(module, card, field), *parameter_counts(module))


def parameter_counts(module: nn.Module) -> tuple[int, int]:
    """Return the number of weights with and without the batch-norm statistics."""
    trainable = sum(parameter.numel() for parameter in module.parameters())
    statistics = sum(
        b.numel() for name, b in module.named_buffers() if not name.endswith("num_batches_tracked")
    )
    return trainable + statistics, trainable


def receptive_field(module: nn.Module, card: ModelCard) -> ReceptiveField:
    """Return what an output pixel reads, measured by gradients in float64.

    The gradient is that of a copy whose weights are all positive, as are its inputs: no ReLU is shut
    and no path cancels another, so it shows every pixel the network can read, whatever its weights.

    Raises
    ------
    ModelError
        If an output pixel reads farther than 1024 pixels.
    """
    open_copy = _with_positive_weights(module)
    fields = [_field(open_copy, card, period) for period in _periods(card)]
    return ReceptiveField(*(max(getattr(f, side) for f in fields) for side in _SIDES))


def _field(open_copy: nn.Module, card: ModelCard, period: int) -> ReceptiveField:
    """Return what output pixels at a few places of a period read, on strips along either axis.

    A strip as long as the field and no wider than needed takes a small share of a square's memory and time.
    """
    size = 2 * (card.receptive_field_radius + 1)
    while size <= _LARGEST_FIELD:
        middle = -(-size // 2 // period) * period
        across = -(-_NARROW // 2 // period) * period
        reach, cells, clipped = [0, 0, 0, 0], 0, False
        # What a pixel reads depends on its place in the period: the first, middle and last one are tried.
        for place in sorted({0, period // 2, period - 1}):
            for axis in (0, 1):
                pixel, sides = (middle + place, across + place), (2 * middle + period, 2 * across + period)
                if axis == 1:
                    pixel, sides = (pixel[1], pixel[0]), (sides[1], sides[0])
                seen, own = _read_by(open_copy, card, pixel, sides, axis)
                first, last = seen
                reach[2 * axis] = max(reach[2 * axis], pixel[axis] - first)
                reach[2 * axis + 1] = max(reach[2 * axis + 1], last - pixel[axis])
                clipped = clipped or first == 0 or last == sides[axis] - 1
                cells = max(cells, own)
        if not clipped:
            return ReceptiveField(reach[0], reach[1], reach[2], reach[3], cells)
        size *= 2
    raise ModelError(
        f"The network of '{card.id}' reads farther than {_LARGEST_FIELD // 2} pixels around an output pixel. "
        "Networks that look at a whole scene cannot be run in tiles."
    )


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


def alignment(module: nn.Module, card: ModelCard, field: ReceptiveField, largest: int = 128) -> int:
    """Return the smallest step by which a window may move without changing what is inside.

    For each step the network is run on an image and on a window of it that begins `step` columns
    later; where no border is in reach, the two must agree. Coarse cells move by whole cells only. Steps that
    work can be added and subtracted, so if the card's works the smallest is one of its divisors.

    Raises
    ------
    ModelError
        If no step up to `largest` pixels works.
    """
    network = copy.deepcopy(module).to("cpu", torch.float64).eval().requires_grad_(False)
    # Bilinear neighbours reach whole cells; the border of the window must be out of their reach, too.
    margin = field.radius + field.cells * card.ratio
    period = _periods(card)[0]
    rows = -(-32 // period) * period
    width = -(-(2 * margin + 64) // period) * period
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int, dtype: torch.dtype) -> torch.Tensor:
        return torch.randn(*shape, dtype=dtype, generator=generator)

    fine, coarse = _inputs(card, rows, random, width + -(-largest // period) * period)
    whole = network(fine, coarse)
    scale = float(whole.abs().max())
    inside = slice(margin, width - margin)

    def moves(step: int) -> bool:
        first = step // card.ratio
        part = None if coarse is None else coarse[:, :, :, first : first + -(-width // card.ratio)]
        moved = network(fine[:, :, :, step : step + width], part)
        difference = (whole[:, :, :, step : step + width] - moved)[:, :, :, inside]
        return float(difference.abs().max()) <= _TOLERANCE * scale

    if card.alignment <= largest and moves(card.alignment):
        return next(
            step for step in range(1, card.alignment + 1) if not card.alignment % step and moves(step)
        )
    for step in range(1, largest + 1):
        if moves(step):
            return step
    raise ModelError(
        f"The network of '{card.id}' gives other values when its window moves by up to {largest} pixels. "
        "It cannot be run in tiles."
    )


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


def _with_positive_weights(module: nn.Module) -> nn.Module:
    """Return a float64 copy in which every path from input to output has a positive weight."""
    network = copy.deepcopy(module).to("cpu", torch.float64).eval().requires_grad_(False)
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            # Means instead of sums: values neither overflow nor vanish in a deep network.
            layer.weight.fill_(layer.weight.shape[0] / layer.weight.numel())
            if layer.bias is not None:
                layer.bias.fill_(1.0)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            if layer.affine:
                layer.weight.fill_(1.0)
                layer.bias.fill_(1.0)
    return network
