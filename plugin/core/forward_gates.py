r"""What activations do to rows: frozen where a value stands, or averaged over a step between two values.

Rows hold parts of a value, one a group of inputs, that add up to it (see :mod:`.forward_rows`). An
activation y(z) is not linear, so its rows are multiplied by one slope for all:

- *frozen* at z, the sum of the rows: by y'(z); the part y(z) - z y'(z), which piecewise linear activations
  do not have, belongs to no input and goes to the bias row;
- over a *step* from a to b: by the secant (y(b) - y(a))/(b - a). Parts that add up to b - a then add up to
  y(b) - y(a), exactly and however long the step is. Parts of a maximum of a window go to the place that is
  largest at a as long as it stays so, and then to the one that is largest at b.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True)
class Activation:
    """A function of single values.

    Parameters
    ----------
    function, derivative : callable
        y(z) and y'(z).
    bends : bool
        Whether it is smooth and bent; else it is made of straight lines through 0.
    """

    function: Callable[[torch.Tensor], torch.Tensor]
    derivative: Callable[[torch.Tensor], torch.Tensor]
    bends: bool = False


def _leaky(slope: float) -> Activation:
    return Activation(
        lambda z: functional.leaky_relu(z, slope), lambda z: torch.where(z > 0, torch.ones_like(z), slope)
    )


RELU = Activation(torch.relu, lambda z: (z > 0).to(z.dtype))
SIGMOID = Activation(torch.sigmoid, lambda z: torch.sigmoid(z) * torch.sigmoid(-z), bends=True)
TANH = Activation(torch.tanh, lambda z: 1 - torch.tanh(z) ** 2, bends=True)
# Activation of a layer, by its kind.
ACTIVATIONS: dict[type, Callable[[nn.Module], Activation]] = {
    nn.ReLU: lambda layer: RELU,
    nn.LeakyReLU: lambda layer: _leaky(layer.negative_slope),
    nn.Sigmoid: lambda layer: SIGMOID,
    nn.Tanh: lambda layer: TANH,
}


class Frozen:
    """Gates as they are at the sum of all rows; the first row is the bias."""

    base = (-1,)

    def activate(self, activation: Activation, rows: torch.Tensor) -> torch.Tensor:
        """Return the rows behind an activation."""
        z = rows.sum(0, keepdim=True)
        slope = activation.derivative(z)
        passed = rows * slope
        if activation.bends:
            passed[:1] += activation.function(z) - z * slope
        return passed

    def maximum(self, layer: nn.MaxPool2d, rows: torch.Tensor) -> torch.Tensor:
        """Return the rows behind a maximum over windows."""
        _, place = _largest(layer, rows.sum(0, keepdim=True))
        return _taken(rows, place)


class Step:
    """Gates averaged over a step; the first row is the value at its begin, the second at its end."""

    base = (-2, -1)

    def activate(self, activation: Activation, rows: torch.Tensor) -> torch.Tensor:
        """Return the rows behind an activation."""
        a, b = rows[:1], rows[1:2]
        ends = activation.function(rows[:2])
        step = b - a
        # Close to each other two values of a bent function differ by little more than rounding: there the
        # derivative in the middle is closer to the secant than the quotient.
        least = torch.finfo(rows.dtype).eps ** (1 / 3) if activation.bends else 0.0
        close = step.abs() <= least
        secant = (ends[1:] - ends[:1]) / torch.where(close, 1.0, step)
        slope = torch.where(close, activation.derivative((a + b) / 2), secant)
        return torch.cat([ends, rows[2:] * slope])

    def maximum(self, layer: nn.MaxPool2d, rows: torch.Tensor) -> torch.Tensor:
        """Return the rows behind a maximum over windows."""
        ends, place = _largest(layer, rows[:2])
        first, last = place[:1], place[1:]
        # How far the place that leads at one end lies behind there at the other: the lead changes at that share.
        lead = ends[:1] - _taken(rows[:1], last)
        behind = ends[1:] - _taken(rows[1:2], first)
        change = torch.where(
            lead + behind > 0, lead / (lead + behind).clamp(min=torch.finfo(rows.dtype).tiny), 1.0
        )
        parts = rows[2:]
        return torch.cat([ends, change * _taken(parts, first) + (1 - change) * _taken(parts, last)])


def _largest(layer: nn.MaxPool2d, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return functional.max_pool2d(
        values,
        layer.kernel_size,
        layer.stride,
        layer.padding,
        layer.dilation,
        layer.ceil_mode,
        return_indices=True,
    )


def _taken(rows: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """Return the values of all rows at one place for each window: (row, channel, window row, window column)."""
    places = place.expand(len(rows), -1, -1, -1).flatten(2)
    return rows.flatten(2).gather(2, places).view(len(rows), *place.shape[1:])


class Straight:
    """No gates: for parts whose way to the output is linear; none of them passes an activation."""

    base = ()

    def activate(self, activation: Activation, rows: torch.Tensor) -> torch.Tensor:
        """Return what there is: no row."""
        return self._none(rows)

    def maximum(self, layer: nn.MaxPool2d, rows: torch.Tensor) -> torch.Tensor:
        """Return no row, of the size behind the maximum."""
        return layer(self._none(rows))

    @staticmethod
    def _none(rows: torch.Tensor) -> torch.Tensor:
        if len(rows):
            raise ValueError("a part that should reach the output in a straight way meets an activation")
        return rows
