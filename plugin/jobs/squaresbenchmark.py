"""Networks and methods judged on synthetic samples whose discriminating square is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..ground.errors import Cancelled, ParameterError, SceneError
from ..ground.protocols import Progress
from ..ground.vocabulary.benchmarks import BENCHMARK_METHODS, DEFAULT_METHODS, SIZES
from ..ground.vocabulary.relevance_methods import MethodChoice
from ..ground.vocabulary.words import check_word, default_word
from ..io.geometry.grid import Grid
from ..io.geometry.vector import Polygons
from ..io.rasters.writer import Band, Outputs
from ..report.benchmarks.report import (
    FEEDS,
    BenchmarkReport,
    NetworkScores,
    benchmark_csv,
    benchmark_csvt,
    benchmark_html,
    benchmark_json,
)
from ..report.page.tables import csvt_path
from ..report.styles.layers import diverging_style, sidecar
from .common.provenance import library_versions
from .common.unfinished import Unfinished, fingerprint, part_check

if TYPE_CHECKING:
    from ..core.benchmarks.run import Architecture, ArchitectureResult
    from ..core.benchmarks.samples import Benchmark, Description, Truth

DRAWN = {"quick": 600, "full": 2000}  # fields that are drawn from a covariance


@dataclass(frozen=True)
class SquaresBenchmark:
    """Train networks, explain them by each method, and score the maps against the truth.

    Parameters
    ----------
    output : str
        Table (CSV) to write: a row an architecture and method.
    methods : tuple of str
        Words of :data:`floelens.plugin.ground.vocabulary.benchmarks.BENCHMARK_METHODS`.
    size : {'quick', 'full'}
        How many networks and samples.
    seed : int
        Of samples, weights and draws.
    report, report_json, report_csv : str, optional
        The report.
    fields : str, optional
        A raster whose bands are fields of one quantity, in place of the synthetic samples.
    covariance : str, optional
        A file of a covariance to draw fields from, in place of `fields`.
    index_box : Polygons, optional
        Where fields are given: the box over which the index is the mean.
    output_raster : str, optional
        Raster of mean relevance on the grid of the fields.
    """

    output: str
    methods: tuple[str, ...] = DEFAULT_METHODS
    size: str = default_word(SIZES)
    seed: int = MethodChoice.seed
    report: str | None = None
    report_json: str | None = None
    report_csv: str | None = None
    fields: str | None = None
    covariance: str | None = None
    index_box: Polygons | None = None
    output_raster: str | None = None

    def run(self, progress: Progress) -> dict[str, object]:
        """Write table and report; return their paths under their published names, and numbers."""
        from ..core.streaming.runner import host_tensors

        self._check()
        with host_tensors():
            progress.report(0.0, "Drawing samples")
            benchmark, grid = self.data()
            inputs, truth = benchmark.samples(self.seed)
            results = self._results(benchmark, inputs, truth, progress)
        page = self._page(results, truth, benchmark.description)
        with Outputs(progress) as outputs:
            self._write(outputs, page)
            if self.output_raster and grid is not None:
                write_maps(outputs, self.output_raster, grid, results, self._tags())
        if (unfinished := self._unfinished()) is not None:
            unfinished.remove()
        for sentence in page.summary():
            progress.message(sentence)
        written = {
            "REPORT": self.report,
            "REPORT_JSON": self.report_json,
            "REPORT_CSV": self.report_csv,
            "OUTPUT_RASTER": self.output_raster,
        }
        return {
            "OUTPUT": self.output,
            **{name: path for name, path in written.items() if path},
            "ARCHITECTURES": len(results),
            "RAISED": page.raised,
            "COMPARED": page.compared,
        }

    def _check(self) -> None:
        check_word("SIZE", self.size, SIZES)
        if not self.methods:
            raise ParameterError("METHODS is empty: choose at least one method.")
        for word in self.methods:
            check_word("METHODS", word, BENCHMARK_METHODS)
        if self.fields and self.covariance:
            raise ParameterError("FIELDS and COVARIANCE are both given: leave one of them empty.")
        if self.on_earth and self.index_box is None:
            raise ParameterError(
                "INDEX_BOX is missing: give the box whose mean decides the class of a field, as in "
                "-170,-120,-10,10 [EPSG:4326] for El Niño."
            )
        if not self.on_earth and (self.index_box is not None or self.output_raster):
            name = "OUTPUT_RASTER" if self.output_raster else "INDEX_BOX"
            raise ParameterError(
                f"{name} is for fields of the Earth, but neither FIELDS nor COVARIANCE is given. Give one, or leave "
                f"{name} empty."
            )

    @property
    def on_earth(self) -> bool:
        """Whether fields of the Earth stand in place of the synthetic samples."""
        return bool(self.fields or self.covariance)

    def data(self) -> tuple[Benchmark, Grid | None]:
        """Return the samples, and their grid where they lie on the Earth: what a benchmark of other data replaces."""
        if not self.on_earth or self.index_box is None:
            from ..core.benchmarks.squares import Squares

            return Squares(), None
        from ..core.benchmarks.fields import Fields, drawn_fields
        from ..io.formats.fields import cells_in, read_covariance, read_stack

        if self.fields:
            fields, grid = read_stack(self.fields)
        else:
            covariance, mask, grid = read_covariance(self.covariance or "")
            fields = drawn_fields(covariance, mask, DRAWN[self.size], self.seed)
        try:
            inside = cells_in(self.index_box, grid)
        except SceneError as error:
            raise ParameterError(
                f"INDEX_BOX is no box of the Earth ({str(error).split('.')[0]}). Write it as xmin,xmax,ymin,ymax with "
                "its CRS, as in -170,-120,-10,10 [EPSG:4326]."
            ) from error
        return Fields(fields, inside), grid

    def _write(self, outputs: Outputs, page: BenchmarkReport) -> None:
        table = benchmark_csv(page)
        outputs.file(self.output).write_text(table, encoding="utf-8")
        outputs.file(csvt_path(self.output)).write_text(benchmark_csvt(), encoding="utf-8")
        if self.report:
            outputs.file(self.report).write_text(benchmark_html(page), encoding="utf-8")
        if self.report_json:
            outputs.file(self.report_json).write_text(benchmark_json(page), encoding="utf-8")
        if self.report_csv:
            outputs.file(self.report_csv).write_text(table, encoding="utf-8")
            outputs.file(csvt_path(self.report_csv)).write_text(benchmark_csvt(), encoding="utf-8")

    def _source(self) -> str:
        """Return what the samples are made of, for tags and reports; without the folder."""
        return Path(self.fields or self.covariance or "").name

    def _tags(self) -> dict[str, str]:
        return {
            "FLOELENS_PRODUCT": "squares benchmark",
            "FLOELENS_FIELDS": self._source(),
            "FLOELENS_SIZE": self.size,
            "FLOELENS_SEED": str(self.seed),
            **{f"FLOELENS_VERSION_{key.upper()}": value for key, value in library_versions().items()},
        }

    def _unfinished(self) -> Unfinished | None:
        """Return where finished architectures are kept; None for a quick run, which is soon done again."""
        from ..core.benchmarks.run import MethodScores

        if self.size == "quick":
            return None
        box = [] if self.index_box is None else [[w.hex() for w in self.index_box.wkb], self.index_box.crs]
        asked = {"size": self.size, "seed": self.seed, "methods": list(self.methods), "box": box}
        source = self.fields or self.covariance
        settings = {
            **asked,
            "job": type(self).__name__,
            "fields": fingerprint(source) if source else "",
            "scores": list(MethodScores.__dataclass_fields__),
            **library_versions(),
        }
        return Unfinished(self.output, settings)

    def _results(
        self, benchmark: Benchmark, inputs: np.ndarray, truth: Truth, progress: Progress
    ) -> list[ArchitectureResult]:
        from ..core.benchmarks.run import EXTENTS, run_architecture

        extent, unfinished = EXTENTS[self.size], self._unfinished()
        architectures = extent.architectures()
        results = []
        for number, architecture in enumerate(architectures):
            kept = unfinished.get(architecture.name) if unfinished else None
            if kept is not None:
                results.append(_restored(architecture, *kept))
                progress.message(f"{_title(architecture)}: taken from the run that was stopped.")
                continue
            check = part_check(progress, number, len(architectures), _title(architecture))
            try:
                result = run_architecture(
                    benchmark, inputs, truth, architecture, self.methods, extent, self.seed, check
                )
            except Cancelled:
                if unfinished and unfinished.names:
                    progress.message(
                        f"{len(unfinished.names)} of {len(architectures)} networks are kept in {unfinished.path}: "
                        "the same run goes on from there."
                    )
                raise
            if unfinished:
                unfinished.keep(architecture.name, *_stored(result))
            results.append(result)
        return results

    def _page(
        self, results: list[ArchitectureResult], truth: Truth, description: Description
    ) -> BenchmarkReport:
        return BenchmarkReport(
            networks=tuple(_network_scores(result) for result in results),
            inside=truth.inside,
            valid=truth.valid,
            settings={
                "size": self.size,
                "seed": self.seed,
                "methods": ", ".join(self.methods),
                "samples": len(truth.classes),
                **({"fields": self._source()} if self.on_earth else {}),
            },
            subject=description.subject,
            place=description.place,
            common=description.common,
            elsewhere=description.elsewhere,
            about=description.about,
            provenance=library_versions(),
        )


def write_maps(
    outputs: Outputs, path: str, grid: Grid, results: Sequence[ArchitectureResult], tags: dict[str, str]
) -> None:
    """Write mean relevance and mean corrected relevance of each architecture and method, and a style of the first."""
    names, planes = [], []
    for result in results:
        for method, maps in result.maps.items():
            for plane, word in zip(maps, ("", " corrected")):
                names.append(f"{result.architecture.name} {method}{word}")
                planes.append(plane)
    bands = [Band(name, "logit") for name in names]
    outputs.raster(path, grid, bands, tags=tags).write(np.stack(planes))
    limit = float(np.nanpercentile(np.abs(planes[0]), 99.5)) or 1.0
    ends = ("speaks against the predicted class", "speaks for the predicted class")
    outputs.file(sidecar(path)).write_text(diverging_style(limit, ends), encoding="utf-8")


def _title(architecture: Architecture) -> str:
    reservoir = architecture.reservoir
    if reservoir is None:
        return {"linear": "Linear", "mlp": "MLP 8-8", "cnn": "CNN"}[architecture.name]
    return f"Echo state {FEEDS[reservoir.feed]}, α {reservoir.leak:g}"


def _network_scores(result: ArchitectureResult) -> NetworkScores:
    reservoir = result.architecture.reservoir
    return NetworkScores(
        name=result.architecture.name,
        title=_title(result.architecture),
        feed=reservoir.feed if reservoir else "",
        leak=reservoir.leak if reservoir else None,
        accuracy=result.accuracy,
        accuracy_training=result.accuracy_training,
        methods=tuple({**asdict(row), "raised": row.raised} for row in result.methods),
        maps=result.maps,
        profiles=result.profiles,
    )


def _stored(result: ArchitectureResult) -> tuple[str, dict[str, np.ndarray]]:
    scores = [asdict(row) for row in result.methods]
    text = json.dumps([result.accuracy, result.accuracy_training, scores])
    arrays = {f"map/{method}": array for method, array in result.maps.items()}
    return text, {**arrays, **{f"profile/{method}": array for method, array in result.profiles.items()}}


def _restored(architecture: Architecture, text: str, arrays: dict[str, np.ndarray]) -> ArchitectureResult:
    from ..core.benchmarks.run import ArchitectureResult, MethodScores

    accuracy, accuracy_training, scores = json.loads(text)
    return ArchitectureResult(
        architecture,
        accuracy,
        accuracy_training,
        tuple(MethodScores(**row) for row in scores),
        {key[4:]: array for key, array in arrays.items() if key.startswith("map/")},
        {key[8:]: array for key, array in arrays.items() if key.startswith("profile/")},
    )
