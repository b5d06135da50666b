"""Layers that are linear without a bias: every input gets the share it contributed, by any method.

Average pools, upsampling, concatenation, sums, padding and dropout hand multipliers back by their
transpose.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from ...ground.errors import ModelError
from ...networks.layers import NearestUpsample, SamePool2d
from .conservation import PADDING, Note, total

# pull(multipliers of the output, note): multipliers of the inputs, None for those that carry no value.
Pull = Callable[[torch.Tensor, Note], tuple]
Step = tuple[torch.Tensor, Pull]


def in_proportion(layer: Callable, values: torch.Tensor, *others: torch.Tensor) -> Step:
    """Hand on relevance through a layer that is linear in its first input: by its transpose."""
    with torch.enable_grad():
        tracked = values.detach().requires_grad_()
        output = layer(tracked, *others)

    def pull(multipliers: torch.Tensor, note: Note) -> tuple:
        handed = torch.autograd.grad(output, tracked, multipliers, retain_graph=True)[0]
        return (handed, *(None for _ in others))

    return output.detach(), pull


def pooled(layer: SamePool2d, values: torch.Tensor) -> Step:
    """Average-pool by two one-dimensional sums per channel; the transpose is the mirrored sum."""
    rows, cols = values.shape[-2:]
    shares = 1 / (layer.counts(rows, values)[:, None] * layer.counts(cols, values))
    output = _box_sums(values, layer.size, layer.before, layer.after).mul_(shares)

    def pull(multipliers: torch.Tensor, note: Note) -> tuple:
        return (_box_sums(multipliers * shares, layer.size, layer.after, layer.before),)

    return output, pull


def _box_sums(values: torch.Tensor, size: int, before: int, after: int) -> torch.Tensor:
    channels = values.shape[1]
    padded = functional.pad(values, (before, after, before, after))
    ones = values.new_ones((channels, 1, size, 1))
    down = functional.conv2d(padded, ones, groups=channels)
    return functional.conv2d(down, ones.transpose(2, 3), groups=channels)


def repeated(layer: NearestUpsample, coarse: torch.Tensor, like: torch.Tensor) -> Step:
    """Repeat cells over their pixels; the transpose adds the pixels of a cell."""
    rows, cols = like.shape[-2:]
    output = layer(coarse, like).contiguous(memory_format=torch.channels_last)
    shape, ratio = coarse.shape, layer.ratio

    def pull(multipliers: torch.Tensor, note: Note) -> tuple:
        # The last cells may be cut.
        missing = (0, shape[3] * ratio - cols, 0, shape[2] * ratio - rows)
        full = functional.pad(multipliers, missing) if any(missing) else multipliers
        cells = full.unflatten(3, (shape[3], ratio)).unflatten(2, (shape[2], ratio))
        return cells.sum((3, 5)), None

    return output, pull


def padded(layer: nn.ConstantPad2d, values: torch.Tensor) -> Step:
    """Pad with a constant, which takes its part of the relevance along."""
    output = layer(values)
    inwards = [-width for width in layer.padding]

    def pull(multipliers: torch.Tensor, note: Note) -> tuple:
        kept = functional.pad(multipliers, inwards)
        if layer.value:
            note(PADDING, layer.value * (total(multipliers) - total(kept)))
        return (kept,)

    return output, pull


def padded_by_zeros(layer: nn.ConstantPad2d) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what padding does to a part of a value, which has no part in the constant."""
    return lambda part: functional.pad(part, layer.padding)


def unchanged(layer: nn.Module, values: torch.Tensor) -> Step:
    """Hand on through a layer that does nothing in evaluation mode."""
    return values, lambda multipliers, note: (multipliers,)


def reshaped(layer: nn.Flatten, values: torch.Tensor) -> Step:
    """Hand on through a layer that only changes the shape."""
    shape = values.shape
    return layer(values), lambda multipliers, note: (multipliers.reshape(shape),)


def concatenated(tensors: list, dim: int = 0) -> Step:
    """Hand each part the multipliers of its own place."""
    sizes = [part.shape[dim] for part in tensors]
    return torch.cat(tensors, dim), lambda multipliers, note: tuple(multipliers.split(sizes, dim))


def added(first: torch.Tensor, second: torch.Tensor, **options: object) -> Step:
    """Hand each summand its share of the sum: the multiplier itself."""
    if options:
        raise ModelError(f"adding with {', '.join(options)} is not known")
    if not (isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor)):
        raise ModelError("adding a number to an array is not known; it belongs into the bias of a layer")

    def pull(multipliers: torch.Tensor, note: Note) -> tuple:
        return multipliers.sum_to_size(first.shape), multipliers.sum_to_size(second.shape)

    return first + second, pull
