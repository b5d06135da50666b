"""Do contributions add up where each group is computed on its own? Checked on a few small windows.

Along a path one group is what the others leave, so that the bands of a run add up whatever is wrong with them. Here
no group is: each is followed along the path, and their sum is held against logits of the network's definition: that
of a target, or, for the evidence of channels, those of all outputs.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from ...ground.protocols import Patch, Progress, Source
from ...ground.window import Window
from ..streaming.engine import check_cancelled
from ..streaming.out_of_memory import OutOfMemoryFallback
from ..streaming.runner import Inputs, Runner
from ..streaming.tiling import Plan, Tile
from ..target.channel_groups import SCALE
from ..target.target import Seeding
from .probe_windows import probe_windows
from .splitters import INTEGRATED, PathSplitter, Splitting

# So many windows of this side: most of what is computed for them is their margin.
WINDOWS, SIDE = 3, 8
# The secants make any number of steps add up; two show that steps are added rightly, where the run takes some.
STEPS = 2


@dataclass(frozen=True)
class Completeness:
    """How well groups add up that are computed on their own.

    Parameters
    ----------
    windows : int
        On how many windows this was checked: 0 where no group is what the others leave, or no pixel is valid.
    residual : float
        Largest |Σ groups + bias - logit| as a share of |bias| + Σ|groups|; 0 without windows.
    place : tuple of int
        Row and column where it is.
    """

    windows: int = 0
    residual: float = 0.0
    place: tuple[int, int] = (0, 0)

    def joined(self, other: Completeness) -> Completeness:
        """Return what is known of the windows of both."""
        worse = self if other.residual <= self.residual else other  # NaN is the worst
        return Completeness(self.windows + other.windows, worse.residual, worse.place)


class CompletenessCheck:
    """Checks a splitting on windows.

    Parameters
    ----------
    runner, plan, progress
        As of the run.
    seeding : Seeding or None
        Which logit; None for those of all outputs, each of which must add up.
    splitting : Splitting
        How logits are split.
    """

    def __init__(
        self, runner: Runner, plan: Plan, seeding: Seeding | None, splitting: Splitting, progress: Progress
    ) -> None:
        self.found = Completeness()
        self._plan, self._seeding = plan, seeding
        self._splitting = dataclasses.replace(splitting, steps=min(splitting.steps, STEPS))
        self._progress = progress
        self._fallback: OutOfMemoryFallback[PathSplitter] | None = None
        if splitting.method == INTEGRATED and splitting.groups != SCALE:
            fallback = OutOfMemoryFallback(runner, plan, progress, self._splitter_on)
            if fallback.ready.bent:  # else no group is what the others leave
                self._fallback = fallback

    def run(self, source: Source, windows: int = WINDOWS) -> None:
        """Check on windows fixed in the scene."""
        if self._fallback is None:
            return
        for tile, patch in probe_windows(source, self._plan, SIDE, windows):
            self._take(tile, dataclasses.replace(patch, scene=self._plan.scene))

    def run_anywhere(self, source: Source, windows: int = WINDOWS) -> None:
        """Check on windows fixed in the scene, or in the first tile with a valid pixel where they hold none."""
        self.run(source, windows)
        for tile in (tile for strip in self._plan.strips() for tile in strip):
            if self._fallback is None or self.found.windows:
                return
            patch = source.read(tile.read)
            if patch.valid[tile.output.slices(patch.window)].any():
                self.run_inside(tile, dataclasses.replace(patch, scene=self._plan.scene))

    def run_inside(self, tile: Tile, patch: Patch) -> None:
        """Check around a valid pixel of a tile, if there was none in the windows fixed in the scene."""
        if self._fallback is None or self.found.windows:
            return
        rows, cols = np.nonzero(patch.valid[tile.output.slices(patch.window)])
        middle = len(rows) // 2
        pixel = Window(tile.output.row + int(rows[middle]), tile.output.col + int(cols[middle]), 1, 1)
        self._take(self._plan.tile(pixel.grown(SIDE // 2, within=tile.output)), patch)

    def _splitter_on(self, runner: Runner) -> PathSplitter:
        splitter = PathSplitter(runner, self._splitting, lambda: check_cancelled(self._progress), rest=False)
        if not splitter.takes_steps:
            splitter.splitting = dataclasses.replace(self._splitting, steps=1)
        return splitter

    def _take(self, tile: Tile, patch: Patch) -> None:
        if self._fallback is None:
            raise AssertionError("self._fallback is None")
        own = self._fallback.whole(tile, partial(_checked, patch, self._seeding))
        self.found = self.found.joined(own)


def _checked(patch: Patch, seeding: Seeding | None, splitter: PathSplitter, tile: Tile) -> Completeness:
    runner = splitter.runner
    inputs = runner.standardise(patch, tile.input)
    own = (slice(None), slice(None), *tile.output.slices(tile.input))  # of (band, output, row, column)
    with torch.no_grad():
        if seeding is None:
            bands, logit = splitter.split_outputs(inputs), _defined(runner, inputs)[0]
        else:
            bands, logit = splitter.split(inputs, seeding)[:, None], _seeded(runner, inputs, seeding)[None]
        found = torch.cat([bands, logit[None].to(bands.dtype)])[own].double().cpu().numpy()
    parts, logits = found[:-2], found[-2:]
    # The last group is what the others leave of the run's logit: it must be the definition's, too.
    missing = np.abs(np.stack([parts.sum(axis=0), logits[0]]) - logits[1]).max(axis=0)
    shares = missing / np.maximum(np.abs(parts).sum(axis=0), np.finfo(np.float64).tiny)
    residual = shares.max(axis=0)  # over the outputs; NaN is the largest of all
    residual[~patch.valid[tile.output.slices(patch.window)]] = 0.0
    row, col = np.unravel_index(int(residual.argmax()), residual.shape)
    return Completeness(
        1, float(residual[row, col]), (tile.output.row + int(row), tile.output.col + int(col))
    )


def _defined(runner: Runner, inputs: Inputs) -> torch.Tensor:
    """Return the logits (1, output, row, column): by the definition where the runner computes in its precision."""
    if runner.dtype == runner.input_dtype:
        return runner.module(inputs.fine, inputs.coarse)
    return runner.logits(inputs)


def _seeded(runner: Runner, inputs: Inputs, seeding: Seeding) -> torch.Tensor:
    """Return the target's logit (row, column)."""
    logits = runner.logits(inputs)
    seeds = seeding.seeds(logits, torch.ones_like(logits[0, 0], dtype=torch.bool))
    if runner.dtype == runner.input_dtype:
        logits = _defined(runner, inputs)
    return (logits * seeds).sum((0, 1))
