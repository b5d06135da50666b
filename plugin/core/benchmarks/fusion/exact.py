"""The fusion network that is an additive target, with weights made from its functions: nothing is left to training.

A piecewise linear function that is zero at zero is a sum of rectified units, g(m) = Σ_k a_k max(0, ±m - b_k), b_k ≥ 0.
The first convolution takes the means of the SAR channels with both signs, the second the units of their functions,
which are skip components. The radiometer's channels are components themselves, or in the variant ``v2`` the inputs of
hidden units. All other weights are zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from ....networks.aspp.definition import AsppFusion
from .neighbourhoods import Kernel
from .truth import AdditiveTarget

if TYPE_CHECKING:
    from ..additive.piecewise import PiecewiseLinear


def units_of(functions: PiecewiseLinear, channel: int) -> Iterator[tuple[float, float, float]]:
    """Yield the units of a channel's function: sign and threshold of max(0, sign m - threshold), and its weight."""
    breaks, slopes = functions.breaks[channel], functions.slopes[channel]
    zero = int(np.searchsorted(breaks, 0.0))  # 0 is a break point
    yield 1.0, 0.0, slopes[zero + 1]
    for number in range(zero + 1, len(breaks)):
        yield 1.0, breaks[number], slopes[number + 1] - slopes[number]
    yield -1.0, 0.0, -slopes[zero]
    for number in range(zero - 1, -1, -1):
        yield -1.0, -breaks[number], slopes[number + 1] - slopes[number]


def set_exact(network: AsppFusion, target: AdditiveTarget) -> None:
    """Write the weights that make a network the target, in place.

    The SAR channels' neighbourhoods have to be of 3 × 3 pixels, and break points of curved functions hold 0.
    """
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight.zero_()
                layer.bias.zero_()
        skip = 0
        after: list[tuple[int, float]] = []  # component, and its weight in the target
        for channel in range(network.fine_channels):
            around = target.neighbourhoods[channel]
            if not isinstance(around, Kernel):
                raise AssertionError("not isinstance(around, Kernel)")
            for number, sign in enumerate((1.0, -1.0)):
                network.conv1.weight[2 * channel + number, channel] = sign * torch.from_numpy(around.weights)
            for sign, threshold, weight in units_of(target.functions, channel):
                network.conv2.weight[skip, 2 * channel + int(sign < 0), 1, 1] = 1.0
                network.conv2.bias[skip] = -threshold
                after.append((skip, float(weight)))
                skip += 1
        first = network.output.in_channels if network.hidden is None else network.hidden.in_channels
        first -= network.coarse_channels
        if network.hidden is None:
            for number in range(network.coarse_channels):
                after.append(
                    (first + number, float(target.functions.slopes[network.fine_channels + number, 0]))
                )
            for component, weight in after:
                network.output.weight[0, component] = weight
            return
        hidden = 0
        for component, weight in after:  # what is not negative passes as it is
            network.hidden.weight[hidden, component] = 1.0
            network.output.weight[0, hidden] = weight
            hidden += 1
        for number in range(network.coarse_channels):
            for sign, threshold, weight in units_of(target.functions, network.fine_channels + number):
                network.hidden.weight[hidden, first + number] = sign
                network.hidden.bias[hidden] = -threshold
                network.output.weight[0, hidden] = float(weight)
                hidden += 1
