"""The report of a benchmark: which maps show what decides, and which show the network's own habits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...ground.vocabulary.benchmarks import UNROLLED_RULES
from ...ground.vocabulary.relevance_methods import METHODS
from ..page.figures import svg
from ..page.html import Figure, Section, Table, listed, number_text, render
from ..page.tables import csv_text, csvt_text, json_text
from .figures import decay_lines, map_grid, mass_bars

FORMAT = "floelens-benchmark-report"
FORMAT_VERSION = 1
COLUMNS = (
    "architecture", "feed", "leak_rate", "method", "accuracy", "accuracy_training", "mass_inside",
    "mass_inside_corrected", "raised", "rank_accuracy", "rank_accuracy_corrected", "conservation_error", "stripes",
    "stripes_corrected", "decay", "decay_expected", "recurrent_share", "border", "border_corrected", "outlier_share",
    "outlier_share_capped", "note",
)  # fmt: skip
_TYPES = dict.fromkeys(("architecture", "feed", "method", "raised", "note"), "String")
CHANCE_ACCURACY = 0.7  # a network of two classes that is right less often has not learned them


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
        return [{**own, **scores, "note": self._note(scores)} for scores in self.methods]

    def _note(self, scores: Mapping[str, Any]) -> str:
        """Say why the correction does not raise the mass inside, where it does not."""
        if scores["raised"]:
            return ""
        if scores["mass_inside_corrected"] is None:
            return "Nothing remains: the map is the same for noise, it does not depend on the data."
        if self.accuracy < CHANCE_ACCURACY:
            return "The network has not learned the classes, so its maps hold nothing of the true pixels."
        return "Noise gets as large a share inside as the samples do: weights stand out there, values do not."


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
    on_earth : bool
        Whether the samples are fields of the Earth with a box that decides, not the synthetic squares.
    """

    networks: tuple[NetworkScores, ...]
    inside: np.ndarray
    valid: np.ndarray
    settings: Mapping[str, Any]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    on_earth: bool = False

    @property
    def place(self) -> str:
        """What the true pixels are called."""
        return "true box" if self.on_earth else "true square"

    def rows(self) -> list[dict[str, Any]]:
        """Return one row an architecture and method."""
        return [row for network in self.networks for row in network.rows()]

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
        pairs = ((row["rank_accuracy"], row["rank_accuracy_corrected"]) for row in self.rows())
        return sum(after < before for before, after in pairs if before is not None and after is not None)

    def summary(self) -> list[str]:
        """Return three plain sentences."""
        rows = self.rows()
        said = []
        scored = [row for row in rows if None not in (row["mass_inside"], row["rank_accuracy"])]
        learned = [row for row in scored if row["accuracy"] >= CHANCE_ACCURACY]
        if scored and not learned:
            highest = _percent(max(row["accuracy"] for row in scored))
            said.append(
                f"No network learned to tell the classes (accuracy up to {highest}): their maps say nothing."
            )
        if learned:
            best = max(learned, key=lambda row: (round(row["rank_accuracy"], 2), row["mass_inside"]))
            worst = min(learned, key=lambda row: row["rank_accuracy"])
            said.append(
                f"The {self.place} holds {_percent(best['rank_accuracy'])} of the largest values of {best['title']} "
                f"with {best['method']}, {_percent(worst['rank_accuracy'])} of {worst['title']} with {worst['method']}."
            )
        said.append(
            f"Taking off what noise alone gets raises the share of relevance inside in {self.raised} of "
            f"{self.compared} maps, and lowers rank accuracy in {self.lowered}."
        )
        fed = [row["stripes"] for row in rows if row["feed"] and row["stripes"] is not None]
        whole = [row["stripes"] for row in rows if not row["feed"] and row["stripes"] is not None]
        if fed and whole:
            said.append(
                f"Echo state networks draw stripes: their feeding order explains up to {_percent(max(fed))} of a map's "
                f"variance, elsewhere at most {_percent(max(whole))}."
            )
        return said


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 or share < 1e-3 else f"{number_text(100 * share, 2)} %"


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
        title=f"Fact or artifact: {'fields' if report.on_earth else 'squares'} whose truth is known",
        subtitle=f"{_counted(len(report.networks), 'network')}, "
        f"{_counted(len({row['method'] for row in rows}), 'method')}",
        summary=report.summary(),
        sections=[
            _truth_section(report, rows),
            _map_section(report),
            _exceptions_section(rows),
            _artifact_section(rows),
            *_feed_sections(report, rows),
            Section("How this was done", points=_done(report)),
            Section("Methods", points=tuple(_about(rows))),
        ],
        provenance={**report.settings, **report.provenance},
    )


