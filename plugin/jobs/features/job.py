"""Feature analysis of scenes: maps on a common scale, importance, decomposition, a report."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ...core.features.layer import named_layer
from ...core.features.scale import CommonScale, ScaleKey, check_key, merged_scales
from ...core.features.tiles import Analysis
from ...core.target.target import Target
from ...ground.errors import ParameterError
from ...ground.protocols import Progress
from ...ground.vocabulary.cams import (
    CAMS,
    FULL,
    KEEP,
    LINEAR,
    MWR_PATTERN,
    POLYGONS,
    SAMPLE_SIZE,
    SAMPLES,
    SCALE_WIDTH,
    SCALES,
    SEED,
    SHOWN,
    TILES,
)
from ...ground.vocabulary.words import check_word
from ...io.geometry.vector import Polygons
from ...io.rasters.writer import Outputs
from ..common.inputs import SceneInputs
from ..common.settings import ClassChoice, RasterJob, ReportPaths
from .names import feature_names
from .run import Run
from .scenes import check_ancillary, further_scenes


@dataclass(frozen=True)
class Features(ReportPaths, ClassChoice, RasterJob):
    """Look at the features of a layer: the class activation map on its scale, and as it is.

    Parameters
    ----------
    scenes : tuple of str
        SAR rasters of further scenes, which add samples.
    mwr_pattern, labels_pattern : str
        How the names of their radiometry and labels follow: ``sar=mwr``.
    network_layer : str
        Name of the layer; empty for the components, or the last layer before the logits.
    cam : str
        A word of :data:`floelens.plugin.ground.vocabulary.cams.CAMS`.
    samples : str
        A word of :data:`floelens.plugin.ground.vocabulary.cams.SAMPLES`.
    sample_size_km : float
        Side of the tiles.
    zones : Polygons, optional
        The polygons, named by their class; an empty name is no label.
    labels : str, optional
        Raster of known ice: concentration in %, or class codes.
    scale_form : str
        A word of :data:`floelens.plugin.ground.vocabulary.cams.SCALES`.
    scale_width : float
        s of the linear form.
    scale_in : tuple of str
        Scales of earlier runs, which the maps are put on.
    keep : float
        Share of the features that are kept, in %.
    component : str
        Names of features to be mapped, separated by commas; empty for the most important ones.
    shown : int
        How many of these.
    seed : int
        Of the random sets.
    training : str
        What the names of training scenes hold; the others are test scenes. Empty where it is not known.
    component_maps, decomposed, table, outliers, scale : str, optional
        Further results.
    """

    scenes: tuple[str, ...] = ()
    mwr_pattern: str = MWR_PATTERN
    labels_pattern: str = ""
    network_layer: str = ""
    cam: str = FULL
    samples: str = TILES
    sample_size_km: float = SAMPLE_SIZE.default
    zones: Polygons | None = None
    labels: str | None = None
    scale_form: str = LINEAR
    scale_width: float = SCALE_WIDTH.default
    scale_in: tuple[str, ...] = ()
    keep: float = KEEP.default
    component: str = ""
    shown: int = SHOWN.default
    seed: int = SEED.default
    training: str = ""
    component_maps: str | None = None
    decomposed: str | None = None
    table: str | None = None
    outliers: str | None = None
    scale: str | None = None

    def run(self, progress: Progress) -> dict[str, object]:
        """Write maps, tables and report; return their paths under their published names, and numbers."""
        self._check()
        runner = self.compute.runner(self.model, progress)
        shape = named_layer(runner, self.network_layer)
        seeding = Target(self.head, self.class_name, self.reference_class).resolve(runner.card)
        # Features are judged for one class: a group is refused before the work.
        _ = seeding.wanted, seeding.reference
        analysis = Analysis.of(runner, shape, seeding)
        key = ScaleKey(runner.card.id, runner.card.weights.sha256, shape.name, self.cam, seeding.text)
        names = feature_names(runner.card, shape)
        chosen = self._chosen(names)
        given = self._given(key)
        further = self._further()
        check_ancillary(self.scene, further, runner.card)
        run = Run(self, analysis, key, names, given, further)
        with (
            self.scene.open(runner.card, progress) as scene,
            Outputs(progress) as outputs,
            ExitStack() as stack,
        ):
            return run.write(scene, outputs, chosen, stack, progress)

    def further_files(self) -> tuple[str, ...]:
        """Return the rasters of the further scenes: those of `scenes`, and those whose names follow."""
        files = [(inputs.sar, inputs.mwr, labels) for inputs, labels in self._further()]
        return tuple(path for row in files for path in row if path)

    def _further(self) -> list[tuple[SceneInputs, str | None]]:
        return further_scenes(self.scene, self.scenes, self.mwr_pattern, self.labels, self.labels_pattern)

    def _check(self) -> None:
        for parameter, word, words in (
            ("CAM", self.cam, CAMS),
            ("SAMPLES", self.samples, SAMPLES),
            ("SCALE_FORM", self.scale_form, SCALES),
        ):
            check_word(parameter, word, words)
        if not 0 < self.keep <= 100:
            raise ParameterError(
                f"KEEP is {self.keep:g} %: give a share of the features above 0, at most 100 %."
            )
        if not self.scale_width > 0:
            raise ParameterError(f"SCALE_WIDTH is {self.scale_width:g}: give a positive number, 1 as a rule.")
        if self.labels_pattern and not self.labels:
            raise ParameterError(
                "LABELS_PATTERN finds labels of SCENES beside those of LABELS, which is empty: give LABELS, or leave "
                "LABELS_PATTERN empty."
            )
        if self.zones is not None and self.samples != POLYGONS:
            raise ParameterError(
                f"ZONES are given, but SAMPLES is {self.samples}: set SAMPLES to polygons, or leave ZONES empty."
            )
        if self.component and not self.component_maps:
            raise ParameterError(
                "COMPONENT names features to be mapped: name COMPONENT_MAPS too, or leave it empty."
            )

    def _chosen(self, names: tuple[str, ...]) -> list[int]:
        """Return the features named by hand.

        Raises
        ------
        ParameterError
            If the layer has no such feature.
        """
        chosen = []
        for name in filter(None, (part.strip() for part in self.component.split(","))):
            if name not in names:
                raise ParameterError(
                    f"COMPONENT: the layer has no feature '{name}'. Its {len(names)} features are {names[0]} to "
                    f"{names[-1]}; the table lists all."
                )
            chosen.append(names.index(name))
        return list(dict.fromkeys(chosen))

    def _given(self, key: ScaleKey) -> CommonScale | None:
        """Return the scale of SCALE_IN; None where there is none."""
        scales = []
        for path in self.scale_in:
            try:
                text = Path(path).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise ParameterError(
                    f"SCALE_IN: {path} cannot be read ({error}). Give a file of SCALE."
                ) from error
            scale = CommonScale.from_json(text, path)
            check_key(scale, key, path)
            scales.append(scale)
        return merged_scales(scales) if scales else None

    @property
    def reported(self) -> bool:
        """Whether a report is written, for people or for programs."""
        return bool(self.report or self.report_json)

    def titles(self, layer: str) -> dict[str, object]:
        """Return what distinguishes the results of runs, by their published names: layer and map."""
        return {
            "OUTPUT_TITLE": f"Class activation map, {layer}, {self.cam}",
            "COMPONENT_MAPS_TITLE": f"Maps of features, {layer}",
            "DECOMPOSED_TITLE": f"Map of the kept features, {layer}, {self.cam}",
            "TABLE_TITLE": f"Importance of features, {layer}",
            "OUTLIERS_TITLE": f"Outlier samples, {layer}",
        }

    def paths(self) -> dict[str, object]:
        """Return what is written, by the published names."""
        paths = {
            "OUTPUT": self.output,
            "COMPONENT_MAPS": self.component_maps,
            "DECOMPOSED": self.decomposed,
            "TABLE": self.table,
            "OUTLIERS": self.outliers,
            "REPORT": self.report,
            "REPORT_JSON": self.report_json,
            "REPORT_CSV": self.report_csv,
            "SCALE": self.scale,
        }
        return {name: path for name, path in paths.items() if path}
