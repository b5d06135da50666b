"""Builds the network of a graph: a plain module in layers that can be traced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from ..layers import BilinearUpsample, FillUp, FitTo, NearestUpsample, ResizeTo, SamePool2d
from .grids import Grid
from .spec import COARSE, FINE, GraphSpec, Node

Values = Mapping[str, Any]


def _conv(values: Values, grid: Grid) -> nn.Module:
    return nn.Conv2d(
        grid.channels,
        values["channels"],
        values["kernel"],
        values["stride"],
        values["padding"],
        values["dilation"],
        values["groups"],
        values["bias"],
        values["padding_mode"],
    )


def _conv_transposed(values: Values, grid: Grid) -> nn.Module:
    return nn.ConvTranspose2d(
        grid.channels,
        values["channels"],
        values["kernel"],
        values["stride"],
        values["padding"],
        values["beyond"],
        values["groups"],
        values["bias"],
        values["dilation"],
    )


def _pad(values: Values, grid: Grid) -> nn.Module:
    if values["mode"] == "constant":
        return nn.ConstantPad2d(values["sides"], values["value"])
    return (nn.ReflectionPad2d if values["mode"] == "reflect" else nn.ReplicationPad2d)(values["sides"])


def _upsample(values: Values, grid: Grid) -> nn.Module:
    factors = tuple(float(factor) for factor in values["factor"])
    if values["mode"] == "nearest":
        return nn.Upsample(scale_factor=factors, mode="nearest")
    return nn.Upsample(scale_factor=factors, mode="bilinear", align_corners=values["align_corners"])


# The layer of a kind, for its settings and its first input; what joins arrays has none and is in `_joined`.
BUILDERS: dict[str, Callable[[Values, Grid], nn.Module]] = {
    "conv": _conv,
    "conv_transposed": _conv_transposed,
    "batch_norm": lambda v, grid: nn.BatchNorm2d(grid.channels, v["epsilon"], affine=v["affine"]),
    "relu": lambda v, grid: nn.ReLU(),
    "leaky_relu": lambda v, grid: nn.LeakyReLU(v["slope"]),
    "relu6": lambda v, grid: nn.ReLU6(),
    "hardtanh": lambda v, grid: nn.Hardtanh(v["low"], v["high"]),
    "sigmoid": lambda v, grid: nn.Sigmoid(),
    "tanh": lambda v, grid: nn.Tanh(),
    "gelu": lambda v, grid: nn.GELU(v["approximate"]),
    "silu": lambda v, grid: nn.SiLU(),
    "mish": lambda v, grid: nn.Mish(),
    "elu": lambda v, grid: nn.ELU(v["alpha"]),
    "selu": lambda v, grid: nn.SELU(),
    "softplus": lambda v, grid: nn.Softplus(),
    "hardswish": lambda v, grid: nn.Hardswish(),
    "identity": lambda v, grid: nn.Identity(),
    "dropout": lambda v, grid: nn.Dropout(v["share"]),
    "max_pool": lambda v, grid: nn.MaxPool2d(
        v["kernel"], v["stride"], v["padding"], v["dilation"], ceil_mode=v["ceil"]
    ),
    "average_pool": lambda v, grid: nn.AvgPool2d(
        v["kernel"], v["stride"], v["padding"], v["ceil"], v["count_padding"]
    ),
    "same_pool": lambda v, grid: SamePool2d(v["size"]),
    "global_average": lambda v, grid: nn.AdaptiveAvgPool2d(1),
    "upsample": _upsample,
    "resize": lambda v, grid: ResizeTo(v["mode"], v["align_corners"]),
    "cells": lambda v, grid: (NearestUpsample if v["mode"] == "nearest" else BilinearUpsample)(v["ratio"]),
    "fit": lambda v, grid: FitTo(v["mode"]),
    "fill_up": lambda v, grid: FillUp(v["multiple"], v["mode"]),
    "pad": _pad,
    "crop": lambda v, grid: nn.ConstantPad2d(tuple(-side for side in v["sides"]), 0.0),
    "shuffle": lambda v, grid: nn.PixelShuffle(v["factor"]),
    "group_norm": lambda v, grid: nn.GroupNorm(v["groups"], grid.channels, v["epsilon"], v["affine"]),
    "instance_norm": lambda v, grid: nn.InstanceNorm2d(grid.channels, v["epsilon"], affine=v["affine"]),
}
JOINING = ("add", "multiply", "concatenate")


class GraphNetwork(nn.Module):
    """The network of a graph.

    Parameters
    ----------
    spec : GraphSpec
        The graph; the layer of a node is called as the node.
    """

    def __init__(self, spec: GraphSpec) -> None:
        super().__init__()
        self.spec = spec
        for node in spec.nodes:
            if node.kind not in JOINING:
                self.add_module(node.name, BUILDERS[node.kind](node.values, spec.grids[node.inputs[0]]))
        # An array is let go behind the last node that reads it.
        last = {name: node.name for node in spec.nodes for name in node.inputs}
        self._unused = {
            node.name: [
                name
                for name in dict.fromkeys((*node.inputs, node.name))
                if last.get(name, node.name) == node.name
            ]
            for node in spec.nodes
        }

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor | None) -> torch.Tensor:
        """Return the logits (sample, output, row, column)."""
        arrays = {FINE: fine, COARSE: coarse}
        for node in self.spec.nodes:
            inputs = [arrays[name] for name in node.inputs]
            arrays[node.name] = self._output(node, inputs)
            for name in self._unused[node.name]:
                if name not in self.spec.outputs:
                    del arrays[name]
        heads = [arrays[name] for name in self.spec.outputs]
        return heads[0] if len(heads) == 1 else torch.cat(heads, 1)

    def _output(self, node: Node, inputs: list[torch.Tensor]) -> torch.Tensor:
        if node.kind == "concatenate":
            return torch.cat(inputs, 1)
        if node.kind == "add":
            total = inputs[0]
            for other in inputs[1:]:
                total = total + other
            return total
        if node.kind == "multiply":
            return inputs[0] * inputs[1]
        return getattr(self, node.name)(*inputs)


def build(spec: GraphSpec) -> GraphNetwork:
    """Return the network of a graph with new weights, in training mode."""
    return GraphNetwork(spec)
