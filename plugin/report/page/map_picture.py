"""Small maps side by side for a report: the scene, what the network maps, what it relies on.

Arrays come with the longitude and latitude of their pixels, from which a graticule, an arrow to the north and a scale
bar are drawn. They stay in the scene's own rows and columns, as in the rasters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, Colormap, LinearSegmentedColormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from ..styles.layers import CONCENTRATION_CLASSES, DIVERGING, about_zero
from ..styles.qml import LegendEntry
from .figures import blank_figure, label_text

GREY, RELEVANCE, CONCENTRATION, CLASSES = "grey", "relevance", "concentration", "classes"
_STEPS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30)  # degrees between lines of the graticule
_WIDTH = 10.3  # inches of all maps
_LINES = 4  # of longitude and of latitude, at most about
_NEAR_POLE = 89.0  # degrees: meridians are not drawn where they crowd
_KM_A_DEGREE = 111.195  # of latitude, on a sphere of 6371 km


@dataclass(frozen=True)
class MapPanel:
    """One of the maps.

    Parameters
    ----------
    title : str
        Above it.
    values : numpy.ndarray
        (row, column); NaN is left white.
    colours : str
        GREY, RELEVANCE, CONCENTRATION (%) or CLASSES (codes).
    unit : str
        Below its colours; nothing for classes.
    limit : float
        Where the colours of RELEVANCE end.
    classes : tuple of LegendEntry
        Code, name and colour, for CLASSES.
    """

    title: str
    values: np.ndarray
    colours: str
    unit: str = ""
    limit: float = 1.0
    classes: tuple[LegendEntry, ...] = ()


@dataclass(frozen=True)
class MapPicture:
    """Maps of one place, side by side.

    Parameters
    ----------
    panels : tuple of MapPanel
        Their arrays have one shape.
    lon, lat : numpy.ndarray
        (row, column), degrees: where the pixels of the panels lie.
    """

    panels: tuple[MapPanel, ...]
    lon: np.ndarray
    lat: np.ndarray


def map_figure(picture: MapPicture) -> Figure:
    """Draw the maps, each with its colours; the first has scale bar, arrow to the north and coordinates."""
    rows, cols = picture.lat.shape
    width = _WIDTH / max(len(picture.panels), 2)
    figure = blank_figure(width * len(picture.panels), 0.95 + min(1.6, max(0.6, rows / cols)) * width)
    for number, panel in enumerate(picture.panels):
        axes = figure.add_subplot(1, len(picture.panels), number + 1)
        axes.set_xticks([])
        axes.set_yticks([])
        _draw(figure, axes, panel)
        _graticule(axes, picture, labelled=number == 0)
        if not number:
            _scale_bar(axes, picture)
            _north_arrow(axes, picture)
    return figure


def _draw(figure: Figure, axes: Axes, panel: MapPanel) -> None:
    colours, norm = _colours_of(panel)
    image = axes.imshow(
        np.ma.masked_invalid(panel.values), cmap=colours, norm=norm, interpolation="nearest", aspect="equal"
    )
    axes.set_title(label_text(panel.title), fontsize=8)
    bar = figure.colorbar(image, ax=axes, orientation="horizontal", shrink=0.9, pad=0.02, aspect=25)
    if panel.colours == CLASSES:
        bar.ax.set_visible(False)  # it keeps the place, so that all maps have one height
        there = set(np.unique(panel.values[np.isfinite(panel.values)]).astype(int))
        keys = [
            Patch(facecolor=entry.colour, edgecolor="#777777", label=label_text(entry.label))
            for entry in panel.classes
            if int(entry.value) in there
        ]
        axes.legend(
            handles=keys, fontsize=6, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncol=2
        )
        return
    bar.set_label(label_text(panel.unit), fontsize=7)
    bar.ax.tick_params(labelsize=6)
    if panel.colours == RELEVANCE:
        bar.set_ticks([-norm.vmax, 0.0, norm.vmax])
        bar.set_ticklabels([f"\u2212{norm.vmax:.2g}", "0", f"{norm.vmax:.2g}"])
    elif panel.colours == CONCENTRATION:
        bar.set_ticks([0, 10, 35, 65, 85, 100])
    else:
        bar.locator = MaxNLocator(4)
        bar.update_ticks()


def _colours_of(panel: MapPanel) -> tuple[Colormap, Normalize]:
    """Return the colours of a panel and how values become places in them."""
    if panel.colours == RELEVANCE:
        limit = about_zero(panel.limit)
        return LinearSegmentedColormap.from_list("relevance", DIVERGING), Normalize(-limit, limit)
    if panel.colours == CONCENTRATION:
        shades = [entry.colour for entry in CONCENTRATION_CLASSES]
        edges = [0.0, *(entry.value for entry in CONCENTRATION_CLASSES[:-1]), 100.0]
        return ListedColormap(shades), BoundaryNorm(edges, len(shades), clip=True)
    if panel.colours == CLASSES:
        ordered = sorted(panel.classes, key=lambda entry: entry.value)
        edges = [ordered[0].value - 0.5, *(entry.value + 0.5 for entry in ordered)]
        return ListedColormap([entry.colour for entry in ordered]), BoundaryNorm(edges, len(ordered))
    known = panel.values[np.isfinite(panel.values)]
    low, high = np.percentile(known, (2, 98)) if known.size else (0.0, 1.0)
    return LinearSegmentedColormap.from_list("grey", ["#000000", "#ffffff"]), Normalize(
        low, max(high, low + 1e-6)
    )


def _graticule(axes: Axes, picture: MapPicture, labelled: bool) -> None:
    """Draw meridians and parallels; their degrees where they meet the left and the lower side, where `labelled`."""
    middle = float(np.nanmedian(picture.lon))
    lon = (picture.lon - middle + 180.0) % 360.0 - 180.0 + middle  # no jump at the antimeridian
    layers = [(picture.lat, "N", "S")]
    if np.nanmax(np.abs(picture.lat)) < _NEAR_POLE:
        layers.append((lon, "E", "W"))
    sides: tuple[dict[float, str], dict[float, str]] = ({}, {})
    for degrees, positive, negative in layers:
        if min(degrees.shape) < 2 or not np.isfinite(degrees).all():
            continue
        low, high = float(degrees.min()), float(degrees.max())
        step = next((s for s in _STEPS if (high - low) / s <= _LINES), _STEPS[-1])
        levels = step * np.arange(math.ceil(low / step), math.floor(high / step) + 1)
        if len(levels):
            axes.contour(degrees, levels=levels, colors="#7f7f7f", linewidths=0.5)
        for side, along in zip(sides, (degrees[:, 0], degrees[-1])):
            for level in levels:
                side.update(
                    {place: _degrees_text(level, positive, negative) for place in _crossings(along - level)}
                )
    if labelled:
        left, below = (_apart(side, size) for side, size in zip(sides, picture.lat.shape))
        axes.set_yticks(list(left), list(left.values()), fontsize=5.5, rotation=90, va="center")
        axes.set_xticks(list(below), list(below.values()), fontsize=5.5)
        axes.tick_params(length=2, width=0.5, pad=1.5)


def _crossings(values: np.ndarray) -> np.ndarray:
    """Return the places, as fractions of an index, at which values change their sign."""
    at = np.flatnonzero((values[:-1] < 0) != (values[1:] < 0))
    return at + values[at] / (values[at] - values[at + 1])


def _apart(labels: dict[float, str], size: int) -> dict[float, str]:
    """Return labels by their places without those that would cover another."""
    kept: dict[float, str] = {}
    for place in sorted(labels):
        if not kept or place - max(kept) > 0.16 * size:
            kept[place] = labels[place]
    return kept


def _degrees_text(value: float, positive: str, negative: str) -> str:
    turned = (value + 180.0) % 360.0 - 180.0 if positive == "E" else value
    return f"{abs(round(turned, 6)):g}\u00b0 {positive if turned >= 0 else negative}"


def metres_a_pixel(picture: MapPicture) -> float:
    """Return how many metres lie between neighbouring columns in the middle of a picture, on a sphere; NaN for one."""
    rows, cols = picture.lat.shape
    if cols < 2:
        return math.nan
    row, left = rows // 2, max(0, cols // 2 - 1)
    lon, lat = np.radians(picture.lon[row, left : left + 2]), np.radians(picture.lat[row, left : left + 2])
    chord = np.sin(np.diff(lat) / 2) ** 2 + np.cos(lat[0]) * np.cos(lat[1]) * np.sin(np.diff(lon) / 2) ** 2
    return float(2e3 * _KM_A_DEGREE * np.degrees(np.arcsin(np.sqrt(chord)))[0])


def _scale_bar(axes: Axes, picture: MapPicture) -> None:
    metres = metres_a_pixel(picture)
    rows, cols = picture.lat.shape
    if not math.isfinite(metres) or metres <= 0:
        return
    most = 0.4 * cols * metres / 1000.0
    power = 10.0 ** math.floor(math.log10(most))
    km = max(factor * power for factor in (1, 2, 5) if factor * power <= most)
    length, at = km * 1000.0 / metres, rows * 0.95
    axes.plot(
        [cols * 0.04, cols * 0.04 + length], [at, at], color="white", linewidth=4, solid_capstyle="butt"
    )
    axes.plot(
        [cols * 0.04, cols * 0.04 + length], [at, at], color="black", linewidth=2, solid_capstyle="butt"
    )
    axes.text(
        cols * 0.04 + length / 2,
        rows * 0.925,
        f"{km:g} km",
        fontsize=6.5,
        ha="center",
        va="bottom",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.8},
    )


def north_of(picture: MapPicture) -> tuple[float, float] | None:
    """Return the unit vector (rows, columns) along which latitude grows in the middle; None where it does not."""
    if min(picture.lat.shape) < 2:
        return None
    down, across = np.gradient(picture.lat)
    row, col = picture.lat.shape[0] // 2, picture.lat.shape[1] // 2
    size = math.hypot(down[row, col], across[row, col])
    return (float(down[row, col] / size), float(across[row, col] / size)) if size > 0 else None


def _north_arrow(axes: Axes, picture: MapPicture) -> None:
    north = north_of(picture)
    if north is None or not all(map(math.isfinite, north)):
        return
    rows, cols = picture.lat.shape
    length = 0.07 * min(rows, cols)
    middle = 0.12 * min(rows, cols), cols - 0.12 * min(rows, cols)
    tip = middle[1] + north[1] * length, middle[0] + north[0] * length
    axes.annotate(
        "N",
        xy=tip,
        xytext=(middle[1] - north[1] * length, middle[0] - north[0] * length),
        fontsize=7,
        ha="center",
        va="center",
        arrowprops={"arrowstyle": "-|>", "color": "black", "linewidth": 1.2},
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.8},
    )
