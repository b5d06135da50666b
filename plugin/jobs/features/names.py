"""What the features of a layer are called, and what these names mean."""

from __future__ import annotations

import re
from itertools import groupby

from ...core.features.layer import COMPONENTS, JOINED, LayerShape, named_layer
from ...core.features.tiles import Analysis
from ...core.target.target import Seeding
from ...ground.errors import ParameterError
from ...ground.wording import listed
from ...networks.card import Component, ModelCard
from ...report.features.content import FeatureName

_SENSORS = {"sar": "SAR", "mwr": "radiometer"}


def feature_names(card: ModelCard, shape: LayerShape) -> tuple[str, ...]:
    """Return the names of a layer's features: those of the components, or the layer's with a number."""
    if shape.name == COMPONENTS and len(card.components) == shape.channels:
        return tuple(part.name for part in card.components)
    return tuple(name for part in shape.layers for name in _numbered(part))


def _numbered(shape: LayerShape) -> tuple[str, ...]:
    digits = len(str(shape.channels))
    return tuple(f"{shape.name}_{number + 1:0{digits}d}" for number in range(shape.channels))


def meanings(card: ModelCard, shape: LayerShape) -> tuple[FeatureName, ...]:
    """Return what the features are, those of one kind together."""
    if shape.name == COMPONENTS and len(card.components) == shape.channels:
        kinds = groupby(card.components, lambda part: (part.sensor, "" if part.channel else part.scale))
        return tuple(_kind(card, list(parts)) for _, parts in kinds)
    return tuple(
        FeatureName(_numbered(part), "", f"the {part.channels} maps that layer {part.name} puts out")
        for part in shape.layers
    )


def _kind(card: ModelCard, parts: list[Component]) -> FeatureName:
    """Return what components of one sensor and scale are, or the channels that are components themselves."""
    names, first = tuple(part.name for part in parts), parts[0]
    sensor = "+".join(_SENSORS.get(word, word) for word in first.sensor.split("+"))
    if first.channel:
        bands = ", by frequency in GHz and polarisation" if first.frequency_ghz is not None else ""
        return FeatureName(names, f"{sensor} channel", f"channels of the {sensor}{bands}")
    window = re.fullmatch(r"d(\d+)", first.scale)
    if window:
        pixels = int(window[1])
        return FeatureName(
            names,
            f"{sensor} over {pixels} pixels",
            f"{sensor} seen in windows of {pixels} \u00d7 {pixels} pixels "
            f"({pixels * card.pixel_size_m / 1000:.2g} km), nine of them side by side",
        )
    if first.scale == "skip":
        return FeatureName(names, f"{sensor} in detail", f"{sensor} in full detail, not seen in windows")
    if first.scale == "hidden":
        return FeatureName(names, "", f"units of the hidden layer before the logits ({sensor})")
    return FeatureName(names, sensor, f"{sensor}, {first.scale}" if first.scale else sensor)


def beside(analysis: Analysis) -> str:
    """Return what the logit depends on beside the layer, in a sentence; empty where the layer carries it all."""
    others = analysis.cut.beside
    if not others:
        return ""
    layer = analysis.shape.name
    said = f"Beside {layer} the logit depends on {listed(others)}, whose part no map of {layer} shows."
    try:
        whole = named_layer(analysis.runner, JOINED.join((layer, *others)))
    except ParameterError:
        return said
    return f"{said} NETWORK_LAYER={whole.name} looks at all of it."


def legend_target(seeding: Seeding) -> str:
    """Return the target for the legend of a map, which names the classes where it is the predicted one."""
    if seeding.wanted is not None:
        return seeding.shown
    *most, last = (entry.name for entry in seeding.head.classes)
    classes = f"{', '.join(most)} or {last}"
    against = (
        f", rather than {seeding.head.classes[seeding.reference].name}"
        if seeding.reference is not None
        else ""
    )
    return f"the class predicted at the pixel: {classes}{against}"
