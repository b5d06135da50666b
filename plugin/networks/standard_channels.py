"""The canonical channels: names, sensors, units, global statistics, footprints.

Means and standard deviations are the global ones of the AI4Arctic (AutoICE) training data, the
footprints those of AMSR2. Cards may carry statistics of their own; the names are shared by all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ..ground.errors import ModelError
from .card import Channel

# AMSR2 frequency as it stands in channel names: (GHz, footprint in km).
AMSR2_FREQUENCIES: dict[str, tuple[float, tuple[float, float]]] = {
    "6_9": (6.9, (35.0, 62.0)),
    "7_3": (7.3, (34.0, 58.0)),
    "10_7": (10.65, (24.0, 42.0)),
    "18_7": (18.7, (14.0, 22.0)),
    "23_8": (23.8, (15.0, 26.0)),
    "36_5": (36.5, (7.0, 12.0)),
    "89_0": (89.0, (3.0, 5.0)),
}

# Brightness temperature, K: (mean, standard deviation).
_BRIGHTNESS = {
    "6_9h": (148.847, 61.649),
    "6_9v": (203.519, 38.666),
    "7_3h": (149.899, 61.676),
    "7_3v": (204.205, 38.666),
    "10_7h": (153.892, 60.875),
    "10_7v": (208.904, 36.245),
    "18_7h": (165.680, 52.618),
    "18_7v": (218.587, 28.060),
    "23_8h": (182.209, 42.887),
    "23_8v": (226.396, 22.118),
    "36_5h": (185.195, 38.644),
    "36_5v": (228.206, 17.653),
    "89_0h": (212.537, 22.585),
    "89_0v": (241.257, 16.311),
}

# The ratio of the table's coarse channels; a card sets its own.
DEFAULT_RATIO = 50


def _brightness(name: str) -> Channel:
    frequency, polarisation = name[:-1], name[-1]
    gigahertz, footprint = AMSR2_FREQUENCIES[frequency]
    mean, sd = _BRIGHTNESS[name]
    dotted = name.replace("_", ".")
    return Channel(
        name=f"btemp_{name}",
        sensor="mwr",
        grid="coarse",
        unit="K",
        mean=mean,
        sd=sd,
        aliases=(f"btemp_{dotted}", f"tb_{name}", f"tb{dotted}"),
        ratio=DEFAULT_RATIO,
        frequency_ghz=gigahertz,
        polarisation=polarisation,
        footprint_km=footprint,
    )


def _weather(name: str, unit: str, mean: float, sd: float, *aliases: str) -> Channel:
    return Channel(name, "weather", "coarse", unit, mean, sd, aliases=aliases, ratio=DEFAULT_RATIO)


_CHANNELS = (
    Channel(
        "hh",
        "sar",
        "fine",
        "dB",
        -14.508,
        5.660,
        aliases=("sigma0_hh", "nersc_sar_primary"),
        polarisation="hh",
    ),
    Channel(
        "hv",
        "sar",
        "fine",
        "dB",
        -24.701,
        4.747,
        aliases=("sigma0_hv", "nersc_sar_secondary"),
        polarisation="hv",
    ),
    Channel(
        "incidence_angle",
        "sar",
        "fine",
        "degree",
        33.998,
        8.322,
        aliases=("sar_incidenceangle", "sar_incidenceangles", "sar_grid_incidenceangle", "ia"),
    ),
    Channel("distance_map", "map", "fine", "1", 23.628, 14.990, aliases=("distance_to_land",)),
    *(_brightness(name) for name in _BRIGHTNESS),
    _weather("u10m_rotated", "m/s", 0.675, 4.750),
    _weather("v10m_rotated", "m/s", 0.608, 5.196),
    _weather("t2m", "K", 268.627, 9.469),
    _weather("skt", "K", 268.910, 10.305),
    _weather("tcwv", "kg/m2", 7.748, 5.268),
    _weather("tclw", "kg/m2", 0.041, 0.071),
)

STANDARD_CHANNELS: dict[str, Channel] = {channel.name: channel for channel in _CHANNELS}
SAR_CHANNELS = ("hh", "hv")
MWR_CHANNELS = tuple(f"btemp_{name}" for name in _BRIGHTNESS)
WEATHER_CHANNELS = ("u10m_rotated", "v10m_rotated", "t2m", "skt", "tcwv", "tclw")


def standard_channel(name: str) -> Channel:
    """Return the canonical channel that a band of this name is (name or alias, any case).

    Raises
    ------
    ModelError
        If there is none.
    """
    for channel in _CHANNELS:
        if channel.matches(name):
            return channel
    raise ModelError(f"No standard channel is called '{name}'. Known are: {', '.join(STANDARD_CHANNELS)}.")


def standard_channels(names: Sequence[str], ratio: int = DEFAULT_RATIO) -> tuple[Channel, ...]:
    """Return canonical channels in the order of `names`, the coarse ones on cells of `ratio` pixels."""
    channels = (standard_channel(name) for name in names)
    return tuple(dataclasses.replace(c, ratio=ratio) if c.grid == "coarse" else c for c in channels)
