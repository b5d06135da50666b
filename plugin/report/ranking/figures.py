"""Pictures of a ranking: how scores are distributed over samples, and maps beside their truth."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from ...ground.rankings import Ranking
from ..page.figures import blank_figure, label_text, tidy
from .page import Example

METHOD, CONTROL, BEST = "#0072b2", "#999999", "#d55e00"
COLOURS = LinearSegmentedColormap.from_list("relevance", ["#5e3c99", "#ffffff", "#e66101"])
COLOURS.set_bad("#bbbbbb")
PERCENTILE = 99.5  # of |relevance|, at which colours end
BINS = 40
_ACROSS = 6  # maps in a row
_FINEST = 48  # values along a map, up to which each is drawn as several


def distributions(ranking: Ranking) -> Figure:
    """Draw a histogram of the scores of each method over samples, best first, with the mean and its interval.

    Samples without a score are drawn at the uninformative value, as they count.
    """
    rows, measure = ranking.methods, ranking.measure
    marks = [each for each in (measure.uninformative, measure.ideal) if each is not None]
    filled = [_filled(row.values, measure.uninformative) for row in rows]
    everything = np.concatenate([*filled, np.array(marks)])
    low, high = float(everything.min()), float(everything.max())
    margin = 0.02 * (high - low) or 0.5
    edges = np.linspace(low - margin, high + margin, BINS + 1)
    figure = blank_figure(7.2, 0.8 + 0.34 * len(rows))
    axes = figure.add_subplot()
    for at, (row, values) in enumerate(zip(rows, filled)):
        colour = CONTROL if row.control else BEST if row.method == ranking.recommended else METHOD
        counts, _ = np.histogram(values, edges)
        heights = 0.8 * counts / max(counts.max(), 1)
        axes.fill_between(
            np.repeat(edges, 2)[1:-1], at + 0.4, at + 0.4 - np.repeat(heights, 2), color=colour, alpha=0.45,
            linewidth=0,
        )  # fmt: skip
        axes.plot(
            [row.low, row.high], [at + 0.4, at + 0.4], color="black", linewidth=2.2, solid_capstyle="butt"
        )
        axes.plot([row.mean], [at + 0.4], "o", color="black", markersize=4, markeredgecolor="white")
    for value, line in ((measure.uninformative, ":"), (measure.ideal, "-")):
        if value is not None:
            axes.axvline(value, color="black", linewidth=0.7, linestyle=line)
    axes.set_yticks(range(len(rows)), [label_text(row.method) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel(label_text(measure.title), fontsize=8)
    tidy(axes)
    axes.tick_params(axis="y", length=0)
    return figure


def _filled(values: np.ndarray, uninformative: float | None) -> np.ndarray:
    known = ~np.isnan(values)
    return values[known] if uninformative is None else np.where(known, values, uninformative)


def example_maps(example: Example) -> Figure:
    """Draw the truth of a sample and its maps, each on a scale of its own: what is compared is the pattern."""
    coarse = max(1, _FINEST // max(example.truth.shape))  # titles need room above a map of few cells
    pictures = [
        (name, np.kron(values, np.ones((coarse, coarse))))
        for name, values in (("truth", example.truth), *example.maps.items())
    ]
    across = min(len(pictures), _ACROSS)
    lines = -(-len(pictures) // across)
    rows, cols = pictures[0][1].shape
    gap, beside = max(2, rows // 5), max(1, cols // 16)
    down, right = rows + gap, cols + beside
    width = 1.3 * across
    canvas = np.zeros((lines * down, across * right))  # one picture: many small ones take long to draw
    figure = blank_figure(width + 0.2, width * lines * down / (across * right) + 0.2)
    axes = figure.add_subplot()
    for number, (name, values) in enumerate(pictures):
        line, column = divmod(number, across)
        top, left = line * down + gap, column * right
        canvas[top : top + rows, left : left + cols] = values / _limit(values)
        frame = np.array([[0, 0], [cols, 0], [cols, rows], [0, rows], [0, 0]]) - 0.5
        weight = 1.6 if name == "truth" else 0.6
        axes.plot(*(frame + [left, top]).T, color="black", linewidth=weight)
        title = textwrap.fill(label_text(name), 20)
        axes.text(left + (cols - 1) / 2, top - 0.5 - 0.1 * gap, title, fontsize=6, ha="center", va="bottom")
    axes.imshow(np.ma.masked_invalid(canvas), cmap=COLOURS, vmin=-1, vmax=1, interpolation="none")
    axes.set_xlim(-1, across * right)
    axes.set_ylim(lines * down, -1)
    axes.set_axis_off()
    return figure


def _limit(values: np.ndarray) -> float:
    """Return the |value| at which the colours of a map end."""
    sizes = np.abs(values[np.isfinite(values)])
    limit = float(np.percentile(sizes, PERCENTILE)) if sizes.size else 0.0
    return limit or (float(sizes.max()) if sizes.size else 0.0) or 1.0


def shapes_differ(examples: Sequence[Example]) -> list[str]:
    """Return which maps have another shape than their truth."""
    return [
        f"{example.title}: {name} {values.shape}"
        for example in examples
        for name, values in example.maps.items()
        if values.shape != example.truth.shape
    ]
