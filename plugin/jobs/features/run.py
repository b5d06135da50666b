"""A run of a feature analysis: scenes are read, scale and importance follow, all results are written."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...core.distributions.outliers import Outlier
from ...core.features.decomposition import Decomposition, decompose
from ...core.features.importance import PREDICTED, Importance, importance, kept_number, top_mask
from ...core.features.layer import COMPONENTS
from ...core.features.pictures import Picture
from ...core.features.run import feature_maps
from ...core.features.samples import FeatureSamples, merged
from ...core.features.scale import CommonScale, ScaleKey, merged_scales
from ...core.features.tiles import Analysis
from ...core.target.target import Seeding
from ...ground.errors import NumericalError
from ...ground.heap import give_back_free_memory
from ...ground.protocols import Part, Progress
from ...ground.vocabulary.cams import FULL, LINEAR, TILES
from ...ground.window import Window
from ...io.rasters.writer import Outputs
from ...io.scene.reader import Scene
from ...report.features.content import FeaturePicture, FeatureReport, ScaleFacts
from ...report.features.report import features_csv, features_csvt, features_html, features_json
from ...report.features.sentences import summary
from ...report.page.html import Section
from ...report.page.tables import csvt_path
from ...report.styles.features import cam_style, contribution_style
from ...report.styles.layers import sidecar
from ..common.inputs import SceneInputs, conclude
from ..common.percentile_sink import PercentileSink
from ..common.provenance import model_facts, provenance
from .analysis import further_sections, outliers_of
from .components import component_lists
from .maps import ScaledMap, ScalingSink, feature_bands, write_outliers, write_scaled
from .names import beside, legend_target, meanings
from .page import class_counts, class_values, consistency, skill_facts, table
from .regions import sub_swath_note
from .scenes import (
    Sampling,
    SceneFeatures,
    check_further,
    conclude_quietly,
    is_training,
    read_scene,
    training_warning,
)
from .spool import MapSpool

if TYPE_CHECKING:
    from .job import Features

# Of the progress, roughly, what is done once the scenes are read, features were left out, and all passes are over.
READ_SHARE, LEFT_OUT_SHARE, PASSES_SHARE = 0.7, 0.8, 0.9
PICTURED = 6  # features in the report's maps
BLOCK_KM = 64.0  # side of the blocks that count as observations where there are few scenes


@dataclass(frozen=True)
class Run:
    """A run, and what was resolved before its scenes were opened."""

    job: Features
    analysis: Analysis
    key: ScaleKey
    names: tuple[str, ...]
    given: CommonScale | None
    further: list[tuple[SceneInputs, str | None]]  # further scenes and their labels

    def write(
        self,
        scene: Scene,
        outputs: Outputs,
        chosen: list[int],
        stack: ExitStack,
        progress: Progress,
    ) -> dict[str, object]:
        """Read all scenes, and write all results."""
        job, card, seeding = self.job, self.analysis.runner.card, self.analysis.seeding
        region = scene.region
        spool = stack.enter_context(MapSpool(region.cols))
        picture = Picture(region, len(self.names)) if job.report else None
        share = READ_SHARE / (1 + len(self.further))
        warnings = self._checked(scene, progress)
        own = self._read(scene, job.scene, job.labels, Part(progress, 0, share), stack, spool, picture)
        everything = [own]
        warnings += own.warnings
        for number, (inputs, labels) in enumerate(self.further):
            part = Part(progress, share * (number + 1), share * (number + 2))
            with inputs.open(card, progress) as other, ExitStack() as inner:
                everything.append(self._read(other, inputs, labels, part, inner))
                warnings += conclude_quietly(other, progress)
        samples = merged([each.samples for each in everything])
        fitted = merged_scales([self._scale(each) for each in _distinct(everything)])
        scale = self.given or fitted
        if not scale.usable:
            raise NumericalError(
                f"The map of layer {self.key.layer} does not vary enough for a scale (from {scale.low:g} to "
                f"{scale.high:g}). Choose smaller samples, another layer, or another CLASS."
            )
        found = importance(samples)
        wanted = _class_of(seeding)
        order = found.order(wanted)
        kept = top_mask(order, kept_number(job.keep / 100, len(self.names)))
        scaled = ScaledMap(scale, job.scale_form, job.scale_width, own)
        tags = self._tags(scene, scale)
        grid = scene.grid.subset(region)
        unit = "logit" if job.cam == FULL else "1"
        raster = outputs.raster(job.output, grid, scaled.bands(unit), tags=tags)
        means, shown = write_scaled(spool, region, scaled, raster)
        rest = Part(progress, READ_SHARE, LEFT_OUT_SHARE)
        skill = self._decompose(own, scene, found, everything, rest)
        chosen = chosen or order[: job.shown].tolist()
        rest = Part(progress, LEFT_OUT_SHARE, PASSES_SHARE)
        self._feature_maps(outputs, scene, own, chosen, kept, scaled, tags, rest)
        tags.update(conclude(scene, progress, outputs))
        style = cam_style(
            legend_target(seeding), _scale_text(scale, job.scale_form), start_time=scene.start_time
        )
        for path in filter(None, (job.output, job.decomposed)):
            outputs.file(sidecar(path)).write_text(style, encoding="utf-8")
        self._write_scale(outputs, fitted)
        page = self._page(
            samples, found, everything, scaled, means, skill, kept,
            _picture(picture, shown, order, self.names), tags, (*scene.warnings, *warnings),
        )  # fmt: skip
        sections, extra, odd = self._analyses(samples, found, everything, Part(progress, PASSES_SHARE, 1.0))
        page = replace(page, sections=sections, extra=extra)
        outliers = write_outliers(outputs, job.outliers, samples, odd, scene) if job.outliers else None
        self._write_texts(outputs, page)
        for sentence in summary(page):
            progress.message(sentence)
        first = page.consistency[0] if page.consistency else None
        return {
            **job.paths(),
            **job.titles(self.key.layer),
            "MODEL_ID": card.id,
            "CLASS_NAME": seeding.shown,
            "SCENE_NAME": scene.name,
            "START_TIME": scene.start_time or "",
            "SUMMARY": " ".join(summary(page)),
            "SAMPLE_COUNT": len(samples),
            "FEATURES": len(self.names),
            "LEADING_FEATURE": self.names[int(order[0])],
            "SCALE_LOW": scale.low,
            "SCALE_HIGH": scale.high,
            "CONSISTENCY": first.pearson if first and np.isfinite(first.pearson) else None,
            **({} if outliers is None else {"OUTLIER_COUNT": outliers}),
        }

    @property
    def _components(self) -> bool:
        """Whether the features are those of the last layer, with the names of the card."""
        return self.key.layer == COMPONENTS and len(self.analysis.runner.card.components) == len(self.names)

    def _sampling(self) -> Sampling:
        return Sampling(self.job.samples, self.job.sample_size_km, self.job.zones)

    def _checked(self, scene: Scene, progress: Progress) -> list[str]:
        """Check the further scenes before the first pass; return what a reader must know."""
        head = self.analysis.seeding.head
        names = check_further(self.further, self.analysis.runner.card, head, self._sampling())
        odd = training_warning((scene.name, *names), self.job.training)
        if odd:
            progress.warn(odd)
        return [odd] if odd else []

    def _read(
        self,
        scene: Scene,
        inputs: SceneInputs,
        labels: str | None,
        progress: Progress,
        stack: ExitStack,
        spool: MapSpool | None = None,
        picture: Picture | None = None,
    ) -> SceneFeatures:
        job = self.job
        found = read_scene(
            self.analysis, scene, inputs, labels, self._sampling(), job.cam, job.compute.memory_mib, self.names,
            progress, stack, spool, picture, self._components and job.reported,
        )  # fmt: skip
        self._release()
        return found

    def _release(self) -> None:
        """Give back what a pass over a scene has kept: the next one is planned as if all of MEMORY were free."""
        self.analysis.runner.fast.release()
        give_back_free_memory()

    def _write_scale(self, outputs: Outputs, fitted: CommonScale) -> None:
        """Write the scale of these scenes, together with a given one."""
        if self.job.scale:
            total = merged_scales([self.given, fitted]) if self.given else fitted
            outputs.file(self.job.scale).write_text(total.to_json(), encoding="utf-8")

    def _scale(self, each: SceneFeatures) -> CommonScale:
        return CommonScale.of(self.key, each.identity, each.samples.minimum, each.samples.maximum)

    def _decompose(
        self,
        own: SceneFeatures,
        scene: Scene,
        found: Importance,
        everything: list[SceneFeatures],
        progress: Progress,
    ) -> Decomposition | None:
        """Predict windows with some of the features, where a report says so."""
        if not self.job.reported:
            return None
        return decompose(
            self.analysis, scene, own.plan, found, _mean_activation(everything, self.analysis), progress,
            _labels_at(own), self.job.seed,
        )  # fmt: skip

    def _feature_maps(
        self,
        outputs: Outputs,
        scene: Scene,
        own: SceneFeatures,
        chosen: list[int],
        kept: np.ndarray,
        scaled: ScaledMap,
        tags: dict[str, str],
        progress: Progress,
    ) -> None:
        """Write the maps of chosen features, and of what is kept, in a second pass over the scene."""
        job, region, shown = self.job, scene.region, self.analysis.seeding.shown
        if not job.component_maps and not job.decomposed:
            return
        grid = scene.grid.subset(region)
        unit = "logit" if job.cam == FULL else "1"
        maps = decomposed = None
        held = 0
        if job.component_maps:
            names = [self.names[number] for number in chosen]
            raster = outputs.raster(job.component_maps, grid, feature_bands(names, "logit"), tags=tags)
            maps, held = PercentileSink(raster), held + raster.held
        if job.decomposed:
            kept_tags = {**tags, "FLOELENS_KEEP": f"{job.keep:g} %", "FLOELENS_KEPT": str(int(kept.sum()))}
            raster = outputs.raster(job.decomposed, grid, scaled.bands(unit), tags=kept_tags)
            decomposed, held = ScalingSink(raster, scaled, region), held + raster.held
        self._release()
        plan = self.analysis.plan(scene, region, job.compute.memory_mib, 1 + 2 * len(chosen), held)
        feature_maps(self.analysis, scene, plan, chosen, kept, (maps, decomposed), progress, own.weighted)
        self._release()
        if maps is not None and job.component_maps:
            style = contribution_style(
                self.names[chosen[0]], shown, maps.limit(1), band=2, start_time=scene.start_time
            )
            outputs.file(sidecar(job.component_maps)).write_text(style, encoding="utf-8")

    def _tags(self, scene: Scene, scale: CommonScale) -> dict[str, str]:
        job, analysis = self.job, self.analysis
        return provenance(
            analysis.runner.card,
            job.scene,
            scene,
            analysis.runner.precision,
            product="features",
            head=analysis.seeding.head.name,
            target=analysis.seeding.text,
            network_layer=self.key.layer,
            cam=job.cam,
            samples=self._sampling_text(),
            scenes=len(self.further) or None,
            labels=Path(job.labels).name if job.labels else None,
            scale_form=job.scale_form,
            scale_width=f"{job.scale_width:g}" if job.scale_form == LINEAR else None,
            scale_low=f"{scale.low:.9g}",
            scale_high=f"{scale.high:.9g}",
            scale_samples=len(scale),
            scale_in=", ".join(Path(path).name for path in job.scale_in) or None,
        )

    def _sampling_text(self) -> str:
        if self.job.samples == TILES:
            return f"tiles of {self.job.sample_size_km:g} km"
        return self.job.samples

    def _page(
        self,
        samples: FeatureSamples,
        found: Importance,
        everything: list[SceneFeatures],
        scaled: ScaledMap,
        scaled_means: np.ndarray,
        skill: Decomposition | None,
        kept: np.ndarray,
        picture: FeaturePicture | None,
        tags: dict[str, str],
        warnings: tuple[str, ...],
    ) -> FeatureReport:
        job, analysis = self.job, self.analysis
        wanted = _class_of(analysis.seeding)
        columns, rows = table(
            analysis.runner.card,
            analysis.shape,
            samples,
            found,
            wanted,
            _mean_activation(everything, analysis),
            kept,
        )
        contrast = found.contrast(wanted) is not None
        own = everything[0]
        held = own.sums.pixels > 0
        tanh_means = np.concatenate([scaled_means[held], np.full(len(samples) - int(held.sum()), np.nan)])
        map_means = np.concatenate([each.sums.mean("map")[each.sums.pixels > 0] for each in everything])
        return FeatureReport(
            model=model_facts(analysis.runner.card),
            scenes=tuple(each.name for each in everything),
            head=analysis.seeding.head.name,
            target=analysis.seeding.shown,
            layer=self.key.layer,
            cam=job.cam,
            sampling=self._sampling_text(),
            columns=columns,
            rows=rows,
            classes=class_counts(samples),
            ranked_by=f"{analysis.seeding.shown} minus all samples" if contrast else "the mean of all samples",
            scale=ScaleFacts(
                job.scale_form, scaled.scale.low, scaled.scale.high, len(scaled.scale), len(scaled.scale.extremes),
                self.given is not None,
            ),
            consistency=consistency(samples, map_means, tanh_means, scaled),
            skill=skill_facts(skill),
            values=class_values(samples, found.order(wanted)),
            picture=picture,
            last_layer=self.key.layer == COMPONENTS and job.cam == FULL,
            left_out=job.reported,
            names=meanings(analysis.runner.card, analysis.shape),
            beside=beside(analysis),
            provenance=tags,
            warnings=tuple(dict.fromkeys(warnings)),
        )  # fmt: skip

    def _analyses(
        self, samples: FeatureSamples, found: Importance, everything: list[SceneFeatures], progress: Progress
    ) -> tuple[tuple[Section, ...], dict[str, object], tuple[Outlier, ...]]:
        """Return the sections of the short list and of the distributions, their content, and the outliers.

        Only what a result asks for is computed.
        """
        job, card, wanted = self.job, self.analysis.runner.card, _class_of(self.analysis.seeding)
        contrast, last = found.contrast(wanted), self.key.layer == COMPONENTS
        splits = (
            ["train" if is_training(name, job.training) else "test" for name in samples.scenes]
            if job.training.strip()
            else []
        )
        block_pixels = max(1, round(BLOCK_KM * 1000.0 / everything[0].pixel_size_m))
        if not job.reported:
            return (), {}, outliers_of(samples, wanted, block_pixels, splits) if job.outliers else ()
        return further_sections(
            samples,
            np.abs(found.overall) if contrast is None else contrast,
            wanted,
            block_pixels,
            [part.sensor for part in card.components] if self._components else (),
            self.analysis.seeding.head.name,
            splits,
            "components" if last else "features",
            job.seed,
            progress,
            component_lists(self.analysis, _distinct(everything)) if self._components else None,
            [note for note in (sub_swath_note(job.scene.sar, job.samples),) if note],
        )

    def _write_texts(self, outputs: Outputs, page: FeatureReport) -> None:
        job = self.job
        for path, make in (
            (job.table, features_csv),
            (job.report, features_html),
            (job.report_json, features_json),
            (job.report_csv, features_csv),
        ):
            if path:
                outputs.file(path).write_text(make(page), encoding="utf-8")
        for path in filter(None, (job.table, job.report_csv)):
            outputs.file(csvt_path(path)).write_text(features_csvt(page), encoding="utf-8")


def _class_of(seeding: Seeding) -> int:
    """Return the target's class among those of the samples; of a head with one logit the upper one."""
    if seeding.outputs == 1:
        return 1
    return PREDICTED if seeding.wanted is None else seeding.wanted


