"""The report of Z-scores: which sensors and channels the output layer rests on, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import figures
from .html import Figure, Section, Table, listed, number_text, render, sensor_name
from .tables import csv_text, csvt_text, json_text
from .zscore_channels import ChannelJudgement, channel_sections, slopes_sentence, strength_phrase

FORMAT = "floelens-zscores-report"
FORMAT_VERSION = 2
TYPES = {
    **dict.fromkeys(
        ("head", "class", "component", "channel", "sensor", "scale", "polarisation", "note"), "String"
    ),
    **dict.fromkeys(("kind", "group", "leading_sensor", "leading_component"), "String"),
    **dict.fromkeys(("n", "df", "components", "clusters", "zone"), "Integer64"),
}
_SIGNIFICANT = 1.959963984540054  # two-sided 5 % of the normal distribution


@dataclass(frozen=True)
class ModelFacts:
    """What a report says about the model.

    Parameters
    ----------
    id, title : str
        As in its card.
    demonstration : bool
        Whether it must not be used operationally.
    limits : tuple of str
        Limits of use, from the card.
    """

    id: str
    title: str
    demonstration: bool = False
    limits: tuple[str, ...] = ()

    def caveats(self) -> tuple[str, ...]:
        """Return what must be said about any result of the model."""
        said = ()
        if self.demonstration:
            said = (
                "This is a demonstration model, trained on simulated scenes: the report shows how it decides, "
                "not how sea ice should be mapped.",
            )
        return said + tuple(self.limits)


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

    def group(self, kind: str) -> list[Mapping[str, Any]]:
        """Return the groups of a kind."""
        return [group for group in self.groups if group["kind"] == kind]


@dataclass(frozen=True, eq=False)
class ZoneShape:
    """One zone of one head.

    Parameters
    ----------
    head : str
        Name of the head.
    row : mapping
        Flat row of the zone, as of ``ZoneScores.row()``.
    name : str
        How the zone is called, if it has a name.
    rings : tuple of numpy.ndarray
        Its outline on a map plane, (vertex, 2) each; empty: not drawn.
    """

    head: str
    row: Mapping[str, Any]
    name: str = ""
    rings: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True, eq=False)
class ZScoresReport:
    """All that the report says.

    Parameters
    ----------
    model : ModelFacts
        The network.
    heads : tuple of HeadScores
        One or more.
    asked : mapping
        What was asked for, in the reader's words: scenes, sample, labels, clusters.
    channels : tuple of ChannelJudgement
        One a head; none where logits were not split over channels.
    zones : tuple of ZoneShape
        None where no zones were asked for.
    provenance : mapping
        Where it came from.
    warnings : tuple of str
        Of the scene and the state; those of the heads are added.
    """

    model: ModelFacts
    heads: tuple[HeadScores, ...]
    asked: Mapping[str, Any]
    channels: tuple[ChannelJudgement, ...] = ()
    zones: tuple[ZoneShape, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


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
    return leading, _errors(head), _limits(head)


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
    sentence = (
        f"Component for component the head '{head.head}' is tied most firmly to {sensor_name(sensors[0]['group'])}: "
        f"the mean {which} |z| is {listed(shares)}; the single largest score is that of {name}."
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


def _errors(head: HeadScores) -> str:
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
    return (
        f"Allowing the pixels of a cluster to depend on each other ({measures['clusters']} clusters, "
        f"{measures['clustering']}), the typical error is {number_text(ratio, 2)} times the naive one: "
        f"{worth}, and {robust} of {len(both)} scores differ from 0 at the 5 % level, against {naive} by the naive "
        "errors."
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


def zscores_html(report: ZScoresReport) -> str:
    """Return the report as one HTML page."""
    several = len(report.heads) > 1
    sentences: list[str] = []
    judged = {entry.head: entry for entry in report.channels}
    for head in report.heads:
        sentences += summary(head, judged.get(head.head))
    sections = [
        Section("What was asked", tables=(Table((("what", ""), ("value", "")), _pairs(report.asked)),))
    ]
    for index, head in enumerate(report.heads):
        suffix = f" \u2013 head '{head.head}'" if several else ""
        if head.head in judged:
            sections += channel_sections(judged[head.head], f"h{index}", suffix)
        sections += _head_sections(head, f"h{index}", suffix)
    sections += _zone_sections(report)
    sections.append(Section("How to read this, and how not to", points=_caveats(report)))
    warnings = [
        *report.warnings,
        *(text for head in (*report.heads, *report.channels) for text in head.warnings),
    ]
    return render(
        title="Z-scores of the output layer",
        subtitle=f"{report.model.title} ({report.model.id})",
        summary=sentences,
        sections=sections,
        warnings=list(dict.fromkeys(warnings)),
        provenance=report.provenance,
    )


def _pairs(values: Mapping[str, Any]) -> list[dict]:
    return [{"what": key, "value": value} for key, value in values.items()]


def _head_sections(head: HeadScores, name: str, suffix: str) -> list[Section]:
    robust = any(row["z_robust"] is not None for row in head.rows)
    bars = []
    for index, label in enumerate(head.classes):
        rows = [row for row in head.rows if row["class"] == label]
        if not any(row["z"] is not None for row in rows):
            continue
        figure, shown = figures.component_bars(rows)
        scored = sum(row["z"] is not None for row in rows)
        which = f"The {shown} largest of {scored} scores" if shown < scored else "Scores of all components"
        signs = f"to the right, more of it speaks for '{label}'"
        pairs = "upper bar naive, lower bar robust" if robust else "naive errors only"
        bars.append(
            Figure(
                figures.svg(figure, f"{name}b{index}", f"z by component, class {label}"),
                f"{which}: {signs}; {pairs}.",
            )
        )
    sections = [
        Section(
            "Scores by component" + suffix,
            figures=tuple(bars),
            text=() if bars else ("No component has a score.",),
        )
    ]
    if head.groups:
        sections.append(
            Section(
                "Sensors, scales, frequencies and polarisations" + suffix,
                text=(
                    "The chi-square tests whether all weights of a group could be zero, beside all other components; "
                    "the information share tells how far the map would move without the group.",
                ),
                figures=(
                    Figure(
                        figures.svg(figures.group_bars(head.groups), f"{name}g", "mean absolute z by group"),
                        "Mean |z| of the components of each group; outlined naive, filled robust.",
                    ),
                ),
                tables=(Table(_GROUP_TABLE, head.groups),),
            )
        )
    if head.clusterings:
        sections.append(
            Section(
                "Errors against the size of the clusters" + suffix,
                text=(
                    _errors(head),
                    "Read the picture from left to right: where it levels off, blocks are large enough; errors that "
                    "still grow are not yet large enough.",
                ),
                figures=(
                    Figure(
                        figures.svg(
                            figures.clustering_plot(head.clusterings), f"{name}c", "error ratio by clustering"
                        ),
                        "Robust error divided by naive error: median of the components, and their middle half, by size "
                        "of the blocks.",
                    ),
                ),
            )
        )
    sections.append(
        Section(
            "Which components say the same" + suffix,
            figures=(
                Figure(
                    figures.svg(
                        figures.correlation_map(np.asarray(head.correlation, dtype=float), head.components),
                        f"{name}m",
                        "correlation of the components",
                    ),
                    "Correlation of the components where predictions are undecided: purple \u22121, white 0, orange 1; "
                    "grey: does not vary. Strongly correlated components share their weight in a way the pixels cannot "
                    "settle.",
                ),
            ),
        )
    )
    measures = [
        {"what": _MEASURES[key], "value": value}
        for key, value in head.measures.items()
        if key in _MEASURES and value is not None
    ]
    sections.append(
        Section("Fit and sample" + suffix, tables=(Table((("what", ""), ("value", "")), measures),))
    )
    columns = tuple(pair for pair in _ROW_TABLE if pair[0] != "class" or len(head.classes) > 1)
    if not robust:
        columns = tuple(pair for pair in columns if "robust" not in pair[0] and pair[0] != "n_effective")
    sections.append(Section("All components" + suffix, tables=(Table(columns, head.rows),)))
    return sections


def _zone_sections(report: ZScoresReport) -> list[Section]:
    sections = []
    for index, name in enumerate(dict.fromkeys(zone.head for zone in report.zones)):
        zones = [zone for zone in report.zones if zone.head == name]
        sensors = [key[len("strength_") :] for key in zones[0].row if key.startswith("strength_")]
        drawn = [zone for zone in zones if zone.rings]
        pictures = ()
        if drawn:
            picture = figures.zone_map([zone.rings for zone in drawn], [zone.row for zone in drawn], sensors)
            pictures = (
                Figure(
                    figures.svg(picture, f"z{index}", "zones by leading sensor and by strength"),
                    "Zones by the sensor whose summed contribution the pixels would fix most firmly, and that strength "
                    "by sensor. A strength is always positive: it is no test.",
                ),
            )
        rows = [{"name": zone.name, **zone.row} for zone in zones]
        columns = [("name", "name")] if any(zone.name for zone in zones) else []
        columns += [(key, _ZONE_HEADINGS.get(key, key.replace("_", " "))) for key in zones[0].row]
        suffix = f" \u2013 head '{name}'" if len(report.heads) > 1 else ""
        sections.append(Section("Zones" + suffix, figures=pictures, tables=(Table(tuple(columns), rows),)))
    return sections


def _caveats(report: ZScoresReport) -> tuple[str, ...]:
    return (
        "Dependence: neighbouring pixels see the same ice, footprint and chart polygon. Naive errors ignore it. Blocks "
        "within one scene reduce the optimism without curing it; many scenes do.",
        "Fractions as labels: naive errors take a label for a draw of yes or no. Concentrations scatter less and can "
        "make naive errors too large; robust ones follow the scatter that is there: see the dispersion.",
        "Saturation: the surer the network, the smaller its z. Read z beside the information share, the square root of "
        "twice the divergence between the predictions with and without the component (at 0, the training mean of a "
        "standardised channel).",
        "Collinearity: components that carry the same signal split the weight between them. Trust groups more than "
        "single components where VIF is large.",
        "Conditional on learned features: the output layer is tested, the layers before it are taken as given. SAR "
        "components mix HH and HV.",
        "Trained weights are no maximum-likelihood estimate on these pixels: with labels, the score statistic tells "
        "how far the weights are from the data, and REPORT_JSON holds the one-step shift of each (shifts).",
        *report.model.caveats(),
    )


def zscores_csv(report: ZScoresReport, columns: Sequence[str]) -> str:
    """Return the table of components of all heads as CSV."""
    return csv_text(columns, [row for head in report.heads for row in head.rows])


def zscores_csvt(columns: Sequence[str]) -> str:
    """Return the field types of :func:`zscores_csv` for GDAL."""
    return csvt_text(columns, TYPES)


def zscores_json(report: ZScoresReport) -> str:
    """Return the whole content of the report as JSON; ``resources/schemas`` holds its schema."""
    judged = {entry.head: entry for entry in report.channels}
    return json_text(
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "model": report.model,
            "asked": report.asked,
            "heads": [
                {"summary": summary(head, judged.get(head.head)), **vars(head)} for head in report.heads
            ],
            "channels": [vars(entry) for entry in report.channels],
            "zones": [{"head": zone.head, "name": zone.name, **zone.row} for zone in report.zones],
            "warnings": report.warnings,
            "caveats": _caveats(report),
            "provenance": report.provenance,
        }
    )


_ROW_TABLE = (
    ("class", "class"),
    ("component", "component"),
    ("sensor", "sensor"),
    ("scale", "scale"),
    ("frequency_ghz", "GHz"),
    ("weight", "weight"),
    ("se", "se"),
    ("z", "z"),
    ("log10_p", "log10 p"),
    ("se_robust", "se robust"),
    ("z_robust", "z robust"),
    ("log10_p_robust", "log10 p robust"),
    ("information", "information share"),
    ("vif", "VIF"),
    ("n_effective", "n effective"),
    ("note", "note"),
)
_GROUP_TABLE = (
    ("kind", "kind"),
    ("group", "group"),
    ("components", "components"),
    ("df", "df"),
    ("chi2", "chi-square"),
    ("log10_p", "log10 p"),
    ("mean_abs_z", "mean |z|"),
    ("chi2_robust", "chi-square robust"),
    ("log10_p_robust", "log10 p robust"),
    ("mean_abs_z_robust", "mean |z| robust"),
    ("information", "information share"),
    ("note", "note"),
)
_ZONE_HEADINGS = {
    "zone": "zone",
    "n": "pixels",
    "mean_logit": "mean logit",
    "mean_prediction": "mean prediction",
}
_MEASURES = {
    "n": "pixels",
    "n_labelled": "pixels with a label",
    "clustering": "clusters",
    "clusters": "number of clusters",
    "mean_weight": "mean p(1 \u2212 p): 0 where all predictions are certain",
    "dispersion": "dispersion (1: labels scatter as the model says)",
    "dispersion_pearson": "dispersion after Pearson (single saturated pixels can dominate it)",
    "error_variance": "error variance",
    "score_statistic": "score statistic (0: the weights fit these labels best)",
    "score_df": "degrees of freedom of the score statistic",
    "score_log10_p": "log10 p of the score statistic (naive)",
}
