"""Groups of a network's channels: each alone, by frequency, by polarisation, by sensor.

The groups of one kind hold every channel exactly once. A channel that has no frequency or no
polarisation joins the group of its sensor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...ground.errors import ModelError
from ...ground.vocabulary.words import CHANNEL_GROUPS, check_word

if TYPE_CHECKING:
    from ...networks.card import Channel, ModelCard

CHANNEL, FREQUENCY, POLARISATION, SENSOR, SCALE = "channel", "frequency", "polarisation", "sensor", "scale"


@dataclass(frozen=True)
class ChannelGroup:
    """Inputs that belong together.

    Parameters
    ----------
    name : str
        Such as ``hh``, ``36.5 GHz``, ``v`` or ``mwr``; of components a scale, such as ``d4``.
    members : tuple of int
        Positions: of channels among the card's fine ones and then its coarse ones, of components among
        the inputs of the last layer.
    """

    name: str
    members: tuple[int, ...]


def channel_groups(card: ModelCard, kind: str) -> tuple[ChannelGroup, ...]:
    """Return the groups of a card's channels, in the order of their first channels.

    Raises
    ------
    ParameterError
        If there is no such kind of group.
    """
    labels: dict[str, Callable[[Channel], str]] = {
        CHANNEL: lambda channel: channel.name,
        FREQUENCY: lambda channel: (
            f"{channel.frequency_ghz:g} GHz" if channel.frequency_ghz else channel.sensor
        ),
        POLARISATION: lambda channel: channel.polarisation or channel.sensor,
        SENSOR: lambda channel: channel.sensor,
    }
    check_word("GROUPS", kind, CHANNEL_GROUPS)
    fine = [channel for channel in card.channels if channel.grid == "fine"]
    coarse = [channel for channel in card.channels if channel.grid != "fine"]
    return _grouped([labels[kind](channel) for channel in (*fine, *coarse)])


def scale_groups(card: ModelCard) -> tuple[ChannelGroup, ...]:
    """Return the groups of a card's components by feature scale: ``skip``, ``d2``, …, ``mwr``.

    Raises
    ------
    ModelError
        If the card lists no components, or names no scale for one.
    """
    if not card.components:
        raise ModelError(f"The card of '{card.id}' lists no components. Choose GROUPS other than scale.")
    unnamed = [component.name for component in card.components if not component.scale]
    if unnamed:
        raise ModelError(
            f"The card of '{card.id}' names no scale for the component '{unnamed[0]}'. Add it, or choose other GROUPS."
        )
    return _grouped([component.scale for component in card.components])


def _grouped(labels: list[str]) -> tuple[ChannelGroup, ...]:
    return tuple(
        ChannelGroup(name, tuple(i for i, other in enumerate(labels) if other == name))
        for name in dict.fromkeys(labels)
    )
