r"""Relevance rules: how a layer distributes what arrives at its outputs over its inputs.

Relevance is carried as a *multiplier* m: the relevance of a value a is m · a. At the logits the
multiplier is the seed. A layer's rule turns the multipliers of its outputs into those of its inputs, and
records what did not go to an input (but to the bias, to ε, to a zero denominator). In this form a piecewise
linear layer needs no division, and relevance stays exact where values are zero.

:mod:`.kinds` lists the layers that are known: those that share in proportion (:mod:`.linear`), those that decide
(:mod:`.activations`), and *affine* ones (:mod:`.affine`), z_j = Σ_i z_ij + b_j with z_ij = a_i w_ij. There
methods differ. With R_j = m_j z_j what arrived, an input gets, summed over j,

- LRP-0, the gradient: z_ij/z_j of R_j, which is m_i = Σ_j w_ij m_j; the bias gets b_j/z_j;
- ε: z_ij/(z_j + ε s_j D_j), s_j the sign of z_j (1 at 0), D_j = Σ_i \|z_ij\| + \|b_j\|; ε is relative to the
  layer's own contributions, so that it depends neither on units nor on scale. The bias gets its share
  b_j likewise, and ε the rest;
- γ: contributions with the sign of z_j count 1 + γ times, those of the bias too. Where inputs and z_j are
  positive this is w + γ w⁺; the denominator never vanishes before z_j does, whatever the signs;
- αβ: α z_ij⁺/Σ_i z_ij⁺ - β z_ij⁻/Σ_i z_ij⁻ with α - β = 1. The bias takes no part. What arrives where there
  is no contribution of a sign is lost to a zero denominator. z⁺ is α = 1, β = 0.

A batch norm has one input an output, and no contributions to weigh against each other: it follows LRP-0
in all methods but ε. A *first layer* may have a rule that does not look at the input's value as such:

- w²: w_ij²/Σ_i w_ij²;  flat: 1/Σ_i 1;
- z^B: (x_i w_ij - l_i w_ij⁺ - h_i w_ij⁻)/Σ_i(…), l and h the bounds of the input.

These return relevance itself, :class:`DirectRelevance`, since x_i may be zero where R_i is not.

Sources: Bach et al. 2015 (doi 10.1371/journal.pone.0130140) for 0, ε and αβ; Montavon et al. 2017 (doi
10.1016/j.patcog.2016.11.008) for z⁺, w² and z^B; Montavon et al. 2019 (doi 10.1007/978-3-030-28954-6_10)
for γ, flat and composites.

To add a kind of layer, add a row to :mod:`.kinds`; to add a method, write a rule for affine layers here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from .activations import Rescaled, Tangent, along_tangent
from .affine import Affine
from .conservation import BIAS, EPSILON, ZERO_DENOMINATOR, Record, total
from .kinds import explaining, kind_of_call, kind_of_layer
from .layer_kind import Activated, Call, Concatenation, LayerKind, Linear, Maximum, Sum, Unknown, Weighted
from .linear import LayerPass, added, concatenated

AffineRule = Callable[[Affine, torch.Tensor], LayerPass]
# dropout(name, layer, values): what takes the place of a layer that does nothing in evaluation mode.
DropoutRule = Callable[[str, nn.Module, torch.Tensor], LayerPass]


@dataclass(frozen=True)
class DirectRelevance:
    """Relevance given as such, not as a multiplier of the input.

    Parameters
    ----------
    relevance : torch.Tensor
        Shaped as the input.
    """

    relevance: torch.Tensor


def along_gradient(layer: Affine, values: torch.Tensor) -> LayerPass:
    """Pass z_ij/z_j of the relevance of z_j to input i: the gradient, LRP-0."""

    def backward(multipliers: torch.Tensor, record: Record) -> tuple:
        record(BIAS, layer.offset(multipliers))
        return (layer.transpose(multipliers, layer.weight, shape),)

    shape = values.shape
    return layer.forward(values), backward


@dataclass(frozen=True)
class AlongEpsilon:
    """Pass to input i z_ij/(z_j + ε s_j D_j) of the relevance of z_j, D_j = Σ_i |z_ij| + |b_j|.

    Parameters
    ----------
    epsilon : float
        Relative to D_j, positive.
    """

    epsilon: float

    def __call__(self, layer: Affine, values: torch.Tensor) -> LayerPass:
        """Return the layer's output and its backward pass."""
        output = layer.forward(values)
        stabiliser = layer.magnitude(values).mul_(self.epsilon)
        size = output.abs()
        # z and s D have one sign, so the share is |z|/(|z| + ε D). Where D is 0 so is z, and nothing arrives.
        share = size / (size + stabiliser).clamp_(min=torch.finfo(size.dtype).tiny)
        withheld = stabiliser.mul_(share).copysign_(output)
        shape = values.shape

        def backward(multipliers: torch.Tensor, record: Record) -> tuple:
            kept = multipliers * share
            record(BIAS, layer.offset(kept))
            record(EPSILON, total(multipliers * withheld))
            return (layer.transpose(kept, layer.weight, shape),)

        return output, backward


