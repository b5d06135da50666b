"""Convolutions on CPUs: by oneDNN whatever the program, and with all lanes of a register at work.

oneDNN computes :data:`LANES` output channels at once, so that 18 cost as much as 32. The few that are left over
are computed for several neighbouring columns together instead, by a kernel that is as much wider and moves on by
as many columns: 2 channels of 8 columns are 16 outputs. Each output stays the same sum of products.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

# float32 numbers in a register of 512 bits.
LANES = 16
FAST = (torch.float32, torch.bfloat16)


def convolved(
    values: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    stride: tuple[int, int] = (1, 1),
) -> torch.Tensor:
    """Return a convolution.

    With a single thread torch hands small 1 x 1 convolutions to a BLAS, which in QGIS is another one
    with another last digit; asked for by name, oneDNN takes them in any program.
    """
    if values.dtype == torch.float32 and values.device.type == "cpu" and torch.backends.mkldnn.is_available():
        pads, steps = ([n, n] if isinstance(n, int) else list(n) for n in (padding, dilation))
        return torch.mkldnn_convolution(values, weight, bias, pads, list(stride), steps, 1)
    return functional.conv2d(values, weight, bias, stride, padding, dilation)


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
        self.columns = LANES // rest if 0 < rest <= LANES // 4 else 0
        self.whole = self.outputs - rest
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        if self.columns:
            last = weight[self.whole :]
            wide = weight.new_zeros((self.columns, rest, weight.shape[1], 3, self.columns + 2))
            for column, kernel in enumerate(wide):
                kernel[..., column : column + 3] = last
            layout = torch.channels_last if weight.is_contiguous(memory_format=torch.channels_last) else None
            layout = layout or torch.contiguous_format
            self.register_buffer("wide", wide.flatten(0, 1).contiguous(memory_format=layout))
            self.register_buffer("first", weight[: self.whole].contiguous(memory_format=layout))

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
        height = values.shape[2]
        first, stop, _ = (rows or slice(None)).indices(height)
        inside = first == 1 and stop == height - 1  # then no row of zeros is needed
        own = slice(None) if inside else slice(first, stop)
        added = self.bias if bias else None

        def part(
            weight: torch.Tensor, bias: torch.Tensor | None, given: torch.Tensor, step: int = 1
        ) -> torch.Tensor:
            return _convolved(given, weight, bias, relu, int(not inside), step)[:, :, own]

        if not _fast(values) or not self.columns or values.shape[3] < 2 * self.columns:
            found = part(self.weight, added, values)
            return found if out is None else out.copy_(found)
        if out is None:
            shape = len(values), stop - first, values.shape[3], self.outputs
            out = values.new_empty(shape, dtype=self.weight.dtype).permute(0, 3, 1, 2)
        cols = values.shape[3] // self.columns * self.columns
        late = None if added is None else added[self.whole :]
        wide = part(self.wide, late if late is None else late.repeat(self.columns), values, self.columns)
        # Channels last, the columns that were computed together lie one after the other.
        rest = wide.permute(0, 2, 3, 1).reshape(len(values), stop - first, cols, -1).permute(0, 3, 1, 2)
        if self.whole:
            whole = part(self.first, added if added is None else added[: self.whole], values)
            _put(out, 0, whole)
        _put(out[..., :cols], self.whole, rest)
        if cols < values.shape[3]:
            end = part(self.weight[self.whole :], late, values[..., cols - 1 :])
            out[:, self.whole :, :, cols:] = end[..., 1:]
        return out


def _put(out: torch.Tensor, first: int, values: torch.Tensor) -> None:
    """Write values (sample, channel, row, column) to the channels of `out` from `first` on, channels last."""
    target = out.permute(0, 2, 3, 1)[..., first : first + values.shape[1]]
    given = values.permute(0, 2, 3, 1)
    # Two numbers at a time are moved like one.
    pair = {torch.float32: torch.float64, torch.bfloat16: torch.float32}[out.dtype]
    if given.stride(3) == 1 and not any(n % 2 for n in (first, values.shape[1], out.shape[1])):
        target, given = target.view(pair), given.view(pair)
    target.copy_(given)


def _convolved(
    values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, relu: bool, above: int, step: int
) -> torch.Tensor:
    """Return a convolution with a ReLU in the same pass where torch can.

    One column of zeros is added on each side, and `above` rows above and below; it moves on by `step` columns.
    """
    known = torch.backends.mkldnn.is_available()
    fused = getattr(torch.ops.mkldnn, "_convolution_pointwise", None) if known else None
    if relu and fused is not None and _fast(values):
        return fused(values, weight, bias, [above, 1], [1, step], [1, 1], 1, "relu", [], "")
    found = convolved(values, weight, bias, padding=(above, 1), stride=(1, step))
    return found.relu_() if relu else found


def _fast(values: torch.Tensor) -> bool:
    """Return whether oneDNN computes with registers of these numbers, and nobody wants a gradient of it."""
    return values.dtype in FAST and values.device.type == "cpu" and not torch.is_grad_enabled()
