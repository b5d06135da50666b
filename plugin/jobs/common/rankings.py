"""The one report form of benchmarks: rankings of the science as plain values, and the files that hold them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING

from ...io.transaction.outputs import OutputTransaction
from ...report.page.tables import csvt_path
from ...report.ranking.page import MeasureFacts, MethodRow, RankedMethods, RankingPage
from ...report.ranking.report import ranking_csv, ranking_csvt, ranking_html, ranking_json

if TYPE_CHECKING:
    from ...core.benchmarks.ranking import Measure, Ranking


def ranked_methods(rankings: Iterable[Ranking]) -> tuple[RankedMethods, ...]:
    """Return rankings as the report takes them."""
    names = [each.name for each in fields(MethodRow)]
    return tuple(
        RankedMethods(
            ranking.condition,
            measure_facts(ranking.measure),
            ranking.samples,
            tuple(MethodRow(**{name: getattr(row, name) for name in names}) for row in ranking.methods),
            ranking.recommended,
            ranking.left_out,
        )
        for ranking in rankings
    )


def measure_facts(measure: Measure) -> MeasureFacts:
    """Return a measure as the report takes it."""
    return MeasureFacts(
        measure.word, measure.title, measure.better, measure.uninformative, measure.ideal, measure.sentence
    )


def write_ranking(
    outputs: OutputTransaction,
    page: RankingPage,
    table: str | None = None,
    html: str | None = None,
    json: str | None = None,
    csv: str | None = None,
) -> None:
    """Write the table and the report's files, with the types of columns beside each CSV; None is not asked for."""
    for path in dict.fromkeys((table, csv)):
        if path:
            outputs.file(path).write_text(ranking_csv(page), encoding="utf-8")
            outputs.file(csvt_path(path)).write_text(ranking_csvt(), encoding="utf-8")
    if html:
        outputs.file(html).write_text(ranking_html(page), encoding="utf-8")
    if json:
        outputs.file(json).write_text(ranking_json(page), encoding="utf-8")
