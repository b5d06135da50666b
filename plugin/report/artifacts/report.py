"""The report of fact or artifact: can the map be trusted, where not, and what to do; then the maps and the tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...ground.artifact_counts import SensorShares, StudyCounts
from ...ground.vocabulary.artifact_tests import ARTIFACT, UNTRAINED
from ..page import figures
from ..page.html import Figure, Section, Table, listed, render
from ..page.model_facts import ModelFacts
from ..page.tables import csv_text, csvt_text, json_text
from .figures import maps_figure, strips_figure
from .sentences import (
    ARTIFACTS,
    CAVEATS,
    NAMES,
    REMEDIES,
    advice_on_areas,
    facts_sentence,
    percent,
    sentence,
    statistic_unit,
)

FORMAT = "floelens-artifacts-report"
FORMAT_VERSION = 1
COLUMNS = (
    "test", "part", "statistic", "null_low", "null_median", "null_high", "p", "p_holm", "size", "verdict", "meaning",
    "sensor", "statistic_unit", "size_unit", "conservation_error",
)  # fmt: skip
_TYPES = dict.fromkeys(
    ("test", "part", "verdict", "meaning", "sensor", "statistic_unit", "size_unit"), "String"
)
SIZE_UNIT = "share of the sum of |relevance|, 0 to 1"
# Share of relevance at pixels that exceed noise below which no pixel is pointed at.
LEAST_FACT = 0.01
# Share of the map below which an artifact changes its size in places, and adds nothing to it.
LEAST = 0.001
# Share of the map from which an artifact matters everywhere.
MUCH = 0.1


@dataclass(frozen=True)
class TestRow:
    """A test.

    Parameters
    ----------
    test, part : str
        Its word, and which part of it.
    statistic : float
        Observed.
    quantiles : tuple of float
        2.5, 50 and 97.5 % of what it is under the null hypothesis; empty for none.
    p, p_holm : float or None
        P-value, and corrected.
    verdict : str
        ``artifact``, ``negligible``, ``none found``, ``depends on training``, ``not shown to depend on training``,
        ``undecided``, ``reported`` or ``does not apply``.
    size : float or None
        Share of the map concerned.
    numbers : mapping
        More, by name.
    sensor : str
        ``""`` for the map on the SAR grid, ``radiometry`` for that of the radiometer's cells.
    """

    test: str
    part: str
    statistic: float
    quantiles: tuple[float, ...]
    p: float | None
    p_holm: float | None
    verdict: str
    size: float | None
    numbers: Mapping[str, float]
    sensor: str = ""

    @property
    def meaning(self) -> str:
        """What it means."""
        numbers = {**self.numbers, "p": 1.0 if self.p is None else self.p}
        said = sentence(self.test, self.part, self.verdict, self.size, self.statistic, numbers)
        return f"{self.sensor.capitalize()}: {said}" if self.sensor else said

    @property
    def name(self) -> str:
        """How figures call it."""
        name = f"{NAMES[self.test]}: {self.part}" if self.part else NAMES[self.test]
        return f"{name}, {self.sensor}" if self.sensor else name

    def cells(self) -> dict[str, Any]:
        """Return the row of the table."""
        low, middle, high = self.quantiles or (None, None, None)
        return {
            "test": self.test, "part": self.part, "statistic": self.statistic, "null_low": low, "null_median": middle,
            "null_high": high, "p": self.p, "p_holm": self.p_holm, "size": self.size, "verdict": self.verdict,
            "meaning": self.meaning, "sensor": self.sensor or "sar",
            "statistic_unit": statistic_unit(self.test, self.part), "size_unit": "" if self.size is None else SIZE_UNIT,
            "conservation_error": self.numbers.get("conservation_error"),
        }  # fmt: skip


@dataclass(frozen=True)
class WindowPicture:
    """A window's maps as means over blocks; arrays (row, column).

    Parameters
    ----------
    place : str
        Where it lies.
    relevance, artifact, corrected : numpy.ndarray
        The map and its two parts.
    q_values : numpy.ndarray
        Of the corrected map.
    """

    place: str
    relevance: np.ndarray
    artifact: np.ndarray
    corrected: np.ndarray
    q_values: np.ndarray


@dataclass(frozen=True)
class ArtifactReport:
    """All that the report says.

    Parameters
    ----------
    model : ModelFacts
        The network.
    scene, head, target, method, method_text, unit : str
        What was looked at, in words, and the map's unit.
    rows : tuple of TestRow
        The tests.
    pictures : tuple of WindowPicture
        Some windows.
    counts : StudyCounts
        What was looked at.
    sar : SensorShares
        How much of the map is artifact, and how much is fact.
    sums : mapping
        ``relevance``, ``corrected`` and ``artifact``: sums over all pixels; with ``mwr_`` before, of the radiometry.
    limit : float, optional
        Relevance at which the colours end, as in QGIS; from the pictures where None.
    not_tried : tuple of str
        Tests that were left out.
    region : str
        Where the map is judged; everywhere where empty.
    radiometry : SensorShares, optional
        The same of the radiometry's own map, for a network that reads a radiometer.
    provenance : mapping
        Where it came from.
    warnings : tuple of str
        Of the scene and the run.
    """

    model: ModelFacts
    scene: str
    head: str
    target: str
    method: str
    method_text: str
    unit: str
    rows: tuple[TestRow, ...]
    pictures: tuple[WindowPicture, ...]
    counts: StudyCounts
    sar: SensorShares
    sums: Mapping[str, float]
    limit: float | None = None
    not_tried: tuple[str, ...] = ()
    region: str = ""
    radiometry: SensorShares | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def found(self) -> list[TestRow]:
        """The rows that found an artifact, the largest first."""
        rows = [row for row in self.rows if row.verdict == ARTIFACT]
        return sorted(rows, key=lambda row: -(row.size or 0.0))

    @property
    def untrained(self) -> bool:
        """Whether the map cannot be distinguished from those of networks that learned nothing."""
        return any(row.verdict == UNTRAINED for row in self.rows)


def summary(report: ArtifactReport) -> list[str]:
    """Return three sentences: can the map be trusted, where not, what to do."""
    return [_trust(report), _where(report), _remedy(report)]


def facts(report: ArtifactReport) -> list[str]:
    """Return a sentence a sensor: which pixels are fact, or whether more null maps would help."""
    repeats = report.counts.repeats
    own = [facts_sentence(report.sar, repeats)]
    return own if report.radiometry is None else [*own, facts_sentence(report.radiometry, repeats, True)]


def _trust(report: ArtifactReport) -> str:
    if report.untrained:
        if any(row.verdict == UNTRAINED and row.part == "all layers" for row in report.rows):
            why = "networks with shuffled weights make such a map; it shows the architecture, not what was learned."
        else:
            why = "with half of the layers shuffled it stays as it is; it does not show what they learned."
        return f"This map cannot be trusted: {why}"
    if not report.found:
        start = "No artifact was found by these tests"
        doubt = ", but this map cannot be trusted pixel by pixel: no single pixel exceeds what noise gives"
        return f"{start}." if _any_pixel(report) else f"{start}{doubt}."
    kinds = "one artifact was" if len(report.found) == 1 else f"{len(report.found)} artifacts were"
    if report.sar.artifact_share < LEAST:
        changed = "relevance is too small or too large in places"
        if not _any_pixel(report):
            doubt = "This map cannot be trusted pixel by pixel, since none exceeds noise"
            return f"{doubt}; {kinds} found: {changed}."
        return f"Little of this map is drawn whatever the input, but {kinds} found: {changed}."
    share = percent(report.sar.artifact_share)
    much = (
        "In parts this map is drawn" if report.sar.artifact_share >= MUCH else "Little of this map is drawn"
    )
    return f"{much} whatever the input: {kinds} found, {share} of the map."


def _any_pixel(report: ArtifactReport) -> bool:
    """Return whether enough relevance exceeds noise to point at pixels."""
    return report.sar.fact_share >= LEAST_FACT


def _where(report: ArtifactReport) -> str:
    if report.untrained:
        return "No part of it tells more than the architecture and the input do."
    if not report.found and not _any_pixel(report):
        return "Its pixels, one by one: noise with the scene's own spectrum makes maps of the same size."
    if not report.found:
        fact = percent(report.sar.fact_share)
        return f"Most certain are pixels with a q-value up to 0.05, {fact} of the relevance: noise makes less there."
    names = [_named(row) for row in report.found[:2]]
    pixels = "" if _any_pixel(report) else "; nor single pixels, since none exceeds noise"
    return f"What not to trust: {listed(names)}{pixels}."


def _named(row: TestRow) -> str:
    name = ARTIFACTS[row.test, row.part].format(**{"period": 0.0, "reach": 0.0, **row.numbers})
    return f"{name} ({row.sensor})" if row.sensor else name


def _remedy(report: ArtifactReport) -> str:
    if report.untrained:
        return "Choose another METHOD: gradient_x_input and integrated_gradients depend on the weights."
    areas = "" if _any_pixel(report) else advice_on_areas(report.sar)
    if not report.found:
        return areas or "Read the map as it is; compare another METHOD where much depends on it."
    said = [
        REMEDIES[row.test, row.part].format(
            **{"period": 0.0, "reach": 0.0, "band": _band(row), **row.numbers}
        )
        for row in report.found[:2]
    ]
    return " ".join((*dict.fromkeys(said), areas)).strip()


def _band(row: TestRow) -> str:
    """Return the band of the artifact that shows where null maps differ."""
    return "mwr_share" if row.sensor == "radiometry" else "local"


def artifact_html(report: ArtifactReport) -> str:
    """Return the report as one HTML page."""
    asked = {
        "scene": report.scene,
        "head": report.head,
        "target": report.target,
        "method": report.method_text,
        "windows": f"{report.counts.windows}, {percent(report.counts.sampled)} of the region",
        **({"judged in": report.region} if report.region else {}),
        "null maps": report.counts.repeats,
        **({"not tried": listed([NAMES[word] for word in report.not_tried])} if report.not_tried else {}),
        "passes through the network": f"{report.counts.passes:.3g} for each window",
    }
    tested = [row for row in report.rows if row.quantiles]
    sections = []
    if report.pictures:
        sections.append(_pictures(report))
    columns = (
        ("name", "test"), ("p", "p"), ("p_holm", "p (Holm)"), ("size", "share"), ("verdict", "verdict"),
        ("meaning", "what it means"),
    )  # fmt: skip
    printed = [
        {**row.cells(), "name": row.name, "size": "" if row.size is None else percent(row.size)}
        for row in report.rows
    ]
    strips: tuple[Figure, ...] = ()
    if tested:
        strips = (
            Figure(
                figures.svg(strips_figure(tested), "tests", "statistics of the tests"),
                "Grey: where the statistic lies without an artifact (95 %). Point: what was found; red where it is "
                "significant after Holm's correction.",
            ),
        )
    left_out = (
        f"Not tried: {listed([NAMES[word] for word in report.not_tried])}. What they would find is not known.",
    )
    sections.append(
        Section(
            "Tests",
            figures=strips,
            tables=(Table(columns, printed),),
            points=left_out if report.not_tried else (),
        )
    )
    sections.append(
        Section(
            "What was asked",
            tables=(
                Table((("what", ""), ("value", "")), [{"what": k, "value": v} for k, v in asked.items()]),
            ),
        )
    )
    sections.append(Section("How to read this, and how not to", points=CAVEATS))
    return render(
        title=f"Fact or artifact: relevance for {report.target}",
        subtitle=f"{report.scene} \u2013 {report.model.title} ({report.model.id}); windows looked at: "
        f"{report.counts.windows}, {percent(report.counts.sampled)} of the region",
        summary=summary(report),
        sections=sections,
        warnings=report.warnings,
        provenance=report.provenance,
    )


def _pictures(report: ArtifactReport) -> Section:
    """Return the section of the maps."""
    picture = figures.svg(
        maps_figure(report.pictures, report.unit, report.limit), "maps", "map, artifact and corrected map"
    )
    shown = len(report.pictures)
    which = f"{shown} of {report.counts.windows} windows, those with the largest artifact"
    if shown == report.counts.windows:
        which = "all windows" if shown > 1 else "the window"
    return Section(
        "Map, artifact, corrected map",
        figures=(
            Figure(
                picture,
                f"Each row a window ({which}), in the colours of the layer in QGIS. Left: the relevance map. Middle: "
                "what stays in place whatever the input. Right: the rest; in full colours and outlined where its "
                "q-value is up to 0.05, faint where it may be chance.",
            ),
        ),
        tables=(
            Table((("what", ""), ("sum", report.unit)), _sum_rows(report), "What adds up"),
            Table(
                (("map", "map"), ("artifact", "artifact"), ("fact", "fact")),
                _share_rows(report),
                "How much is artifact, how much fact",
            ),
        ),
        points=tuple(facts(report)),
    )


def _sum_rows(report: ArtifactReport) -> list[dict]:
    names = {"relevance": "relevance map", "corrected": "corrected map", "artifact": "artifact"}
    names |= {f"mwr_{name}": f"{text}, radiometry" for name, text in names.items()}
    return [{"what": text, "sum": report.sums[name]} for name, text in names.items() if name in report.sums]


def _share_rows(report: ArtifactReport) -> list[dict]:
    """Return the shares of artifact and of pixels that are fact, by sensor."""
    rows = [("SAR", report.sar)]
    if report.radiometry is not None:
        rows.append((f"radiometry ({report.radiometry.pixels} cells)", report.radiometry))
    return [
        {
            "map": name,
            "artifact": percent(shares.artifact_share),
            "fact": f"{percent(shares.fact_share)} of the relevance",
        }
        for name, shares in rows
    ]


def artifact_csv(report: ArtifactReport) -> str:
    """Return the table as CSV."""
    return csv_text(COLUMNS, (row.cells() for row in report.rows))


def artifact_csvt() -> str:
    """Return the types of its columns."""
    return csvt_text(COLUMNS, _TYPES)


def _radiometry(report: ArtifactReport) -> dict[str, Any] | None:
    mine = report.radiometry
    if mine is None:
        return None
    return {"artifact_share": mine.artifact_share, "fact_share": mine.fact_share, "cells": mine.pixels}


def artifact_json(report: ArtifactReport) -> str:
    """Return the same content as JSON."""
    return json_text(
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "summary": summary(report),
            "facts": facts(report),
            "scene": report.scene,
            "model": report.model,
            "head": report.head,
            "target": report.target,
            "method": report.method,
            "windows": report.counts.windows,
            "sampled_share": report.counts.sampled,
            "pixels": report.sar.pixels,
            "repeats": report.counts.repeats,
            "passes": report.counts.passes,
            "artifact_share": report.sar.artifact_share,
            "fact_share": report.sar.fact_share,
            "block_fact_share": report.sar.block_share,
            "sums": report.sums,
            "colours_end_at": report.limit,
            "not_tried": report.not_tried,
            "radiometry": _radiometry(report),
            "tests": [{**row.cells(), "numbers": row.numbers} for row in report.rows],
            "caveats": CAVEATS,
            "provenance": report.provenance,
            "warnings": report.warnings,
        }
    )
