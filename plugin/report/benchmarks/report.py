"""The report of a benchmark: which maps show what decides, and which show the network's own habits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...ground.vocabulary.benchmarks import UNROLLED_RULES
from ...ground.vocabulary.relevance_methods import METHODS
from ..page.figures import svg
from ..page.html import Figure, Section, Table, listed, render
from ..page.tables import csv_text, csvt_text, json_text
from .correction import CHANCE_ACCURACY, correction_section, percent, rank_lowered, why_not_raised
from .figures import DecayLine, decay_lines, map_grid, paired_bars

FORMAT = "floelens-benchmark-report"
FORMAT_VERSION = 1
FEEDS = {"columns": "by columns", "columns_reversed": "by columns from the right", "rows": "by rows"}
COLUMNS = (
    "architecture", "feed", "leak_rate", "method", "accuracy", "accuracy_training", "mass_inside",
    "mass_inside_corrected", "raised", "rank_accuracy", "rank_accuracy_corrected", "conservation_error", "stripes",
    "stripes_corrected", "decay", "decay_expected", "recurrent_share", "border", "border_corrected", "outlier_share",
    "outlier_share_capped", "note", "noise_inside", "common_corrected",
)  # fmt: skip
_TYPES = dict.fromkeys(("architecture", "feed", "method", "raised", "note"), "String")


@dataclass(frozen=True)
class NetworkScores:
    """One trained network.

    Parameters
    ----------
    name, title : str
        In tables, and in words.
    feed : str
        How it reads a field: ``columns``, ``rows``, ``columns_reversed``; empty: all at once.
    leak : float or None
        Leak rate α.
    accuracy, accuracy_training : float
        Share of held-out and of training samples that it classifies right.
    methods : tuple of mapping
        Scores of each method, by the names of :data:`COLUMNS`.
    maps : mapping
        Method → (3, row, column): mean relevance, corrected, and the share of each pixel without the data.
    profiles : mapping
        Method → mean |relevance| of noise at each step of the feed.
    """

    name: str
    title: str
    feed: str
    leak: float | None
    accuracy: float
    accuracy_training: float
    methods: tuple[Mapping[str, Any], ...]
    maps: Mapping[str, np.ndarray]
    profiles: Mapping[str, np.ndarray]

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a method."""
        own = {
            "architecture": self.name,
            "title": self.title,
            "feed": self.feed,
            "leak_rate": self.leak,
            "accuracy": self.accuracy,
            "accuracy_training": self.accuracy_training,
        }
        return [{**own, **scores} for scores in self.methods]


