"""One scene of a run of Z-scores: its files joined to the collection of its scores, stage by stage."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.contributions.completeness import Completeness
from ...core.zscores.channels.collect import collect_contributions, splitting_share
from ...core.zscores.collect import collect_components
from ...core.zscores.refit import Refit, refit
from ...core.zscores.sampling import EVERY, sampling, sampling_text
from ...core.zscores.scene_scores import SceneCollector
from ...core.zscores.skill import SkillAccumulator
from ...core.zscores.state import ScoreState
from ...core.zscores.sums.clusters import SCENES, BlockLadder, blocks_name
from ...core.zscores.sums.information import OutputLayer
from ...core.zscores.sums.refit_sample import RefitSampler
from ...ground.protocols import Part, Progress
from ...ground.version import plugin_version
from ...io.files.row_file import RowFile
from ...io.geometry.zones import PolygonIndex, ZoneGrid
from ...io.scene.reader import Scene
from ..common.inputs import SceneInputs, conclude
from ..common.provenance import provenance
from ..common.seams import sampled_seams
from .channels import completeness, scene_mark, splitting_on
from .labels import SceneLabels, as_rows, pixel_rows, rereading
from .report import SceneScores, ScoredZones
from .zones import automatic_size, zones_over

if TYPE_CHECKING:
    from ...core.streaming.runner import Runner
    from ..zscores import ZScores

Layers = tuple[OutputLayer, ...]


def score_scene(
    job: ZScores, inputs: SceneInputs, runner: Runner, layers: Layers, progress: Progress
) -> SceneScores:
    """Score the scene of a job.

    Parameters
    ----------
    job : ZScores
        Whose labels, zones and settings these are.
    inputs : SceneInputs
        The rasters of the scene.
    runner : Runner
        The network.
    layers : tuple of OutputLayer
        Its heads.
    progress : Progress
        Reports the stages.

    Raises
    ------
    SceneError
        If labels have no usable value on the pixels.
    """
    with inputs.open(runner.card, progress) as scene, ExitStack() as stack:
        return _Scoring(job, inputs, runner, layers, scene, stack).run(progress)


class _Scoring:
    """The stages of one scene, and what they have in common."""

    def __init__(
        self,
        job: ZScores,
        inputs: SceneInputs,
        runner: Runner,
        layers: Layers,
        scene: Scene,
        stack: ExitStack,
    ) -> None:
        self.job, self.inputs, self.runner, self.layers = job, inputs, runner, layers
        self.scene, self.stack = scene, stack
        self.card = runner.card
        self.mark = scene_mark(scene)
        self.choose = sampling(job.step, self.card.ratio)
        self.dense = job.step == EVERY and not job.labels

    def run(self, progress: Progress) -> SceneScores:
        """Take the scene through all stages."""
        from ...core.streaming.engine import plan_components

        job, scene = self.job, self.scene
        plan = plan_components(self.runner, scene, scene.region, job.compute.memory_mib, self.dense)
        sampled_seams(self.runner, scene, plan, self.card.heads[0], progress)
        mapped = 1.0 - splitting_share(scene.region, self.card.ratio, job.channel_method)
        accept = self.inputs.accept_range
        labels = SceneLabels(job.labels, self.card.heads, scene.grid, self.stack, accept)
        for said in labels.converted:
            progress.message(f"{job.labels}: converted from '{said}' to %.")
        zones = self._zones() if job.zone_zscores else None
        ladder = BlockLadder.over(scene.grid.window, scene.grid.pixel_size(), job.block_size_km)
        files = self._row_files()
        collector = SceneCollector(
            self.layers,
            ladder,
            every=scene.region if self.dense else None,
            zoned=zones is not None,
            samplers=self._samplers(),
            keep=(lambda head, *pixels: files[head].append(as_rows(files[head], *pixels))) if files else None,
            skill=self._skill(),
        )
        collect_components(
            self.runner,
            scene,
            plan,
            collector,
            Part(progress, 0.0, mapped),
            self.choose,
            labels.targets,
            None if zones is None else zones.zones,
        )
        odd = labels.judged(scene.start_time)
        checked, missing = completeness(self.runner, scene, plan, job.channel_method, progress)
        odd = (*odd, *filter(None, [missing]))
        for sentence in odd:
            progress.warn(sentence)
        state = self._state(collector, labels, ladder, Part(progress, mapped, 1.0))
        refits = self._refits(files, ladder, progress)
        conclude(scene, progress)
        return SceneScores(
            state=state,
            refits=refits,
            name=scene.name,
            start_time=scene.start_time or "",
            zones=_scored_zones(zones, collector),
            warnings=(*scene.warnings, *odd),
            tags=self._tags(labels, checked),
            skill=collector.skill(),
        )

    def _state(
        self, collector: SceneCollector, labels: SceneLabels, ladder: BlockLadder, progress: Progress
    ) -> ScoreState:
        """Return the mergeable state of the scene, its contributions of channels included."""
        job, card = self.job, self.card
        evidence = collect_contributions(
            self.runner,
            self.scene,
            self.scene.region,
            self.mark,
            job.channel_method,
            splitting_on(job.channel_method, progress),
            self.choose,
            lambda window, rows, cols: labels.meant(window, (rows - window.row, cols - window.col)),
            ladder,
            job.compute.memory_mib,
            progress,
        )
        return ScoreState(
            model=card.id,
            weights_sha256=card.weights.sha256,
            heads=collector.close(),
            scenes=(self.mark.identity,),
            channels=evidence,
            software=f"FloeLens {plugin_version()}",
            sampling=(sampling_text(job.step),),
            samples=collector.samples(),
        )

    @property
    def _clustering(self) -> str:
        return blocks_name(self.job.block_size_km) if self.job.clusters == "blocks" else SCENES

    def _row_files(self) -> list[RowFile]:
        """Return temporary files for the labelled pixels, one a head; none without a refit to this scene alone."""
        if not self.job.refit or self.job.state_in:
            return []
        return [self.stack.enter_context(pixel_rows(layer)) for layer in self.layers]

    def _refits(self, files: list[RowFile], ladder: BlockLadder, progress: Progress) -> dict[str, Refit]:
        """Return the refits to the labels of the scene, by head."""
        nested = {ladder.finest: ladder.coarser}
        return {
            layer.head: refit(layer, rereading(file, ladder.finest, progress), self._clustering, nested)
            for layer, file in zip(self.layers, files)
        }

    def _samplers(self) -> list[RefitSampler]:
        """Return what keeps labelled pixels, one a head: for a refit over several scenes, and the skill of short lists.

        None where none is due.
        """
        job = self.job
        reported = job.report or job.report_json
        if not job.labels or not (job.state or reported or (job.refit and job.state_in)):
            return []
        identity, place = self.mark.identity, self.mark.place
        return [RefitSampler(len(layer.components), identity, place) for layer in self.layers]

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

    def _tags(self, labels: SceneLabels, checked: Completeness) -> dict[str, str]:
        job = self.job
        return provenance(
            self.card,
            self.inputs,
            self.scene,
            self.runner.precision,
            product="zscores",
            sample=job.step if job.step > EVERY else sampling_text(job.step),
            labels=Path(job.labels).name if job.labels else None,
            labels_unit=f"converted from '{labels.converted[0]}' to %" if labels.converted else None,
            clusters=self._clustering,
            refit="yes" if job.refit else None,
            channel_method=job.channel_method,
            channel_residual=f"{checked.residual:.2g}" if checked.windows else None,
        )


def _scored_zones(zones: PolygonIndex | ZoneGrid | None, collector: SceneCollector) -> ScoredZones | None:
    if zones is None:
        return None
    polygons = zones.polygons() if isinstance(zones, ZoneGrid) else zones.polygons
    return ScoredZones(zones.names, polygons, collector.zone_scores())
