"""QGIS styles (QML) for what the jobs write: how an analyst sees a result.

Every function returns the text of a ``.qml`` file. A job writes it beside its raster or polygons
(:func:`sidecar`), so that a file opened by hand is styled like one that a tool has just made::

    sidecar("ice.tif").write_text(concentration_style(start_time="2021-03-04T07:12:00Z"))

Values are never scaled or clipped in the file: limits live in the renderer only. Land and pixels
without data are not drawn, and have legend entries that say so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree  # nosec B405 # styles are written, and none from elsewhere is read

from .qml import LegendEntry, paletted_renderer, pseudo_colour_renderer, raster_style

LAND_COLOUR = "#c8b48c"
NOT_MAPPED = "land or no data (not mapped)"  # the coverage layer shows which


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
    return raster_style(pseudo_colour_renderer(1, entries, 0.0, 100.0, "DISCRETE"), start_time)


def concentration_ramp_style(*, start_time: str | None = None) -> str:
    """Return the second style of a concentration raster: the same colours, continuous."""
    middles = (0.0, 5.0, 20.0, 50.0, 75.0, 100.0)
    entries = [
        LegendEntry(value, f"{value:g} %", entry.colour)
        for value, entry in zip(middles, CONCENTRATION_CLASSES)
    ]
    return raster_style(
        pseudo_colour_renderer(1, entries, 0.0, 100.0, "INTERPOLATED", limits=("0 %", "100 % ice")),
        start_time,
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
    return raster_style(paletted_renderer(entries), start_time)


def probability_style(class_name: str, *, band: int = 1, start_time: str | None = None) -> str:
    """Return the style of a raster of probabilities (0 to 1), one band a class."""
    ramp = [
        LegendEntry(0.0, "0", "#fcfbfd"),
        LegendEntry(0.5, "0.5", "#9ebcda"),
        LegendEntry(1.0, "1", "#08306b"),
    ]
    limits = (f"probability of {class_name}: 0", "1")
    return raster_style(
        pseudo_colour_renderer(band, ramp, 0.0, 1.0, "INTERPOLATED", limits=limits), start_time
    )


def uncertainty_style(class_count: int, *, start_time: str | None = None) -> str:
    """Return the style of an entropy raster, in bits; `class_count` sets the most there can be."""
    most = math.log2(max(2, class_count))
    ramp = [
        LegendEntry(0.0, "0", "#ffffff"),
        LegendEntry(most / 2, f"{most / 2:.3g}", "#bdbdbd"),
        LegendEntry(most, f"{most:.3g}", "#252525"),
    ]
    limits = ("sure (0 bit)", f"undecided ({most:.3g} bit)")
    return raster_style(pseudo_colour_renderer(1, ramp, 0.0, most, "INTERPOLATED", limits=limits), start_time)


def channel_style(low: float, high: float, unit: str, *, band: int = 1, start_time: str | None = None) -> str:
    """Return the style of one channel of a scene, in greys from `low` to `high`.

    QGIS would draw a raster of several channels as red, green and blue; for backscatter in dB or
    brightness temperatures in K that means nothing.
    """
    greys = [LegendEntry(low, f"{low:g}", "#000000"), LegendEntry(high, f"{high:g}", "#ffffff")]
    limits = (f"{low:g} {unit}", f"{high:g} {unit}")
    return raster_style(
        pseudo_colour_renderer(band, greys, low, high, "INTERPOLATED", limits=limits), start_time
    )


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
    opacity_band: int | None = None,
    note: str = "",
) -> str:
    """Return the style of a relevance raster: purple speaks against the class, orange for it.

    A relevance raster has one band a channel. QGIS shows one band at a time: `band`, the first one
    by default; another is chosen in the layer's symbology, and the legend's head names
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
    opacity_band : int, optional
        Band of opacities, 0 to 255; opaque everywhere where None.
    note : str
        What the legend says at its end.
    """
    limit = about_zero(limit)
    speaks = ": a rise speaks" if slopes else " speaks"
    unit = unit or ("logit per sd" if slopes else "logit")
    limits = (
        # The number first: the layer panel cuts what is long.
        f"≤ −{_short(limit)}{speaks} against {class_name} ({unit})",
        f"≥ {_short(limit)}{speaks} for {class_name} ({unit})" + footprint_note(footprint_km) + note,
    )
    return diverging_style(
        limit, limits, band=band, start_time=start_time, clear_zero=True, opacity_band=opacity_band
    )


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
    opacity_band: int | None = None,
) -> str:
    """Return the style purple - white - orange from -`limit` to `limit`; `limits`: what its ends are called.

    With `clear_zero` what is zero to the last digit is not drawn: there nothing acts on the class, as
    around a point or polygons that were explained, and layers below show. With `opacity_band` pixels are as opaque
    as that band says, 0 to 255.
    """
    entries = [
        LegendEntry(limit * share, f"{limit * share:.3g}", colour)
        for share, colour in zip((-1.0, -0.5, 0.0, 0.5, 1.0), DIVERGING)
    ]
    renderer = pseudo_colour_renderer(band, entries, -limit, limit, "INTERPOLATED", limits=limits)
    if opacity_band is not None:
        renderer.set("alphaBand", str(opacity_band))
    if clear_zero:
        cleared = ElementTree.SubElement(next(renderer.iter("rasterTransparency")), "singleValuePixelList")
        ElementTree.SubElement(cleared, "pixelListEntry", min="0", max="0", percentTransparent="100")
    return raster_style(renderer, start_time)


def footprint_note(footprint_km: Sequence[float] | None) -> str:
    """Return what a legend or a report adds about a footprint: evidence is not finer than that."""
    if not footprint_km:
        return ""
    return ", footprint " + " × ".join(f"{side:g}" for side in footprint_km) + " km"


def _short(value: float) -> str:
    return f"{value:.0f}" if 100 <= value < 1e6 else f"{value:.2g}"


def _not_mapped(land_value: float | None) -> str:
    return NOT_MAPPED if land_value is None else "no data (not mapped)"
