"""How well the map agrees with the labels: the first thing a report of Z-scores says where it is known.

Scores explain the map, right or wrong; a reader must know which of the two before reading on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..page.html import Section, Table, number_text

MOST_WORDS = 25
"""In a sentence of the summary."""

UNKNOWN = (
    "How well the map agrees with the labels is not known: states hold no skill, and this run compares no labelled "
    "scene."
)
_WARNING = "Where the map is wrong, these scores explain a wrong map."
_NOTABLE = 5.0  # % by which the mean of a range must be off to be named


@dataclass(frozen=True, eq=False)
class HeadSkill:
    """Skill of one head; the fields are the keys of ``Skill.as_dict()``, and which pixels are scored."""

    head: str
    kind: str
    unit: str
    n: int
    labelled: float | None
    mapped: float | None
    rmse: float | None
    bias: float | None
    r2: float | None
    ranges: tuple[Mapping[str, Any], ...]
    missed_ice: float | None
    false_ice: float | None
    accuracy: float | None
    macro_f1: float | None
    confusion: tuple[Mapping[str, Any], ...]
    worst: str
    poor: bool
    pixels: str = ""


def skill_sentence(skill: HeadSkill) -> str:
    """Return how well the map agrees with the labels, and where it does so least, in at most 25 words."""
    start = "The map is poor against the labels: " if skill.poor else "Against the labels: "
    said = _classes_clauses(skill) if skill.kind == "softmax" else _values_clauses(skill)
    sentence = f"{start}{', '.join(said)}."
    return sentence if len(sentence.split()) <= MOST_WORDS else f"{start}{', '.join(said[:2])}."


def skill_section(skill: HeadSkill | None, suffix: str) -> Section:
    """Return the section before the ranking of a head with labels; without `skill` it says that there is none."""
    title = "How well the map agrees with the labels" + suffix
    if skill is None:
        return Section(title, text=(UNKNOWN,))
    where = f" ({skill.pixels})" if skill.pixels else ""
    pixels = f"Compared are the {skill.n} labelled pixels of this run's scene that are scored{where}."
    text = (f"{skill_sentence(skill)} {_WARNING}", pixels)
    if skill.kind == "softmax":
        return Section(title, text=(*text, _RULE_CLASSES), tables=(_confusion_table(skill),))
    bias = f"Bias (mapped minus labelled): {_signed(skill.bias)}{_unit(skill)}; {_r2_text(skill)}."
    points = [bias]
    if skill.missed_ice is not None:
        points.append(
            f"{_percent(skill.missed_ice)} of the pixels are ice in the labels (15 % and more) and water on the map, "
            f"{_percent(skill.false_ice)} the other way round."
        )
    tables = (Table(_RANGE_TABLE, skill.ranges, "By range of the labels, %"),) if skill.ranges else ()
    return Section(title, text=(*text, _RULE_VALUES), points=tuple(points), tables=tables)


def _values_clauses(skill: HeadSkill) -> list[str]:
    said = [f"RMSE {number_text(skill.rmse, 2)}{_unit(skill)}", _r2_text(skill)]
    worst = next((row for row in skill.ranges if row["range"] == skill.worst), None)
    if worst is not None and abs(worst["bias"]) >= _NOTABLE:
        return [*said, f"mapped {round(worst['mapped'])} % where they say {worst['range']} %"]
    return [*said, f"bias {_signed(skill.bias)}{_unit(skill)}"]


def _classes_clauses(skill: HeadSkill) -> list[str]:
    said = [f"accuracy {_percent(skill.accuracy)}", f"macro F1 {number_text(skill.macro_f1, 2)}"]
    worst = next((row for row in skill.confusion if row["class"] == skill.worst), None)
    if worst is None:
        return said
    return [*said, f"'{worst['class']}' mapped as such in {_percent(worst['recall'])} of its pixels"]


def _r2_text(skill: HeadSkill) -> str:
    if skill.r2 is None:
        return "R\u00b2 unknown"
    return "R\u00b2 " + f"{round(skill.r2, 2) + 0.0:.2f}".replace("-", "\u2212")


def _unit(skill: HeadSkill) -> str:
    return f" {skill.unit}" if skill.unit else ""


def _signed(value: float | None) -> str:
    if value is None:
        return ""
    text = number_text(abs(value), 2)
    return f"\u2212{text}" if value < 0 else f"+{text}"


def _percent(part: float | None) -> str:
    if part is None:
        return ""
    return f"{number_text(100.0 * part, 2)} %"


def _confusion_table(skill: HeadSkill) -> Table:
    names = [row["class"] for row in skill.confusion]
    columns = (
        ("class", "labelled"),
        ("n", "pixels"),
        *((f"mapped {at}", f"mapped as {name}") for at, name in enumerate(names)),
        ("recall", "recall"),
        ("precision", "precision"),
        ("f1", "F1"),
    )
    rows: Sequence[Mapping] = [
        {**row, **{f"mapped {at}": row["mapped"][name] for at, name in enumerate(names)}}
        for row in skill.confusion
    ]
    return Table(columns, rows, "Pixels by labelled and mapped class")


_RULE_VALUES = (
    "A map counts as poor where R\u00b2 is under 0.5, or where the mean of a range that holds 1 % of the pixels is off "
    "by more than 20 %."
)
_RULE_CLASSES = "A map counts as poor where macro F1, the mean of the classes' F1, is under 0.6."
_RANGE_TABLE = (
    ("range", "labels say"),
    ("n", "pixels"),
    ("labelled", "labels, mean"),
    ("mapped", "mapped, mean"),
    ("bias", "bias"),
    ("rmse", "RMSE"),
)
