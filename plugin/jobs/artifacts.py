"""Fact or artifact: which parts of a relevance map belong to the data, as rasters, a table and a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..ground.errors import ParameterError
from ..ground.protocols import Progress
from ..ground.vocabulary.artifact_tests import ARTIFACT, DEFAULTS, TESTS, UNTRAINED
from ..ground.vocabulary.relevance_methods import MethodChoice
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
    summary,
)
from ..report.page.tables import csvt_path
from ..report.styles.artifacts import share_style
from ..report.styles.layers import relevance_style, sidecar
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
        networks have in common with it, what else stays in place.
    corrected : str, optional
        Raster of the relevance without all that, and its significance.
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
    """

    tests: tuple[str, ...] = tuple(TESTS)
    repeats: int = DEFAULTS["repeats"]
    sample: int = DEFAULTS["sample"]

    def run(self, progress: Progress) -> dict[str, object]:
        """Write rasters, table and report; return their paths under their published names, and numbers."""
        from ..core.artifacts.scene import run_artifacts
        from ..core.artifacts.settings import Settings
        from ..core.relevance.methods import Method

        if not self.tests:
            raise ParameterError(f"TESTS is empty. Choose at least one of: {', '.join(TESTS)}.")
        settings = Settings(self.tests, self.repeats, self.seed)
        method = Method(self.method, **self.settings())
        runner = self.compute.runner(self.model, progress)
        card = runner.card
        target = self.target()
        seeding = target.resolve(card)
        with self.scene.open(card, progress) as scene, Outputs(progress) as outputs:
            tags = self._tags(card, scene, runner.precision, seeding, method)
            grid, unit = scene.grid.subset(scene.region), method.facts.unit
            artifact = outputs.raster(self.artifact, grid, _artifact_bands(unit), tags=tags)
            corrected = None
            if self.corrected:
                corrected = PercentileSink(
                    outputs.raster(self.corrected, grid, _corrected_bands(unit), tags=tags)
                )
            result = run_artifacts(
                runner, scene, scene.region, target, method, settings, self.sample, self.compute.memory_mib,
                (artifact, corrected), progress,
            )  # fmt: skip
            tags.update(conclude(scene, progress, outputs))
            outputs.tag(_sums(result))
            start = scene.start_time
            outputs.file(sidecar(self.artifact)).write_text(share_style(start_time=start), encoding="utf-8")
            if corrected is not None and self.corrected:
                style = relevance_style(
                    seeding.shown, corrected.limit(0), start_time=start, slopes=not method.times_input
                )
                outputs.file(sidecar(self.corrected)).write_text(style, encoding="utf-8")
            page = _page(card, scene, seeding, result, tags, self.repeats)
            self._write_texts(outputs, page)
        for sentence in summary(page):
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
            "ARTIFACT_SHARE": page.artifact_share,
            "FACT_SHARE": page.fact_share,
            "PASSES": float(result.passes),
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


def _artifact_bands(unit: str) -> list[Band]:
    return [
        Band("share", "1", {"reading": "share of the map that is drawn whatever the input: 0 none, 1 all"}),
        Band("border", unit, {"reading": "what padding adds by distance from the edges of the scene"}),
        Band("pattern", unit, {"reading": "what repeats with strides, pools or coarse cells"}),
        Band(
            "untrained",
            unit,
            {"reading": "part of |relevance| that networks with shuffled weights put there too"},
        ),
        Band("local", unit, {"reading": "what else stays in place whatever the input"}),
        Band("null_mean", unit, {"reading": "mean map of noise with the mean and spectrum of the window"}),
    ]


def _corrected_bands(unit: str) -> list[Band]:
    return [
        Band(
            "relevance",
            unit,
            {"reading": "relevance minus what is drawn whatever the input: bias, border, pattern, local"},
        ),
        Band(
            "q_value",
            "1",
            {"reading": "false discovery rate (Benjamini-Hochberg) at which the pixel is fact"},
        ),
        Band("p_value", "1", {"reading": "p-value against maps of inputs that hold nothing"}),
    ]


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
    card: ModelCard,
    scene: Scene,
    seeding: Seeding,
    result: ArtifactResult,
    tags: dict[str, str],
    repeats: int,
) -> ArtifactReport:
    totals = result.totals
    rows = [
        TestRow(
            each.test, each.part, each.statistic, each.quantiles, each.p_value, each.p_holm, each.verdict, each.size,
            dict(each.numbers),
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
        for window, maps in zip(result.windows, result.shown)
    ]
    whole = totals.absolute or 1.0
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
        windows=len(result.windows),
        sampled=result.share,
        pixels=totals.pixels,
        repeats=repeats,
        passes=result.passes,
        artifact_share=totals.absolute_artifact / (totals.absolute_artifact + totals.absolute_corrected)
        if totals.absolute_artifact + totals.absolute_corrected
        else 0.0,
        fact_share=totals.significant / whole,
        sums={"relevance": totals.relevance, "corrected": totals.corrected, "artifact": totals.artifact},
        provenance=tags,
        warnings=scene.warnings,
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
