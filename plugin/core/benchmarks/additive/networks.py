"""Networks that learn sums of functions, with weights from a seed, and one that is such a sum exactly.

All take (sample, 1, row, column), a vector as one row, and return (sample, output): one output where they learn the
target, two where they tell classes apart. Mamalakis, Ebert-Uphoff and Barnes 2022 (doi 10.1017/eds.2022.7) for the
dense network, Mamalakis, Barnes and Ebert-Uphoff 2022 (arXiv 2202.03407) for the convolutional one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.utils import skip_init

from ....ground.errors import ModelError
from .piecewise import PiecewiseLinear

HIDDEN = (512, 256, 128, 64, 32, 16)


@dataclass(frozen=True, eq=False)
class DenseLayer:
    """A dense layer of a trained network.

    Parameters
    ----------
    weight : numpy.ndarray
        (input, output).
    bias : numpy.ndarray or None
        (output,).
    rectified : bool
        Whether a ReLU follows.
    """

    weight: np.ndarray
    bias: np.ndarray | None
    rectified: bool


def dense(inputs: int, seed: int) -> nn.Module:
    """Return the published network of six hidden layers, without a bias at its only output."""
    sizes = (inputs, *HIDDEN)
    layers: list[nn.Module] = [nn.Flatten()]
    for wide, narrow in zip(sizes, sizes[1:]):
        layers += [skip_init(nn.Linear, wide, narrow), nn.ReLU()]
    return seeded(nn.Sequential(*layers, skip_init(nn.Linear, sizes[-1], 1, bias=False)), seed)


def convolutional(seed: int) -> nn.Sequential:
    """Return the published network of three convolutions for images of 65 x 65 pixels."""
    return seeded(
        nn.Sequential(
            skip_init(nn.Conv2d, 1, 32, 5, stride=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            skip_init(nn.Conv2d, 32, 32, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            skip_init(nn.Conv2d, 32, 64, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            skip_init(nn.Linear, 64, 128),
            nn.ReLU(),
            skip_init(nn.Linear, 128, 64),
            nn.ReLU(),
            skip_init(nn.Linear, 64, 2),
        ),
        seed,
    )


def stacked(layers: Sequence[DenseLayer]) -> nn.Module:
    """Return the network of given dense layers, one output at the end, float64.

    Raises
    ------
    ModelError
        The layers do not fit each other.
    """
    sizes = [layers[0].weight.shape[0], *(layer.weight.shape[1] for layer in layers)]
    if sizes[-1] != 1 or any(len(layer.weight) != size for layer, size in zip(layers, sizes)):
        raise ModelError(
            f"The dense layers of NETWORK have {', '.join(str(layer.weight.shape) for layer in layers)} weights: each "
            "must take what the one before gives, and the last must give one number."
        )
    made: list[nn.Module] = [nn.Flatten()]
    for layer in layers:
        linear = skip_init(nn.Linear, *layer.weight.shape, bias=layer.bias is not None, dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(layer.weight.T.copy()))
            if layer.bias is not None:
                linear.bias.copy_(torch.from_numpy(np.array(layer.bias)))
        made += [linear, nn.ReLU()] if layer.rectified else [linear]
    return nn.Sequential(*made)


def inverting(network: nn.Sequential) -> nn.Module:
    """Return a network that gives for 1 - x what the given one gives for x."""
    inverse = skip_init(nn.Conv2d, 1, 1, 1)
    with torch.no_grad():
        inverse.weight.fill_(-1.0)
        inverse.bias.fill_(1.0)
    return nn.Sequential(inverse, *network).requires_grad_(False)


def exact(functions: PiecewiseLinear) -> nn.Module:
    """Return the network whose output is (1/d) Σ_i C_i(x_i), in float64.

    Each bend of a function is a hidden unit, max(0, ±(x - b)), on the side of 0 on which it lies; a function leaves 0
    with one slope on either side.
    """
    inputs, rows = functions.number, []  # of each hidden unit: input, sign, bend, weight
    for read, breaks, slopes in zip(functions.reads, functions.breaks, functions.slopes):
        rows.append((read, 1.0, 0.0, slopes[int((breaks <= 0).sum())]))
        rows.append((read, -1.0, 0.0, -slopes[int((breaks < 0).sum())]))
        for bend, change in zip(breaks, np.diff(slopes)):
            if bend != 0:
                rows.append((read, math.copysign(1.0, bend), bend, change))
    reads, signs, bends, weights = (np.array(column) for column in zip(*rows))
    first = np.zeros((inputs, len(rows)))
    first[reads.astype(int), np.arange(len(rows))] = signs
    layers = (
        DenseLayer(first, -signs * bends, rectified=True),
        DenseLayer(weights[:, None] / inputs, None, rectified=False),
    )
    return stacked(layers)


def seeded(network: nn.Module, seed: int) -> nn.Module:
    """Draw weights as He et al. 2015 (arXiv 1502.01852), uniform, and set biases to zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                bound = math.sqrt(6 / layer.weight[0].numel())
                layer.weight.uniform_(-bound, bound, generator=generator)
                if layer.bias is not None:
                    layer.bias.zero_()
    return network
