"""Graph networks as an architecture: what an importer makes of a network of another house."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ...ground.errors import ModelError
from ..card_checks import WHOLE_IMAGE
from ..contract import Architecture, Edges, FastPaths
from . import modules
from .examples import fusion, unet
from .folded import folded
from .geometry import geometry
from .spec import GraphError, GraphSpec

if TYPE_CHECKING:
    from ..card import ModelCard


def spec_of(card: ModelCard) -> GraphSpec:
    """Return the graph of a card.

    Raises
    ------
    ModelError
        If it has none, or one that does not fit its channels and heads.
    """
    where = f"The card of '{card.id}'"
    content = card.architecture.arguments.get("graph")
    if content is None:
        raise ModelError(f"{where} has no graph in architecture.arguments. Import the model again.")
    try:
        spec = GraphSpec.from_json(content)
    except GraphError as error:
        raise ModelError(f"{where}: {error}") from None
    facts = (
        ("fine channels", spec.fine, len(card.fine_channels)),
        ("coarse channels", spec.coarse, len(card.coarse_channels)),
        ("a ratio of", spec.ratio, card.ratio),
        ("outputs", spec.channels, card.outputs),
    )
    for what, own, stated in facts:
        if own != stated:
            raise ModelError(
                f"{where} and its graph do not agree: {what}: {stated} by channels and heads, {own} in the graph. "
                "Correct one of them."
            )
    return spec


def _build(card: ModelCard, arguments: Mapping[str, Any]) -> nn.Module:
    spec = spec_of(card)
    whole = geometry(spec).whole_image
    if whole and not card.whole_image:
        raise ModelError(
            f"The card of '{card.id}': {whole[0]} Tiles would not give what the scene gives. Set "
            f"receptive_field_radius to {WHOLE_IMAGE}, and scenes are run at once, as far as memory allows."
        )
    return modules.build(spec)


def _fast(module: nn.Module, dtype: torch.dtype) -> FastPaths | None:
    """Return the forward pass without batch norms; None in bfloat16, whose rounding shall be that of the layers."""
    if type(module) is not modules.GraphNetwork or dtype == torch.bfloat16 or not module.spec.weights:
        return None
    plain = folded(module)
    if plain is None:
        return None
    plain = plain.to(dtype).to(memory_format=torch.channels_last)

    def forward(fine: torch.Tensor, coarse: torch.Tensor | None, edges: Edges = (True,) * 4) -> torch.Tensor:
        return plain(fine.to(dtype), None if coarse is None else coarse.to(dtype))

    return FastPaths(forward)


ARCHITECTURE = Architecture(
    arguments=("graph",),
    build=_build,
    fast=_fast,
    examples=tuple({"graph": spec.to_json()} for spec in (unet(), fusion())),
)
