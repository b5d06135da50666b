"""The report of a relevance map: what was asked, where the evidence lies, and whether it is conserved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...ground.vocabulary.relevance_methods import METHODS
from ..page import figures
from ..page.html import Figure, Section, Table, listed, render, sensor_name
from ..page.tables import csv_text, csvt_text, json_text
from ..zscores.report import ModelFacts
from .conservation import Books, conservation, conservation_rows
from .faithfulness import faithfulness_content, faithfulness_section, verdict

FORMAT = "floelens-relevance-report"
FORMAT_VERSION = 1
COLUMNS = (
    "channel",
    "sensor",
    "unit",
    "frequency_ghz",
    "polarisation",
    "footprint_km",
    "positive",
    "negative",
    "net",
    "absolute",
    "share",
    "speaks",
    "net_per_pixel",
)
TYPES = dict.fromkeys(("channel", "sensor", "unit", "polarisation", "footprint_km", "speaks"), "String")
# How a report calls the target where each pixel has its own class.
PREDICTED_CLASS = "the predicted class"
_BALANCED = 0.05  # net below this share of a channel's absolute relevance speaks neither way


@dataclass(frozen=True)
class ChannelRelevance:
    """Relevance of one input channel, summed over the scene.

    Parameters
    ----------
    name, sensor : str
        As in the model card.
    unit : str
        Of the sums: of the logit, or of slopes.
    positive, negative : float
        Sums of the relevance that speaks for (>= 0) and against (<= 0) the target.
    frequency_ghz : float or None
        Of a radiometer channel.
    polarisation : str
        Of a radiometer channel.
    footprint_km : tuple of float or None
        Size of its footprint on the ground, km.
    """

    name: str
    sensor: str
    unit: str
    positive: float
    negative: float
    frequency_ghz: float | None = None
    polarisation: str = ""
    footprint_km: tuple[float, float] | None = None

    @property
    def net(self) -> float:
        """What is left of for and against."""
        return self.positive + self.negative

    @property
    def absolute(self) -> float:
        """Sum of the absolute relevance."""
        return self.positive - self.negative

    @property
    def speaks(self) -> str:
        """``for``, ``against`` or ``both ways``."""
        if abs(self.net) <= _BALANCED * self.absolute:
            return "both ways"
        return "for" if self.net > 0 else "against"


@dataclass(frozen=True)
class RelevanceReport:
    """All that the report says.

    Parameters
    ----------
    model : ModelFacts
        The network.
    scene : str
        Name of the scene.
    head, target_class : str
        What was explained.
    region : str
        Where, in words: "all valid pixels", "2 polygons", "the point at 69.5 N, 39 W".
    pixels : int
        Number of pixels explained.
    method : str
        The method's word.
    channels : tuple of ChannelRelevance
        In the card's order.
    books : Books
        Where the target went.
    reference_class : str
        The class that the target was compared with; empty: none.
    settings : mapping
        Settings of the method: baseline, steps, epsilon.
    baseline : str
        What a relevance of zero means, in words; empty for methods that have none.
    uncertainty : str
        What the standard deviation was taken over, in words; empty: there is none.
    several_classes : bool
        Whether the head has a logit for each of several classes (softmax).
    faithfulness : mapping or None
        Deletion and insertion curves, as :mod:`.faithfulness` takes them; None: not asked for.
    provenance : mapping
        Where it came from.
    warnings : tuple of str
        Of the scene and the run.
    """

    model: ModelFacts
    scene: str
    head: str
    target_class: str
    region: str
    pixels: int
    method: str
    channels: tuple[ChannelRelevance, ...]
    books: Books
    reference_class: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    baseline: str = "every channel at its training mean"
    uncertainty: str = ""
    several_classes: bool = False
    faithfulness: Mapping[str, Any] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """The target in words."""
        against = f" rather than '{self.reference_class}'" if self.reference_class else ""
        if self.target_class == PREDICTED_CLASS:
            return self.target_class + against
        return f"'{self.target_class}'{against}"

    @property
    def slopes(self) -> bool:
        """Whether the numbers are slopes, not shares of the logit or changes of it."""
        return not METHODS[self.method].times_input

    @property
    def unit(self) -> str:
        """Short unit of the numbers."""
        return "logit per sd" if self.slopes else "logit"

    @property
    def total(self) -> float:
        """Sum of the absolute relevance of all channels."""
        return sum(channel.absolute for channel in self.channels)

    def rows(self) -> list[dict]:
        """Return the channels as rows of the table."""
        return [
            {
                "channel": channel.name,
                "sensor": channel.sensor,
                "unit": channel.unit,
                "frequency_ghz": channel.frequency_ghz,
                "polarisation": channel.polarisation,
                "footprint_km": footprint_text(channel.footprint_km),
                "positive": channel.positive,
                "negative": channel.negative,
                "net": channel.net,
                "absolute": channel.absolute,
                "share": channel.absolute / self.total if self.total else None,
                "speaks": channel.speaks,
                "net_per_pixel": self._per_pixel(channel.net),
            }
            for channel in self.channels
        ]

    def _per_pixel(self, amount: float) -> float | None:
        """Return a sum for each pixel explained: what a channel adds to the logit of one, on average."""
        return amount / self.pixels if self.pixels else None

    def sensor_rows(self) -> list[dict]:
        """Return the same by sensor."""
        rows = []
        for sensor in dict.fromkeys(channel.sensor for channel in self.channels):
            members = [channel for channel in self.channels if channel.sensor == sensor]
            absolute = sum(channel.absolute for channel in members)
            rows.append(
                {
                    "sensor": sensor,
                    "channels": len(members),
                    "net": sum(channel.net for channel in members),
                    "absolute": absolute,
                    "share": absolute / self.total if self.total else None,
                    "net_per_pixel": self._per_pixel(sum(channel.net for channel in members)),
                }
            )
        return rows


def footprint_text(footprint_km: tuple[float, float] | None) -> str:
    """Return a footprint as ``35 x 62 km``; empty for none."""
    return "" if footprint_km is None else f"{footprint_km[0]:g} x {footprint_km[1]:g} km"


def summary(report: RelevanceReport) -> list[str]:
    """Return the answer in sentences."""
    where = f"{report.region} ({report.pixels} pixels)"
    if not report.total:
        return [
            f"No channel has any relevance for {report.target} over {where}: the map does not depend on the input."
        ]
    sensors = sorted(report.sensor_rows(), key=lambda row: -row["share"])
    shares = [f"to {_percent(row['share'])} in {sensor_name(row['sensor'])}" for row in sensors]
    what = "The evidence, by share of absolute relevance, lies"
    if report.slopes:
        what = "Its slopes, by share of their absolute sum, lie"
    sentences = [
        f"Explained: the logit of {report.target} over {where}. {_net(report)}{what} {listed(shares)}."
    ]
    ordered = sorted(report.channels, key=lambda channel: -channel.absolute)
    lead = ordered[0]
    way = {"for": "speaks for", "against": "speaks against", "both ways": "speaks as much for as against"}[
        lead.speaks
    ]
    rise = "a rise of which" if report.slopes else "which"
    sentences.append(
        f"The channel with most of it is {lead.name} ({_percent(lead.absolute / report.total)}), {rise} on balance "
        f"{way} {report.target}."
    )
    told = [channel for channel in ordered[1:] if channel.absolute >= 0.02 * report.total]
    parts = []
    for word, text in (("for", "for"), ("against", "against"), ("both ways", "both ways")):
        names = [channel.name for channel in told if channel.speaks == word]
        if names:
            parts.append(
                f"{text}: {listed(names[:5])}" + (f" and {len(names) - 5} more" if len(names) > 5 else "")
            )
    if parts:
        sentences.append(
            f"Of the other channels with at least 2 % of it, {'rises ' * report.slopes}on balance speak "
            f"{'; '.join(parts)}."
        )
    sentences.append(conservation(report.books, report.method))
    if report.faithfulness:
        sentences.append(verdict(report.faithfulness))
    return sentences


def _net(report: RelevanceReport) -> str:
    """Return what each sensor adds to the logit of a pixel, in a sentence; empty for slopes and of no pixel."""
    if report.slopes or not report.pixels:
        return ""
    parts = [
        f"{row['net_per_pixel']:+.2g} in {sensor_name(row['sensor'])}".replace("-", "\u2212", 1)
        for row in report.sensor_rows()
    ]
    mean = "" if report.pixels == 1 else ", on average for each pixel"
    return f"For and against together{mean}: {listed(parts)}. "


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %" if share >= 0.01 or share == 0 else "under 1 %"


def relevance_html(report: RelevanceReport) -> str:
    """Return the report as one HTML page."""
    rows = sorted(report.rows(), key=lambda row: -row["absolute"])
    printed = [{**row, "share": _percent(row["share"])} for row in rows]
    sensors = [{**row, "share": _percent(row["share"])} for row in report.sensor_rows()]
    asked = {
        "scene": report.scene,
        "head": report.head,
        "target": report.target,
        "region": report.region,
        "pixels explained": report.pixels,
        "method": report.method,
        **report.settings,
    }
    if report.uncertainty:
        asked["uncertainty"] = report.uncertainty
    where = "places where a rise of the channel speaks" if report.slopes else "what speaks"
    sensor_table, channel_table = (
        tuple((key, heading.replace("(logit)", f"({report.unit})")) for key, heading in columns)
        for columns in (_SENSOR_TABLE, _CHANNEL_TABLE)
    )
    sections = [
        Section(
            "What was asked",
            text=(METHODS[report.method].sentence,),
            tables=(
                Table((("what", ""), ("value", "")), [{"what": k, "value": v} for k, v in asked.items()]),
            ),
        ),
        Section(
            "Relevance by channel",
            figures=(
                Figure(
                    figures.svg(
                        figures.relevance_bars(report.rows(), report.unit), "channels", "relevance by channel"
                    ),
                    f"To the right {where} for {report.target}, to the left against it, in {report.unit}; "
                    "diamonds: what is left of both.",
                ),
            ),
            tables=(Table(sensor_table, sensors, "By sensor"), Table(channel_table, printed, "By channel")),
        ),
        Section(
            "Is relevance conserved?",
            text=(conservation(report.books, report.method),),
            tables=(
                Table(
                    (("what", "account"), ("amount", "logit"), ("meaning", "meaning")),
                    conservation_rows(report.books, report.method),
                ),
            ),
        ),
        *(
            [faithfulness_section(report.faithfulness, report.target, report.method, report.uncertainty)]
            if report.faithfulness
            else []
        ),
        Section("How to read this, and how not to", points=_caveats(report)),
    ]
    return render(
        title=f"Relevance for {report.target}",
        subtitle=f"{report.scene} \u2013 {report.model.title} ({report.model.id})",
        summary=summary(report),
        sections=sections,
        warnings=report.warnings,
        provenance=report.provenance,
    )


def _caveats(report: RelevanceReport) -> tuple[str, ...]:
    sizes = [c for c in report.channels if c.footprint_km is not None]
    said = []
    if report.baseline:
        said.append(
            f"Relevance explains the difference from a baseline: {report.baseline}. Another baseline gives another "
            "split."
        )
    if report.method == "integrated_gradients":
        said.append(
            "Conservation speaks of sums: errors of single pixels cancel in them, and shrink more slowly as "
            "steps are added. Steps were added until twice as many move little; run again with more STEPS to compare."
        )
    if report.slopes:
        said.append(
            "A slope says how fast the logit changes with a small rise of the channel, per standard deviation (sd) of "
            "its training data; not what the channel's own value did."
        )
    if report.uncertainty:
        said.append(
            f"Maps and sums are means over {report.uncertainty}. The bands that end in _sd hold the standard deviation "
            "at each pixel: how far relevance depends on chance, not how far it is from the truth."
        )
    said += [
        "Relevance says what the network used, not what is true of the ice: a channel may be relevant and wrong.",
        "Net relevance can cancel: a channel that speaks strongly for the class in one place and against it in another "
        "has a small net and a large share.",
    ]
    if report.several_classes and not report.reference_class:
        said.append(
            "The logit of one class is explained: what raises the logits of all classes alike is counted, but changes "
            "no prediction. Give REFERENCE_CLASS for what speaks for one class rather than another."
        )
    if len({channel.sensor for channel in report.channels}) > 1:
        said.append(
            "Shares compare sums over pixels of unequal size: inside a coarse radiometer pixel for and against cancel "
            "before they are counted, between the fine SAR pixels they do not. That favours SAR; net sums do not "
            "depend on the grid."
        )
    if sizes:
        frequencies: dict[str, list[str]] = {}
        for channel in sizes:
            frequencies.setdefault(footprint_text(channel.footprint_km), []).append(channel.name)
        said.append(
            "Each radiometer channel sees as much ice as its footprint, however fine the map: "
            + "; ".join(f"{listed(names)} {size}" for size, names in frequencies.items())
            + "."
        )
        widest = max(max(channel.footprint_km) for channel in sizes)
        said.append(
            f"Land spills over into radiometer pixels up to a footprint away from the coast ({widest:g} km at most): "
            "relevance there may be that of land."
        )
    return (*said, *report.model.caveats())


def relevance_csv(report: RelevanceReport) -> str:
    """Return the table of channels as CSV."""
    return csv_text(COLUMNS, report.rows())


def relevance_csvt() -> str:
    """Return the field types of :func:`relevance_csv` for GDAL."""
    return csvt_text(COLUMNS, TYPES)


def relevance_json(report: RelevanceReport) -> str:
    """Return the whole content of the report as JSON."""
    return json_text(
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "summary": summary(report),
            "model": report.model,
            "scene": report.scene,
            "head": report.head,
            "target_class": report.target_class,
            "reference_class": report.reference_class,
            "region": report.region,
            "pixels": report.pixels,
            "method": report.method,
            "settings": report.settings,
            "baseline": report.baseline,
            "uncertainty": report.uncertainty,
            "about_method": METHODS[report.method].sentence,
            "channels": report.rows(),
            "sensors": report.sensor_rows(),
            "conservation": report.books,
            "faithfulness": report.faithfulness
            and faithfulness_content(report.faithfulness, report.target, report.method, report.uncertainty),
            "warnings": report.warnings,
            "caveats": _caveats(report),
            "provenance": report.provenance,
        }
    )


_SENSOR_TABLE: Sequence[tuple[str, str]] = (
    ("sensor", "sensor"),
    ("channels", "channels"),
    ("net", "net (logit)"),
    ("net_per_pixel", "net per pixel explained (logit)"),
    ("absolute", "absolute (logit)"),
    ("share", "share"),
)
_CHANNEL_TABLE: Sequence[tuple[str, str]] = (
    ("channel", "channel"),
    ("sensor", "sensor"),
    ("footprint_km", "footprint"),
    ("positive", "for (logit)"),
    ("negative", "against (logit)"),
    ("net", "net (logit)"),
    ("net_per_pixel", "net per pixel explained (logit)"),
    ("share", "share"),
    ("speaks", "speaks"),
)
