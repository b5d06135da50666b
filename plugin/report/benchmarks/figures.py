"""Pictures of a benchmark: maps beside the true pixels, masses before and after correction, and decay along the feed.

Maps have a scale of their own each: what is compared is where relevance lies, not how much there is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from ..page.figures import blank_figure, label_text, tidy

COLOURS = LinearSegmentedColormap.from_list("relevance", ["#5e3c99", "#ffffff", "#e66101"])
COLOURS.set_bad("#bbbbbb")
BEFORE, AFTER = "#999999", "#e66101"
PERCENTILE = 99.5  # of |relevance|, at which colours end
_IN_A_ROW = 5
_LINES = ("as it is", "corrected", "noise alone")


def map_grid(maps: Sequence[tuple[str, np.ndarray]], inside: np.ndarray) -> Figure:
    """Draw mean maps as they are, corrected, and of noise alone, with the true pixels outlined.

    Parameters
    ----------
    maps : sequence of (str, numpy.ndarray)
        Name of the network, and (3, row, column): mean relevance, mean corrected relevance, and the share of
        |relevance| without the data.
    inside : numpy.ndarray
        (row, column), bool.
    """
    lines = -(-len(maps) // _IN_A_ROW)
    across = min(len(maps), _IN_A_ROW)
    height = 1.35 * inside.shape[0] / inside.shape[1] + 0.3
    figure = blank_figure(1.45 * across + 0.5, len(_LINES) * lines * height + 0.2)
    for number, (name, pair) in enumerate(maps):
        line, column = divmod(number, _IN_A_ROW)
        for below, (values, word) in enumerate(zip(pair, _LINES)):
            axes = figure.add_subplot(
                len(_LINES) * lines, across, (len(_LINES) * line + below) * across + column + 1
            )
            _draw_map(axes, values, inside)
            if not below:
                axes.set_title(label_text(name), fontsize=6.5)
            if column == 0:
                axes.set_ylabel(word, fontsize=7)
    return figure


def _draw_map(axes, values: np.ndarray, inside: np.ndarray) -> None:
    sizes = np.abs(values[np.isfinite(values)])
    limit = float(np.percentile(sizes, PERCENTILE)) if sizes.size else 0.0
    limit = limit or (float(sizes.max()) if sizes.size else 0.0) or 1.0
    axes.imshow(np.ma.masked_invalid(values), cmap=COLOURS, vmin=-limit, vmax=limit, interpolation="none")
    axes.contour(inside.astype(float), levels=[0.5], colors="black", linewidths=0.7)
    axes.set_xticks([])
    axes.set_yticks([])


def mass_bars(rows: Sequence[Mapping], chance: float) -> Figure:
    """Draw the relevance mass inside the true pixels, before and after correction, a panel a method.

    Parameters
    ----------
    rows : sequence of mapping
        ``title, method, mass_inside, mass_inside_corrected``.
    chance : float
        The share of the pixels that lie inside.
    """
    methods = list(dict.fromkeys(row["method"] for row in rows))
    titles = list(dict.fromkeys(row["title"] for row in rows))
    figure = blank_figure(1.6 + 1.55 * len(methods), 0.8 + 0.28 * len(titles))
    for index, method in enumerate(methods):
        axes = figure.add_subplot(1, len(methods), index + 1)
        for row in rows:
            if row["method"] != method:
                continue
            at = titles.index(row["title"])
            for key, shift, colour in (("mass_inside", -0.2, BEFORE), ("mass_inside_corrected", 0.2, AFTER)):
                if row[key] is not None:
                    axes.barh(at + shift, row[key], 0.36, color=colour, linewidth=0)
        axes.axvline(chance, color="black", linewidth=0.7, linestyle=":")
        axes.set_xlim(0, 1)
        axes.set_ylim(len(titles) - 0.4, -0.6)
        axes.set_yticks(range(len(titles)), [label_text(t) for t in titles] if index == 0 else [])
        axes.set_title(label_text(method), fontsize=7.5, loc="left")
        axes.set_xlabel("mass inside", fontsize=7)
        tidy(axes)
    return figure


def decay_lines(lines: Sequence[tuple[str, np.ndarray, float | None]]) -> Figure:
    """Draw mean |relevance| of noise along the feed, and what decay is expected.

    Parameters
    ----------
    lines : sequence of (str, numpy.ndarray, float or None)
        Name of the network, mean |R| at each step, and the expected factor a step back.
    """
    figure = blank_figure(6.6, 3.4)
    axes = figure.add_subplot()
    colours = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#777777", "#000000")
    for number, (name, steps, expected) in enumerate(lines):
        colour = colours[number % len(colours)]
        relative = steps / np.nanmax(steps)
        at = np.arange(1, len(steps) + 1)
        axes.semilogy(at, np.maximum(relative, 1e-12), color=colour, linewidth=1, label=label_text(name))
        if expected is not None and expected > 0:
            last = relative[-min(10, len(relative)) :].mean()
            line = last * expected ** (len(steps) - at)
            axes.semilogy(at, np.maximum(line, 1e-12), color=colour, linewidth=0.8, linestyle=":")
    axes.set_xlabel("step of the feed", fontsize=8)
    axes.set_ylabel("mean |relevance|, largest = 1", fontsize=8)
    axes.legend(fontsize=6, frameon=False, ncol=2, loc="lower right")
    tidy(axes)
    return figure
