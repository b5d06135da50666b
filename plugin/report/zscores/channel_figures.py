"""Pictures of channels: their held-out slopes, and their strengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from ..page.figures import HATCHES, blank_figure, label_text, sensor_colour, tidy

_FAR = 4.0  # slopes beyond are drawn at the edge: one wild channel must not flatten all others


def slope_plot(rows: Sequence[Mapping]) -> Figure:
    """Draw slopes with two robust errors to each side, one row a sensor, frequency or channel.

    Parameters
    ----------
    rows : sequence of mapping
        Of the table of slopes: ``level, group, sensor, slope, se, se_robust``; a slope for each.
    """
    figure = blank_figure(7.2, 1.0 + 0.2 * (len(rows) + len({row["level"] for row in rows})))
    axes = figure.add_subplot()
    at, places, names, level = 0.0, [], [], rows[0]["level"]
    reach = 0.5
    for row in rows:
        if row["level"] != level:
            level = row["level"]
            axes.axhline(at, color="#bbbbbb", linewidth=0.6)
            at += 1.0
        robust = row["se_robust"] is not None
        error = 2.0 * (row["se_robust"] if robust else row["se"] or 0.0)
        colour = sensor_colour(row["sensor"])
        axes.plot([row["slope"] - error, row["slope"] + error], [at, at], color=colour, linewidth=2.2)
        axes.plot(
            [row["slope"]],
            [at],
            "o" if row["sensor"] == "sar" else "D",
            color=colour if robust else "white",
            markeredgecolor=colour,
            markersize=5,
        )
        reach = max(reach, abs(row["slope"] - 0.5) + min(error, 1.5))
        places.append(at)
        names.append(label_text(row["group"]))
        at += 1.0
    axes.set_yticks(places, names)
    axes.set_ylim(at - 0.4, -0.6)
    reach = min(reach, _FAR)
    axes.set_xlim(0.5 - 1.1 * reach, 0.5 + 1.1 * reach)
    for place, row in zip(places, rows):
        if abs(row["slope"] - 0.5) > 1.1 * reach:  # its bar alone would not show on which side it lies
            side = 1 if row["slope"] > 0 else -1
            edge = 0.5 + side * 1.07 * reach
            axes.plot(
                [edge], [place], ">" if side > 0 else "<", color=sensor_colour(row["sensor"]), markersize=5
            )
    axes.axvline(0, color="black", linewidth=0.9, linestyle=":")
    axes.axvline(1, color="black", linewidth=0.9)
    axes.set_xlabel("slope: 0 useless, 1 deserved", fontsize=8)
    tidy(axes)
    return figure


def strength_bars(rows: Sequence[Mapping]) -> Figure:
    """Draw strengths by sensor, frequency and channel, a column each."""
    levels = list(dict.fromkeys(row["level"] for row in rows))
    parts = {level: [row for row in rows if row["level"] == level] for level in levels}
    tallest = max(len(part) for part in parts.values())
    figure = blank_figure(8.6, 1.0 + 0.22 * tallest)
    for index, level in enumerate(levels):
        axes = figure.add_subplot(1, len(levels), index + 1)
        for at, row in enumerate(parts[level]):
            colour, hatch = sensor_colour(row["sensor"]), HATCHES.get(row["sensor"], "xx")
            axes.barh(at, row["strength"], 0.7, color="white", edgecolor=colour, hatch=hatch, linewidth=0.7)
        axes.set_yticks(range(len(parts[level])), [label_text(row["group"]) for row in parts[level]])
        axes.set_ylim(tallest - 0.4, -0.6)
        axes.set_title(f"by {level}", fontsize=8, loc="left")
        axes.set_xlabel("strength", fontsize=8)
        tidy(axes)
    return figure
