"""Enters results of benchmarks into the card of a model: from the JSON of their reports.

python -m floelens.plugin.jobs.packages.benchmarks models/aspp-concentration-sim additive report.json 2026-11-30
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from ...ground.errors import ParameterError
from ...ground.rankings import Measure, Ranked, Ranking
from ...io.transaction.outputs import OutputTransaction
from ...networks.card import BenchmarkResult, ModelCard
from ...networks.files import read_json
from ...report.ranking.report import FORMAT
from ..common.rankings import benchmark_result
from .readme import readme


def reported_results(report: Mapping[str, Any], benchmark: str, date: str) -> tuple[BenchmarkResult, ...]:
    """Return what a report of rankings says, for a card: of each condition the ranking that decides.

    Parameters
    ----------
    report : mapping
        The JSON of the report.
    benchmark : str
        Name of the benchmark.
    date : str
        When it ran, as ``2026-11-30``.

    Raises
    ------
    ParameterError
        If it is no report of rankings.
    ModelError
        If a card cannot hold its numbers.
    """
    if report.get("format") != FORMAT:
        raise ParameterError(f"The report is no '{FORMAT}'. Give the JSON that a benchmark wrote.")
    networks = {each["word"]: each["network"] for each in report["conditions"]}
    version = report["provenance"].get("floelens", "")
    decisive: dict[str, Ranking] = {}
    for ranking in report["rankings"]:
        decisive.setdefault(ranking["condition"], _ranking(ranking))
    return tuple(
        benchmark_result(ranking, benchmark, networks[condition], date, version)
        for condition, ranking in decisive.items()
    )


def _ranking(values: Mapping[str, Any]) -> Ranking:
    names = [each.name for each in fields(Ranked)]
    return Ranking(
        values["condition"],
        Measure(**values["measure"]),
        values["samples"],
        tuple(Ranked(**{name: row[name] for name in names}) for row in values["methods"]),
        values["recommended"],
    )


def enter(folder: str, results: Sequence[BenchmarkResult]) -> ModelCard:
    """Write results into the card of a model package, and into its README where it is a demonstration model."""
    card = ModelCard.from_json(folder).with_benchmarks(results)
    with OutputTransaction() as outputs:
        outputs.file(Path(folder) / "card.json").write_text(card.to_json(), encoding="utf-8")
        if card.demonstration and card.skill:
            outputs.file(Path(folder) / "README.md").write_text(readme(card), encoding="utf-8")
    return card


if __name__ == "__main__":
    model, name, path, day = sys.argv[1:]
    enter(model, reported_results(read_json(Path(path)), name, day))
