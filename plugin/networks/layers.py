"""The layers that torch does not have, and how a network's graph is drawn.

A network here is a plain :class:`torch.nn.Module` made of torch's own layers, of the layers of this
module and of ``torch.cat``. :func:`trace` draws it as a graph in which each of these is one node, so
that a relevance rule needs to know nothing but them::

    graph = trace(network)
    for node in graph.graph.nodes:
        ...                       # placeholder, call_module (a leaf), call_function (torch.cat), output

Layers that bring an array to the size of another take two arguments: the array, and the other one, of which only
the size is read. They are linear in the first and do not depend on the values of the second.
"""

from __future__ import annotations

import torch
from torch import fx, nn
from torch.nn import functional

# Padding of :class:`FitTo` → what functional.pad calls it.
FITTED_BY = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate"}


class SamePool2d(nn.Module):
    """Mean over a square around each pixel, of the pixels that lie inside the array.

    A window of `size` pixels begins (size − 1)//2 pixels before its pixel and ends size//2 after it
    (stride 1, 'same' padding as Keras pads it); the sum is divided by the number of pixels of the
    window inside the array, so a constant stays constant up to the border.

    Parameters
    ----------
    size : int
        Side of the window, in pixels.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"a pool needs a size of at least 1, not {size}")
        self.size = size
        self.before = (size - 1) // 2
        self.after = size // 2

    def extra_repr(self) -> str:
        """Return the size, for ``print(network)``."""
        return f"size={self.size}"

    def counts(self, length: int, like: torch.Tensor) -> torch.Tensor:
        """Return how many pixels of each window lie inside an axis of `length` pixels.

        Parameters
        ----------
        length : int
            Pixels along the axis.
        like : torch.Tensor
            A tensor whose dtype and device the result takes.

        Returns
        -------
        torch.Tensor
            (length,), between 1 and `size`.
        """
        position = torch.arange(length, device=like.device)
        first = (position - self.before).clamp(min=0)
        last = (position + self.after).clamp(max=length - 1)
        return (last - first + 1).to(like.dtype)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the means: (sample, channel, row, column) in and out."""
        rows, cols = values.shape[-2:]
        padded = functional.pad(values, (self.before, self.after, self.before, self.after))
        sums = functional.avg_pool2d(padded, self.size, stride=1) * self.size**2
        return sums / (self.counts(rows, values)[:, None] * self.counts(cols, values))


class _Upsample(nn.Module):
    """Brings coarse cells to fine pixels.

    Parameters
    ----------
    ratio : int
        Fine pixels along one side of a coarse cell.
    """

    def __init__(self, ratio: int) -> None:
        super().__init__()
        self.ratio = ratio

    def extra_repr(self) -> str:
        """Return the ratio, for ``print(network)``."""
        return f"ratio={self.ratio}"