class _Signed:
    """The positive and the negative contributions to each output of a layer, and their transpose."""

    def __init__(self, layer: Affine, values: torch.Tensor) -> None:
        self._layer, self._shape = layer, values.shape
        above = values.clamp(min=0)
        self._below = values < 0
        if not self._below.any():
            self._below = None
        self.positive = layer.apply(above, layer.positive, None)  # Σ_i z_ij⁺
        self.negative = layer.apply(above, layer.negative, None)  # Σ_i z_ij⁻
        if self._below is not None:
            below = values.clamp(max=0)
            self.positive = self.positive + layer.apply(below, layer.negative, None)
            self.negative = self.negative + layer.apply(below, layer.positive, None)

    def output(self) -> torch.Tensor:
        """Return z."""
        sums = self.positive + self.negative
        return sums if self._layer.bias is None else sums + self._layer.along_channels(self._layer.bias, sums)

    def back(self, positive: torch.Tensor, negative: torch.Tensor | None) -> torch.Tensor:
        """Return multipliers of the inputs for multipliers of the contributions of either sign."""
        layer, shape = self._layer, self._shape
        passed = layer.transpose(positive, layer.positive, shape)
        if negative is not None:
            passed = passed + layer.transpose(negative, layer.negative, shape)
        if self._below is None:
            return passed
        other = layer.transpose(positive, layer.negative, shape)
        if negative is not None:
            other = other + layer.transpose(negative, layer.positive, shape)
        return torch.where(self._below, other, passed)


@dataclass(frozen=True)
class AlongGamma:
    """Distribute relevance with contributions of the sign of z_j counted 1 + γ times.

    Parameters
    ----------
    gamma : float
        Not negative; 0 is LRP-0.
    """

    gamma: float

    def __call__(self, layer: Affine, values: torch.Tensor) -> LayerPass:
        """Return the layer's output and its backward pass."""
        signed = _Signed(layer, values)
        output = signed.output()
        up = (output >= 0).to(output.dtype)
        for_positive, for_negative = 1 + self.gamma * up, 1 + self.gamma * (1 - up)
        denominator = signed.positive * for_positive + signed.negative * for_negative
        bias = None
        if layer.bias is not None:
            bias = layer.along_channels(layer.bias, output)
            bias = bias * torch.where(bias > 0, for_positive, for_negative)
            denominator = denominator + bias
        # z and the denominator have one sign, and this one is the larger: where it is 0 nothing arrives.
        zero = denominator == 0
        share = torch.where(zero, 0.0, output / torch.where(zero, 1.0, denominator))

        def backward(multipliers: torch.Tensor, record: Record) -> tuple:
            kept = multipliers * share
            if bias is not None:
                record(BIAS, total(kept * bias))
            return (signed.back(kept * for_positive, kept * for_negative),)

        return output, backward


@dataclass(frozen=True)
class AlongSigns:
    """Pass α of the relevance to positive contributions and -β to negative ones, α - β = 1.

    Parameters
    ----------
    alpha : float
        At least 1; 1 is z⁺.
    """

    alpha: float

    def __call__(self, layer: Affine, values: torch.Tensor) -> LayerPass:
        """Return the layer's output and its backward pass."""
        signed = _Signed(layer, values)
        output, beta = signed.output(), self.alpha - 1
        none_for, for_it = _quotient(self.alpha * output, signed.positive)
        none_against, against = _quotient(-beta * output, signed.negative)

        def backward(multipliers: torch.Tensor, record: Record) -> tuple:
            lost = total(torch.where(none_for, self.alpha * multipliers * output, 0.0))
            if beta:
                lost = lost - total(torch.where(none_against, beta * multipliers * output, 0.0))
            record(ZERO_DENOMINATOR, lost)
            return (signed.back(multipliers * for_it, multipliers * against if beta else None),)

        return output, backward


@dataclass(frozen=True)
class ByKind:
    """A rule for each kind of affine layer.

    Parameters
    ----------
    wide : callable
        Rule of convolutions that read more than one place.
    pointwise : callable
        Rule of dense layers and 1 x 1 convolutions.
    """

    wide: AffineRule
    pointwise: AffineRule

    def __call__(self, layer: Affine, values: torch.Tensor) -> LayerPass:
        """Return the layer's output and its backward pass."""
        if layer.diagonal:
            return along_gradient(layer, values)
        return (self.pointwise if layer.pointwise else self.wide)(layer, values)


def by_squares(layer: Affine, values: torch.Tensor) -> LayerPass:
    """Distribute relevance by the squared weights (w²)."""
    return _by_weights(layer, values, layer.weight**2)


def evenly(layer: Affine, values: torch.Tensor) -> LayerPass:
    """Distribute relevance in equal parts (flat)."""
    return _by_weights(layer, values, torch.ones_like(layer.weight))


def _by_weights(layer: Affine, values: torch.Tensor, weight: torch.Tensor) -> LayerPass:
    output, shape = layer.forward(values), values.shape
    zero, share = _quotient(output, layer.apply(torch.ones_like(values), weight, None))

    def backward(multipliers: torch.Tensor, record: Record) -> tuple:
        record(ZERO_DENOMINATOR, total(torch.where(zero, multipliers * output, 0.0)))
        return (DirectRelevance(layer.transpose(multipliers * share, weight, shape)),)

    return output, backward


