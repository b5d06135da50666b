"""What contributions are measured against: the values of channels that stand for no evidence."""

from __future__ import annotations

import re

from ...ground.errors import ParameterError
from ...networks.card import ModelCard


def baseline_levels(card: ModelCard, text: str) -> tuple[float, ...]:
    """Return a baseline in standardised units: one value a channel, the fine ones first; empty for none.

    Parameters
    ----------
    card : ModelCard
        Its channels, with mean and standard deviation.
    text : str
        Values in the channels' own units, ``hh=-20,hv=-28``; channels that are not named are at their mean.

    Raises
    ------
    ParameterError
        If a channel is unknown or named twice, or a value is missing or no number.
    """
    if not text.strip():
        return ()
    levels: dict[str, float] = {}
    for item in filter(None, (part.strip() for part in re.split(r"[;,]", text))):
        name, equals, value = (part.strip() for part in item.partition("="))
        if not equals:
            raise ParameterError(
                f"BASELINE: '{item}' is no channel with a value. Write channel=value, as in hh=-20,btemp_36_5v=150, "
                "or leave BASELINE empty: all channels stand at their training mean."
            )
        channel = next((c for c in card.channels if c.matches(name)), None)
        if channel is None:
            known = ", ".join(c.name for c in card.channels)
            raise ParameterError(f"BASELINE: model '{card.id}' has no channel '{name}' (channels: {known}).")
        if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", value, re.I):
            raise ParameterError(f"BASELINE: '{item}' is no value. Write channel=value, as in hh=-20.")
        if channel.name in levels:
            raise ParameterError(f"BASELINE names '{channel.name}' twice. Name it once.")
        levels[channel.name] = (float(value) - channel.mean) / channel.sd
    return tuple(levels.get(channel.name, 0.0) for channel in (*card.fine_channels, *card.coarse_channels))
