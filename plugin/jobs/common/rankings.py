"""The one report form of benchmarks: sanity measures, results for cards, and the files of a report."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...ground.rankings import Measure, Ranking
from ...ground.version import plugin_version
from ...ground.vocabulary.sanity import SANITY_MEASURES
from ...io.transaction.outputs import OutputTransaction
from ...networks.card import BenchmarkedMethod, BenchmarkResult
from ...report.page.tables import csvt_path
from ...report.ranking.page import OtherScore, RankingPage
from ...report.ranking.report import ranking_csv, ranking_csvt, ranking_html, ranking_json


def sanity_facts() -> tuple[Measure, ...]:
    """Return the sanity measures as the report takes them."""
    return tuple(
        Measure(word, measure.title, measure.better, sentence=measure.sentence)
        for word, measure in SANITY_MEASURES.items()
    )


def sanity_scores(
    condition: str, method: str, values: Mapping[str, np.ndarray], seed: int
) -> tuple[OtherScore, ...]:
    """Return the means of sanity measures over samples, with their intervals, as the report takes them.

    Parameters
    ----------
    condition, method : str
        Words.
    values : mapping
        Measure → (sample,), NaN where it is not defined: what
        :func:`floelens.plugin.core.sanity.run.sanity` returns.
    seed : int
        Of the resamples.
    """
    from ...core.benchmarks.ranking import mean_intervals

    scores = []
    for word, numbers in values.items():
        known = numbers[~np.isnan(numbers)]
        undefined = len(numbers) - len(known)
        if not len(known):
            scores.append(OtherScore(condition, method, word, None, undefined=undefined))
            continue
        low, high = (float(end[0]) for end in mean_intervals(known[:, None], seed))
        scores.append(OtherScore(condition, method, word, float(known.mean()), low, high, undefined))
    return tuple(scores)


def benchmark_result(
    ranking: Ranking, benchmark: str, network: str, date: str, version: str = ""
) -> BenchmarkResult:
    """Return a ranking as the card of a model keeps it; controls are left out.

    Parameters
    ----------
    ranking : Ranking
        By the measure that decides.
    benchmark : str
        Its name: ``additive``.
    network : str
        The kind of network that was explained, in the plural.
    date : str
        As ``2026-11-30``.
    version : str
        Of FloeLens; empty: this one.

    Raises
    ------
    ModelError
        If a card cannot hold it, as where there are too few samples for an interval.
    """
    return BenchmarkResult(
        benchmark,
        ranking.condition,
        network,
        ranking.measure.title,
        ranking.measure.better,
        ranking.samples,
        tuple(
            BenchmarkedMethod(
                row.method, _rounded(row.mean), _rounded(row.low), _rounded(row.high), row.trusted
            )
            for row in ranking.methods
            if not row.control
        ),
        date,
        version or plugin_version(),
        ranking.recommended or "",
    )


def _rounded(value: float) -> float:
    return round(value, 4) if isinstance(value, float) else value


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
