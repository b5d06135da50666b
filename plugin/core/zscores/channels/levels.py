"""The input channels of a network, alone and together by frequency and by sensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ....networks.card import ModelCard

LEVELS = ("sensor", "frequency", "channel")  # the coarsest, which judges best, first
# The first columns of every table of groups of channels.
GROUP_COLUMNS = ("head", "level", "group", "sensor", "frequency_ghz", "polarisation", "channels")


@dataclass(frozen=True)
class InputChannel:
    """One input channel whose contribution to the logit is known.

    Parameters
    ----------
    name, sensor : str
        As in the model card.
    frequency_ghz : float or None
        Frequency of a radiometer channel, GHz.
    polarisation : str
        Empty where it has none.
    """

    name: str
    sensor: str
    frequency_ghz: float | None = None
    polarisation: str = ""


def input_channels(card: ModelCard) -> tuple[InputChannel, ...]:
    """Return the channels of a card in the order of the contributions: fine ones first."""
    return tuple(
        InputChannel(channel.name, channel.sensor, channel.frequency_ghz, channel.polarisation)
        for channel in (*card.fine_channels, *card.coarse_channels)
    )


@dataclass(frozen=True)
class LevelGroup:
    """Channels whose contributions are added up.

    Parameters
    ----------
    level : str
        One of :data:`LEVELS`.
    name, sensor : str
        Such as ``mwr``, ``36.5 GHz`` or ``btemp_36_5v``, and the sensor it belongs to.
    frequency_ghz : float or None
        Where all its channels have the same.
    polarisation : str
        Of a single channel.
    members : tuple of int
        Positions of its channels.
    """

    level: str
    name: str
    sensor: str
    frequency_ghz: float | None
    polarisation: str
    members: tuple[int, ...]


def level_groups(channels: Sequence[InputChannel]) -> tuple[LevelGroup, ...]:
    """Return the groups of every level; at each level every channel is in exactly one group.

    By frequency, what has none stays with its sensor. A level that would repeat a coarser one is left out.
    """
    groups: list[LevelGroup] = []
    seen = set()
    for level in LEVELS:
        names: dict[tuple[str, str], list[int]] = {}
        for at, channel in enumerate(channels):
            frequency = "" if channel.frequency_ghz is None else f"{channel.frequency_ghz:g} GHz"
            name = {
                "sensor": channel.sensor,
                "frequency": frequency or channel.sensor,
                "channel": channel.name,
            }[level]
            names.setdefault((channel.sensor, name), []).append(at)
        division = tuple(tuple(members) for members in names.values())
        if division in seen:
            continue
        seen.add(division)
        for (sensor, name), members in names.items():
            frequencies = {channels[at].frequency_ghz for at in members}
            groups.append(
                LevelGroup(
                    level,
                    name,
                    sensor,
                    frequencies.pop() if len(frequencies) == 1 else None,
                    channels[members[0]].polarisation if len(members) == 1 else "",
                    tuple(members),
                )
            )
    return tuple(groups)
