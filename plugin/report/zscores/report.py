"""The report of Z-scores: which sensors and channels the output layer rests on, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..page import figures
from ..page.html import Figure, Section, Table, render
from ..page.model_facts import ModelFacts
from ..page.short_lists import ShortLists, short_list_section
from ..page.tables import csv_text, csvt_text, json_text
from .channels import ChannelJudgement, channel_sections
from .head import HeadScores
from .ranking import ranking_section
from .skill import HeadSkill, skill_section
from .summary import summary
from .trust import trust_section

FORMAT = "floelens-zscores-report"
FORMAT_VERSION = 2
TYPES = {
    **dict.fromkeys(
        ("head", "class", "component", "channel", "sensor", "scale", "polarisation", "note"), "String"
    ),
    **dict.fromkeys(("kind", "group", "leading_sensor", "leading_component"), "String"),
    **dict.fromkeys(("n", "df", "components", "clusters", "zone", "rank"), "Integer64"),
}


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
    skill : tuple of HeadSkill
        How well the map agrees with the labels of the scene of this run; heads without labels are absent.
    short_lists : tuple of ShortLists
        How few components make the map; heads without scores are absent.
    """

    model: ModelFacts
    heads: tuple[HeadScores, ...]
    asked: Mapping[str, Any]
    channels: tuple[ChannelJudgement, ...] = ()
    zones: tuple[ZoneShape, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    skill: tuple[HeadSkill, ...] = ()
    short_lists: tuple[ShortLists, ...] = ()

    def summary(self, head: HeadScores) -> tuple[str, str, str]:
        """Return the three sentences of one of the heads."""
        judged = next((entry for entry in self.channels if entry.head == head.head), None)
        return summary(head, judged, self.skill_of(head))

    def skill_of(self, head: HeadScores) -> HeadSkill | None:
        """Return the skill of one of the heads; None where it is not known."""
        return next((entry for entry in self.skill if entry.head == head.head), None)


def zscores_html(report: ZScoresReport) -> str:
    """Return the report as one HTML page."""
    several = len(report.heads) > 1
    judged = {entry.head: entry for entry in report.channels}
    sentences = [text for head in report.heads for text in report.summary(head)]
    opening, details = [], []
    for index, head in enumerate(report.heads):
        suffix = f" \u2013 head '{head.head}'" if several else ""
        name = f"h{index}"
        if head.measures["n_labelled"]:
            opening.append(skill_section(report.skill_of(head), suffix))
        if head.ranking is not None:
            known = report.summary(head)
            opening.append(ranking_section(head.ranking, name, suffix, known))
        opening.append(trust_section(head, judged.get(head.head), name, suffix))
        listed = next((entry for entry in report.short_lists if entry.head == head.head), None)
        if listed is not None:
            opening.append(short_list_section(listed, name, suffix))
        if head.head in judged:
            details += channel_sections(judged[head.head], name, suffix)
        details += _head_sections(head, name, suffix)
    table = Table((("what", ""), ("value", "")), _pairs(report.asked))
    asked = Section("What was asked", tables=(table,), folded=True)
    reading = Section("How to read this, and how not to", points=_caveats(report))
    warnings = [
        *report.warnings,
        *(text for head in report.heads for text in head.warnings),
        *(text for entry in report.channels for text in entry.warnings),
    ]
    return render(
        title="Z-scores of the output layer",
        subtitle=f"{report.model.title} ({report.model.id})",
        summary=sentences,
        sections=[
            *opening,
            *_zone_sections(report),
            reading,
            *(replace(part, folded=True) for part in details),
            asked,
        ],
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
                    "the divergence tells how far the map would move without the group, and grows with the number of "
                    "pixels; the information share is its part of what varies in the logit.",
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
    columns = tuple(pair for pair in columns if not pair[0].startswith(_WITH_LABELS) or _known(head, pair[0]))
    sections.append(Section("All components" + suffix, tables=(Table(columns, _with_shifts(head)),)))
    return sections


def _with_shifts(head: HeadScores) -> list[dict]:
    """Return the rows of the components, each with its one-step shift in standard errors."""
    shifts = {(shift["class"], shift["component"]): shift["shift_in_se"] for shift in head.shifts}
    return [{**row, "shift_in_se": shifts.get((row["class"], row["component"]))} for row in head.rows]


def _known(head: HeadScores, key: str) -> bool:
    """Return whether any row has a value of a column."""
    return any(row[key] is not None for row in _with_shifts(head))


def _zone_sections(report: ZScoresReport) -> list[Section]:
    sections = []
    for index, name in enumerate(dict.fromkeys(zone.head for zone in report.zones)):
        zones = [zone for zone in report.zones if zone.head == name]
        sensors = [key[len("strength_") :] for key in zones[0].row if key.startswith("strength_")]
        drawn = [zone for zone in zones if zone.rings]
        pictures: tuple[Figure, ...] = ()
        if drawn:
            picture = figures.zone_map([zone.rings for zone in drawn], [zone.row for zone in drawn], sensors)
            pictures = (
                Figure(
                    figures.svg(picture, f"z{index}", "zones by the sensor that varies most and by strength"),
                    "Zones by the sensor whose summed contribution the pixels would fix most firmly, and that strength "
                    "by sensor. A strength is always positive: it is no test.",
                ),
            )
        rows = [{"name": zone.name, **zone.row} for zone in zones]
        columns = [("name", "name")] if any(zone.name for zone in zones) else []
        columns += [(key, _ZONE_HEADINGS.get(key, _plain(key))) for key in zones[0].row]
        suffix = f" \u2013 head '{name}'" if len(report.heads) > 1 else ""
        shown = tuple(pair for pair in columns if any(row[pair[0]] not in (None, "") for row in rows))
        sections.append(Section("Zones" + suffix, figures=pictures, tables=(Table(shown, rows),)))
    return sections


def _plain(key: str) -> str:
    return key.replace("information_", "divergence without ").replace("_", " ")


def _caveats(report: ZScoresReport) -> tuple[str, ...]:
    return (
        "Dependence: neighbouring pixels see the same ice, footprint and chart polygon. Naive errors ignore it. Blocks "
        "within one scene reduce the optimism without curing it; many scenes do.",
        "Fractions as labels: naive errors take a label for a draw of yes or no. Concentrations scatter less and can "
        "make naive errors too large; robust ones follow the scatter that is there: see the dispersion.",
        "Saturation: the surer the network, the smaller its z. Read z beside the divergence, the square root of "
        "twice the divergence between the predictions with and without the component (at 0, the training mean of a "
        "standardised channel).",
        "Where every pixel is scored without labels, divergences (column information) are estimated on a lattice of "
        "pixels: half of them are less than 0.3 % off.",
        "Collinearity: components that carry the same signal split the weight between them. Trust groups more than "
        "single components where VIF is large.",
        "Conditional on learned features: the output layer is tested, the layers before it are taken as given. SAR "
        "components mix HH and HV.",
        "Trained weights are no maximum-likelihood estimate on these pixels: with labels, the score statistic tells "
        "how far the weights are from the data, and the one-step shift where each would move to, in standard errors.",
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
    return json_text(
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "model": report.model,
            "asked": report.asked,
            "skill": [vars(entry) for entry in report.skill],
            "heads": [{"summary": report.summary(head), **vars(head)} for head in report.heads],
            "channels": [vars(entry) for entry in report.channels],
            "zones": [{"head": zone.head, "name": zone.name, **zone.row} for zone in report.zones],
            "warnings": report.warnings,
            "caveats": _caveats(report),
            "provenance": report.provenance,
            "short_lists": report.short_lists,
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
    ("information_share", "information share"),
    ("information", "divergence \u221a(2\u03a3KL)"),
    ("vif", "VIF"),
    ("n_effective", "n effective"),
    ("shift_in_se", "one-step shift / se"),
    ("refit_weight", "refit: weight"),
    ("refit_se", "refit: se"),
    ("refit_z", "refit: z"),
    ("refit_se_robust", "refit: se robust"),
    ("refit_z_robust", "refit: z robust"),
    ("note", "note"),
)
_WITH_LABELS = ("shift", "refit")
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
    ("information_share", "information share"),
    ("information", "divergence \u221a(2\u03a3KL)"),
    ("note", "note"),
)
_ZONE_HEADINGS = {
    "zone": "zone",
    "n": "pixels",
    "mean_logit": "mean logit",
    "mean_prediction": "mean prediction",
    "n_labelled": "pixels with a label",
    "mean_mapped": "mapped where labelled, mean",
    "mean_labelled": "labels, mean",
    "agreement": "part of labelled pixels whose class is right",
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
    "log_loss": "mean log-loss of the labels",
    "refit_log_loss": "the same after the refit",
    "refit_steps": "Newton steps of the refit",
    "refit_dispersion": "dispersion after the refit",
}
