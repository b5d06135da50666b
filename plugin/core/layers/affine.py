"""Layers of the form z = W a + b, with what relevance rules need of them.

A rule asks for the layer's output with other weights in the same place (their absolute values, their
positive parts), and for the transpose, which hands multipliers back to the inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import nn
from torch.nn import functional

from ...ground.errors import ModelError
from .conservation import total

# Padding of torch's convolutions → what functional.pad calls it; '' is the convolution's own. Padding that
# goes round ('circular') is missing: the other side of a tile is not the other side of the scene.
PADDED_BY = {"zeros": "", "reflect": "reflect", "replicate": "replicate"}


class Affine:
    """z = W a + b, with what rules need: other weights in the same place, and the transpose.

    Parameters
    ----------
    weight : torch.Tensor
        The weights.
    bias : torch.Tensor or None
        (output channel,); None where the layer has none.
    dtype : torch.dtype
        Of the computation.
    """

    pointwise = True  # whether an output reads one place only

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, dtype: torch.dtype) -> None:
        self.weight = weight.detach().to(dtype)
        self.bias = None if bias is None else bias.detach().to(dtype)

    @cached_property
    def positive(self) -> torch.Tensor:
        """The weights above zero, zero elsewhere."""
        return self.weight.clamp(min=0)

    @cached_property
    def negative(self) -> torch.Tensor:
        """The weights below zero, zero elsewhere."""
        return self.weight.clamp(max=0)

    def apply(self, values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Return the layer's output for `values`, with `weight` and `bias` in place of its own."""
        raise NotImplementedError

    def transpose(self, multipliers: torch.Tensor, weight: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """Return Wᵀ m for inputs of `shape`, with `weight` in place of the layer's own."""
        raise NotImplementedError

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the layer's output."""
        return self.apply(values, self.weight, self.bias)

    def magnitude(self, values: torch.Tensor) -> torch.Tensor:
        """Return Σ_i |z_ij| + |b_j| at each output."""
        return self.apply(values.abs(), self.weight.abs(), None if self.bias is None else self.bias.abs())

    def offset(self, multipliers: torch.Tensor) -> torch.Tensor:
        """Return Σ_j b_j m_j over all outputs, float64."""
        if self.bias is None:
            return torch.zeros((), dtype=torch.float64)
        others = [axis for axis in range(multipliers.ndim) if axis != self.channel_axis(multipliers)]
        return total(multipliers, others) @ self.bias.double()

    def along_channels(self, vector: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """Return one number a channel, shaped to be added to outputs such as `like`."""
        return vector.view([-1 if axis == self.channel_axis(like) else 1 for axis in range(like.ndim)])

    @staticmethod
    def channel_axis(values: torch.Tensor) -> int:
        """Return the axis along which the bias runs."""
        return 1


class Convolution(Affine):
    """A 2-D convolution: dilated, strided or grouped, padded with zeros, by reflection or by replication.

    A pixel that padding repeats contributes once for each place it stands in.
    """

    def __init__(self, layer: nn.Conv2d, dtype: torch.dtype) -> None:
        if layer.padding_mode not in PADDED_BY:
            raise ModelError(
                f"relevance has no rule for the padding '{layer.padding_mode}' of a convolution "
                f"(known: {', '.join(PADDED_BY)})"
            )
        super().__init__(layer.weight, layer.bias, dtype)
        padding = layer.padding
        if isinstance(padding, str):
            reach = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size)]
            if padding == "same" and any(r % 2 for r in reach):
                raise ModelError("relevance has no rule for an even convolution with padding 'same'")
            padding = tuple(r // 2 if padding == "same" else 0 for r in reach)
        self._mode = PADDED_BY[layer.padding_mode]
        # What is not zero is padded beforehand, by itself.
        self._margin = (padding[1], padding[1], padding[0], padding[0]) if self._mode else ()
        self._geometry = {
            "stride": layer.stride,
            "padding": (0, 0) if self._mode else tuple(padding),
            "dilation": layer.dilation,
        }
        self._groups = layer.groups
        self.pointwise = tuple(layer.kernel_size) == (1, 1)
        self._product = self.pointwise and layer.groups == 1 and layer.stride == (1, 1) and not any(padding)

    def apply(self, values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Convolve."""
        if self._mode:
            values = functional.pad(values, self._margin, self._mode)
        return functional.conv2d(values, weight, bias, groups=self._groups, **self._geometry)

    def transpose(self, multipliers: torch.Tensor, weight: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """Convolve backwards."""
        if self._product:
            # As a product of matrices it keeps channels last, which the general way does not.
            pixels = multipliers.permute(0, 2, 3, 1) @ weight[:, :, 0, 0]
            return pixels.permute(0, 3, 1, 2)
        if self._mode:
            with torch.enable_grad():
                plain = torch.zeros(shape, dtype=weight.dtype, device=weight.device, requires_grad=True)
                padded = functional.pad(plain, self._margin, self._mode)
            return torch.autograd.grad(padded, plain, self._backwards(multipliers, weight, padded.shape))[0]
        return self._backwards(multipliers, weight, shape)

    def _backwards(self, multipliers: torch.Tensor, weight: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        # Only the shape of the input matters for the gradient with respect to it.
        like = torch.empty(shape, dtype=weight.dtype, device=weight.device, memory_format=torch.channels_last)
        geometry = self._geometry
        return torch.ops.aten.convolution_backward(
            multipliers.contiguous(memory_format=torch.channels_last),
            like,
            weight,
            None,
            geometry["stride"],
            geometry["padding"],
            geometry["dilation"],
            False,
            (0, 0),
            self._groups,
            (True, False, False),
        )[0]


class Dense(Affine):
    """A linear layer along the last axis."""

    def __init__(self, layer: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__(layer.weight, layer.bias, dtype)

    def apply(self, values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Multiply."""
        return functional.linear(values, weight, bias)

    def transpose(self, multipliers: torch.Tensor, weight: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """Multiply by the transpose."""
        return multipliers @ weight

    @staticmethod
    def channel_axis(values: torch.Tensor) -> int:
        """Return the last axis."""
        return values.ndim - 1


def scale_and_shift(layer: nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    """Return gain/sd and bias - mean · gain/sd of a batch norm in evaluation mode, (channel,), float64."""
    # The shift is a difference of large numbers: it is rounded once, at the end.
    scale = 1 / (layer.running_var.double() + layer.eps).sqrt()
    if layer.weight is not None:
        scale = scale * layer.weight.double()
    shift = -layer.running_mean.double() * scale
    if layer.bias is not None:
        shift = shift + layer.bias.double()
    return scale, shift


class Normalisation(Affine):
    """Batch norm in evaluation mode, per channel: weight gain/sd, bias shift - gain · mean/sd.

    The sd is the root of running variance + eps.

    It stays a layer of its own: folded into a padded convolution behind it, it would be wrong at the
    border, where zeros are padded after the shift.
    """

    def __init__(self, layer: nn.BatchNorm2d, dtype: torch.dtype) -> None:
        if layer.running_mean is None:
            raise ModelError("relevance needs the running statistics of a batch norm, and one has none")
        scale, shift = scale_and_shift(layer)
        super().__init__(scale, shift, dtype)

    def apply(self, values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Scale and shift."""
        shape = (-1,) + (1,) * (values.ndim - 2)
        return torch.addcmul(bias.view(shape), values, weight.view(shape))

    def transpose(self, multipliers: torch.Tensor, weight: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """Scale."""
        return multipliers * weight.view((-1,) + (1,) * (multipliers.ndim - 2))


AFFINE: dict[type, Callable[[nn.Module, torch.dtype], Affine]] = {
    nn.Conv2d: Convolution,
    nn.Linear: Dense,
    nn.BatchNorm2d: Normalisation,
}
