"""A raster of what the map is off by: mapped minus labelled values, or where the class differs."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...core.target.probabilities import differences_of
from ...ground.protocols import Progress, Silent
from ...io.rasters.writer import Band, Outputs
from ...networks.card import Head
from ...report.styles.error import difference_style, error_style
from ...report.styles.layers import sidecar
from ..common.inputs import Compute, SceneInputs, conclude
from ..common.percentile_sink import PercentileSink
from ..common.provenance import provenance
from .labels import SceneLabels

if TYPE_CHECKING:
    from ...core.streaming.runner import Runner

_EVERYWHERE = (slice(None), slice(None))


def write_error(
    outputs: Outputs,
    path: str,
    runner: Runner,
    inputs: SceneInputs,
    compute: Compute,
    labels_path: str,
    progress: Progress,
) -> None:
    """Predict a scene once more, and write how its map differs from the labels: one band a head.

    All labelled pixels are compared, whichever are scored; pixels without a label or without a map are NaN.

    Raises
    ------
    Cancelled
        The user asked to stop.
    """
    from ...core.streaming.engine import plan_predictions, stream_predictions
    from ...core.streaming.pipeline import writing_behind

    card = runner.card
    with inputs.open(card, progress) as scene, ExitStack() as stack:
        plan = plan_predictions(runner, scene, scene.region, compute.memory_mib)
        labels = SceneLabels(labels_path, card.heads, scene.grid, stack)
        tags = provenance(
            card,
            inputs,
            scene,
            runner.precision,
            product="error",
            head=", ".join(head.name for head in card.heads),
            labels=Path(labels_path).name,
        )
        bands = [Band(head.name, _unit(head)) for head in card.heads]
        raster = PercentileSink(outputs.raster(path, scene.grid.subset(scene.region), bands, tags=tags))
        # All is written before the limits of the colours are taken.
        with (
            writing_behind(raster) as behind,
            closing(stream_predictions(runner, scene, plan, progress)) as strips,
        ):
            for strip in strips:
                known = labels.known(strip.window, _EVERYWHERE)
                differences = [
                    differences_of(strip.logits[card.head_slice(head.name)], targets, head)
                    for head, targets in zip(card.heads, known)
                ]
                behind.write(np.where(strip.valid, differences, np.nan).astype(np.float32))
        conclude(scene, Silent(), outputs)  # the log has it from the first reading
        style = _style(card.heads[0], raster, scene.start_time)
        outputs.file(sidecar(path)).write_text(style, encoding="utf-8")


def _unit(head: Head) -> str:
    return {"sigmoid": "%", "softmax": "1"}.get(head.kind, head.unit)


def _style(head: Head, raster: PercentileSink, start_time: str | None) -> str:
    if head.kind == "softmax":
        return difference_style(start_time=start_time)
    return error_style(_unit(head), raster.limit(0), start_time=start_time)
