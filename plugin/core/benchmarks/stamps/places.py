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
from .stamps import Stamp

FEWEST_PLACES = 3


@dataclass(frozen=True)
class Place:
    """Where a stamp is put.

    Parameters
    ----------
    core : Window
        Whole cells around the stamp.
    explained : Window
        The pixels whose logits may change with it: within a receptive-field radius of `core`.
    seen : Window
        The inputs that these read, which is where relevance may change.
    read : Window
        What a patch must cover.
    """

    core: Window
    explained: Window
    seen: Window
    read: Window


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
    reach = -(-2 * runner.radius // ratio) * ratio
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
        explained = core.grown(runner.radius, within=region)
        seen = explained.grown(runner.radius, within=region).snapped(ratio, within=region)
        read = seen.grown(runner.radius, within=scene).snapped(runner.alignment, within=scene)
        patch = source.read(read)
        inside = explained.slices(read)
        cells = patch.coarse[(slice(None), *explained.coarser(ratio).slices(read.coarser(ratio)))]
        if patch.valid[inside].all() and np.isfinite(cells).all():
            places.append(Place(core, explained, seen, read))
        if len(places) == number:
            break
    if len(places) < FEWEST_PLACES:
        raise SceneError(
            f"The scene has room for {len(places)} stamps {step} pixels apart without land and missing values around; "
            f"{FEWEST_PLACES} are needed. Choose a larger EXTENT or another scene."
        )
    return tuple(sorted(places, key=lambda place: (place.core.row, place.core.col)))
