"""How to read a report of relevance, and how not to: the caveats that fit a run."""

from __future__ import annotations

from ..page.html import listed
from .content import RelevanceReport, footprint_text


def caveats(report: RelevanceReport) -> tuple[str, ...]:
    """Return sentences on how to read the numbers, those that fit the run."""
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
    if report.component:
        said.append(
            "The parts of all components and the biases of the last layer add up to the logit. A component that adds "
            "much to the logit everywhere alike need not decide anywhere: compare its Z-score."
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
        widest = max(side for channel in sizes for side in channel.footprint_km or ())
        said.append(
            f"Land spills over into radiometer pixels up to a footprint away from the coast ({widest:g} km at most): "
            "relevance there may be that of land."
        )
    return (*said, *report.model.caveats())
