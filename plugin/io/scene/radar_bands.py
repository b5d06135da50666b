"""What a file says of a radar band: the polarisation that it holds, and the radar quantity.

Programs name a band after both (SNAP: ``Gamma0_HV_db``), write them into its metadata, or name the file after the
polarisation (ASF HyP3: ``…_HH.tif``; Sentinel-1: ``s1a-ew-grd-hh-…``, ``…_1SDH_…``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...networks.card import Channel
from ..files.raster import Raster, file_of

POLARISATIONS = ("hh", "hv", "vv", "vh")
# The other one of like, or of cross polarisation.
TWINS = {"hh": "vv", "vv": "hh", "hv": "vh", "vh": "hv"}
SIGMA0, GAMMA0, BETA0, NUMBERS = "sigma0", "gamma0", "beta0", "digital numbers"
_POLARISATION = "hh|hv|vv|vh"
_ANYWHERE = re.compile(rf"(?<![a-z])({_POLARISATION})(?![a-z])")
_WORD = re.compile(rf"(?:(sigma|gamma|beta)(?:0|nought|naught|zero)?)?({_POLARISATION})?")
_NUMBERS = {"dn", "raw", "count", "counts", "digital", "number", "numbers", "uncalibrated"}
# Words of a name that change nothing of what the band is.
_NEUTRAL = re.compile(
    r"\d+|\d+[a-z]{3}\d{4}|\d{8}t\d{6}|nought|naught|zero|db|decibels?|lin|linear|power|amplitude|amp|intensity"
    r"|s1[abcd]?|sentinel|sar|radar|band|channel|image|pol|polari[sz]ation|backscatter|coefficient|co|cross|in"
    r"|mst|slv|slv\d|calibrated|cal|rtc|terrain|flattened|corrected|tc|ellipsoid"
)
_DUAL = re.compile(r"(?<![a-z0-9])1s([sd])([hv])(?![a-z0-9])")
MOST_TEXT = 200


@dataclass(frozen=True)
class RadarBand:
    """What a name says: one of :data:`POLARISATIONS`, and a quantity such as ``gamma0``, empty where it says none."""

    polarisation: str
    quantity: str = ""


@dataclass(frozen=True)
class Statement:
    """Polarisations that a file states, and where.

    Parameters
    ----------
    polarisations : tuple of str
        Of :data:`POLARISATIONS`.
    where : str
        For messages: ``its band 1 is called 'Sigma0_VV'``.
    of_band : bool
        Whether one band is meant, and not all that the file holds.
    of_name : bool
        Whether it is the band's name.
    """

    polarisations: tuple[str, ...]
    where: str
    of_band: bool
    of_name: bool = False

    def contradicts(self, polarisation: str) -> bool:
        """Return whether a band of `polarisation` cannot be what is stated."""
        if polarisation not in TWINS or polarisation in self.polarisations:
            return False
        return self.of_band or TWINS[polarisation] in self.polarisations


def radar_band(name: str) -> RadarBand | None:
    """Return what a name says of a radar band; None where a word of it is unknown, as in ``hh_noise``.

    Parameters
    ----------
    name : str
        Name of a band or a variable: ``Sigma0_HH_db``, ``gamma0-rtc-hv``, ``Amplitude_VV``.
    """
    text = name.lower()
    for sign, plain in (("σ", "sigma"), ("γ", "gamma"), ("β", "beta"), ("⁰", "0"), ("°", "0"), ("º", "0")):
        text = text.replace(sign, plain)
    polarisations: set[str] = set()
    quantities: set[str] = set()
    for word in filter(None, re.split(r"[^a-z0-9]+", text)):
        match = _WORD.fullmatch(word)
        if match:
            quantities.update(f"{match[1]}0" for _ in range(bool(match[1])))
            polarisations.update(filter(None, (match[2],)))
        elif word in _NUMBERS:
            quantities.add(NUMBERS)
        elif not _NEUTRAL.fullmatch(word):
            return None
    if len(polarisations) != 1 or len(quantities) > 1:
        return None
    return RadarBand(polarisations.pop(), quantities.pop() if quantities else "")


def radar_polarisation(channel: Channel) -> str:
    """Return which of :data:`POLARISATIONS` a channel of a card is; empty where it is no backscatter."""
    own = (channel.polarisation or channel.name).lower()
    return own if channel.sensor == "sar" and own in POLARISATIONS else ""


def statements(raster: Raster, band: int) -> Iterator[Statement]:
    """Yield what a file states of a band's polarisation: by its name, its metadata, the file's, the file's name."""
    name = raster.names[band - 1]
    sole = len(raster.measured) == 1
    polarisations = tuple(_ANYWHERE.findall(name.lower()))
    if polarisations:
        yield Statement(polarisations, f"its band {band} is called '{name}'", True, True)
    for of_band, tags in ((True, raster.dataset.tags(band)), (sole, raster.tags)):
        for key, text in tags.items():
            polarisations = _stated(key, text)
            if polarisations:
                yield Statement(polarisations, f"it says {key}={text[:60]}", of_band)
    file = Path(file_of(raster.path)).name
    polarisations = _in_file_name(file)
    if polarisations:
        yield Statement(polarisations, "its file name says so", sole)


def _stated(key: str, text: str) -> tuple[str, ...]:
    """Return the polarisations that an item of metadata states."""
    if key.upper().startswith("FLOELENS") or len(text) > MOST_TEXT:
        return ()
    if "polari" in key.lower():
        return tuple(_ANYWHERE.findall(text.lower()))
    known = radar_band(text)
    return (known.polarisation,) if known else _in_product_name(text.lower())


def _in_file_name(file: str) -> tuple[str, ...]:
    name = Path(file).stem.lower()
    return tuple(_ANYWHERE.findall(name)) or _in_product_name(name)


def _in_product_name(text: str) -> tuple[str, ...]:
    """Return the polarisations that the name of a Sentinel-1 product states: ``…_1SDH_…`` is HH and HV."""
    product = _DUAL.search(text)
    if not product:
        return ()
    like = 2 * product[2]
    return (like,) if product[1] == "s" else (like, "hv" if like == "hh" else "vh")


def sole_polarisation(raster: Raster, band: int) -> str:
    """Return the polarisation of a band without a name, by its metadata or the name of its file; empty if unknown."""
    for statement in statements(raster, band):
        if statement.of_band and len(set(statement.polarisations)) == 1:
            return statement.polarisations[0]
    return ""
