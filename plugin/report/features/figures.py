"""Pictures of a feature analysis: importance, distributions by class, skill by features kept, maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from ..page.figures import blank_figure, label_text, sensor_colour, tidy
from ..styles.layers import DIVERGING, about_zero
from .content import FeaturePicture, SkillFacts

SHOWN_BARS = 30
CLASS_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#777777")
_LEAST_VIOLIN = 8  # values below which points are drawn
_PERCENTILE = 98.0


def importance_figure(rows: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Draw the importance of the leading features: of the class against all, and of all samples."""
    shown = list(rows[:SHOWN_BARS])
    figure = blank_figure(7.2, 1.0 + 0.2 * len(shown))
    axes = figure.add_subplot()
    for at, row in enumerate(shown):
        colour = sensor_colour(str(row.get("sensor") or ""))
        ranked = row.get("im_all") if row.get("im_diff") is None else row["im_diff"]
        if ranked is not None:
            axes.barh(at, ranked, 0.7, color=colour)
        if row.get("im_all") is not None:
            axes.plot(row["im_all"], at, marker="D", color="black", markersize=3, linestyle="none")
    axes.set_yticks(range(len(shown)), [label_text(row["feature"]) for row in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.axvline(0, color="black", linewidth=0.7)
    axes.set_xlabel(label_text(f"logit; bars: {title}; diamonds: mean of all samples"), fontsize=8)
    tidy(axes)
    return figure


def violins_figure(values: Mapping[str, Sequence[np.ndarray]], classes: Sequence[str]) -> Figure:
    """Draw the values of the leading features in the samples of each class."""
    columns = min(3, max(1, len(values)))
    lines = -(-len(values) // columns)
    figure = blank_figure(8.4, 0.5 + 2.2 * max(1, lines))
    panels = figure.subplots(max(1, lines), columns, squeeze=False).ravel()
    for axes, (name, parts) in zip(panels, values.items()):
        for at, part in enumerate(parts):
            part = np.asarray(part, float)
            colour = CLASS_COLOURS[at % len(CLASS_COLOURS)]
            if len(part) >= _LEAST_VIOLIN and part.std() > 0:
                bodies = axes.violinplot([part], [at], showmedians=True, widths=0.8)
                for body in bodies["bodies"]:
                    body.set_facecolor(colour)
                    body.set_alpha(0.5)
                for key in ("cbars", "cmins", "cmaxes", "cmedians"):
                    bodies[key].set_color(colour)
                    bodies[key].set_linewidth(0.8)
            else:
                axes.plot([at] * len(part), part, "o", color=colour, markersize=3)
        axes.set_title(label_text(name), fontsize=8, loc="left")
        names = [f"{label_text(_wrapped(one))}\n({len(part)})" for one, part in zip(classes, parts)]
        axes.set_xticks(range(len(parts)), names)
        axes.axhline(0, color="black", linewidth=0.5)
        tidy(axes)
        axes.tick_params(axis="x", labelsize=6.5)
    for axes in panels[len(values) :]:
        axes.set_visible(False)
    return figure


def _wrapped(text: str) -> str:
    """Return a name in two lines where it is long."""
    if len(text) < 14 or " " not in text:
        return text
    middle = min((i for i, letter in enumerate(text) if letter == " "), key=lambda i: abs(i - len(text) / 2))
    return f"{text[:middle]}\n{text[middle + 1 :]}"


def skill_figure(facts: SkillFacts, features: int) -> Figure:
    """Draw skill against the number of features kept: top, complement, random; others at their mean and at zero."""
    figure = blank_figure(8.4, 3.1)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, fill in zip(panels, ("mean", "zero")):
        rows = [row for row in facts.rows if row.fill == fill]
        top = sorted((row for row in rows if row.kind == "top"), key=lambda row: row.number)
        axes.plot([row.number for row in top], [row.skill for row in top], "o-", color="#0072b2", markersize=3,
                  label="top")  # fmt: skip
        random = sorted((row for row in rows if row.kind == "random"), key=lambda row: row.number)
        if random:
            middle = [row.skill for row in random]
            error = [[row.skill - row.low for row in random], [row.high - row.skill for row in random]]
            axes.errorbar([row.number for row in random], middle, error, fmt="s", color="#777777", markersize=3,
                          capsize=2, label=f"random ({random[0].sets} sets)")  # fmt: skip
        rest = sorted((row for row in rows if row.kind == "complement"), key=lambda row: row.number)
        axes.plot([features - row.number for row in rest], [row.skill for row in rest], "v", color="#d55e00",
                  markersize=4, label="all but these (at their number)")  # fmt: skip
        axes.axhline(facts.whole, color="black", linewidth=0.7, linestyle=":")
        for row in rows:
            if row.kind == "none":
                axes.axhline(row.skill, color="#777777", linewidth=0.7, linestyle="--")
        axes.set_xscale("log")
        ticks = [number for number in (1, 2, 5, 10, 20, 50, 100, 200, 500) if number <= features]
        axes.set_xticks(ticks, [str(number) for number in ticks])
        axes.minorticks_off()
        axes.set_title(
            f"other features at {'their mean' if fill == 'mean' else 'zero'}", fontsize=8, loc="left"
        )
        axes.set_xlabel("features kept", fontsize=8)
        tidy(axes)
    panels[0].set_ylabel("accuracy" if facts.labelled else "agreement with the whole network", fontsize=8)
    panels[0].legend(fontsize=7, frameon=False, loc="lower right")
    return figure


def maps_figure(picture: FeaturePicture, unit: str) -> Figure:
    """Draw the logit, the map, and what the leading features add, in one scale of the features."""
    colours = LinearSegmentedColormap.from_list("relevance", DIVERGING)
    images = [("logit", picture.scene), (unit, picture.cam), *picture.features]
    columns = 4
    lines = -(-len(images) // columns)
    figure = blank_figure(8.4, 0.3 + 2.3 * lines)
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    limit = (
        about_zero(_limit(np.stack([image for _, image in picture.features]))) if picture.features else 1.0
    )
    for number, (axes, (name, image)) in enumerate(zip(panels, images)):
        own = limit if number > 1 else about_zero(_limit(image))
        shown = axes.imshow(
            np.nan_to_num(image), cmap=colours, vmin=-own, vmax=own, alpha=np.isfinite(image).astype(float),
            interpolation="nearest",
        )  # fmt: skip
        axes.set_title(label_text(name), fontsize=8)
        axes.set_xticks([])
        axes.set_yticks([])
        bar = figure.colorbar(shown, ax=axes, shrink=0.7)
        bar.ax.tick_params(labelsize=6)
    for axes in panels[len(images) :]:
        axes.set_visible(False)
    return figure


def _limit(values: np.ndarray) -> float:
    sizes = np.abs(values[np.isfinite(values)])
    return float(np.percentile(sizes, _PERCENTILE)) if len(sizes) else 0.0
