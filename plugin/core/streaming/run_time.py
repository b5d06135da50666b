"""How long a run over tiles will take, estimated before its first tile.

A small window of the scene is taken through the very same pass and timed. Its cost for each pixel that the network
sees, times the pixels of all tiles, margins included, is the estimate. The window is a small share of the run, and is
taken through twice: the first time pays for what is paid once only, such as memory and compiled kernels.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ...ground.protocols import Patch, Progress, Source
from ...ground.window import Window
from .tiling import Plan, Tile

clock = time.perf_counter
# Largest share of the pixels of a run that both passes over the window may take.
SHARE = 0.02
# Sides of the window, the largest that serves first: large ones use all cores, as the tiles do.
SIDES = (256, 192, 128, 96, 64, 32)
# Places tried down and across the region for a window with valid pixels.
PLACES = 3


@dataclass(frozen=True)
class Probe:
    """How to time a pass.

    Parameters
    ----------
    compute : callable
        ``compute(tile, patch)``: what is done with every tile; its result is thrown away.
    needed : callable, optional
        ``needed(tile)``: the tile whose pixels are computed, smaller than the given one where only a part of it is
        needed, or None where nothing is. Default: all of every tile.
    passes : float
        How often what `compute` does is done with every tile.
    """

    compute: Callable[[Tile, Patch], object]
    needed: Callable[[Tile], Tile | None] = lambda tile: tile
    passes: float = 1.0


def announce(
    source: Source,
    plan: Plan,
    progress: Progress,
    text: str,
    probe: Probe,
    tiles: Sequence[Tile] | None = None,
) -> float | None:
    """Put the estimated time of a run into the log, in words that begin with `text`; `tiles`: those of the plan.

    Returns
    -------
    float or None
        The estimate in seconds; None where the region is too small, or holds no valid pixel, to try it.
    """
    if tiles is None:
        tiles = [tile for strip in plan.strips() for tile in strip]
    read = _pixels(tile.read for tile in tiles)
    computed = _pixels(part.input for part in map(probe.needed, tiles) if part is not None)
    window = _window(source, plan, min(int(probe.passes * computed), read))
    if window is None:
        progress.report(0.0, f"{text} (a small region)")
        return None
    tile, patch, reading = window
    probe.compute(tile, patch)
    start = clock()
    probe.compute(tile, patch)
    computing = probe.passes * (clock() - start)
    seconds = reading / _pixels([tile.read]) * read + computing / _pixels([tile.input]) * computed
    progress.message(
        f"{text}: estimated time {duration(seconds)} for {len(tiles)} tile(s), from a window of "
        f"{tile.output.rows} x {tile.output.cols} pixels tried first."
    )
    return seconds


def _pixels(windows: Iterable[Window]) -> int:
    return sum(window.rows * window.cols for window in windows)


def _window(source: Source, plan: Plan, pixels: int) -> tuple[Tile, Patch, float] | None:
    """Return a small tile with valid pixels, what was read for it, and how long that took."""
    for tile in _places(plan, pixels):
        start = clock()
        patch = dataclasses.replace(source.read(tile.read), scene=plan.scene)
        reading = clock() - start
        if patch.valid[tile.output.slices(patch.window)].any():
            return tile, patch, reading
    return None


def _places(plan: Plan, pixels: int) -> Iterator[Tile]:
    """Yield tiles of the largest side that serves, from the middle of the region outwards."""
    region, number = plan.region, PLACES
    places = sorted(
        ((down, across) for down in range(number) for across in range(number)),
        key=lambda place: abs(place[0] - number // 2) + abs(place[1] - number // 2),
    )
    for side in SIDES:
        if side > max(region.rows, region.cols):
            continue
        tiles = []
        for down, across in places:
            row = region.row + region.rows * (2 * down + 1) // (2 * number)
            col = region.col + region.cols * (2 * across + 1) // (2 * number)
            tiles.append(plan.tile(Window(row, col, 1, 1).grown(side // 2, within=region)))
        if 2 * max(_pixels([tile.input]) for tile in tiles) <= SHARE * pixels:
            yield from tiles
            return


def duration(seconds: float) -> str:
    """Return seconds in words a person expects: 40 s, 3 min, 1 h 20 min."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
