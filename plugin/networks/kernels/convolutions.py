"""CPU convolutions that fill SIMD lanes (oneDNN).

oneDNN computes :data:`LANES` output channels at once, so that with 16 of them 18 cost as much as 32. The few that
are left over are computed for a block of neighbouring pixels together instead, by a kernel that is as much larger
and moves on by a block: 2 channels of 2 x 4 pixels are 16 outputs. Where that does not serve, filters of zeros fill
the lanes of a processor that would be slower without. Each output stays the same sum of products.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

# float32 numbers in a register: 256 bits where torch (which reports it since 2.1) finds no 512.
_cpu = getattr(torch.backends, "cpu", None)
LANES = 8 if _cpu is not None and _cpu.get_cpu_capability() == "AVX2" else 16
# Registers of 512 bits have masks; without, a part of a register costs more than all of it (12 outputs more than 16).
MASKED_LANES = 16
FAST = (torch.float32, torch.bfloat16)
X86 = ("x86_64", "amd64")


def convolved(
    values: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    stride: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> torch.Tensor:
    """Return a convolution, on CPUs in :data:`FAST` types channels last.

    With a single thread torch computes small 1 x 1 convolutions by a BLAS, which in QGIS is another one
    with another last digit; called by name, oneDNN computes them in any program.
    """
    values = _laid_out(values)
    if values.dtype == torch.float32 and values.device.type == "cpu" and torch.backends.mkldnn.is_available():
        pads, steps = ([n, n] if isinstance(n, int) else list(n) for n in (padding, dilation))
        return torch.mkldnn_convolution(values, weight, bias, pads, list(stride), steps, groups)
    return functional.conv2d(values, weight, bias, stride, padding, dilation, groups)


def planes(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return a 1 x 1 convolution of values (1, channel, row, column) as planes (output, row, column).

    Pixels and weights swap roles in the product, so the result is already planar and needs no transpose.
    """
    _, channels, rows, cols = values.shape
    pixels = values.permute(0, 2, 3, 1).reshape(rows * cols, channels)
    linear = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if linear is not None and _on_x86() and torch.backends.mkldnn.is_available() and fast(values):
        product = linear(weight[:, :, 0, 0], pixels, None, "none", [], "")
    else:
        # A matrix (pixel, output) is transposed much faster than an array of four axes.
        product = convolved(values, weight).permute(0, 2, 3, 1).reshape(rows * cols, -1).t().contiguous()
    return product.view(-1, rows, cols)


def _laid_out(values: torch.Tensor) -> torch.Tensor:
    """Return values (sample, channel, row, column) that torch takes for channels last, as the weights are.

    A single channel can be either, but by its strides torch takes it for channels first, and so would be the
    result: slow to compute, and slow to add to what is channels last.
    """
    if values.shape[1] > 1 or values.dtype not in FAST or values.device.type != "cpu":
        return values
    samples, _, rows, cols = values.shape
    return values.reshape(samples, rows, cols, 1).permute(0, 3, 1, 2)


def kernel_lines(weight: torch.Tensor) -> torch.Tensor:
    """Return weights (3 · output, input channel, 1, column) whose outputs are those of single rows of a kernel.

    Few outputs fill more of the lanes so, and a band of rows needs none beside it. The outputs of the first row
    come first; each is to be added to what lies a row (times the dilation) below, in the middle, and above.
    """
    return weight.permute(2, 0, 1, 3).flatten(0, 1)[:, :, None]


def filled(weight: torch.Tensor) -> torch.Tensor:
    """Return weights (output, …) with filters of zeros behind, as many as make them faster on this processor."""
    missing = -len(weight) % LANES
    if LANES >= MASKED_LANES or not missing or weight.dtype != torch.float32 or weight.device.type != "cpu":
        return weight
    layout = torch.channels_last if weight.is_contiguous(memory_format=torch.channels_last) else None
    wider = torch.cat([weight, weight.new_zeros((missing, *weight.shape[1:]))])
    return wider.contiguous(memory_format=layout or torch.contiguous_format)


