"""The parts of a QGIS style file (QML): renderers of rasters and polygons, legends, times.

A style is a renderer in a document::

    raster_style(pseudo_colour_renderer(1, entries, 0.0, 100.0, "DISCRETE"), start_time)

Nothing here needs QGIS; the format is that of QGIS 3.22, which every later version reads.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from xml.etree import ElementTree  # nosec B405 # styles are written, and none from elsewhere is read

DOCTYPE = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
SCENE_SECONDS = 60.0  # one Sentinel-1 EW frame takes about a minute


@dataclass(frozen=True)
class LegendEntry:
    """One colour of a legend.

    Parameters
    ----------
    value : float
        Class code, or the upper limit of a class of values.
    label : str
        What the legend says.
    colour : str
        ``#rrggbb``.
    opacity : int
        0 (not drawn) to 255.
    """

    value: float
    label: str
    colour: str
    opacity: int = 255


def column(field: str) -> str:
    """Return a field as an expression names it."""
    return '"' + field.replace('"', '""') + '"'


def raster_renderer(kind: str, band: int) -> ElementTree.Element:
    """Return an empty raster renderer of a kind that QGIS knows; its limits are not taken from the data."""
    renderer = ElementTree.Element(
        "rasterrenderer", type=kind, band=str(band), opacity="1", alphaBand="-1", nodataColor=""
    )
    ElementTree.SubElement(renderer, "rasterTransparency")
    origin = ElementTree.SubElement(renderer, "minMaxOrigin")
    # "None": the limits are those written here; QGIS must not take them from the data.
    ElementTree.SubElement(origin, "limits").text = "None"
    return renderer


def paletted_renderer(entries: Sequence[LegendEntry], band: int = 1) -> ElementTree.Element:
    """Return a renderer with a colour for each code."""
    renderer = raster_renderer("paletted", band)
    palette = ElementTree.SubElement(renderer, "colorPalette")
    for entry in entries:
        ElementTree.SubElement(
            palette,
            "paletteEntry",
            value=f"{entry.value:g}",
            color=entry.colour,
            alpha=str(entry.opacity),
            label=entry.label,
        )
    return renderer


def pseudo_colour_renderer(
    band: int,
    entries: Sequence[LegendEntry],
    minimum: float,
    maximum: float,
    kind: str,
    limits: tuple[str, str] | None = None,
) -> ElementTree.Element:
    """Return a pseudo-colour renderer: `kind` is 'DISCRETE' or 'INTERPOLATED'."""
    renderer = raster_renderer("singlebandpseudocolor", band)
    renderer.set("classificationMin", repr(minimum))
    renderer.set("classificationMax", repr(maximum))
    shader = ElementTree.SubElement(
        ElementTree.SubElement(renderer, "rastershader"),
        "colorrampshader",
        minimumValue=repr(minimum),
        maximumValue=repr(maximum),
        colorRampType=kind,
        classificationMode="1",
        clip="0",
        labelPrecision="3",
    )
    if kind == "INTERPOLATED":
        shader.append(_gradient(entries, minimum, maximum))
    for entry in entries:
        ElementTree.SubElement(
            shader,
            "item",
            value="inf" if math.isinf(entry.value) else repr(entry.value),
            color=entry.colour,
            alpha=str(entry.opacity),
            label=entry.label,
        )
    if limits:
        ElementTree.SubElement(
            shader,
            "rampLegendSettings",
            minimumLabel=limits[0],
            maximumLabel=limits[1],
            prefix="",
            suffix="",
            direction="0",
            orientation="2",
            useContinuousLegend="1",
        )
    return renderer


def _gradient(entries: Sequence[LegendEntry], minimum: float, maximum: float) -> ElementTree.Element:
    """Return the colour ramp that the continuous legend draws."""
    stops = ":".join(
        f"{(entry.value - minimum) / (maximum - minimum):g};{_rgba(entry.colour)}" for entry in entries[1:-1]
    )
    values = {
        "color1": _rgba(entries[0].colour),
        "color2": _rgba(entries[-1].colour),
        "discrete": "0",
        "rampType": "gradient",
        "stops": stops,
    }
    ramp = ElementTree.Element("colorramp", type="gradient", name="[source]")
    _options(ramp, values)
    return ramp


def _options(parent: ElementTree.Element, values: dict[str, str]) -> None:
    """Write options in the form of QGIS 3.22 and later, and in the one older readers know."""
    holder = ElementTree.SubElement(parent, "Option", type="Map")
    for name, value in values.items():
        ElementTree.SubElement(holder, "Option", type="QString", name=name, value=value)
    for name, value in values.items():
        ElementTree.SubElement(parent, "prop", k=name, v=value)


def _rgba(colour: str) -> str:
    return ",".join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5)) + ",255"


def raster_style(renderer: ElementTree.Element, start_time: str | None) -> str:
    """Return the style file of a raster; `start_time` (ISO 8601) drives the temporal controller."""
    root = ElementTree.Element("qgis", version="3.22.0", styleCategories="Symbology|Temporal")
    begin = instant_utc(start_time)
    if begin is not None:
        temporal = ElementTree.SubElement(root, "temporal", enabled="1", mode="0", fetchMode="0")
        period = ElementTree.SubElement(temporal, "fixedRange")
        ElementTree.SubElement(period, "start").text = begin.strftime("%Y-%m-%dT%H:%M:%SZ")
        end = begin + timedelta(seconds=SCENE_SECONDS)
        ElementTree.SubElement(period, "end").text = end.strftime("%Y-%m-%dT%H:%M:%SZ")
    pipe = ElementTree.SubElement(root, "pipe")
    pipe.append(renderer)
    ElementTree.SubElement(pipe, "brightnesscontrast", brightness="0", contrast="0", gamma="1")
    ElementTree.SubElement(pipe, "huesaturation", saturation="0", grayscaleMode="0", colorizeOn="0")
    ElementTree.SubElement(pipe, "rasterresampler", maxOversampling="2")
    ElementTree.SubElement(root, "blendMode").text = "0"
    return style_text(root)


def polygon_style(renderer: ElementTree.Element, colours: Sequence[str | None]) -> str:
    """Return the style file of polygons; a colour of None is an outline with a hatch."""
    symbols = ElementTree.SubElement(renderer, "symbols")
    for number, colour in enumerate(colours):
        symbol = ElementTree.SubElement(
            symbols, "symbol", type="fill", name=str(number), alpha="0.75", clip_to_extent="1", force_rhr="0"
        )
        layer = ElementTree.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1"})
        layer.set("pass", "0")
        layer.set("locked", "0")
        fill = {
            "color": _rgba(colour or "#808080"),
            "style": "solid" if colour else "b_diagonal",
            "outline_color": "80,80,80,255",
            "outline_style": "solid",
            "outline_width": "0.2",
            "outline_width_unit": "MM",
        }
        _options(layer, fill)
    root = ElementTree.Element("qgis", version="3.22.0", styleCategories="Symbology")
    root.append(renderer)
    ElementTree.SubElement(root, "blendMode").text = "0"
    ElementTree.SubElement(root, "layerGeometryType").text = "2"
    return style_text(root)


def outline_style(colour: str, width_mm: float, start_time: str | None = None) -> str:
    """Return the style of polygons that are outlines, through which the scene is seen."""
    filled = polygon_style(ElementTree.Element("renderer-v2", type="singleSymbol"), ["#ffffff"])
    root = ElementTree.fromstring(filled[len(DOCTYPE) :])  # nosec B314 # made by polygon_style
    changes = {"style": "no", "outline_color": _rgba(colour), "outline_width": f"{width_mm:g}"}
    for element in root.iter():
        key = "value" if element.tag == "Option" else "v"
        name = element.get("name" if element.tag == "Option" else "k")
        if element.tag in ("Option", "prop") and name in changes:
            element.set(key, changes[name])
    return timed(style_text(root), start_time)


def style_text(root: ElementTree.Element) -> str:
    """Return a style as the text of its file."""
    ElementTree.indent(root)
    return DOCTYPE + ElementTree.tostring(root, encoding="unicode") + "\n"


def instant_utc(start_time: str | None) -> datetime | None:
    """Return `start_time` in UTC; None where there is none, or none that can be read."""
    text = (start_time or "").strip()
    if not text:
        return None
    try:
        # Python 3.9 reads neither a trailing Z nor every number of decimals.
        instant = datetime.fromisoformat(re.sub(r"[.,]\d+", "", re.sub(r"[Zz]$", "+00:00", text)))
    except ValueError:
        return None
    if instant.tzinfo is None:
        return instant.replace(tzinfo=timezone.utc)
    return instant.astimezone(timezone.utc)


def timed(style: str, start_time: str | None) -> str:
    """Return a style of polygons with the time in which they are shown."""
    begin = instant_utc(start_time)
    if begin is None:
        return style
    root = ElementTree.fromstring(style[len(DOCTYPE) :])  # nosec B314 # a style of ours
    root.set("styleCategories", "Symbology|Temporal")
    temporal = ElementTree.Element("temporal", enabled="1", mode="0")
    period = ElementTree.SubElement(temporal, "fixedRange")
    for name, instant in (("start", begin), ("end", begin + timedelta(seconds=SCENE_SECONDS))):
        ElementTree.SubElement(period, name).text = instant.strftime("%Y-%m-%dT%H:%M:%SZ")
    root.insert(0, temporal)
    return style_text(root)
