"""QGIS styles of imported scenes: backscatter, brightness temperatures, and charts in the WMO colours.

A raster of several bands is shown by its first; a chart has a style file more for each other band,
to be chosen in the layer's properties (Style › Load Style).
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from .styles import (
    DOCTYPE,
    LegendEntry,
    _polygons,
    backscatter_style,
    brightness_temperature_style,
    channel_style,
    class_style,
    concentration_style,
)

# WMO colours of the stages of development, by the classes of the AutoICE challenge.
STAGES = (
    LegendEntry(0, "open water", "#0064ff"),
    LegendEntry(1, "new ice", "#f0d2fa"),
    LegendEntry(2, "young ice", "#aa28f0"),
    LegendEntry(3, "thin first-year ice", "#9bd200"),
    LegendEntry(4, "thick first-year ice", "#007800"),
    LegendEntry(5, "old ice", "#b46432"),
)
# The WMO has no colours of floe sizes; these run from light to dark.
FLOES = (
    LegendEntry(0, "open water", "#0064ff"),
    LegendEntry(1, "cake ice (below 20 m)", "#fff7bc"),
    LegendEntry(2, "small floes (20 to 100 m)", "#fec44f"),
    LegendEntry(3, "medium floes (100 to 500 m)", "#fe9929"),
    LegendEntry(4, "big floes (500 m to 2 km)", "#d95f0e"),
    LegendEntry(5, "vast or giant floes (above 2 km)", "#993404"),
    LegendEntry(6, "bergs", "#d2d2d2"),
)
LAND, NO_DATA = 254, 255
# Total concentration of a polygon in %, up to and with the value; WMO colours.
CONCENTRATIONS = (
    (-0.1, 0.0, "#0064ff", "ice free or open water (below 1/10)"),
    (0.0, 35.0, "#8cffa0", "1/10 to 3/10"),
    (35.0, 65.0, "#ffff00", "4/10 to 6/10"),
    (65.0, 85.0, "#ff7d07", "7/10 to 8/10"),
    (85.0, 100.0, "#ff0000", "9/10 to 10/10"),
)
# Limits of greys by the name of a band: distance classes, winds, temperatures, water in the air.
_RANGES = {
    "distance_map": (0.0, 41.0),
    "u10m_rotated": (-15.0, 15.0),
    "v10m_rotated": (-15.0, 15.0),
    "t2m": (243.0, 283.0),
    "skt": (243.0, 283.0),
    "tcwv": (0.0, 20.0),
    "tclw": (0.0, 0.3),
    "incidence_angle": (19.0, 47.0),
}


def raster_styles(role: str, bands: Sequence[tuple[str, str]], start_time: str | None = None) -> dict[str, str]:
    """Return the styles of an imported raster.

    Parameters
    ----------
    role : {'sar', 'mwr', 'ancillary_fine', 'ancillary_coarse', 'chart'}
        What the raster is.
    bands : sequence of tuple
        Name and unit of each band.
    start_time : str, optional
        Start of the scene, ISO 8601; it drives the temporal controller.

    Returns
    -------
    dict
        Text of a style by what its file's name ends in; the layer's own under an empty key.
    """
    if role == "chart":
        return _chart_styles([name for name, _ in bands], start_time)
    name, unit = bands[0]
    if role == "sar":
        decibels = unit.lower() == "db"
        return {
            "": backscatter_style(start_time=start_time)
            if decibels
            else channel_style(0.0, 0.2, "", start_time=start_time)
        }
    if role == "mwr":
        return {"": brightness_temperature_style(start_time=start_time)}
    low, high = _RANGES.get(name, (0.0, 1.0))
    return {"": channel_style(low, high, "" if unit == "1" else unit, start_time=start_time)}


def _chart_styles(names: Sequence[str], start_time: str | None) -> dict[str, str]:
    made = {}
    for number, name in enumerate(names, start=1):
        entries = {"stage_of_development": STAGES, "floe_size": FLOES}.get(name)
        if entries is None:
            text = concentration_style(start_time=start_time)
        else:
            text = class_style(entries, nodata=NO_DATA, land_value=LAND, start_time=start_time)
        made[name if made else ""] = on_band(text, number)
    return made


def on_band(style: str, band: int) -> str:
    """Return a raster style that shows another band (from 1)."""
    root = ElementTree.fromstring(style)
    for renderer in root.iter("rasterrenderer"):
        renderer.set("band", str(band))
    ElementTree.indent(root)
    return DOCTYPE + ElementTree.tostring(root, encoding="unicode") + "\n"


def chart_polygon_style() -> str:
    """Return the style of a chart's polygons: total concentration in the WMO colours."""
    renderer = ElementTree.Element(
        "renderer-v2",
        type="graduatedSymbol",
        graduatedMethod="GraduatedColor",
        attr='coalesce("concentration", -1)',
    )
    holder = ElementTree.SubElement(renderer, "ranges")
    ranges = [(-2.0, -0.5, None, "no data"), *CONCENTRATIONS]
    for number, (lower, upper, _, label) in enumerate(ranges):
        ElementTree.SubElement(
            holder,
            "range",
            symbol=str(number),
            lower=repr(float(lower)),
            upper=repr(float(upper)),
            label=label,
            render="true",
        )
    return _polygons(renderer, [colour for _, _, colour, _ in ranges])
