"""Finds the network's channels among the bands of the rasters given.

A band is known by its description, compared with a channel's name and aliases; a band of backscatter also by the
polarisation in it (``Gamma0_HV_db``), in its metadata or in the name of its file. CHANNELS overrides that. Bands
without names are taken in the card's order only if their number is exactly the card's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...ground.errors import ParameterError, SceneError
from ...networks.card import Channel, ModelCard, normalised
from ..files.raster import Raster
from .made import can_be_made, channels_to_make
from .radar_bands import NUMBERS, radar_band, radar_polarisation, sole_polarisation, statements
from .radar_quantities import expected_quantity
from .raster_roles import BandChoice, RasterRole, check_named, check_sizes, role_of
from .units import split_name

_NO_NAME = re.compile(r"(band[ _]?\d+)?", re.I)


@dataclass(frozen=True)
class ChosenBands:
    """Which band is which channel.

    Parameters
    ----------
    bands : mapping
        The band of every channel that a raster holds, by the channel's name.
    made : tuple of Channel
        The channels that follow from place and date of the scene, and that no raster holds.
    by_order : tuple of str
        The channels whose bands have no name, and were taken in the model's order.
    warnings : tuple of str
        What a person should look at.
    for_tags : tuple of str
        The same for tags, without folders.
    """

    bands: Mapping[str, BandChoice]
    made: tuple[Channel, ...] = ()
    by_order: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    for_tags: tuple[str, ...] = ()


def choose_bands(card: ModelCard, rasters: Sequence[RasterRole], channels: str = "") -> ChosenBands:
    """Return the band of every channel of the card.

    Parameters
    ----------
    card : ModelCard
        Whose channels.
    rasters : sequence of RasterRole
        The rasters given.
    channels : str
        Bands by hand: ``hh=1,hv=2``; bands of the MWR raster for radiometer channels, else of SAR.

    Raises
    ------
    SceneError
        Channels are missing, several bands go by one name, one band is to be several channels, a raster was given for
        another one, or the file says that a band without name has another polarisation.
    ParameterError
        `channels` names what there is not.
    """
    chosen = _by_hand(card, rasters, channels)
    by_hand = set(chosen)
    for channel in card.channels:
        if channel.name not in chosen:
            band = _by_name(channel, rasters)
            if band is not None:
                chosen[channel.name] = band
    check_named(card, rasters, chosen, [i for i, item in enumerate(rasters) if _nameless(item.raster)])
    by_name = set(chosen) - by_hand
    messages = _by_order(card, rasters, chosen)
    by_order = tuple(name for name in chosen if name not in by_name | by_hand)
    made = tuple(channels_to_make(card, chosen))
    missing = [c for c in card.channels if c.name not in chosen and c not in made]
    if missing:
        raise SceneError(_missing_text(card, rasters, missing))
    _check_once(card, rasters, chosen)
    check_sizes(rasters, chosen, [name for name in chosen if name not in by_name])
    for channel in card.channels:
        if channel not in made:
            messages += _other_band(card, rasters, chosen, channel, channel.name in by_hand)
    return ChosenBands(chosen, made, by_order, *(tuple(texts) for texts in zip(*messages)))


def _by_hand(card: ModelCard, rasters: Sequence[RasterRole], text: str) -> dict[str, BandChoice]:
    chosen: dict[str, BandChoice] = {}
    for item in filter(None, (part.strip() for part in re.split(r"[;,]", text))):
        name, separator, value = (part.strip() for part in item.partition("="))
        if not separator or not value:
            raise ParameterError(f"CHANNELS: '{item}' is no assignment. Write channel=band, as in hh=1,hv=2.")
        channel = next((c for c in card.channels if c.matches(name)), None)
        if channel is None:
            known = ", ".join(c.name for c in card.channels)
            raise ParameterError(f"CHANNELS: model '{card.id}' has no channel '{name}' (channels: {known}).")
        if channel.name in chosen:
            raise ParameterError(f"CHANNELS names '{channel.name}' twice. Name it once.")
        role = "mwr" if channel.sensor == "mwr" else "sar"
        place = next((i for i, r in enumerate(rasters) if r.role == role), None)
        if place is None:
            raise ParameterError(
                f"CHANNELS names a band for '{channel.name}', but no {role.upper()} raster is given."
            )
        chosen[channel.name] = BandChoice(place, _band_number(rasters[place].raster, value, item))
    return chosen


def _band_number(raster: Raster, value: str, item: str) -> int:
    if re.fullmatch(r"\d+", value):
        if int(value) not in raster.measured and 1 <= int(value) <= raster.count:
            raise ParameterError(f"CHANNELS: {item}, but band {value} of {raster.path} is its alpha band.")
        if not 1 <= int(value) <= raster.count:
            raise ParameterError(
                f"CHANNELS: {item}, but {raster.path} has {raster.count} bands ({raster.describe_bands()})."
            )
        return int(value)
    bands = [number for number, name in enumerate(raster.names, 1) if normalised(name) == normalised(value)]
    if len(bands) != 1:
        raise ParameterError(
            f"CHANNELS: {item}, but {len(bands) or 'no'} band of {raster.path} is called '{value}' "
            f"(bands: {raster.describe_bands()})."
        )
    return bands[0]


def _by_name(channel: Channel, rasters: Sequence[RasterRole]) -> BandChoice | None:
    # The raster of the channel's own sensor first; a third band of the SAR raster may hold weather.
    order = sorted(range(len(rasters)), key=lambda i: rasters[i].role != role_of(channel))
    for place in order:
        raster = rasters[place].raster
        names = [normalised(name) for name in raster.names]
        without_unit = [normalised(split_name(name)[0]) for name in raster.names]
        for wanted in channel.names:
            bands = [number for number, name in enumerate(names, 1) if name == wanted]
            if bands:
                return BandChoice(place, _only(raster, bands, wanted, channel))
        bands = _of_polarisation(raster, channel)
        if bands:
            return BandChoice(place, _only(raster, bands, radar_polarisation(channel), channel))
        for wanted in channel.names:
            bands = [number for number, name in enumerate(without_unit, 1) if name == wanted]
            if bands:
                return BandChoice(place, _only(raster, bands, wanted, channel))
    return None


def _only(raster: Raster, bands: list[int], name: str, channel: Channel) -> int:
    if len(bands) > 1:
        raise SceneError(
            f"{raster.path} has several bands called '{name}' ({', '.join(map(str, bands))}). "
            f"Rename them or set CHANNELS='{channel.name}={bands[0]}'."
        )
    return bands[0]


def _of_polarisation(raster: Raster, channel: Channel) -> list[int]:
    """Return the bands that say to be of a channel's polarisation: those of its own quantity where there are some."""
    own = radar_polarisation(channel)
    if not own:
        return []
    bands: dict[int, list[int]] = {}
    for number in raster.measured:
        name = raster.names[number - 1]
        known = radar_band(name)
        if known and known.polarisation == own:
            rank = {expected_quantity(channel): 0, "": 1, NUMBERS: 3}.get(known.quantity, 2)
            bands.setdefault(rank, []).append(number)
        elif _NO_NAME.fullmatch(name) and sole_polarisation(raster, number) == own:
            bands.setdefault(1, []).append(number)
    return bands[min(bands)] if bands else []


