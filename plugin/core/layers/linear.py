"""Layers that are linear without a bias: every input receives in proportion to its contribution, by any method.

Average pools, upsampling, concatenation, sums, padding and dropout take multipliers back by
their transpose.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from ...ground.errors import ModelError
from ...networks.layers import NearestUpsample, SamePool2d
from .conservation import PADDING, Record, total

# backward(multipliers of the output, record): multipliers of the inputs, None for those that carry no value.
Backward = Callable[[torch.Tensor, Record], tuple]
LayerPass = tuple[torch.Tensor, Backward]


def in_proportion(layer: Callable, values: torch.Tensor, *others: torch.Tensor) -> LayerPass:
    """Propagate through a layer that is linear in its first input, by its transpose."""
    with torch.enable_grad():
        tracked = values.detach().requires_grad_()
        output = layer(tracked, *others)
    by_place = output.ndim == 4 and output.is_contiguous(memory_format=torch.channels_last)

    def backward(multipliers: torch.Tensor, record: Record) -> tuple:
        if by_place:  # of a part of some channels, torch takes back an upsampling five times as slowly
            multipliers = multipliers.contiguous(memory_format=torch.channels_last)
        passed = torch.autograd.grad(output, tracked, multipliers, retain_graph=True)[0]
        return (passed, *(None for _ in others))

    return output.detach(), backward


def pooled(layer: SamePool2d, values: torch.Tensor) -> LayerPass:
    """Average-pool by two one-dimensional sums per channel; the transpose is the mirrored sum."""
    rows, cols = values.shape[-2:]
    shares = 1 / (layer.counts(rows, values)[:, None] * layer.counts(cols, values))
    output = _box_sums(values, layer.size, layer.before, layer.after).mul_(shares)

    def backward(multipliers: torch.Tensor, record: Record) -> tuple:
        return (_box_sums(multipliers * shares, layer.size, layer.after, layer.before),)

    return output, backward


def _box_sums(values: torch.Tensor, size: int, before: int, after: int) -> torch.Tensor:
    channels = values.shape[1]
    padded = functional.pad(values, (before, after, before, after))
    ones = values.new_ones((channels, 1, size, 1))
    down = functional.conv2d(padded, ones, groups=channels)
    return functional.conv2d(down, ones.transpose(2, 3), groups=channels)


def repeated(layer: NearestUpsample, coarse: torch.Tensor, like: torch.Tensor) -> LayerPass:
    """Repeat cells over their pixels; the transpose adds the pixels of a cell."""
    rows, cols = like.shape[-2:]
    output = layer(coarse, like).contiguous(memory_format=torch.channels_last)
    shape, ratio = coarse.shape, layer.ratio

    def backward(multipliers: torch.Tensor, record: Record) -> tuple:
        # The last cells may be cut.
        missing = (0, shape[3] * ratio - cols, 0, shape[2] * ratio - rows)
        full = functional.pad(multipliers, missing) if any(missing) else multipliers
        cells = full.unflatten(3, (shape[3], ratio)).unflatten(2, (shape[2], ratio))
        return cells.sum((3, 5)), None

    return output, backward


def padded(layer: nn.ConstantPad2d, values: torch.Tensor) -> LayerPass:
    """Pad with a constant, which receives its part of the relevance."""
    output = layer(values)
    inwards = [-width for width in layer.padding]

    def backward(multipliers: torch.Tensor, record: Record) -> tuple:
        kept = functional.pad(multipliers, inwards)
        if layer.value:
            record(PADDING, layer.value * (total(multipliers) - total(kept)))
        return (kept,)

    return output, backward


def padded_by_zeros(layer: nn.ConstantPad2d) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what padding does to a part of a value, which has no part in the constant."""
    return lambda part: functional.pad(part, layer.padding)


def unchanged(layer: nn.Module, values: torch.Tensor) -> LayerPass:
    """Propagate through a layer that does nothing in evaluation mode."""
    return values, lambda multipliers, record: (multipliers,)


def reshaped(layer: nn.Flatten, values: torch.Tensor) -> LayerPass:
    """Propagate through a layer that only changes the shape."""
    shape = values.shape
    return layer(values), lambda multipliers, record: (multipliers.reshape(shape),)


def concatenated(tensors: list, dim: int = 0) -> LayerPass:
    """Concatenate; each array receives the multipliers of its own place."""
    sizes = [part.shape[dim] for part in tensors]
    return torch.cat(tensors, dim), lambda multipliers, record: tuple(multipliers.split(sizes, dim))


def added(first: torch.Tensor, second: torch.Tensor, **options: object) -> LayerPass:
    """Add; the multipliers of a sum are those of its summands."""
    if options:
        raise ModelError(f"adding with {', '.join(options)} is not known")
    if not (isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor)):
        raise ModelError("adding a number to an array is not known; it belongs into the bias of a layer")

    def backward(multipliers: torch.Tensor, record: Record) -> tuple:
        return multipliers.sum_to_size(first.shape), multipliers.sum_to_size(second.shape)

    return first + second, backward
