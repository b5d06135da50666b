"""The report of a ranking: which method to trust for a kind of network, how sure that is, and what fails."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ...ground.errors import ParameterError
from ...ground.rankings import Measure, Ranked, Ranking
from ...ground.vocabulary.benchmarks import BENCHMARK_METHODS, CONTROLS
from ...ground.vocabulary.words import CONTRIBUTION_METHODS
from ..page.figures import svg
from ..page.html import Figure, Section, Table, listed, number_text, render
from ..page.tables import csv_text, csvt_text, json_text
from .broken import broken_maps, broken_section, broken_sentences
from .figures import distributions, example_maps, shapes_differ
from .page import Condition, RankingPage, verdict
from .sentences import doubts, p_text, summary

FORMAT = "floelens-ranking-report"
FORMAT_VERSION = 1
COLUMNS = (
    "condition", "measure", "place", "rank", "method", "kind", "mean", "low", "high", "behind", "behind_low",
    "behind_high", "tied", "samples", "undefined", "p", "weakest", "verdict",
)  # fmt: skip
_TYPES = {
    **dict.fromkeys(("condition", "measure", "method", "kind", "tied", "weakest", "verdict"), "String"),
    **dict.fromkeys(("place", "rank", "samples", "undefined"), "Integer64"),
}
_RANKING = (
    ("rank", "rank"), ("method", "method"), ("verdict", "verdict"), ("mean", "mean (95 % interval)"),
    ("behind", "behind the first"), ("tied", "tied with"), ("p", "p"), ("undefined", "no score"),
)  # fmt: skip
_ABLATION = {"ablation": "the change of the output where a channel is set to its mean"}
_MOST_DIGITS = 5  # behind the point
_COST = (("method", "method"), ("seconds", "seconds a sample"), ("relative", "times the cheapest"))


def ranking_html(page: RankingPage) -> str:
    """Return the report as a page.

    Raises
    ------
    ParameterError
        If a map has another shape than its truth.
    """
    if wrong := shapes_differ(page.maps):
        raise ParameterError(f"Maps of the report have another shape than their truth: {listed(wrong)}.")
    return render(
        title=page.title,
        subtitle=page.subject,
        summary=summary(page),
        sections=[
            *(
                section
                for number, each in enumerate(page.conditions)
                if page.of(each)
                for section in _ranking_sections(page, number, each)
            ),
            *broken_section(page),
            *_comparison_sections(page),
            *_map_section(page),
            *_other_section(page),
            *_cost_section(page),
            _condition_section(page),
            Section("How methods are ranked", points=_METHOD),
            Section("Methods and controls", points=tuple(_about(page))),
        ],
        warnings=(*doubts(page), *page.notes),
        provenance={**page.settings, **page.provenance},
    )


def _ranking_sections(page: RankingPage, number: int, condition: Condition) -> list[Section]:
    """Return the ranking that decides, with its picture, and the tables of the others."""
    first, *more = page.of(condition)
    title = _sentence(first.measure.title)
    sections = [
        Section(
            f"Ranking: {condition.title}",
            text=(
                f"Network: {page.network(condition)}. Recommended: {first.recommended or 'none'}, by "
                f"{first.measure.title} over {first.samples} samples.",
                *_measure_text(first),
            ),
            figures=(
                Figure(
                    svg(
                        distributions(first),
                        f"scores{number}",
                        f"{first.measure.title} by method, {condition.title}",
                    ),
                    f"{title} of each sample, best method first. Points and bars: mean and 95 % interval; dotted: a "
                    "map that tells nothing; solid: a perfect map; orange: recommended; grey: controls.",
                ),
            ),
            tables=(_table(first),),
        )
    ]
    if more:
        sections.append(
            Section(
                f"Other measures: {condition.title}",
                points=tuple(sentence for ranking in more for sentence in _measure_text(ranking)),
                tables=tuple(_table(ranking) for ranking in more),
            )
        )
    return sections


def _table(ranking: Ranking) -> Table:
    return Table(_RANKING, [_shown(row, ranking) for row in ranking.methods], f"By {ranking.measure.title}")


def _measure_text(ranking: Ranking) -> list[str]:
    """Return what a measure is, and which methods have no score by it."""
    said = [_about_measure(ranking.measure)]
    if ranking.left_out:
        said.append(f"Without a score by {ranking.measure.title}: {listed(ranking.left_out)}.")
    return said


def _about_measure(measure: Measure) -> str:
    values = []
    if measure.ideal is not None:
        values.append(f"{number_text(measure.ideal)} for a perfect map")
    if measure.uninformative is not None:
        values.append(f"{number_text(measure.uninformative)} for one that tells nothing")
    ends = f" It is {listed(values)}." if values else ""
    return f"{_sentence(measure.title)}: {measure.sentence or f'{measure.better} is better.'}{ends}"


def _shown(row: Ranked, ranking: Ranking) -> dict[str, Any]:
    behind = "" if row.place == 1 else _with_interval(row.behind, row.behind_low, row.behind_high)
    return {
        "rank": row.rank,
        "method": f"{row.method} (control)" if row.control else row.method,
        "mean": _with_interval(row.mean, row.low, row.high),
        "behind": behind,
        "tied": listed(row.tied),
        "undefined": row.undefined,
        "p": "" if row.control else _unbroken(p_text(row.p)),
        "verdict": verdict(ranking, row),
    }


def _with_interval(mean: float | None, low: float | None, high: float | None) -> str:
    """Return a mean and its interval, with as many digits as the interval's width leaves any meaning."""
    if mean is None or not math.isfinite(mean):
        return ""
    if low is None or high is None or not math.isfinite(low) or not math.isfinite(high):
        return number_text(mean, 3)
    if high - low <= 1e-4 * max(abs(low), abs(high)):
        return _unbroken(f"{number_text(mean, 4)} ({number_text(low, 4)} to {number_text(high, 4)})")
    digits = max(0, 1 - math.floor(math.log10(high - low)))
    if digits > _MOST_DIGITS:
        return _unbroken(f"{number_text(mean, 3)} ({number_text(low, 3)} to {number_text(high, 3)})")
    return _unbroken(f"{mean:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})").replace("-", "\u2212")


