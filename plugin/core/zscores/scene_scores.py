"""What the pixels of one scene say about the output layers of a network, batch by batch.

One collector for all heads, whose batches are those of :func:`.stream_components`::

    collector = SceneCollector(layers, BlockLadder.over(scene, pixel_size_m, 64.0))
    for batch in stream_components(runner, source, plan, progress):
        collector.add(batch, labels_of(batch))                       # an array a head, or None
    scores = [compute_scores(each, "64 km blocks") for each in collector.close()]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...ground.window import Window
from .skill import Skill, SkillAccumulator
from .sums.clusters import BlockLadder
from .sums.information import Information, OutputLayer, SceneAccumulator
from .sums.refit_sample import RefitSampler
from .sums.row_sample import RowSample
from .zones import DenseZones, ZoneAccumulator, ZoneScores

if TYPE_CHECKING:
    from ..streaming.engine import ComponentSample

Keep = Callable[[int, np.ndarray, np.ndarray, np.ndarray], None]


class SceneCollector:
    """Takes the batches of one scene, and closes into mergeable information of every head.

    Parameters
    ----------
    layers : sequence of OutputLayer
        The heads.
    ladder : BlockLadder
        The blocks of the scene.
    every : Window, optional
        The region whose pixels all come, without labels: they take a faster way (:mod:`.dense_sums`).
    zoned : bool
        Whether zones have information of their own.
    samplers : sequence of RefitSampler
        What keeps labelled pixels for a refit over several scenes, one a head; none: none is kept.
    keep : callable, optional
        ``keep(head, components, labels, blocks)`` is given the labelled pixels of each batch and head.
    skill : sequence of SkillAccumulator
        What compares the map with the labels, one a head; none: nothing does, in zones neither.
    """

    def __init__(
        self,
        layers: Sequence[OutputLayer],
        ladder: BlockLadder,
        every: Window | None = None,
        zoned: bool = False,
        samplers: Sequence[RefitSampler] = (),
        keep: Keep | None = None,
        skill: Sequence[SkillAccumulator] = (),
    ) -> None:
        self._layers, self._ladder = tuple(layers), ladder
        self._samplers, self._keep = tuple(samplers), keep
        self._skill = tuple(skill)
        dense = every is not None
        self._dense = [DenseZones(layer, every) for layer in layers] if every is not None else []
        self._whole = [] if dense else [SceneAccumulator(layer) for layer in layers]
        own = zoned and not dense
        self._zones = [ZoneAccumulator(layer, bool(skill)) for layer in layers] if own else []

    @property
    def takes_all(self) -> bool:
        """Whether all pixels of a region come, without labels."""
        return bool(self._dense)

    def add(
        self,
        batch: ComponentSample,
        labels: Sequence[np.ndarray | None] = (),
        zones: np.ndarray | None = None,
    ) -> None:
        """Take a batch.

        Parameters
        ----------
        batch : ComponentSample
            The pixels.
        labels : sequence of numpy.ndarray or None
            For each head what :meth:`.SceneAccumulator.add` takes; nothing where no head has any.
        zones : numpy.ndarray, optional
            (pixel,): number of the zone, negative outside of all zones.

        Raises
        ------
        NumericalError
            If a component is not finite.
        ParameterError
            If labels cannot be used.
        """
        for dense in self._dense:
            dense.add(batch.components, batch.rows, batch.cols, zones)
        if self._dense:
            return
        blocks = self._ladder.blocks(batch.rows, batch.cols)
        clusters = {self._ladder.finest: blocks}
        for head, accumulator in enumerate(self._whole):
            known = labels[head] if labels else None
            accumulator.add(batch.components, known, clusters)
            if known is None:
                continue
            if self._skill:
                self._skill[head].add(batch.components, known)
            if self._samplers:
                self._samplers[head].add(batch.components, batch.rows, batch.cols, known, clusters)
            if self._keep is not None:
                self._keep(head, batch.components, known, blocks)
        if zones is not None:
            for head, zoned in enumerate(self._zones):
                zoned.add(batch.components, zones, labels[head] if labels else None)

    def close(self) -> tuple[Information, ...]:
        """Return the information of the scene, one a head; the collector takes no more after it."""
        nested = {self._ladder.finest: self._ladder.coarser}
        return tuple(each.whole() for each in self._dense) or tuple(
            each.close(nested) for each in self._whole
        )

    def skill(self) -> tuple[Skill, ...]:
        """Return how well the map agrees with the labels; heads without any labelled pixel are absent."""
        return tuple(scores for scores in (each.close() for each in self._skill) if scores is not None)

    def samples(self) -> dict[str, RowSample]:
        """Return the labelled pixels that were kept, by the name of the head; heads without any are absent."""
        nested = {self._ladder.finest: self._ladder.coarser}
        return {
            layer.head: sampler.close(nested)
            for layer, sampler in zip(self._layers, self._samplers)
            if not sampler.empty
        }

    def zone_scores(self) -> tuple[dict[int, ZoneScores], ...]:
        """Return the scores of the zones, one dict a head; pixels outside of all zones are in none."""
        return tuple(each.close() for each in (self._dense or self._zones))
