"""The architectures that a card can name: each a module with an :class:`.contract.Architecture`, and a row here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ..ground.errors import ModelError
from .files import shown

if TYPE_CHECKING:
    import torch
    from torch import nn

    from .card import ModelCard
    from .contract import Architecture, FastPaths

# Name in a card: the module that holds ``ARCHITECTURE``, imported when it is needed, since it imports torch.
ARCHITECTURES = {"aspp_fusion": "aspp.architecture", "graph": "graph.architecture"}


def architecture(card: ModelCard) -> Architecture:
    """Return the architecture that a card names.

    Raises
    ------
    ModelError
        If there is none of that name.
    """
    name = card.architecture.name
    if name not in ARCHITECTURES:
        raise ModelError(
            f"The card of '{card.id}' names the architecture {shown(name)}, which is not known. "
            f"Known are: {', '.join(ARCHITECTURES)}."
        )
    return named(name)


def feeding_axis(card: ModelCard) -> int | None:
    """Return the axis along which a network reads a scene: 0 rows, 1 columns, None without a direction."""
    return architecture(card).feeding_axis


def named(name: str) -> Architecture:
    """Return the architecture of a row of :data:`ARCHITECTURES`."""
    return import_module(f".{ARCHITECTURES[name]}", __package__).ARCHITECTURE


def fast_paths(module: nn.Module, dtype: torch.dtype) -> FastPaths | None:
    """Return what an architecture computes faster for a network of its own, or None."""
    for name in ARCHITECTURES:
        fast = named(name).fast
        paths = fast(module, dtype) if fast is not None else None
        if paths is not None:
            return paths
    return None
