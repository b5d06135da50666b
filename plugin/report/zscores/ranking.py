r"""What the last layer of a network leans on: its components ranked by absolute z, and the shares of their groups.

A share is the sum of \|z\| over some components divided by that over all. It does not depend on the number of
pixels, so scenes and networks can be compared by it. That of weights fitted to the labels anew does: some of it is
chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..page import figures
from ..page.html import Figure, Section, Table, listed, number_text, sensor_name
from . import ranking_figures

CARRIED = 90
"""Percent of the summed absolute z that the leading components carry."""

MEANING = (
    "The last layer adds up components: features of SAR at several scales, and the radiometer's channels. The score z "
    "of a component is its weight divided by the weight's standard error."
)
_NAMED = 3  # leading components in a sentence
_OTHERS = 2  # sensors in a sentence, beside the leading one


@dataclass(frozen=True)
class Ranking:
    """Shares of the summed absolute z of one head, averaged over its classes.

    Parameters
    ----------
    components : tuple of mapping
        ``group`` (the component), ``sensor``, ``share``; largest first.
    groups : tuple of mapping
        ``kind, group, components, share, rank, mean_abs_z, chance_share``; by kind, largest first.
    leading : tuple of str
        The fewest components that carry 90 % of the sum, largest first.
    refitted : bool
        Whether weights fitted to the labels were ranked instead of the trained ones.
    fitted : bool or None
        Whether the trained weights are a fit to the labels; None: not known.
    """

    components: tuple[Mapping[str, Any], ...]
    groups: tuple[Mapping[str, Any], ...]
    leading: tuple[str, ...]
    refitted: bool = False
    fitted: bool | None = None

    def kind(self, name: str) -> list[Mapping[str, Any]]:
        """Return the groups of a kind, largest share first."""
        return [row for row in self.groups if row["kind"] == name]


def rank(
    relative_weights: Sequence[Mapping], rows: Sequence[Mapping], refitted: bool, fitted: bool | None = None
) -> Ranking | None:
    """Return the ranking of a head over all its classes; None where nothing has a score.

    Parameters
    ----------
    relative_weights : sequence of mapping
        ``class, kind, group, components, share, mean_abs_z`` of each class.
    rows : sequence of mapping
        Of the table of components: which sensor each belongs to.
    refitted : bool
        Whether the relative weights are those of the refit.
    fitted : bool or None
        Whether the trained weights are a fit to the labels; None: not known.
    """
    scored = [row for row in relative_weights if row["share"] is not None]
    classes = len({row["class"] for row in scored})
    if not classes:
        return None
    sums: dict[tuple[str, str], dict[str, Any]] = {}
    for row in scored:
        entry = sums.setdefault(
            (row["kind"], row["group"]),
            {
                "kind": row["kind"],
                "group": row["group"],
                "components": row["components"],
                "share": 0.0,
                "mean_abs_z": 0.0,
                "chance_share": None,
            },
        )
        entry["share"] += row["share"] / classes
        if row.get("chance_share") is not None:
            entry["chance_share"] = (entry["chance_share"] or 0.0) + row["chance_share"] / classes
        mean = row["mean_abs_z"]
        entry["mean_abs_z"] = None if mean is None else entry["mean_abs_z"] + mean / classes
    sensors = {row["component"]: row["sensor"] for row in rows}
    ordered = sorted(sums.values(), key=lambda row: -row["share"])
    components = tuple(
        {**row, "sensor": sensors.get(row["group"], "")} for row in ordered if row["kind"] == "component"
    )
    groups = []
    for kind in ("sensor", "scale", "frequency", "polarisation"):
        members = [row for row in ordered if row["kind"] == kind]
        groups += [{**row, "rank": place} for place, row in enumerate(members, start=1)]
    return Ranking(components, tuple(groups), _leading(components), refitted, fitted)


def _leading(components: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    carried, names = 0.0, []
    for row in components:
        if carried >= CARRIED / 100.0 - 1e-12:
            break
        carried += row["share"]
        names.append(row["group"])
    return tuple(names)


def sensors_sentence(ranking: Ranking) -> str:
    """Return how the last layer divides its weight over the sensors, in at most 25 words."""
    (first, *others) = ranking.kind("sensor")
    if not others:
        return (
            "All components belong to one sensor; a score is a weight of the last layer divided by its error."
        )
    rest = [f"{_whose(row)} {row['components']} carry {_percent(row['share'])}" for row in others[:_OTHERS]]
    if len(others) > _OTHERS:
        rest[1:] = [f"{len(others) - 1} other sensors {_percent(sum(row['share'] for row in others[1:]))}"]
    name = _whose(first)
    start = f"{name[0].upper()}{name[1:]} {first['components']} components carry {_percent(first['share'])}"
    meaning = "; a score is a weight divided by its error" if len(others) == 1 else ""
    if meaning and first["chance_share"] is not None:
        by_chance = [
            _percent(row["chance_share"]) for row in (first, *others) if row["chance_share"] is not None
        ]
        meaning = f"; by chance alone {listed(by_chance)}"
    return f"{start} of all scores, {listed(rest)}{meaning}."


def _whose(row: Mapping[str, Any]) -> str:
    return "the radiometer's" if row["group"] == "mwr" else f"{sensor_name(row['group'])}'s"


def mean_sentence(ranking: Ranking) -> str:
    """Return the mean score by sensor; empty where there is one sensor or no score has a size."""
    means = [row for row in ranking.kind("sensor") if row["mean_abs_z"] is not None]
    if len(means) < 2:
        return ""
    means.sort(key=lambda row: -row["mean_abs_z"])
    said = [f"{number_text(row['mean_abs_z'], 2)} for {sensor_name(row['group'])}" for row in means]
    tends = "A sensor with more components tends to have a larger share."
    return f"{tends} Component for component, the mean |z| is {listed(said)}."


def components_sentence(ranking: Ranking, whole: str = "them") -> str:
    """Return how many components carry most of the `whole`, and the largest ones, in at most 25 words."""
    count, names = len(ranking.leading), ranking.leading[:_NAMED]
    whose = " refitted" if ranking.refitted else ""
    carry = "carries" if count == 1 else "carry"
    lead = "is" if len(names) == 1 else "are"
    return (
        f"{count} of {len(ranking.components)}{whose} components {carry} {CARRIED} % of {whole}; the largest {lead} "
        f"{listed(names)}."
    )


def ranking_section(ranking: Ranking, name: str, suffix: str, known: Sequence[str] = ()) -> Section:
    """Return the section of the ranking; `name` prefixes the ids of its pictures, `known` is said already."""
    verdict = "no fit to the labels" if ranking.fitted is False else "not known to be a fit to the labels"
    source = (
        f"The trained weights are {verdict}. Ranked are weights that were fitted to the labels anew."
        if ranking.refitted
        else "Ranked are the trained weights."
    )
    said = components_sentence(ranking) in known
    meaning = MEANING if said else f"{MEANING} {components_sentence(ranking, 'all scores')}"
    share = "A share is the sum of |z| of some components, divided by the sum of all."
    shares = f"{source} {share} {_chance_text(ranking)}"
    return Section(
        "What the network leans on" + suffix,
        text=tuple(text for text in (meaning, shares, mean_sentence(ranking)) if text),
        figures=(
            Figure(
                figures.svg(
                    ranking_figures.ranked_components(ranking.components, len(ranking.leading)),
                    f"{name}r",
                    "components ranked by their share of the summed absolute z",
                ),
                f"Components by |z|, largest first. Filled: the {len(ranking.leading)} that carry {CARRIED} % of the "
                "sum.",
            ),
            Figure(
                figures.svg(ranking_figures.share_bars(ranking.groups), f"{name}w", "shares of groups"),
                "Shares of sensors, scales of SAR features, radiometer frequencies and polarisations. White: "
                "components of the other sensor.",
            ),
        ),
        tables=(Table(_GROUP_TABLE, ranking.groups, "Relative weight by group"),),
    )


def _chance_text(ranking: Ranking) -> str:
    """Return how shares depend on the number of pixels."""
    if not ranking.refitted:
        return "Shares do not depend on the number of pixels."
    known = [row for row in ranking.kind("sensor") if row["chance_share"] is not None]
    said = [
        f"{_percent(row['chance_share'])} for {row['components']} of {sensor_name(row['group'])}"
        for row in known
    ]
    size = f": {listed(said)}" if said else ""
    return (
        f"Fitted weights scatter, so components without any effect have a share too{size}. It shrinks with more "
        "labels: shares of different refits cannot be compared."
    )


def _percent(share: float) -> str:
    return f"{number_text(100.0 * share, 2)} %"


_GROUP_TABLE = (
    ("kind", "kind"),
    ("group", "group"),
    ("rank", "rank"),
    ("share", "share"),
    ("components", "components"),
    ("mean_abs_z", "mean |z|"),
)
