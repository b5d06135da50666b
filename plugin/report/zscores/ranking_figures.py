"""Pictures of relative weights: the ranked components of a last layer, and the shares of their groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..page.figures import HATCHES, SHOWN, blank_figure, label_text, sensor_colour, tidy

_KINDS = {"sensor": "sensor", "scale": "scale", "frequency": "frequency", "polarisation": "polarisation"}
_WRITTEN = 0.055  # share of the width from which on a segment has room for its name


def ranked_components(rows: Sequence[Mapping], leading: int) -> Figure:
    """Draw the absolute z of each component, largest first; those that carry 90 % stand out.

    Parameters
    ----------
    rows : sequence of mapping
        Largest first: ``group`` (the component), ``sensor``, ``share``.
    leading : int
        How many of them carry 90 % of the sum.
    """
    shown = rows[:SHOWN]
    figure = blank_figure(8.6, 2.9)
    axes = figure.add_subplot()
    for at, row in enumerate(shown):
        colour = sensor_colour(row["sensor"])
        axes.bar(
            at,
            100.0 * row["share"],
            0.82,
            color=colour if at < leading else "white",
            edgecolor=colour,
            linewidth=0.5,
            hatch=HATCHES.get(row["sensor"], "xx") if at < leading else "",
        )
    if leading < len(shown):
        axes.axvline(leading - 0.5, color="black", linewidth=0.7, linestyle=":")
        axes.annotate(
            "90 %",
            (leading - 0.5, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(-3, -3),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=7,
        )
    size = 6.5 if len(shown) <= 40 else 4.6
    axes.set_xticks(range(len(shown)), [label_text(row["group"]) for row in shown], rotation=90)
    axes.set_xlim(-0.7, max(len(shown), 1) - 0.3)
    axes.set_ylabel("share of the summed |z|, %", fontsize=8)
    tidy(axes)
    axes.tick_params(axis="x", length=0, labelsize=size, pad=1)
    keys = [
        Patch(
            facecolor=sensor_colour(sensor),
            edgecolor="white",
            hatch=HATCHES.get(sensor, "xx"),
            label=label_text(sensor or "no sensor"),
        )
        for sensor in dict.fromkeys(row["sensor"] for row in shown)
    ]
    keys.append(Patch(facecolor="white", edgecolor="#555555", label="beyond 90 %"))
    axes.legend(handles=keys, fontsize=7, frameon=False, loc="upper right")
    return figure


def share_bars(rows: Sequence[Mapping]) -> Figure:
    """Draw the shares of sensors, scales, frequencies and polarisations, a bar of 100 % each.

    Parameters
    ----------
    rows : sequence of mapping
        ``kind, group, share``; shares of a kind that does not cover all components leave a pale rest.
    """
    kinds = [kind for kind in _KINDS if any(row["kind"] == kind for row in rows)]
    figure = blank_figure(8.6, 0.7 + 0.42 * len(kinds))
    axes = figure.add_subplot()
    for at, kind in enumerate(kinds):
        left = 0.0
        for number, row in enumerate(row for row in rows if row["kind"] == kind):
            colour, dark = _segment_colour(kind, row["group"], number)
            axes.barh(at, row["share"], 0.72, left, color=colour, edgecolor="white", linewidth=1.0)
            if row["share"] >= _WRITTEN:
                axes.text(
                    left + row["share"] / 2,
                    at,
                    f"{label_text(row['group'])}\n{100 * row['share']:.0f} %",
                    ha="center",
                    va="center",
                    fontsize=6,
                    color="white" if dark else "black",
                )
            left += row["share"]
        if left < 1.0 - 1e-6:
            axes.barh(at, 1.0 - left, 0.72, left, color="white", edgecolor="#999999", linewidth=0.6)
    axes.set_yticks(range(len(kinds)), [f"by {_KINDS[kind]}" for kind in kinds])
    axes.set_ylim(len(kinds) - 0.5, -0.5)
    axes.set_xlim(0.0, 1.0)
    axes.set_xticks([0.0, 0.25, 0.5, 0.75, 1.0], ["0", "25", "50", "75", "100 %"])
    tidy(axes)
    axes.tick_params(axis="y", length=0)
    return figure


def _segment_colour(kind: str, group: str, number: int) -> tuple[object, bool]:
    """Return the colour of a segment and whether it is dark; sensors keep their own."""
    if kind == "sensor":
        return sensor_colour(group), True
    shade = 0.25 + 0.6 * ((number * 3) % 7) / 6.0
    colours = (
        matplotlib.colormaps["Greys"] if hasattr(matplotlib, "colormaps") else matplotlib.cm.get_cmap("Greys")
    )
    return colours(0.75 * shade), 0.75 * shade > 0.45
