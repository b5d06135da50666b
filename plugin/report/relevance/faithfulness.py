"""Deletion and insertion curves in a report: a picture, the areas, and what they say in plain words.

The content is plain data, as :meth:`floelens.plugin.core.faithfulness.curves.Faithfulness.as_dict` returns it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure as Drawing

from ...ground.vocabulary.relevance_methods import METHODS
from ..page import figures
from ..page.html import Figure, Section, Table, number_text

TITLE = "Does the network rely on what the map marks?"
_MAP, _RANDOM = "#0072b2", "#777777"
_AXES = {"logit": "mean logit", "probability": "mean probability"}


def judgement(content: Mapping[str, Any]) -> str:
    """Return in a short sentence whether the map's order of blocks beats random ones, by the logit."""
    if content["blocks"] == 1:
        return "Only one block can act on the target, so there is no order of blocks to judge. Explain a larger region."
    fell, rose = _sides(content)
    if fell > 0 and rose > 0:
        return "The network relies on the blocks that the map marks more than on blocks taken at random."
    if fell < 0 and rose < 0:
        return "THE MAP ORDERS THE BLOCKS WORSE THAN CHANCE: do not read it as what the network relies on."
    if fell > 0 or rose > 0:
        return "Only one of the two curves tells the map from random order."
    return "That the map orders the blocks better than chance is not shown."


def verdict(content: Mapping[str, Any]) -> str:
    """Return the same with how far the curves of deletion and insertion run from random ones."""
    if content["blocks"] == 1:
        return judgement(content)
    logit, orders, (fell, rose) = content["measures"][0], content["random_orders"], _sides(content)
    parts = [_difference(logit, "deletion", fell, orders), _difference(logit, "insertion", rose, orders)]
    return f"{judgement(content)[:-1]}: {parts[0]}; {parts[1]}."


def _sides(content: Mapping[str, Any]) -> tuple[int, int]:
    """Return whether deletion and insertion are better (1) or worse (-1) than all random orders, or neither (0)."""
    logit = content["measures"][0]
    return -_side(logit, "deletion"), _side(logit, "insertion")


def _side(measure: Mapping[str, Any], curve: str) -> int:
    """Return 1 where a curve's area is above those of all random orders, -1 below all, else 0."""
    area = measure[f"{curve}_area"]
    return int(area > measure["random_area_high"]) - int(area < measure["random_area_low"])


def _difference(measure: Mapping[str, Any], curve: str, good: int, orders: int) -> str:
    away = measure[f"{curve}_minus_random"]
    doing = {"deletion": "deleted", "insertion": "put back"}[curve]
    than = {1: "beyond all", 0: "within the range of the", -1: "on the wrong side of all"}[good]
    return (
        f"{doing} in the map's order, the mean logit runs {number_text(abs(away), 3)} "
        f"{'above' if away > 0 else 'below'} that of random order on average, {than} {orders} orders drawn"
    )


def description(content: Mapping[str, Any], target: str) -> str:
    """Return what was done; `target` in words."""
    side = content["block_side_pixels"]
    text = (
        f"Blocks of {side} x {side} pixels, with all channels and the radiometer cells on them, were set to the "
        f"baseline, those with most relevance for {target} first (deletion), and put back into a scene without "
        f"them in the same order (insertion). The curves are means over {content['pixels']} explained pixels; the "
        f"control is {content['random_orders']} random orders. "
    )
    if not content["sample_windows"]:
        return f"{text}All {content['blocks']} blocks that can act on the target took part."
    windows = content["sample_windows"]
    return (
        f"{text}The scene is large: of {content['of_blocks']} blocks that can act on the target, "
        f"{content['blocks']} in {windows} {'windows' if windows > 1 else 'window'} drawn at random took part, "
        "and the rest of the scene stayed as it is. The curves tell of these places."
    )