def _check_once(card: ModelCard, rasters: Sequence[RasterRole], chosen: dict[str, BandChoice]) -> None:
    """Refuse one band as two channels."""
    taken: dict[BandChoice, str] = {}
    for channel in (each for each in card.channels if each.name in chosen):
        choice = chosen[channel.name]
        other = taken.setdefault(choice, channel.name)
        if other != channel.name:
            raise SceneError(
                f"Band {choice.band} of {rasters[choice.raster].raster.path} is taken as {other} and {channel.name}. "
                "Give each channel a band of its own in CHANNELS, or a raster that has both."
            )


def _other_band(
    card: ModelCard,
    rasters: Sequence[RasterRole],
    chosen: dict[str, BandChoice],
    channel: Channel,
    by_hand: bool,
) -> list[tuple[str, str]]:
    """Return a warning of a band that its file says to be another channel or polarisation, and the same for tags.

    Raises
    ------
    SceneError
        Nobody has named the band, and its file says that it has another polarisation.
    """
    choice = chosen[channel.name]
    raster = rasters[choice.raster].raster
    name = raster.names[choice.band - 1]
    own, plain = radar_polarisation(channel), split_name(name)[0]
    if (
        not channel.matches(name)
        and not channel.matches(plain)
        and any(c.matches(plain) for c in card.channels)
    ):
        return [_taken_as(raster, choice.band, channel, f"is called '{name}'")]
    stated = next((s for s in statements(raster, choice.band) if own and s.contradicts(own)), None)
    if stated is None:
        return []
    said = "/".join(dict.fromkeys(stated.polarisations)).upper()
    if by_hand or not _NO_NAME.fullmatch(name):
        what = f"is called '{name}'" if stated.of_name else f"is {said} ({stated.where})"
        return [_taken_as(raster, choice.band, channel, what)]
    raise SceneError(
        f"{raster.path} holds {said} ({stated.where}), and model '{card.id}' takes {own.upper()}, which sea ice and "
        f"water reflect otherwise. Give a raster of {own.upper()}, or set CHANNELS='{channel.name}={choice.band}' to "
        "take the band all the same."
    )


