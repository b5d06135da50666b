"""A copy of a network through which every pixel that may be read shows: what a receptive field is measured on."""

from __future__ import annotations

import copy
import math

import torch
from torch import nn
from torch.nn import functional

# Bounded or curved, they may hold the gradient back at the values of a test image, whatever the network's weights.
_BY_VALUE = (
    nn.Sigmoid, nn.Tanh, nn.Hardtanh, nn.ReLU6, nn.Hardswish, nn.GELU, nn.SiLU, nn.Mish, nn.ELU,
    nn.SELU, nn.Softplus,
)  # fmt: skip


def positive_copy(module: nn.Module) -> nn.Module:
    """Return a float64 copy in which every path from input to output has a positive weight.

    Max pools become means of their windows, and bounded or curved activations nothing, since their gradient may be
    zero at what is read.
    """
    network = copy.deepcopy(module).to("cpu", torch.float64).eval().requires_grad_(False)
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.MaxPool2d):
                setattr(parent, name, _WindowMean(child))
            elif isinstance(child, _BY_VALUE):
                setattr(parent, name, nn.Identity())
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


class _WindowMean(nn.Module):
    """The mean over the windows of a max pool, whose gradient shows one place of each window alone."""

    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the means, (sample, channel, row, column)."""
        kernel, stride, padding, dilation = (
            each if isinstance(each, tuple) else (each, each)
            for each in (self.pool.kernel_size, self.pool.stride, self.pool.padding, self.pool.dilation)
        )
        rows, cols = self.pool(values.detach()).shape[-2:]
        channels = values.shape[1]
        beyond = (padding[1], padding[1] + stride[1], padding[0], padding[0] + stride[0])
        ones = values.new_full((channels, 1, *kernel), 1 / math.prod(kernel))
        means = functional.conv2d(
            functional.pad(values, beyond), ones, stride=stride, dilation=dilation, groups=channels
        )
        return means[:, :, :rows, :cols]
