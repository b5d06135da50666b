"""Where the evidence lies: the relevance of every input pixel for a class, as rasters and a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..ground.errors import ParameterError
from ..ground.protocols import Part, Progress
from ..ground.vocabulary.relevance_methods import SETTINGS, default_of
from ..io.geometry.vector import Polygons
from ..io.geometry.zones import PolygonIndex
from ..io.rasters.writer import Band, Outputs
from ..io.scene.reader import Scene
from ..networks.card import Channel, ModelCard
from ..report.page.tables import csvt_path
from ..report.relevance.conservation import Conservation
from ..report.relevance.content import PREDICTED_CLASS, ChannelRelevance, RelevanceReport
from ..report.relevance.report import relevance_csv, relevance_csvt, relevance_html, relevance_json
from ..report.styles.layers import relevance_style, sidecar
from .common.baseline import baseline_levels
from .common.inputs import Compute, SceneInputs, conclude
from .common.provenance import model_facts, provenance
from .relevance_output.faithfulness import MAP_SHARE, block_relevance, follow_blocks
from .relevance_output.layers import (
    SUMS,
    Layer,
    Split,
    channel_bands,
    channel_sums,
    coarse_relevance,
    per_pixel,
    per_pixel_bands,
    sar_pixels,
)

if TYPE_CHECKING:
    from ..core.relevance.methods import Method
    from ..core.relevance.run import RelevanceResult
    from ..core.relevance.uncertainty import Uncertainty
    from ..core.target.target import RegionMask, Seeding

# The colours of a map end where all but two in a hundred pixels lie below; the file keeps every value.
SHOWN_PERCENTILE = 98.0


@dataclass(frozen=True)
class Relevance:
    """Explain the network's map of a scene.

    Parameters
    ----------
    scene : SceneInputs
        The rasters.
    model : str
        Id of an installed model, or a path to a package.
    sar_relevance : str
        Raster to write: relevance of the SAR channels, one band a channel, in units of the logit.
    mwr_relevance : str, optional
        The same of the radiometer's channels, on the grid of their own raster: first sums over the SAR pixels
        that a cell covers, then, in bands named ``…_per_pixel``, the same for each of these pixels.
    ancillary_folder : str, optional
        Folder for one raster a further channel (incidence angle, distance map, weather).
    report, report_json, report_csv : str, optional
        The report, and its content for programs.
    head : str
        The network's head; its first one where empty.
    class_name : str
        The class explained; ``predicted`` is at each pixel the class mapped there.
    reference_class : str
        Explain `class_name` rather than this one; empty for none.
    method : str
        A word of :data:`floelens.plugin.ground.vocabulary.relevance_methods.METHODS`.
    aoi : Polygons, optional
        The region explained; everything valid where None.
    point : tuple of float, optional
        Longitude and latitude of a single pixel to explain instead.
    steps : int
        Steps of integrated gradients to begin with; doubled until complete.
    baseline : str
        Physical values of some channels, ``hh=-20,hv=-28``, that relevance is told against, for the methods
        that take a baseline; the other channels stand at their mean.
    epsilon, gamma, alpha, first_layer, patch : float, float, float, str, int
        Settings of the methods, as :class:`floelens.plugin.core.relevance.methods.Method` has them.
    uncertainty : str
        A word of :data:`floelens.plugin.ground.vocabulary.words.UNCERTAINTIES`.
    ensemble : tuple of str
        Ids or paths of the models beside `model`.
    samples, noise, seed : int, float, int
        Of SmoothGrad and of what the uncertainty draws.
    faithfulness : bool
        Whether blocks are deleted and inserted in the map's order, for the report.
    compute : Compute
        Where and how.
    """

    scene: SceneInputs
    model: str
    sar_relevance: str
    mwr_relevance: str | None = None
    ancillary_folder: str | None = None
    report: str | None = None
    report_json: str | None = None
    report_csv: str | None = None
    head: str = ""
    class_name: str = "predicted"
    reference_class: str = ""
    method: str = "gradient_x_input"
    aoi: Polygons | None = None
    point: tuple[float, float] | None = None
    steps: int = default_of("steps")
    baseline: str = ""
    epsilon: float = default_of("epsilon")
    gamma: float = default_of("gamma")
    alpha: float = default_of("alpha")
    first_layer: str = default_of("first_layer")
    patch: int = default_of("patch")
    uncertainty: str = "none"
    ensemble: tuple[str, ...] = ()
    samples: int = default_of("samples")
    noise: float = default_of("noise")
    seed: int = default_of("seed")
    faithfulness: bool = False
    compute: Compute = field(default_factory=Compute)

    def run(self, progress: Progress) -> dict[str, object]:
        """Write rasters and report; return their paths under their published names, and numbers."""
        from ..core.relevance.run import plan_relevance, run_relevance
        from ..core.relevance.steps import refined
        from ..core.target.target import Target

        runner = self.compute.runner(self.model, progress)
        card = runner.card
        method, uncertainty = self._method(card), self._uncertainty(card)
        varied, unit = uncertainty.number > 1, method.facts.unit
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
        with self.scene.open(card, progress) as scene, Outputs(progress) as outputs:
            target = Target(self.head, self.class_name, self.reference_class, self._region(scene))
            seeding = target.resolve(card)
            plan = plan_relevance(runner, scene, scene.region, method, self.compute.memory_mib, uncertainty)
            method = refined(runner, scene, plan, seeding, method, progress)
            tags = provenance(
                card,
                self.scene,
                scene,
                runner.precision,
                product="relevance",
                head=seeding.head.name,
                target=seeding.text,
                region=self._region_text(),
                method=method.name,
                **method.used_settings(),
                baseline=self._baseline_text() if method.times_input else None,
                uncertainty=uncertainty.text() or None,
                ensemble="; ".join(self.ensemble) or None,
            )
            grid = scene.grid.subset(scene.region)
            if self.ancillary_folder:
                outputs.folder(self.ancillary_folder)
            fine = list(enumerate(card.fine_channels))
            layers = [Layer(self.sar_relevance, [(i, c) for i, c in fine if c.sensor == "sar"], len(fine))]
            if self.ancillary_folder:
                layers += [
                    Layer(self._ancillary(c), [(i, c)], len(fine)) for i, c in fine if c.sensor != "sar"
                ]
            for layer in layers:
                layer.sink = outputs.raster(
                    layer.path, grid, channel_bands(layer.channels, varied, unit), tags=tags
                )
            blocks = block_relevance(runner, scene, seeding) if self.faithfulness else None
            split = Split([*layers, blocks] if blocks else layers, len(fine))
            mapping = Part(progress, 0, MAP_SHARE) if blocks else progress
            result = run_relevance(runner, scene, plan, target, method, split, mapping, uncertainty)
            curves = None
            if blocks:
                memory, following = self.compute.memory_mib, Part(progress, MAP_SHARE, 1)
                curves = follow_blocks(runner, scene, seeding, blocks, result, method, memory, following)
            tags.update(conclude(scene, progress, outputs))
            coarse, coarse_sd = coarse_relevance(scene, result)
            maps = {layer.path: Shown(layer.channels, layer.sample()) for layer in layers}
            maps.update(
                self._write_coarse(outputs, scene, card.coarse_channels, coarse, coarse_sd, method, tags)
            )
            shown = seeding.shown
            # One scale for both sensors: the same colour means as much relevance for each SAR pixel.
            sensors = [maps[path].limit for path in (self.sar_relevance, self.mwr_relevance) if path in maps]
            for path, each in maps.items():
                common = path in (self.sar_relevance, self.mwr_relevance)
                style = relevance_style(
                    shown,
                    max(sensors) if common else each.limit,
                    band=each.first_band + each.leading,
                    footprint_km=each.channels[each.leading][1].footprint_km,
                    start_time=scene.start_time,
                    slopes=not method.times_input,
                    unit=f"{method.facts.short_unit} per SAR pixel",
                )
                outputs.file(sidecar(path)).write_text(style, encoding="utf-8")
            channels = channel_sums(card, split.positive, split.negative, coarse, unit)
            self._write_report(
                outputs, scene, card, seeding, result, channels, uncertainty.text(), curves, tags
            )
        accounts = result.accounts
        paths = {
            "SAR_RELEVANCE": self.sar_relevance,
            "MWR_RELEVANCE": self.mwr_relevance,
            "ANCILLARY_RELEVANCE_FOLDER": self.ancillary_folder,
            "REPORT": self.report,
            "REPORT_JSON": self.report_json,
            "REPORT_CSV": self.report_csv,
        }
        return {
            **{name: path for name, path in paths.items() if path},
            "MODEL_ID": card.id,
            "CLASS_NAME": shown,
            "SCENE_NAME": scene.name,
            "START_TIME": scene.start_time or "",
            "PIXELS_EXPLAINED": int(result.pixels),
            "TARGET_SUM": float(accounts.target_sum),
            "RELEVANCE_SUM": float(accounts.relevance_sum),
            "BIAS_SHARE": float(accounts.bias),
            "RELATIVE_RESIDUAL": float(accounts.relative_residual) if accounts.conservative else None,
        }

    def _method(self, card: ModelCard) -> Method:
        from ..core.relevance.methods import Method

        settings = {name: getattr(self, name) for name in SETTINGS}
        return Method(self.method, baseline=baseline_levels(card, self.baseline), **settings)

    def _uncertainty(self, card: ModelCard) -> Uncertainty:
        from ..core.relevance.uncertainty import Uncertainty

        if self.baseline and self.ensemble:
            raise ParameterError(
                "BASELINE and ENSEMBLE are both given, but each network has its own means. Leave one of them empty."
            )
        members = tuple(self.compute.runner(model) for model in self.ensemble)
        weights = [card.weights.sha256, *(member.card.weights.sha256 for member in members)]
        if len(set(weights)) < len(weights):
            raise ParameterError(
                "ENSEMBLE names a network that takes part already: it would make the deviations smaller than they are. "
                "Name each network once, and not MODEL itself."
            )
        return Uncertainty(self.uncertainty, self.samples, self.noise, self.seed, members)

    def _baseline_text(self) -> str:
        return f"{self.baseline}, other channels at their means" if self.baseline else "channel means"

    def _region(self, scene: Scene) -> RegionMask | None:
        """Return which pixels are explained, or None for all that are valid."""
        if self.aoi is not None and self.point is not None:
            raise ParameterError("AOI and POINT are both given: explain a region or a point, not both.")
        if self.aoi is None and self.point is None:
            return None
        index = PolygonIndex(Polygons.point(*self.point) if self.point else self.aoi, scene.grid)
        if index.window.intersection(scene.region).empty:
            what = "POINT" if self.point else "AOI"
            raise ParameterError(
                f"{what} lies outside of the scene or of EXTENT. Choose a place on the scene."
            )
        return index.mask

    def _region_text(self) -> str:
        if self.point is not None:
            return f"point {self.point[0]:g}, {self.point[1]:g}"
        if self.aoi is not None:
            number = len(self.aoi.wkb)
            text = "1 polygon" if number == 1 else f"{number} polygons"
            return text if self.scene.extent is None else f"{text}, as far as inside EXTENT"
        return "every valid pixel" if self.scene.extent is None else "every valid pixel of EXTENT"

    def _ancillary(self, channel: Channel) -> str:
        return str(Path(self.ancillary_folder) / f"relevance_{channel.name}.tif")

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
            wanted.update({self._ancillary(c): [(i, c)] for i, c in numbered if c.sensor != "mwr"})
        written = {}
        for path, chosen in wanted.items():
            values, unit = relevance[[i for i, _ in chosen]], method.facts.unit
            told = [values] if deviation is None else [values, deviation[[i for i, _ in chosen]]]
            bands = channel_bands(chosen, deviation is not None, unit)
            bands = [Band(band.name, band.unit, {**band.tags, "reading": SUMS}) for band in bands]
            # The second reading comes last: the bands before it keep their numbers.
            shared = per_pixel(values, sar_pixels(scene, channels[0].ratio))
            writer = outputs.raster(
                path, scene.coarse_grid, [*bands, *per_pixel_bands(chosen, unit)], tags=tags
            )
            writer.write(np.concatenate([*told, shared]).astype(np.float32))
            written[path] = Shown(chosen, shared, first_band=len(bands) + 1)
        return written

    def _write_report(
        self,
        outputs: Outputs,
        scene: Scene,
        card: ModelCard,
        seeding: Seeding,
        result: RelevanceResult,
        channels: tuple[ChannelRelevance, ...],
        uncertainty: str,
        curves: Mapping | None,
        tags: Mapping[str, str],
    ) -> None:
        baseline = RelevanceReport.baseline if not self.baseline else self._baseline_text()
        names = [entry.name for entry in seeding.head.classes]
        page = RelevanceReport(
            model=model_facts(card),
            scene=scene.name,
            head=seeding.head.name,
            target_class=PREDICTED_CLASS if seeding.wanted is None else names[seeding.wanted],
            reference_class="" if seeding.reference is None else names[seeding.reference],
            region=self._region_text(),
            pixels=int(result.pixels),
            method=result.method.name,
            channels=channels,
            conservation=Conservation.of(result.accounts),
            settings=_reported(result.method),
            baseline=baseline if result.method.times_input else "",
            uncertainty=uncertainty,
            several_classes=seeding.outputs > 1,
            faithfulness=curves,
            provenance=tags,
            warnings=scene.warnings,
        )
        for path, make in (
            (self.report, relevance_html),
            (self.report_json, relevance_json),
            (self.report_csv, relevance_csv),
        ):
            if path:
                outputs.file(path).write_text(make(page), encoding="utf-8")
        if self.report_csv:
            outputs.file(csvt_path(self.report_csv)).write_text(relevance_csvt(), encoding="utf-8")


@dataclass(frozen=True)
class Shown:
    """What the style of a raster looks at.

    Parameters
    ----------
    channels : sequence
        Channels with their positions.
    sample : numpy.ndarray
        (channel, row, column): relevance for each SAR pixel.
    first_band : int
        The band of the first of them, from 1.
    """

    channels: Sequence[tuple[int, Channel]]
    sample: np.ndarray
    first_band: int = 1

    @property
    def leading(self) -> int:
        """The channel with most relevance, from 0."""
        return int(np.argmax(np.nansum(np.abs(self.sample), axis=(1, 2))))

    @property
    def limit(self) -> float:
        """Where its colours end: a high percentile of the absolute relevance; 0 where it has none."""
        values = np.abs(self.sample[self.leading])
        values = values[np.isfinite(values)]
        return float(np.percentile(values[values > 0], SHOWN_PERCENTILE)) if (values > 0).any() else 0.0


def _reported(method: Method) -> dict[str, object]:
    """Return the settings that a method uses, as a report names them."""
    words = {"z_box": f"z_box (z^B, inputs within ±{method.bound:g} standard deviations)"}
    return {
        SETTINGS[name].reported: words.get(value, value) for name, value in method.used_settings().items()
    }
