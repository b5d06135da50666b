"""From a network that is a graph already, as one of an ONNX file, to its card.

Names and order of channels, statistics, classes and the pixel size are not in such a file: channels and pixel size are
given by parameters, heads by a card.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...ground.errors import ModelError
from ..card import Architecture, Channel, Head, ModelCard
from ..card_checks import WHOLE_IMAGE
from ..files import listed, shown
from ..graph.geometry import geometry
from ..graph.spec import GraphSpec, Node
from .proposal import (
    Findings,
    Given,
    Proposal,
    channels_of,
    components_of,
    family_named,
    pixel_size_of,
    ratio_of,
)
from .unet_proposal import make_card

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Inputs:
    """The inputs of a network that is yet to be turned into a graph.

    Parameters
    ----------
    channels : tuple of Channel or None
        In the network's order: the fine ones, then the coarse ones; None where they must be given.
    ratio : int
        Fine pixels along a coarse cell; 1 without coarse channels.
    """

    channels: tuple[Channel, ...] | None
    ratio: int

    @property
    def coarse(self) -> int:
        """How many are coarse."""
        return sum(channel.grid == "coarse" for channel in self.channels or ())


def inputs_of(count: int, word: str, given: Given, findings: Findings) -> Inputs:
    """Return what a person says of the inputs of a network.

    Raises
    ------
    ModelError
        If a coarse channel stands before a fine one, or their number is not the network's.
    """
    family = family_named(word)
    size = pixel_size_of(given, family, findings)
    channels = channels_of(count, given, family, ratio_of(given, size), findings)
    if channels is None:
        return Inputs(None, 1)
    grids = [channel.grid for channel in channels]
    if grids != sorted(grids, key=("fine", "coarse").index):
        late = channels[grids.index("coarse")].name
        raise ModelError(
            f"The coarse channel {shown(late)} stands before a fine one. Export the network with "
            "the coarse channels last, or describe all of them as fine ones in CARD."
        )
    return Inputs(channels, next((channel.ratio or 1 for channel in channels if channel.grid == "coarse"), 1))


def propose_graph(
    word: str,
    graph: GraphSpec,
    weights: Mapping[str, np.ndarray],
    inputs: Inputs,
    given: Given,
    findings: Findings,
    heads: Sequence[Head] = (),
) -> Proposal:
    """Return what a graph is found to be.

    Parameters
    ----------
    word : str
        Of the family.
    graph : GraphSpec
        The network.
    weights : mapping of str to numpy.ndarray
        By node and tensor.
    inputs : Inputs
        Its channels.
    given : Given
        What a person says.
    findings : Findings
        What is known so far; more is added.
    heads : sequence of Head
        Published ones; those of a card by hand hold before them.

    Raises
    ------
    ModelError
        If what is given contradicts the graph.
    """
    import torch

    from ..graph.modules import build
    from ..inner_layers import output_convolution
    from ..measure import receptive_field_and_rest

    family = family_named(word)
    count = sum(values.size for values in weights.values())
    shape = geometry(graph)
    findings.found.append(
        f"A network of {len(graph.nodes)} layers with {graph.fine} fine and {graph.coarse} coarse channels, "
        f"{graph.channels} outputs and {count:,} parameters."
    )
    graph, weights = _without_masked(graph, weights, given.card.get("heads", heads), findings)
    made = _heads_of(graph, given, findings, heads)
    if findings.needed or inputs.channels is None:
        return Proposal(word, findings, None, {}, count)
    module = build(graph)
    output = output_convolution(module)
    tensors = {name: torch.from_numpy(values.copy()) for name, values in weights.items()}

    def card_with(radius: int) -> ModelCard:
        return make_card(
            given,
            family,
            findings,
            architecture=Architecture("graph", {"graph": graph.to_json()}),
            channels=inputs.channels,
            heads=made,
            components=components_of(output.components, inputs.channels or ()) if output else (),
            pixel_size_m=pixel_size_of(given, family, Findings()),
            receptive_field_radius=radius,
            alignment=shape.alignment,
        )

    if shape.whole_image:
        return Proposal(word, findings, card_with(WHOLE_IMAGE), tensors, count)
    card = card_with(64)
    field, unmeasured = receptive_field_and_rest(module.eval(), card)
    if field is None:
        raise ModelError(" ".join(unmeasured))
    # A few places of a period are measured; another one reads farther by less than a stride.
    stride = shape.alignment // math.gcd(shape.alignment, card.ratio)
    radius = field.radius + stride - 1 + shape.beyond_field
    return Proposal(word, findings, replace(card, receptive_field_radius=radius), tensors, count)


def _without_masked(
    graph: GraphSpec, weights: Mapping[str, np.ndarray], heads: Sequence[Head], findings: Findings
) -> tuple[GraphSpec, Mapping[str, np.ndarray]]:
    """Return a graph and its weights without outputs that stand for masked pixels, which are never mapped.

    Such is the last output of a convolution that has one output more than its softmax head has classes.
    """
    if len(heads) != len(graph.outputs):
        return graph, weights
    left = dict(weights)
    nodes = {node.name: node for node in graph.nodes}
    read = {name for node in graph.nodes for name in node.inputs}
    for name, head in zip(graph.outputs, heads):
        node, outputs = nodes.get(name), graph.grids[name].channels
        if (
            node is None
            or head.kind != "softmax"
            or head.outputs != outputs - 1
            or node.kind != "conv"
            or node.values["groups"] > 1
            or name in read
            or graph.outputs.count(name) > 1
        ):
            continue
        nodes[name] = Node(name, "conv", node.inputs, {**node.settings, "channels": outputs - 1})
        for tensor in ("weight", "bias"):
            if f"{name}.{tensor}" in left:
                left[f"{name}.{tensor}"] = left[f"{name}.{tensor}"][:-1]
        findings.assumed.append(
            f"The last of the {outputs} outputs of '{name}' stands for masked pixels, since the head '{head.name}' has "
            f"{head.outputs} classes: it is left out, and so never mapped."
        )
    return replace(graph, nodes=tuple(nodes.values())), left


def _heads_of(
    graph: GraphSpec, given: Given, findings: Findings, published: Sequence[Head]
) -> tuple[Head, ...]:
    """Return the heads by hand, or those published.

    Raises
    ------
    ModelError
        If they have another number of outputs than the graph.
    """
    made = tuple(given.card.get("heads", published))
    outputs = sum(head.outputs for head in made)
    if not made:
        findings.needed.append(
            f"CARD: heads with their kind (sigmoid, softmax, linear) and classes, {graph.channels} outputs together."
        )
    elif outputs != graph.channels:
        raise ModelError(
            f"The heads {listed(head.name for head in made)} have {outputs} outputs, but the network has "
            f"{graph.channels}. Correct them in CARD."
        )
    return made
