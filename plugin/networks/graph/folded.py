"""A graph network for forward passes.

Batch norms are part of the convolutions before them, ReLUs work in place, and heads are one convolution.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import nn

from .modules import GraphNetwork
from .spec import GraphSpec, Node


def folded(network: GraphNetwork) -> GraphNetwork | None:
    """Return a network in evaluation mode with the same logits up to rounding, which shares nothing with `network`.

    A batch norm behind a convolution that nothing else reads scales its weights, gain/sd, and makes a bias of its
    shift. A batch norm before a convolution stays: zeros are padded after its shift.

    Returns
    -------
    GraphNetwork or None
        None for a network without weights, or whose layers are not those of its graph any more.
    """
    spec = network.spec
    readers: dict[str, list[str]] = {}
    for node in spec.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node.name)
    kinds = {node.name: node.kind for node in spec.nodes}

    def behind_convolution(node: Node) -> bool:
        source = node.inputs[0]
        return kinds.get(source) == "conv" and len(readers[source]) == 1 and source not in spec.outputs

    norms = {
        node.inputs[0]: node.name
        for node in spec.nodes
        if node.kind == "batch_norm" and behind_convolution(node)
    }
    if not _as_built(network) or next(network.parameters(), None) is None:
        return None
    without = _without(spec, norms)
    # A head with a batch norm of its own is left as it is.
    heads = () if set(without.outputs) & set(norms) else _alike(without)
    plain = GraphNetwork(_one_head(without, heads)).eval().requires_grad_(False)
    plain.to(next(network.parameters()))
    with torch.no_grad():
        for name, layer in plain.named_children():
            own = network.get_submodule(name)
            if name in heads:
                _join(layer, [network.get_submodule(head) for head in heads])
            elif name in norms:
                _fold(layer, own, network.get_submodule(norms[name]))
            else:
                layer.load_state_dict(own.state_dict())
    kept = {node.name: node for node in plain.spec.nodes}
    for node in plain.spec.nodes:
        source = node.inputs[0]
        read_once = sum(source in other.inputs for other in plain.spec.nodes) == 1
        if node.kind == "relu" and source in kept and kept[source].kind == "conv" and read_once:
            plain.get_submodule(node.name).inplace = source not in plain.spec.outputs
    return plain


def _without(spec: GraphSpec, norms: dict[str, str]) -> GraphSpec:
    """Return a graph without batch norms, given by the convolution before each."""
    instead = {norm: conv for conv, norm in norms.items()}
    nodes = tuple(
        dataclasses.replace(
            node,
            inputs=tuple(instead.get(name, name) for name in node.inputs),
            settings={**node.settings, "bias": True} if node.name in norms else node.settings,
        )
        for node in spec.nodes
        if node.name not in instead
    )
    outputs = tuple(instead.get(name, name) for name in spec.outputs)
    return dataclasses.replace(spec, nodes=nodes, outputs=outputs)


def _alike(spec: GraphSpec) -> tuple[str, ...]:
    """Return the outputs of a graph if they are convolutions of the same values that differ in channels alone."""
    nodes = {node.name: node for node in spec.nodes}
    heads = [nodes[name] for name in spec.outputs if name in nodes]
    read = {name for node in spec.nodes for name in node.inputs}
    if len(heads) < 2 or len(heads) < len(spec.outputs) or len(set(spec.outputs)) < len(heads):
        return ()
    first = heads[0]
    for head in heads:
        if head.kind != "conv" or head.name in read or head.inputs != first.inputs:
            return ()
        if {**head.values, "channels": 0} != {**first.values, "channels": 0} or head.values["groups"] != 1:
            return ()
    return spec.outputs


def _one_head(spec: GraphSpec, heads: tuple[str, ...]) -> GraphSpec:
    """Return a graph whose `heads` are one, called as the first of them."""
    if not heads:
        return spec
    channels = sum(spec.grids[name].channels for name in heads)
    nodes = tuple(
        dataclasses.replace(node, settings={**node.settings, "channels": channels})
        if node.name == heads[0]
        else node
        for node in spec.nodes
        if node.name not in heads[1:]
    )
    return dataclasses.replace(spec, nodes=nodes, outputs=heads[:1])


def _as_built(network: GraphNetwork) -> bool:
    """Return whether the layers of a network are of the classes that its graph asks for, without hooks."""
    wanted = {name: type(layer) for name, layer in GraphNetwork(network.spec).named_children()}
    own = {name: type(layer) for name, layer in network.named_children()}
    return own == wanted and not any(
        layer._forward_hooks or layer._forward_pre_hooks for layer in network.modules()
    )


def _join(layer: nn.Module, heads: list[nn.Module]) -> None:
    """Give a convolution the weights of several, one after another."""
    layer.weight.copy_(torch.cat([head.weight for head in heads]))
    if layer.bias is not None:
        layer.bias.copy_(torch.cat([head.bias for head in heads]))


def _fold(layer: nn.Module, conv: nn.Module, norm: nn.Module) -> None:
    """Give a convolution the weights of a convolution and the batch norm behind it, computed in float64."""
    scale = 1 / (norm.running_var.double() + norm.eps).sqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    before = 0.0 if conv.bias is None else conv.bias.double()
    shift = (before - norm.running_mean.double()) * scale
    if norm.bias is not None:
        shift = shift + norm.bias.double()
    layer.weight.copy_(conv.weight.double() * scale.view(-1, 1, 1, 1))
    layer.bias.copy_(shift)
