"""How far the scores of a head can be trusted: one sentence for the summary, and the points behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..page import figures
from ..page.html import Figure, Section, listed, number_text, sensor_name
from .channels import FEW_CLUSTERS, ChannelJudgement, reading_phrase, sensor_slopes, slope_points
from .head import HeadScores

_SIGNIFICANT = 1.959963984540054  # two-sided 5 % of the normal distribution
LEAST_CLUSTERS = 10  # fewer do not show whether weights are a fit
_FINDINGS = 3  # verdicts in a sentence
_NAMES = 2  # sensors by name for each of them
_REPLACEABLE = 30.0  # VIF from which on others can nearly replace a component


def trust_sentence(head: HeadScores, judged: ChannelJudgement | None = None) -> str:
    """Return the one thing that a reader must know before using the ranking, in at most 25 words."""
    measures = head.measures
    if not any(row["z"] is not None for row in head.rows):
        return "No component has a score: see the notes beside the components for the reason."
    if not measures["n_labelled"]:
        return (
            "No labels were given: this order describes the network, tests nothing, and cannot say whether the map "
            "is right."
        )
    fitted = measures.get("weights_fitted")
    if measures.get("basis") == "refit":
        why = "no fit to the labels" if fitted is False else "not known to be a fit"
        return f"The trained weights are {why}, so the ranking uses weights fitted to the labels anew."
    if fitted is False and "refit_steps" in measures:  # asked for, and there is none
        return (
            "The trained weights are no fit to the labels, and REFIT found none either: do not rank components by this "
            "order."
        )
    if fitted is False:
        return (
            "The trained weights are no fit to the labels: run again with REFIT before you rank components."
        )
    tested = sensor_slopes(judged)
    if tested:
        return slopes_sentence(tested)
    if fitted is None:
        return "The labels cannot tell whether the weights are a fit: this order describes, it does not test."
    both = _both(head)
    if not both:
        return (
            "The dependence of neighbouring pixels could not be measured: every score is too large by an unknown "
            "factor."
        )
    return (
        f"{_robust_significant(both)} of {len(both)} scores differ from 0 at the 5 % level, once pixels of a "
        "cluster may depend on each other."
    )


def rests_on_slopes(head: HeadScores, judged: ChannelJudgement | None) -> bool:
    """Return whether the trust sentence is what the slopes say: a verdict on trust in sensors."""
    tested = sensor_slopes(judged)
    return bool(tested) and trust_sentence(head, judged) == slopes_sentence(tested)


def slopes_sentence(tested: Sequence[Mapping[str, Any]]) -> str:
    """Return what the slopes of the sensors say, in at most 25 words: findings first, of few sensors by name."""
    hint = any(row["hint"] for row in tested)
    readings: dict[str, list[str]] = {}
    for row in tested:
        readings.setdefault(reading_phrase(row), []).append(sensor_name(row["group"]))
    most = _NAMES if len(tested) <= _FINDINGS else 1
    open_ones = readings.pop("undecided", [])
    if not readings:
        return f"The labels cannot settle whether trust in {_named(open_ones, most)} is deserved."
    said = [f"in {_named(names, most)} is {phrase}" for phrase, names in readings.items()][:_FINDINGS]
    if open_ones:
        said = [*said[: _FINDINGS - 1], f"in {_named(open_ones, most)} is undecided"]
    return f"{'As a hint only' if hint else 'Against the labels'}, trust {listed(said)}."


def _named(names: Sequence[str], most: int) -> str:
    """Return the names of sensors, or how many there are where they are more than `most`."""
    return listed(names) if len(names) <= most else f"{len(names)} sensors"


def trust_section(head: HeadScores, judged: ChannelJudgement | None, name: str, suffix: str) -> Section:
    """Return the section of the report that follows the ranking; `name` prefixes the ids of its pictures."""
    points = [*_fit_points(head), *error_points(head), *_limit_points(head)]
    if judged is not None:
        points += slope_points(judged)
    pictures: tuple[Figure, ...] = ()
    if head.clusterings:
        pictures = (
            Figure(
                figures.svg(
                    figures.clustering_plot(head.clusterings), f"{name}c", "error ratio by size of the blocks"
                ),
                "Robust error divided by naive error: median of the components, and their middle half, by size of the "
                "blocks. Where the curve levels off, blocks are large enough.",
            ),
        )
    return Section("How far this can be trusted" + suffix, points=tuple(points), figures=pictures)


def _fit_points(head: HeadScores) -> list[str]:
    """Return how far the trained weights are from a fit, where there are labels."""
    distance = head.measures.get("fit_distance")
    if distance is None or head.measures.get("weights_fitted") is None:
        if head.measures["n_labelled"]:
            few = (head.measures["clusters"] or 0) < LEAST_CLUSTERS
            why = f": they form fewer than {LEAST_CLUSTERS} clusters" if few else ""
            return [
                f"The labels cannot tell whether the trained weights are a fit{why}. They have no p-values."
            ]
        return [
            "A score tests a weight only if the weight is a fit. Without labels nobody knows whether it is."
        ]
    size = number_text(distance, 2)
    if head.measures.get("weights_fitted"):
        return [
            f"The trained weights are a fit to the labels: those of no sensor lie farther than {size} standard errors "
            "from the best ones, taken together."
        ]
    return [
        f"The trained weights are no fit to the labels: those of a sensor lie {size} standard errors from the best "
        "ones, taken together, where 1 is chance. They have no p-values."
    ]


def error_points(head: HeadScores) -> list[str]:
    """Return what the errors of the components rest on, and how much clusters widen them."""
    measures = head.measures
    scored = [row for row in head.rows if row["z"] is not None]
    if not scored:
        return []
    if not measures["n_labelled"]:
        if head.kind == "linear":
            return ["A linear head has no errors without labels."]
        return [
            f"The errors are naive: they count {measures['n']} pixels as independent. Neighbouring pixels are alike, "
            "so every score is too large."
        ]
    both = _both(head)
    if not both:
        note = next((row["note"] for row in scored if row["note"]), "they could not be computed")
        return [f"Robust errors are missing ({note}). The naive scores are off by an unknown factor."]
    wider = _widening(head, both)
    naive = sum(abs(row["z_robust"]) * factor > _SIGNIFICANT for row, factor in zip(both, wider))
    effective = float(np.median([row["n_effective"] for row in both]))
    points = [
        f"Pixels of a cluster may depend on each other ({measures['clusters']} clusters, {measures['clustering']}). "
        f"The typical robust error is {number_text(float(np.median(wider)), 2)} times the naive one."
    ]
    if effective <= measures["n_labelled"]:
        points.append(f"{measures['n_labelled']} pixels are worth about {round(effective)} independent ones.")
    else:
        spread = measures["dispersion"] if head.kind == "sigmoid" else None
        note = (
            ""
            if spread is None
            else f" (dispersion {number_text(spread, 2)}: fractions of ice, not yes or no)"
        )
        points.append(f"The labels scatter less than the naive errors assume{note}.")
    if measures.get("weights_fitted"):
        points.append(
            f"{_robust_significant(both)} of {len(both)} scores differ from 0 at the 5 % level by robust errors, "
            f"{naive} by naive ones."
        )
    return points


def _both(head: HeadScores) -> list[Mapping[str, Any]]:
    return [row for row in head.rows if row["z"] is not None and row["se_robust"]]


def _widening(head: HeadScores, both: list[Mapping[str, Any]]) -> list[float]:
    """Return robust over naive error; the naive one of the labelled pixels alone, since the table's counts all."""
    return [float(np.sqrt(head.measures["n_labelled"] / row["n_effective"])) for row in both]


def _robust_significant(both: list[Mapping[str, Any]]) -> int:
    return sum(row["log10_p_robust"] is not None and row["log10_p_robust"] < np.log10(0.05) for row in both)


def _limit_points(head: HeadScores) -> list[str]:
    """Return what must not be concluded from these scores."""
    points = ["A score says how firmly the pixels fix a weight, not whether the channel or the map is right."]
    clusters = head.measures["clusters"]
    if head.measures["n_labelled"] and (clusters or 0) < FEW_CLUSTERS:
        few = "1 cluster is" if clusters == 1 else f"{clusters or 0} clusters are"
        points.append(f"{few} too few for trustworthy robust errors.")
    inflated = sum(row["vif"] is not None and row["vif"] > _REPLACEABLE for row in head.rows)
    if inflated:
        points.append(
            f"Others can nearly replace {inflated} of {len(head.rows)} components (VIF above {_REPLACEABLE:g}): rank "
            "groups, not these components."
        )
    weight = head.measures["mean_weight"]
    outputs = max(len(head.classes), 2)
    if weight is not None and weight < 0.05 * (1 - 1 / outputs):
        points.append("Most predictions are nearly certain, which makes every score smaller.")
    return points
