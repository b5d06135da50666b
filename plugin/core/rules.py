r"""Relevance rules: how a layer hands what arrives at its outputs back to its inputs.

Relevance is carried as a *multiplier* m: the relevance of a value a is m · a. At the logits the
multiplier is the seed. A layer's rule turns the multipliers of its outputs into those of its inputs, and
tells what did not go to an input (to the bias, to ε, to a zero denominator). In this form a piecewise
linear layer needs no division, and relevance stays exact where values are zero.

Layers fall into three kinds.

*Affine* layers, z_j = Σ_i z_ij + b_j with z_ij = a_i w_ij, are where methods differ:

- gradient (LRP-0): m_i = Σ_j w_ij m_j; the bias gets b_j m_j. LRP-0 hands on z_ij/z_j of the relevance
  R_j = m_j z_j, which is the same thing (Bach et al. 2015, doi 10.1371/journal.pone.0130140).
- ε: m_i = Σ_j w_ij m_j z_j/(z_j + ε s_j D_j), s_j the sign of z_j (1 at 0), D_j = Σ_i \|z_ij\| + \|b_j\|
  (LRP-ε of the same source, with ε relative to the layer's own contributions, so that it depends
  neither on units nor on scale). The bias gets its share b_j likewise, and ε the rest.

*Proportional* layers are linear without a bias: average pools, upsampling, dropout in evaluation,
concatenation, sums. Every input gets the share it contributed, by any method: mᵀ times the layer.

*Gates* are activations. Piecewise linear ones hand the multiplier on, times the slope in force.

To add a layer kind: make it affine (:data:`AFFINE`), proportional (:data:`PROPORTIONAL`) or a gate
(:data:`GATES`). To add a method: write a rule for affine layers.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from ...models.layers import BilinearUpsample, NearestUpsample, SamePool2d
from .errors import ModelError

# note(account, amount): tells what a layer did not hand to its inputs.
Note = Callable[[str, torch.Tensor], None]
# pull(multipliers of the output, note): multipliers of the inputs, None for those that carry no value.
Pull = Callable[[torch.Tensor, Note], tuple]
Step = tuple[torch.Tensor, Pull]

BIAS, EPSILON, ZERO_DENOMINATOR = "bias", "epsilon", "zero_denominator"


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

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, dtype: torch.dtype) -> None:
        self.weight = weight.detach().to(dtype)
        self.bias = None if bias is None else bias.detach().to(dtype)

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
        return _total(multipliers, others) @ self.bias.double()

    @staticmethod
    def channel_axis(values: torch.Tensor) -> int:
        """Return the axis along which the bias runs."""
        return 1


class Convolution(Affine):
    """A 2-D convolution: dilated, strided or grouped, with zero padding."""

    def __init__(self, layer: nn.Conv2d, dtype: torch.dtype) -> None:
        if layer.padding_mode != "zeros":
            raise ModelError(f"relevance has no rule for the padding '{layer.padding_mode}' of a convolution")
        super().__init__(layer.weight, layer.bias, dtype)
        padding = layer.padding
        if isinstance(padding, str):
            reach = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size)]
            if padding == "same" and any(r % 2 for r in reach):
                raise ModelError("relevance has no rule for an even convolution with padding 'same'")
            padding = tuple(r // 2 if padding == "same" else 0 for r in reach)
        self._geometry = {"stride": layer.stride, "padding": padding, "dilation": layer.dilation}
        self._groups = layer.groups
        self._pointwise = layer.groups == 1 and layer.stride == (1, 1) and tuple(padding) == (0, 0)

    def apply(self, values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Convolve."""
        return functional.conv2d(values, weight, bias, groups=self._groups, **self._geometry)

    def transpose(self, multipliers: torch.Tensor, weight: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """Convolve backwards."""
        if weight.shape[2:] == (1, 1) and self._pointwise:
            # As a product of matrices it keeps channels last, which the general way does not.
            pixels = multipliers.permute(0, 2, 3, 1) @ weight[:, :, 0, 0]
            return pixels.permute(0, 3, 1, 2)
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


class Normalisation(Affine):
    """Batch norm in evaluation mode, per channel: weight gain/sd, bias shift - gain · mean/sd.

    The sd is the root of running variance + eps.

    It stays a layer of its own: folded into a padded convolution behind it, it would be wrong at the
    border, where zeros are padded after the shift.
    """

    def __init__(self, layer: nn.BatchNorm2d, dtype: torch.dtype) -> None:
        if layer.running_mean is None:
            raise ModelError("relevance needs the running statistics of a batch norm, and one has none")
        # The shift is a difference of large numbers: it is rounded once, at the end.
        scale = 1 / (layer.running_var.double() + layer.eps).sqrt()
        if layer.weight is not None:
            scale = scale * layer.weight.double()
        shift = -layer.running_mean.double() * scale
        if layer.bias is not None:
            shift = shift + layer.bias.double()
        super().__init__(scale, shift, dtype)

    def apply(self, values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Scale and shift."""
        shape = (-1,) + (1,) * (values.ndim - 2)
        return torch.addcmul(bias.view(shape), values, weight.view(shape))

    def transpose(self, multipliers: torch.Tensor, weight: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """Scale."""
        return multipliers * weight.view((-1,) + (1,) * (multipliers.ndim - 2))


AffineRule = Callable[[Affine, torch.Tensor], Step]


def along_gradient(layer: Affine, values: torch.Tensor) -> Step:
    """Hand on z_ij/z_j of the relevance of z_j: the gradient, LRP-0."""

    def pull(multipliers: torch.Tensor, note: Note) -> tuple:
        note(BIAS, layer.offset(multipliers))
        return (layer.transpose(multipliers, layer.weight, shape),)

    shape = values.shape
    return layer.forward(values), pull


@dataclass(frozen=True)
class AlongEpsilon:
    """Hand on z_ij/(z_j + ε s_j D_j) of the relevance of z_j, D_j = Σ_i |z_ij| + |b_j|.

    Parameters
    ----------
    epsilon : float
        Relative to D_j, positive.
    """

    epsilon: float

    def __call__(self, layer: Affine, values: torch.Tensor) -> Step:
        """Return the layer's output and its pull."""
        output = layer.forward(values)
        stabiliser = layer.magnitude(values).mul_(self.epsilon)
        size = output.abs()
        # z and s D have one sign, so the share is |z|/(|z| + ε D). Where D is 0 so is z, and nothing arrives.
        share = size / (size + stabiliser).clamp_(min=torch.finfo(size.dtype).tiny)
        withheld = stabiliser.mul_(share).copysign_(output)
        shape = values.shape

        def pull(multipliers: torch.Tensor, note: Note) -> tuple:
            kept = multipliers * share
            note(BIAS, layer.offset(kept))
            note(EPSILON, _dot(multipliers, withheld))
            return (layer.transpose(kept, layer.weight, shape),)

        return output, pull


def in_proportion(layer: Callable, values: torch.Tensor, *others: torch.Tensor) -> Step:
    """Hand on relevance through a layer that is linear in its first input: by its transpose."""
    with torch.enable_grad():
        tracked = values.detach().requires_grad_()
        output = layer(tracked, *others)

    def pull(multipliers: torch.Tensor, note: Note) -> tuple:
        return (torch.autograd.grad(output, tracked, multipliers)[0], *(None for _ in others))

    return output.detach(), pull


def pooled(layer: SamePool2d, values: torch.Tensor) -> Step:
    """Average-pool by two one-dimensional sums per channel; the transpose is the mirrored sum."""
    rows, cols = values.shape[-2:]
    shares = 1 / (layer.counts(rows, values)[:, None] * layer.counts(cols, values))
    output = _box_sums(values, layer.size, layer.before, layer.after).mul_(shares)

    def pull(multipliers: torch.Tensor, note: Note) -> tuple:
        return (_box_sums(multipliers * shares, layer.size, layer.after, layer.before),)

    return output, pull


def repeated(layer: NearestUpsample, coarse: torch.Tensor, like: torch.Tensor) -> Step:
    """Repeat cells over their pixels; the transpose adds the pixels of a cell."""
    rows, cols = like.shape[-2:]
    output = layer(coarse, like).contiguous(memory_format=torch.channels_last)
    shape, ratio = coarse.shape, layer.ratio

    def pull(multipliers: torch.Tensor, note: Note) -> tuple:
        # The last cells may be cut.
        missing = (0, shape[3] * ratio - cols, 0, shape[2] * ratio - rows)
        full = functional.pad(multipliers, missing) if any(missing) else multipliers
        cells = full.unflatten(3, (shape[3], ratio)).unflatten(2, (shape[2], ratio))
        return cells.sum((3, 5)), None

    return output, pull


def _box_sums(values: torch.Tensor, size: int, before: int, after: int) -> torch.Tensor:
    channels = values.shape[1]
    padded = functional.pad(values, (before, after, before, after))
    ones = values.new_ones((channels, 1, size, 1))
    down = functional.conv2d(padded, ones, groups=channels)
    return functional.conv2d(down, ones.transpose(2, 3), groups=channels)


def rectified(layer: nn.Module, values: torch.Tensor) -> Step:
    """Hand the multiplier on where the value passed."""
    output = torch.relu(values)
    passed = output > 0

    def pull(multipliers: torch.Tensor, note: Note) -> tuple:
        return (multipliers * passed,)

    return output, pull


def leaky(layer: nn.LeakyReLU, values: torch.Tensor) -> Step:
    """Hand the multiplier on with the slope in force."""
    passed = values > 0

    def pull(multipliers: torch.Tensor, note: Note) -> tuple:
        return (torch.where(passed, multipliers, multipliers * layer.negative_slope),)

    return functional.leaky_relu(values, layer.negative_slope), pull


def unchanged(layer: nn.Module, values: torch.Tensor) -> Step:
    """Hand on through a layer that does nothing in evaluation mode."""
    return values, lambda multipliers, note: (multipliers,)


def concatenated(parts: list, dim: int = 0) -> Step:
    """Hand each part the multipliers of its own place."""
    sizes = [part.shape[dim] for part in parts]
    return torch.cat(parts, dim), lambda multipliers, note: tuple(multipliers.split(sizes, dim))


def added(first: torch.Tensor, second: torch.Tensor) -> Step:
    """Hand each summand its share of the sum: the multiplier itself."""
    if not (isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor)):
        raise ModelError("relevance has no rule for adding a number to an array inside a network")

    def pull(multipliers: torch.Tensor, note: Note) -> tuple:
        return multipliers.sum_to_size(first.shape), multipliers.sum_to_size(second.shape)

    return first + second, pull


AFFINE: dict[type, Callable[[nn.Module, torch.dtype], Affine]] = {
    nn.Conv2d: Convolution,
    nn.Linear: Dense,
    nn.BatchNorm2d: Normalisation,
}
PROPORTIONAL: dict[type, Callable[..., Step]] = {
    SamePool2d: pooled,
    NearestUpsample: repeated,
    BilinearUpsample: in_proportion,
    nn.AvgPool2d: in_proportion,
    nn.Upsample: in_proportion,
    nn.Dropout: unchanged,
    nn.Dropout2d: unchanged,
    nn.Identity: unchanged,
}
GATES: dict[type, Callable[..., Step]] = {nn.ReLU: rectified, nn.LeakyReLU: leaky}
FUNCTIONS: dict[Callable, Callable[..., Step]] = {
    torch.cat: concatenated,
    operator.add: added,
    torch.add: added,
    torch.relu: lambda values: rectified(None, values),
    functional.relu: lambda values, inplace=False: rectified(None, values),
}


class Rules:
    """The rule of every layer of a network, for one method.

    Parameters
    ----------
    affine : callable
        The rule for affine layers; the others are the same for all methods.
    dtype : torch.dtype
        Of the computation.
    """

    def __init__(self, affine: AffineRule, dtype: torch.dtype) -> None:
        self._affine = affine
        self._dtype = dtype
        self._prepared: dict[str, Affine] = {}

    def layer(self, name: str, layer: nn.Module, inputs: tuple) -> Step:
        """Return the output of a layer and its pull.

        Raises
        ------
        ModelError
            If there is no rule for such a layer, naming it.
        """
        kind = type(layer)
        if kind in AFFINE:
            if name not in self._prepared:
                try:
                    self._prepared[name] = AFFINE[kind](layer, self._dtype)
                except ModelError as error:
                    raise ModelError(f"Layer '{name}': {error}.") from error
            return self._affine(self._prepared[name], *inputs)
        rule = PROPORTIONAL.get(kind) or GATES.get(kind)
        if rule is None:
            raise ModelError(
                f"Relevance has no rule for the layer '{name}' of the kind {kind.__name__}. "
                f"Layers it knows: {', '.join(sorted(k.__name__ for k in (*AFFINE, *PROPORTIONAL, *GATES)))}."
            )
        return rule(layer, *inputs)

    def function(self, name: str, function: Callable, inputs: tuple, options: dict) -> Step:
        """Return the result of a function and its pull.

        Raises
        ------
        ModelError
            If there is no rule for such a function, naming it.
        """
        rule = FUNCTIONS.get(function)
        if rule is None:
            called = getattr(function, "__name__", function)
            raise ModelError(f"Relevance has no rule for '{called}' ('{name}' in the network).")
        return rule(*inputs, **options)


def _total(values: torch.Tensor, axes: list[int]) -> torch.Tensor:
    """Return sums in float64 of sums in the type of `values`, at least float32."""
    return values.sum(axes, dtype=torch.promote_types(values.dtype, torch.float32)).double()


def _dot(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return _total(first * second, list(range(first.ndim)))
