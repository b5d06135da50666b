"""Pictures of fact or artifact: the maps side by side, and a strip for each test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from ...ground.vocabulary.artifact_tests import ARTIFACT, UNTRAINED
from ..page.figures import blank_figure, label_text, tidy
from ..styles.layers import DIVERGING, about_zero

if TYPE_CHECKING:
    from .report import TestRow, WindowPicture

TITLES = ("relevance", "drawn whatever the input", "corrected")
# Colours end where all but two in a hundred pixels lie below, where no limit is given.
SHOWN_PERCENTILE = 98.0
# Opacity of what may be chance, as in QGIS.
FAINT = 80 / 255
SIGNIFICANT = 0.05


def maps_figure(pictures: Sequence[WindowPicture], unit: str, limit: float | None = None) -> Figure:
    """Draw map, artifact and corrected map of some windows in one scale, whose colours end at `limit`."""
    colours = LinearSegmentedColormap.from_list("relevance", DIVERGING)
    if limit is None:
        sizes = np.concatenate(
            [np.abs(picture.relevance[np.isfinite(picture.relevance)]) for picture in pictures]
        )
        limit = about_zero(float(np.percentile(sizes, SHOWN_PERCENTILE)) if len(sizes) else 0.0)
    any_fact = any((np.nan_to_num(picture.q_values, nan=1.0) <= SIGNIFICANT).any() for picture in pictures)
    figure = blank_figure(8.4, 2.7 * len(pictures) + 0.4)
    panels = figure.subplots(len(pictures), 3, squeeze=False)
    for row, picture in zip(panels, pictures):
        fact = np.nan_to_num(picture.q_values, nan=1.0) <= SIGNIFICANT
        for number, (axes, values) in enumerate(
            zip(row, (picture.relevance, picture.artifact, picture.corrected))
        ):
            alpha = np.isfinite(values).astype(float)
            if number == 2 and any_fact:
                alpha *= np.where(fact, 1.0, FAINT)
            image = axes.imshow(
                np.nan_to_num(values),
                cmap=colours,
                vmin=-limit,
                vmax=limit,
                alpha=alpha,
                interpolation="nearest",
            )
            if number == 2 and fact.any() and not fact.all():
                axes.contour(fact.astype(float), levels=[0.5], colors="black", linewidths=0.6)
            axes.set_xticks([])
            axes.set_yticks([])
        row[0].set_ylabel(label_text(picture.place.replace(", ", "\n")), fontsize=7)
    for axes, title in zip(panels[0], TITLES):
        axes.set_title(title, fontsize=9)
    bar = figure.colorbar(image, ax=panels, shrink=0.6, pad=0.01)
    bar.set_label(unit, fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return figure


def strips_figure(rows: Sequence[TestRow]) -> Figure:
    """Draw, for each test, where its statistic lies among what it is without an artifact."""
    figure = blank_figure(8.4, 0.5 + 0.42 * len(rows))
    axes = figure.add_subplot(1, 1, 1)
    for at, row in enumerate(rows):
        low, middle, high = row.quantiles
        width = max(high - low, 1e-12 * max(1.0, abs(high)))
        place = float(np.clip((row.statistic - middle) / width, -3.5, 3.5))
        axes.barh(at, (high - low) / width, 0.5, left=(low - middle) / width, color="#cccccc")
        hit = row.verdict in (ARTIFACT, UNTRAINED)
        axes.plot(place, at, marker="o", color="#b2182b" if hit else "#1a1a1a", markersize=5)
        p = row.p_holm if row.p_holm is not None else row.p
        axes.text(3.75, at, "" if p is None else f"p {p:.2g}", fontsize=7, va="center")
    axes.set_yticks(range(len(rows)), [label_text(row.name) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(-3.7, 4.6)
    axes.set_xlabel("distance from the null median, in widths of the null's 95 % range", fontsize=8)
    axes.set_xticks([-3, -2, -1, 0, 1, 2, 3])
    tidy(axes)
    return figure
