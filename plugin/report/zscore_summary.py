"""The three sentences of a report of Z-scores: what holds, how sure that is, what cannot be concluded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .html import listed, number_text, sensor_name
from .zscore_channels import ChannelJudgement, slopes_sentence, strength_phrase

_SIGNIFICANT = 1.959963984540054  # two-sided 5 % of the normal distribution


@dataclass(frozen=True, eq=False)
class HeadScores:
    """Scores of one head; the fields are the keys of ``ZScores.as_dict()``."""

    head: str
    kind: str
    classes: tuple[str, ...]
    components: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    groups: tuple[Mapping[str, Any], ...]
    bias: tuple[Mapping[str, Any], ...]
    shifts: tuple[Mapping[str, Any], ...]
    clusterings: tuple[Mapping[str, Any], ...]
    measures: Mapping[str, Any]
    correlation: np.ndarray
    warnings: tuple[str, ...] = ()
    relative_weights: tuple[Mapping[str, Any], ...] = ()
    leading: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def group(self, kind: str) -> list[Mapping[str, Any]]:
        """Return the groups of a kind."""
        return [group for group in self.groups if group["kind"] == kind]


def summary(head: HeadScores, judged: ChannelJudgement | None = None) -> tuple[str, str, str]:
    """Return three sentences: whether trust in the sensors is deserved or else what errors mean, what leads, limits.

    Parameters
    ----------
    head : HeadScores
        Scores of the components.
    judged : ChannelJudgement, optional
        Of the same head: its held-out slopes come first where there are any.
    """
    leading = _leading(head)
    phrase = strength_phrase(judged) if judged is not None else ""
    if phrase:
        leading = f"{leading[:-1]}; {phrase}."
    headline = slopes_sentence(judged) if judged is not None else ""
    if headline:
        return headline, leading, _limits(head)
    return leading, errors_sentence(head), _limits(head)


def _leading(head: HeadScores) -> str:
    scored = [row for row in head.rows if row["z"] is not None]
    if not scored:
        reason = next((row["note"] for row in head.rows if row["note"]), "nothing could be estimated")
        return f"The head '{head.head}' has no scores: {reason}."
    robust = any(row["z_robust"] is not None for row in scored)
    key, which = ("z_robust", "robust") if robust else ("z", "naive")
    strongest = max((row for row in scored if row[key] is not None), key=lambda row: abs(row[key]))
    of_class = f" for '{strongest['class']}'" if head.kind == "softmax" else ""
    name = f"{strongest['component']} (z = {number_text(strongest[key], 3)}{of_class})"
    sensors = [group for group in head.group("sensor") if group[f"mean_abs_{key}"] is not None]
    sensors.sort(key=lambda group: -group[f"mean_abs_{key}"])
    if len(sensors) < 2:
        return f"In the head '{head.head}' the component with the largest {which} score is {name}."
    shares = [
        f"{number_text(group[f'mean_abs_{key}'], 3)} for {sensor_name(group['group'])}" for group in sensors
    ]
    if sensors[0][f"mean_abs_{key}"] < 1:
        firm = f"these pixels fix hardly any weight of the head '{head.head}'"
        chance = " (weights of pure chance would have 0.8)"
    else:
        firm = f"the head '{head.head}' is tied most firmly to {sensor_name(sensors[0]['group'])}"
        chance = ""
    sentence = (
        f"Component for component {firm}: the mean {which} |z| is {listed(shares)}{chance}; the single largest score "
        f"is that of {name}."
    )
    told = [group for group in sensors if group["information"] is not None]
    most = max(told, key=lambda group: group["information"], default=None)
    if most is not None and most is not sensors[0]:
        sentence = (
            sentence[:-1]
            + f", but taking {sensor_name(most['group'])} out as a whole would change the map most."
        )
    elif most is not None:
        sentence = (
            sentence[:-1]
            + f", and taking {sensor_name(most['group'])} out as a whole would change the map most."
        )
    return sentence


def errors_sentence(head: HeadScores) -> str:
    """Return what the errors of the components rest on, and how much clusters widen them."""
    scored = [row for row in head.rows if row["z"] is not None]
    both = [row for row in scored if row["se_robust"]]
    measures = head.measures
    if not both:
        if not measures["n_labelled"]:
            if head.kind == "linear":
                return "No labels were given, and a linear head has no errors without them: all scores are blank."
            soft = (
                ", fractions of ice (which scatter less than yes or no) make them too small"
                if head.kind == "sigmoid"
                else ""
            )
            return (
                f"No labels were given, so the errors are naive ones: they count {measures['n']} pixels as "
                f"independent draws of a class. Neighbours that resemble each other make the z too large{soft}; only "
                "labelled scenes can tell by how much."
            )
        note = next((row["note"] for row in scored if row["note"]), "they could not be computed")
        return f"Robust errors are missing ({note}), so every z is naive and off by an unknown factor."
    # The naive error of the labelled pixels alone: that of the table counts those without a label too.
    wider = [np.sqrt(measures["n_labelled"] / row["n_effective"]) for row in both]
    ratio = float(np.median(wider))
    naive = sum(abs(row["z_robust"]) * factor > _SIGNIFICANT for row, factor in zip(both, wider))
    robust = sum(row["log10_p_robust"] is not None and row["log10_p_robust"] < np.log10(0.05) for row in both)
    effective = float(np.median([row["n_effective"] for row in both]))
    worth = f"{measures['n_labelled']} pixels are worth about {round(effective)} independent ones"
    if effective > measures["n_labelled"]:
        worth = "the labels scatter less than the naive errors assume"
        if head.kind == "sigmoid" and measures["dispersion"] is not None:
            worth += (
                f" (dispersion {number_text(measures['dispersion'], 2)}: fractions of ice, not yes or no)"
            )
    differ = "differs" if robust == 1 else "differ"
    return (
        f"Allowing the pixels of a cluster to depend on each other ({measures['clusters']} clusters, "
        f"{measures['clustering']}), the typical error is {number_text(ratio, 2)} times the naive one: "
        f"{worth}, and {robust} of {len(both)} scores {differ} from 0 at the 5 % level, "
        f"against {naive} by the naive errors and some {max(1, round(0.05 * len(both)))} by chance alone."
    )


def _limits(head: HeadScores) -> str:
    reasons = ["a score tells how firmly these pixels fix a weight, not whether the channel is right"]
    clusters = head.measures["clusters"]
    if head.measures["n_labelled"] and (clusters or 0) < 50:
        few = "1 cluster is" if clusters == 1 else f"{clusters or 0} clusters are"
        reasons.append(f"{few} too few for trustworthy robust errors")
    inflated = sum(row["vif"] is not None and row["vif"] > 30 for row in head.rows)
    if inflated:
        reasons.append(
            f"{inflated} of {len(head.rows)} scores belong to components that others can nearly replace (VIF above "
            "30), so that single ones must not be ranked"
        )
    weight = head.measures["mean_weight"]
    outputs = max(len(head.classes), 2)
    if weight is not None and weight < 0.05 * (1 - 1 / outputs):
        reasons.append("most predictions are nearly certain, which shrinks every z")
    return (
        "What cannot be concluded: "
        + "; ".join(reasons)
        + "; and scores of other models or scenes may be compared "
        "only together with the information share."
    )