def _sentence(text: str) -> str:
    """Return a text that begins with a capital letter."""
    return text[:1].upper() + text[1:]


def _unbroken(text: str) -> str:
    return text.replace(" ", "\u00a0")


def _map_section(page: RankingPage) -> list[Section]:
    pictures = [
        Figure(
            svg(example_maps(example), f"maps{number}", f"maps beside truth: {example.title}"),
            f"{_sentence(example.title)}: truth first, then the map of each method. Orange counts for, purple against; "
            f"each on a scale of its own.{f' {example.caption}' if example.caption else ''}",
        )
        for number, example in enumerate(page.maps)
    ]
    shown = (*pictures, *page.figures)
    return [Section("Maps beside truth", figures=shown)] if shown else []


def _comparison_sections(page: RankingPage) -> list[Section]:
    """Return the tables beside the rankings; numbers are shown with three digits."""
    return [
        Section(
            each.title,
            text=each.text,
            tables=(
                Table(
                    each.columns,
                    [
                        {
                            word: number_text(value, 3) if isinstance(value, float) else value
                            for word, value in row.items()
                        }
                        for row in each.rows
                    ],
                ),
            ),
        )
        for each in page.comparisons
    ]


def _other_section(page: RankingPage) -> list[Section]:
    if not page.other_scores:
        return []
    known = {score.measure for score in page.other_scores}
    measures = [each for each in page.other_measures if each.word in known]
    tables = []
    for condition in page.conditions:
        own = [score for score in page.other_scores if score.condition == condition.word]
        rows = [
            {
                "method": method,
                **{
                    score.measure: _with_interval(score.mean, score.low, score.high)
                    for score in own
                    if score.method == method
                },
            }
            for method in dict.fromkeys(score.method for score in own)
        ]
        if rows:
            columns = (("method", "method"), *((each.word, each.title) for each in measures))
            tables.append(
                Table(columns, rows, f"{_sentence(condition.title)}: mean over samples, with 95 % intervals")
            )
    return [
        Section(
            "Measures that need no truth",
            text=(
                "They say how a map behaves, not whether it is right, so they enter no ranking. A map can pass all of "
                "them and be wrong.",
            ),
            points=tuple(f"{_sentence(each.title)}: {each.sentence}" for each in measures),
            tables=tuple(tables),
        )
    ]


def _cost_section(page: RankingPage) -> list[Section]:
    tables = []
    for condition, ranking in page.decisive():
        rows = sorted((row for row in ranking.methods if not row.control), key=lambda row: row.seconds)
        if not rows:
            continue
        least = rows[0].seconds
        shown = [
            {
                "method": row.method,
                "seconds": float(f"{row.seconds:.2g}"),
                "relative": float(f"{row.seconds / least:.2g}") if least > 0 else None,
            }
            for row in rows
        ]
        tables.append(Table(_COST, shown, condition.title))
    text = "Measured on this machine, on samples that are explained together; another run gives other times."
    return [Section("Cost", text=(text,), tables=tuple(tables))] if tables else []


