"""The kinds of nodes of a graph network: settings with their bounds, inputs, channels and sizes, without torch.

A row says what a node of the kind takes and what comes out of it. :mod:`.modules` builds the layer. To add a kind, add
a row here and its builder there; what explains the layer is a row of ``plugin/core/layers/kinds.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

from ..card_checks import is_number
from ..files import shown

MOST_CHANNELS = 65_536
_MOST_KERNEL, _MOST_STEP, _MOST_SIDE = 255, 64, 4_096
PADDINGS = ("zeros", "reflect", "replicate")


class Fault(ValueError):
    """What is wrong with a node or a setting: half a sentence."""


class Grid(NamedTuple):
    """An array of the network: channels, and fine pixels along one of its places, for rows and columns.

    A step of 0 stands for one place that holds all of the image.
    """

    channels: int
    steps: tuple[Fraction, Fraction]

    @property
    def spread(self) -> bool:
        """Whether it has places."""
        return min(self.steps) > 0


Values = Mapping[str, Any]
Sizes = tuple[int, int]
Check = Callable[[Any], Any]


@dataclass(frozen=True)
class Setting:
    """A setting of a kind.

    Parameters
    ----------
    check : callable
        Returns the value as the layer takes it; raises a :class:`Fault`.
    default : value
        Where it is not given; ``None`` says that it must be.
    """

    check: Check
    default: Any = None


def _count(least: int, most: int) -> Check:
    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise Fault(f"{shown(value)} is not a whole number from {least} to {most}")
        return value

    return check


def _counts(number: int, least: int, most: int) -> Check:
    one = _count(least, most)

    def check(value: Any) -> tuple[int, ...]:
        if not isinstance(value, (list, tuple)):
            return (one(value),) * number
        if len(value) != number:
            raise Fault(f"{shown(value)} is not one whole number or {number} of them")
        return tuple(one(part) for part in value)

    return check


def _number(least: float, most: float) -> Check:
    def check(value: Any) -> float:
        if not is_number(value) or not least <= value <= most:
            raise Fault(f"{shown(value)} is not a number from {least:g} to {most:g}")
        return float(value)

    return check


def _word(*words: str) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise Fault(f"{shown(value)} is not one of {', '.join(words)}")
        return value

    return check


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Fault(f"{shown(value)} is neither true nor false")
    return value


def _padding(value: Any) -> Any:
    return value if value == "same" else _counts(2, 0, _MOST_SIDE)(value)


# What comes out: channels and steps, of the inputs'; rows or columns, of the inputs'.
GridOf = Callable[[Values, Sequence[Grid]], Grid]
SizeOf = Callable[[Values, Sequence[int], int], int]


def _same_grid(values: Values, grids: Sequence[Grid]) -> Grid:
    return grids[0]


def _same_size(values: Values, sizes: Sequence[int], axis: int) -> int:
    return sizes[0]


def _scaled(grid: Grid, factors: Sequence[int | Fraction], channels: int) -> Grid:
    return Grid(channels, (grid.steps[0] * factors[0], grid.steps[1] * factors[1]))


def _strided(values: Values, grids: Sequence[Grid]) -> Grid:
    return _scaled(grids[0], values["stride"], values.get("channels", grids[0].channels))


def _window(values: Values, sizes: Sequence[int], axis: int) -> int:
    kernel, stride = values["kernel"][axis], values["stride"][axis]
    span = values.get("dilation", (1, 1))[axis] * (kernel - 1)
    if values["padding"] == "same":
        return sizes[0]
    padding = values["padding"][axis]
    rest = sizes[0] + 2 * padding - span - 1
    places = rest // stride + 1
    if values.get("ceil") and rest % stride and places * stride < sizes[0] + padding:
        places += 1  # a window that begins in the padding behind the array is left out
    return places


def _convolved(values: Values, grids: Sequence[Grid]) -> Grid:
    groups = values["groups"]
    if grids[0].channels % groups or values["channels"] % groups:
        raise Fault(
            f"{grids[0].channels} channels in and {values['channels']} out are no multiples of {groups} groups"
        )
    if values.get("padding") == "same" and values["stride"] != (1, 1):
        raise Fault("padding 'same' goes with a stride of 1 only; put a pad node before it")
    return _strided(values, grids)


def _transposed(values: Values, grids: Sequence[Grid]) -> Grid:
    _convolved(values, grids)
    if any(more >= max(s, d) for more, s, d in zip(*(values[n] for n in ("beyond", "stride", "dilation")))):
        raise Fault("what it adds beyond must be less than its stride or dilation")
    return _scaled(grids[0], [Fraction(1, stride) for stride in values["stride"]], values["channels"])


def _spread_size(values: Values, sizes: Sequence[int], axis: int) -> int:
    stride, kernel, dilation, beyond = (values[n][axis] for n in ("stride", "kernel", "dilation", "beyond"))
    return (sizes[0] - 1) * stride - 2 * values["padding"][axis] + dilation * (kernel - 1) + beyond + 1


def _pooled(values: Values, grids: Sequence[Grid]) -> Grid:
    if any(2 * p > k for p, k in zip(values["padding"], values["kernel"])):
        raise Fault("its padding is more than half of its kernel")
    return _strided(values, grids)


def _upsampled(values: Values, grids: Sequence[Grid]) -> Grid:
    return _scaled(grids[0], [Fraction(1, factor) for factor in values["factor"]], grids[0].channels)


def _cells(values: Values, grids: Sequence[Grid]) -> Grid:
    if any(own != values["ratio"] * like for own, like in zip(grids[0].steps, grids[1].steps)):
        raise Fault(
            f"its cells are not {values['ratio']} times as large as the places of what they are brought to"
        )
    return Grid(grids[0].channels, grids[1].steps)


def _fitted(values: Values, grids: Sequence[Grid]) -> Grid:
    if grids[0].steps != grids[1].steps:
        raise Fault("what it is fitted to has places of another size")
    return grids[0]


def _resized(values: Values, grids: Sequence[Grid]) -> Grid:
    return Grid(grids[0].channels, grids[1].steps)


def _second_size(values: Values, sizes: Sequence[int], axis: int) -> int:
    return sizes[1]


def _pixels(values: Values, grids: Sequence[Grid]) -> Grid:
    factor = values["factor"]
    if grids[0].channels % factor**2:
        raise Fault(f"{grids[0].channels} channels are no multiple of {factor} x {factor}")
    return _scaled(grids[0], (Fraction(1, factor),) * 2, grids[0].channels // factor**2)


def _one_place(values: Values, grids: Sequence[Grid]) -> Grid:
    return Grid(grids[0].channels, (Fraction(0), Fraction(0)))


def _padded(values: Values, sizes: Sequence[int], axis: int) -> int:
    before, after = values["sides"][2 * (1 - axis) : 2 * (1 - axis) + 2]  # left, right, above, below
    if values.get("mode") == "reflect" and max(before, after) >= sizes[0]:
        return 0
    return sizes[0] + before + after


def _cropped(values: Values, sizes: Sequence[int], axis: int) -> int:
    return sizes[0] - sum(values["sides"][2 * (1 - axis) : 2 * (1 - axis) + 2])


def _combined(values: Values, grids: Sequence[Grid]) -> Grid:
    """Return the grid of a sum or a product: one place, or one channel, goes with all."""
    spread = [grid.steps for grid in grids if grid.spread]
    channels = {grid.channels for grid in grids} - {1}
    if len(set(spread)) > 1 or len(channels) > 1:
        raise Fault(f"its inputs have {_listed(grids)}: channels and places must be the same")
    return Grid(max(channels, default=1), spread[0] if spread else grids[0].steps)


def _joined(values: Values, grids: Sequence[Grid]) -> Grid:
    if len({grid.steps for grid in grids}) > 1:
        raise Fault(f"its inputs have {_listed(grids)}: places must be of one size")
    return Grid(sum(grid.channels for grid in grids), grids[0].steps)


def _listed(grids: Sequence[Grid]) -> str:
    texts = [f"{g.channels} channels of {g.steps[0]} x {g.steps[1]} pixels" for g in grids[:3]]
    return " and ".join(text.replace("of 0 x 0 pixels", "of one place") for text in texts)


def _common_size(values: Values, sizes: Sequence[int], axis: int) -> int:
    found = {size for size in sizes if size != 1} or {1}
    return found.pop() if len(found) == 1 else 0


def _one_size(values: Values, sizes: Sequence[int], axis: int) -> int:
    return sizes[0] if len(set(sizes)) == 1 else 0


def _grouped(values: Values, grids: Sequence[Grid]) -> Grid:
    if grids[0].channels % values["groups"]:
        raise Fault(f"{grids[0].channels} channels are no multiple of {values['groups']} groups")
    return grids[0]


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
    grid: GridOf = _same_grid
    size: SizeOf = _same_size
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


_SAME_STRIDE = Setting(_counts(2, 0, _MOST_STEP), 0)  # that of the kernel
_KERNEL = Setting(_counts(2, 1, _MOST_KERNEL))
_STRIDE = Setting(_counts(2, 1, _MOST_STEP), 1)
_WIDTH = Setting(_counts(2, 0, _MOST_SIDE), 0)
_DILATION = Setting(_counts(2, 1, _MOST_KERNEL), 1)
_SOME_CHANNELS = Setting(_count(1, MOST_CHANNELS))
_GROUPS = Setting(_count(1, MOST_CHANNELS), 1)
_BIAS = Setting(_flag, True)
_EPSILON = Setting(_number(0.0, 1.0), 1e-5)
_SLOPE = _number(-1e6, 1e6)
_CEIL = Setting(_flag, False)
_FACTOR = Setting(_counts(2, 1, _MOST_STEP))
_MODE = Setting(_word("nearest", "bilinear"), "nearest")
_PADDING_MODE = Setting(_word(*PADDINGS), "zeros")


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
            "padding": Setting(_padding, 0),
            "dilation": _DILATION,
            "groups": _GROUPS,
            "bias": _BIAS,
            "padding_mode": _PADDING_MODE,
        },
        grid=_convolved,
        size=_window,
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
        grid=_transposed,
        size=_spread_size,
        weights=_kernels,
    ),
    "batch_norm": NodeKind({"epsilon": _EPSILON, "affine": _BIAS}, weights=_norm_weights),
    "relu": _by_value(),
    "leaky_relu": _by_value(slope=Setting(_SLOPE, 0.01)),
    "relu6": _by_value(),
    "hardtanh": _by_value(low=Setting(_SLOPE, -1.0), high=Setting(_SLOPE, 1.0)),
    "sigmoid": _by_value(),
    "hardsigmoid": _by_value(),
    "tanh": _by_value(),
    "gelu": _by_value(approximate=Setting(_word("none", "tanh"), "none")),
    "silu": _by_value(),
    "mish": _by_value(),
    "elu": _by_value(alpha=Setting(_SLOPE, 1.0)),
    "selu": _by_value(),
    "softplus": _by_value(),
    "hardswish": _by_value(),
    "identity": _by_value(),
    "dropout": _by_value(share=Setting(_number(0.0, 1.0), 0.5)),
    "max_pool": NodeKind(
        {
            "kernel": _KERNEL,
            "stride": _SAME_STRIDE,
            "padding": _WIDTH,
            "dilation": _DILATION,
            "ceil": _CEIL,
        },
        grid=_pooled,
        size=_window,
    ),
    "average_pool": NodeKind(
        {
            "kernel": _KERNEL,
            "stride": _SAME_STRIDE,
            "padding": _WIDTH,
            "ceil": _CEIL,
            "count_padding": Setting(_flag, True),
        },
        grid=_pooled,
        size=_window,
    ),
    "same_pool": NodeKind({"size": Setting(_count(1, _MOST_KERNEL))}),
    "global_average": NodeKind(
        grid=_one_place,
        size=lambda values, sizes, axis: 1,
        whole_image=lambda values: "takes the mean of the whole image",
    ),
    "upsample": NodeKind(
        {"factor": _FACTOR, "mode": _MODE, "align_corners": Setting(_flag, False)},
        grid=_upsampled,
        size=lambda values, sizes, axis: sizes[0] * values["factor"][axis],
        whole_image=lambda values: (
            "interpolates from corner to corner of the whole image"
            if values["align_corners"] and values["mode"] == "bilinear"
            else ""
        ),
    ),
    "resize": NodeKind(
        {"mode": _MODE, "align_corners": Setting(_flag, False)},
        inputs=(2, 2),
        grid=_resized,
        size=_second_size,
        whole_image=lambda values: "interpolates from the size of the whole image to that of another array",
    ),
    "cells": NodeKind(
        {"ratio": Setting(_count(1, _MOST_SIDE)), "mode": _MODE},
        inputs=(2, 2),
        grid=_cells,
        size=lambda values, sizes, axis: sizes[1] if sizes[0] * values["ratio"] >= sizes[1] else 0,
    ),
    "fit": NodeKind({"mode": _PADDING_MODE}, inputs=(2, 2), grid=_fitted, size=_second_size),
    "fill_up": NodeKind(
        {
            "multiple": Setting(_count(1, _MOST_SIDE)),
            "mode": Setting(_word("replicate", "reflect"), "replicate"),
        },
        size=lambda values, sizes, axis: -(-sizes[0] // values["multiple"]) * values["multiple"],
    ),
    "pad": NodeKind(
        {
            "sides": Setting(_counts(4, 0, _MOST_SIDE)),
            "mode": Setting(_word("constant", "reflect", "replicate"), "constant"),
            "value": Setting(_SLOPE, 0.0),
        },
        size=_padded,
    ),
    "crop": NodeKind({"sides": Setting(_counts(4, 0, _MOST_SIDE))}, size=_cropped),
    "shuffle": NodeKind(
        {"factor": Setting(_count(1, _MOST_STEP))},
        grid=_pixels,
        size=lambda values, sizes, axis: sizes[0] * values["factor"],
    ),
    "add": NodeKind(inputs=(2, 64), grid=_combined, size=_common_size),
    "multiply": NodeKind(inputs=(2, 2), grid=_combined, size=_common_size),
    "concatenate": NodeKind(inputs=(1, 256), grid=_joined, size=_one_size),
    "group_norm": NodeKind(
        {"groups": _GROUPS, "epsilon": _EPSILON, "affine": _BIAS},
        grid=_grouped,
        weights=_norm_weights,
        whole_image=lambda values: _SCALES.format("group norm"),
    ),
    "instance_norm": NodeKind(
        {"epsilon": _EPSILON, "affine": _BIAS},
        weights=_norm_weights,
        whole_image=lambda values: _SCALES.format("instance norm"),
    ),
}
