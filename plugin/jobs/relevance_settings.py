"""Settings of relevance methods: read from what a person wrote, and told in tags and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...models.card import ModelCard
from ..core.errors import ParameterError

if TYPE_CHECKING:
    from ..core.methods import Method

# How reports call the settings of methods.
SETTINGS = {
    "steps": "steps",
    "epsilon": "ε (relative to Σ|z| + |b| at each output of a layer)",
    "gamma": "γ",
    "alpha": "α",
    "first_layer": "rule of the first layer",
    "patch": "patch (pixels)",
    "samples": "samples",
    "noise": "noise (standard deviations)",
    "seed": "seed",
}
_USED = {
    "integrated_gradients": ("steps",),
    "lrp_epsilon": ("epsilon",),
    "lrp_gamma": ("gamma",),
    "lrp_alpha_beta": ("alpha",),
    "lrp_composite": ("gamma", "epsilon"),
    "smoothgrad": ("samples", "noise", "seed"),
    "occlusion": ("patch",),
}


def method_settings(method: Method) -> dict[str, object]:
    """Return the settings that a method used, by name."""
    used = {name: getattr(method, name) for name in _USED.get(method.name, ())}
    if method.propagates and method.first_rule != "same":
        used["first_layer"] = method.first_rule
    return used


def baseline_levels(card: ModelCard, text: str) -> tuple[float, ...]:
    """Return the standardised values of all channels for a baseline such as ``hh=-20,hv=-28``.

    Raises
    ------
    ParameterError
        If a channel is not known, or its value no number.
    """
    if not text.strip():
        return ()
    channels = (*card.fine_channels, *card.coarse_channels)
    levels = dict.fromkeys((channel.name for channel in channels), 0.0)
    by_name = {channel.name.lower(): channel for channel in channels}
    for part in text.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name.lower() not in by_name:
            raise ParameterError(
                f"BASELINE names '{name}', which model '{card.id}' does not read (channels: {', '.join(levels)})."
            )
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not np.isfinite(number):
            raise ParameterError(f"BASELINE: '{part.strip()}' gives no number. Write {name}=-20, say.")
        channel = by_name[name.lower()]
        levels[channel.name] = (number - channel.mean) / channel.sd
    return tuple(levels.values())
