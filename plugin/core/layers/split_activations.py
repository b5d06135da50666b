r"""What activations do to parts: frozen where a value stands, or averaged over a step between two values.

A value is held in parts, one for each group of channels, by number (see :mod:`.split_forward`). An
activation y(z) is not linear, so its parts are multiplied by one slope for all:

- *frozen* at z, the sum of the parts: by y'(z); the part y(z) - z y'(z), which piecewise linear activations
  do not have, belongs to no input and goes to the bias part;
- over a *step* from a to b: by the secant (y(b) - y(a))/(b - a). Parts that add up to b - a then add up to
  y(b) - y(a), exactly and however long the step is. Parts of a maximum of a window go to the place that is
  largest at a as long as it stays so, and then to the one that is largest at b.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from .activations import Activation, Rectifier, on_one_piece

Values = dict[int, torch.Tensor]


class Frozen:
    """Gates as they are at the sum of all parts; part -1 is the bias."""

    base = (-1,)

    def activate(self, activation: Activation, parts: Values) -> Values:
        """Return the parts behind an activation."""
        z = _sum(parts)
        if isinstance(activation, Rectifier) and not activation.below:  # the same in one go
            return {name: torch.ops.aten.threshold_backward(part, z, 0) for name, part in parts.items()}
        slope = activation.slope(z)
        passed = {name: part * slope for name, part in parts.items()}
        if not activation.proportional:
            passed[-1] += activation.value(z) - z * slope
        return passed

    def maximum(self, layer: nn.MaxPool2d, parts: Values) -> Values:
        """Return the parts behind a maximum over windows."""
        _, place = _largest(layer, _sum(parts))
        return {name: _taken(part, place) for name, part in parts.items()}


class Step:
    """Gates averaged over a step; part -2 is the value at its begin, part -1 at its end."""

    base = (-2, -1)

    def activate(self, activation: Activation, parts: Values) -> Values:
        """Return the parts behind an activation."""
        a, b = parts[-2], parts[-1]
        passed = {name: activation.value(parts[name]) for name in self.base}
        step = b - a
        # Close to each other two values of a curved function differ by little more than rounding: there the
        # slope in the middle is closer to the secant than the quotient.
        least = torch.finfo(a.dtype).eps ** (1 / 3) if activation.curved else 0.0
        close = step.abs() <= least
        if activation.curved and activation.bends:
            close &= on_one_piece(activation, a, b)
        secant = (passed[-1] - passed[-2]) / step.masked_fill_(close, 1.0)
        slope = torch.where(close, activation.slope((a + b) / 2), secant)
        passed.update({name: part * slope for name, part in parts.items() if name >= 0})
        return passed

    def maximum(self, layer: nn.MaxPool2d, parts: Values) -> Values:
        """Return the parts behind a maximum over windows."""
        (begin, first), (end, last) = (_largest(layer, parts[name]) for name in self.base)
        # The lead changes in proportion to how far each leading place lies behind at the other end.
        lead, behind = begin - _taken(parts[-2], last), end - _taken(parts[-1], first)
        both = lead + behind
        share = torch.where(
            both > 0, lead / both.clamp(min=torch.finfo(both.dtype).tiny), torch.ones_like(both)
        )
        parts = {
            name: share * _taken(part, first) + (1 - share) * _taken(part, last)
            for name, part in parts.items()
            if name >= 0
        }
        return {-2: begin, -1: end, **parts}


class Straight:
    """No gates: for parts whose way to the output is linear; none of them meets an activation."""

    base = ()

    def activate(self, activation: Activation, parts: Values) -> Values:
        """Refuse."""
        raise ValueError("a part that should reach the output in a straight way meets an activation")

    def maximum(self, layer: nn.MaxPool2d, parts: Values) -> Values:
        """Refuse."""
        raise ValueError("a part that should reach the output in a straight way meets a maximum")


def _sum(parts: Values) -> torch.Tensor:
    first, *others = parts.values()
    if not others:
        return first
    total = first + others[0]
    for part in others[1:]:
        total += part
    return total


def _largest(layer: nn.MaxPool2d, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    geometry = (layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.ceil_mode)
    return functional.max_pool2d(values, *geometry, return_indices=True)


def _taken(part: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """Return the values at one place of each window: (1, channel, window row, window column)."""
    return part.flatten(2).gather(2, place.flatten(2)).view_as(place)
