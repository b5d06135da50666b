"""Activations and max pools: layers whose slope depends on the value itself.

Three rules for the multipliers of y = g(z):

- *tangent* (gradients): m g'(z). Where g is curved, y is not g'(z) z: the intercept of the tangent,
  y - g'(z) z, is a constant of the network at this input and counts as a bias.
- *whole* (LRP): z receives all relevance of y, m y/z; for ReLU and leaky ReLU the same thing.
- *rescaled* (DeepLIFT, Shrikumar et al. 2017, arXiv 1704.02685): m Δy/Δz, differences to the values at
  the baseline; where Δz is too small for a quotient, the slope half way (curved gates only).

A max pool passes relevance to the winner. DeepLIFT shares a difference of maxima between two inputs: what made
the maximum larger than it was at the baseline goes to the winner, what made it smaller to the winner at
the baseline. Either part is smaller than the difference of its input, so the quotients are at most 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import nn
from torch.nn import functional

from .conservation import BIAS, ZERO_DENOMINATOR, Record, total
from .linear import LayerPass


class Activation(Protocol):
    """y = g(z), value by value.

    Attributes
    ----------
    curved : bool
        Whether it bends smoothly somewhere; else it is made of straight pieces.
    proportional : bool
        Whether y = g'(z) z everywhere, as of straight pieces through 0.
    bends : tuple of float
        Where pieces meet; the piece below takes the point itself.
    """

    curved: bool
    proportional: bool
    bends: tuple[float, ...]

    def value(self, z: torch.Tensor) -> torch.Tensor:
        """Return g(z)."""

    def slope(self, z: torch.Tensor) -> torch.Tensor:
        """Return g'(z)."""


class Rectifier:
    """ReLU, or leaky ReLU with a slope below zero."""

    curved, proportional, bends = False, True, (0.0,)

    def __init__(self, below: float = 0.0) -> None:
        self.below = below

    def value(self, z: torch.Tensor) -> torch.Tensor:
        """Return z above zero, a share of it below."""
        return functional.leaky_relu(z, self.below) if self.below else torch.relu(z)

    def slope(self, z: torch.Tensor) -> torch.Tensor:
        """Return 1 above zero, the slope below."""
        passed = z > 0
        # A mask of single bytes serves a plain ReLU.
        return torch.where(passed, torch.ones_like(z), self.below) if self.below else passed


class Sigmoid:
    """The logistic function."""

    curved, proportional, bends = True, False, ()

    def value(self, z: torch.Tensor) -> torch.Tensor:
        """Return 1/(1 + exp(-z))."""
        return torch.sigmoid(z)

    def slope(self, z: torch.Tensor) -> torch.Tensor:
        """Return y (1 - y)."""
        return torch.sigmoid(z) * torch.sigmoid(-z)  # 1 - y would round to zero long before it is small


class HyperbolicTangent:
    """The hyperbolic tangent."""

    curved, proportional, bends = True, False, ()

    def value(self, z: torch.Tensor) -> torch.Tensor:
        """Return tanh z."""
        return torch.tanh(z)

    def slope(self, z: torch.Tensor) -> torch.Tensor:
        """Return 1 - tanh² z."""
        return 1 - torch.tanh(z) ** 2


class Clamped:
    """Values between two bounds pass, others become the bound (hardtanh, ReLU6)."""

    curved, proportional = False, False

    def __init__(self, low: float, high: float) -> None:
        self.bends = (low, high)

    def value(self, z: torch.Tensor) -> torch.Tensor:
        """Return z, or the bound it is beyond."""
        return z.clamp(*self.bends)

    def slope(self, z: torch.Tensor) -> torch.Tensor:
        """Return 1 between the bounds, 0 beyond."""
        low, high = self.bends
        return (z > low) & (z <= high)


class Smooth:
    """Any other function of single values; its slope is torch's own derivative.

    Parameters
    ----------
    function : callable
        g, not in place.
    bends : tuple of float
        Where its slope jumps, if anywhere.
    """

    curved, proportional = True, False

    def __init__(
        self, function: Callable[[torch.Tensor], torch.Tensor], bends: tuple[float, ...] = ()
    ) -> None:
        self.value, self.bends = function, bends

    def slope(self, z: torch.Tensor) -> torch.Tensor:
        """Return g'(z)."""
        with torch.enable_grad():
            tracked = z.detach().requires_grad_()
            output = self.value(tracked)
        return torch.autograd.grad(output, tracked, torch.ones_like(output))[0]


def on_one_piece(gate: Activation, z: torch.Tensor, other: torch.Tensor) -> torch.Tensor | None:
    """Return where no bend of an activation lies between two values; None where it has none."""
    same_piece = None
    for bend in gate.bends:
        here = (z > bend) == (other > bend)
        same_piece = here if same_piece is None else same_piece & here
    return same_piece


class Tangent:
    """The gradient: multipliers times the slope at the value."""

    def activation(self, name: str, gate: Activation, z: torch.Tensor) -> LayerPass:
        """Return the activation's output and its backward pass."""
        output, slope = gate.value(z), gate.slope(z)
        intercept = None if gate.proportional else output - slope * z

        def backward(multipliers: torch.Tensor, record: Record) -> tuple:
            if intercept is not None:
                record(BIAS, total(multipliers * intercept))
            return (multipliers * slope,)

        return output, backward

    def largest(self, name: str, pool: nn.MaxPool2d, values: torch.Tensor) -> LayerPass:
        """Return the output of a max pool and its backward pass."""
        output, winners = _pool(pool, values)

        def backward(multipliers: torch.Tensor, record: Record) -> tuple:
            return (_scattered(winners, multipliers, values.shape),)

        return output, backward


