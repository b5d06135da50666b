"""The kinds of nodes of a graph network: settings with their bounds, inputs, channels and sizes, without torch.

A row says what a node of the kind takes and what comes out of it. :mod:`.modules` builds the layer. To add a kind, add
a row here and its builder there; what explains the layer is a row of ``plugin/core/layers/kinds.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..files import shown
from . import grids
from .grids import Grid, GridOf, SizeOf
from .settings import MOST_SIDE, Fault, Setting, Values, count, counts, flag, number, padding, word

MOST_CHANNELS = 65_536
_MOST_KERNEL, _MOST_STEP = 255, 64
PADDINGS = ("zeros", "reflect", "replicate")


@dataclass(frozen=True)
class NodeKind:
    """What is known of a kind of node.

    Parameters
    ----------
    settings : mapping
        Its settings by name.
    inputs : tuple of int
        How many inputs it takes, at least and at most.
    grid : callable
        Channels and steps of its output; raises a :class:`Fault`.
    size : callable
        Rows (axis 0) or columns (axis 1) of its output; less than 1 where there are none.
    weights : callable
        Numbers that the layer holds.
    whole_image : callable
        What makes its output depend on the whole image, as half a sentence; empty where nothing does.
    """

    settings: Mapping[str, Setting] = field(default_factory=dict)
    inputs: tuple[int, int] = (1, 1)
    grid: GridOf = grids.same_grid
    size: SizeOf = grids.same_size
    weights: Callable[[Values, Grid], int] = lambda values, grid: 0
    whole_image: Callable[[Values], str] = lambda values: ""

    def values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all settings, checked, those that are not given by their defaults.

        Raises
        ------
        Fault
            If one is unknown, missing or unusable.
        """
        unknown = sorted(set(given) - set(self.settings))
        if unknown:
            known = ", ".join(self.settings) or "none"
            raise Fault(f"the setting {shown(unknown[0])} is not known (known: {known})")
        checked = {}
        for name, setting in self.settings.items():
            value = given.get(name, setting.default)
            if value is None:
                raise Fault(f"the setting '{name}' is missing")
            try:
                checked[name] = setting.check(value)
            except Fault as fault:
                raise Fault(f"the setting '{name}': {fault}") from None
        if self.settings.get("stride") is _SAME_STRIDE:
            checked["stride"] = tuple(s or k for s, k in zip(checked["stride"], checked["kernel"]))
        return checked


