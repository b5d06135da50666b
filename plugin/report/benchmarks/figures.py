"""Pictures of a benchmark: maps beside the true pixels, masses before and after correction, and decay along the feed.

Maps have a scale of their own each: what is compared is where relevance lies, not how much there is.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from ..page.figures import blank_figure, label_text, tidy

COLOURS = LinearSegmentedColormap.from_list("relevance", ["#5e3c99", "#ffffff", "#e66101"])
COLOURS.set_bad("#bbbbbb")
BEFORE, AFTER = "#999999", "#e66101"
PERCENTILE = 99.5  # of |relevance|, at which colours end
LINE_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#777777", "#000000")
FAINTEST = 1e-6  # share of the largest |relevance| at which the axis of decay begins
SMALL = 0.4  # shares that all stay below it are drawn on a scale of their own
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
    across = min(len(maps), _IN_A_ROW)
    lines = len(_LINES) * -(-len(maps) // _IN_A_ROW)
    rows, cols = inside.shape
    gap = max(3, cols // 5)  # room for two lines of text
    down, right = rows + gap, cols + gap  # from one map to the next
    # One picture of all maps: a hundred small ones take twenty seconds to draw.
    canvas = np.zeros((lines * down, across * right))
    figure = blank_figure(1.45 * across + 0.5, 1.45 * (lines * down + gap) / right)
    axes = figure.add_subplot()
    for number, (name, pair) in enumerate(maps):
        line, column = divmod(number, _IN_A_ROW)
        for below, values in enumerate(pair):
            top, left = (len(_LINES) * line + below) * down, column * right
            canvas[top : top + rows, left : left + cols] = values / _limit(values)
            frame = np.array([[0, 0], [cols, 0], [cols, rows], [0, rows], [0, 0]]) - 0.5
            axes.plot(*(frame + [left, top]).T, color="black", linewidth=0.6)
            at = np.arange(cols) + left, np.arange(rows) + top
            axes.contour(*at, inside.astype(float), levels=[0.5], colors="black", linewidths=0.7)
            if not below:
                title = textwrap.fill(label_text(name).replace("α ", "α\u00a0"), 24)
                axes.text(left + cols / 2, top - 0.06 * gap, title, fontsize=6, ha="center", va="bottom")
            if column == 0:
                axes.text(-2, top + rows / 2, _LINES[below], fontsize=7, rotation=90, ha="right", va="center")
    axes.imshow(np.ma.masked_invalid(canvas), cmap=COLOURS, vmin=-1, vmax=1, interpolation="none")
    axes.set_xlim(-0.08 * right, across * right)
    axes.set_ylim(lines * down, -gap)
    axes.set_axis_off()
    return figure


def _limit(values: np.ndarray) -> float:
    """Return the |relevance| at which the colours of a map end."""
    sizes = np.abs(values[np.isfinite(values)])
    limit = float(np.percentile(sizes, PERCENTILE)) if sizes.size else 0.0
    return limit or (float(sizes.max()) if sizes.size else 0.0) or 1.0


def paired_bars(
    rows: Sequence[Mapping], keys: tuple[str, str], label: str, mark: float | None = None
) -> Figure:
    """Draw a share before and after something was done, a panel a method, two bars a network.

    Parameters
    ----------
    rows : sequence of mapping
        ``title, method`` and the two shares, which may be None.
    keys : tuple of str
        Of the share before and of that after.
    label : str
        Of the axis.
    mark : float, optional
        Where a dotted line is drawn, such as chance.
    """
    methods = list(dict.fromkeys(row["method"] for row in rows))
    titles = list(dict.fromkeys(row["title"] for row in rows))
    largest = max((row[key] or 0.0 for row in rows for key in keys), default=0.0)
    limit = 1.0 if largest > SMALL or not largest else 1.05 * largest
    figure = blank_figure(1.6 + 1.55 * len(methods), 0.8 + 0.28 * len(titles))
    for index, method in enumerate(methods):
        axes = figure.add_subplot(1, len(methods), index + 1)
        for row in rows:
            if row["method"] != method:
                continue
            at = titles.index(row["title"])
            for key, shift, colour in zip(keys, (-0.2, 0.2), (BEFORE, AFTER)):
                if row[key] is not None:
                    axes.barh(at + shift, row[key], 0.36, color=colour, linewidth=0)
        if mark is not None:
            axes.axvline(mark, color="black", linewidth=0.7, linestyle=":")
        axes.set_xlim(0, limit)
        axes.set_ylim(len(titles) - 0.4, -0.6)
        axes.set_yticks(range(len(titles)), [label_text(t) for t in titles] if index == 0 else [])
        axes.set_title(label_text(method), fontsize=7.5, loc="left")
        axes.set_xlabel(label_text(label), fontsize=7)
        tidy(axes)
    return figure


@dataclass(frozen=True)
class DecayLine:
    """Relevance of noise along the feed of one network.

    Parameters
    ----------
    feed : str
        How it reads a field.
    leak : float
        Its leak rate.
    steps : numpy.ndarray
        Mean |R| at each step, the first one first.
    expected : float or None
        The factor a step back that the formula gives.
    """

    feed: str
    leak: float
    steps: np.ndarray
    expected: float | None


def decay_lines(lines: Sequence[DecayLine], feeds: Mapping[str, str]) -> Figure:
    """Draw mean |relevance| of noise along the feed, a panel a feed and a colour a leak rate, and what is expected.

    Parameters
    ----------
    lines : sequence of DecayLine
        The networks.
    feeds : mapping
        Feed → what a reader calls it.
    """
    shown = [feed for feed in feeds if any(line.feed == feed for line in lines)]
    leaks = sorted({line.leak for line in lines})
    figure = blank_figure(0.6 + 2.6 * len(shown), 2.9)
    for number, feed in enumerate(shown):
        axes = figure.add_subplot(1, len(shown), number + 1)
        for line in (line for line in lines if line.feed == feed):
            colour = LINE_COLOURS[leaks.index(line.leak) % len(LINE_COLOURS)]
            relative = line.steps / np.nanmax(line.steps)
            at = np.arange(1, len(relative) + 1)
            axes.semilogy(at, _shown(relative), color=colour, linewidth=1, label=f"α = {line.leak:g}")
            if line.expected is not None and line.expected > 0:
                last = np.nanmean(relative[-min(10, len(relative)) :])
                expected = last * line.expected ** (len(relative) - at)
                axes.semilogy(at, _shown(expected), color=colour, linewidth=0.8, linestyle=":")
        axes.set_ylim(FAINTEST, 2)
        axes.set_title(label_text(feeds[feed]), fontsize=7.5, loc="left")
        axes.set_xlabel("step of the feed", fontsize=7)
        if not number:
            axes.set_ylabel("mean |relevance|, largest = 1", fontsize=7)
            axes.legend(fontsize=6.5, frameon=False, loc="lower right")
        tidy(axes)
    return figure


def _shown(values: np.ndarray) -> np.ndarray:
    """Return values without what lies below the axis."""
    return np.where(values >= FAINTEST, values, np.nan)
