"""Contributions in standard deviations from their reference, streamed over a scene."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from ....ground.protocols import Patch, Progress, Sink, Source
from ....ground.window import Window
from ...streaming.engine import plan_work, tiles_with_patches
from ...streaming.out_of_memory import OutOfMemoryFallback
from ...streaming.pipeline import writing_behind
from ...streaming.run_time import Probe
from ...streaming.runner import Runner
from ...streaming.tiling import Plan, Tile
from .collect import OutputSplitter, SplitterOn
from .reference import ContributionReference


def plan_standardised(
    runner: Runner,
    source: Source,
    region: Window,
    splitter: OutputSplitter,
    references: Sequence[ContributionReference],
    memory_mib: float,
) -> Plan:
    """Choose tiles for :func:`run_standardised`.

    Raises
    ------
    ParameterError
        If the memory is too little, or the region does not lie inside the scene.
    """
    bands = sum(len(reference.channels) for reference in references)
    return plan_work(runner, source, region, memory_mib, splitter.split_outputs, per_strip_pixel=bands)


def run_standardised(
    runner: Runner,
    source: Source,
    plan: Plan,
    splitter_on: SplitterOn,
    references: Sequence[ContributionReference],
    sink: Sink,
    progress: Progress,
) -> None:
    """Write one band a head and channel: its contribution in standard deviations from the reference mean.

    Of a head of several classes it is the contribution to the predicted class, centred over the classes.

    Parameters
    ----------
    runner, source, plan : Runner, Source, Plan
        The network, the scene, and its tiles.
    splitter_on : callable
        ``splitter_on(runner)`` returns what splits logits over the channels of the references.
    references : sequence of ContributionReference
        One a head, of the same way of splitting.
    sink : Sink
        Takes strips (band, row, column), float32: the channels of the first head, then of the next; NaN where
        the scene is not valid.
    progress : Progress
        Reports every tile.

    Raises
    ------
    Cancelled
        Within a tile after the user asked for it.
    """
    number = sum(len(reference.channels) for reference in references)

    def ready_on(device: Runner) -> tuple[Runner, OutputSplitter]:
        return device, splitter_on(device)

    def standardise(patch: Patch, ready: tuple[Runner, OutputSplitter], piece: Tile) -> np.ndarray:
        device, splitter = ready
        split = splitter.split_outputs(device.standardise(patch, piece.input))
        inside = piece.output.slices(piece.input)
        parts = []
        for reference in references:
            own = (slice(None), device.card.head_slice(reference.head), *inside)
            parts.append(_of_predicted(reference, device.array(split[own])))
        return np.concatenate(parts)

    fallback = OutOfMemoryFallback(runner, plan, progress, ready_on)
    probe = Probe(lambda tile, patch: fallback.whole(tile, partial(standardise, patch)))
    tiles = tiles_with_patches(source, plan, progress, "Standardising contributions", probe)
    strip, window = None, plan.region
    with writing_behind(sink) as behind:
        for tile, patch, last in tiles:
            if strip is None:
                window = Window(tile.output.row, plan.region.col, tile.output.rows, plan.region.cols)
                strip = np.full((number, window.rows, window.cols), np.nan, np.float32)
            if patch.valid[tile.output.slices(patch.window)].any():
                for piece, shown in fallback.pieces(tile, partial(standardise, patch)):
                    valid = patch.valid[piece.output.slices(patch.window)]
                    strip[(slice(None), *piece.output.slices(window))] = np.where(valid, shown, np.nan)
            if last:
                behind.write(strip)
                strip = None


def _of_predicted(reference: ContributionReference, split: np.ndarray) -> np.ndarray:
    """Return standardised contributions (channel, row, column) to the predicted class.

    `split` is (channels, then bias, then logit; output, row, column).
    """
    unusual = reference.standardised(split[:-2].swapaxes(0, 1))
    predicted = split[-1].argmax(axis=0)  # (row, column): of one output always 0
    return np.take_along_axis(unusual, predicted[None, None], axis=0)[0]
