"""Pictures for reports: matplotlib's Figure on its SVG canvas, never pyplot.

Colours are Okabe and Ito's, which colour-blind people can distinguish; sensors differ in hatching too, so
that a grey print still says which is which. The same values give the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path

SENSOR_COLOURS = {"sar": "#0072b2", "mwr": "#d55e00", "ancillary": "#009e73"}
OTHER_COLOURS = ("#cc79a7", "#56b4e9", "#e69f00", "#777777")
HATCHES = {"sar": "", "mwr": "////", "ancillary": "...."}
SHOWN = 100  # components in one chart: more are not legible in print, the largest are shown
_A_COLUMN = 50


def sensor_colour(sensor: str) -> str:
    """Return the colour of a sensor, the same in every picture."""
    if sensor in SENSOR_COLOURS:
        return SENSOR_COLOURS[sensor]
    return OTHER_COLOURS[sum(map(ord, sensor)) % len(OTHER_COLOURS)] if sensor else "#777777"


def svg(figure: Figure, name: str, description: str) -> str:
    """Return a figure as an SVG element to be put into HTML.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What to draw.
    name : str
        Letters and digits, another one for each picture of a page: prefix of all ids inside.
    description : str
        Read aloud in place of the picture.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "floelens", "svg.fonttype": "path"}):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)  # labels a second time, as comments
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    label = description.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    text = text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    # glyphs and helpers print many digits: nothing a reader can see is lost beyond the third
    return re.sub(r"(\d+\.\d{3})\d+", r"\1", text)


def png(figure: Figure, dots_per_inch: int = 110) -> bytes:
    """Return a figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", dpi=dots_per_inch, metadata={"Software": None})
    return buffer.getvalue()


def label_text(text: object) -> str:
    """Return a text that matplotlib does not take for mathematics."""
    return str(text).replace("$", r"\$")


def blank_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches."""
    return Figure(figsize=(width, height), constrained_layout=True)


