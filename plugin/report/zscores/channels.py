"""What a report of Z-scores says of the input channels: held-out slopes first, then strengths.

A slope tests whether the network's trust in a channel is deserved; a strength says how firmly the map
rests on it, and is no test: it is never printed with a p-value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..page import figures
from ..page.html import Figure, Section, Table, listed, number_text, sensor_name
from . import channel_figures

READINGS = {
    "deserved": "its evidence is worth what the network makes of it (the whole interval lies between 0.5 and 2)",
    "over-trusted": "it helps, but the network makes too much of it (the interval lies between 0 and 1)",
    "under-trusted": "it deserves more weight than it gets (the interval lies above 1)",
    "useless": "no evidence that it helps (the interval lies below 1 and holds 0)",
    "misleading": "it speaks against the truth (the interval lies below 0)",
    "undecided": "these pixels cannot tell (the interval is too wide)",
}
FEW_CLUSTERS = 50  # below, robust errors are themselves uncertain
_LEVELS = {"sensor": "By sensor", "frequency": "By frequency", "channel": "By channel"}


@dataclass(frozen=True, eq=False)
class ChannelJudgement:
    """Strengths and slopes of one head; the fields are the keys of ``ChannelScores.as_dict()``."""

    head: str
    kind: str
    method: str
    classes: tuple[str, ...]
    strengths: tuple[Mapping[str, Any], ...]
    slopes: tuple[Mapping[str, Any], ...]
    measures: Mapping[str, Any]
    warnings: tuple[str, ...] = ()

    def level(self, rows: Sequence[Mapping], name: str) -> list[Mapping]:
        """Return the rows of a level; the coarsest that says as much where this one is left out."""
        return [row for row in rows if row["level"] == name]


def sensor_slopes(judged: ChannelJudgement | None) -> list[Mapping[str, Any]]:
    """Return the tested slopes of the coarsest level; none where nothing was tested."""
    if judged is None or not judged.slopes:
        return []
    coarsest = judged.level(judged.slopes, judged.slopes[0]["level"])
    return [row for row in coarsest if row["slope"] is not None and row["reading"]]


def slope_points(judged: ChannelJudgement) -> list[str]:
    """Return a sentence for each sensor whose slope was tested, and for frequencies that stand out."""
    tested = sensor_slopes(judged)
    if not tested:
        return []
    points = [
        f"Trust in {_group_name(row)} is {reading_phrase(row)}: slope {number_text(row['slope'], 2)}{_interval(row)}."
        for row in tested
    ]
    named = {row["group"] for row in tested}
    finer = [
        row
        for row in judged.level(judged.slopes, "frequency")
        if row["reading"] and row["group"] not in named
    ]
    level = np.log10(0.05 / max(len(finer), 1))  # Bonferroni's: of many tests, some stand out by chance alone
    finer = [row for row in finer if row["log10_p_against_1"] < level]
    finer.sort(key=lambda row: -abs(row["z_against_1"]))
    if finer:
        names = [f"{row['group']} ({row['reading']}, {number_text(row['slope'], 2)})" for row in finer[:3]]
        points.append(f"By frequency {listed(names)} {'stands' if len(names) == 1 else 'stand'} out.")
    if any(row["hint"] for row in tested):
        points.append("The slopes rest on too few scenes for an interval: a hint, no finding.")
    return points


def _interval(row: Mapping[str, Any]) -> str:
    if row["low"] is None or row["high"] is None:
        return ""
    return f" (95 % interval {number_text(row['low'], 2)} to {number_text(row['high'], 2)})"


def reading_phrase(row: Mapping[str, Any]) -> str:
    """Return the verdict on one slope as the end of a sentence on trust."""
    return {
        "deserved": "deserved",
        "over-trusted": "too large",
        "under-trusted": "too small",
        "useless": "not borne out",
        "misleading": "misplaced",
        "undecided": "undecided",
    }[row["reading"]]


def channel_sections(judged: ChannelJudgement, name: str, suffix: str) -> list[Section]:
    """Return the sections of slopes and strengths of one head; `name` prefixes the ids of pictures."""
    return [*_slope_sections(judged, name, suffix), _strength_section(judged, name, suffix)]


def _slope_sections(judged: ChannelJudgement, name: str, suffix: str) -> list[Section]:
    title = "Is the network's trust in each channel deserved?" + suffix
    if not judged.slopes:
        return []
    measures = judged.measures
    clusters = (
        f"{measures['clusters']} clusters ({measures['clustering']})"
        if measures["clustering"]
        else "no clusters, so that nothing can be tested"
    )
    text = (
        "The labels are regressed on what each channel contributes to the logit. Slope 1: the evidence of the channel "
        "is worth what the network makes of it; 0: it is useless. The slopes rest on "
        f"{measures['n_fitted']} labelled pixels in {clusters}.",
        "This judges the network only on scenes it was not trained on. On training scenes slopes are near 1 by "
        "construction.",
        "Every row is tested by itself at the 5 % level: of twenty that deserve full trust one would be called "
        "something else by chance.",
    )
    shown = [row for row in judged.slopes if row["slope"] is not None]
    pictures: tuple[Figure, ...] = ()
    if shown:
        picture = channel_figures.slope_plot(shown)
        pictures = (
            Figure(
                figures.svg(picture, f"{name}s", "slope of each sensor, frequency and channel"),
                f"Held-out slopes with two {_errors_drawn(shown)} errors to each side; dotted at 0 (useless), solid at "
                "1 (deserved).",
            ),
        )
    common = _common_notes(shown)
    tables, blanks = [], []
    for level, heading in _LEVELS.items():
        rows = judged.level(judged.slopes, level)
        known = [{**row, "note": _without(row["note"], common)} for row in rows if row["slope"] is not None]
        if known:
            tables.append(Table(_SLOPE_TABLE, known, heading))
        blanks += _blank_sentences([row for row in rows if row["slope"] is None])
    found = [row["reading"] for row in judged.slopes]
    words = tuple(f"{word}: {meaning}" for word, meaning in READINGS.items() if word in found)
    return [Section(title, text=text, points=(*words, *blanks), figures=pictures, tables=tuple(tables))]


def _errors_drawn(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return which errors the picture of slopes shows: naive ones have open markers."""
    robust = {row["se_robust"] is not None for row in rows}
    if len(robust) == 1:
        return "robust" if robust.pop() else "naive"
    return "robust (filled marker) or naive (open marker)"


