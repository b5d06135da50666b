"""Small networks of two classes for fields of one channel, with weights from a seed.

All take (sample, 1, row, column) and return (sample, 2). Their layers are torch's own, so that the rules of
:mod:`floelens.plugin.core.layers` explain them. The convolutional one is a plain example; its published counterpart
is not known in detail. Layers are made without their usual random weights: torch's own generator stays as it was.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.utils import skip_init

CLASSES = 2
KERNEL = 3
FILTERS = 8


def linear(rows: int, cols: int, seed: int) -> nn.Module:
    """Return a network without hidden layer."""
    return seeded(nn.Sequential(nn.Flatten(), _dense(rows * cols, CLASSES)), seed)


def mlp(rows: int, cols: int, seed: int) -> nn.Module:
    """Return a network of two hidden layers of 8 units."""
    hidden = 8
    return seeded(
        nn.Sequential(
            nn.Flatten(),
            _dense(rows * cols, hidden),
            nn.ReLU(),
            _dense(hidden, hidden),
            nn.ReLU(),
            _dense(hidden, CLASSES),
        ),
        seed,
    )


def cnn(rows: int, cols: int, seed: int) -> nn.Module:
    """Return a network of two padded convolutions, each with a max pool, and a dense layer."""
    return seeded(
        nn.Sequential(
            skip_init(nn.Conv2d, 1, FILTERS, KERNEL, padding=KERNEL // 2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            skip_init(nn.Conv2d, FILTERS, FILTERS, KERNEL, padding=KERNEL // 2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            _dense(FILTERS * (rows // 4) * (cols // 4), CLASSES),
        ),
        seed,
    )


def _dense(inputs: int, outputs: int) -> nn.Module:
    return skip_init(nn.Linear, inputs, outputs)


def seeded(network: nn.Module, seed: int) -> nn.Module:
    """Draw weights and biases uniformly within ±1/√(inputs of a unit), from a generator of their own."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                bound = 1 / math.sqrt(layer.weight[0].numel())
                for values in (layer.weight, layer.bias):
                    values.uniform_(-bound, bound, generator=generator)
    return network
