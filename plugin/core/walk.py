"""A network walked forwards and back, layer by layer, with a relevance rule for each.

The graph of the plain network comes from :func:`models.layers.trace`. No hook is set and no gradient is
recorded: each rule returns a layer's output and the function that hands multipliers back through it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import fx, nn

from ...models.layers import trace
from .accounts import Ledger
from .errors import ModelError
from .rules import Rules


class Walk(fx.Interpreter):
    """One pass through a network and back.

    Parameters
    ----------
    graph : torch.fx.GraphModule
        The traced network.
    rules : Rules
        The rule for each layer.
    """

    def __init__(self, graph: fx.GraphModule, rules: Rules) -> None:
        super().__init__(graph)
        self._rules = rules
        self._pulls: list[tuple[fx.Node, list[fx.Node], Callable]] = []

    def forward(self, *inputs: torch.Tensor | None) -> torch.Tensor:
        """Return the network's output for its inputs, in the order of its placeholders."""
        self._pulls.clear()
        with torch.no_grad():
            return self.run(*inputs)

    def run_node(self, n: fx.Node):
        """Run a node by its rule, and keep the way back."""
        if n.op not in ("call_module", "call_function", "call_method"):
            return super().run_node(n)
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        if n.op == "call_module":
            output, pull = self._rules.layer(n.target, self.fetch_attr(n.target), args)
        elif n.op == "call_function":
            output, pull = self._rules.function(n.name, n.target, args, kwargs)
        else:
            raise ModelError(f"Relevance has no rule for the method '{n.target}' of an array ('{n.name}').")
        sources: list[fx.Node] = []
        fx.node.map_arg((n.args, n.kwargs), sources.append)
        self._pulls.append((n, sources, pull))
        return output

    def backward(self, seeds: torch.Tensor, ledger: Ledger) -> list[torch.Tensor | None]:
        """Return the multipliers of the inputs, for multipliers `seeds` of the output.

        Parameters
        ----------
        seeds : torch.Tensor
            Shape of the output of the last :meth:`forward`; the way back can be gone once.
        ledger : Ledger
            Takes down what the layers do not hand to their inputs.

        Returns
        -------
        list of torch.Tensor
            In the order of the placeholders; None for an input the network does not use.
        """
        arrived: dict[fx.Node, torch.Tensor] = {}
        (result,) = (node for node in self.module.graph.nodes if node.op == "output")
        arrived[result.args[0]] = seeds
        with torch.no_grad():
            while self._pulls:
                node, sources, pull = self._pulls.pop()
                multipliers = arrived.pop(node, None)
                if multipliers is None:
                    continue
                for source, share in zip(sources, pull(multipliers, ledger.of_layer(_name(node)))):
                    if share is not None:
                        arrived[source] = arrived[source] + share if source in arrived else share
        return [arrived.get(node) for node in self.module.graph.nodes if node.op == "placeholder"]


def _name(node: fx.Node) -> str:
    return node.target if node.op == "call_module" else node.name


def traced(module: nn.Module) -> fx.GraphModule:
    """Return the graph of a network, drawn without leaving a trace on it.

    Raises
    ------
    ModelError
        If the network cannot be drawn, because its way depends on data.
    """
    try:
        return trace(module)
    except (fx.proxy.TraceError, TypeError) as error:
        raise ModelError(
            f"The network {type(module).__name__} cannot be explained: its forward depends on data ({error})."
        ) from error
