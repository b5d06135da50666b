"""How many steps contributions along a path take: enough that more would not change them.

The split is complete with any number of steps; what more of them settle is how gates that change within one
step share. The number is found on a few small windows fixed in the scene, so that it is one for all tiles.
"""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np

from ...ground.protocols import Patch, Progress, Source
from ..streaming.engine import check_cancelled
from ..streaming.out_of_memory import OutOfMemoryFallback
from ..streaming.runner import Runner
from ..streaming.tiling import Plan, Tile
from ..target.channel_groups import SCALE
from ..target.target import Seeding
from .probe_windows import probe_windows
from .run import Splitting, splitter_for
from .splitters import INTEGRATED

# So many windows of this side are tried.
PROBE_SIDE = 48
PROBES = 4


def settled(
    runner: Runner, source: Source, plan: Plan, seeding: Seeding, splitting: Splitting, progress: Progress
) -> Splitting:
    """Return the splitting with as many steps as it takes: one number for all tiles, however they are cut.

    The steps are doubled until the split stands still on windows fixed in the scene; the number stands in
    the log.
    """
    if splitting.method != INTEGRATED or splitting.groups == SCALE:
        return splitting
    if not splitter_for(runner, splitting).takes_steps:
        progress.message(
            "Contributions along the path: exact without steps, as one group at most is not linear."
        )
        return dataclasses.replace(splitting, steps=1)
    progress.report(0.0, "Trying how many steps are needed")
    windows = probe_windows(source, plan, PROBE_SIDE, PROBES)
    fallback = OutOfMemoryFallback(runner, plan, progress, lambda runner: runner)

    def splits(trial: Splitting) -> list[np.ndarray]:
        def split(patch: Patch, runner: Runner, tile: Tile) -> np.ndarray:
            splitter = splitter_for(runner, trial, lambda: check_cancelled(progress))
            bands = runner.array(splitter.split(runner.standardise(patch, tile.input), seeding))
            own = patch.valid[tile.output.slices(patch.window)]
            return bands[(slice(None), *tile.output.slices(tile.input))][:-1, own].astype(np.float64)

        return [fallback.whole(tile, partial(split, patch)) for tile, patch in windows]

    before = splits(splitting)
    while windows:
        finer = dataclasses.replace(splitting, steps=2 * splitting.steps)
        if finer.steps > splitting.most_steps:
            progress.message(
                f"Contributions along the path: {splitting.steps} steps, the most there are; they moved on."
            )
            break
        after = splits(finer)
        moved = max(
            float((np.abs(b - a).max(axis=0) / np.maximum(np.abs(b).sum(axis=0), 1e-300)).max())
            for a, b in zip(before, after)
        )
        if moved <= splitting.settled:
            progress.message(
                f"Contributions along the path: {splitting.steps} steps; twice as many move no band by more "
                f"than {moved:.2g} of |bias| + Σ|contributions| in {len(windows)} places."
            )
            break
        splitting, before = finer, after
    return splitting
