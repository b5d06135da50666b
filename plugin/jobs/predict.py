"""The network's map of a scene: concentration or classes, probabilities, and how sure it is."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass

from ..core.target.probabilities import class_probabilities, entropy, mapped_values
from ..ground.errors import ParameterError
from ..ground.protocols import Progress, Sink
from ..io.geometry.grid import Grid
from ..io.rasters.writer import Band, Outputs, RasterWriter
from ..io.scene.reader import Scene
from ..networks.card import CLASS_LAND, CLASS_NODATA, Head
from ..report.styles.layers import (
    LegendEntry,
    class_style,
    concentration_style,
    probability_style,
    sidecar,
    uncertainty_style,
)
from .common.coverage import CoverageMap
from .common.inputs import conclude
from .common.provenance import provenance
from .common.seams import keep_seams, seam_meter
from .common.settings import HeadChoice, RasterJob


@dataclass(frozen=True)
class Predict(HeadChoice, RasterJob):
    """Map a scene with a network: concentration in % (sigmoid, linear) or class codes (softmax).

    Parameters
    ----------
    probabilities : str, optional
        Raster of one probability (0 to 1) a class.
    uncertainty : str, optional
        Raster of the entropy of the probabilities, in bits.
    coverage : str, optional
        Class raster of land, of the coastal zones that radiometer footprints reach, and of gaps.
    """

    probabilities: str | None = None
    uncertainty: str | None = None
    coverage: str | None = None

    def run(self, progress: Progress) -> dict[str, object]:
        """Write the rasters and return their paths under their published names."""
        from ..core.streaming.engine import plan_predictions, stream_predictions
        from ..core.streaming.pipeline import writing_behind

        runner = self.compute.runner(self.model, progress)
        card = runner.card
        head = card.head(self.head)
        if head.kind == "linear" and (self.probabilities or self.uncertainty):
            raise ParameterError(
                f"The head '{head.name}' of '{card.id}' is linear and gives no probabilities: "
                "leave PROBABILITIES and UNCERTAINTY empty."
            )
        valid_pixels = 0
        with self.scene.open(card, progress) as scene, Outputs(progress) as outputs, ExitStack() as stack:
            plan = plan_predictions(runner, scene, scene.region, self.compute.memory_mib)
            grid = scene.grid.subset(scene.region)
            tags = provenance(card, self.scene, scene, runner.precision, product="prediction", head=head.name)

            def behind(raster: RasterWriter) -> Sink:
                return stack.enter_context(writing_behind(raster))

            main = behind(self._main(outputs, grid, head, scene.has_land, tags))
            probabilities = uncertainty = coverage = None
            if self.probabilities:
                bands = [Band(f"P({entry.name})", "1") for entry in head.classes]
                probabilities = behind(outputs.raster(self.probabilities, grid, bands, tags=tags))
            if self.uncertainty:
                entropies = outputs.raster(self.uncertainty, grid, [Band("entropy", "bit")], tags=tags)
                uncertainty = behind(entropies)
            if self.coverage:
                coverage = CoverageMap(outputs, self.coverage, scene, grid, card, tags, progress)
            seams = seam_meter(plan, card, head)
            with closing(stream_predictions(runner, scene, plan, progress, seams)) as strips:
                for strip in strips:
                    valid_pixels += int(strip.valid.sum())
                    p = class_probabilities(strip.logits[card.head_slice(head.name)], head)
                    mapped = mapped_values(p, strip.valid, head)
                    if head.kind == "softmax" and scene.has_land:
                        mapped[scene.land(strip.window)] = CLASS_LAND
                    main.write(mapped[None])
                    if probabilities is not None:
                        probabilities.write(p)
                    if uncertainty is not None:
                        uncertainty.write(entropy(p, head)[None])
                    if coverage is not None:
                        coverage.write(strip.window, strip.valid)
            if seams is not None:
                keep_seams(scene, card, head, plan, seams.seams(), progress)
            conclude(scene, progress, outputs)
            self._write_styles(outputs, head, scene)
        paths = {
            "OUTPUT": self.output,
            "PROBABILITIES": self.probabilities,
            "UNCERTAINTY": self.uncertainty,
            "COVERAGE": self.coverage,
        }
        return {
            **{name: path for name, path in paths.items() if path},
            "MODEL_ID": card.id,
            "CLASS_NAME": head.name,
            "SCENE_NAME": scene.name,
            "START_TIME": scene.start_time or "",
            "VALID_PIXELS": valid_pixels,
        }

    def _main(
        self, outputs: Outputs, grid: Grid, head: Head, land: bool, tags: dict[str, str]
    ) -> RasterWriter:
        if head.kind != "softmax":
            return outputs.raster(self.output, grid, [Band(head.name, head.unit)], tags=tags)
        return outputs.raster(
            self.output,
            grid,
            [Band(head.name, "class")],
            dtype="uint8",
            nodata=CLASS_NODATA,
            tags=tags,
            colours={entry.value: entry.rgb for entry in head.classes},
            categories={
                **{entry.value: entry.name for entry in head.classes},
                **({CLASS_LAND: "land"} if land else {}),
            },
            overviews="nearest",
        )

    def _write_styles(self, outputs: Outputs, head: Head, scene: Scene) -> None:
        start_time = scene.start_time
        if head.kind == "softmax":
            entries = [LegendEntry(entry.value, entry.name, entry.colour) for entry in head.classes]
            style = class_style(
                entries,
                nodata=CLASS_NODATA,
                land_value=CLASS_LAND if scene.has_land else None,
                start_time=start_time,
            )
        else:
            style = concentration_style(start_time=start_time)
        outputs.file(sidecar(self.output)).write_text(style, encoding="utf-8")
        if self.probabilities:
            style = probability_style(head.classes[0].name, start_time=start_time)
            outputs.file(sidecar(self.probabilities)).write_text(style, encoding="utf-8")
        if self.uncertainty:
            style = uncertainty_style(len(head.classes), start_time=start_time)
            outputs.file(sidecar(self.uncertainty)).write_text(style, encoding="utf-8")
