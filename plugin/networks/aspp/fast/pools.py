"""Mean pools over 2, 4, 8, … pixels (stride 1), ahead and back, each made of the one before.

A window of 2k pixels is four windows of k. Where oneDNN computes, those four are the taps of one convolution
of each channel by itself, which reads and writes once instead of once for each axis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import torch
from torch.nn import functional

from ...kernels.convolutions import convolved, fast
from ...layers import SamePool2d

# Of fewer channels, as of logits, sums are made as fast as by a convolution of single channels.
LEAST_CHANNELS = 8
# Start and stop along an axis.
Span = tuple[int, int]


def doubled_pools(values: torch.Tensor, scales: tuple[int, ...]) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield each scale with the :class:`.layers.SamePool2d` of that size, each from the one before.

    Parameters
    ----------
    values : torch.Tensor
        (sample, channel, row, column).
    scales : tuple of int
        2, 4, 8, …: each twice the one before.

    Yields
    ------
    tuple of (int, torch.Tensor)
        The scale, and the means in the shape of `values`; part of a larger array where no gradient is recorded.
    """
    rows, cols = values.shape[-2:]
    before, after = (scales[-1] - 1) // 2, scales[-1] // 2
    for scale, means in _one_behind(_doubled(functional.pad(values, (before, after, before, after)), scales)):
        begin = before - (scale - 1) // 2
        inside = means[:, :, begin : begin + rows, begin : begin + cols]
        if torch.is_grad_enabled():  # nothing in place where a gradient may be recorded
            inside = inside * (scale**2 * inverse_counts(rows, cols, scale, values))
        else:
            normalise_boundary(inside, scale, ((0, rows), (0, cols)), (rows, cols))
        yield scale, inside


def framed_pools(
    values: torch.Tensor, scales: tuple[int, ...], top: bool, bottom: bool
) -> Iterator[tuple[int, int, torch.Tensor, int]]:
    """Yield the pools of :func:`doubled_pools` of some rows of an array, as a convolution takes them.

    Parameters
    ----------
    values : torch.Tensor
        (sample, channel, row, column): all columns. No gradient is recorded.
    scales : tuple of int
        2, 4, 8, …: each twice the one before.
    top, bottom : bool
        Whether the first and the last row are those of the array. Where they are not, no means are given of
        the rows whose windows reach beyond them.

    Yields
    ------
    tuple of (int, int, torch.Tensor, int)
        The scale; the row of `values` at which the means begin; the means, with columns of zeros around them;
        and how many of those there are on each side.
    """
    rows, cols = values.shape[-2:]
    before, after = (scales[-1] - 1) // 2, scales[-1] // 2
    above, below = before * top, after * bottom

    def finished(scale: int, means: torch.Tensor) -> tuple[int, int, torch.Tensor, int]:
        reach, frame = (scale - 1) // 2, after - scale // 2
        begin = above - reach if top else 0
        first = begin + reach - above
        means = means[:, :, begin : begin + rows - first] if bottom else means[:, :, begin:]
        means[..., :frame] = 0
        means[..., frame + cols :] = 0
        spans = (first, first + means.shape[2]), (0, cols)
        normalise_boundary(means[..., frame : frame + cols], scale, spans, (rows, cols), (top, bottom))
        return scale, first, means, frame

    for scale, means in _one_behind(_doubled(functional.pad(values, (before, after, above, below)), scales)):
        yield finished(scale, means)