def _common_notes(rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the notes that every row has: they stand among the warnings already."""
    notes = [set(row["note"].split("; ")) for row in rows]
    return set.intersection(*notes) if len(notes) > 1 else set()


def _without(note: str, common: set[str]) -> str:
    return "; ".join(part for part in note.split("; ") if part not in common)


def _blank_sentences(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one sentence for each reason why rows are blank, with their names."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        reasons.setdefault(row["note"] or "not known", []).append(row["group"])
    return [f"No slope for {listed(names)}: {reason}." for reason, names in reasons.items()]


def _strength_section(judged: ChannelJudgement, name: str, suffix: str) -> Section:
    text = (
        "How firmly the sampled pixels would fix the size of each channel's contribution to the logit, all channels on "
        "one footing. A strength is always positive and grows with the number of pixels: it ranks channels, and tests "
        "nothing. A channel that others can replace (large VIF) has little strength of its own, however much the map "
        "rests on them together: read sensors and frequencies first. "
        f"Logits were split by {judged.method}, at {judged.measures['n']} pixels spread over the "
        "scenes.",
    )
    rows = [row for row in judged.strengths if row["strength"] is not None]
    pictures: tuple[Figure, ...] = ()
    if rows:
        pictures = (
            Figure(
                figures.svg(channel_figures.strength_bars(rows), f"{name}t", "strength of each channel"),
                "Strength by sensor, frequency and channel.",
            ),
        )
    tables = tuple(
        Table(_STRENGTH_TABLE, judged.level(judged.strengths, level), heading)
        for level, heading in _LEVELS.items()
        if judged.level(judged.strengths, level)
    )
    return Section("Strength of the input channels" + suffix, text=text, figures=pictures, tables=tables)


def _group_name(row: Mapping[str, Any]) -> str:
    return sensor_name(row["group"]) if row["level"] == "sensor" else row["group"]


_SLOPE_TABLE = (
    ("group", "channel"),
    ("channels", "channels"),
    ("reading", "reading"),
    ("slope", "slope"),
    ("se_robust", "robust error"),
    ("low", "95 % from"),
    ("high", "to"),
    ("scenes", "scenes"),
    ("z_against_0", "z against 0"),
    ("log10_p_against_0", "log10 p"),
    ("z_against_1", "z against 1"),
    ("log10_p_against_1", "log10 p"),
    ("vif", "VIF"),
    ("n_effective", "n effective"),
    ("note", "note"),
)
_STRENGTH_TABLE = (
    ("group", "channel"),
    ("channels", "channels"),
    ("strength", "strength"),
    ("mean", "mean contribution (logit)"),
    ("sd", "its standard deviation"),
    ("vif", "VIF"),
    ("n", "pixels"),
    ("note", "note"),
)
