"""What a feature analysis found, in three sentences."""

from __future__ import annotations

import math

from ..page.html import listed, number_text
from .content import FeatureReport, SkillFacts, SkillRow

FOLLOWS = 0.97  # correlation from which the map is said to follow the logit
_TOP_SHARE = 0.05


def summary(report: FeatureReport) -> list[str]:
    """Return three sentences: how many features matter, which, and whether the map can be compared."""
    return [_how_many(report), _which(report), _comparable(report)]


def percent(value: float) -> str:
    """Return a share in %: ``93 %``, ``0.4 %``."""
    return f"{100 * value:.0f} %" if abs(value) >= 0.01 or value == 0 else f"{100 * value:.1g} %"


def _how_many(report: FeatureReport) -> str:
    facts, what = report.skill, _called(report)
    if facts is None:
        failed = "; no window of the scene could be predicted again" if report.left_out else ""
        return f"Layer {report.layer} has {len(report.rows)} features{failed}."
    number = facts.smallest.get("mean")
    if facts.labelled and facts.whole <= facts.constant:
        return (
            f"How few of the {what} suffice cannot be said: against the labels the whole network maps no better than "
            "a map of one class."
        )
    if number == 0:
        return (
            f"Layer {report.layer} hardly matters here: without any of the {what} the map hardly changes, so that "
            "maps of this layer show little of what decides."
        )
    if number is None or number >= len(report.rows):
        return f"No part of the {what} suffices: without any of them the map changes."
    return f"{number} of the {what} suffice: without the others the map hardly changes."


def _called(report: FeatureReport) -> str:
    number = len(report.rows)
    return f"{number} components" if report.last_layer else f"{number} features of layer {report.layer}"


def how_many_text(facts: SkillFacts) -> list[str]:
    """Return what the first sentence of the summary rests on."""
    kept = "logit and of the map" + (", and of its accuracy against the labels" if facts.labelled else "")
    said = [
        f"Features suffice where 99 % of the {kept} are kept while the others stand still at their mean; of map and "
        "accuracy that is 99 % of what they are above the best map of one class. "
        f"Judged are {facts.pixels} pixels in {facts.windows} windows of the mapped scene. {_top(facts)}"
    ]
    at_zero = facts.smallest.get("zero")
    if at_zero is not None and at_zero != facts.smallest.get("mean"):
        said.append(f"With the others at zero instead, {at_zero} are needed.")
    if facts.labelled and facts.whole <= facts.constant:
        said.append(
            f"The whole network is right in {percent(facts.whole)} of the labelled pixels, a map of one class in "
            f"{percent(facts.constant)}."
        )
    return said


def _top(facts: SkillFacts) -> str:
    """Return how much of the map the top share of features makes, and random ones."""
    rows = {row.kind: row for row in facts.rows if row.fill == "mean" and row.share == _TOP_SHARE}
    top: SkillRow | None = rows.get("top")
    random = rows.get("random")
    if top is None or random is None:
        return ""
    who = f"The top {top.number} alone map" if top.number > 1 else "The first alone maps"
    return (
        f"{who} {percent(top.agreement)} of the pixels as the whole network does, as many drawn at random "
        f"{percent(random.agreement)} on average."
    )


def _which(report: FeatureReport) -> str:
    leading = listed(_explained(report, [str(row["feature"]) for row in report.rows[:3]]))
    first = report.rows[0]
    size = first.get("im_diff") if first.get("im_diff") is not None else first.get("im_all")
    if size is None or not math.isfinite(size):
        return f"First are {leading}."
    if first.get("im_diff") is None:
        return (
            f"The features that add most to {report.target} are {leading}. All samples are of one class, so that "
            "nothing tells what sets a class apart."
        )
    return f"What sets {report.target} apart most are {leading}."


def _explained(report: FeatureReport, names: list[str]) -> list[str]:
    """Return names of features, each kind of them explained where it comes first."""
    said, known = [], set()
    for name in names:
        kind = next((each for each in report.names if name in each.features), None)
        said.append(
            name if kind is None or not kind.short or kind.short in known else f"{name} ({kind.short})"
        )
        known.add(kind.short if kind else "")
    return said


def importance_text(report: FeatureReport) -> str:
    """Return how large the importance of the first feature is, in a sentence; empty where it is not known."""
    first = report.rows[0]
    size = first.get("im_diff") if first.get("im_diff") is not None else first.get("im_all")
    if size is None or not math.isfinite(size):
        return ""
    name, number = first["feature"], number_text(abs(float(size)), 3)
    if first.get("im_diff") is None:
        return f"{name} adds {number_text(float(size), 3)} to the mean logit of a sample."
    where = f"samples of {first['differs_most_in']}" if first.get("differs_most_in") else "its samples"
    return f"In {where} {name} adds {number} {'more' if size > 0 else 'less'} to the logit than in all."


def _comparable(report: FeatureReport) -> str:
    if not report.consistency or not math.isfinite(report.consistency[0].pearson):
        return "There are too few samples to say whether the map follows the logit."
    common = report.consistency[0]
    if report.last_layer:
        return (
            "Maps of different scenes can be compared: at the last layer the map is the logit without its bias, "
            "whatever the network learned. Look at an earlier layer, too."
        )
    r = f"r = {common.pearson:.3f} over the samples"
    if common.pearson >= FOLLOWS:
        return f"Maps of different scenes can be compared: on the common scale they follow the logit ({r})."
    return f"Compare maps of different scenes with care: they follow the logit only in part ({r})."