def along_tangent(function: Callable[..., torch.Tensor], *inputs: object) -> LayerPass:
    """Propagate through any function of arrays by its slope; what its tangent is beside 0 counts as a bias."""
    with torch.enable_grad():
        arguments = [x.detach().requires_grad_() if isinstance(x, torch.Tensor) else x for x in inputs]
        tracked = [x for x in arguments if isinstance(x, torch.Tensor)]
        output = function(*arguments)

    def backward(multipliers: torch.Tensor, record: Record) -> tuple:
        slopes = torch.autograd.grad(output, tracked, multipliers, retain_graph=True)
        shared = sum(total(slope * values.detach()) for slope, values in zip(slopes, tracked))
        record(BIAS, total(multipliers * output.detach()) - shared)
        return slopes

    return output.detach(), backward


class Whole(Tangent):
    """LRP: the input of an activation receives all relevance of its output."""

    def activation(self, name: str, gate: Activation, z: torch.Tensor) -> LayerPass:
        """Return the activation's output and its backward pass."""
        if gate.proportional:
            return super().activation(name, gate, z)
        output = gate.value(z)
        at_zero = z == 0
        share = torch.where(at_zero, 0.0, output / torch.where(at_zero, 1.0, z))

        def backward(multipliers: torch.Tensor, record: Record) -> tuple:
            record(ZERO_DENOMINATOR, total(torch.where(at_zero, multipliers * output, 0.0)))
            return (multipliers * share,)

        return output, backward


class Rescaled:
    """DeepLIFT: differences to a baseline; values there are kept from :meth:`record` on."""

    def __init__(self) -> None:
        self.recording = False
        # By name, in the order of the calls: a network may use one layer several times.
        self._kept: dict[str, list[torch.Tensor]] = {}

    def record(self) -> None:
        """Begin to keep what the gates hold, and forget what a pass that failed has left."""
        self._kept.clear()
        self.recording = True

    def activation(self, name: str, gate: Activation, z: torch.Tensor) -> LayerPass:
        """Return the activation's output and its backward pass."""
        output = gate.value(z)
        if self.recording:
            self._kept.setdefault(name, []).append(z)
            return output, _no_backward_pass
        base = self._kept[name].pop(0)
        step = z - base
        # On one side of a bend of straight pieces the quotient is the slope. Across it neither difference cancels, and
        # a slope would be wrong however small the step: a rectifier knows no scale.
        by_slope = on_one_piece(gate, z, base)
        if gate.curved:
            # Below, the quotient would lose more digits to cancellation than the slope half way is wrong by.
            size = torch.maximum(z.abs(), base.abs()).clamp_(min=1.0)
            close = step.abs() <= size * torch.finfo(z.dtype).eps ** (1 / 3)
            by_slope = close if by_slope is None else close & by_slope
            slope = gate.slope((z + base) / 2)
        else:
            slope = gate.slope(z)
        quotient = (output - gate.value(base)) / torch.where(by_slope, 1.0, step)
        share = torch.where(by_slope, slope.to(z.dtype), quotient)
        return output, lambda multipliers, record: (multipliers * share,)

    def largest(self, name: str, pool: nn.MaxPool2d, values: torch.Tensor) -> LayerPass:
        """Return the output of a max pool and its backward pass."""
        output, winners = _pool(pool, values)
        if self.recording:
            self._kept.setdefault(name, []).append(values)
            return output, _no_backward_pass
        base = self._kept[name].pop(0)
        base_output, base_winners = _pool(pool, base)
        change = output - base_output
        step = (values - base).flatten(2)

        def share(chosen: torch.Tensor) -> torch.Tensor:
            step_there = step.gather(2, chosen.flatten(2)).view_as(change)
            return torch.where(step_there == 0, 0.0, change / torch.where(step_there == 0, 1.0, step_there))

        raised = torch.where(change > 0, share(winners), 0.0)
        lowered = torch.where(change < 0, share(base_winners), 0.0)

        def backward(multipliers: torch.Tensor, record: Record) -> tuple:
            to_winner = _scattered(winners, multipliers * raised, values.shape)
            return (to_winner + _scattered(base_winners, multipliers * lowered, values.shape),)

        return output, backward


def _no_backward_pass(multipliers: torch.Tensor, record: Record) -> tuple:
    raise RuntimeError("a pass over the baseline has no backward pass")


def _pool(pool: nn.MaxPool2d, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return functional.max_pool2d(
        values,
        pool.kernel_size,
        pool.stride,
        pool.padding,
        pool.dilation,
        ceil_mode=pool.ceil_mode,
        return_indices=True,
    )


def _scattered(places: torch.Tensor, multipliers: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Return multipliers added up at flat `places` of planes of `shape`."""
    planes = multipliers.new_zeros((*shape[:2], shape[2] * shape[3]))
    return planes.scatter_add_(2, places.flatten(2), multipliers.flatten(2)).view(shape)