def _condition_section(page: RankingPage) -> Section:
    points = [
        f"{_sentence(condition.title)}: {' '.join(condition.about) or 'no more is known.'}"
        for condition in page.conditions
    ]
    facts = [{"fact": name, "value": number_text(value)} for name, value in page.facts.items()]
    tables = (Table((("fact", "what"), ("value", "value")), facts),) if facts else ()
    return Section("Conditions", points=tuple(points), tables=tables)


_METHOD = (
    "Every method explains the same samples. Means and intervals are over samples: 95 % percentile intervals of 5000 "
    "bootstrap means, widened for few samples (Hesterberg 2015), with the same resamples for all methods.",
    "Two methods are tied where the interval of their paired difference holds 0. The rank of a method is one more than "
    "the number of those that are better and not tied with it.",
    "A map without a score, such as a constant one, counts like one that tells nothing.",
    "Recommended is the method with the best mean that surpasses a map that tells nothing and every control. p is the "
    "chance that it does so by accident, corrected for the number of methods tried (Westfall and Young's largest t in "
    "the same resamples, step-down), with the sample that speaks most against it counted twice; at most 0.05 is asked "
    "for, and twelve scores. No method is recommended where another one is surely better, but not sure to surpass all "
    "controls. Intervals and ties are of each pair "
    "alone; each condition and measure is ranked by itself.",
    "Intervals and p hold for further samples like these, explained in the same network. What another training of it, "
    "other scenes or other samples would change is not in them: try another SEED. Samples of one scene may be alike, "
    "and then intervals are too narrow.",
)


def _about(page: RankingPage) -> Iterable[str]:
    words = {row.method for ranking in page.rankings for row in ranking.methods}
    known: Mapping[str, str] = {**BENCHMARK_METHODS, **CONTROLS, **CONTRIBUTION_METHODS, **_ABLATION}
    return [
        f"{word}: {text}." for word, text in known.items() if word in words
    ]  # some refer to the one before


def rows(page: RankingPage) -> list[dict[str, Any]]:
    """Return the rows of the table: those of the rankings, then the measures that need no truth, without a place."""
    ranked = [
        {
            **{name: getattr(row, name) for name in COLUMNS if hasattr(row, name)},
            "condition": ranking.condition,
            "measure": ranking.measure.word,
            "kind": "control" if row.control else "method",
            "tied": " ".join(row.tied),
            "samples": ranking.samples,
            "p": None if row.control else row.p,
            "verdict": verdict(ranking, row),
        }
        for ranking in page.rankings
        for row in ranking.methods
    ]
    return ranked + [{**vars(score), "kind": "sanity"} for score in page.other_scores]


def ranking_csv(page: RankingPage) -> str:
    """Return the table as CSV; without times, so that the same seed gives the same bytes."""
    return csv_text(COLUMNS, rows(page))


def ranking_csvt() -> str:
    """Return the types of its columns."""
    return csvt_text(COLUMNS, _TYPES)


def ranking_json(page: RankingPage) -> str:
    """Return the whole content of the report as JSON; ``resources/schemas`` holds its schema."""
    return json_text(
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "title": page.title,
            "subject": page.subject,
            "summary": summary(page),
            "notes": (*doubts(page), *page.notes),
            "conditions": [
                {
                    "word": condition.word,
                    "title": condition.title,
                    "network": page.network(condition),
                    "about": condition.about,
                    "broken": condition.broken,
                }
                for condition in page.conditions
            ],
            "rankings": [
                {
                    "condition": ranking.condition,
                    "measure": ranking.measure,
                    "samples": ranking.samples,
                    "recommended": ranking.recommended,
                    "left_out": ranking.left_out,
                    "methods": [
                        {**vars(row), "verdict": verdict(ranking, row), "trusted": row.trusted}
                        for row in ranking.methods
                    ],
                }
                for ranking in page.rankings
            ],
            "broken_maps": [{**vars(each), "last": each.last} for each in broken_maps(page)],
            "broken_maps_text": broken_sentences(page),
            "comparisons": page.comparisons,
            "other_measures": page.other_measures,
            "other_scores": page.other_scores,
            "facts": page.facts,
            "settings": page.settings,
            "method": _METHOD,
            "provenance": page.provenance,
        }
    )
