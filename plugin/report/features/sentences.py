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
    facts, features = report.skill, len(report.rows)
    if facts is None:
        failed = "; no window of the scene could be predicted again" if report.left_out else ""
        return f"Layer {report.layer} has {features} features{failed}."
    number = facts.smallest.get("mean")
    what = (
        "logit and the map, and of its accuracy against the labels" if facts.labelled else "logit and the map"
    )
    judged = f"judged on {facts.windows} windows of the mapped scene, {facts.pixels} pixels"
    if facts.labelled and facts.whole <= facts.constant:
        return (
            f"How few features of layer {report.layer} keep the skill cannot be said: the whole network is right in "
            f"{percent(facts.whole)} of the labelled pixels, a map of one class in "
            f"{percent(facts.constant)} ({judged}); {_top(facts)}."
        )
    if number == 0:
        return (
            f"Layer {report.layer} hardly matters here: without any of its {features} features the rest of the network "
            f"keeps 99 % of the {what}, so that maps of this layer show little of what decides ({judged})."
        )
    if number is None or number >= features:
        start = f"No part of the {features} features of layer {report.layer} keeps 99 % of the {what}"
    else:
        share = percent(number / features)
        start = (
            f"{number} of the {features} features of layer {report.layer} ({share}) keep 99 % of the {what}"
        )
    return f"{start} ({judged}); {_top(facts)}."


def _top(facts: SkillFacts) -> str:
    """Return how much of the map the top share of features makes, and random ones."""
    rows = {row.kind: row for row in facts.rows if row.fill == "mean" and row.share == _TOP_SHARE}
    top: SkillRow | None = rows.get("top")
    random = rows.get("random")
    if top is None or random is None:
        return "other shares are in the table"
    who = f"the top {top.number} alone map" if top.number > 1 else "the first alone maps"
    return (
        f"{who} {percent(top.agreement)} of the pixels as the whole network does, as many drawn at random "
        f"{percent(random.agreement)} on average"
    )


def _which(report: FeatureReport) -> str:
    leading = [str(row["feature"]) for row in report.rows[:3]]
    first = report.rows[0]
    size = first.get("im_diff") if first.get("im_diff") is not None else first.get("im_all")
    if size is None or not math.isfinite(size):
        return f"First are {listed(leading)}."
    if first.get("im_diff") is None:
        return (
            f"The features that add most to {report.target} are {listed(leading)}; the first adds "
            f"{number_text(float(size), 3)} to the mean logit of a sample. All samples are of one class, so that "
            "nothing tells what sets a class apart."
        )
    more = "more" if size > 0 else "less"
    where = f"samples of {first['differs_most_in']}" if first.get("differs_most_in") else "its samples"
    return (
        f"What sets {report.target} apart are {listed(leading)}: in {where} the first adds "
        f"{number_text(abs(float(size)), 3)} {more} to the logit than in all samples."
    )


def _comparable(report: FeatureReport) -> str:
    if not report.consistency:
        return "There are too few samples to say whether the map follows the logit."
    common = report.consistency[0]
    if not math.isfinite(common.pearson):
        return "There are too few samples to say whether the map follows the logit."
    own = next((row for row in report.consistency if row.scale == "each sample by itself"), None)
    beside = ""
    if own is not None and math.isfinite(own.pearson):
        beside = f", scaled sample by sample with r = {own.pearson:.3f}"
    given = f"On the {common.scale} scale the mean of the map follows the mean logit with r = {common.pearson:.3f}"
    if report.last_layer:
        return f"{given}{beside}; at the last layer that is so by construction: look at an earlier one, too."
    verdict = "it can be compared between scenes" if common.pearson >= FOLLOWS else "compare it with care"
    return f"{given}{beside}: {verdict}."
