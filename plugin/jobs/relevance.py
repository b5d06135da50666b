"""Where the evidence lies: the relevance of every input pixel for a class, as rasters and a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...models.card import Channel, ModelCard
from ..core.errors import ParameterError
from ..core.protocols import Progress, Sink
from ..io.scene import Scene
from ..io.vector import Polygons
from ..io.writer import Band, Outputs
from ..io.zones import PolygonIndex
from ..report.relevance import (
    Books,
    ChannelRelevance,
    RelevanceReport,
    relevance_csv,
    relevance_csvt,
    relevance_html,
    relevance_json,
)
from ..report.styles import relevance_style, sidecar
from ..report.tables import csvt_path
from .inputs import Compute, SceneInputs
from .provenance import model_facts, provenance

if TYPE_CHECKING:
    from ..core.relevance import RelevanceResult
    from ..core.target import RegionMask, Seeding

# The colours of a map end where all but two in a hundred pixels lie below; the file keeps every value.
SHOWN_PERCENTILE = 98.0
SHOWN_PIXELS = 250_000


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
        The same of the radiometer's channels, on the grid of their own raster.
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
        A word of :data:`floelens.plugin.core.methods.METHODS`.
    aoi : Polygons, optional
        The region explained; everything valid where None.
    point : tuple of float, optional
        Longitude and latitude of a single pixel to explain instead.
    steps : int
        Steps of integrated gradients to begin with; doubled until complete.
    epsilon : float
        ε of LRP-ε, relative to Σ|z| + |b| at each output of a layer.
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
    steps: int = 32
    epsilon: float = 1e-6
    compute: Compute = field(default_factory=Compute)

    def run(self, progress: Progress) -> dict[str, object]:
        """Write rasters and report; return their paths under their published names, and numbers."""
        from ..core.methods import Method
        from ..core.relevance import plan_relevance, run_relevance
        from ..core.target import Target

        runner = self.compute.runner(self.model)
        card = runner.card
        method = Method(self.method, steps=self.steps, epsilon=self.epsilon)
        others = [c for c in card.channels if c.sensor not in ("sar", "mwr")]
        if self.ancillary_folder and not others:
            raise ParameterError(
                f"Model '{card.id}' reads no ancillary channel: leave ANCILLARY_RELEVANCE_FOLDER empty."
            )
        if self.mwr_relevance and not any(c.sensor == "mwr" for c in card.channels):
            raise ParameterError(f"Model '{card.id}' reads no radiometer channel: leave MWR_RELEVANCE empty.")
        with self.scene.open(card, progress) as scene, Outputs() as outputs:
            target = Target(self.head, self.class_name, self.reference_class, self._region(scene))
            seeding = target.resolve(card)
            plan = plan_relevance(runner, scene, scene.region, method, self.compute.memory_mib)
            tags = provenance(
                card,
                self.scene,
                scene,
                self.compute,
                product="relevance",
                head=seeding.head.name,
                target=seeding.text,
                region=self._region_text(),
                method=method.name,
                epsilon=method.epsilon if method.name == "lrp_epsilon" else None,
                baseline="channel means" if method.name != "gradient" else None,
            )
            grid = scene.grid.subset(scene.region)
            if self.ancillary_folder:
                outputs.folder(self.ancillary_folder)
            fine = list(enumerate(card.fine_channels))
            layers = [_Layer(self.sar_relevance, [(i, c) for i, c in fine if c.sensor == "sar"])]
            if self.ancillary_folder:
                layers += [_Layer(self._ancillary(c), [(i, c)]) for i, c in fine if c.sensor != "sar"]
            for layer in layers:
                layer.sink = outputs.raster(layer.path, grid, _bands(layer.channels), tags=tags)
            split = _Split(layers, len(fine))
            result = run_relevance(runner, scene, plan, target, method, split, progress)
            coarse = coarse_relevance(scene, card.coarse_channels, result)
            maps = {layer.path: (layer.channels, layer.sample()) for layer in layers}
            maps.update(self._write_coarse(outputs, scene, card.coarse_channels, coarse, tags))
            shown = seeding.text.split(" (head")[0].replace("logit of ", "").replace("'", "")
            for path, (channels, sample) in maps.items():
                style = self._style(shown, channels, sample, scene.start_time)
                outputs.file(sidecar(path)).write_text(style, encoding="utf-8")
            channels = channel_sums(card, split.positive, split.negative, coarse)
            self._write_report(outputs, scene, card, seeding, result, channels, tags)
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
        tags: Mapping[str, str],
    ) -> dict[str, tuple[list[tuple[int, Channel]], np.ndarray]]:
        """Write the relevance of coarse channels on the grid of their own raster.

        Returns
        -------
        dict
            Path → (channels with their positions, relevance (channel, row, column)).
        """
        numbered = list(enumerate(channels))
        wanted = {}
        if self.mwr_relevance:
            wanted[self.mwr_relevance] = [(i, c) for i, c in numbered if c.sensor == "mwr"]
        if self.ancillary_folder:
            wanted.update({self._ancillary(c): [(i, c)] for i, c in numbered if c.sensor != "mwr"})
        written = {}
        for path, chosen in wanted.items():
            values = relevance[[i for i, _ in chosen]]
            writer = outputs.raster(path, scene.coarse_grid, _bands(chosen), tags=tags)
            writer.write(values.astype(np.float32))
            written[path] = chosen, values
        return written

    def _write_report(
        self,
        outputs: Outputs,
        scene: Scene,
        card: ModelCard,
        seeding: Seeding,
        result: RelevanceResult,
        channels: tuple[ChannelRelevance, ...],
        tags: Mapping[str, str],
    ) -> None:
        settings = {"ε (relative to Σ|z| + |b| at each output of a layer)": result.method.epsilon}
        if result.method.name == "integrated_gradients":
            settings = {"steps": result.method.steps}
        elif result.method.name != "lrp_epsilon":
            settings = {}
        names = [entry.name for entry in seeding.head.classes]
        page = RelevanceReport(
            model=model_facts(card),
            scene=scene.name,
            head=seeding.head.name,
            target_class="the predicted class" if seeding.wanted is None else names[seeding.wanted],
            reference_class="" if seeding.reference is None else names[seeding.reference],
            region=self._region_text(),
            pixels=int(result.pixels),
            method=result.method.name,
            channels=channels,
            books=Books.of(result.accounts),
            settings=settings,
            several_classes=seeding.outputs > 1,
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

    def _style(
        self, shown: str, channels: Sequence[tuple[int, Channel]], sample: np.ndarray, start_time: str | None
    ) -> str:
        """Return the style of a raster: the channel with most relevance, colours to a high percentile."""
        size = np.nansum(np.abs(sample), axis=(1, 2))
        band = int(np.argmax(size))
        values = np.abs(sample[band][np.isfinite(sample[band])])
        limit = float(np.percentile(values[values > 0], SHOWN_PERCENTILE)) if (values > 0).any() else 0.0
        footprint = channels[band][1].footprint_km
        return relevance_style(shown, limit, band=band + 1, footprint_km=footprint, start_time=start_time)


def channel_sums(
    card: ModelCard, positive: np.ndarray, negative: np.ndarray, coarse: np.ndarray
) -> tuple[ChannelRelevance, ...]:
    """Return what speaks for and against by channel, in the card's order.

    Parameters
    ----------
    card : ModelCard
        Its channels.
    positive, negative : numpy.ndarray
        (fine channel,): sums of the positive and of the negative relevance.
    coarse : numpy.ndarray
        (coarse channel, row, column): relevance, NaN where there is none.
    """
    known = np.nan_to_num(coarse)
    positive = [*positive, *np.maximum(known, 0).sum(axis=(1, 2))]
    negative = [*negative, *np.minimum(known, 0).sum(axis=(1, 2))]
    return tuple(
        ChannelRelevance(
            name=channel.name,
            sensor=channel.sensor,
            unit="logit",
            positive=float(for_it),
            negative=float(against),
            frequency_ghz=channel.frequency_ghz,
            polarisation=channel.polarisation,
            footprint_km=channel.footprint_km,
        )
        for channel, for_it, against in zip((*card.fine_channels, *card.coarse_channels), positive, negative)
    )


def coarse_relevance(scene: Scene, channels: Sequence[Channel], result: RelevanceResult) -> np.ndarray:
    """Return the relevance of a coarse raster's own pixels: (x - x₀) ⊙ Sᵀ m.

    S is the sampler that made the network's cells of the raster, m the multipliers of the cells, x the
    standardised raster and x₀ the baseline; rows of S sum to one, so that what the cells received is
    handed on whole. For the method ``gradient`` it is Sᵀ m itself.

    Returns
    -------
    numpy.ndarray
        (channel, row, column), float64, NaN where the raster has no value or no cell is made of it; no
        channel for a network without coarse ones.
    """
    if scene.sampler is None:
        return np.empty((0, 1, 1))
    multipliers = np.where(scene.sampler.cell_valid, result.coarse_multipliers, 0.0)
    handed_back = scene.sampler.adjoint(multipliers)
    used = np.asarray(abs(scene.sampler.matrix).sum(axis=0)).reshape(scene.sampler.coarse_shape) > 0
    mean, sd = (np.array([getattr(c, name) for c in channels])[:, None, None] for name in ("mean", "sd"))
    factor = (scene.coarse_values.astype(np.float64) - mean) / sd - result.baseline[:, None, None]
    relevance = handed_back if result.method.name == "gradient" else handed_back * factor
    return np.where(used & np.isfinite(scene.coarse_values), relevance, np.nan)


def _bands(channels: Sequence[tuple[int, Channel]]) -> list[Band]:
    """Return the bands of a relevance raster; a radiometer's carry their frequency and footprint."""
    bands = []
    for _, channel in channels:
        tags = {}
        if channel.frequency_ghz:
            tags["frequency_ghz"] = f"{channel.frequency_ghz:g}"
            tags["polarisation"] = channel.polarisation
        if channel.footprint_km:
            tags["footprint_km"] = " x ".join(f"{side:g}" for side in channel.footprint_km)
        bands.append(Band(channel.name, "logit", tags))
    return bands


