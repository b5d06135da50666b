"""Whether SAR was prepared as that of the network's training: pixel size, noise correction, multilook."""

from __future__ import annotations

import re

from ...ground.vocabulary.words import NOISE_CORRECTIONS
from ...networks.card import ModelCard
from ..files.raster import Raster

# Share by which a raster's pixels may differ from those the network was trained on without a warning.
PIXEL_SIZE_TOLERANCE = 0.15
NOISE_TAGS = ("FLOELENS_NOISE_CORRECTION", "noise_correction")
MULTILOOK_TAG = "FLOELENS_MULTILOOK"


def preparation_warnings(card: ModelCard, sar: Raster, pixel_size: float) -> list[str]:
    """Return what differs between a raster and what the network was trained on, a sentence each.

    Noise correction and multilook are compared where both the card and the raster's tags say them.

    Parameters
    ----------
    card : ModelCard
        Of the network.
    sar : Raster
        The raster of its fine channels.
    pixel_size : float
        Of the raster, m.
    """
    warnings = []
    if abs(pixel_size / card.pixel_size_m - 1) > PIXEL_SIZE_TOLERANCE:
        warnings.append(
            f"The pixels of {sar.path} are {pixel_size:.1f} m, the model '{card.id}' was trained on "
            f"{card.pixel_size_m:g} m. Resample the raster, or trust the result less."
        )
    differing = sorted(_noise_corrections(card, sar) - {card.noise_correction})
    if card.noise_correction and differing:
        warnings.append(
            f"The thermal noise of {sar.path} was corrected as {differing[0].upper()} does, that of the training data "
            f"of '{card.id}' as {card.noise_correction.upper()} does. Import the product with "
            f"NOISE={card.noise_correction}, or trust the result less in dark HV."
        )
    # Of other products the pixels are not the sensor's own.
    looks = sar.tags.get(MULTILOOK_TAG, "") if sar.tags.get("FLOELENS_PRODUCT") == "Sentinel-1 GRD" else ""
    if card.multilook and re.fullmatch(r"\d{1,4}", looks) and int(looks) != card.multilook:
        warnings.append(
            f"{sar.path} was averaged over {looks} x {looks} pixels of the product, the training data of '{card.id}' "
            f"over {card.multilook} x {card.multilook}: its speckle differs. Import it with "
            f"MULTILOOK={card.multilook}, or trust the result less."
        )
    return warnings


def _noise_corrections(card: ModelCard, sar: Raster) -> set[str]:
    """Return the noise corrections that the tags of a raster, or of its bands of backscatter, say."""
    said = [sar.tags.get(NOISE_TAGS[0], "")]
    for number in sar.measured:
        name = sar.names[number - 1]
        if any(channel.matches(name) and channel.sensor == "sar" for channel in card.fine_channels):
            said.append(sar.dataset.tags(number).get(NOISE_TAGS[1], ""))
    return {text.lower() for text in said if text.lower() in NOISE_CORRECTIONS}
