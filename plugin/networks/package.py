"""From a card to a network that runs, and back to the files of a package."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from typing import TYPE_CHECKING

from ..ground.dependencies import require
from ..ground.errors import ModelError
from . import registry, weights
from .architectures import architecture
from .card import ModelCard
from .files import shown

if TYPE_CHECKING:
    from torch import nn


def build(card: ModelCard) -> nn.Module:
    """Return the network of a card with new weights, in training mode.

    Raises
    ------
    ModelError
        If the architecture or an argument is unknown, or does not fit the channels, heads and
        components of the card.
    DependencyError
        If torch is not installed.
    """
    require("torch")
    from .inner_layers import output_convolution

    where = f"The card of '{card.id}'"
    chosen = architecture(card)
    arguments = dict(card.architecture.arguments)
    for name in arguments:
        if name not in chosen.arguments:
            raise ModelError(
                f"{where} gives the architecture an argument {shown(name)}, which is not known. "
                f"Known are: {', '.join(chosen.arguments)}."
            )
    # Facts a card tells twice must agree: else one of the two is wrong.
    for name, value in (("ratio", card.ratio), ("outputs", card.outputs)):
        if card.coarse_channels or name != "ratio":
            given = arguments.get(name, value)
            if given != value:
                raise ModelError(
                    f"{where} gives the architecture {name} = {shown(given)}, but its "
                    f"{'channels' if name == 'ratio' else 'heads'} make it {value}. Correct one of them."
                )
    module = chosen.build(card, arguments)
    if card.components:
        output = output_convolution(module)
        if output is None:
            raise ModelError(
                f"{where} lists components, but its network does not end in a 1 x 1 convolution. Leave them out."
            )
        if output.components != len(card.components):
            raise ModelError(
                f"{where} lists {len(card.components)} components, but the last convolution of its network has "
                f"{output.components} inputs. Correct the components or the architecture's arguments."
            )
    return module


def load(model: str | os.PathLike) -> tuple[ModelCard, nn.Module]:
    """Return the card and the network of a model, on the CPU, in evaluation mode.

    Parameters
    ----------
    model : str or path
        An installed id, or the path of a package.

    Raises
    ------
    ModelError
        If the model is missing, damaged, or its parts do not belong together.
    DependencyError
        If torch or safetensors is not installed.
    """
    folder = registry.find(model)
    card = ModelCard.from_json(folder / registry.CARD)
    module = build(card)
    weights.fill(module, weights.load_weights(card, folder, weights.most_bytes(module)), card)
    return card, module.eval().requires_grad_(False)


def package_files(card: ModelCard, module: nn.Module) -> tuple[ModelCard, dict[str, bytes]]:
    """Return what a model package consists of.

    Parameters
    ----------
    card : ModelCard
        The card of the network; its checksum is set here.
    module : torch.nn.Module
        The network.

    Returns
    -------
    tuple
        The card as written, and the content of each file by its name: the card comes last, so that where it is,
        the weights that it names are.

    Raises
    ------
    ModelError
        If the network is not the card's, or a weight is not finite.
    """
    weights.fill(build(card), module.state_dict(), card)
    content = weights.to_bytes(module)
    card = card.with_weights(dataclasses.replace(card.weights, sha256=hashlib.sha256(content).hexdigest()))
    return card, {card.weights.file: content, registry.CARD: card.to_json().encode("utf-8")}
