"""QGIS styles (QML) for what the jobs write: how an analyst sees a result.

Every function returns the text of a ``.qml`` file. A job writes it beside its raster or polygons
(:func:`sidecar`), so that a file opened by hand is styled like one that a tool has just made::

    sidecar("ice.tif").write_text(concentration_style(start_time="2021-03-04T07:12:00Z"))

Values are never scaled or clipped in the file: limits live in the renderer only. Land and pixels
without data are not drawn, and have legend entries that say so.

Nothing here needs QGIS; the format is that of QGIS 3.22, which every later version reads.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from xml.etree import ElementTree

DOCTYPE = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
SCENE_SECONDS = 60.0  # one Sentinel-1 EW frame takes about a minute
LAND_COLOUR = "#c8b48c"
NOT_MAPPED = "land or no data (not mapped)"  # the coverage layer tells them apart


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


# WMO total-concentration colours. A class of tenths reaches to half way to the next one; a network's
# probability never is exactly 0, hence "ice free" up to 1 %.
CONCENTRATION_CLASSES = (
    LegendEntry(1.0, "ice free (below 1 %)", "#0064ff"),
    LegendEntry(10.0, "less than 1/10 (1 to 10 %)", "#96c8ff"),
    LegendEntry(35.0, "1/10 to 3/10 (10 to 35 %)", "#8cffa0"),
    LegendEntry(65.0, "4/10 to 6/10 (35 to 65 %)", "#ffff00"),
    LegendEntry(85.0, "7/10 to 8/10 (65 to 85 %)", "#ff7d07"),
    LegendEntry(math.inf, "9/10 to 10/10 (above 85 %)", "#ff0000"),
)

# Purple - white - orange, from "against" to "for": red and green belong to concentration.
DIVERGING = ("#542788", "#998ec3", "#ffffff", "#f1a340", "#b35806")


def sidecar(path: str | Path) -> Path:
    """Return where QGIS looks for the style of the file `path`."""
    return Path(path).with_suffix(".qml")


def concentration_style(*, start_time: str | None = None, land_value: float | None = None) -> str:
    """Return the style of a concentration raster (%, NaN = no data) in the WMO colours.

    Parameters
    ----------
    start_time : str, optional
        Start of the scene, ISO 8601; it drives the temporal controller.
    land_value : float, optional
        Negative value that stands for land, where the raster has one.
    """
    entries = list(CONCENTRATION_CLASSES)
    if land_value is not None:
        if land_value >= 0:
            raise ValueError("land in a concentration raster needs a negative value")
        entries.insert(0, LegendEntry(land_value / 2, "land", LAND_COLOUR))
    lowest = 2 * (land_value or -1.0)
    entries.insert(0, LegendEntry(lowest, _not_mapped(land_value), "#ffffff", 0))
    return _raster(_pseudo_colour(1, entries, 0.0, 100.0, "DISCRETE"), start_time)


def concentration_ramp_style(*, start_time: str | None = None) -> str:
    """Return the second style of a concentration raster: the same colours, continuous."""
    middles = (0.0, 5.0, 20.0, 50.0, 75.0, 100.0)
    entries = [
        LegendEntry(value, f"{value:g} %", entry.colour)
        for value, entry in zip(middles, CONCENTRATION_CLASSES)
    ]
    return _raster(
        _pseudo_colour(1, entries, 0.0, 100.0, "INTERPOLATED", limits=("0 %", "100 % ice")), start_time
    )


def class_style(
    classes: Sequence[LegendEntry],
    *,
    nodata: float | None = None,
    land_value: float | None = None,
    start_time: str | None = None,
) -> str:
    """Return the style of a raster of class codes, with the colours and names of the model card.

    Parameters
    ----------
    classes : sequence of LegendEntry
        One a class: its code, name and colour.
    nodata, land_value : float, optional
        Codes of pixels that are not mapped and of land; entries of their own in the legend.
    start_time : str, optional
        Start of the scene, ISO 8601.
    """
    entries = list(classes)
    if land_value is not None:
        entries.append(LegendEntry(land_value, "land", LAND_COLOUR))
    if nodata is not None:
        entries.append(LegendEntry(nodata, _not_mapped(land_value), "#ffffff", 0))
    renderer = _renderer("paletted", 1)
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
    return _raster(renderer, start_time)


def probability_style(class_name: str, *, band: int = 1, start_time: str | None = None) -> str:
    """Return the style of a raster of probabilities (0 to 1), one band a class."""
    ramp = [
        LegendEntry(0.0, "0", "#fcfbfd"),
        LegendEntry(0.5, "0.5", "#9ebcda"),
        LegendEntry(1.0, "1", "#08306b"),
    ]
    limits = (f"probability of {class_name}: 0", "1")
    return _raster(_pseudo_colour(band, ramp, 0.0, 1.0, "INTERPOLATED", limits=limits), start_time)


def uncertainty_style(class_count: int, *, start_time: str | None = None) -> str:
    """Return the style of an entropy raster, in bits; `class_count` sets the most there can be."""
    most = math.log2(max(2, class_count))
    ramp = [
        LegendEntry(0.0, "0", "#ffffff"),
        LegendEntry(most / 2, f"{most / 2:.3g}", "#bdbdbd"),
        LegendEntry(most, f"{most:.3g}", "#252525"),
    ]
    limits = ("sure (0 bit)", f"undecided ({most:.3g} bit)")
    return _raster(_pseudo_colour(1, ramp, 0.0, most, "INTERPOLATED", limits=limits), start_time)


def channel_style(low: float, high: float, unit: str, *, band: int = 1, start_time: str | None = None) -> str:
    """Return the style of one channel of a scene, in greys from `low` to `high`.

    QGIS would draw a raster of several channels as red, green and blue; for backscatter in dB or
    brightness temperatures in K that means nothing.
    """
    greys = [LegendEntry(low, f"{low:g}", "#000000"), LegendEntry(high, f"{high:g}", "#ffffff")]
    limits = (f"{low:g} {unit}", f"{high:g} {unit}")
    return _raster(_pseudo_colour(band, greys, low, high, "INTERPOLATED", limits=limits), start_time)


def backscatter_style(*, start_time: str | None = None) -> str:
    """Return the style of backscatter in dB: band 1, -25 to -5 dB."""
    return channel_style(-25.0, -5.0, "dB", start_time=start_time)


def brightness_temperature_style(*, start_time: str | None = None) -> str:
    """Return the style of brightness temperatures: band 1, 80 K (water at 6.9 GHz) to 260 K (ice)."""
    return channel_style(80.0, 260.0, "K", start_time=start_time)


def relevance_style(
    class_name: str,
    limit: float,
    *,
    band: int = 1,
    footprint_km: Sequence[float] | None = None,
    start_time: str | None = None,
    slopes: bool = False,
    unit: str = "",
) -> str:
    """Return the style of a relevance raster: purple speaks against the class, orange for it.

    A relevance raster has one band a channel. QGIS shows one band at a time: `band`, the first one
    unless told otherwise; another is chosen in the layer's symbology, and the legend's head names
    the band shown.

    Parameters
    ----------
    class_name : str
        The class explained.
    limit : float
        Relevance (logit) at which the colours end, a high percentile of the absolute relevance.
        Zero-centred; a limit that is not a positive number counts as 1.
    band : int
        Band shown, from 1.
    footprint_km : sequence of float, optional
        Footprint of the channel of `band`, for a microwave radiometer.
    start_time : str, optional
        Start of the scene, ISO 8601.
    slopes : bool
        Whether the values are slopes, not relevance: what a rise of the channel would do.
    unit : str
        Of the values, for the legend; default: logit, or logit per sd for slopes.
    """
    limit = about_zero(limit)
    speaks = ": a rise speaks" if slopes else " speaks"
    unit = unit or ("logit per sd" if slopes else "logit")
    limits = (
        # The number first: the layer panel cuts what is long.
        f"≤ −{_short(limit)}{speaks} against {class_name} ({unit})",
        f"≥ {_short(limit)}{speaks} for {class_name} ({unit})" + footprint_note(footprint_km),
    )
    return diverging_style(limit, limits, band=band, start_time=start_time, clear_zero=True)


def about_zero(limit: float) -> float:
    """Return where colours about zero end: `limit`, or 1 where that is not a positive number."""
    return float(limit) if math.isfinite(limit) and limit > 0 else 1.0


def diverging_style(
    limit: float,
    limits: tuple[str, str],
    *,
    band: int = 1,
    start_time: str | None = None,
    clear_zero: bool = False,
) -> str:
    """Return the style purple - white - orange from -`limit` to `limit`; `limits`: what its ends are called.

    With `clear_zero` what is zero to the last digit is not drawn: there nothing acts on the class, as
    around a point or polygons that were explained, and layers below show.
    """
    entries = [
        LegendEntry(limit * share, f"{limit * share:.3g}", colour)
        for share, colour in zip((-1.0, -0.5, 0.0, 0.5, 1.0), DIVERGING)
    ]
    renderer = _pseudo_colour(band, entries, -limit, limit, "INTERPOLATED", limits=limits)
    if clear_zero:
        cleared = ElementTree.SubElement(renderer.find("rasterTransparency"), "singleValuePixelList")
        ElementTree.SubElement(cleared, "pixelListEntry", min="0", max="0", percentTransparent="100")
    return _raster(renderer, start_time)


def footprint_note(footprint_km: Sequence[float] | None) -> str:
    """Return what a legend or a report adds about a footprint: evidence is not finer than that."""
    if not footprint_km:
        return ""
    return ", footprint " + " × ".join(f"{side:g}" for side in footprint_km) + " km"


def zone_style(field: str, values: Sequence[float | None], *, title: str = "z") -> str:
    """Return the style of zone polygons by a z-score, with blank zones as a class of their own.

    Parameters
    ----------
    field : str
        Name of the field.
    values : sequence of float or None
        Its values; they set the limits of the colours.
    title : str
        What the legend calls the value.
    """
    finite = sorted(abs(v) for v in values if v is not None and math.isfinite(v))
    high = max(6.0, finite[int(0.95 * (len(finite) - 1))] if finite else 0.0)
    inner, middle = 1.96, 1.96 + (high - 1.96) / 2
    ranges = [
        (-1e99, -high, DIVERGING[0], f"{title} below −{high:.3g}"),
        (-high, -middle, "#7a5aa6", f"{title} −{high:.3g} to −{middle:.3g}"),
        (-middle, -inner, DIVERGING[1], f"{title} −{middle:.3g} to −{inner:g}"),
        (-inner, inner, DIVERGING[2], f"{title} −{inner:g} to {inner:g}: not distinct from 0"),
        (inner, middle, DIVERGING[3], f"{title} {inner:g} to {middle:.3g}"),
        (middle, high, "#d27e23", f"{title} {middle:.3g} to {high:.3g}"),
        (high, 1e99, DIVERGING[4], f"{title} above {high:.3g}"),
    ]
    blank = -1e100
    ranges.insert(0, (2 * blank, blank / 2, None, "blank: too few pixels"))
    renderer = ElementTree.Element(
        "renderer-v2",
        type="graduatedSymbol",
        graduatedMethod="GraduatedColor",
        attr=f"coalesce({_quoted(field)}, {blank:g})",
    )
    holder = ElementTree.SubElement(renderer, "ranges")
    for number, (lower, upper, _, label) in enumerate(ranges):
        ElementTree.SubElement(
            holder,
            "range",
            symbol=str(number),
            lower=repr(lower),
            upper=repr(upper),
            label=label,
            render="true",
        )
    return _polygons(renderer, [colour for _, _, colour, _ in ranges])


def zone_category_style(field: str, entries: Sequence[LegendEntry], categories: Sequence[str]) -> str:
    """Return the style of zone polygons by a word, such as the sensor that varies most.

    Parameters
    ----------
    field : str
        Name of the text field.
    entries : sequence of LegendEntry
        Label and colour of each category (the value is not used).
    categories : sequence of str
        The words in the field, in the order of `entries`; an empty or other one is a blank zone.
    """
    renderer = ElementTree.Element("renderer-v2", type="categorizedSymbol", attr=field)
    holder = ElementTree.SubElement(renderer, "categories")
    labels = [entry.label for entry in entries] + ["blank: too few pixels"]
    for number, (word, label) in enumerate(zip([*categories, ""], labels)):
        ElementTree.SubElement(
            holder, "category", symbol=str(number), value=word, type="string", label=label, render="true"
        )
    return _polygons(renderer, [entry.colour for entry in entries] + [None])


def _short(value: float) -> str:
    return f"{value:.0f}" if 100 <= value < 1e6 else f"{value:.2g}"


def _not_mapped(land_value: float | None) -> str:
    return NOT_MAPPED if land_value is None else "no data (not mapped)"


def _quoted(field: str) -> str:
    return '"' + field.replace('"', '""') + '"'


def _renderer(kind: str, band: int) -> ElementTree.Element:
    renderer = ElementTree.Element(
        "rasterrenderer", type=kind, band=str(band), opacity="1", alphaBand="-1", nodataColor=""
    )
    ElementTree.SubElement(renderer, "rasterTransparency")
    origin = ElementTree.SubElement(renderer, "minMaxOrigin")
    # "None": the limits are those written here; QGIS must not take them from the data.
    ElementTree.SubElement(origin, "limits").text = "None"
    return renderer


def _pseudo_colour(
    band: int,
    entries: Sequence[LegendEntry],
    minimum: float,
    maximum: float,
    kind: str,
    limits: tuple[str, str] | None = None,
) -> ElementTree.Element:
    """Return a pseudo-colour renderer: `kind` is 'DISCRETE' or 'INTERPOLATED'."""
    renderer = _renderer("singlebandpseudocolor", band)
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


def _raster(renderer: ElementTree.Element, start_time: str | None) -> str:
    root = ElementTree.Element("qgis", version="3.22.0", styleCategories="Symbology|Temporal")
    begin = _instant(start_time)
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
    return _text(root)


def _polygons(renderer: ElementTree.Element, colours: Sequence[str | None]) -> str:
    """Return a polygon style; a colour of None is an outline with a hatch."""
    symbols = ElementTree.SubElement(renderer, "symbols")
    for number, colour in enumerate(colours):
        symbol = ElementTree.SubElement(
            symbols, "symbol", type="fill", name=str(number), alpha="0.75", clip_to_extent="1", force_rhr="0"
        )
        layer = ElementTree.SubElement(
            symbol, "layer", {"class": "SimpleFill", "enabled": "1", "pass": "0", "locked": "0"}
        )
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
    return _text(root)


def _text(root: ElementTree.Element) -> str:
    ElementTree.indent(root)
    return DOCTYPE + ElementTree.tostring(root, encoding="unicode") + "\n"


def _instant(start_time: str | None) -> datetime | None:
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
