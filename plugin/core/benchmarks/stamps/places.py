"""Where stamps are put into a scene: places apart from each other, with valid values all around."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ....ground.errors import SceneError
from ....ground.protocols import Source
from ....ground.window import Window
from ...streaming.engine import scene_window
from ...streaming.runner import Runner
from ...streaming.tiling import BLOCK_COLS, Plan, Tile
from .stamps import Stamp

FEWEST_PLACES = 3


@dataclass(frozen=True)
class Place:
    """Where a stamp is put.

    Parameters
    ----------
    core : Window
        Whole cells around the stamp.
    tile : Tile
        Its output are the pixels whose logits may change with the stamp, within a receptive-field radius of `core`; its
        input is what these read, which is where relevance may change.
    """

    core: Window
    tile: Tile

    @property
    def seen(self) -> Window:
        """The pixels where relevance may change."""
        return self.tile.input


def places_of(
    runner: Runner, source: Source, region: Window, stamps: Sequence[Stamp], number: int, seed: int
) -> tuple[Place, ...]:
    """Return places for stamps in a region: apart from each other, with valid values all around, drawn from a seed.

    Raises
    ------
    SceneError
        If there are fewer than three.
    """
    scene, ratio = scene_window(source), runner.ratio
    # A place holds every stamp, in whole cells.
    largest = max(max(stamp.shape(False)) * (ratio if stamp.coarse else 1) for stamp in stamps)
    side = -(-largest // ratio) * ratio
    plan = Plan(region, scene, runner.radius, runner.alignment, max(region.rows, 1), max(region.cols, 1))
    reach = -(-(2 * runner.radius + BLOCK_COLS) // ratio) * ratio
    step = -(-(side + 2 * reach) // runner.alignment) * runner.alignment
    inset = (step - side) // 2 // ratio * ratio
    rows, cols = (
        range(-(-first // step) * step + inset, stop - side + 1, step)
        for first, stop in ((region.row, region.row_stop), (region.col, region.col_stop))
    )
    grid = [Window(row, col, side, side) for row in rows for col in cols]
    places: list[Place] = []
    for at in np.random.default_rng([seed, 8]).permutation(len(grid)):
        core = grid[at]
        tile = plan.tile(core.grown(runner.radius, within=region))
        patch = source.read(tile.read)
        cells = patch.coarse[(slice(None), *tile.output.coarser(ratio).slices(tile.read.coarser(ratio)))]
        if patch.valid[tile.output.slices(tile.read)].all() and np.isfinite(cells).all():
            places.append(Place(core, tile))
        if len(places) == number:
            break
    if len(places) < FEWEST_PLACES:
        raise SceneError(
            f"The scene has room for {len(places)} stamps {step} pixels apart without land and missing values around; "
            f"{FEWEST_PLACES} are needed. Choose a larger EXTENT or another scene."
        )
    return tuple(sorted(places, key=lambda place: (place.core.row, place.core.col)))
