"""Channels, steps and sizes of the arrays of a graph network: what each kind of node makes of those of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

from .settings import Fault, Values


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


GridOf = Callable[[Values, Sequence[Grid]], Grid]
SizeOf = Callable[[Values, Sequence[int], int], int]


def same_grid(values: Values, grids: Sequence[Grid]) -> Grid:
    """Return the grid of the input."""
    return grids[0]


def same_size(values: Values, sizes: Sequence[int], axis: int) -> int:
    """Return the size of the input."""
    return sizes[0]


def scaled(grid: Grid, factors: Sequence[int | Fraction], channels: int) -> Grid:
    """Return a grid whose places are so many times as large."""
    return Grid(channels, (grid.steps[0] * factors[0], grid.steps[1] * factors[1]))


def strided(values: Values, grids: Sequence[Grid]) -> Grid:
    """Return the grid behind a window with a stride."""
    return scaled(grids[0], values["stride"], values.get("channels", grids[0].channels))


def window(values: Values, sizes: Sequence[int], axis: int) -> int:
    """Return how many windows find room."""
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


def convolved(values: Values, grids: Sequence[Grid]) -> Grid:
    """Return the grid behind a convolution."""
    groups = values["groups"]
    if grids[0].channels % groups or values["channels"] % groups:
        raise Fault(
            f"{grids[0].channels} channels in and {values['channels']} out are no multiples of {groups} groups"
        )
    if values.get("padding") == "same" and values["stride"] != (1, 1):
        raise Fault("padding 'same' goes with a stride of 1 only; put a pad node before it")
    return strided(values, grids)


def transposed(values: Values, grids: Sequence[Grid]) -> Grid:
    """Return the grid behind a transposed convolution."""
    convolved(values, grids)
    if any(more >= max(s, d) for more, s, d in zip(*(values[n] for n in ("beyond", "stride", "dilation")))):
        raise Fault("what it adds beyond must be less than its stride or dilation")
    return scaled(grids[0], [Fraction(1, stride) for stride in values["stride"]], values["channels"])


def spread_size(values: Values, sizes: Sequence[int], axis: int) -> int:
    """Return the size behind a transposed convolution."""
    stride, kernel, dilation, beyond = (values[n][axis] for n in ("stride", "kernel", "dilation", "beyond"))
    return (sizes[0] - 1) * stride - 2 * values["padding"][axis] + dilation * (kernel - 1) + beyond + 1


def pooled(values: Values, grids: Sequence[Grid]) -> Grid:
    """Return the grid behind a pool."""
    if any(2 * p > k for p, k in zip(values["padding"], values["kernel"])):
        raise Fault("its padding is more than half of its kernel")
    return strided(values, grids)


def upsampled(values: Values, grids: Sequence[Grid]) -> Grid:
    """Return the grid behind an upsampling."""
    return scaled(grids[0], [Fraction(1, factor) for factor in values["factor"]], grids[0].channels)


def cells(values: Values, grids: Sequence[Grid]) -> Grid:
    """Return the grid of cells that are brought to places."""
    if any(own != values["ratio"] * like for own, like in zip(grids[0].steps, grids[1].steps)):
        raise Fault(
            f"its cells are not {values['ratio']} times as large as the places of what they are brought to"
        )
    return Grid(grids[0].channels, grids[1].steps)


def fitted(values: Values, grids: Sequence[Grid]) -> Grid:
    """Return the grid of what is fitted to another array."""
    if grids[0].steps != grids[1].steps:
        raise Fault("what it is fitted to has places of another size")
    return grids[0]


def resized(values: Values, grids: Sequence[Grid]) -> Grid:
    """Return the grid of what is interpolated to another array."""
    return Grid(grids[0].channels, grids[1].steps)


def second_size(values: Values, sizes: Sequence[int], axis: int) -> int:
    """Return the size of the second input."""
    return sizes[1]


def pixels(values: Values, grids: Sequence[Grid]) -> Grid:
    """Return the grid of channels that become places."""
    factor = values["factor"]
    if grids[0].channels % factor**2:
        raise Fault(f"{grids[0].channels} channels are no multiple of {factor} x {factor}")
    return scaled(grids[0], (Fraction(1, factor),) * 2, grids[0].channels // factor**2)


def one_place(values: Values, grids: Sequence[Grid]) -> Grid:
    """Return the grid of a mean over the image."""
    return Grid(grids[0].channels, (Fraction(0), Fraction(0)))


def padded(values: Values, sizes: Sequence[int], axis: int) -> int:
    """Return the size behind a padding."""
    before, after = values["sides"][2 * (1 - axis) : 2 * (1 - axis) + 2]  # left, right, above, below
    if values.get("mode") == "reflect" and max(before, after) >= sizes[0]:
        return 0
    return sizes[0] + before + after


def cropped(values: Values, sizes: Sequence[int], axis: int) -> int:
    """Return the size behind a cut."""
    return sizes[0] - sum(values["sides"][2 * (1 - axis) : 2 * (1 - axis) + 2])


def combined(values: Values, grids: Sequence[Grid]) -> Grid:
    """Return the grid of a sum or a product: one place, or one channel, goes with all."""
    spread = [grid.steps for grid in grids if grid.spread]
    channels = {grid.channels for grid in grids} - {1}
    if len(set(spread)) > 1 or len(channels) > 1:
        raise Fault(f"its inputs have {listed(grids)}: channels and places must be the same")
    return Grid(max(channels, default=1), spread[0] if spread else grids[0].steps)


def joined(values: Values, grids: Sequence[Grid]) -> Grid:
    """Return the grid of arrays side by side."""
    if len({grid.steps for grid in grids}) > 1:
        raise Fault(f"its inputs have {listed(grids)}: places must be of one size")
    return Grid(sum(grid.channels for grid in grids), grids[0].steps)


def listed(grids: Sequence[Grid]) -> str:
    """Return grids in words."""
    texts = [f"{g.channels} channels of {g.steps[0]} x {g.steps[1]} pixels" for g in grids[:3]]
    return " and ".join(text.replace("of 0 x 0 pixels", "of one place") for text in texts)


def common_size(values: Values, sizes: Sequence[int], axis: int) -> int:
    """Return the size of a sum; arrays of one place go with all."""
    found = {size for size in sizes if size != 1} or {1}
    return found.pop() if len(found) == 1 else 0


def one_size(values: Values, sizes: Sequence[int], axis: int) -> int:
    """Return the size of arrays of one size, 0 for others."""
    return sizes[0] if len(set(sizes)) == 1 else 0


def grouped(values: Values, grids: Sequence[Grid]) -> Grid:
    """Return the grid behind a norm of groups."""
    if grids[0].channels % values["groups"]:
        raise Fault(f"{grids[0].channels} channels are no multiple of {values['groups']} groups")
    return grids[0]
