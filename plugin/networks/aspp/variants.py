"""How the variants of the fusion network differ: numbers of filters, activations, upsampling.

Apart from the network itself, so that a card can be written and checked where torch is missing.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...ground.errors import ModelError
from ..files import shown

SCALES = (2, 4, 8, 16)


@dataclass(frozen=True)
class Variant:
    """One variant of the network.

    Parameters
    ----------
    skip : int
        Filters of the second convolution, kept as skip components.
    scale : int
        Filters of each of the four scale convolutions.
    rectified : bool
        Whether a ReLU follows the scale convolutions.
    bilinear : bool
        Whether coarse channels are upsampled bilinearly (else each cell is repeated).
    hidden : int
        Filters of a 1 x 1 convolution with ReLU before the output; 0 for none.
    """

    skip: int
    scale: int
    rectified: bool
    bilinear: bool = False
    hidden: int = 0


VARIANTS = {
    "fusion": Variant(skip=12, scale=24, rectified=True),
    "interpretability_small": Variant(skip=14, scale=14, rectified=False),
    "interpretability_large": Variant(skip=14, scale=28, rectified=False),
    "v2": Variant(skip=12, scale=24, rectified=True, bilinear=True, hidden=128),
}


def variant_named(name: str) -> Variant:
    """Return the variant called `name`.

    Raises
    ------
    ModelError
        If there is none of that name.
    """
    if name not in VARIANTS:
        raise ModelError(f"No network variant {shown(name)}. Use one of: {', '.join(sorted(VARIANTS))}.")
    return VARIANTS[name]
