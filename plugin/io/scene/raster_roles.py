"""Whether each raster was given for the parameter that it belongs to: SAR, radiometry, or ancillary.

Channels are found by name in any raster, so that rasters given for one another would still make a map, on the wrong
grid. The names of its bands say what a raster holds; where it has none, a radiometer's pixels are the larger ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...ground.errors import SceneError
from ...networks.card import Channel, ModelCard
from ..files.raster import Raster
from ..geometry.grid import Grid

# So many times the size of the MWR raster's pixels those of SAR may have, where no band has a name.
MOST_COARSER = 1.5


@dataclass(frozen=True)
class RasterRole:
    """An open raster and the parameter it came from: ``sar``, ``mwr`` or ``ancillary``."""

    raster: Raster
    role: str


@dataclass(frozen=True)
class BandChoice:
    """Where a channel is read: which of the rasters (from 0), which of its bands (from 1)."""

    raster: int
    band: int


def role_of(channel: Channel) -> str:
    """Return the parameter a channel is expected in: ``sar``, ``mwr`` or ``ancillary``."""
    return channel.sensor if channel.sensor in ("sar", "mwr") else "ancillary"


def check_named(
    card: ModelCard, rasters: Sequence[RasterRole], chosen: Mapping[str, BandChoice], unnamed: Sequence[int]
) -> None:
    """Refuse rasters that were given for one another, as far as their bands show.

    Parameters
    ----------
    card : ModelCard
        Whose channels.
    rasters : sequence of RasterRole
        The rasters given.
    chosen : mapping
        The bands that were found by name or by hand, by the channel's name.
    unnamed : sequence of int
        The rasters, from 0, whose bands have no names.

    Raises
    ------
    SceneError
        The SAR raster, or the MWR raster, holds what belongs to another parameter.
    """
    for role in ("sar", "mwr"):
        place = next((i for i, item in enumerate(rasters) if item.role == role), None)
        own = [channel for channel in card.channels if channel.sensor == role]
        if place is None or not own:
            continue
        held = [c for c in card.channels if c.name in chosen and chosen[c.name].raster == place]
        if any(channel in held for channel in own):
            continue
        elsewhere = next((chosen[c.name].raster for c in own if c.name in chosen), None)
        opposite = any(channel.sensor == ("mwr" if role == "sar" else "sar") for channel in held)
        if opposite or (elsewhere is not None and (held or role == "sar")):
            raise _misplaced(card, rasters, chosen, place, elsewhere)
    _check_counts(card, rasters, unnamed)


def _misplaced(card, rasters, chosen, place: int, elsewhere: int | None) -> SceneError:
    """Return the error of a raster that holds nothing of its parameter."""

    def holding(number: int) -> tuple[str, str]:
        names = [c.name for c in card.channels if c.name in chosen and chosen[c.name].raster == number]
        first = next((c for c in card.channels if c.name in names), None)
        listed = ", ".join(names) if len(names) <= 3 else f"{names[0]} … {names[-1]} ({len(names)} channels)"
        return listed or f"no channel of it (bands: {rasters[number].raster.describe_bands()[:80]})", (
            role_of(first).upper() if first else ""
        )

    item = rasters[place]
    own, belongs = holding(place)
    said = f"{item.raster.path} is given as {item.role.upper()} but holds {own}"
    remedy = f"give it as {belongs}" if belongs else f"give another raster as {item.role.upper()}"
    if elsewhere is not None:
        other = rasters[elsewhere]
        said += f"; {other.raster.path} is given as {other.role.upper()} and holds {holding(elsewhere)[0]}"
        remedy = (
            f"give {other.raster.path} as {item.role.upper()} and {item.raster.path} as "
            f"{belongs or other.role.upper()}"
        )
    return SceneError(f"{said}. They are interchanged: {remedy}." if elsewhere is not None else
                      f"{said}. SAR and MWR may be interchanged: {remedy}.")  # fmt: skip


def _check_counts(card: ModelCard, rasters: Sequence[RasterRole], unnamed: Sequence[int]) -> None:
    """Refuse rasters without names of which each has the number of bands that the other one should have."""
    both = _sar_and_mwr(rasters)
    if both is None or not set(both) <= set(unnamed):
        return
    wanted = [sum(role_of(channel) == role for channel in card.channels) for role in ("sar", "mwr")]
    sar, mwr = (rasters[place].raster for place in both)
    if wanted[0] != wanted[1] and [len(mwr.measured), len(sar.measured)] == wanted:
        raise SceneError(
            f"SAR and MWR seem interchanged: {sar.path} is given as SAR and has {len(sar.measured)} bands, "
            f"{mwr.path} is given as MWR and has {len(mwr.measured)}; model '{card.id}' takes {wanted[0]} channels of "
            f"SAR and {wanted[1]} of MWR. Give {mwr.path} as SAR and {sar.path} as MWR."
        )


def check_sizes(
    rasters: Sequence[RasterRole], chosen: Mapping[str, BandChoice], nameless: Sequence[str]
) -> None:
    """Refuse a SAR raster coarser than the MWR raster, where no band's name says which is which.

    Parameters
    ----------
    rasters : sequence of RasterRole
        The rasters given.
    chosen : mapping
        The band of every channel, by the channel's name.
    nameless : sequence of str
        The channels whose bands have no name of theirs.

    Raises
    ------
    SceneError
        The pixels are sized as if the two were interchanged.
    """
    places = {chosen[name].raster for name in nameless}
    pair = _sar_and_mwr(rasters)
    if pair is None or not places.issuperset(pair):
        return
    sar, mwr = (rasters[place].raster for place in pair)
    fine, coarse = (Grid.from_raster(raster).pixel_size() for raster in (sar, mwr))
    if fine > MOST_COARSER * coarse:
        raise SceneError(
            f"SAR and MWR seem interchanged: the pixels of {sar.path}, given as SAR, are {fine:.0f} m, those of "
            f"{mwr.path}, given as MWR, {coarse:.0f} m, and their bands have no names. Give {mwr.path} as SAR and "
            f"{sar.path} as MWR, or name the bands."
        )


def _sar_and_mwr(rasters: Sequence[RasterRole]) -> tuple[int, int] | None:
    """Return which raster is given as SAR and which as MWR; None where one is missing."""
    places = {item.role: place for place, item in reversed(list(enumerate(rasters)))}
    return (places["sar"], places["mwr"]) if {"sar", "mwr"} <= places.keys() else None