class Filters(nn.Module):
    """3 x 3 filters of stride 1, with one pixel of zeros around the array.

    Parameters
    ----------
    weight : torch.Tensor
        (output, input channel, 3, 3), in the type and layout of what is computed.
    bias : torch.Tensor, optional
        (output,).
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        super().__init__()
        self.outputs = len(weight)
        rest = self.outputs % LANES
        # With more left over little is gained by it.
        self.block = _block(LANES // rest) if 0 < rest <= LANES // 4 else None
        self.whole = self.outputs - rest
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.register_buffer("wide", filled(weight) if self.block is None else weight)
        if self.block is not None:
            last, (down, across) = weight[self.whole :], self.block
            large = weight.new_zeros((down, across, rest, weight.shape[1], down + 2, across + 2))
            for row in range(down):
                for col in range(across):
                    large[row, col, ..., row : row + 3, col : col + 3] = last
            layout = torch.channels_last if weight.is_contiguous(memory_format=torch.channels_last) else None
            layout = layout or torch.contiguous_format
            self.register_buffer("large", large.flatten(0, 2).contiguous(memory_format=layout))
            self.register_buffer("first", weight[: self.whole].contiguous(memory_format=layout))
            first_bias, last_bias = (None, None) if bias is None else bias.split([self.whole, rest])
            self.register_buffer("first_bias", first_bias)
            self.register_buffer("last_bias", last_bias)
            self.register_buffer("large_bias", None if last_bias is None else last_bias.repeat(down * across))

    def forward(
        self,
        values: torch.Tensor,
        relu: bool = False,
        bias: bool = True,
        rows: slice | None = None,
        out: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return (sample, output, row, column) of values (sample, input channel, row, column).

        Parameters
        ----------
        values : torch.Tensor
            The inputs.
        relu : bool
            Whether what is negative becomes zero.
        bias : bool
            Whether the bias is added.
        rows : slice, optional
            Which rows are wanted; default: all.
        out : torch.Tensor, optional
            Takes the result, and is returned.
        """
        height, width = values.shape[2:]
        first, stop, _ = (rows or slice(None)).indices(height)
        inside = first == 1 and stop == height - 1  # then no row of zeros is needed
        own = slice(None) if inside else slice(first, stop)
        added = self.bias if bias else None
        direct = fast(values) and (out is None or (out.dtype == values.dtype and out.stride(1) == 1))
        block = self.block
        if block is not None and not (width >= 2 * block[1] and stop - first >= block[0]):
            block = None
        more = len(self.wide) - self.outputs
        if not direct or not (block is not None or more):
            result = _convolved(values, self.weight, added, relu, int(not inside))[:, :, own]
            return result if out is None else out.copy_(result)
        if out is None:
            shape = len(values), stop - first, width, self.outputs
            out = values.new_empty(shape, dtype=self.weight.dtype).permute(0, 3, 1, 2)
        if block is None:
            added = None if added is None else functional.pad(added, (0, more))
            result = _convolved(values, self.wide, added, relu, int(not inside))[:, : self.outputs, own]
            _copy(result.permute(0, 2, 3, 1), out.permute(0, 2, 3, 1))
            return out
        if self.whole:
            result = _convolved(values, self.first, self.first_bias if bias else None, relu, int(not inside))
            result = result if inside else result[:, :, own]
            _copy(result.permute(0, 2, 3, 1), out.permute(0, 2, 3, 1)[..., : self.whole])
        seen = values[:, :, max(0, first - 1) : stop + 1]
        if not inside:
            seen = functional.pad(seen, (0, 0, int(first == 0), int(stop == height)))
        self._put_rest(block, seen, relu, bias, out)
        return out

    def _put_rest(
        self, block: tuple[int, int], values: torch.Tensor, relu: bool, bias: bool, out: torch.Tensor
    ) -> None:
        """Compute the outputs left over, of values with a row more above and below, into theirs of `out`."""
        (down, across), (rows, cols) = block, out.shape[2:]
        blocks_down, blocks_across = rows // down, cols // across
        high, wide = blocks_down * down, blocks_across * across
        seen = values if high == rows else values[:, :, : high + 2]
        result = _convolved(seen, self.large, self.large_bias if bias else None, relu, 0, block)
        # Channels last, the pixels of a block lie one after the other.
        shape = len(values), blocks_down, blocks_across, down, across, self.outputs - self.whole
        sample, _, row, col = out.stride()
        steps = sample, down * row, across * col, row, col, 1
        place = out.as_strided(shape, steps, out.storage_offset() + self.whole)
        _copy(result.permute(0, 2, 3, 1).view(shape), place)
        added = self.last_bias if bias else None
        if high < rows:
            last = self.weight[self.whole :]
            out[:, self.whole :, high:] = _convolved(values[:, :, high:], last, added, relu, 0)
        if wide < cols:
            end = _convolved(values[..., wide - 1 :], self.weight[self.whole :], added, relu, 0)
            out[:, self.whole :, :, wide:] = end[..., 1:]


