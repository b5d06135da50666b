"""Layers of the form z = W a + b, with what relevance rules need of them.

A rule asks for the layer's output with other weights in the same place (their absolute values, their
positive parts), and for the transpose, which takes multipliers of the outputs to those of the inputs.
"""

from __future__ import annotations

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
    diagonal = False  # whether each output has a single input, so that nothing is weighed
    splits = False  # whether channels of the input can be taken a part at a time
    commutes = False  # whether it may be done before an upsampling instead of after

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

    def part(self, values: torch.Tensor, bias: torch.Tensor | None, channels: slice) -> torch.Tensor:
        """Return the layer's output of some of its input channels (`splits`; else all), with `bias` for its own."""
        return self.apply(values, self.weight, bias)

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
                f"the padding '{layer.padding_mode}' goes round: the other side of a tile is not the other side of the "
                f"scene. Train the network with one of: {', '.join(PADDED_BY)}"
            )
        super().__init__(layer.weight, layer.bias, dtype)
        self._mode = PADDED_BY[layer.padding_mode]
        padding, beyond = _paddings(layer)
        self._margin: tuple[int, ...] = ()
        # What is not zero, or not the same on both sides, is padded beforehand.
        if self._mode:
            self._margin = (padding[1], padding[1] + beyond[1], padding[0], padding[0] + beyond[0])
            padding = (0, 0)
        elif any(beyond):
            self._mode, self._margin = "constant", (0, beyond[1], 0, beyond[0])
        self._geometry = {"stride": layer.stride, "padding": padding, "dilation": layer.dilation}
        self._groups = layer.groups
        self.pointwise = tuple(layer.kernel_size) == (1, 1)
        self.splits = layer.groups == 1
        unpadded = not any(padding) and not any(self._margin)
        self.commutes = self.pointwise and self.splits and layer.stride == (1, 1) and unpadded

    @cached_property
    def _by_place(self) -> torch.Tensor:
        """The weights as torch's convolutions are fastest on them, channels last; float64 has no such ones."""
        if self.weight.dtype == torch.float64:
            return self.weight
        return self.weight.contiguous(memory_format=torch.channels_last)

    def part(self, values: torch.Tensor, bias: torch.Tensor | None, channels: slice) -> torch.Tensor:
        """Convolve some of the input channels."""
        return self.apply(values, self._by_place[:, channels], bias)

    def apply(self, values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Convolve."""
        if self._mode:
            values = functional.pad(values, self._margin, self._mode)
        return functional.conv2d(values, weight, bias, groups=self._groups, **self._geometry)

    def transpose(self, multipliers: torch.Tensor, weight: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """Convolve backwards."""
        if self.commutes:
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


def _paddings(layer: nn.Conv2d) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return how many rows and columns a convolution pads on either side, and how many more below and right."""
    if not isinstance(layer.padding, str):
        return tuple(layer.padding), (0, 0)
    if layer.padding == "valid":
        return (0, 0), (0, 0)
    spans = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size)]
    return (spans[0] // 2, spans[1] // 2), (spans[0] % 2, spans[1] % 2)


class TransposedConvolution(Affine):
    """A 2-D transposed convolution: each input is spread over the outputs that its kernel covers."""

    def __init__(self, layer: nn.ConvTranspose2d, dtype: torch.dtype) -> None:
        super().__init__(layer.weight, layer.bias, dtype)
        self._geometry = {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
        self._beyond, self._groups = layer.output_padding, layer.groups
        self.pointwise = tuple(layer.kernel_size) == (1, 1)
        self.splits = layer.groups == 1

    def apply(self, values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Spread."""
        options = {"output_padding": self._beyond, "groups": self._groups}
        return functional.conv_transpose2d(values, weight, bias, **self._geometry, **options)

    def transpose(self, multipliers: torch.Tensor, weight: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """Convolve."""
        gradients = functional.conv2d(multipliers, weight, None, groups=self._groups, **self._geometry)
        return gradients[
            :, :, : shape[2], : shape[3]
        ]  # `output_padding` beyond the stride adds places that no input has

    def part(self, values: torch.Tensor, bias: torch.Tensor | None, channels: slice) -> torch.Tensor:
        """Spread some of the input channels."""
        return self.apply(values, self.weight[channels], bias)


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

    diagonal = True

    def __init__(self, layer: nn.BatchNorm2d, dtype: torch.dtype) -> None:
        if layer.running_mean is None:
            raise ModelError(
                "a batch norm without running statistics scales by those of the image, so that a tile would not give "
                "what the scene gives. Train it with track_running_stats=True"
            )
        scale, shift = scale_and_shift(layer)
        super().__init__(scale, shift, dtype)

    def apply(self, values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Scale and shift."""
        shape = (-1,) + (1,) * (values.ndim - 2)
        scale = weight.view(shape)
        return values * scale if bias is None else torch.addcmul(bias.view(shape), values, scale)

    def transpose(self, multipliers: torch.Tensor, weight: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """Scale."""
        return multipliers * weight.view((-1,) + (1,) * (multipliers.ndim - 2))
