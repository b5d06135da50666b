"""Contributions of the channels for a run of Z-scores: what their strengths and held-out slopes rest on.

Splitting a logit over its channels costs several passes through the network, and neighbours tell the
same: windows of a few cells, spread evenly over the scene, stand for all of it. Where they lie depends on
the region alone, never on the tiles.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ...core.contributions.run import Splitter, Splitting, splitter_for
from ...core.streaming.engine import check_cancelled, plan_work
from ...core.streaming.out_of_memory import OutOfMemoryFallback
from ...core.streaming.pipeline import read_ahead
from ...core.streaming.run_time import Probe, announce
from ...core.streaming.runner import Runner
from ...core.streaming.tiling import Tile
from ...core.zscores.channels.evidence import ChannelAccumulator, ChannelEvidence
from ...core.zscores.channels.levels import InputChannel
from ...core.zscores.sums.clusters import BlockLadder
from ...ground.protocols import Patch, Progress
from ...ground.window import Window
from ...io.scene.reader import Scene
from ...networks.card import ModelCard

NONE = "none"
CHECKED_CELLS = 5  # down and across, whose values tell a scene from another of its name and place
STEPS = 4  # fixed: contributions of different scenes are comparable only if they were made in one way
WINDOW_SIDE = 200  # about so many pixels; less would waste most of the work on the margin around
# Time that splitting a pixel takes, the margin around its window included, against that of mapping one: for progress.
COST = {"integrated": 9.0, "gated": 3.0}
LARGEST_AREA = {"integrated": 2_000_000, "gated": 8_000_000}  # pixels of a scene that are split

Choose = Callable[[Window, np.ndarray], np.ndarray]
Labels = Callable[[Window, np.ndarray, np.ndarray], Sequence[object]]


def splitting_of(method: str) -> Splitting:
    """Return how logits are split for scores: every channel alone, from the training means."""
    return Splitting(method, "channel", steps=STEPS)


def method_text(method: str) -> str:
    """Return the way of splitting in words; only contributions of one way can be merged."""
    way = f"integrated gradients in {STEPS} steps" if method == "integrated" else "gated contributions"
    return f"{way} from the training mean of each channel"


def input_channels(card: ModelCard) -> tuple[InputChannel, ...]:
    """Return the channels of a card in the order of the contributions: fine ones first."""
    return tuple(
        InputChannel(channel.name, channel.sensor, channel.frequency_ghz, channel.polarisation)
        for channel in (*card.fine_channels, *card.coarse_channels)
    )


def scene_identity(scene: Scene) -> str:
    """Return what tells a scene from all others: its name, time and place, and a checksum of some of its values.

    Files of different scenes may have one name, no time and one place, as simulated ones do.
    """
    return f"{scene_place(scene)}|{_checksum(scene)}"


def _checksum(scene: Scene) -> str:
    """Return a checksum of the fine channels in cells spread over the scene."""
    digest = hashlib.sha256()
    cells = Window(0, 0, -(-scene.rows // scene.ratio), -(-scene.cols // scene.ratio))
    down, across = (
        np.unique(np.linspace(0, count - 1, CHECKED_CELLS).astype(int)).tolist()
        for count in (cells.rows, cells.cols)
    )
    whole = Window(0, 0, scene.rows, scene.cols)
    for row in down:
        for col in across:
            cell = Window(row * scene.ratio, col * scene.ratio, scene.ratio, scene.ratio)
            digest.update(np.nan_to_num(scene.read(cell.intersection(whole)).fine).tobytes())
    return digest.hexdigest()[:16]


def scene_place(scene: Scene) -> str:
    """Return the name, time and place of a scene."""
    rows, cols = np.array([0.5, scene.grid.rows - 0.5]), np.array([0.5, scene.grid.cols - 0.5])
    lon, lat = scene.grid.pixel_to_lonlat(rows, cols)
    corners = " ".join(f"{x:.3f},{y:.3f}" for x, y in zip(lon, lat))
    return f"{scene.name}|{scene.start_time or ''}|{corners}|{scene.grid.rows}x{scene.grid.cols}"


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
    found = []
    places = []
    for start, stop in ((region.row, region.row_stop), (region.col, region.col_stop)):
        first, last = start // side, -(-stop // side)
        places.append(range(first + min(step // 2, (last - first) // 2), last, step))
    for down in places[0]:
        for across in places[1]:
            window = Window(down * side, across * side, side, side).intersection(region)
            if not window.empty:
                found.append(window)
    return found


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
    scene: Scene,
    method: str,
    windows: Sequence[Window],
    choose: Choose,
    memory_mib: float,
    progress: Progress,
) -> Iterator[SplitPixels]:
    """Yield the contributions at the chosen pixels of windows.

    Raises
    ------
    ParameterError
        If the memory is too little.
    Cancelled
        Within a window after the user asked for it.
    """

    def splitter_on(device: Runner) -> tuple[Runner, Splitter]:
        return device, splitter_for(device, splitting_of(method), lambda: check_cancelled(progress))

    def pick(patch: Patch, chosen: np.ndarray, origin: Window, ready: tuple, piece: Tile) -> np.ndarray:
        device, splitter = ready
        bands = splitter.split_outputs(device.standardise(patch, piece.input))
        own = device.array(bands[(slice(None), slice(None), *piece.output.slices(piece.input))])
        return own[:, :, chosen[piece.output.slices(origin)]].astype(np.float64)

    work = splitter_on(runner)[1].split_outputs
    plan = plan_work(runner, scene, scene.region, memory_mib, work, per_strip_pixel=0)
    fallback = OutOfMemoryFallback(runner, plan, progress, splitter_on)
    tiles = [plan.tile(part) for window in windows for part in window.split(plan.tile_rows, plan.tile_cols)]
    every = Probe(lambda tile, patch: fallback.whole(tile, partial(_all_pixels, pick, patch)))
    announce(scene, plan, progress, "Splitting logits over channels", every, tiles)
    patches = read_ahead(scene, (tile.read for tile in tiles))
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


def _all_pixels(pick: Callable, patch: Patch, ready: tuple, piece: Tile) -> np.ndarray:
    """Return the contributions at every pixel of a piece."""
    chosen = np.ones((piece.output.rows, piece.output.cols), bool)
    return pick(patch, chosen, piece.output, ready, piece)


def collect_evidence(
    runner: Runner,
    scene: Scene,
    identity: str,
    method: str,
    choose: Choose,
    labels_at: Labels,
    ladder: BlockLadder,
    nested: Mapping[str, Mapping[str, np.ndarray]],
    memory_mib: float,
    progress: Progress,
) -> tuple[ChannelEvidence, ...]:
    """Return what the scene tells about the channels, one a head; none for the method ``none``.

    Parameters
    ----------
    runner, scene : Runner, Scene
        The network and the scene.
    identity : str
        As of :func:`scene_identity`.
    method : str
        A word of :data:`~floelens.plugin.ground.vocabulary.words.CHANNEL_METHODS`.
    choose : callable
        Which pixels of a window are sampled, as for the components.
    labels_at : callable
        ``labels_at(window, rows, cols)`` returns for each head the labels of pixels, or None.
    ladder : BlockLadder
        Blocks of the scene.
    nested : mapping
        Its coarser clusterings, as for :meth:`.ChannelAccumulator.close`.
    memory_mib : float
        For tiles.
    progress : Progress
        Told of every window.
    """
    if method == NONE:
        return ()
    card = runner.card
    channels, place = input_channels(card), scene_place(scene)
    accumulators = []
    for head in card.heads:
        classes = [entry.name for entry in head.classes]
        empty = ChannelEvidence.empty(head.name, head.kind, classes, channels, method_text(method))
        accumulators.append(ChannelAccumulator(empty, identity, place))
    windows = spread_windows(scene.region, card.ratio, LARGEST_AREA[method])
    for batch in split_pixels(runner, scene, method, windows, choose, memory_mib, progress):
        blocks = {ladder.finest: ladder.blocks(batch.rows, batch.cols)}
        labels = labels_at(batch.window, batch.rows, batch.cols)
        for head, accumulator, known in zip(card.heads, accumulators, labels):
            own = batch.bands[:, card.head_slice(head.name)]  # (band, output, pixel)
            accumulator.add(own[-2].T, own[:-2].transpose(2, 1, 0), batch.rows, batch.cols, known, blocks)
    return tuple(accumulator.close(nested) for accumulator in accumulators)