def _block(pixels: int) -> tuple[int, int]:
    """Return rows and columns of a block of at most so many pixels, about as high as wide."""
    rows = 1 << (pixels.bit_length() - 1) // 2
    return rows, pixels // rows


def _copy(values: torch.Tensor, place: torch.Tensor) -> None:
    """Copy values to a place of the same shape, channels in the last axis."""
    # Two numbers at a time are moved like one.
    pair = {torch.float32: torch.float64, torch.bfloat16: torch.float32}[place.dtype]
    steps = [step for array in (values, place) for step in (*array.stride()[:-1], array.storage_offset())]
    if values.dtype == place.dtype and not any(n % 2 for n in (values.shape[-1], *steps)):
        place, values = place.view(pair), values.view(pair)
    place.copy_(values)


def without_padding_channels(values: torch.Tensor, channels: int) -> torch.Tensor:
    """Return the first channels of values (sample, channel, row, column), channels last, as an array of their own."""
    samples, _, rows, cols = values.shape
    own = values.new_empty((samples, rows, cols, channels))
    _copy(values[:, :channels].permute(0, 2, 3, 1), own)
    return own.permute(0, 3, 1, 2)


def _convolved(
    values: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    relu: bool,
    above: int,
    stride: tuple[int, int] = (1, 1),
) -> torch.Tensor:
    """Return a convolution with a ReLU in the same pass where torch can.

    One column of zeros is added on each side, and `above` rows above and below.
    """
    known, fused = torch.backends.mkldnn.is_available(), _fused()
    if relu and known and fused is not None and fast(values):
        return fused(_laid_out(values), weight, bias, [above, 1], list(stride), [1, 1], 1, "relu", [], "")
    result = convolved(values, weight, bias, padding=(above, 1), stride=stride)
    return result.relu_() if relu else result


@cache
def _fused() -> Callable[..., torch.Tensor] | None:
    """Return torch's convolution with a ReLU in the same pass, where it has one."""
    packet = getattr(torch.ops.mkldnn, "_convolution_pointwise", None)
    return getattr(packet, "default", None)  # named at once, not found anew by the arguments of each call


def fast(values: torch.Tensor) -> bool:
    """Return whether numbers of this kind fill a processor's registers, and nobody wants a gradient."""
    known = values.dtype == torch.float32 or (values.dtype == torch.bfloat16 and computes_bfloat16())
    return known and values.device.type == "cpu" and not torch.is_grad_enabled()


@cache
def computes_bfloat16() -> bool:
    """Return whether this processor has instructions for bfloat16 that oneDNN uses.

    oneDNN takes bfloat16 from others too, but only imitates it, several times slower than float32.
    """
    taken = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)  # since torch 2.1
    if taken is None or not torch.backends.mkldnn.is_available() or not taken():
        return False
    return not _on_x86() or _has_bfloat16_instructions()


def _on_x86() -> bool:
    return platform.machine().lower() in X86


def _has_bfloat16_instructions() -> bool:
    """Return whether an x86 processor says so; where nobody can be asked, that it has none."""
    asked = [getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("avx512_bf16", "amx_tile")]
    checks = [is_supported for is_supported in asked if is_supported is not None]
    if len(checks) == len(asked):  # torch 2.6 and later
        return any(is_supported() for is_supported in checks)
    listed = Path("/proc/cpuinfo")
    flags = listed.read_text(errors="replace").split() if listed.exists() else ()
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(flags)
