"""Networks and methods judged on synthetic samples whose discriminating square is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ..ground.errors import Cancelled, ParameterError
from ..ground.protocols import Progress
from ..ground.vocabulary.benchmarks import BENCHMARK_METHODS, DEFAULT_METHODS, SIZES
from ..ground.vocabulary.words import check_word
from ..io.transaction.outputs import OutputTransaction
from ..report.benchmarks.report import (
    BenchmarkReport,
    NetworkScores,
    benchmark_csv,
    benchmark_csvt,
    benchmark_html,
    benchmark_json,
)
from ..report.page.tables import csvt_path
from .common.provenance import library_versions
from .common.unfinished import Unfinished

if TYPE_CHECKING:
    import numpy as np

    from ..core.benchmarks.run import Architecture, ArchitectureResult
    from ..core.benchmarks.samples import Benchmark, Truth


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
    """

    output: str
    methods: tuple[str, ...] = DEFAULT_METHODS
    size: str = "quick"
    seed: int = 0
    report: str | None = None
    report_json: str | None = None
    report_csv: str | None = None

    def run(self, progress: Progress) -> dict[str, object]:
        """Write table and report; return their paths under their published names, and numbers."""
        from ..core.benchmarks.squares import Squares
        from ..core.streaming.runner import host_tensors

        self._check()
        benchmark = Squares()
        with host_tensors():
            progress.report(0.0, "Drawing samples")
            inputs, truth = benchmark.samples(self.seed)
            results = self._results(benchmark, inputs, truth, progress)
        page = self._page(results, truth)
        with OutputTransaction(progress) as outputs:
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
        if (unfinished := self._unfinished()) is not None:
            unfinished.remove()
        for sentence in page.summary():
            progress.message(sentence)
        written = {"REPORT": self.report, "REPORT_JSON": self.report_json, "REPORT_CSV": self.report_csv}
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

    def _unfinished(self) -> Unfinished | None:
        """Return where finished architectures are kept; None for a quick run, which is soon done again."""
        if self.size == "quick":
            return None
        settings = {"size": self.size, "seed": self.seed, "methods": list(self.methods), **library_versions()}
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
            check = _check_of(progress, number, len(architectures), _title(architecture))
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

    def _page(self, results: list[ArchitectureResult], truth: Truth) -> BenchmarkReport:
        return BenchmarkReport(
            networks=tuple(_network_scores(result) for result in results),
            inside=truth.inside,
            settings={
                "size": self.size,
                "seed": self.seed,
                "methods": ", ".join(self.methods),
                "samples": len(truth.classes),
            },
            provenance=library_versions(),
        )


def _check_of(progress: Progress, number: int, count: int, title: str) -> Callable[[float], None]:
    def check(share: float) -> None:
        progress.report((number + share) / count, title)
        if progress.cancelled():
            raise Cancelled("Stopped before the end: no result was written.")

    return check


def _title(architecture: Architecture) -> str:
    reservoir = architecture.reservoir
    if reservoir is None:
        return {"linear": "Linear", "mlp": "MLP 8-8", "cnn": "CNN"}[architecture.name]
    feed = {
        "columns": "by columns",
        "rows": "by rows",
        "columns_reversed": "by columns from the right",
    }[reservoir.feed]
    return f"Echo state {feed}, α {reservoir.leak:g}"


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
