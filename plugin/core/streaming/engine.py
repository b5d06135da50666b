"""A scene of any size streamed through a network, tile by tile.

Tiles come in strips of the region's full width, from top to bottom. Reading, computing and writing overlap
(:mod:`.pipeline`); few tiles are held at a time, so memory does not depend on the size of the scene.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import torch

from ...ground.errors import Cancelled, SceneError
from ...ground.protocols import Patch, Progress, Source
from ...ground.window import Window
from ...networks.kernels.threads import worker_count
from .memory import peak_bytes
from .out_of_memory import OutOfMemoryFallback
from .pipeline import PATCHES_WAITING, computed_ahead, read_ahead
from .products import product
from .run_time import Probe, announce
from .runner import Inputs, Runner, check_finite, refused_if_full
from .seams import SeamMeter
from .tiling import SLAB_ROWS, Cost, Plan, Tile, plan_tiles
from .windows import check_window_memory, plan_windows

# Columns of the windows on which the need for memory is measured, in pixels.
PROBE_COLS = 100
SLAB_PIXELS = 1 << 15  # whose components are yielded at a time
Result = TypeVar("Result")


@dataclass(frozen=True)
class Strip:
    """Predictions over a strip of the region's full width.

    Parameters
    ----------
    window : Window
        The pixels.
    logits : numpy.ndarray
        (output, row, column), float32 (float64 for a runner of that precision); NaN where not valid.
    valid : numpy.ndarray
        (row, column), bool.
    """

    window: Window
    logits: np.ndarray
    valid: np.ndarray


@dataclass(frozen=True)
class ComponentSample:
    """Components of the last layer at chosen pixels of a tile.

    Parameters
    ----------
    window : Window
        The tile's pixels, or the rows of them that the chosen ones lie in.
    rows, cols : numpy.ndarray
        (n,), the chosen pixels, in scene coordinates.
    components : numpy.ndarray
        (n, component), float32 (float64 for a runner of that precision).
    """

    window: Window
    rows: np.ndarray
    cols: np.ndarray
    components: np.ndarray


def scene_window(source: Source) -> Window:
    """Return the window of a whole source."""
    return Window(0, 0, source.rows, source.cols)


def plan_predictions(runner: Runner, source: Source, region: Window, memory_mib: float) -> Plan:
    """Choose tiles for :func:`stream_predictions`.

    Raises
    ------
    ParameterError
        If the memory is too little, or the region does not lie inside the scene.
    """
    large, ahead = runner.takes_large_tiles, runner.tiles_ahead
    held = 0
    if runner.window is not None:  # of the windows above, what those below are compared with
        held = 2 * runner.window.size * source.cols * runner.outputs * runner.array_dtype.itemsize
    return plan_work(
        runner, source, region, memory_mib, runner.logits, runner.outputs, large=large, ahead=ahead, held=held
    )


def plan_components(
    runner: Runner, source: Source, region: Window, memory_mib: float, every: bool = False
) -> Plan:
    """Choose tiles for :func:`stream_components`; `every`: for all pixels, whose components need room once more.

    Raises
    ------
    ParameterError
        If the memory is too little, or the region does not lie inside the scene.
    """

    def work(inputs: Inputs) -> object:
        held = runner.components(inputs)
        return (held, held.clone()) if every else held

    large = every and runner.takes_large_tiles
    return plan_work(runner, source, region, memory_mib, work, per_strip_pixel=0, large=large)


def plan_work(
    runner: Runner,
    source: Source,
    region: Window,
    memory_mib: float,
    work: Callable[[Inputs], object],
    per_strip_pixel: float,
    per_cell: float = 0,
    large: bool = False,
    ahead: int = 0,
    held: float = 0,
) -> Plan:
    """Choose tiles for any work on a tile's inputs, by measuring what it takes on a small window.

    Parameters
    ----------
    runner, source, region, memory_mib
        The network, the scene, the pixels wanted, and the memory in MiB.
    work : callable
        What is done with the inputs of a tile.
    per_strip_pixel : float
        Numbers held for each pixel of a strip.
    per_cell : float
        Numbers of eight bytes held for each coarse cell of the scene.
    large : bool
        Whether large tiles cost the work no speed.
    ahead : int
        How many more tiles the work is done on at the same time.
    held : float
        Bytes held throughout, such as the buffers of what is written.

    Raises
    ------
    ParameterError
        If the memory is too little, that of the device is full, or the region does not lie inside the scene.
    """
    scene = scene_window(source)
    size = runner.array_dtype.itemsize
    channels = len(runner.fine_channels)
    # Patches (those that wait, one being read, those in use, the last, which its user still holds), and the inputs and
    # masks made of them.
    reading = (PATCHES_WAITING + 3 + ahead) * (4 * channels + 1) + 3 * channels * 8 * (1 + ahead)
    # A strip is held once while it is filled, once while it is converted into what is written.
    strip = 2 * per_strip_pixel * size + 2
    cells = scene.coarser(runner.ratio)
    with refused_if_full(runner.device):
        pixel, column = _bytes_needed(runner, work, runner.fast.band_rows if large else 0)
    tile, tiles = (1 + ahead) * pixel + reading, 1 + ahead

    def bands_at_once(rows: int) -> int:
        return min(max(worker_count(), tiles), tiles * runner.fast.bands_at_once(rows))

    cost = Cost(tile, strip, held + 8 * per_cell * cells.rows * cells.cols, column, bands_at_once)
    if runner.window is not None:
        plan = plan_windows(region, scene, runner.window, runner.alignment)
        check_window_memory(plan, cost, memory_mib)
        return plan
    return plan_tiles(region, scene, runner.radius, runner.alignment, cost, memory_mib, large)


def _bytes_needed(runner: Runner, work: Callable[[Inputs], object], band_rows: int) -> tuple[float, float]:
    """Return what the work on a tile needs for each of its pixels, and a band for each of its columns.

    Work in bands of `band_rows` rows (0 for none) has a fixed cost a band; a second probe of twice the height
    separates it from the cost a row.
    """
    step = runner.alignment
    cols = -(-PROBE_COLS // step) * step
    heights = (2 * band_rows, 4 * band_rows) if band_rows else (cols,)
    needed = []
    for height in heights:
        rows = -(-height // step) * step
        cells = rows // runner.ratio, cols // runner.ratio
        probe = runner.standardise(
            Patch(
                Window(step, step, rows, cols),
                np.zeros((len(runner.fine_channels), rows, cols), np.float32),
                np.zeros((len(runner.coarse_channels), *cells), np.float32),
                np.ones((rows, cols), bool),
                scene=Window(0, 0, rows + 2 * step, cols + 2 * step),
            )
        )
        runner.fast.release()
        needed.append((rows, peak_bytes(partial(work, probe)) / cols))
    runner.fast.release()
    (rows, need), (first_rows, first) = needed[-1], needed[0]
    if rows == first_rows:
        return need / rows, 0.0
    pixel = max(0.0, need - first) / (rows - first_rows)
    return pixel, max(0.0, need - pixel * rows)


def tiles_with_patches(
    source: Source, plan: Plan, progress: Progress, text: str, probe: Probe | None = None
) -> Iterator[tuple[Tile, Patch, bool]]:
    """Yield each tile with what was read for it, and whether it is the last of its strip.

    Parameters are those of :func:`tiles_with_work`.

    Raises
    ------
    Cancelled
        As soon as the user asks for it, between two tiles.
    SceneError
        After the last tile, if no pixel of the region was valid.
    """
    # What is done with a tile is up to the caller.
    with closing(tiles_with_work(source, plan, progress, text, lambda *_: None, probe=probe)) as tiles:
        for tile, patch, _, last in tiles:
            yield tile, patch, last


def tiles_with_work(
    source: Source,
    plan: Plan,
    progress: Progress,
    text: str,
    work: Callable[[Tile, Patch], Result],
    ahead: int = 0,
    probe: Probe | None = None,
    together: bool = True,
) -> Generator[tuple[Tile, Patch, Result, bool], None, None]:
    """Yield tile, patch, what `work` returns for them, and whether the tile is the last of its strip.

    Parameters
    ----------
    source, plan, progress, text
        The scene, its tiles, and where progress is reported, in these words.
    work : callable
        ``work(tile, patch)``, where `ahead` is not 0 in threads of its own.
    ahead : int
        How many tiles are computed beside the one that is waited for.
    probe : Probe, optional
        How to time what is done with a tile: the estimate is put into the log before the first one.
    together : bool
        As of :func:`.computed_ahead`.

    Raises
    ------
    Exception
        As of :func:`tiles_with_patches`, and what `work` raises.
    """
    if probe is not None:
        announce(source, plan, progress, text, probe)
    total, done, any_valid = plan.count, 0, False
    tiles = (tile for strip in plan.strips() for tile in strip)
    patches = read_ahead(source, (tile.read for strip in plan.strips() for tile in strip))
    seen = (dataclasses.replace(patch, scene=plan.scene) for patch in patches)
    computed = computed_ahead(zip(tiles, seen), work, ahead, together)
    try:
        for strip in plan.strips():
            for tile in strip:
                check_cancelled(progress)
                (_, patch), result = next(computed)
                any_valid = any_valid or bool(patch.valid[tile.output.slices(patch.window)].any())
                yield tile, patch, result, tile is strip[-1]
                done += 1
                progress.report(done / total, text)
        check_cancelled(progress)  # who cancels during the last tile wants no result either
    finally:
        computed.close()
        patches.close()
    if not any_valid:
        raise SceneError(
            "The scene has no valid pixel in the region: every one lacks a channel or lies on land. "
            "Check the nodata values, the land mask, and that SAR and MWR overlap."
        )


def check_cancelled(progress: Progress) -> None:
    """Raise Cancelled if the user asked to stop."""
    if progress.cancelled():
        raise Cancelled("Stopped as asked; nothing was written.")


def stream_predictions(
    runner: Runner, source: Source, plan: Plan, progress: Progress, seams: SeamMeter | None = None
) -> Generator[Strip, None, None]:
    """Yield the logits over the plan's region from top to bottom, few rows at a time.

    Tiles without a valid pixel are not computed. While a strip is used, `runner.tiles_ahead` more tiles are computed;
    closing the iterator ends their threads. `seams` takes the logits of all windows of a network that is run in such.

    Raises
    ------
    Cancelled, SceneError
        See :func:`tiles_with_patches`.
    NumericalError
        If logits are not finite.
    """
    fallback = OutOfMemoryFallback(runner, plan, progress, lambda runner: runner)

    def work(tile: Tile, patch: Patch) -> list[tuple[Tile, np.ndarray]]:
        if not patch.valid[tile.output.slices(patch.window)].any():
            return []
        return list(fallback.pieces(tile, partial(logits_of, patch)))

    logits_of = _logits if seams is None else _window_logits
    held: tuple[np.ndarray, np.ndarray] | None = None
    window = plan.region
    probe = Probe(lambda tile, patch: fallback.whole(tile, partial(_logits, patch)))
    tiles = tiles_with_work(source, plan, progress, "Predicting", work, runner.tiles_ahead, probe)
    with closing(tiles) as computed:
        for tile, patch, pieces, last in computed:
            if held is None:
                window = Window(tile.output.row, plan.region.col, tile.output.rows, plan.region.cols)
                held = (
                    np.empty((runner.outputs, window.rows, window.cols), runner.array_dtype),
                    np.empty((window.rows, window.cols), bool),
                )
            logits, valid = held
            rows, cols = tile.output.slices(window)
            valid[rows, cols] = patch.valid[tile.output.slices(patch.window)]
            if not pieces:
                logits[:, rows, cols] = np.nan
            for piece, of_piece in pieces:
                if seams is not None:
                    seams.add(piece.input, of_piece, patch.valid[piece.input.slices(patch.window)])
                    of_piece = of_piece[(slice(None), *piece.output.slices(piece.input))]
                here = piece.output.slices(window)
                mapped, filled = valid[here], logits[(slice(None), *here)]
                filled[...] = of_piece
                check_finite(filled, mapped, piece.output)
                np.copyto(filled, np.nan, where=~mapped)
            if last:
                for slab in window.split(SLAB_ROWS, window.cols):
                    rows, cols = slab.slices(window)
                    yield Strip(slab, logits[:, rows], valid[rows])
                held = None
                del logits, valid  # before the next strip is made


def _logits(patch: Patch, runner: Runner, tile: Tile) -> np.ndarray:
    """Return the logits (output, row, column) of a tile's own pixels."""
    logits = runner.logits(runner.standardise(patch, tile.input))[0]
    return runner.array(logits[(slice(None), *tile.output.slices(tile.input))])