class NearestUpsample(_Upsample):
    """Each coarse cell repeated over its `ratio` x `ratio` pixels, cut to the size of a fine array."""

    def forward(self, coarse: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """Return `coarse` (sample, channel, cell row, cell column) at the rows and columns of `like`.

        Raises
        ------
        ValueError
            If the cells do not cover the pixels of `like`.
        """
        rows, cols = like.shape[-2:]
        _check_cover(coarse, rows, cols, self.ratio)
        samples, channels, cell_rows, cell_cols = coarse.shape
        repeated = coarse[:, :, :, None, :, None].expand(-1, -1, -1, self.ratio, -1, self.ratio)
        pixels = repeated.reshape(samples, channels, cell_rows * self.ratio, cell_cols * self.ratio)
        return pixels[:, :, :rows, :cols]


class BilinearUpsample(_Upsample):
    """Coarse cells interpolated bilinearly between their centres, cut to the size of a fine array.

    Beyond the outermost centres the outermost cell is continued. A pixel may depend on the cell
    beside its own.
    """

    def forward(self, coarse: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """Return `coarse` (sample, channel, cell row, cell column) at the rows and columns of `like`.

        Raises
        ------
        ValueError
            If the cells do not cover the pixels of `like`.
        """
        rows, cols = like.shape[-2:]
        _check_cover(coarse, rows, cols, self.ratio)
        pixels = functional.interpolate(
            coarse, scale_factor=float(self.ratio), mode="bilinear", align_corners=False
        )
        return pixels[:, :, :rows, :cols]


class FitTo(nn.Module):
    """Cuts an array at its last rows and columns to the size of another, or pads it there.

    Parameters
    ----------
    mode : {'zeros', 'reflect', 'replicate'}
        What the places hold that are missing.
    """

    def __init__(self, mode: str = "zeros") -> None:
        super().__init__()
        if mode not in FITTED_BY:
            raise ValueError(f"the padding '{mode}' is not one of {', '.join(FITTED_BY)}")
        self.mode = mode

    def extra_repr(self) -> str:
        """Return the mode, for ``print(network)``."""
        return f"mode={self.mode}"

    def forward(self, values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """Return `values` (sample, channel, row, column) with the rows and columns of `like`."""
        rows, cols = like.shape[-2:]
        values = values[:, :, :rows, :cols]
        missing = (0, cols - values.shape[3], 0, rows - values.shape[2])
        return functional.pad(values, missing, FITTED_BY[self.mode]) if any(missing) else values


class FillUp(nn.Module):
    """Pads an array behind its last rows and columns to a multiple of some places.

    Parameters
    ----------
    multiple : int
        Places.
    mode : {'replicate', 'reflect'}
        What the new places hold.
    """

    def __init__(self, multiple: int, mode: str = "replicate") -> None:
        super().__init__()
        if mode not in ("replicate", "reflect") or multiple < 1:
            raise ValueError(f"no array is filled up to a multiple of {multiple} by '{mode}'")
        self.multiple, self.mode = multiple, mode

    def extra_repr(self) -> str:
        """Return the settings, for ``print(network)``."""
        return f"multiple={self.multiple}, mode={self.mode}"

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return `values` (sample, channel, row, column) with rows and columns added."""
        rows, cols = (-size % self.multiple for size in values.shape[-2:])
        return functional.pad(values, (0, cols, 0, rows), FITTED_BY[self.mode]) if rows or cols else values


class ResizeTo(nn.Module):
    """Interpolates an array to the size of another, from border to border.

    What a pixel reads depends on both sizes, so that a part of the image does not give what the whole gives.

    Parameters
    ----------
    mode : {'nearest', 'bilinear'}
        How.
    align_corners : bool
        Whether the centres of the outermost places lie on one another; of 'bilinear'.
    """

    def __init__(self, mode: str = "bilinear", align_corners: bool = False) -> None:
        super().__init__()
        self.mode, self.align_corners = mode, align_corners

    def extra_repr(self) -> str:
        """Return the settings, for ``print(network)``."""
        return f"mode={self.mode}, align_corners={self.align_corners}"

    def forward(self, values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """Return `values` (sample, channel, row, column) at the rows and columns of `like`."""
        options = {"align_corners": self.align_corners} if self.mode == "bilinear" else {}
        return functional.interpolate(values, tuple(like.shape[-2:]), mode=self.mode, **options)


def _check_cover(coarse: torch.Tensor, rows: int, cols: int, ratio: int) -> None:
    cell_rows, cell_cols = coarse.shape[-2:]
    if cell_rows * ratio < rows or cell_cols * ratio < cols:
        raise ValueError(
            f"{cell_rows} x {cell_cols} cells of {ratio} x {ratio} pixels do not cover {rows} x {cols} pixels"
        )


class OneComponent(nn.Conv2d):
    """A last 1 x 1 convolution that keeps the weights of one component; other weights and biases are zero.

    Its outputs are what that component adds to each logit. Explanations pass through it in proportion to its
    weights, whatever the rule of other convolutions.

    Parameters
    ----------
    layer : torch.nn.Conv2d
        The convolution whose weights it takes.
    component : int
        Position of the component among its inputs.
    """

    def __init__(self, layer: nn.Conv2d, component: int) -> None:
        weight = layer.weight.detach()
        super().__init__(layer.in_channels, layer.out_channels, 1, device=weight.device, dtype=weight.dtype)
        self.requires_grad_(False)
        self.weight.zero_()
        self.bias.zero_()
        self.weight[:, component] = weight[:, component]

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return what the component adds to each logit, (sample, output, row, column), in the type of `values`."""
        return functional.conv2d(values, self.weight.to(values.dtype))


UPSAMPLING = (NearestUpsample, BilinearUpsample)
LEAVES = (SamePool2d, *UPSAMPLING, FitTo, FillUp, ResizeTo, OneComponent)


class _LeafTracer(fx.Tracer):
    """Draws the layers of this module as single nodes, as fx does with torch's own."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, LEAVES) or super().is_leaf_module(m, module_qualified_name)


def trace(network: nn.Module) -> fx.GraphModule:
    """Return the graph of a network's plain forward; it shares the network's parameters.

    Parameters
    ----------
    network : torch.nn.Module
        A network whose ``forward(fine, coarse)`` has no control flow that depends on data.

    Returns
    -------
    torch.fx.GraphModule
        Placeholders ``fine`` and ``coarse``; leaves are layers of ``torch.nn`` and of this module.
    """
    return fx.GraphModule(network, _LeafTracer().trace(network))