def tidy(axes) -> None:
    """Take away what no reader needs."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=7)


def component_bars(rows: Sequence[Mapping]) -> tuple[Figure, int]:
    """Draw z of the components of one class, naive and robust side by side.

    Parameters
    ----------
    rows : sequence of mapping
        Of the table of Z-scores: ``component, sensor, z, z_robust``.

    Returns
    -------
    figure : matplotlib.figure.Figure
    shown : int
        How many components are drawn: all, or the largest.
    """
    scored = [row for row in rows if row["z"] is not None]
    if len(scored) > SHOWN:
        limit = sorted((abs(row["z"]) for row in scored), reverse=True)[SHOWN - 1]
        scored = [row for row in scored if abs(row["z"]) >= limit][:SHOWN]
    columns = max(1, -(-len(scored) // _A_COLUMN))
    height = -(-max(len(scored), 1) // columns)
    figure = blank_figure(4.6 if columns == 1 else 4.3 * columns, 1.0 + 0.155 * height)
    largest = max(
        (abs(row[key]) for row in scored for key in ("z", "z_robust") if row[key] is not None), default=1.0
    )
    robust = any(row["z_robust"] is not None for row in scored)
    for column in range(columns):
        axes = figure.add_subplot(1, columns, column + 1)
        part = scored[column * height : (column + 1) * height]
        for at, row in enumerate(part):
            colour, hatch = sensor_colour(row["sensor"]), HATCHES.get(row["sensor"], "xx")
            if row["z_robust"] is None:
                axes.barh(at, row["z"], 0.72, color="white", edgecolor=colour, linewidth=0.7, hatch=hatch)
            else:
                axes.barh(at - 0.2, row["z"], 0.36, color="white", edgecolor=colour, linewidth=0.7)
                axes.barh(
                    at + 0.2, row["z_robust"], 0.36, color=colour, edgecolor="white", linewidth=0, hatch=hatch
                )
        axes.set_yticks(range(len(part)), [label_text(row["component"]) for row in part])
        axes.set_ylim(height - 0.4, -0.6)
        axes.set_xlim(-1.05 * largest, 1.05 * largest)
        axes.axvline(0, color="black", linewidth=0.7)
        axes.set_xlabel("z", fontsize=8)
        tidy(axes)
        axes.tick_params(axis="y", length=0, labelsize=6.5)
    keys = [
        Patch(
            facecolor=sensor_colour(sensor) if robust else "white",
            edgecolor="white" if robust else sensor_colour(sensor),
            hatch=HATCHES.get(sensor, "xx"),
            label=label_text(sensor or "no sensor"),
        )
        for sensor in dict.fromkeys(row["sensor"] for row in scored)
    ]
    if robust:
        keys += [
            Patch(facecolor="white", edgecolor="black", label="naive"),
            Patch(facecolor="#555555", edgecolor="#555555", label="robust"),
        ]
    if keys:
        figure.legend(
            handles=keys,
            loc="outside upper left" if _outside() else "upper left",
            fontsize=7,
            ncol=len(keys),
            frameon=False,
        )
        if not _outside():
            figure.get_axes()[0].set_title(" ", fontsize=9)  # room for the legend
    return figure, len(scored)


def _outside() -> bool:
    """Return whether this matplotlib can put a legend outside of the axes (3.7 on)."""
    return tuple(int(part) for part in matplotlib.__version__.split(".")[:2]) >= (3, 7)


def group_bars(groups: Sequence[Mapping]) -> Figure:
    """Draw mean absolute z by sensor, scale, frequency and polarisation.

    Parameters
    ----------
    groups : sequence of mapping
        Of the table of groups: ``kind, group, mean_abs_z, mean_abs_z_robust``.
    """
    kinds = list(dict.fromkeys(group["kind"] for group in groups)) or ["sensor"]
    members = {kind: [group for group in groups if group["kind"] == kind] for kind in kinds}
    tallest = max(1, *(len(part) for part in members.values()))
    figure = blank_figure(8.6, 1.0 + 0.26 * tallest)
    for index, kind in enumerate(kinds):
        axes = figure.add_subplot(1, len(kinds), index + 1)
        for at, group in enumerate(members[kind]):
            colour = sensor_colour(group["group"]) if kind == "sensor" else "#555555"
            if group["mean_abs_z"] is not None:
                axes.barh(at - 0.2, group["mean_abs_z"], 0.36, color="white", edgecolor=colour, linewidth=0.8)
            if group["mean_abs_z_robust"] is not None:
                axes.barh(
                    at + 0.2,
                    group["mean_abs_z_robust"],
                    0.36,
                    color=colour,
                    edgecolor="white",
                    linewidth=0,
                    hatch=HATCHES.get(group["group"], "xx") if kind == "sensor" else "",
                )
        axes.set_yticks(range(len(members[kind])), [label_text(group["group"]) for group in members[kind]])
        axes.set_ylim(tallest - 0.4, -0.6)
        axes.set_title(label_text(f"by {kind}"), fontsize=8, loc="left")
        axes.set_xlabel("mean |z|", fontsize=8)
        tidy(axes)
    return figure


def correlation_map(correlation: np.ndarray, names: Sequence[str]) -> Figure:
    """Draw the correlation of the components, from purple (-1) over white (0) to orange (1).

    Parameters
    ----------
    correlation : numpy.ndarray
        (component, component); NaN is drawn grey.
    names : sequence of str
        The components; written where there is room for them.
    """
    m = len(names)
    figure = blank_figure(6.6, 5.8)
    axes = figure.add_subplot()
    colours = matplotlib.colors.LinearSegmentedColormap.from_list(
        "relevance", ["#5e3c99", "#ffffff", "#e66101"]
    )
    colours.set_bad("#bbbbbb")
    image = axes.imshow(
        np.ma.masked_invalid(correlation), cmap=colours, vmin=-1, vmax=1, interpolation="nearest"
    )
    step = max(1, -(-m // 60))
    at = range(0, m, step)
    axes.set_xticks(at, [label_text(names[j]) for j in at], rotation=90)
    axes.set_yticks(at, [label_text(names[j]) for j in at])
    axes.tick_params(labelsize=5, length=1.5)
    bar = figure.colorbar(image, ax=axes, shrink=0.7)
    bar.set_label("correlation", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return figure


def clustering_plot(clusterings: Sequence[Mapping]) -> Figure:
    """Draw how much wider errors get with larger blocks: median and middle half of the components.

    Parameters
    ----------
    clusterings : sequence of mapping
        ``clustering, block_km`` (None for whole scenes), ``clusters, ratio_low, ratio_median, ratio_high``.
    """
    rows = sorted(clusterings, key=lambda row: (row["block_km"] is None, row["block_km"] or 0.0))
    figure = blank_figure(6.0, 2.9)
    axes = figure.add_subplot()
    at = range(len(rows))
    medians = [row["ratio_median"] for row in rows]
    for place, row in zip(at, rows):
        axes.plot(
            [place, place], [row["ratio_low"], row["ratio_high"]], color="#0072b2", linewidth=3, alpha=0.5
        )
    blocks = [place for place, row in zip(at, rows) if row["block_km"] is not None]
    axes.plot(blocks, [medians[place] for place in blocks], color="#0072b2", linewidth=1)
    axes.plot(at, medians, "o", color="#0072b2", markeredgecolor="white")
    names = [
        f"{row['block_km']:g} km" if row["block_km"] is not None else label_text(row["clustering"])
        for row in rows
    ]
    axes.set_xticks(at, [f"{name}\n({row['clusters']})" for name, row in zip(names, rows)])
    axes.axhline(1, color="black", linewidth=0.7)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("size of the blocks (how many there are)", fontsize=8)
    axes.set_ylabel("robust / naive error", fontsize=8)
    tidy(axes)
    return figure


def zone_map(
    shapes: Sequence[Sequence[np.ndarray]], rows: Sequence[Mapping], sensors: Sequence[str]
) -> Figure:
    """Draw zones by the sensor that varies most, and the strength of each sensor.

    Parameters
    ----------
    shapes : sequence of sequences of numpy.ndarray
        For each zone its rings, (vertex, 2): x and y on a map plane; holes are rings too.
    rows : sequence of mapping
        For each zone ``leading_sensor`` and ``strength_<sensor>``.
    sensors : sequence of str
        The sensors, in order.
    """
    figure = blank_figure(3.0 * (1 + len(sensors)), 3.5)
    leading = figure.add_subplot(1, 1 + len(sensors), 1)
    for rings, row in zip(shapes, rows):
        sensor = row.get("leading_sensor") or ""
        colour = sensor_colour(sensor) if sensor else "#ffffff"
        leading.add_patch(
            PathPatch(
                _outline(rings),
                facecolor=colour,
                edgecolor="white" if sensor else "#777777",
                hatch=HATCHES.get(sensor, "xx") if sensor else "xx",
                linewidth=0.5,
            )
        )
    leading.set_title("varies most", fontsize=8, loc="left")
    keys = [
        Patch(
            facecolor=sensor_colour(sensor),
            edgecolor="white",
            hatch=HATCHES.get(sensor, "xx"),
            label=label_text(sensor),
        )
        for sensor in sensors
    ]
    keys.append(Patch(facecolor="white", edgecolor="#777777", hatch="xx", label="no score"))
    leading.legend(
        handles=keys, fontsize=6, frameon=False, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncol=3
    )
    values = {sensor: [row.get(f"strength_{sensor}") for row in rows] for sensor in sensors}
    known = [value for part in values.values() for value in part if value is not None]
    norm = matplotlib.colors.Normalize(0.0, max(known, default=1.0))
    colours = (
        matplotlib.colormaps["cividis"]
        if hasattr(matplotlib, "colormaps")
        else matplotlib.cm.get_cmap("cividis")
    )
    panels = []
    for index, sensor in enumerate(sensors):
        axes = figure.add_subplot(1, 1 + len(sensors), 2 + index)
        for rings, value in zip(shapes, values[sensor]):
            blank = value is None
            axes.add_patch(
                PathPatch(
                    _outline(rings),
                    facecolor="white" if blank else colours(norm(value)),
                    edgecolor="#777777" if blank else "white",
                    hatch="xx" if blank else "",
                    linewidth=0.5,
                )
            )
        axes.set_title(label_text(f"strength of {sensor}"), fontsize=8, loc="left")
        panels.append(axes)
    for axes in (leading, *panels):
        axes.autoscale_view()
        axes.set_aspect("equal")
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(False)
    if panels:
        bar = figure.colorbar(matplotlib.cm.ScalarMappable(norm, colours), ax=panels, shrink=0.7)
        bar.set_label("z of the summed contribution", fontsize=7)
        bar.ax.tick_params(labelsize=6)
    return figure


def _outline(rings: Sequence[np.ndarray]) -> Path:
    vertices, codes = [], []
    for ring in rings:
        ring = np.asarray(ring, dtype=float)
        closed = ring if np.array_equal(ring[0], ring[-1]) else np.vstack([ring, ring[:1]])
        vertices.append(closed)
        codes += [Path.MOVETO, *[Path.LINETO] * (len(closed) - 2), Path.CLOSEPOLY]
    return Path(np.vstack(vertices), codes)


def relevance_bars(channels: Sequence[Mapping], unit: str = "logit") -> Figure:
    """Draw what speaks for and against, and the net, by channel.

    Parameters
    ----------
    channels : sequence of mapping
        ``channel, sensor, positive, negative, net``.
    unit : str
        Of the numbers.
    """
    figure = blank_figure(7.2, 1.0 + 0.24 * len(channels))
    axes = figure.add_subplot()
    for at, row in enumerate(channels):
        colour, hatch = sensor_colour(row["sensor"]), HATCHES.get(row["sensor"], "xx")
        for value in (row["positive"], row["negative"]):
            axes.barh(at, value, 0.7, color="white", edgecolor=colour, hatch=hatch, linewidth=0.7)
        axes.plot([row["net"]], [at], "D", color="black", markersize=3.5)
    axes.set_yticks(range(len(channels)), [label_text(row["channel"]) for row in channels])
    axes.set_ylim(len(channels) - 0.4, -0.6)
    axes.axvline(0, color="black", linewidth=0.7)
    axes.set_xlabel(f"speaks against \u2190 {unit} \u2192 speaks for", fontsize=8)
    keys = [
        Patch(
            facecolor="white",
            edgecolor=sensor_colour(sensor),
            hatch=HATCHES.get(sensor, "xx"),
            label=label_text(sensor),
        )
        for sensor in dict.fromkeys(row["sensor"] for row in channels)
    ]
    keys.append(
        matplotlib.lines.Line2D([], [], marker="D", color="black", linestyle="", markersize=3.5, label="net")
    )
    axes.legend(
        handles=keys, fontsize=7, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncol=len(keys)
    )
    tidy(axes)
    return figure