def _window_logits(patch: Patch, runner: Runner, tile: Tile) -> np.ndarray:
    """Return the logits (output, row, column) of all pixels that the network sees."""
    return runner.array(runner.logits(runner.standardise(patch, tile.input))[0])


def stream_components(
    runner: Runner,
    source: Source,
    plan: Plan,
    progress: Progress,
    choose: Callable[[Window, np.ndarray], np.ndarray] | None = None,
    behind: bool = False,
) -> Generator[ComponentSample, None, None]:
    """Yield the components of the last layer at chosen pixels, tile by tile, few pixels of a large one at a time.

    Parameters
    ----------
    choose : callable, optional
        ``choose(window, valid)`` returns which of a tile's valid pixels are wanted, (row, column) bool;
        it should look at scene coordinates only, so that the sample does not depend on the tiles.
        Default: all valid pixels.
    behind : bool
        Whether the next tile is computed, in a thread of its own, while one is used: worth it where using it takes
        about as long. Closing the iterator ends the thread. The samples are the same.

    Raises
    ------
    Cancelled, SceneError
        See :func:`tiles_with_patches`.
    NumericalError
        If logits are not finite.
    """
    weight, bias = runner.output_weights()
    fallback = OutOfMemoryFallback(runner, plan, progress, lambda runner: runner)

    def components(patch: Patch, runner: Runner, tile: Tile) -> torch.Tensor:
        return runner.components(runner.standardise(patch, tile.input))

    def work(tile: Tile, patch: Patch) -> tuple[np.ndarray, list[tuple[Tile, np.ndarray]]]:
        valid = patch.valid[tile.output.slices(patch.window)]
        chosen = valid if choose is None else valid & choose(tile.output, valid)

        def pick(runner: Runner, piece: Tile) -> np.ndarray:
            # Pixel by pixel, as networks on CPUs have them: whole rows are picked, not numbers.
            found = components(patch, runner, piece)[0].permute(1, 2, 0)[piece.output.slices(piece.input)]
            wanted = chosen[piece.output.slices(tile.output)]
            if not wanted.all():
                found = found[torch.from_numpy(wanted).to(found.device)]
            return runner.array(found.reshape(-1, found.shape[-1]))

        return chosen, list(fallback.pieces(tile, pick)) if chosen.any() else []

    probe = Probe(lambda tile, patch: fallback.whole(tile, partial(components, patch)))
    tiles = tiles_with_work(source, plan, progress, "Reading components", work, int(behind), probe, False)
    with closing(tiles):
        for tile, _, (chosen, pieces), _ in tiles:
            while pieces:  # what has been used need not be held while the next tile is computed
                piece, picked = pieces.pop(0)
                rows, cols = np.nonzero(chosen[piece.output.slices(tile.output)])
                for start in range(0, len(rows), SLAB_PIXELS):
                    slab = slice(start, start + SLAB_PIXELS)
                    values = picked[slab]
                    if not np.isfinite(values).all():
                        logits = product(values.astype(np.float64), weight.T) + bias
                        check_finite(logits.T, np.ones(len(logits), bool), piece.output)
                    place = rows[slab] + piece.output.row, cols[slab] + piece.output.col
                    window = piece.output
                    if len(values) < len(rows):
                        first, last = int(place[0][0]), int(place[0][-1])
                        window = Window(first, window.col, last + 1 - first, window.cols)
                    yield ComponentSample(window, *place, values)
                    del values
                del picked
