"""Which radar quantity a band is, and how one becomes another.

Of one measurement, sigma0 refers to the ground, gamma0 to the plane across the line of sight, and beta0 to the slant
range: sigma0 = gamma0 · cos(θ) = beta0 · sin(θ), with the incidence angle θ over the ellipsoid. Networks take sigma0
where their cards name no other one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...networks.card import Channel
from ...networks.standard_channels import STANDARD_CHANNELS
from ..files.raster import Raster, file_of
from .radar_bands import BETA0, GAMMA0, MOST_TEXT, NUMBERS, SIGMA0, radar_band, radar_polarisation
from .units import split_name

_ANYWHERE = re.compile(r"(?<![a-z])(sigma|gamma|beta|[σγβ])[ _-]?(?:0|⁰|°|nought|naught|zero)(?![a-z0-9])")
_GREEK = {"σ": "sigma", "γ": "gamma", "β": "beta"}
# ASF HyP3 says in six letters how a file was made: the first is the quantity, the second its scale.
_HYP3 = re.compile(r"_rtc\d+_[a-z]_([gs])([pda])[uw][nf][ec][dn]_")
_HYP3_UNITS = {"p": "power", "d": "dB", "a": "amplitude"}
INCIDENCE_ANGLE = STANDARD_CHANNELS["incidence_angle"]
_ANGLES = {
    *(name.replace("_", "") for name in INCIDENCE_ANGLE.names),
    "incidenceanglefromellipsoid",
    "ellipsoidincidenceangle",
}


def radar_quantity(raster: Raster, band: int) -> str:
    """Return which quantity a file says that a band of backscatter is; empty where it says none.

    The band's name says more than its unit and metadata, these more than the file's metadata, and that more than the
    name of the file.
    """
    file = Path(file_of(raster.path)).name.lower()
    known = radar_band(raster.names[band - 1])
    if known and known.quantity:
        return known.quantity
    for text in _texts(raster, band):
        quantities = {f"{_GREEK.get(word, word)}0" for word in _ANYWHERE.findall(text.lower())}
        if len(quantities) == 1:
            return quantities.pop()
    made = _HYP3.search(file)
    return {"g": GAMMA0, "s": SIGMA0}[made[1]] if made else ""


def _texts(raster: Raster, band: int) -> Iterator[str]:
    yield raster.names[band - 1]
    yield raster.dataset.units[band - 1] or ""
    for tags in (raster.dataset.tags(band), raster.tags):
        yield from (
            text
            for key, text in tags.items()
            if len(text) <= MOST_TEXT and not key.upper().startswith("FLOELENS")
        )
    yield Path(file_of(raster.path)).name


def custom_unit(raster: Raster, band: int) -> str:
    """Return the unit of backscatter that a band has by custom: by its quantity, or the name of the file; or empty."""
    made = _HYP3.search(Path(file_of(raster.path)).name.lower())
    if made:
        return _HYP3_UNITS[made[2]]
    name = raster.names[band - 1]
    known = radar_band(name)
    by_custom = known is not None and known.quantity in (SIGMA0, GAMMA0, BETA0) and not split_name(name)[1]
    return "linear power" if by_custom else ""


def expected_quantity(channel: Channel) -> str:
    """Return the quantity that a network takes: sigma0 but where its card names another one."""
    named = {known.quantity for known in map(radar_band, channel.names) if known} - {"", NUMBERS}
    return named.pop() if len(named) == 1 else SIGMA0


def other_quantity(channel: Channel, raster: Raster, band: int) -> str:
    """Return the radar quantity of a band where it is not the one that the network takes, or unknown; else empty."""
    if not radar_polarisation(channel):
        return ""
    given = radar_quantity(raster, band)
    return "" if given in ("", NUMBERS, expected_quantity(channel)) else given


def angle_band(raster: Raster) -> int | None:
    """Return the number of the band of incidence angles over the ellipsoid; None where there is none."""
    for number, name in enumerate(raster.names, start=1):
        if re.sub(r"[\W_]", "", split_name(name)[0].lower()) in _ANGLES:
            return number
    return None


def decibels_to(expected: str, given: str, degrees: np.ndarray) -> np.ndarray:
    """Return what to add to a quantity in dB to make it another one, by incidence angles in degrees.

    Parameters
    ----------
    expected, given : {'sigma0', 'gamma0', 'beta0'}
        The quantity that is wanted, and that of the file.
    degrees : numpy.ndarray
        Incidence angles; the result has their shape, NaN where an angle is none.
    """
    radians = np.radians(np.where((degrees > 0) & (degrees < 90), degrees, np.nan))
    factors = {SIGMA0: np.ones_like(radians), GAMMA0: np.cos(radians), BETA0: np.sin(radians)}
    return 10 * np.log10(factors[given] / factors[expected])


def difference_text(expected: str, given: str) -> str:
    """Return how far two quantities lie apart at the incidence angles of Sentinel-1: ``0.2 … 1.7 dB lower``."""
    low, high = sorted(decibels_to(expected, given, np.array([19.0, 47.0])))
    if high <= 0:
        return f"{-high:.1f} … {-low:.1f} dB lower"
    return f"{low:.1f} … {high:.1f} dB higher" if low >= 0 else f"{low:+.1f} … {high:+.1f} dB off"
