"""CPU convolutions by oneDNN.

oneDNN computes :data:`LANES` output channels at once. On a processor that is slower with a part of a register than
with all of it, filters of zeros fill the lanes. Each output stays the same sum of products.
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
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.register_buffer("wide", filled(weight))

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
        if not direct:
            result = _convolved(values, self.weight, added, relu, int(not inside))[:, :, own]
            return result if out is None else out.copy_(result)
        more = len(self.wide) - self.outputs
        if more and added is not None:
            added = functional.pad(added, (0, more))
        result = _convolved(values, self.wide, added, relu, int(not inside))[:, : self.outputs, own]
        if out is None and not more:
            return result
        if out is None:
            shape = len(values), stop - first, width, self.outputs
            out = values.new_empty(shape, dtype=self.weight.dtype).permute(0, 3, 1, 2)
        _copy(result.permute(0, 2, 3, 1), out.permute(0, 2, 3, 1))
        return out


def _copy(values: torch.Tensor, place: torch.Tensor) -> None:
    """Copy values to a place of the same shape, channels in the last axis."""
    # Two numbers at a time are moved like one.
    pair = {torch.float32: torch.float64, torch.bfloat16: torch.float32}[place.dtype]
    steps = [step for array in (values, place) for step in (*array.stride()[:-1], array.storage_offset())]
    side_by_side = values.dtype == place.dtype and values.stride(-1) == place.stride(-1) == 1
    if side_by_side and not any(n % 2 for n in (values.shape[-1], *steps)):
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
) -> torch.Tensor:
    """Return a convolution with a ReLU in the same pass where torch can.

    One column of zeros is added on each side, and `above` rows above and below.
    """
    known, fused = torch.backends.mkldnn.is_available(), _fused()
    if relu and known and fused is not None and fast(values):
        return fused(_laid_out(values), weight, bias, [above, 1], [1, 1], [1, 1], 1, "relu", [], "")
    result = convolved(values, weight, bias, padding=(above, 1))
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
