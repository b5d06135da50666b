"""The layers inside a network: their names, what they put out, and the convolution that ends it.

Everything here is read from the traced graph of a network's definition, so that it holds for any architecture.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import fx, nn

from ..ground.errors import ModelError
from .layers import trace


@dataclass(frozen=True)
class OutputConvolution:
    """The 1 x 1 convolutions that end a network: the logits are a regression on their common input.

    Parameters
    ----------
    names : tuple of str
        The modules, in the order of the logits: one, or one a head.
    components : int
        Channels of their input.
    """

    names: tuple[str, ...]
    components: int

    def weights(self, module: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
        """Return weights (output, component) and biases (output,), float64."""
        layers = [module.get_submodule(name) for name in self.names]
        weights = [layer.weight.detach().double()[:, :, 0, 0] for layer in layers]
        biases = [
            weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach().double()
            for weight, layer in zip(weights, layers)
        ]
        return torch.cat(weights), torch.cat(biases)

    def inputs(self, module: nn.Module, fine: torch.Tensor, coarse: torch.Tensor | None) -> torch.Tensor:
        """Return the components (sample, component, row, column) of a network's inputs."""
        with recorded(module, {self.names[0]: "input"}) as arrays:
            module(fine, coarse)
        return arrays[self.names[0]]


def output_convolution(module: nn.Module) -> OutputConvolution | None:
    """Return the convolution that ends a network; None where something else does, or its way depends on data."""
    try:
        graph = trace(module)
    except (fx.proxy.TraceError, TypeError):
        return None
    last = next(node for node in graph.graph.nodes if node.op == "output").args[0]
    if isinstance(last, fx.Node) and last.op == "call_function" and last.target in (torch.cat, torch.concat):
        parts, dimension = last.args[0], last.kwargs.get("dim", last.args[1] if len(last.args) > 1 else 0)
        ends = list(parts) if dimension in (1, -3) else []
    else:
        ends = [last]
    layers = [layer for layer in (_pointwise(graph, node) for node in ends) if layer is not None]
    if not layers or len(layers) < len(ends) or len({node.args[0] for node in ends}) > 1:
        return None
    return OutputConvolution(tuple(node.target for node in ends), layers[0].in_channels)


def _pointwise(graph: fx.GraphModule, node: object) -> nn.Conv2d | None:
    """Return the 1 x 1 convolution that a node of a graph stands for, or None."""
    if not isinstance(node, fx.Node) or node.op != "call_module":
        return None
    layer = graph.get_submodule(node.target)
    plain = isinstance(layer, nn.Conv2d) and layer.groups == 1 and layer.padding in ((0, 0), "valid")
    return layer if plain and layer.kernel_size == layer.stride == (1, 1) else None


def layer_names(module: nn.Module) -> tuple[str, ...]:
    """Return the names of the layers whose output can be looked at, from the inputs to the logits.

    Raises
    ------
    ModelError
        If the way through the network depends on data.
    """
    try:
        graph = trace(module)
    except (fx.proxy.TraceError, TypeError) as error:
        raise ModelError(
            f"The layers of the network {type(module).__name__} cannot be listed: its forward depends on data "
            f"({error})."
        ) from error
    called = [node.target for node in graph.graph.nodes if node.op == "call_module"]
    return tuple(dict.fromkeys(called))


def activation(
    module: nn.Module, layer: str, fine: torch.Tensor, coarse: torch.Tensor | None
) -> torch.Tensor:
    """Return what a layer puts out, (sample, channel, row, column), at its own resolution.

    Parameters
    ----------
    module : torch.nn.Module
        The network, which is left as it is.
    layer : str
        One of :func:`layer_names`; of a layer that is used several times the last output.
    fine, coarse : torch.Tensor
        Standardised inputs of the network.

    Raises
    ------
    ModelError
        If the network has no such layer.
    """
    names = layer_names(module)
    if layer not in names:
        raise ModelError(f"The network has no layer '{layer}'. Its layers are {', '.join(names)}.")
    with recorded(module, {layer: "output"}) as outputs:
        module(fine, coarse)
    return outputs[layer]


@contextmanager
def recorded(module: nn.Module, wanted: dict[str, str]) -> Iterator[dict[str, torch.Tensor]]:
    """Record the first input or the output of layers while the block runs; the hooks go with it.

    Parameters
    ----------
    module : torch.nn.Module
        The network.
    wanted : dict of str to str
        ``input`` or ``output`` by the name of the layer.

    Yields
    ------
    dict of str to torch.Tensor
        Filled by every pass through the network.
    """
    arrays: dict[str, torch.Tensor] = {}

    def hook(name: str):
        def keep(_layer, inputs, output) -> None:
            # A layer behind it may work in place on what it is given.
            arrays[name] = inputs[0] if wanted[name] == "input" else output.clone()

        return keep

    handles = [module.get_submodule(name).register_forward_hook(hook(name)) for name in wanted]
    try:
        yield arrays
    finally:
        for handle in handles:
            handle.remove()
