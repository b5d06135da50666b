"""The periods that a network's structure may print on its maps: strides, pools, upsampling and coarse cells."""

from __future__ import annotations

import math

from torch import nn

# Longer patterns cannot be seen in a window.
LONGEST = 64
SHORTEST = 2


def structural_periods(module: nn.Module, ratio: int) -> tuple[int, ...]:
    """Return the periods in pixels, ascending.

    Strides of convolutions and pools, and scale factors of upsampling, multiply along the way through a network; so
    all products of what it holds are looked for, up to :data:`LONGEST`, and the side of a coarse cell.

    Parameters
    ----------
    module : torch.nn.Module
        The network.
    ratio : int
        Fine pixels along a coarse cell; 1 where there is none.
    """
    periods = {1}
    for layer in module.modules():
        for step in _steps(layer):
            periods |= {period * step for period in periods if period * step <= LONGEST}
    if ratio <= LONGEST:
        periods |= {
            ratio,
            *(math.lcm(ratio, period) for period in periods if math.lcm(ratio, period) <= LONGEST),
        }
    return tuple(sorted(period for period in periods if period >= SHORTEST))


def _steps(layer: nn.Module) -> set[int]:
    if isinstance(layer, nn.Upsample):
        factor = layer.scale_factor
        factors = factor if isinstance(factor, (tuple, list)) else (factor,)
        return {round(f) for f in factors if f and f > 1}
    stride = getattr(layer, "stride", 1)
    strides = stride if isinstance(stride, (tuple, list)) else (stride,)
    return {int(step) for step in strides if isinstance(step, int) and step > 1}
