"""Where the evidence lies: the relevance of every input pixel for a class, as rasters and a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..ground.errors import ParameterError
from ..ground.protocols import Part, Progress
from ..ground.vocabulary.relevance_methods import MethodChoice
from ..ground.vocabulary.settings import CAP, OFFSET
from ..ground.vocabulary.words import UNCERTAINTIES, default_word
from ..io.geometry.vector import Polygons
from ..io.geometry.zones import PolygonIndex
from ..io.rasters.writer import Band, Outputs
from ..io.scene.reader import Scene
from ..networks.card import Channel, ModelCard
from ..networks.card_benchmarks import benchmark_sentence
from ..report.page.map_picture import MapPicture
from ..report.relevance.content import ChannelRelevance, RelevanceReport
from ..report.styles.layers import relevance_style, sidecar
from .common.baseline import baseline_levels
from .common.ensemble import ensemble_runners
from .common.inputs import conclude
from .common.provenance import provenance
from .common.seams import sampled_seams
from .common.settings import ClassChoice, ReportPaths, SceneJob
from .relevance_output.faithfulness import MAP_SHARE, block_relevance, follow_blocks
from .relevance_output.layers import (
    SUMS,
    FineRaster,
    FineSink,
    Shown,
    channel_bands,
    channel_sums,
    coarse_relevance,
    per_pixel,
    per_pixel_bands,
    sar_pixels,
)
from .relevance_output.picture import ScenePicture
from .relevance_output.report import report_page, write_report

if TYPE_CHECKING:
    from ..core.relevance.focus import Focus
    from ..core.relevance.methods import Method
    from ..core.relevance.run import RelevanceResult
    from ..core.relevance.uncertainty import Uncertainty
    from ..core.streaming.runner import Runner
    from ..core.target.target import RegionMask, Seeding


@dataclass(frozen=True)
class RelevanceRasters(SceneJob):
    """Where relevance maps go.

    Parameters
    ----------
    sar_relevance : str
        Raster to write: relevance of the SAR channels, one band a channel, in units of the logit.
    mwr_relevance : str, optional
        The same of the radiometer's channels, on the grid of their own raster: first sums over the SAR pixels
        that a cell covers, then, in bands named ``…_per_pixel``, the same for each of these pixels.
    ancillary_folder : str, optional
        Folder for one raster a further channel (incidence angle, distance map, weather).
    """

    sar_relevance: str
    mwr_relevance: str | None = None
    ancillary_folder: str | None = None


@dataclass(frozen=True)
class Relevance(MethodChoice, ReportPaths, ClassChoice, RelevanceRasters):
    """Explain the network's map of a scene.

    Parameters
    ----------
    aoi : Polygons, optional
        The region explained; everything valid where None.
    point : tuple of float, optional
        Longitude and latitude of a single pixel to explain instead.
    baseline : str
        Physical values of some channels, ``hh=-20,hv=-28``, that relevance is measured against, for the methods
        that take a baseline; the other channels stand at their mean.
    uncertainty : str
        A word of :data:`floelens.plugin.ground.vocabulary.words.UNCERTAINTIES`.
    ensemble : tuple of str
        Ids or paths of the models beside `model`.
    cap, offset, mask_fill : float, float, float or None
        What the network is allowed to see of the SAR channels, as
        :class:`floelens.plugin.core.relevance.focus.Focus` has them.
    component : str
        Explain what this component of the last layer adds to the logit; empty for all of it.
    faithfulness : bool
        Whether blocks are deleted and inserted in the map's order, for the report.
    """

    aoi: Polygons | None = None
    point: tuple[float, float] | None = None
    baseline: str = ""
    uncertainty: str = default_word(UNCERTAINTIES)
    ensemble: tuple[str, ...] = ()
    cap: float = CAP.default
    offset: float = OFFSET.default
    mask_fill: float | None = None
    component: str = ""
    faithfulness: bool = False

    def run(self, progress: Progress) -> dict[str, object]:
        """Write rasters and report; return their paths under their published names, and numbers."""
        from ..core.relevance.run import plan_relevance, run_relevance
        from ..core.relevance.steps import refined

        runner = self._explained(self.compute.runner(self.model, progress))
        card = runner.card
        method, uncertainty = self._method(card), self._uncertainty(card)
        self._check(card)
        with self.scene.open(card, progress) as scene, Outputs(progress) as outputs:
            target = self.target(self._region(scene), self.component)
            seeding = target.resolve(card)
            if (
                self.faithfulness
            ):  # its curves are of one class's probability: a group is refused before the work
                _ = seeding.wanted, seeding.reference
            plan = plan_relevance(runner, scene, scene.region, method, self.compute.memory_mib, uncertainty)
            sampled_seams(runner, scene, plan, seeding.head, progress)
            method = refined(runner, scene, plan, seeding, method, progress)
            tags = self._tags(scene, runner, seeding, method, uncertainty)
            rasters = self._fine_rasters(outputs, scene, card, method, uncertainty.number > 1, tags)
            blocks = block_relevance(runner, scene, seeding) if self.faithfulness else None
            pictured = self._picture(scene, runner, seeding)
            others = [sink for sink in (blocks, pictured) if sink]
            fine = FineSink([*rasters, *others], len(card.fine_channels))
            mapping = Part(progress, 0, MAP_SHARE) if blocks else progress
            result = run_relevance(
                runner,
                pictured.source() if pictured else scene,
                plan,
                target,
                method,
                fine,
                mapping,
                uncertainty,
                pictured=pictured.logits if pictured else None,
            )
            curves = None
            if blocks:
                memory, following = self.compute.memory_mib, Part(progress, MAP_SHARE, 1)
                curves = follow_blocks(runner, scene, seeding, blocks, result, method, memory, following)
            tags.update(conclude(scene, progress, outputs))
            coarse, coarse_sd = coarse_relevance(scene, result)
            maps = {raster.path: Shown(raster.channels, raster.sample()) for raster in rasters}
            maps.update(
                self._write_coarse(outputs, scene, card.coarse_channels, coarse, coarse_sd, method, tags)
            )
            self._write_styles(outputs, scene, seeding, method, maps)
            channels = channel_sums(card, fine.positive, fine.negative, coarse, method.facts.unit)
            picture = pictured.picture(coarse, method.facts.short_unit) if pictured else None
            self._write_report(
                outputs, scene, runner, seeding, result, channels, uncertainty.text(), curves, picture, tags
            )
        return {
            **self.written(
                SAR_RELEVANCE=self.sar_relevance,
                MWR_RELEVANCE=self.mwr_relevance,
                ANCILLARY_RELEVANCE_FOLDER=self.ancillary_folder,
            ),
            "MODEL_ID": card.id,
            "CLASS_NAME": seeding.shown,
            "SCENE_NAME": scene.name,
            "START_TIME": scene.start_time or "",
            **_numbers(result),
        }

    def _check(self, card: ModelCard) -> None:
        """Refuse outputs that the network cannot fill, or that nothing would show.

        Raises
        ------
        ParameterError
            With what to leave out or to name.
        """
        others = [c for c in card.channels if c.sensor not in ("sar", "mwr")]
        if self.ancillary_folder and not others:
            raise ParameterError(
                f"Model '{card.id}' reads no ancillary channel: leave ANCILLARY_RELEVANCE_FOLDER empty."
            )
        if self.mwr_relevance and not any(c.sensor == "mwr" for c in card.channels):
            raise ParameterError(f"Model '{card.id}' reads no radiometer channel: leave MWR_RELEVANCE empty.")
        if self.faithfulness and not (self.report or self.report_json):
            raise ParameterError(
                "FAITHFULNESS is written into the report alone: name a REPORT, or leave it out."
            )

    def _tags(
        self, scene: Scene, runner: Runner, seeding: Seeding, method: Method, uncertainty: Uncertainty
    ) -> dict[str, str]:
        """Return the tags of all rasters."""
        return provenance(
            runner.card,
            self.scene,
            scene,
            runner.precision,
            product="relevance",
            head=seeding.head.name,
            target=seeding.text,
            component=seeding.component,
            region=self._region_text(),
            method=method.name,
            **method.used_settings(),
            baseline=self._baseline_text() if method.times_input else None,
            uncertainty=uncertainty.text() or None,
            ensemble="; ".join(self.ensemble) or None,
            focus=self._focus().text() or None,
            benchmark=benchmark_sentence(runner.card.benchmarks, method.name) or None,
        )

    def _fine_rasters(
        self,
        outputs: Outputs,
        scene: Scene,
        card: ModelCard,
        method: Method,
        varied: bool,
        tags: dict[str, str],
    ) -> list[FineRaster]:
        """Open the rasters of the fine channels: those of the SAR together, every other in the ancillary folder."""
        fine = list(enumerate(card.fine_channels))
        chosen = {self.sar_relevance: [(i, c) for i, c in fine if c.sensor == "sar"]}
        if self.ancillary_folder:
            outputs.folder(self.ancillary_folder)
            folder = self.ancillary_folder
            chosen |= {_ancillary(folder, c): [(i, c)] for i, c in fine if c.sensor != "sar"}
        grid = scene.grid.subset(scene.region)
        return [
            FineRaster(
                path,
                channels,
                len(fine),
                outputs.raster(path, grid, channel_bands(channels, varied, method.facts.unit), tags=tags),
            )
            for path, channels in chosen.items()
        ]

    def _write_styles(
        self, outputs: Outputs, scene: Scene, seeding: Seeding, method: Method, maps: Mapping[str, Shown]
    ) -> None:
        """Write the style of each map beside it."""
        # One scale for both sensors: the same colour means as much relevance for each SAR pixel.
        sensors = [
            maps[path].limit for path in (self.sar_relevance, self.mwr_relevance) if path and path in maps
        ]
        for path, each in maps.items():
            common = path in (self.sar_relevance, self.mwr_relevance)
            style = relevance_style(
                seeding.shown,
                max(sensors) if common else each.limit,
                band=each.first_band + each.leading,
                footprint_km=each.channels[each.leading][1].footprint_km,
                start_time=scene.start_time,
                slopes=not method.times_input,
                unit=f"{method.facts.short_unit} per SAR pixel",
            )
            outputs.file(sidecar(path)).write_text(style, encoding="utf-8")

    def _method(self, card: ModelCard) -> Method:
        from ..core.relevance.methods import Method

        return Method(self.method, baseline=baseline_levels(card, self.baseline), **self.settings())

    def _explained(self, whole: Runner) -> Runner:
        """Return the network that is explained: through `component` where one is named, with what `focus` shows it."""
        from ..core.relevance.focus import FocusedRunner
        from ..core.target.component import through_component

        return FocusedRunner.of(through_component(whole, self.component), self._focus())

    def _focus(self) -> Focus:
        from ..core.relevance.focus import Focus

        return Focus(self.cap, self.offset, self.mask_fill)

    def _uncertainty(self, card: ModelCard) -> Uncertainty:
        from ..core.relevance.uncertainty import Uncertainty

        if self.baseline and self.ensemble:
            raise ParameterError(
                "BASELINE and ENSEMBLE are both given, but each network has its own means. Leave one of them empty."
            )
        members = ensemble_runners(self.compute, self.ensemble, card)
        members = tuple(self._explained(member) for member in members)
        return Uncertainty(self.uncertainty, self.samples, self.noise, self.seed, members)

    def _baseline_text(self) -> str:
        return f"{self.baseline}, other channels at their means" if self.baseline else "channel means"

    def _picture(self, scene: Scene, runner: Runner, seeding: Seeding) -> ScenePicture | None:
        """Return what keeps the picture of the report; None without a report."""
        if not self.report:
            return None
        place = self._place(scene)
        around = runner.radius + runner.radius // 2
        whole = not (self.component or self._focus().text())
        return ScenePicture(scene, seeding, place.window if place else None, around, whole)

    def _region(self, scene: Scene) -> RegionMask | None:
        """Return which pixels are explained, or None for all that are valid."""
        place = self._place(scene)
        return place.mask if place else None

    def _place(self, scene: Scene) -> PolygonIndex | None:
        """Return the polygons or the point explained, or None for all that is valid."""
        if self.aoi is not None and self.point is not None:
            raise ParameterError("AOI and POINT are both given: explain a region or a point, not both.")
        place = Polygons.point(*self.point) if self.point else self.aoi
        if place is None:
            return None
        index = PolygonIndex(place, scene.grid)
        if index.window.intersection(scene.region).empty:
            what = "POINT" if self.point else "AOI"
            raise ParameterError(
                f"{what} lies outside of the scene or of EXTENT. Choose a place on the scene."
            )
        return index

    def _region_text(self) -> str:
        if self.point is not None:
            return f"point {self.point[0]:g}, {self.point[1]:g}"
        if self.aoi is not None:
            number = len(self.aoi.wkb)
            text = "1 polygon" if number == 1 else f"{number} polygons"
            return text if self.scene.extent is None else f"{text}, as far as inside EXTENT"
        return "every valid pixel" if self.scene.extent is None else "every valid pixel of EXTENT"

    def _write_coarse(
        self,
        outputs: Outputs,
        scene: Scene,
        channels: Sequence[Channel],
        relevance: np.ndarray,
        deviation: np.ndarray | None,
        method: Method,
        tags: Mapping[str, str],
    ) -> dict[str, Shown]:
        """Write the relevance of coarse channels on the grid of their own raster: sums, and then by SAR pixel."""
        numbered = list(enumerate(channels))
        wanted = {}
        if self.mwr_relevance:
            wanted[self.mwr_relevance] = [(i, c) for i, c in numbered if c.sensor == "mwr"]
        if self.ancillary_folder:
            folder = self.ancillary_folder
            wanted.update({_ancillary(folder, c): [(i, c)] for i, c in numbered if c.sensor != "mwr"})
        written: dict[str, Shown] = {}
        if scene.coarse_grid is None:
            return written
        for path, chosen in wanted.items():
            values, unit = relevance[[i for i, _ in chosen]], method.facts.unit
            parts = [values] if deviation is None else [values, deviation[[i for i, _ in chosen]]]
            bands = channel_bands(chosen, deviation is not None, unit)
            bands = [Band(band.name, band.unit, {**band.tags, "reading": SUMS}) for band in bands]
            # The second reading comes last: the bands before it keep their numbers.
            shared = per_pixel(values, sar_pixels(scene, scene.ratio))
            writer = outputs.raster(
                path, scene.coarse_grid, [*bands, *per_pixel_bands(chosen, unit)], tags=tags
            )
            writer.write(np.concatenate([*parts, shared]).astype(np.float32))
            written[path] = Shown(chosen, shared, first_band=len(bands) + 1)
        return written

    def _write_report(
        self,
        outputs: Outputs,
        scene: Scene,
        runner: Runner,
        seeding: Seeding,
        result: RelevanceResult,
        channels: tuple[ChannelRelevance, ...],
        uncertainty: str,
        curves: Mapping | None,
        picture: MapPicture | None,
        tags: Mapping[str, str],
    ) -> None:
        baseline = RelevanceReport.baseline if not self.baseline else self._baseline_text()
        page = report_page(
            runner,
            seeding,
            result,
            channels,
            focus=self._focus().text(),
            scene=scene.name,
            region=self._region_text(),
            baseline=baseline if result.method.times_input else "",
            uncertainty=uncertainty,
            faithfulness=curves,
            picture=picture,
            provenance=tags,
            warnings=scene.warnings,
        )
        write_report(outputs, page, self.report, self.report_json, self.report_csv)


def _ancillary(folder: str, channel: Channel) -> str:
    return str(Path(folder) / f"relevance_{channel.name}.tif")


def _numbers(result: RelevanceResult) -> dict[str, object]:
    """Return the sums of a run, by the published names."""
    conservation = result.conservation
    return {
        "PIXELS_EXPLAINED": int(result.pixels),
        "TARGET_SUM": float(conservation.target_sum),
        "RELEVANCE_SUM": float(conservation.relevance_sum),
        "BIAS_SHARE": float(conservation.bias),
        "RELATIVE_RESIDUAL": float(conservation.relative_residual) if conservation.conservative else None,
    }