def _truth_section(report: BenchmarkReport, rows: Sequence[Mapping[str, Any]]) -> Section:
    bars = svg(mass_bars(rows, report.chance), "mass", "relevance mass inside the true pixels")
    return Section(
        "Does relevance lie where the truth is?",
        text=(
            "Mass inside is the share of |relevance| on the pixels that tell the classes apart. Rank accuracy is the "
            "share of the largest |relevance| that lies there. Both are 1 for a perfect map.",
        ),
        figures=(
            Figure(
                bars,
                "Grey: as it is; orange: corrected; dotted: the share of pixels that lie inside, chance.",
            ),
        ),
        tables=(Table(_TRUTH_TABLE, rows),),
    )


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


def _exceptions_section(rows: Sequence[Mapping[str, Any]]) -> Section:
    exceptions = [row for row in rows if not row["raised"]]
    if not exceptions:
        return Section(
            "Where the correction does not help",
            text=("It raises the share of relevance inside in every map.",),
        )
    reasons = dict.fromkeys(row["note"] for row in exceptions)
    points = []
    for reason in reasons:
        named = [f"{row['title']} ({row['method']})" for row in exceptions if row["note"] == reason]
        points.append(f"{reason} {listed(named)}.")
    return Section("Where the correction does not help", points=tuple(points))


def _artifact_section(rows: Sequence[Mapping[str, Any]]) -> Section:
    return Section(
        "What the networks add by themselves",
        text=(
            "Measured on maps of noise alone. Stripes: the share of the variance that the position "
            "along the feeding direction explains (columns, where a network reads all at once). Border: |relevance| "
            "within two pixels of the edge over that elsewhere, 1 for none. Outliers: the share of |relevance| on ten "
            "planted pixels of ten times the usual largest value, and capped to that value.",
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
    lines = [(n.title, n.profiles[method], expected.get(n.name)) for n in fed if method in n.profiles]
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
                    svg(decay_lines(lines), "decay", f"relevance of noise along the feed by {method}"),
                    f"{method}: mean |relevance| of noise at each step; dotted: as 1 − α(1 − ρ) has it.",
                ),
            ),
            tables=(Table(_DECAY_TABLE, shown),),
        )
    ]


_ON_EARTH = (
    "Each cell of a field is standardised by its own mean and standard deviation, capped to ±5 and scaled to ±1. A "
    "field is of the first class where its mean over INDEX_BOX is above the median of all fields. Cells elsewhere that "
    "vary with the box carry evidence too: relevance outside of it is not wrong as such.",
    "Fields of a time series are taken in random order: held-out fields have neighbours among those trained on.",
)
_SQUARES = (
    "Samples are those of Landt-Hayen et al. 2023 (arXiv 2302.12317): 100 × 100 pixels of noise, two squares common to "
    "both classes, and one on the left that is positive in one class and negative in the other.",
)
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


def _done(report: BenchmarkReport) -> tuple[str, ...]:
    return (*(_ON_EARTH if report.on_earth else _SQUARES), *_METHOD)


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
            "about": _done(report),
            "provenance": report.provenance,
        }
    )