@dataclass(frozen=True)
class BenchmarkReport:
    """All that the report says.

    Parameters
    ----------
    networks : tuple of NetworkScores
        In the order of the table.
    inside : numpy.ndarray
        (row, column), bool: the true pixels.
    valid : numpy.ndarray
        (row, column), bool: the pixels that have data.
    settings : mapping
        What was asked for.
    provenance : mapping
        Versions.
    subject, place, common, elsewhere : str
        What tells the classes apart, the true pixels, what else holds more than noise, and what may exceed it.
    about : tuple of str
        What the samples are.
    """

    networks: tuple[NetworkScores, ...]
    inside: np.ndarray
    valid: np.ndarray
    settings: Mapping[str, Any]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    subject: str = "squares"
    place: str = "true square"
    common: str = ""
    elsewhere: str = ""
    about: tuple[str, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """Return one row an architecture and method."""
        rows = [row for network in self.networks for row in network.rows()]
        return [{**row, "note": why_not_raised(row, self.common, self.elsewhere)} for row in rows]

    @property
    def chance(self) -> float:
        """The share of the pixels that lie inside: the mass of a map that knows nothing."""
        return float(self.inside[self.valid].mean())

    @property
    def compared(self) -> int:
        """How many maps there are."""
        return len(self.rows())

    @property
    def raised(self) -> int:
        """In how many maps the correction raised the mass inside."""
        return sum(row["raised"] is True for row in self.rows())

    @property
    def lowered(self) -> int:
        """In how many maps the correction lowered the rank accuracy."""
        return sum(rank_lowered(row) for row in self.rows())

    def summary(self) -> list[str]:
        """Return three plain sentences."""
        rows = self.rows()
        said = []
        scored = [row for row in rows if None not in (row["mass_inside"], row["rank_accuracy"])]
        learned = [row for row in scored if row["accuracy"] >= CHANCE_ACCURACY]
        if scored and not learned:
            highest = percent(max(row["accuracy"] for row in scored))
            said.append(
                f"No network learned to tell the classes (accuracy up to {highest}): their maps say nothing."
            )
        if learned:
            best = max(learned, key=lambda row: (round(row["rank_accuracy"], 2), row["mass_inside"]))
            worst = min(learned, key=lambda row: row["rank_accuracy"])
            said.append(
                f"The {self.place} holds {percent(best['rank_accuracy'])} of the largest values of {best['title']} "
                f"with {best['method']}, {percent(worst['rank_accuracy'])} of {worst['title']} with {worst['method']}."
            )
        said.append(
            f"Taking off what noise alone gets raises the share of relevance inside in {self.raised} of "
            f"{self.compared} maps, and lowers rank accuracy in {self.lowered}."
        )
        fed = [row["stripes"] for row in rows if row["feed"] and row["stripes"] is not None]
        whole = [row["stripes"] for row in rows if not row["feed"] and row["stripes"] is not None]
        if fed and whole:
            said.append(
                f"Echo state networks draw stripes: their feeding order explains up to {percent(max(fed))} of a map's "
                f"variance, elsewhere at most {percent(max(whole))}."
            )
        return said


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


_TRUTH_TABLE = (
    ("title", "network"), ("method", "method"), ("accuracy", "accuracy"), ("mass_inside", "mass inside"),
    ("mass_inside_corrected", "corrected"), ("rank_accuracy", "rank accuracy"),
    ("rank_accuracy_corrected", "corrected"), ("conservation_error", "conservation error"),
)  # fmt: skip
_ARTIFACT_TABLE = (
    ("title", "network"), ("method", "method"), ("stripes", "stripes"), ("stripes_corrected", "corrected"),
    ("border", "border"), ("border_corrected", "corrected"), ("outlier_share", "outliers"),
    ("outlier_share_capped", "capped"),
)  # fmt: skip
_DECAY_TABLE = (
    ("title", "network"), ("method", "method"), ("accuracy", "accuracy"), ("leak_rate", "α"),
    ("recurrent_share", "ρ"), ("decay", "decay, fitted"), ("decay_expected", "1 − α(1 − ρ)"),
)  # fmt: skip


def benchmark_html(report: BenchmarkReport) -> str:
    """Return the report as a page."""
    rows = report.rows()
    return render(
        title=f"Fact or artifact: {report.subject} whose truth is known",
        subtitle=f"{_counted(len(report.networks), 'network')}, "
        f"{_counted(len({row['method'] for row in rows}), 'method')}",
        summary=report.summary(),
        sections=[
            _truth_section(report, rows),
            _map_section(report),
            correction_section(rows, report.chance),
            _artifact_section(rows),
            *_feed_sections(report, rows),
            Section("How this was done", points=(*report.about, *_METHOD)),
            Section("Methods", points=tuple(_about(rows))),
        ],
        provenance={**report.settings, **report.provenance},
    )


def _truth_section(report: BenchmarkReport, rows: Sequence[Mapping[str, Any]]) -> Section:
    bars = svg(
        paired_bars(rows, ("mass_inside", "mass_inside_corrected"), "mass inside", report.chance),
        "mass",
        "relevance mass inside the true pixels",
    )
    return Section(
        "Does relevance lie where the truth is?",
        text=(
            "Mass inside is the share of |relevance| on the pixels that tell the classes apart. Rank accuracy is the "
            "share of the largest |relevance| that lies there. Both are 1 for a perfect map.",
            *_not_learned(report.networks),
        ),
        figures=(
            Figure(
                bars,
                "Grey: as it is; orange: corrected; dotted: the share of pixels that lie inside, chance. Without a "
                "bar: the method does not apply, or its map is empty.",
            ),
        ),
        tables=(Table(_TRUTH_TABLE, rows),),
    )


def _not_learned(networks: Sequence[NetworkScores]) -> list[str]:
    named = [f"{n.title} ({percent(n.accuracy)} right)" for n in networks if n.accuracy < CHANCE_ACCURACY]
    if not named:
        return []
    return [
        f"These networks have not learned to tell the classes, and their maps say nothing: {listed(named)}."
    ]


def _map_section(report: BenchmarkReport) -> Section:
    methods = list(dict.fromkeys(row["method"] for row in report.rows()))
    pictures = []
    for number, method in enumerate(methods):
        maps = [(n.title, n.maps[method]) for n in report.networks if method in n.maps]
        drawn = svg(map_grid(maps, report.inside), f"maps{number}", f"mean relevance by {method}")
        pictures.append(
            Figure(
                drawn,
                f"{method}: mean relevance of held-out samples for the class each network predicts. Orange speaks "
                "for it, purple against it; outlined: the true pixels. Below, what fields of noise alone get: the "
                "network's own habits. Each map has its own scale.",
            )
        )
    return Section("Maps", figures=tuple(pictures))


def _artifact_section(rows: Sequence[Mapping[str, Any]]) -> Section:
    stripes = paired_bars(rows, ("stripes", "stripes_corrected"), "variance by step")
    outliers = paired_bars(rows, ("outlier_share", "outlier_share_capped"), "at outliers")
    return Section(
        "What the networks add by themselves",
        text=(
            "Measured on maps of noise alone. Stripes: the share of the variance that the position "
            "along the feeding direction explains (columns, where a network reads all at once). Border: |relevance| "
            "within two pixels of the edge over that elsewhere, 1 for none. Outliers: the share of |relevance| on ten "
            "planted pixels of ten times the usual largest value, and capped to that value.",
        ),
        figures=(
            Figure(
                svg(stripes, "stripes", "stripes by network"), "Stripes. Grey: as it is; orange: corrected."
            ),
            Figure(
                svg(outliers, "outliers", "relevance at outliers by network"),
                "Share of |relevance| at ten outliers of a field. Grey: as they are; orange: capped before the network "
                "sees them.",
            ),
        ),
        tables=(Table(_ARTIFACT_TABLE, rows),),
    )


def _feed_sections(report: BenchmarkReport, rows: Sequence[Mapping[str, Any]]) -> list[Section]:
    fed = [network for network in report.networks if network.feed]
    shown = [row for row in rows if row["feed"] and row["decay"] is not None]
    if not fed or not shown:
        return []
    with_rule = [row["method"] for row in shown if row["decay_expected"] is not None]
    method = with_rule[0] if with_rule else shown[0]["method"]
    expected = {row["architecture"]: row["decay_expected"] for row in shown if row["method"] == method}
    lines = [
        DecayLine(network.feed, network.leak or 0.0, network.profiles[method], expected.get(network.name))
        for network in fed
        if method in network.profiles
    ]
    return [
        Section(
            "Decay along the feed",
            text=(
                "An echo state network forgets: a step earlier gets the decay as a factor of its relevance. Fitted to "
                "maps of noise, it stands beside 1 − α(1 − ρ), with ρ the share of a state's new relevance that goes "
                "on to earlier states. The two agree where ρ does not change along the feed; at small leak rates the "
                "state is still filling, ρ grows, and early steps get more than the formula says.",
            ),
            figures=(
                Figure(
                    svg(decay_lines(lines, FEEDS), "decay", f"relevance of noise along the feed by {method}"),
                    f"{method}: mean |relevance| of noise at each step; dotted: as 1 − α(1 − ρ) has it.",
                ),
            ),
            tables=(Table(_DECAY_TABLE, shown),),
        )
    ]


_METHOD = (
    "Networks are trained here on four fifths of the samples; accuracy and maps are of the rest. Each map explains the "
    "logit of the predicted class.",
    "The correction takes off what is there without the data: of noise alone each pixel gets a share of the "
    "|relevance|, and that share of a map's own sum is subtracted, down to zero at most.",
    "Conservation error is the median of |ΣR − f|/|f|, f the explained logit: what biases take, what leaks, and for "
    "methods that share out nothing no error at all but a difference.",
    "The CNN is a plain example of two convolutions and two max pools; its published counterpart is not known in "
    "detail. The echo state networks have 300 units.",
)


def _about(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    words = dict.fromkeys(row["method"] for row in rows)
    return [
        f"{word}: {UNROLLED_RULES[word] if word in UNROLLED_RULES else METHODS[word].sentence}"
        for word in words
    ]


def benchmark_csv(report: BenchmarkReport) -> str:
    """Return the table as CSV."""
    return csv_text(COLUMNS, report.rows())


def benchmark_csvt() -> str:
    """Return the types of its columns."""
    return csvt_text(COLUMNS, _TYPES)


def benchmark_json(report: BenchmarkReport) -> str:
    """Return the whole content of the report as JSON."""
    return json_text(
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "summary": report.summary(),
            "settings": report.settings,
            "chance": report.chance,
            "rows": [{key: row.get(key) for key in COLUMNS} for row in report.rows()],
            "profiles": {n.name: dict(n.profiles) for n in report.networks},
            "about": (*report.about, *_METHOD),
            "provenance": report.provenance,
        }
    )
