"""The report of a relevance map: what was asked, where the evidence lies, and whether it is conserved."""

from __future__ import annotations

from collections.abc import Sequence

from ...ground.vocabulary.relevance_methods import METHODS
from ..page import figures
from ..page.html import Figure, Section, Table, listed, render, sensor_name
from ..page.map_picture import map_figure
from ..page.tables import csv_text, csvt_text, json_text
from .answer import answer
from .caveats import caveats
from .conservation import conservation_rows, conservation_sentence
from .content import RelevanceReport
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
    if report.component:
        sentences.append(_of_component(report))
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
    others = [channel for channel in ordered[1:] if channel.absolute >= 0.02 * report.total]
    parts = []
    for word, text in (("for", "for"), ("against", "against"), ("both ways", "both ways")):
        names = [channel.name for channel in others if channel.speaks == word]
        if names:
            parts.append(
                f"{text}: {listed(names[:5])}" + (f" and {len(names) - 5} more" if len(names) > 5 else "")
            )
    if parts:
        sentences.append(
            f"Of the other channels with at least 2 % of it, {'rises ' * report.slopes}on balance speak "
            f"{'; '.join(parts)}."
        )
    sentences.append(conservation_sentence(report.conservation, report.method))
    if report.faithfulness:
        sentences.append(verdict(report.faithfulness))
    if report.benchmark:
        sentences.append(report.benchmark)
    return sentences


def _of_component(report: RelevanceReport) -> str:
    """Return what a map of one component is, in a sentence."""
    weight = report.component_weight
    where = ""
    if weight is not None:
        way = "speak for" if weight > 0 else "speak against" if weight < 0 else "change nothing for"
        number = f"{weight:+.3g}".replace("-", "\u2212")
        where = f" Its weight is {number}, so high values of it {way} the class."
    return (
        f"Only what component {report.component} adds to the logit is explained.{where}{_mostly_bias(report)}"
    )


def _mostly_bias(report: RelevanceReport) -> str:
    """Return a sentence where more of what a component adds comes from biases than from the input; else nothing."""
    sums = report.conservation
    if not sums.conservative or abs(sums.bias) <= abs(sums.relevance_sum):
        return ""
    share = abs(sums.bias) / (abs(sums.bias) + abs(sums.relevance_sum))
    rest = "is what it adds at the baseline" if METHODS[report.method].from_baseline else "comes from biases"
    return f" Most of that ({_percent(share)}) {rest}, and no pixel of the map shows it."


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
    if report.component:
        asked["component"] = report.component
    if report.uncertainty:
        asked["uncertainty"] = report.uncertainty
    where = "places where a rise of the channel speaks" if report.slopes else "what speaks"
    sensor_table, channel_table = (
        tuple((key, heading.replace("(logit)", f"({report.unit})")) for key, heading in columns)
        for columns in (_SENSOR_TABLE, _CHANNEL_TABLE)
    )
    unit = report.unit + (" a pixel, on average" if report.pixels > 1 else "")
    sections = [
        *_map_sections(report),
        Section(
            "What speaks for and against",
            figures=(
                Figure(
                    figures.svg(
                        figures.relevance_bars(_for_each_pixel(report), unit),
                        "channels",
                        "relevance by channel",
                    ),
                    f"To the right {where} for {report.target}, to the left against it, in {unit}; "
                    "diamonds: what is left of both.",
                ),
            ),
            tables=(Table(sensor_table, sensors, "By sensor"),),
        ),
        *(
            [faithfulness_section(report.faithfulness, report.target, report.method, report.uncertainty)]
            if report.faithfulness
            else []
        ),
        Section("How to read this, and how not to", points=caveats(report)),
        Section("In more detail", text=tuple(summary(report)), folded=True),
        Section("Every channel", tables=(Table(channel_table, printed, "By channel"),), folded=True),
        Section(
            "Is relevance conserved?",
            text=(conservation_sentence(report.conservation, report.method),),
            tables=(
                Table(
                    (("what", "went to"), ("amount", "logit"), ("meaning", "meaning")),
                    conservation_rows(report.conservation, report.method),
                ),
            ),
            folded=True,
        ),
        Section(
            "What was asked",
            text=(METHODS[report.method].sentence,),
            tables=(
                Table((("what", ""), ("value", "")), [{"what": k, "value": v} for k, v in asked.items()]),
            ),
            folded=True,
        ),
    ]
    return render(
        title=f"Relevance for {report.target}",
        subtitle=f"{report.scene} \u2013 {report.model.title} ({report.model.id})",
        summary=answer(report),
        sections=sections,
        warnings=report.warnings,
        provenance=report.provenance,
    )


def _for_each_pixel(report: RelevanceReport) -> list[dict]:
    """Return the rows of the channels with sums divided by the pixels explained."""
    number = max(report.pixels, 1)
    return [
        {**row, **{key: row[key] / number for key in ("positive", "negative", "net")}}
        for row in report.rows()
    ]


def _map_sections(report: RelevanceReport) -> list[Section]:
    """Return the maps side by side, if the run kept them."""
    if report.picture is None:
        return []
    drawn = figures.svg(map_figure(report.picture), "maps", "scene, network's map and relevance")
    caption = (
        f"Orange speaks for {report.target}, purple against it. SAR and radiometer share one scale: relevance of a "
        "radiometer cell is divided by the SAR pixels in it. Relevance of SAR is a mean where the page has no room for "
        "every pixel."
    )
    return [Section("On the map", figures=(Figure(drawn, caption),))]


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
            "answer": answer(report),
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
            **(
                {"component": report.component, "component_weight": report.component_weight}
                if report.component
                else {}
            ),
            "uncertainty": report.uncertainty,
            "about_method": METHODS[report.method].sentence,
            **({"benchmark": report.benchmark} if report.benchmark else {}),
            "channels": report.rows(),
            "sensors": report.sensor_rows(),
            "conservation": report.conservation,
            "faithfulness": report.faithfulness
            and faithfulness_content(report.faithfulness, report.target, report.method, report.uncertainty),
            "warnings": report.warnings,
            "caveats": caveats(report),
            "provenance": report.provenance,
        }
    )
