"""The fourteen AMSR2 channels as bands, and which channel a name in a file means."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ....networks.standard_channels import AMSR2_FREQUENCIES, MWR_CHANNELS, STANDARD_CHANNELS
from ...rasters.writer import Band

CHANNELS = MWR_CHANNELS
"""Names in their order: 6.9 to 89 GHz, horizontal before vertical."""

DELAY_BAND = Band("amsr2_delay", "s", tags={"meaning": "AMSR2 minus SAR"})
CONCENTRATION_BAND = Band("amsr2_sic", "%")

_SHORT = {"6": "6_9", "7": "7_3", "10": "10_7", "18": "18_7", "23": "23_8", "36": "36_5", "89": "89_0"}


def channel_of_frequency(gigahertz: str, polarisation: str) -> str | None:
    """Return the channel of a frequency as files write it (``10.65``, ``10.7``, ``10``), or None."""
    frequency = _SHORT.get(gigahertz.split(".")[0])
    name = f"btemp_{frequency}{polarisation.lower()}"
    if frequency is None or abs(float(gigahertz) - AMSR2_FREQUENCIES[frequency][0]) >= 1.0:
        return None
    return name if name in CHANNELS else None


def channel_of_name(name: str) -> str | None:
    """Return the channel that a variable of this name holds (``btemp_6.9h``, ``tb_36_5v``), or None."""
    for channel in CHANNELS:
        if STANDARD_CHANNELS[channel].matches(name):
            return channel
    match = re.fullmatch(r"(?:btemp|tb)[ _]?(\d+)(?:[._](\d+))?[ _]?(?:ghz)?[ _]?([hv])", name.strip(), re.I)
    if match is None:
        return None
    return channel_of_frequency(f"{match[1]}.{match[2]}" if match[2] else match[1], match[3])


def channel_band(name: str) -> Band:
    """Return a channel's band, which carries its footprint."""
    footprint = STANDARD_CHANNELS[name].footprint_km
    return Band(name, "K", tags={"footprint_km": "{:g} x {:g}".format(*footprint)} if footprint else {})


def in_order(names: Iterable[str]) -> list[str]:
    """Return channels in their order."""
    there = set(names)
    return [name for name in CHANNELS if name in there]
