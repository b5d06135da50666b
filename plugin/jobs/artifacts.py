"""Fact or artifact: which parts of a relevance map belong to the data, as rasters, a table and a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..ground.errors import ParameterError
from ..ground.protocols import Progress
from ..ground.vocabulary.artifact_tests import ARTIFACT, DEFAULTS, TESTS, UNTRAINED
from ..ground.vocabulary.relevance_methods import MethodChoice
from ..io.geometry.vector import Polygons
from ..io.geometry.zones import PolygonIndex
from ..io.rasters.writer import Band, Outputs
from ..io.scene.reader import Scene
from ..networks.card import ModelCard
from ..report.artifacts.report import (
    ArtifactReport,
    TestRow,
    WindowPicture,
    artifact_csv,
    artifact_csvt,
    artifact_html,
    artifact_json,
    facts,
    summary,
)
from ..report.artifacts.sentences import smooth_windows
from ..report.page.tables import csvt_path
from ..report.styles.artifacts import fact_style, share_style
from ..report.styles.layers import about_zero, sidecar
from .common.ensemble import ensemble_runners
from .common.inputs import conclude
from .common.percentile_sink import PercentileSink
from .common.provenance import model_facts, provenance
from .common.settings import ClassChoice, ReportPaths, SceneJob

if TYPE_CHECKING:
    from ..core.artifacts.scene import ArtifactResult
    from ..core.relevance.methods import Method
    from ..core.target.target import Seeding


@dataclass(frozen=True)
class ArtifactRasters(SceneJob):
    """Where rasters and table of the artifacts go.

    Parameters
    ----------
    artifact : str
        Raster to write: share of the map that is drawn whatever the input, border part, pattern, what untrained
        networks have in common with it, what else stays in place; the share of the radiometry's map, and what other
        trained networks have in common, where there are any.
    corrected : str, optional
        Raster of the relevance without all that, its significance, and the same of the radiometry.
    table : str, optional
        Table (CSV) of one row a test.
    """

    artifact: str
    corrected: str | None = None
    table: str | None = None


@dataclass(frozen=True)
class Artifacts(MethodChoice, ReportPaths, ClassChoice, ArtifactRasters):
    """Tell fact from artifact in a relevance map.

    Parameters
    ----------
    tests : tuple of str
        Words of :data:`floelens.plugin.ground.vocabulary.artifact_tests.TESTS`.
    repeats : int
        Null maps, at least 19.
    sample : int
        Windows of the scene that are looked at; 0 for all.
    aoi : Polygons, optional
        Where the map is judged; everywhere where None. It explains every pixel around, so that the polygons' own
        outline makes no structure.
    ensemble : tuple of str
        Ids or paths of networks that were trained like `model`.
    """

    tests: tuple[str, ...] = tuple(TESTS)
    repeats: int = DEFAULTS["repeats"]
    sample: int = DEFAULTS["sample"]
    aoi: Polygons | None = None
    ensemble: tuple[str, ...] = ()

    def run(self, progress: Progress) -> dict[str, object]:
        """Write rasters, table and report; return their paths under their published names, and numbers."""
        from ..core.artifacts.scene import Question, layout_of, run_artifacts
        from ..core.artifacts.settings import Settings
        from ..core.relevance.methods import Method
        from ..networks.architectures import feeding_axis

        if not self.tests:
            raise ParameterError(f"TESTS is empty. Choose at least one of: {', '.join(TESTS)}.")
        settings = Settings(self.tests, self.repeats, self.seed)
        method = Method(self.method, **self.settings())
        runner = self.compute.runner(self.model, progress)
        card = runner.card
        target = self.target()
        seeding = target.resolve(card)
        trained = ensemble_runners(self.compute, self.ensemble, card)
        with self.scene.open(card, progress) as scene, Outputs(progress) as outputs:
            inside = PolygonIndex(self.aoi, scene.grid).mask if self.aoi is not None else None
            question = Question(target, method, settings, self.sample, inside, trained)
            layout = layout_of(runner, question)
            tags = self._tags(card, scene, runner.precision, seeding, method)
            grid, unit = scene.grid.subset(scene.region), method.facts.unit
            artifact = outputs.raster(self.artifact, grid, _bands(layout.artifact, unit), tags=tags)
            written = None
            if self.corrected:
                written = outputs.raster(self.corrected, grid, _bands(layout.corrected, unit), tags=tags)
            corrected = PercentileSink(written)
            result = run_artifacts(
                runner, scene, scene.region, question, self.compute.memory_mib, (artifact, corrected), progress,
                feeding_axis(card),
            )  # fmt: skip
            tags.update(conclude(scene, progress, outputs))
            outputs.tag(_sums(result))
            start = scene.start_time
            outputs.file(sidecar(self.artifact)).write_text(share_style(start_time=start), encoding="utf-8")
            limit = about_zero(corrected.limit(0))
            if self.corrected:
                style = fact_style(
                    seeding.shown,
                    limit,
                    opacity_band=layout.corrected.index("fact") + 1 if result.totals.significant else None,
                    start_time=start,
                    slopes=not method.times_input,
                )
                outputs.file(sidecar(self.corrected)).write_text(style, encoding="utf-8")
            page = _page(self, card, scene, seeding, result, tags, limit)
            self._write_texts(outputs, page)
        for sentence in (*summary(page), *facts(page)):
            progress.message(sentence)
        totals = result.totals
        return {
            **self.written(ARTIFACT=self.artifact, CORRECTED=self.corrected, TABLE=self.table),
            "MODEL_ID": card.id,
            "CLASS_NAME": seeding.shown,
            "SCENE_NAME": scene.name,
            "START_TIME": scene.start_time or "",
            "VERDICT": summary(page)[0],
            "PIXELS": int(totals.pixels),
            "ARTIFACTS_FOUND": sum(row.verdict in (ARTIFACT, UNTRAINED) for row in page.rows),
            "ARTIFACT_SHARE": page.sar.artifact_share,
            "FACT_SHARE": page.sar.fact_share,
            "PASSES": float(result.counts.passes),
        }

    def _tags(
        self, card: ModelCard, scene: Scene, precision: str, seeding: Seeding, method: Method
    ) -> dict[str, str]:
        return provenance(
            card,
            self.scene,
            scene,
            precision,
            product="artifacts",
            head=seeding.head.name,
            target=seeding.text,
            method=method.name,
            **method.used_settings(),
            tests=" ".join(self.tests),
            repeats=self.repeats,
            sample=self.sample if self.sample else "all windows",
            aoi=_polygons(self.aoi) or None,
            ensemble="; ".join(self.ensemble) or None,
            seed=self.seed,
        )

    def _write_texts(self, outputs: Outputs, page: ArtifactReport) -> None:
        for path, make in (
            (self.table, artifact_csv),
            (self.report, artifact_html),
            (self.report_json, artifact_json),
            (self.report_csv, artifact_csv),
        ):
            if path:
                outputs.file(path).write_text(make(page), encoding="utf-8")
        for path in (self.table, self.report_csv):
            if path:
                outputs.file(csvt_path(path)).write_text(artifact_csvt(), encoding="utf-8")


READINGS = {
    "share": "share of the map that is drawn whatever the input: 0 none, 1 all",
    "border": "what padding adds by distance from the edges of the scene",
    "pattern": "what repeats with strides, pools or coarse cells",
    "untrained": "part of |relevance| that networks with shuffled weights put there too",
    "local": "what else stays in place whatever the input",
    "null_mean": "mean map of noise with the mean and spectrum of the window",
    "mwr_share": "share of the radiometry's map that is drawn whatever the input: 0 none, 1 all",
    "mwr_null_mean": "mean map of noise of the radiometry, by SAR pixel",
    "trained": "part of |relevance| that all other trained networks put there too",
    "relevance": "relevance minus what is drawn whatever the input: bias, border, pattern, local",
    "q_value": "false discovery rate (Benjamini-Hochberg) at which the pixel is fact",
    "p_value": "p-value against maps of inputs that hold nothing",
    "fact": "255: fact at a false discovery rate of 5 %; 80: may be chance. QGIS draws the map with this opacity",
    "mwr_relevance": "relevance of the radiometry by SAR pixel, minus what is drawn whatever the input",
    "block_q_value": "false discovery rate at which the mean over a block of 8 x 8 pixels is fact",
    "mwr_q_value": "false discovery rate at which the radiometer's cell is fact",
    "mwr_p_value": "p-value of the radiometer's cell against maps of inputs that hold nothing",
}
# Bands that are no relevance.
NUMBERS = ("share", "mwr_share", "q_value", "p_value", "fact", "mwr_q_value", "mwr_p_value", "block_q_value")


def _bands(names: Sequence[str], unit: str) -> list[Band]:
    return [Band(name, "1" if name in NUMBERS else unit, {"reading": READINGS[name]}) for name in names]


def _polygons(aoi: Polygons | None) -> str:
    number = len(aoi.wkb) if aoi is not None else 0
    return f"{number} polygon{'s'[: number != 1]}" if number else ""


def _sums(result: ArtifactResult) -> dict[str, str]:
    """Return the sums that show that nothing is lost: relevance = corrected + artifact."""
    totals = result.totals
    return {
        "FLOELENS_SUM_RELEVANCE": f"{totals.relevance:.9g}",
        "FLOELENS_SUM_CORRECTED": f"{totals.corrected:.9g}",
        "FLOELENS_SUM_ARTIFACT": f"{totals.artifact:.9g}",
        "FLOELENS_PATTERN_PERIOD": str(result.period),
    }


def _page(
    job: Artifacts,
    card: ModelCard,
    scene: Scene,
    seeding: Seeding,
    result: ArtifactResult,
    tags: dict[str, str],
    limit: float,
) -> ArtifactReport:
    totals, cells = result.totals, result.radiometry
    rows = [
        TestRow(
            each.test, each.part, each.statistic, each.quantiles, each.p_value, each.p_holm, each.verdict, each.size,
            dict(each.numbers), each.sensor,
        )
        for each in result.findings
    ]  # fmt: skip
    pictures = [
        WindowPicture(
            f"rows {window.row} to {window.row_stop}, columns {window.col} to {window.col_stop}",
            _picture(maps.observed),
            _picture(maps.observed - maps.relevance),
            _picture(maps.relevance),
            _picture(maps.q_values),
        )
        for window, maps in result.shown
    ]
    sums = {"relevance": totals.relevance, "corrected": totals.corrected, "artifact": totals.artifact}
    if cells.pixels:
        sums |= {
            "mwr_relevance": cells.relevance, "mwr_corrected": cells.corrected, "mwr_artifact": cells.artifact,
        }  # fmt: skip
    return ArtifactReport(
        model=model_facts(card),
        scene=scene.name,
        head=seeding.head.name,
        target=seeding.shown,
        method=result.method.name,
        method_text=result.method.text(),
        unit=result.method.facts.short_unit,
        rows=tuple(rows),
        pictures=tuple(pictures),
        counts=result.counts,
        sar=totals.shares,
        sums=sums,
        limit=limit,
        not_tried=tuple(word for word in TESTS if word not in job.tests),
        region=_polygons(job.aoi),
        radiometry=cells.shares if cells.pixels else None,
        provenance=tags,
        warnings=(
            *scene.warnings,
            *smooth_windows(totals.smooth_windows, totals.windows),
            *smooth_windows(cells.smooth_windows, cells.windows, "radiometry"),
        ),
    )


def _picture(values: np.ndarray, side: int = 128) -> np.ndarray:
    """Return block means of a map, of about `side` pixels."""
    step = max(1, -(-max(values.shape) // side))
    rows, cols = (size // step * step for size in values.shape)
    blocks = values[:rows, :cols].reshape(rows // step, step, cols // step, step).astype(float)
    known = np.isfinite(blocks)
    counts = known.sum(axis=(1, 3))
    sums = np.where(known, blocks, 0).sum(axis=(1, 3))
    return np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0)