def _taken_as(raster: Raster, band: int, channel: Channel, what: str) -> tuple[str, str]:
    return (
        f"Band {band} of {raster.path} {what} but taken as {channel.name}. "
        "If that is not meant, mend CHANNELS; if it is, trust the result less.",
        f"{channel.name} {what}",
    )


def _by_order(
    card: ModelCard, rasters: Sequence[RasterRole], chosen: dict[str, BandChoice]
) -> list[tuple[str, str]]:
    """Take bands without names in the card's order where their number fits; return warnings, and those for tags."""
    warnings = []
    for role in ("sar", "mwr", "ancillary"):
        wanted = [channel for channel in card.channels if role_of(channel) == role]
        places = [i for i, r in enumerate(rasters) if r.role == role]
        if not wanted or len(places) != 1 or any(channel.name in chosen for channel in wanted):
            continue
        raster = rasters[places[0]].raster
        if len(raster.measured) != len(wanted):
            wanted = [channel for channel in wanted if not can_be_made(channel)]
        if _nameless(raster) and len(raster.measured) == len(wanted):
            for band, channel in zip(raster.measured, wanted):
                chosen[channel.name] = BandChoice(places[0], band)
            order = ", ".join(f"{band} = {channel.name}" for band, channel in zip(raster.measured, wanted))
            sentence = (
                f"The bands of {raster.path} have no names; they are taken in the model's order ({order}). "
                "Name them, or set CHANNELS, if that is wrong."
            )
            warnings.append((sentence, f"bands of {role.upper()} without names, in the model's order"))
    return warnings


def _nameless(raster: Raster) -> bool:
    return all(_NO_NAME.fullmatch(raster.names[band - 1]) for band in raster.measured)


def _missing_text(card: ModelCard, rasters: Sequence[RasterRole], missing: Sequence[Channel]) -> str:
    if not any(r.role == "mwr" for r in rasters) and all(channel.sensor == "mwr" for channel in missing):
        return (
            f"Model '{card.id}' needs {len(missing)} radiometer channels ({_some([c.name for c in missing], 4)}). "
            "Set MWR (in dialogs 'Microwave radiometer raster') to brightness temperatures of the scene."
        )
    names = _some([f"'{channel.name}'" for channel in missing], 4)
    noun = "band" if len(missing) == 1 else "bands"
    # Rasters of other sensors are named where there is room: their bands are not what is missing.
    roles = {role_of(channel) for channel in missing}
    present = "; ".join(
        f"{r.raster.path} (bands: {_some(r.raster.describe_bands().split(', '), 6 if r.role in roles else 2)})"
        for r in rasters
    )
    counts = [
        f"{r.raster.path} has {number} band{'' if number == 1 else 's'} without names, the model needs {wanted}"
        for r in rasters
        if _nameless(r.raster)
        and (wanted := sum(role_of(c) == r.role and not can_be_made(c) for c in card.channels))
        != (number := len(r.raster.measured))
    ]
    hint = missing[0]
    few = [r for r in rasters if r.role == role_of(hint) and r.role != "ancillary"]
    needed = [channel.name for channel in card.channels if role_of(channel) == role_of(hint)]
    if few and all(len(r.raster.measured) < len(needed) for r in few):
        what = f"Give one raster that holds {_some(needed, 4)}, or a model that does without"
        if role_of(hint) == "sar" and len(needed) <= 4:
            what += "; bands in separate files are joined by GDAL's 'Build virtual raster' (separate bands)"
    else:
        where = (
            "Rename the bands"
            if role_of(hint) != "ancillary"
            else "Add a raster to ANCILLARY, rename the bands"
        )
        what = f"{where} or set CHANNELS='{hint.name}=…'"
    return f"No {noun} named {names} in {present}. {what}" + (f" ({'; '.join(counts)})." if counts else ".")


def _some(words: Sequence[str], most: int) -> str:
    """Return words in a row, only the first ones where there are many."""
    more = len(words) - most
    return ", ".join(words) if more < 1 else f"{', '.join(words[:most])} and {more} more"