def normalise_boundary(
    means: torch.Tensor,
    scale: int,
    spans: tuple[Span, Span],
    lengths: tuple[int, int],
    ends: tuple[bool, bool] = (True, True),
) -> None:
    """Turn, in place, sums over windows divided by scale² into means of the pixels that lie inside the array.

    These are factors only, so they serve the backward pass as well.

    Parameters
    ----------
    means : torch.Tensor
        (sample, channel, row, column).
    scale : int
        Side of the windows.
    spans : tuple of (int, int)
        Which rows and which columns of the array they are: start and stop.
    lengths : tuple of int
        Rows and columns of the array.
    ends : tuple of bool
        Whether the array ends above its first and below its last row.
    """
    for axis, (start, stop), length in zip((2, 3), spans, lengths):
        first, last = ends if axis == 2 else (True, True)
        near = min(stop, (scale - 1) // 2) if first else start
        far = max(near, start, length - scale // 2) if last else stop
        for begin, end in ((start, near), (far, stop)):
            if begin < end:
                factors = _factors(scale, length, means.dtype, means.device)[begin:end]
                part = means.narrow(axis, begin - start, end - begin)
                part.mul_(factors if axis == 3 else factors[:, None])


@lru_cache(maxsize=64)
def _factors(scale: int, length: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return for each pixel of an axis the side of a window over the pixels of it that lie inside."""
    with torch.inference_mode(False):  # they serve outside of it as well, whatever asks for them first
        return scale / SamePool2d(scale).counts(length, torch.empty(0, dtype=dtype, device=device))


def transposed_pools(gradients: dict[int, torch.Tensor], layout: torch.memory_format) -> torch.Tensor:
    """Return the transpose of :func:`doubled_pools`.

    Parameters
    ----------
    gradients : dict of int to torch.Tensor
        Scale → (sample, channel, row, column).
    layout : torch.memory_format
        Of the result.
    """

    def add(scale: int, total: torch.Tensor) -> None:
        values = gradients[scale]
        rows, cols = values.shape[-2:]
        total.addcmul_(values, inverse_counts(rows, cols, scale, values))

    largest = max(gradients)
    return summed_back(tuple(gradients), gradients[largest].shape, gradients[largest], layout, add)


def summed_back(
    scales: tuple[int, ...],
    shape: torch.Size | tuple[int, ...],
    like: torch.Tensor,
    layout: torch.memory_format,
    add: Callable[[int, torch.Tensor], None],
) -> torch.Tensor:
    """Return mirrored sums over the windows of pools, each as part of the sums over the next larger ones.

    Parameters
    ----------
    scales : tuple of int
        2, 4, 8, …: each twice the one before.
    shape : tuple of int
        (sample, channel, row, column) of the result.
    like : torch.Tensor
        Of the type, and on the device, of the result.
    layout : torch.memory_format
        Of the result.
    add : callable
        ``add(scale, total)`` adds to `total` what goes to that pool's pixels; asked from the largest scale down.
    """
    before, after = scales[-1] // 2, (scales[-1] - 1) // 2
    samples, channels, rows, cols = shape
    size = samples, channels, rows + before + after, cols + before + after
    total = torch.empty(size, dtype=like.dtype, device=like.device, memory_format=layout).zero_()
    for scale in reversed(scales):
        add(scale, total[:, :, before : before + rows, before : before + cols])
        total = shifted_sum(total, scale // 4) if scale > 2 else total
    total = _of_four(total, 1, 1.0)
    return total[:, :, before - 1 : total.shape[2] - after, before - 1 : total.shape[3] - after]


def shifted_sum(values: torch.Tensor, distance: int) -> torch.Tensor:
    """Return the sum of the values `distance` before and after, on both axes; zero lies outside."""
    if _depthwise(values):
        return _of_four(values, 2 * distance, 1.0, distance)
    for axis in (2, 3):
        length = values.shape[axis]
        before, after = (
            values.narrow(axis, 0, length - distance),
            values.narrow(axis, distance, length - distance),
        )
        summed = torch.empty_like(values)
        summed.narrow(axis, 0, distance).copy_(after.narrow(axis, 0, distance))
        summed.narrow(axis, length - distance, distance).copy_(
            before.narrow(axis, length - 2 * distance, distance)
        )
        number = length - 2 * distance
        inner, pair = (
            summed.narrow(axis, distance, number),
            (
                before.narrow(axis, 0, number),
                after.narrow(axis, distance, number),
            ),
        )
        if torch.is_grad_enabled():
            inner.copy_(pair[0] + pair[1])
        else:
            torch.add(*pair, out=inner)
        values = summed
    return values


def inverse_counts(rows: int, cols: int, size: int, like: torch.Tensor) -> torch.Tensor:
    """Return (row, column): one over the number of pixels of a pool's window that lie inside."""
    pool = SamePool2d(size)
    counts = pool.counts(rows, like)[:, None] * pool.counts(cols, like)
    return 1 / counts


def _doubled(values: torch.Tensor, scales: tuple[int, ...]) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield each scale with the means over the windows that begin at each pixel and lie inside."""
    for scale in scales:
        values = _of_four(values, scale // 2, 0.25)
        yield scale, values


def _one_behind(pools: Iterator[tuple[int, torch.Tensor]]) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield pools, each when the next has been made of it, so that it may be changed."""
    made = None
    for following in pools:
        if made is not None:
            yield made
        made = following
    if made is not None:
        yield made


def _of_four(values: torch.Tensor, distance: int, weight: float, padding: int = 0) -> torch.Tensor:
    """Return the weighted sum of each pixel and those `distance` after it on either axis and on both."""
    if _depthwise(values):
        taps = _taps(values.shape[1], weight, values.dtype)
        return convolved(values, taps, padding=padding, dilation=distance, groups=len(taps))
    values = values[:, :, :-distance] + values[:, :, distance:]
    values = values[:, :, :, :-distance] + values[:, :, :, distance:]
    return values if weight == 1 else values * weight


def _depthwise(values: torch.Tensor) -> bool:
    """Return whether a convolution is the fastest way."""
    return torch.backends.mkldnn.is_available() and fast(values) and values.shape[1] >= LEAST_CHANNELS


@lru_cache(maxsize=16)
def _taps(channels: int, weight: float, dtype: torch.dtype) -> torch.Tensor:
    # They serve outside of torch's inference mode as well, whatever asks for them first.
    with torch.inference_mode(False):
        taps = torch.full((channels, 1, 2, 2), weight, dtype=dtype, device="cpu")
        return taps.contiguous(memory_format=torch.channels_last)
