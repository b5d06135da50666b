"""Z-scores of one scene in a stream: from any source of patches to mergeable information.

A notebook needs a :class:`~floelens.plugin.core.streaming.runner.Runner` and a source::

    layers = output_layers(runner)
    ladder = BlockLadder.over(scene_window(source), pixel_size_m, 64.0)
    collector = SceneCollector(layers, ladder)
    plan = plan_components(runner, source, scene_window(source), memory_mib=1024)
    collect_components(runner, source, plan, collector, Silent(), sampling(0, runner.ratio), labels_at)
    scores = [compute_scores(each, "64 km blocks") for each in collector.close()]

What the scene says of the input channels is collected by :func:`.channels.collect.collect_contributions`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from ...ground.protocols import Progress, Source
from ...ground.window import Window
from ...networks.kernels.threads import worker_count
from ..streaming.engine import stream_components
from ..streaming.runner import Runner
from ..streaming.tiling import Plan
from .sampling import Choose
from .scene_scores import SceneCollector
from .sums.information import OutputLayer

if TYPE_CHECKING:
    # labels_at(window, (rows, columns in it)): for each head labels (pixel,), or nothing where no head has any.
    LabelsAt = Callable[[Window, tuple[np.ndarray, np.ndarray]], Sequence[np.ndarray | None]]
    # zones_at(window): the number of the zone of each pixel (row, column), negative outside of all zones.
    ZonesAt = Callable[[Window], np.ndarray]


def output_layers(runner: Runner) -> tuple[OutputLayer, ...]:
    """Return the output layer of every head of a network, whose weights are scored.

    Raises
    ------
    ModelError
        If the network has no components.
    """
    weight, bias = runner.output_weights()
    return tuple(OutputLayer.from_card(runner.card, head.name, weight, bias) for head in runner.card.heads)


def collect_components(
    runner: Runner,
    source: Source,
    plan: Plan,
    collector: SceneCollector,
    progress: Progress,
    choose: Choose | None = None,
    labels_at: LabelsAt | None = None,
    zones_at: ZonesAt | None = None,
) -> None:
    """Stream a scene through a network, and add the components of its pixels to a collector.

    Parameters
    ----------
    runner, source, plan : Runner, Source, Plan
        The network, the scene, and its tiles (:func:`.plan_components`).
    collector : SceneCollector
        Takes every batch of pixels.
    progress : Progress
        Reports every tile.
    choose : callable, optional
        Which pixels are scored (:func:`.sampling`); all valid ones by default.
    labels_at : callable, optional
        Labels of some pixels of a window.
    zones_at : callable, optional
        Zones of the pixels of a window.

    Raises
    ------
    Cancelled, SceneError, NumericalError
        As of :func:`.stream_components`.
    ParameterError
        If labels cannot be used.
    """
    # Sums over all pixels take nearly as long as the forward pass, which leaves cores idle: both run side by side.
    behind = collector.takes_all and worker_count() > 1 and runner.device.type == "cpu"
    with closing(stream_components(runner, source, plan, progress, choose, behind)) as batches:
        for batch in batches:
            at = batch.rows - batch.window.row, batch.cols - batch.window.col
            zones = None if zones_at is None else zones_at(batch.window)[at]
            collector.add(batch, () if labels_at is None else labels_at(batch.window, at), zones)
