"""One scene of a run of Z-scores: from its files to its state, its zones and its refits, stage by stage."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...core.zscores.refit import Refit, refit
from ...core.zscores.scene_scores import SceneCollector
from ...core.zscores.skill import SkillAccumulator
from ...core.zscores.state import ScoreState
from ...core.zscores.sums.clusters import SCENES, BlockLadder, blocks_name
from ...core.zscores.sums.information import OutputLayer
from ...core.zscores.sums.refit_sample import RefitSampler
from ...ground.protocols import Part, Progress
from ...ground.version import plugin_version
from ...io.files.row_file import RowFile
from ...io.geometry.vector import Polygons
from ...io.geometry.zones import PolygonIndex, ZoneGrid
from ...io.scene.reader import Scene
from ..common.inputs import conclude
from ..common.provenance import provenance
from .channels import collect_evidence, scene_identity, scene_place, splitting_share
from .report import Seen
from .sample import EVERY, SceneLabels, pixel_spool, rereading, sampling, sampling_text, spooled
from .zones import automatic_size, zones_over

if TYPE_CHECKING:
    from ...core.streaming.runner import Runner
    from ..zscores import ZScores

Layers = tuple[OutputLayer, ...]


def score_scene(job: ZScores, runner: Runner, layers: Layers, progress: Progress) -> Seen:
    """Return what the scene of a job has told.

    Parameters
    ----------
    job : ZScores
        Whose scene, labels and zones these are.
    runner : Runner
        The network.
    layers : tuple of OutputLayer
        Its heads.
    progress : Progress
        Told of the stages.

    Raises
    ------
    SceneError
        If labels have no usable value on the pixels.
    """
    with job.scene.open(runner.card, progress) as scene, ExitStack() as stack:
        return _Scoring(job, runner, layers, scene, stack).run(progress)


class _Scoring:
    """The stages of one scene, and what they have in common."""

    def __init__(self, job: ZScores, runner: Runner, layers: Layers, scene: Scene, stack: ExitStack) -> None:
        self.job, self.runner, self.layers, self.scene, self.stack = job, runner, layers, scene, stack
        self.card = runner.card
        self.identity = scene_identity(scene)
        self.choose = sampling(job.step, self.card.ratio)
        self.dense = job.step == EVERY and not job.labels

    def run(self, progress: Progress) -> Seen:
        """Take the scene through all stages."""
        from ...core.streaming.engine import plan_components

        job, scene = self.job, self.scene
        plan = plan_components(self.runner, scene, scene.region, job.compute.memory_mib, self.dense)
        mapped = 1.0 - splitting_share(scene.region, self.card.ratio, job.channel_method)
        labels = SceneLabels(job.labels, self.card.heads, scene.grid, self.stack)
        zones = self._zones() if job.zone_zscores else None
        ladder = BlockLadder.over(scene.grid.window, scene.grid.pixel_size(), job.block_size_km)
        spools = self._spools()
        collector = SceneCollector(
            self.layers,
            ladder,
            every=scene.region if self.dense else None,
            zoned=zones is not None,
            samplers=self._samplers(),
            keep=(lambda head, *pixels: spools[head].append(spooled(spools[head], *pixels)))
            if spools
            else None,
            skill=self._skill(),
        )
        self._collect(collector, plan, labels, zones, Part(progress, 0.0, mapped))
        odd = labels.judged(scene.start_time)
        for sentence in odd:
            progress.warn(sentence)
        state = self._state(collector, labels, ladder, Part(progress, mapped, 1.0))
        refits = self._refits(spools, ladder, progress)
        conclude(scene, progress)
        return Seen(
            state=state,
            refits=refits,
            name=scene.name,
            start_time=scene.start_time or "",
            zones=zones,
            polygons=_polygons_of(zones),
            scores=collector.zone_scores() if zones is not None else (),
            warnings=(*scene.warnings, *odd),
            tags=self._tags(),
            skill=collector.skill(),
        )

    def _collect(
        self, collector: SceneCollector, plan, labels: SceneLabels, zones, progress: Progress
    ) -> None:
        """Stream the scene through the network."""
        from ...core.streaming.engine import stream_components

        for batch in stream_components(self.runner, self.scene, plan, progress, self.choose):
            at = batch.rows - batch.window.row, batch.cols - batch.window.col
            numbers: np.ndarray | None = None if zones is None else zones.zones(batch.window)[at]
            collector.add(batch, labels.targets(batch.window, at), numbers)

    def _state(
        self, collector: SceneCollector, labels: SceneLabels, ladder: BlockLadder, progress: Progress
    ) -> ScoreState:
        """Return the mergeable state of the scene, its contributions of channels included."""
        job, card = self.job, self.card
        evidence = collect_evidence(
            self.runner,
            self.scene,
            self.identity,
            job.channel_method,
            self.choose,
            lambda window, rows, cols: labels.meant(window, (rows - window.row, cols - window.col)),
            ladder,
            {ladder.finest: ladder.coarser},
            job.compute.memory_mib,
            progress,
        )
        return ScoreState(
            model=card.id,
            weights_sha256=card.weights.sha256,
            heads=collector.close(),
            scenes=(self.identity,),
            channels=evidence,
            software=f"FloeLens {plugin_version()}",
            sampling=(sampling_text(job.step),),
            samples=collector.samples(),
        )

    @property
    def _clustering(self) -> str:
        return blocks_name(self.job.block_size_km) if self.job.clusters == "blocks" else SCENES

    def _spools(self) -> list[RowFile]:
        """Return temporary files for the labelled pixels, one a head; none without a refit to this scene alone."""
        if not self.job.refit or self.job.state_in:
            return []
        return [self.stack.enter_context(pixel_spool(layer)) for layer in self.layers]

    def _refits(self, spools: list[RowFile], ladder: BlockLadder, progress: Progress) -> dict[str, Refit]:
        """Return the refits to the labels of the scene, by head."""
        nested = {ladder.finest: ladder.coarser}
        return {
            layer.head: refit(layer, rereading(spool, ladder.finest, progress), self._clustering, nested)
            for layer, spool in zip(self.layers, spools)
        }

    def _samplers(self) -> list[RefitSampler]:
        """Return what keeps labelled pixels for a refit over several scenes, one a head; none where none is due."""
        job = self.job
        if not job.labels or not (job.state or (job.refit and job.state_in)):
            return []
        place = scene_place(self.scene)
        return [RefitSampler(len(layer.components), self.identity, place) for layer in self.layers]

    def _skill(self) -> list[SkillAccumulator]:
        """Return what compares the map with the labels, one a head; none without labels."""
        if not self.job.labels:
            return []
        return [SkillAccumulator(layer, head.unit) for layer, head in zip(self.layers, self.card.heads)]

    def _zones(self) -> PolygonIndex | ZoneGrid:
        """Return the zones of the scene."""
        job, scene = self.job, self.scene
        size = job.zone_size_km
        if not size and job.zones is None:
            shape, step = (scene.region.rows, scene.region.cols), job.step or scene.ratio
            size = automatic_size(shape, scene.grid.pixel_size() / 1000.0, step, self.layers, scene.ratio)
        return zones_over(scene, job.zones, size)

    def _tags(self) -> dict[str, str]:
        job = self.job
        return provenance(
            self.card,
            job.scene,
            self.scene,
            self.runner.precision,
            product="zscores",
            sample=job.step if job.step > EVERY else sampling_text(job.step),
            labels=Path(job.labels).name if job.labels else None,
            clusters=self._clustering,
            refit="yes" if job.refit else None,
            channel_method=job.channel_method,
        )


def _polygons_of(zones: PolygonIndex | ZoneGrid | None) -> Polygons | None:
    return zones.polygons() if isinstance(zones, ZoneGrid) else getattr(zones, "polygons", None)
