"""The weights of the fusion network, laid out once as the fast passes take them.

Batch norms are merged into the convolutions behind them, output weights are cut into those of each group of
components, and where the way from the trunk to the logits is linear, it is folded into :class:`.head.LinearHead`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from ....ground.errors import ModelError
from ...kernels.buffers import BufferPool
from ...kernels.convolutions import Filters, convolved
from ...layers import NearestUpsample
from ..variants import SCALES
from .bands import BAND_ROWS
from .head import LinearHead

if TYPE_CHECKING:
    from ..definition import AsppFusion

CONVOLUTIONS = ("conv1", "conv2", "conv3", "conv4", "conv5", "conv6")
# Convolutions that read the output of a batch norm.
NORMS = {"conv3": "norm1", "conv5": "norm2"}


class AsppWeights(nn.Module):
    """The weights of a fusion network in evaluation mode, merged, cut and folded.

    Parameters
    ----------
    network : AsppFusion
        The network to copy; its batch-norm statistics are taken as they are.
    dtype, exact
        As of :class:`.forward.FastAspp`.
    """

    def __init__(self, network: AsppFusion, dtype: torch.dtype, exact: int = 1) -> None:
        super().__init__()
        self.dtype = dtype
        self.sum_dtype = torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype
        # In which numbers each convolution computes, and those that it puts out: what the next one reads.
        computed = [self.sum_dtype] * exact + [dtype] * (len(CONVOLUTIONS) - exact)
        self.computed_in = dict(zip(CONVOLUTIONS, computed))
        self.put_out_in = dict(zip(CONVOLUTIONS, (*computed[1:], dtype)))
        channels_last = dtype != torch.float64
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.rectified = network.scale_relus is not None
        self.coarse_channels = network.coarse_channels
        self.upsample = type(network.upsample)(network.ratio)
        # Rows computed at a time; 0 for all at once, where there is no cache to stay in.
        self.band_rows = BAND_ROWS if network.output.weight.device.type == "cpu" else 0
        self.buffer_pool = BufferPool()

        self.merged: set[str] = set()
        for name in CONVOLUTIONS:
            self._copy(name, getattr(network, name), self.computed_in[name])
        for convolution, name in NORMS.items():
            gain, shift = self._exact_norm(getattr(network, name))
            kind = self.computed_in[convolution]
            self._buffer(f"{name}_gain", gain[:, None, None], dtype=kind)
            self._buffer(f"{name}_shift", shift[:, None, None], dtype=kind)
            if (gain != 0).all():  # else the backward pass could not tell the shift's share
                self.merged.add(name)
        for name, norm in NORMS.items():
            layer = getattr(network, name)
            weight, gain, shift = (
                values.double() for values in (layer.weight, *self._exact_norm(getattr(network, norm)))
            )
            kind, bias = self.computed_in[name], (weight * shift[:, None, None]).sum((1, 2, 3))
            self._buffer(f"{name}_merged_weight", weight * gain[:, None, None], convolution=True, dtype=kind)
            self._buffer(f"{name}_merged_bias", layer.bias.double() + bias, dtype=kind)
        self.filters = nn.ModuleDict()
        for name in (*CONVOLUTIONS, *(f"{name}_merged" for name in NORMS)):
            weight, bias = self.get_buffer(f"{name}_weight"), self.get_buffer(f"{name}_bias")
            self.filters[name] = Filters(weight, bias)
        convolutions = [layer for layer in network.scales if isinstance(layer, nn.Conv2d)]
        for scale, convolution in zip(SCALES, convolutions):
            self._copy(f"scale{scale}", convolution)

        outputs = network.output.out_channels
        self.hidden = network.hidden is not None
        # With more logits than filters the folded convolution would cost more than the one it replaces.
        self.folded = self.linear and outputs <= network.widths.scale
        if self.hidden:
            self._copy("hidden1", network.hidden)
            self._copy("output", network.output)
        else:
            self._split_output(network, convolutions)

    @property
    def linear(self) -> bool:
        """Whether no activation follows the pools: the way from the trunk to the logits is linear."""
        return not self.rectified and not self.hidden

    @property
    def repeats_cells(self) -> bool:
        """Whether coarse cells are repeated over their pixels, not interpolated."""
        return isinstance(self.upsample, NearestUpsample)

    @staticmethod
    def _exact_norm(norm: nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
        """Return gain and shift of a batch norm by channel, float64."""
        gain = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        return gain, norm.bias.double() - norm.running_mean.double() * gain

    def _split_output(self, network: AsppFusion, convolutions: list[nn.Conv2d]) -> None:
        """Cut the output weights into those of the skip, of each scale and of the coarse channels."""
        weights = network.output.weight.double()
        bias = network.output.bias.double()
        skip, filters = network.widths.skip, network.widths.scale
        self._buffer("output_skip", weights[:, :skip], convolution=True, dtype=self.put_out_in["conv2"])
        self._buffer("offset_output", bias, dtype=torch.float64)
        kernels = {}
        for index, (scale, convolution) in enumerate(zip(SCALES, convolutions)):
            begin = skip + index * filters
            part = weights[:, begin : begin + filters]
            self._buffer(f"output{scale}", part, convolution=True)
            if not self.folded:
                continue
            # The zero padding is the same before and after: the fold holds at the border as well.
            # Plain sums, no matrix product: QGIS brings a BLAS of its own, and its last digit is another.
            kernel = (part[:, :, None] * convolution.weight.double()).sum(1)
            offset = (part[:, :, 0, 0] * convolution.bias.double()).sum(1)
            self._buffer(f"offset{scale}", offset, dtype=torch.float64)
            bias = bias + offset
            kernels[scale] = kernel
        if self.folded:
            self.head = LinearHead(kernels, self.dtype, self.sum_dtype, self.memory_format)
        self._buffer("output_coarse", weights[:, skip + len(SCALES) * filters :], dtype=self.sum_dtype)
        self._buffer("output_bias", bias, dtype=self.sum_dtype)

    def _buffer(
        self, name: str, values: torch.Tensor, convolution: bool = False, dtype: torch.dtype | None = None
    ) -> None:
        copy = values.detach().clone().to(dtype or self.dtype)
        if convolution:
            copy = copy.contiguous(memory_format=self.memory_format)
        self.register_buffer(name, copy)

    def _copy(self, name: str, layer: nn.Conv2d, dtype: torch.dtype | None = None) -> None:
        self._buffer(f"{name}_weight", layer.weight, convolution=True, dtype=dtype)
        self._buffer(f"{name}_bias", layer.bias, dtype=dtype)

    def _convolve(self, name: str, values: torch.Tensor, scale: int = 1, padding: int = 0) -> torch.Tensor:
        weight, bias = self.get_buffer(f"{name}_weight"), self.get_buffer(f"{name}_bias")
        return convolved(values, weight, bias, padding, scale)

    @staticmethod
    def cells(coarse: torch.Tensor | None) -> torch.Tensor:
        """Return the coarse inputs of a network that has coarse channels.

        Raises
        ------
        ModelError
            If there are none.
        """
        if coarse is None:
            raise ModelError("The network reads coarse channels, but none are given.")
        return coarse

    def normalised(self, name: str, values: torch.Tensor) -> torch.Tensor:
        """Return what a batch norm makes of values."""
        return torch.addcmul(self.get_buffer(f"{name}_shift"), values, self.get_buffer(f"{name}_gain"))