def _distinct(everything: list[SceneFeatures]) -> list[SceneFeatures]:
    """Return the scenes, each once."""
    return list({each.identity: each for each in everything}.values())


def _mean_activation(everything: list[SceneFeatures], analysis: Analysis) -> np.ndarray:
    """Return the mean activation (feature,) over the samples of all scenes."""
    total = np.sum([each.sums.sums["activation"].sum(axis=0) for each in everything], axis=0)
    cells = sum(each.sums.pixels.sum() for each in everything) / analysis.shape.step**2
    return total / cells


def _labels_at(own: SceneFeatures):
    """Return what gives the class of each pixel of a window; None where nothing is labelled."""
    regions = own.regions
    if regions.classes_at is not None:
        return regions.classes_at
    if regions.labels is None:
        return None
    labels = regions.labels

    def classes_at(window: Window) -> np.ndarray:
        numbers = regions.at(window)
        return np.where(numbers >= 0, labels[np.maximum(numbers, 0)], -1)

    return classes_at


def _picture(
    picture: Picture | None, cam: np.ndarray, order: np.ndarray, names: tuple[str, ...]
) -> FeaturePicture | None:
    if picture is None:
        return None
    leading = tuple((names[number], picture.contributions[number]) for number in order[:PICTURED].tolist())
    return FeaturePicture(picture.target, cam, leading)


def _scale_text(scale: CommonScale, form: str) -> str:
    return f"{form} scale of {len(scale)} samples" if form != "image" else "each sample by itself"