@dataclass(frozen=True)
class WithinBox:
    """Distribute relevance by what lies between an input and its bounds (z^B).

    Parameters
    ----------
    bound : float
        Inputs lie between - `bound` and `bound`; one that does not is its own bound.
    """

    bound: float

    def __call__(self, layer: Affine, values: torch.Tensor) -> LayerPass:
        """Return the layer's output and its backward pass."""
        output, shape = layer.forward(values), values.shape
        low, high = values.clamp(max=-self.bound), values.clamp(min=self.bound)
        sums = layer.apply(values, layer.weight, None) - layer.apply(low, layer.positive, None)
        zero, share = _quotient(output, sums - layer.apply(high, layer.negative, None))

        def backward(multipliers: torch.Tensor, record: Record) -> tuple:
            record(ZERO_DENOMINATOR, total(torch.where(zero, multipliers * output, 0.0)))
            kept = multipliers * share
            relevance = values * layer.transpose(kept, layer.weight, shape)
            relevance = relevance - low * layer.transpose(kept, layer.positive, shape)
            return (DirectRelevance(relevance - high * layer.transpose(kept, layer.negative, shape)),)

        return output, backward


class Rules:
    """The rule of every layer of a network, for one method.

    Parameters
    ----------
    affine : callable
        The rule for affine layers.
    dtype : torch.dtype
        Of the computation.
    gates : Tangent or Rescaled, optional
        The rule for activations and max pools; default: by the slope.
    first : callable, optional
        Another rule for the affine layers that read the inputs.
    dropout : callable, optional
        What dropout does; default: nothing.
    """

    def __init__(
        self,
        affine: AffineRule,
        dtype: torch.dtype,
        gates: Tangent | Rescaled | None = None,
        first: AffineRule | None = None,
        dropout: DropoutRule | None = None,
    ) -> None:
        self._affine, self._dtype, self._first = affine, dtype, first
        self._gates = gates or Tangent()
        self._dropout = dropout
        # Gradients need no rule: layers that nothing shares out go by their slope.
        self._by_slope = affine is along_gradient and type(self._gates) is Tangent and first is None
        self._prepared: dict[str, Affine] = {}

    @property
    def needs_first(self) -> bool:
        """Whether the layers that read the inputs have a rule of their own."""
        return self._first is not None

    def layer(self, name: str, layer: nn.Module, inputs: tuple, first: bool = False) -> LayerPass:
        """Return the output of a layer and its backward pass; `first`: it reads the inputs of the network.

        Raises
        ------
        ModelError
            If there is no rule for such a layer, naming it.
        """
        kind = kind_of_layer(name, layer, self._by_slope)
        rule = self._first if first and self._first else self._affine
        with explaining(name, name):
            return self._step(kind, rule, name, layer, inputs)

    def function(self, name: str, call: Call, inputs: tuple, options: dict) -> LayerPass:
        """Return the result of a function, or of a method of a tensor, and its backward pass.

        Raises
        ------
        ModelError
            If there is no rule for such a function, naming it.
        """
        kind = kind_of_call(name, call, self._by_slope)
        with explaining(call, name):
            if isinstance(kind.mathematics, Unknown):
                return along_tangent(_called(call, options), *inputs)
            if isinstance(kind.mathematics, Concatenation):
                return concatenated(*inputs, **options)
            if isinstance(kind.mathematics, Sum):
                return added(*inputs, **options)
            values, layer = kind.layer_of(call, inputs, options)
            return self._step(kind_of_layer(name, layer), self._affine, name, layer, (values,))

    def _step(
        self, kind: LayerKind, rule: AffineRule, name: str, layer: nn.Module, inputs: tuple
    ) -> LayerPass:
        how = kind.mathematics
        if isinstance(how, Unknown):
            return along_tangent(layer, *inputs)
        if isinstance(how, Weighted):
            if name not in self._prepared:
                self._prepared[name] = how.prepare(layer, self._dtype)
            return rule(self._prepared[name], *inputs)
        if isinstance(how, Activated):
            return self._gates.activation(name, how.activation(layer), *inputs)
        if isinstance(how, Maximum):
            return self._gates.largest(name, layer, *inputs)
        if kind.drops and self._dropout:
            return self._dropout(name, layer, *inputs)
        if not isinstance(how, Linear):
            raise AssertionError("not isinstance(how, Linear)")
        return how.backward(layer, *inputs)


def _called(call: Call, options: dict) -> Callable[..., torch.Tensor]:
    """Return what calls a function, or a method of its first argument."""
    if isinstance(call, str):
        return lambda values, *others: getattr(values, call)(*others, **options)
    return partial(call, **options)


def _quotient(numerator: torch.Tensor, denominator: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return where the denominator is zero, and the quotient, zero there."""
    zero = denominator == 0
    return zero, torch.where(zero, 0.0, numerator / torch.where(zero, 1.0, denominator))
