"""What a scene says about the input channels, collected in a stream: for their strengths and held-out slopes.

Splitting a logit over its channels costs several passes through the network, and neighbouring pixels tell the
same: windows of a few cells, spread evenly over the scene, stand for all of it. Where they lie depends on
the region alone, never on the tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import torch

from ....ground.protocols import Patch, Progress, Source
from ....ground.window import Window
from ...streaming.engine import check_cancelled, plan_work
from ...streaming.out_of_memory import OutOfMemoryFallback
from ...streaming.pipeline import read_ahead
from ...streaming.run_time import Probe, announce
from ...streaming.runner import Inputs, Runner
from ...streaming.tiling import Tile
from ..sampling import Choose
from ..sums.clusters import BlockLadder
from .evidence import ChannelAccumulator, ChannelEvidence
from .levels import input_channels

NONE = "none"
STEPS = 4  # fixed: contributions of different scenes are comparable only if they were made in one way
WINDOW_SIDE = 200  # about so many pixels; less would waste most of the work on the margin around
# Time that splitting a pixel takes, the margin around its window included, against that of mapping one: for progress.
COST = {"integrated": 9.0, "gated": 3.0}
LARGEST_AREA = {"integrated": 2_000_000, "gated": 8_000_000}  # pixels of a scene that are split

# labels_at(window, rows, cols): for each head the labels of pixels, in scene coordinates, or None.
LabelsAt = Callable[[Window, np.ndarray, np.ndarray], Sequence["np.ndarray | None"]]


class OutputSplitter(Protocol):
    """Splits logits over the input channels, every channel alone."""

    def split_outputs(self, inputs: Inputs) -> torch.Tensor:
        """Return (channels, then bias, then logit; output, row, column) of all outputs."""


SplitterOn = Callable[[Runner], OutputSplitter]


@dataclass(frozen=True)
class SceneMark:
    """What tells a scene from all others.

    Parameters
    ----------
    identity : str
        Whatever run or machine sees the scene.
    place : str
        Its name, time and place: what the pixels of a sample are drawn by, so that copies are drawn alike.
    """

    identity: str
    place: str


def method_text(method: str) -> str:
    """Return the way of splitting in words; only contributions of one way can be merged."""
    way = f"integrated gradients in {STEPS} steps" if method == "integrated" else "gated contributions"
    return f"{way} from the training mean of each channel"


def spread_windows(region: Window, ratio: int, largest_area: int) -> list[Window]:
    """Return square windows spread evenly over a region: all of it where it is small.

    Parameters
    ----------
    region : Window
        What is sampled.
    ratio : int
        Fine pixels along a coarse cell: windows are made of whole cells.
    largest_area : int
        Pixels they may have together, as far as every row and column of windows keeps one.
    """
    side = max(1, round(WINDOW_SIDE / ratio)) * ratio
    step = max(1, int(np.ceil(np.sqrt(region.rows * region.cols / largest_area))))
    windows = []
    places = []
    for start, stop in ((region.row, region.row_stop), (region.col, region.col_stop)):
        first, last = start // side, -(-stop // side)
        places.append(range(first + min(step // 2, (last - first) // 2), last, step))
    for down in places[0]:
        for across in places[1]:
            window = Window(down * side, across * side, side, side).intersection(region)
            if not window.empty:
                windows.append(window)
    return windows


def splitting_share(region: Window, ratio: int, method: str) -> float:
    """Return which part of the time for a scene its splitting takes, roughly."""
    if method == NONE:
        return 0.0
    windows = spread_windows(region, ratio, LARGEST_AREA[method])
    splitting = COST[method] * sum(window.rows * window.cols for window in windows)
    return splitting / (splitting + region.rows * region.cols)


@dataclass(frozen=True)
class SplitPixels:
    """Contributions at chosen pixels of one window.

    Parameters
    ----------
    window : Window
        Where.
    rows, cols : numpy.ndarray
        (pixel,), in scene coordinates.
    bands : numpy.ndarray
        (channels, then bias, then logit; output, pixel), float64.
    """

    window: Window
    rows: np.ndarray
    cols: np.ndarray
    bands: np.ndarray


def split_pixels(
    runner: Runner,
    source: Source,
    splitter_on: SplitterOn,
    region: Window,
    windows: Sequence[Window],
    choose: Choose,
    memory_mib: float,
    progress: Progress,
) -> Iterator[SplitPixels]:
    """Yield the contributions at the chosen pixels of windows.

    Parameters
    ----------
    runner, source : Runner, Source
        The network and the scene.
    splitter_on : callable
        ``splitter_on(runner)`` returns what splits logits on the device of a runner.
    region : Window
        The part of the scene whose tiles are planned.
    windows : sequence of Window
        Where pixels are split.
    choose : callable
        Which pixels of a window are sampled.
    memory_mib : float
        For tiles.
    progress : Progress
        Reports every window.

    Raises
    ------
    ParameterError
        If the memory is too little.
    Cancelled
        Within a window after the user asked for it.
    """

    def ready_on(device: Runner) -> tuple[Runner, OutputSplitter]:
        return device, splitter_on(device)

    def pick(
        patch: Patch, chosen: np.ndarray, origin: Window, ready: tuple[Runner, OutputSplitter], piece: Tile
    ) -> np.ndarray:
        device, splitter = ready
        bands = splitter.split_outputs(device.standardise(patch, piece.input))
        own = device.array(bands[(slice(None), slice(None), *piece.output.slices(piece.input))])
        return own[:, :, chosen[piece.output.slices(origin)]].astype(np.float64)

    def every_pixel(patch: Patch, ready: tuple[Runner, OutputSplitter], piece: Tile) -> np.ndarray:
        chosen = np.ones((piece.output.rows, piece.output.cols), bool)
        return pick(patch, chosen, piece.output, ready, piece)

    work = splitter_on(runner).split_outputs
    plan = plan_work(runner, source, region, memory_mib, work, per_strip_pixel=0)
    fallback = OutOfMemoryFallback(runner, plan, progress, ready_on)
    tiles = [plan.tile(part) for window in windows for part in window.split(plan.tile_rows, plan.tile_cols)]
    probe = Probe(lambda tile, patch: fallback.whole(tile, partial(every_pixel, patch)))
    announce(source, plan, progress, "Splitting logits over channels", probe, tiles)
    patches = read_ahead(source, (tile.read for tile in tiles))
    try:
        for number, (tile, patch) in enumerate(zip(tiles, patches), start=1):
            check_cancelled(progress)
            valid = patch.valid[tile.output.slices(patch.window)]
            chosen = valid & choose(tile.output, valid)
            if chosen.any():
                for piece, picked in fallback.pieces(tile, partial(pick, patch, chosen, tile.output)):
                    rows, cols = np.nonzero(chosen[piece.output.slices(tile.output)])
                    if len(rows):
                        place = rows + piece.output.row, cols + piece.output.col
                        yield SplitPixels(piece.output, *place, picked)
            progress.report(number / len(tiles), "Splitting logits over channels")
    finally:
        patches.close()


def collect_contributions(
    runner: Runner,
    source: Source,
    region: Window,
    mark: SceneMark,
    method: str,
    splitter_on: SplitterOn,
    choose: Choose,
    labels_at: LabelsAt,
    ladder: BlockLadder,
    memory_mib: float,
    progress: Progress,
) -> tuple[ChannelEvidence, ...]:
    """Return what a scene tells about the channels, one a head; none for the method ``none``.

    Parameters
    ----------
    runner, source, region : Runner, Source, Window
        The network, the scene, and the part of it that is scored.
    mark : SceneMark
        What tells the scene from others.
    method : str
        A word of :data:`~floelens.plugin.ground.vocabulary.words.CHANNEL_METHODS`.
    splitter_on : callable
        ``splitter_on(runner)`` returns what splits logits by that method, in :data:`STEPS` steps.
    choose : callable
        Which pixels of a window are sampled, as for the components.
    labels_at : callable
        ``labels_at(window, rows, cols)`` returns for each head the labels of pixels, or None.
    ladder : BlockLadder
        Blocks of the scene.
    memory_mib : float
        For tiles.
    progress : Progress
        Reports every window.
    """
    if method == NONE:
        return ()
    card = runner.card
    accumulators = []
    for head in card.heads:
        classes = [entry.name for entry in head.classes]
        empty = ChannelEvidence.empty(
            head.name, head.kind, classes, input_channels(card), method_text(method)
        )
        accumulators.append(ChannelAccumulator(empty, mark.identity, mark.place))
    windows = spread_windows(region, card.ratio, LARGEST_AREA[method])
    batches = split_pixels(runner, source, splitter_on, region, windows, choose, memory_mib, progress)
    for batch in batches:
        blocks = {ladder.finest: ladder.blocks(batch.rows, batch.cols)}
        labels = labels_at(batch.window, batch.rows, batch.cols)
        for head, accumulator, known in zip(card.heads, accumulators, labels):
            own = batch.bands[:, card.head_slice(head.name)]  # (band, output, pixel)
            accumulator.add(own[-2].T, own[:-2].transpose(2, 1, 0), batch.rows, batch.cols, known, blocks)
    nested = {ladder.finest: ladder.coarser}
    return tuple(accumulator.close(nested) for accumulator in accumulators)
