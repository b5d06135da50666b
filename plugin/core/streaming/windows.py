"""How a scene is cut into windows of one size, for networks whose output depends on all of the image they see.

Such a network is run as its authors run it: in windows of the size it was trained on, which overlap. A pixel's answer
is that of the window whose centre is nearest, along rows and along columns (of two equally near ones the first). The
windows lie on the scene, so that neither the region nor the memory changes an answer::

    plan = plan_windows(region, scene, runner.window, runner.alignment)
    for tile in (tile for strip in plan.strips() for tile in strip):
        ...                              # tile.input is the window, tile.output the pixels it answers for

Neighbouring windows do not agree where they meet; :mod:`.seams` measures by how much.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

from ...ground.errors import ParameterError
from ...ground.window import Window
from ...networks.card_parts import ImageWindow
from .tiling import FILLED, MEBIBYTE, Cost, Plan, Tile


@dataclass(frozen=True)
class Axis:
    """The windows along one axis.

    Parameters
    ----------
    starts, stops : tuple of int
        Where each begins and ends, in pixels.
    cuts : tuple of int
        The first pixel that each window but the first answers for.
    """

    starts: tuple[int, ...]
    stops: tuple[int, ...]
    cuts: tuple[int, ...]

    @classmethod
    def of(cls, length: int, size: int, step: int, alignment: int) -> Axis:
        """Return windows of `size` pixels, `step` apart, over `length` pixels; the last ends with the scene.

        They begin on multiples of `alignment`; the last is smaller by less than that, and the only one of a scene
        that is smaller than a window is as large as the scene.
        """
        starts = [0]
        while starts[-1] + size < length:
            last = -(-(length - size) // alignment) * alignment
            starts.append(min(starts[-1] + step, last))
        stops = [min(start + size, length) for start in starts]
        cuts = []
        for (start, stop), (following, end) in zip(zip(starts, stops), zip(starts[1:], stops[1:])):
            middle = (
                start + stop + following + end + 2
            ) // 4  # twice the mean of both centres, halved upwards
            cuts.append(min(max(middle, following), stop))
        return cls(tuple(starts), tuple(stops), tuple(cuts))

    def index(self, place: int) -> int:
        """Return the window that answers for a pixel."""
        return bisect_right(self.cuts, place)

    def answered(self, index: int, length: int) -> tuple[int, int]:
        """Return the first pixel that a window answers for, and the first one behind."""
        ends = (0, *self.cuts, length)
        return ends[index], ends[index + 1]


@dataclass(frozen=True)
class WindowPlan(Plan):
    """The tiles of a network that is run in windows of one size.

    Parameters
    ----------
    size, step : int
        Side of the windows, and how far apart they begin, in pixels.
    """

    size: int = 0
    step: int = 0

    @cached_property
    def axes(self) -> tuple[Axis, Axis]:
        """The windows of the scene along rows and columns."""
        rows, cols = (
            Axis.of(length, self.size, self.step, self.alignment)
            for length in (self.scene.rows, self.scene.cols)
        )
        return rows, cols

    def tile(self, output: Window) -> Tile:
        """Return the tile of the window that answers for the middle of `output`.

        Its output is the part of `output` that this window answers for.
        """
        down, across = self.axes
        row, col = output.row + output.rows // 2, output.col + output.cols // 2
        number, place = down.index(row), across.index(col)
        top, bottom = down.answered(number, self.scene.rows)
        left, right = across.answered(place, self.scene.cols)
        seen = Window(
            down.starts[number],
            across.starts[place],
            down.stops[number] - down.starts[number],
            across.stops[place] - across.starts[place],
        )
        own = output.intersection(Window(top, left, bottom - top, right - left))
        return Tile(own, seen, seen.snapped(self.alignment, within=self.scene))

    def _row_breaks(self) -> list[int]:
        return _within(self.axes[0].cuts, self.region.row, self.region.row_stop)

    def _col_breaks(self) -> list[int]:
        return _within(self.axes[1].cuts, self.region.col, self.region.col_stop)


def _within(cuts: tuple[int, ...], start: int, stop: int) -> list[int]:
    return [start, *(cut for cut in cuts if start < cut < stop), stop]


def plan_windows(region: Window, scene: Window, window: ImageWindow, alignment: int) -> WindowPlan:
    """Return the plan of a network that is run in windows.

    Parameters
    ----------
    region, scene : Window
        What to map or explain, and the whole scene.
    window : ImageWindow
        Size of the windows, and their least overlap.
    alignment : int
        Windows begin on multiples of it, in pixels.

    Raises
    ------
    ParameterError
        If the region is not inside the scene.
    """
    step = max(alignment, (window.size - window.overlap) // alignment * alignment)
    return WindowPlan(region, scene, window.size, alignment, step, step, window.size, step)


def check_window_memory(plan: WindowPlan, cost: Cost, memory_mib: float) -> None:
    """Refuse a plan whose windows do not fit into the memory: they have the size that the card says.

    Raises
    ------
    ParameterError
        If they do not, naming the memory needed.
    """
    rows, cols = (min(plan.size, length) for length in (plan.scene.rows, plan.scene.cols))
    width = plan.footprint.cols
    needed = cost.fixed + (cost.tile * cols + cost.column * cost.at_once(rows) + cost.strip * width) * rows
    if needed > FILLED * memory_mib * MEBIBYTE:
        least = -(-needed // (FILLED * MEBIBYTE))
        raise ParameterError(
            f"The network is run in windows of {plan.size} x {plan.size} pixels (window in its card), which takes "
            f"{least:.0f} MiB for this scene; MEMORY={memory_mib:g}. Raise MEMORY or choose a smaller EXTENT."
        )
