"""Cards of the fusion network: channels, components and geometry follow from its variant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..card import Architecture, Channel, Component, Head, ModelCard
from ..standard_channels import MWR_CHANNELS, SAR_CHANNELS, standard_channels
from .variants import SCALES, variant_named

CITATION = (
    "Malmgren-Hansen et al. (2021): A Convolutional Neural Network Architecture for Sentinel-1 and AMSR2 Data "
    "Fusion. IEEE TGRS 59(3). doi:10.1109/TGRS.2020.3004539",
    "Malmgren-Hansen, Nielsen, Pedersen (2021): Explainability in CNN Models By Means of Z-Scores. "
    "arXiv:2102.05874",
)
# Six 3 x 3 convolutions reach 6 pixels, the pool of 16 another 8, the dilation of 16 another 16.
RECEPTIVE_FIELD_RADIUS = 30


def aspp_components(variant: str, channels: Sequence[Channel]) -> tuple[Component, ...]:
    """Return the components of the network's last convolution.

    Parameters
    ----------
    variant : str
        Of the network.
    channels : sequence of Channel
        Its inputs; each coarse one is a component of its own.
    """
    widths = variant_named(variant)
    if widths.hidden:
        sensors = "+".join(dict.fromkeys(channel.sensor for channel in channels))
        return tuple(Component(f"hidden_{i + 1:03d}", sensors, "hidden") for i in range(widths.hidden))
    sensors = "+".join(dict.fromkeys(channel.sensor for channel in channels if channel.grid == "fine"))
    components = [Component(f"skip_{i + 1:02d}", sensors, "skip") for i in range(widths.skip)]
    for scale in SCALES:
        components += [Component(f"d{scale}_{i + 1:02d}", sensors, f"d{scale}") for i in range(widths.scale)]
    components += [
        Component(
            name=channel.name,
            sensor=channel.sensor,
            scale=channel.sensor,
            channel=channel.name,
            frequency_ghz=channel.frequency_ghz,
            polarisation=channel.polarisation,
        )
        for channel in channels
        if channel.grid == "coarse"
    ]
    return tuple(components)


def aspp_card(
    id: str,
    variant: str,
    ratio: int,
    heads: Sequence[Head],
    *,
    title: str,
    pixel_size_m: float,
    channels: Sequence[Channel] | None = None,
    licence: str = "GPL-3.0-or-later",
    **fields: Any,
) -> ModelCard:
    """Return the card of a fusion network whose weights are yet to be saved.

    Parameters
    ----------
    id : str
        Of the model.
    variant : str
        Of the network (see :mod:`.variants`).
    ratio : int
        Fine pixels along one side of a coarse cell.
    heads : sequence of Head
        Its answers.
    title : str
        For people.
    pixel_size_m : float
        Size of the fine pixels it is trained on, in metres.
    channels : sequence of Channel, optional
        Its inputs; the coarse ones must have the same `ratio`. Default: HH, HV and the 14 AMSR2
        channels with their global statistics.
    licence : str
        Of the weights.
    **fields
        Further fields of :class:`.card.ModelCard`: summary, citation, training, skill, limits, …

    Raises
    ------
    ModelError
        If the variant is unknown or the parts do not fit each other.
    """
    if channels is None:
        channels = standard_channels((*SAR_CHANNELS, *MWR_CHANNELS), ratio)
    fields.setdefault("citation", CITATION)
    outputs = sum(head.outputs for head in heads)
    has_coarse = any(channel.grid == "coarse" for channel in channels)
    return ModelCard(
        id=id,
        title=title,
        licence=licence,
        architecture=Architecture("aspp_fusion", {"variant": variant, "ratio": ratio, "outputs": outputs}),
        channels=tuple(channels),
        heads=tuple(heads),
        components=aspp_components(variant, channels),
        pixel_size_m=pixel_size_m,
        receptive_field_radius=RECEPTIVE_FIELD_RADIUS,
        alignment=ratio if has_coarse else 1,
        **fields,
    )
