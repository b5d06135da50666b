"""The words of a bulletin, made of the JSON report of a relevance map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FORMAT = "floelens-relevance-report"
MOST_NOTES = 3  # of limits and warnings: the page has room for no more


@dataclass(frozen=True)
class Bulletin:
    """What a page says; each field fills the item of its name in the layout.

    Parameters
    ----------
    title, subtitle : str
        What was explained; scene, time and model.
    answer : str
        The answer, a sentence a line.
    trust : str
        What makes it doubtful, a sentence a line.
    source : str
        Where it comes from, in small print.
    """

    title: str
    subtitle: str
    answer: str
    trust: str
    source: str


def bulletin_of(report: Mapping[str, Any]) -> Bulletin:
    """Return the words of a bulletin.

    Parameters
    ----------
    report : mapping
        As ``relevance-report.schema.json`` describes it.

    Raises
    ------
    ValueError
        It is no such report, or an older one without an answer; with a sentence.
    """
    if report.get("format") != FORMAT:
        raise ValueError(
            "is not the JSON report of 'Relevance maps'. Choose what REPORT_JSON of that tool wrote."
        )
    if not report.get("answer"):
        raise ValueError("was written by an older version and holds no answer. Run 'Relevance maps' again.")
    source, model = report["provenance"], report["model"]
    reference = f" rather than {report['reference_class']}" if report["reference_class"] else ""
    when = str(source.get("start_time", "")).replace("T", " ").replace("Z", " UTC")
    where = f"{report['region']}, {report['pixels']} pixels"
    rasters = ", ".join(source[key] for key in ("FLOELENS_SAR", "FLOELENS_MWR") if source.get(key))
    made = f"FloeLens {source.get('FLOELENS_VERSION_FLOELENS', '')}".strip()
    return Bulletin(
        title=f"Why {report['target_class']}{reference}?",
        subtitle=" \u2013 ".join(filter(None, (report["scene"], when, model["title"]))),
        answer="\n".join(report["answer"]),
        trust="\n".join([*report["warnings"], *model["limits"]][:MOST_NOTES]),
        source=f"{made}; model {model['id']}; method {report['method']}; {where}; {rasters}.",
    )
