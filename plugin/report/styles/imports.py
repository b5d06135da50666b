"""QGIS styles of imported scenes: backscatter, brightness temperatures, weather, charts, outlines.

A raster of several bands is shown by its first, brightness temperatures by 36.5 GHz; a chart has a style
file more for each other band, to be chosen in the layer's properties (Style, Load Style).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...networks.standard_channels import STANDARD_CHANNELS
from .charts import Table, chart_class_style, chart_concentration_style
from .layers import (
    backscatter_style,
    brightness_temperature_style,
    channel_style,
    concentration_style,
)
from .qml import outline_style

# Limits of greys by the name of a band: distance classes, winds, temperatures, water in the air.
_RANGES = {
    "distance_map": (0.0, 41.0),
    "u10m_rotated": (-15.0, 15.0),
    "v10m_rotated": (-15.0, 15.0),
    "t2m": (243.0, 283.0),
    "skt": (243.0, 283.0),
    "tcwv": (0.0, 20.0),
    "tclw": (0.0, 0.3),
}
# Of the radiometer's channels the one in which ice stands out from water at a footprint of 7 x 12 km.
_SHOWN_MWR, _RANGE_MWR = "btemp_36_5h", (120.0, 260.0)
_LINEAR = (0.0, 0.2)  # sigma0 of bright ice


def raster_styles(
    role: str,
    bands: Sequence[tuple[str, str]],
    tables: Mapping[str, Table],
    start_time: str | None = None,
) -> dict[str, str]:
    """Return the styles of an imported raster.

    Parameters
    ----------
    role : {'sar', 'mwr', 'ancillary_fine', 'ancillary_coarse', 'chart'}
        What the raster is.
    bands : sequence of tuple
        Name and unit of each band.
    tables : mapping
        (value, name, colour) of the classes of a chart's bands, by the name of the band.
    start_time : str, optional
        Start of the scene, ISO 8601; it drives the temporal controller.

    Returns
    -------
    dict
        Text of a style by what its file's name ends in; the layer's own under an empty key.
    """
    name, unit = bands[0]
    if role == "chart":
        made: dict[str, str] = {}
        for number, (band, _) in enumerate(bands, start=1):
            style = chart_concentration_style if band == "concentration" else chart_class_style
            made[band if made else ""] = style(tables[band], band=number, start_time=start_time)
        return made
    if unit == "%":
        return {"": concentration_style(start_time=start_time)}
    if role == "mwr":
        names = [band for band, _ in bands]
        if _SHOWN_MWR in names:
            number = names.index(_SHOWN_MWR) + 1
            footprint = STANDARD_CHANNELS[_SHOWN_MWR].footprint_km
            unit = "K (footprint {:g} x {:g} km)".format(*footprint) if footprint else "K"
            return {"": channel_style(*_RANGE_MWR, unit, band=number, start_time=start_time)}
        return {"": brightness_temperature_style(start_time=start_time)}
    if role == "sar" and unit.lower() == "db":
        return {"": backscatter_style(start_time=start_time)}
    low, high = _LINEAR if role == "sar" else _RANGES.get(name, (0.0, 1.0))
    return {"": channel_style(low, high, "" if unit == "1" else unit, start_time=start_time)}


def footprint_style(start_time: str | None = None) -> str:
    """Return the style of a scene's footprint: an orange outline, through which the scene is seen."""
    return outline_style("#e66e00", 0.6, start_time)
