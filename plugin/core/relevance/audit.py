"""Which layer loses relevance, where an explanation does not conserve it.

What arrives at the output of a layer is Σ multiplier · value. It equals what the layer's inputs
receive and what is recorded; a layer of which that is not true is the one that leaks. Values are kept for it, so it is
done on a few small windows only, after a run that does not conserve relevance.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import fx

from ..layers.backward import LayerwiseBackward, name_of, traced
from ..layers.conservation import Leaks, total
from ..layers.rules import DirectRelevance, Rules
from ..streaming.runner import Inputs, Runner
from .explainers import Seeds


class AuditedBackward(LayerwiseBackward):
    """A pass that keeps all values, and what each layer loses in the backward pass."""

    def __init__(self, graph: fx.GraphModule, rules: Rules) -> None:
        super().__init__(graph, rules)
        self.lost: dict[str, float] = {}
        self._values: dict[fx.Node, torch.Tensor] = {}
        self._recorded = 0.0

    def run_node(self, n: fx.Node):
        """Run a node by its rule, and keep its value."""
        self._values[n] = super().run_node(n)
        return self._values[n]

    def passed(
        self, node: fx.Node, sources: list[fx.Node], own: torch.Tensor, shares: tuple, leaks: Leaks
    ) -> None:
        """Add up what arrived at a layer and was neither passed to its inputs nor recorded."""
        missing = float(total(own * self._values[node]))
        for source, share in zip(sources, shares):
            if share is not None:
                relevance = (
                    share.relevance if isinstance(share, DirectRelevance) else share * self._values[source]
                )
                missing -= float(total(relevance))
        recorded = sum(sum(layers.values()) for layers in leaks.by_layer().values())
        missing -= recorded - self._recorded
        self._recorded = recorded
        self.lost[name_of(node)] = self.lost.get(name_of(node), 0.0) + missing


def lost_by_layer(runner: Runner, rules: Rules, inputs: Inputs, seeds: Seeds) -> dict[str, float]:
    """Return how much relevance each layer loses on a window.

    Parameters
    ----------
    runner : Runner
        The network.
    rules : Rules
        Of the method.
    inputs : Inputs
        What the network sees of the window.
    seeds : callable
        How much each logit counts.
    """
    inputs = inputs.to(runner.dtype)
    layerwise = AuditedBackward(traced(runner.module), rules)
    logits = layerwise.forward(inputs.fine, inputs.coarse)
    layerwise.backward(seeds(logits), Leaks())
    return layerwise.lost


def leaking_layer(windows: Iterable[dict[str, float]]) -> tuple[str, float] | None:
    """Return the layer that loses most relevance, and its share of Σ|what the layers lose|.

    Parameters
    ----------
    windows : iterable of dict
        What each layer loses, by window.

    Returns
    -------
    tuple of (str, float) or None
        None where no layer loses anything.
    """
    lost: dict[str, float] = {}
    for losses in windows:
        for name, amount in losses.items():
            lost[name] = lost.get(name, 0.0) + amount
    everything = sum(abs(amount) for amount in lost.values())
    if not everything:
        return None
    name = max(lost, key=lambda layer: abs(lost[layer]))
    return name, abs(lost[name]) / everything