def caveats(method: str, uncertainty: str = "") -> tuple[str, ...]:
    """Return what the curves do not show; for the method's word and what was varied, in words."""
    said = [
        "Inputs with blocks at the baseline are unlike any the network was trained on: smooth patches with sharp "
        "edges. What it answers there may be due to that, for the map's order as for random ones; only their "
        "difference is worth reading.",
        "The order of whole blocks is judged, not that of channels, nor of pixels inside a block. A radiometer's "
        "footprint may be wider than a block: its neighbours then still hold part of what was deleted.",
        "A map that passes is true to the network, which may be wrong about the ice.",
    ]
    if not METHODS[method].times_input:
        said.append(
            "This method gives slopes, not shares of the logit; their sum over a block is a poor ranking."
        )
    if uncertainty:
        said.append(
            f"The order is that of the mean map over {uncertainty}; the curves follow the network of MODEL as it "
            "is, without what was varied."
        )
    return tuple(said)


def curves_figure(content: Mapping[str, Any]) -> Drawing:
    """Draw the curves with the mean and the range of the random orders; a row a measure."""
    measures, shares = content["measures"], [100 * share for share in content["shares"]]
    figure = Drawing(figsize=(7.6, 2.5 * len(measures) + 0.3), constrained_layout=True)
    panels = figure.subplots(len(measures), 2, squeeze=False, sharex=True, sharey="row")
    for measure, row in zip(measures, panels):
        for curve, axes in zip(("deletion", "insertion"), row):
            control = measure[f"random_{curve}"]
            axes.fill_between(
                shares,
                control["low"],
                control["high"],
                color=_RANDOM,
                alpha=0.25,
                linewidth=0,
                label="random, range",
            )
            axes.plot(shares, control["mean"], "--", color=_RANDOM, linewidth=1.2, label="random, mean")
            axes.plot(
                shares, measure[curve], "o-", color=_MAP, linewidth=1.4, markersize=3, label="by relevance"
            )
            axes.tick_params(labelsize=7)
            for side in ("top", "right"):
                axes.spines[side].set_visible(False)
        row[0].set_ylabel(_AXES[measure["measure"]], fontsize=8)
    for axes, title, label in zip(panels[0], ("Deletion", "Insertion"), ("set to the baseline", "put back")):
        axes.set_title(title, fontsize=8, loc="left")
        panels[-1][list(panels[0]).index(axes)].set_xlabel(f"blocks {label} (%)", fontsize=8)
    panels[0][0].legend(fontsize=7, frameon=False)
    return figure


def faithfulness_content(
    content: Mapping[str, Any], target: str, method: str, uncertainty: str = ""
) -> dict[str, Any]:
    """Return curves, areas and sentences for programs; parameters as for :func:`faithfulness_section`."""
    texts = {"verdict": verdict(content), "description": description(content, target)}
    return {**texts, **content, "caveats": caveats(method, uncertainty)}


def faithfulness_section(
    content: Mapping[str, Any], target: str, method: str, uncertainty: str = ""
) -> Section:
    """Return the part of a report.

    Parameters
    ----------
    content : mapping
        Curves and areas.
    target : str
        What was explained, in words.
    method : str
        The method's word.
    uncertainty : str
        What the map is a mean over, in words; empty: nothing.
    """
    rows = [
        {**measure, "measure": _AXES[measure["measure"]], "random_range": _range(measure)}
        for measure in content["measures"]
    ]
    return Section(
        TITLE,
        text=(description(content, target), verdict(content)),
        points=caveats(method, uncertainty),
        figures=(
            Figure(
                figures.svg(curves_figure(content), "faithfulness", "deletion and insertion curves"),
                f"What is left of the evidence for {target} as blocks are set to the baseline (left: the lower the "
                "better the map), and as they are put back (right: the higher the better). Grey: random orders.",
            ),
        ),
        tables=(Table(_TABLE, rows, "Areas under the curves: means over all shares of blocks"),),
    )


def _range(measure: Mapping[str, Any]) -> str:
    return f"{number_text(measure['random_area_low'])} to {number_text(measure['random_area_high'])}"


_TABLE = (
    ("measure", "followed"),
    ("deletion_area", "deletion"),
    ("insertion_area", "insertion"),
    ("random_area", "random"),
    ("random_range", "range of random"),
    ("deletion_minus_random", "deletion − random"),
    ("insertion_minus_random", "insertion − random"),
)
