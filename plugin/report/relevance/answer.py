"""The first lines of a report of relevance: the answer in plain words, short enough to be repeated by heart."""

from __future__ import annotations

from ..page.html import sensor_name
from .content import BALANCED, RelevanceReport
from .faithfulness import judgement

_WAYS = {"for": "for", "against": "against", "both ways": "both for and against"}


def answer(report: RelevanceReport) -> list[str]:
    """Return the answer: which sensor and channel speak for or against the target, and whether that adds up."""
    if not report.total:
        return [f"Nothing in the images speaks for or against {report.target} here."]
    sentences = [_of_sensors(report), _of_the_leading_channel(report), _of_the_sums(report)]
    if report.faithfulness:
        sentences.append(judgement(report.faithfulness))
    return sentences


def _of_sensors(report: RelevanceReport) -> str:
    """Return what each sensor adds to the score of the target, net."""
    parts: list[str] = []
    for row in sorted(report.sensor_rows(), key=lambda row: -abs(row["net"])):
        way = "both ways"
        if abs(row["net"]) > BALANCED * row["absolute"]:
            way = "for" if row["net"] > 0 else "against"
        number = "" if row["net_per_pixel"] is None else f" ({_signed(row['net_per_pixel'])})"
        what = "it" if parts else report.target
        parts.append(f"{sensor_name(row['sensor'])} speaks {_WAYS[way]} {what}{number}")
    text = "; ".join(parts)
    if report.slopes:
        return f"If values rise a little, {text}."
    each = "" if report.pixels == 1 else ", on average over pixels"
    return f"{text[0].upper()}{text[1:]}{each}."


def _of_the_leading_channel(report: RelevanceReport) -> str:
    lead = max(report.channels, key=lambda channel: channel.absolute)
    share = 100 * lead.absolute / report.total
    rise = "a rise of it" if report.slopes else "it"
    speaks = f"{rise} speaks {_WAYS[lead.speaks]} {report.target}"
    return f"The strongest channel is {lead.name} ({share:.0f} % of all relevance): {speaks}."


def _of_the_sums(report: RelevanceReport) -> str:
    sums = report.conservation
    if not sums.conservative:
        return (
            "This method shows where the network looks; its numbers need not add up to the network's score."
        )
    if not sums.balanced:
        return "THE NUMBERS DO NOT ADD UP to the network's score. Do not rely on this map."
    rest = "its answer at the baseline" if report.method_from_baseline else "its own biases"
    return f"The numbers add up: with {rest} they give the network's score."


def _signed(value: float) -> str:
    return f"{value:+.2g}".replace("-", "\u2212")
