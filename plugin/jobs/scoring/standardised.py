"""A raster of standardised contributions: where each channel pulls more, or less, than it usually does."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from ...core.contributions.run import Splitter, splitter_for
from ...core.streaming.engine import check_cancelled, plan_work, tiles_with_patches
from ...core.streaming.out_of_memory import OutOfMemoryFallback
from ...core.streaming.pipeline import writing_behind
from ...core.streaming.run_time import Probe
from ...core.streaming.runner import Runner
from ...core.streaming.tiling import Tile
from ...core.zscores.channels.reference import ContributionReference
from ...ground.protocols import Patch, Progress
from ...ground.window import Window
from ...io.rasters.writer import Band, Outputs
from ...io.scene.reader import Scene
from ...report.styles.contributions import standardised_style
from ...report.styles.layers import sidecar
from ..common.thinned import Thinned
from .channels import splitting_of


def write_standardised(
    outputs: Outputs,
    path: str,
    runner: Runner,
    scene: Scene,
    references: Sequence[ContributionReference],
    method: str,
    memory_mib: float,
    tags: dict[str, str],
    progress: Progress,
) -> None:
    """Write one band a head and channel: its contribution in standard deviations from the reference mean.

    Bands are called after the channel, and where there are several heads after the head too. Of a head of
    several classes the contribution to the predicted class, centred over the classes.

    Raises
    ------
    ParameterError
        If the memory is too little.
    Cancelled
        Within a tile after the user asked for it.
    """
    card = runner.card
    splitter = splitter_for(runner, splitting_of(method), lambda: check_cancelled(progress))
    names = [
        name if len(references) == 1 else f"{name} ({reference.head})"
        for reference in references
        for name in reference.channels
    ]
    plan = plan_work(
        runner, scene, scene.region, memory_mib, splitter.split_outputs, per_strip_pixel=len(names)
    )
    grid = scene.grid.subset(scene.region)
    bands = [Band(name, "standard deviations") for name in names]

    def splitter_on(device: Runner) -> tuple[Runner, Splitter]:
        return device, splitter_for(device, splitting_of(method), lambda: check_cancelled(progress))

    def standardise(patch: Patch, ready: tuple[Runner, Splitter], piece: Tile) -> np.ndarray:
        device, splitter = ready
        split = splitter.split_outputs(device.standardise(patch, piece.input))
        inside = piece.output.slices(piece.input)
        return np.concatenate(
            [
                _of_predicted(
                    reference, device.array(split[(slice(None), card.head_slice(reference.head), *inside)])
                )
                for reference in references
            ]
        )

    fallback = OutOfMemoryFallback(runner, plan, progress, splitter_on)
    raster = Thinned(outputs.raster(path, grid, bands, tags=tags))
    strip = None
    probe = Probe(lambda tile, patch: fallback.whole(tile, partial(standardise, patch)))
    with writing_behind(raster) as behind:
        for tile, patch, last in tiles_with_patches(
            scene, plan, progress, "Standardising contributions", probe
        ):
            if strip is None:
                window = Window(tile.output.row, plan.region.col, tile.output.rows, plan.region.cols)
                strip = np.full((len(names), window.rows, window.cols), np.nan, np.float32)
            if patch.valid[tile.output.slices(patch.window)].any():
                for piece, shown in fallback.pieces(tile, partial(standardise, patch)):
                    valid = patch.valid[piece.output.slices(patch.window)]
                    strip[(slice(None), *piece.output.slices(window))] = np.where(valid, shown, np.nan)
            if last:
                behind.write(strip)
                strip = None
    leading = int(np.argmax([raster.limit(number) for number in range(len(names))]))
    style = standardised_style(names[leading], band=leading + 1, start_time=scene.start_time)
    outputs.file(sidecar(path)).write_text(style, encoding="utf-8")


def _of_predicted(reference: ContributionReference, split: np.ndarray) -> np.ndarray:
    """Return standardised contributions (channel, row, column) to the predicted class.

    `split` is (channels, then bias, then logit; output, row, column).
    """
    unusual = reference.standardised(split[:-2].swapaxes(0, 1))
    predicted = split[-1].argmax(axis=0)  # (row, column): of one output always 0
    return np.take_along_axis(unusual, predicted[None, None], axis=0)[0]
