"""A forward and a backward pass through a network, layer by layer, with a relevance rule for each.

The graph of the plain network comes from :func:`floelens.plugin.networks.layers.trace`. No hook is set and no
gradient is recorded: each rule returns a layer's output and the function that takes multipliers of it to those of the
inputs.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import fx, nn

from ...ground.errors import ModelError
from ...networks.layers import trace
from .conservation import Leaks
from .kinds import kind_of_node, read_inputs, size_nodes
from .rules import DirectRelevance, Rules


class LayerwiseBackward(fx.Interpreter):
    """A forward pass through a network, and its backward pass.

    Parameters
    ----------
    graph : torch.fx.GraphModule
        The traced network.
    rules : Rules
        The rule for each layer.
    """

    def __init__(self, graph: fx.GraphModule, rules: Rules) -> None:
        super().__init__(graph)
        self.extra_traceback = False  # an error of ours is a sentence
        self._rules = rules
        self._first = self._first_layers() if rules.needs_first else set()
        self._sizes = size_nodes(graph)
        # Relevance that first layers gave the inputs as such, in the order of the placeholders.
        self.direct: list[torch.Tensor | None] = []
        self._steps: list[tuple[fx.Node, list[fx.Node], Callable]] = []

    def _first_layers(self) -> set[fx.Node]:
        """Return the layers with weights whose input is the network's, upsampled or joined at most."""
        raw: set[fx.Node] = set()
        behind: dict[fx.Node, str] = {}  # what lies between a node and the inputs
        first: set[fx.Node] = set()
        for node in self.module.graph.nodes:
            if node.op == "placeholder":
                raw.add(node)
                continue
            kind = kind_of_node(self.module, node)
            sources = [] if kind is None else read_inputs(node, kind)
            if (
                kind is None
                or not sources
                or not all(source in raw or source in behind for source in sources)
            ):
                continue
            between = [behind[source] for source in sources if source in behind]
            if kind.weighs:
                if between:
                    raise ModelError(
                        f"The layer '{node.target}' reads the inputs through '{between[0]}', behind which a first "
                        "layer can have no rule of its own. Choose FIRST_LAYER=same."
                    )
                first.add(node)
            elif not between and kind.whole:
                raw.add(node)
            elif kind.keeps_inputs:
                behind[node] = name_of(node)
        if not first:
            raise ModelError(
                "No convolution or linear layer of the network reads the inputs as they are, so none can have a "
                "rule of its own. Choose FIRST_LAYER=same."
            )
        return first

    def forward(self, *inputs: torch.Tensor | None) -> torch.Tensor:
        """Return the network's output for its inputs, in the order of its placeholders."""
        self._steps.clear()
        with torch.no_grad():
            return self.run(*inputs)

    def run_node(self, n: fx.Node):
        """Run a node by its rule, and keep its backward pass."""
        if n.op not in ("call_module", "call_function", "call_method") or n in self._sizes:
            return super().run_node(n)
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        if n.op == "call_module":
            if kwargs:
                given = ", ".join(f"{name}=" for name in kwargs)
                raise ModelError(
                    f"Layer '{n.target}': relevance takes the arguments of a layer by position, not {given}."
                )
            first = n in self._first
            output, backward = self._rules.layer(n.target, self.fetch_attr(n.target), args, first)
        else:
            output, backward = self._rules.function(n.name, n.target, args, kwargs)
        sources: list[fx.Node] = []
        fx.node.map_arg((n.args, n.kwargs), sources.append)
        self._steps.append((n, sources, backward))
        return output

    def backward(self, seeds: torch.Tensor, leaks: Leaks) -> list[torch.Tensor | None]:
        """Return the multipliers of the inputs, for multipliers `seeds` of the output.

        Parameters
        ----------
        seeds : torch.Tensor
            Shape of the output of the last :meth:`forward`; each forward pass serves one backward pass.
        leaks : Leaks
            Records what the layers do not pass to their inputs.

        Returns
        -------
        list of torch.Tensor
            In the order of the placeholders; None for an input the network does not use. Relevance that
            came without a multiplier is kept in :attr:`direct`.
        """
        arrived: dict[fx.Node, torch.Tensor] = {}
        direct: dict[fx.Node, torch.Tensor] = {}
        (result,) = (node for node in self.module.graph.nodes if node.op == "output")
        arrived[result.args[0]] = seeds
        with torch.no_grad():
            while self._steps:
                node, sources, backward = self._steps.pop()
                if node in arrived:
                    own = arrived.pop(node)
                    shares = backward(own, leaks.of_layer(name_of(node)))
                    self.passed(node, sources, own, shares, leaks)
                    for source, share in zip(sources, shares):
                        if isinstance(share, DirectRelevance):
                            _add(direct, source, share.relevance)
                        elif share is not None:
                            _add(arrived, source, share)
                if node in direct:
                    # Only means and copies of inputs lie below: by their weights, all of it reaches the inputs.
                    for source, share in zip(sources, backward(direct.pop(node), _nothing_to_record)):
                        if share is not None:
                            _add(direct, source, share)
        inputs = [node for node in self.module.graph.nodes if node.op == "placeholder"]
        self.direct = [direct.get(node) for node in inputs]
        return [arrived.get(node) for node in inputs]

    def passed(
        self, node: fx.Node, sources: list[fx.Node], own: torch.Tensor, shares: tuple, leaks: Leaks
    ) -> None:
        """Do nothing; called after each layer's backward step, with the multipliers of its output and its inputs."""


def _add(sums: dict[fx.Node, torch.Tensor], node: fx.Node, share: torch.Tensor) -> None:
    sums[node] = sums[node] + share if node in sums else share


def _nothing_to_record(kind: str, amount: torch.Tensor) -> None:
    raise ModelError(f"Relevance of a first layer was lost to '{kind}' on its way to the inputs.")


def name_of(node: fx.Node) -> str:
    """Return what a layer or a function of the network is called."""
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
