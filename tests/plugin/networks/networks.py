"""Networks and cards for the tests, made by functions."""

from __future__ import annotations

import dataclasses
import math

import torch
from floelens.plugin.networks.aspp.card import aspp_card
from floelens.plugin.networks.aspp.definition import AsppFusion
from floelens.plugin.networks.aspp.fast.forward import FastAspp
from floelens.plugin.networks.card import Head, HeadClass, ModelCard
from torch import nn

VARIANTS = ("fusion", "interpretability_small", "interpretability_large", "v2")
CONCENTRATION = Head("concentration", "sigmoid", (HeadClass("ice", 1, "#ff0000", 100.0),), "%")
ICE_TYPE = Head(
    "ice type",
    "softmax",
    (
        HeadClass("open water", 0, "#0064ff"),
        HeadClass("young ice", 1, "#aa28f0"),
        HeadClass("old ice", 2, "#b46432"),
    ),
)


def randomise(network: nn.Module, seed: int) -> None:
    """Give every weight, bias and batch-norm statistic a value that is not its default."""
    generator = torch.Generator().manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            span = math.sqrt(6 / (layer.weight[0].numel() + layer.weight[:, 0].numel()))
            layer.weight.data.uniform_(-span, span, generator=generator)
            if layer.bias is not None:
                layer.bias.data.uniform_(-0.3, 0.3, generator=generator)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.weight.data.uniform_(0.5, 1.5, generator=generator)
            layer.bias.data.uniform_(-0.5, 0.5, generator=generator)
            layer.running_mean.uniform_(-0.5, 0.5, generator=generator)
            layer.running_var.uniform_(0.5, 2.0, generator=generator)


def random_network(
    variant: str, dtype: torch.dtype = torch.float64, seed: int = 1, **arguments
) -> AsppFusion:
    """Return a network in evaluation mode with random weights, biases and statistics."""
    network = AsppFusion(variant=variant, **arguments)
    randomise(network, seed)
    return network.to(dtype).eval().requires_grad_(False)


def fast_of(network: AsppFusion, dtype: torch.dtype | None = None) -> FastAspp:
    """Return the fast copy of a network, in its own type of numbers or another."""
    return FastAspp(network, dtype or network.output.weight.dtype)


def random_inputs(
    rows: int, cols: int, ratio: int, dtype: torch.dtype = torch.float64, channels=(2, 14), samples=1, seed=2
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return standardised fine and coarse inputs that cover `rows` x `cols` pixels."""
    generator = torch.Generator().manual_seed(seed)
    fine = torch.randn(samples, channels[0], rows, cols, generator=generator, dtype=torch.float64)
    cells = (-(-rows // ratio), -(-cols // ratio))
    coarse = torch.randn(samples, channels[1], *cells, generator=generator, dtype=torch.float64)
    return fine.to(dtype), coarse.to(dtype)


def make_card(
    variant: str = "interpretability_small", ratio: int = 25, heads=(CONCENTRATION,), **fields
) -> ModelCard:
    """Return a card of the fusion network."""
    fields = {"id": "test-model", "title": "A test", "pixel_size_m": 80.0, **fields}
    identifier = fields.pop("id")
    return aspp_card(identifier, variant, ratio, heads, **fields)


def changed(card: ModelCard, **fields) -> ModelCard:
    """Return the card with other fields."""
    return dataclasses.replace(card, **fields)
