"""Small windows fixed in the scene, on which contributions are tried and checked."""

from __future__ import annotations

from ...ground.protocols import Patch, Source
from ...ground.window import Window
from ..streaming.tiling import Plan, Tile

# Places tried down and across the region.
CANDIDATES = 5


def probe_windows(source: Source, plan: Plan, side: int, number: int) -> list[tuple[Tile, Patch]]:
    """Return up to `number` tiles of `side` pixels, some valid, spread over the region, and what was read for them."""
    windows, region = [], plan.region
    for index in range(CANDIDATES * CANDIDATES):
        down, across = divmod(index * 7 % (CANDIDATES * CANDIDATES), CANDIDATES)  # not row by row
        row = region.row + region.rows * (2 * down + 1) // (2 * CANDIDATES)
        col = region.col + region.cols * (2 * across + 1) // (2 * CANDIDATES)
        tile = plan.tile(Window(row, col, 1, 1).grown(side // 2, within=region))
        patch = source.read(tile.read)
        if patch.valid[tile.output.slices(patch.window)].any():
            windows.append((tile, patch))
        if len(windows) == number:
            break
    return windows