class _Layer:
    """A raster of some of the fine channels, and a thinned copy for the limits of its colours."""

    def __init__(self, path: str, channels: Sequence[tuple[int, Channel]]) -> None:
        self.path = path
        self.channels = channels
        self.sink: Sink | None = None
        self._positions = [position for position, _ in channels]
        self._rows = 0
        self._sample: list[np.ndarray] = []

    def write(self, values: np.ndarray) -> None:
        """Write the layer's channels of a strip."""
        chosen = values[self._positions]
        self.sink.write(chosen)
        step = max(1, int(np.sqrt(chosen.shape[2] ** 2 / SHOWN_PIXELS)))
        first = -self._rows % step
        self._sample.append(chosen[:, first::step, ::step].copy())
        self._rows += chosen.shape[1]

    def sample(self) -> np.ndarray:
        """Return the thinned copy: (channel, row, column)."""
        return np.concatenate(self._sample, axis=1)


class _Split:
    """A sink that hands each layer its channels, and sums what speaks for and against."""

    def __init__(self, layers: Sequence[_Layer], channels: int) -> None:
        self._layers = layers
        self.positive = np.zeros(channels)
        self.negative = np.zeros(channels)

    def write(self, values: np.ndarray) -> None:
        """Write a strip of all fine channels."""
        known = np.nan_to_num(values)
        self.positive += np.maximum(known, 0).sum(axis=(1, 2), dtype=np.float64)
        self.negative += np.minimum(known, 0).sum(axis=(1, 2), dtype=np.float64)
        for layer in self._layers:
            layer.write(values)
