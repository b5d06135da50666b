"""The short list of components by Z-scores: of every n-th pixel of the scenes, which the pass over them has kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...core.features.pictures import PixelSample
from ...core.features.tiles import Analysis
from ...core.shortlist.skill import MOST_PIXELS, LabelledPixels
from ...core.zscores.collect import output_layers
from ...core.zscores.scores import Information, OutputLayer, SceneAccumulator, compute_scores
from ...core.zscores.sums.clusters import block_clusters, blocks_name
from ...ground.vocabulary.settings import BLOCK_SIZE
from ...report.page.short_lists import ShortLists
from ..scoring.shortlist import short_lists_of_head
from .scenes import SceneFeatures


def component_lists(analysis: Analysis, scenes: Sequence[SceneFeatures]) -> ShortLists | None:
    """Return the short lists of the target's head; None where the scenes kept no pixels, or the weights no scores.

    Parameters
    ----------
    analysis : Analysis
        Of the components.
    scenes : sequence of SceneFeatures
        Each once.
    """
    head = analysis.seeding.head.name
    layer = next(each for each in output_layers(analysis.runner) if each.head == head)
    information, kept = Information.empty(layer), []
    for scene in scenes:
        if scene.pixels is None or not len(scene.pixels.activations):
            continue
        kept.append(scene.pixels)
        information = information.merge(_information(layer, scene, scene.pixels))
    if not kept:
        return None
    clustering = blocks_name(BLOCK_SIZE.default) if information.labelled.n else None
    counted = f", at {information.n} pixels spread over {'the scene' if len(kept) == 1 else 'the scenes'}"
    return short_lists_of_head(
        information, compute_scores(information, clustering), _labelled(layer, kept), counted
    )


def _information(layer: OutputLayer, scene: SceneFeatures, pixels: PixelSample) -> Information:
    """Return the sums of a scene's pixels."""
    accumulator = SceneAccumulator(layer)
    if pixels.labelled:
        window, size = scene.plan.scene, scene.pixel_size_m
        blocks = block_clusters(*pixels.positions, window, size, BLOCK_SIZE.default)
        accumulator.add(pixels.activations, pixels.targets, {blocks_name(BLOCK_SIZE.default): blocks})
    else:
        accumulator.add(pixels.activations)
    return accumulator.close()


def _labelled(layer: OutputLayer, kept: Sequence[PixelSample]) -> LabelledPixels | None:
    """Return labelled pixels of all scenes, at most :data:`.MOST_PIXELS`; None without any."""
    components = np.concatenate([each.activations for each in kept])
    labels = np.concatenate([each.targets for each in kept])
    known = np.flatnonzero(np.isfinite(labels))
    if not len(known):
        return None
    some = known[:: -(-len(known) // MOST_PIXELS)]
    return LabelledPixels(
        layer.kind, components[some].astype(np.float64), labels[some], layer.weights, layer.bias
    )