def _kernels(values: Values, grid: Grid) -> int:
    kernel = math.prod(values["kernel"])
    return values["channels"] * (grid.channels // values["groups"]) * kernel + values["channels"]


_SAME_STRIDE = Setting(counts(2, 0, _MOST_STEP), 0)  # that of the kernel
_KERNEL = Setting(counts(2, 1, _MOST_KERNEL))
_STRIDE = Setting(counts(2, 1, _MOST_STEP), 1)
_WIDTH = Setting(counts(2, 0, MOST_SIDE), 0)
_DILATION = Setting(counts(2, 1, _MOST_KERNEL), 1)
_SOME_CHANNELS = Setting(count(1, MOST_CHANNELS))
_GROUPS = Setting(count(1, MOST_CHANNELS), 1)
_BIAS = Setting(flag, True)
_EPSILON = Setting(number(0.0, 1.0), 1e-5)
_SLOPE = number(-1e6, 1e6)
_CEIL = Setting(flag, False)
_FACTOR = Setting(counts(2, 1, _MOST_STEP))
_MODE = Setting(word("nearest", "bilinear"), "nearest")
_PADDING_MODE = Setting(word(*PADDINGS), "zeros")


def _by_value(**settings: Setting) -> NodeKind:
    return NodeKind(settings)


def _norm_weights(values: Values, grid: Grid) -> int:
    return 4 * grid.channels


_SCALES = "{} scales by the mean and the variance of the whole image"

NODE_KINDS: dict[str, NodeKind] = {
    "conv": NodeKind(
        {
            "channels": _SOME_CHANNELS,
            "kernel": _KERNEL,
            "stride": _STRIDE,
            "padding": Setting(padding, 0),
            "dilation": _DILATION,
            "groups": _GROUPS,
            "bias": _BIAS,
            "padding_mode": _PADDING_MODE,
        },
        grid=grids.convolved,
        size=grids.window,
        weights=_kernels,
    ),
    "conv_transposed": NodeKind(
        {
            "channels": _SOME_CHANNELS,
            "kernel": _KERNEL,
            "stride": _STRIDE,
            "padding": _WIDTH,
            "beyond": _WIDTH,
            "dilation": _DILATION,
            "groups": _GROUPS,
            "bias": _BIAS,
        },
        grid=grids.transposed,
        size=grids.spread_size,
        weights=_kernels,
    ),
    "batch_norm": NodeKind({"epsilon": _EPSILON, "affine": _BIAS}, weights=_norm_weights),
    "relu": _by_value(),
    "leaky_relu": _by_value(slope=Setting(_SLOPE, 0.01)),
    "relu6": _by_value(),
    "hardtanh": _by_value(low=Setting(_SLOPE, -1.0), high=Setting(_SLOPE, 1.0)),
    "sigmoid": _by_value(),
    "tanh": _by_value(),
    "gelu": _by_value(approximate=Setting(word("none", "tanh"), "none")),
    "silu": _by_value(),
    "mish": _by_value(),
    "elu": _by_value(alpha=Setting(_SLOPE, 1.0)),
    "selu": _by_value(),
    "softplus": _by_value(),
    "hardswish": _by_value(),
    "identity": _by_value(),
    "dropout": _by_value(share=Setting(number(0.0, 1.0), 0.5)),
    "max_pool": NodeKind(
        {
            "kernel": _KERNEL,
            "stride": _SAME_STRIDE,
            "padding": _WIDTH,
            "dilation": _DILATION,
            "ceil": _CEIL,
        },
        grid=grids.pooled,
        size=grids.window,
    ),
    "average_pool": NodeKind(
        {
            "kernel": _KERNEL,
            "stride": _SAME_STRIDE,
            "padding": _WIDTH,
            "ceil": _CEIL,
            "count_padding": Setting(flag, True),
        },
        grid=grids.pooled,
        size=grids.window,
    ),
    "same_pool": NodeKind({"size": Setting(count(1, _MOST_KERNEL))}),
    "global_average": NodeKind(
        grid=grids.one_place,
        size=lambda values, sizes, axis: 1,
        whole_image=lambda values: "takes the mean of the whole image",
    ),
    "upsample": NodeKind(
        {"factor": _FACTOR, "mode": _MODE, "align_corners": Setting(flag, False)},
        grid=grids.upsampled,
        size=lambda values, sizes, axis: sizes[0] * values["factor"][axis],
        whole_image=lambda values: (
            "interpolates from corner to corner of the whole image"
            if values["align_corners"] and values["mode"] == "bilinear"
            else ""
        ),
    ),
    "resize": NodeKind(
        {"mode": _MODE, "align_corners": Setting(flag, False)},
        inputs=(2, 2),
        grid=grids.resized,
        size=grids.second_size,
        whole_image=lambda values: "interpolates from the size of the whole image to that of another array",
    ),
    "cells": NodeKind(
        {"ratio": Setting(count(1, MOST_SIDE)), "mode": _MODE},
        inputs=(2, 2),
        grid=grids.cells,
        size=lambda values, sizes, axis: sizes[1] if sizes[0] * values["ratio"] >= sizes[1] else 0,
    ),
    "fit": NodeKind({"mode": _PADDING_MODE}, inputs=(2, 2), grid=grids.fitted, size=grids.second_size),
    "fill_up": NodeKind(
        {
            "multiple": Setting(count(1, MOST_SIDE)),
            "mode": Setting(word("replicate", "reflect"), "replicate"),
        },
        size=lambda values, sizes, axis: -(-sizes[0] // values["multiple"]) * values["multiple"],
    ),
    "pad": NodeKind(
        {
            "sides": Setting(counts(4, 0, MOST_SIDE)),
            "mode": Setting(word("constant", "reflect", "replicate"), "constant"),
            "value": Setting(_SLOPE, 0.0),
        },
        size=grids.padded,
    ),
    "crop": NodeKind({"sides": Setting(counts(4, 0, MOST_SIDE))}, size=grids.cropped),
    "shuffle": NodeKind(
        {"factor": Setting(count(1, _MOST_STEP))},
        grid=grids.pixels,
        size=lambda values, sizes, axis: sizes[0] * values["factor"],
    ),
    "add": NodeKind(inputs=(2, 64), grid=grids.combined, size=grids.common_size),
    "multiply": NodeKind(inputs=(2, 2), grid=grids.combined, size=grids.common_size),
    "concatenate": NodeKind(inputs=(1, 256), grid=grids.joined, size=grids.one_size),
    "group_norm": NodeKind(
        {"groups": _GROUPS, "epsilon": _EPSILON, "affine": _BIAS},
        grid=grids.grouped,
        weights=_norm_weights,
        whole_image=lambda values: _SCALES.format("group norm"),
    ),
    "instance_norm": NodeKind(
        {"epsilon": _EPSILON, "affine": _BIAS},
        weights=_norm_weights,
        whole_image=lambda values: _SCALES.format("instance norm"),
    ),
}
