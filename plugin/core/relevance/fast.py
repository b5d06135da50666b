"""Gradient and LRP-ε by an architecture's own fast paths (:mod:`.contract`).

:class:`.backward.LayerwiseBackward` explains any network, layer by layer. A fast path gives the same gradients or
relevance, and the same amounts of every bias and of ε, several times faster.
"""

from __future__ import annotations

import torch

from ...ground.window import Window
from ...networks.contract import ForwardPass
from ..layers.conservation import BIAS, Leaks
from ..streaming.runner import Inputs, Runner
from .explainers import Explanation, Seeds, seeded_sum


class FastGradient:
    """Explains by the network's own backward pass: gradient, gradient × input, LRP-0."""

    def __init__(self, runner: Runner, gradient: ForwardPass) -> None:
        self._gradient = gradient
        self.takes_large_tiles = runner.takes_large_tiles

    def explain(self, inputs: Inputs, seeds: Seeds, leaks: Leaks, place: Window | None = None) -> Explanation:
        """Explain one tile."""
        logits, backward = self._gradient(inputs.fine, inputs.coarse, inputs.edges)
        seeded = seeds(logits)

        def record(layer: str, amount: torch.Tensor) -> None:
            leaks.record(BIAS, layer, amount)

        fine, coarse = backward(seeded, record)
        if coarse is None and inputs.coarse is not None:
            coarse = torch.zeros_like(inputs.coarse)
        return Explanation(seeded_sum(seeded, logits), fine, coarse)


class FastEpsilon:
    """Explains by the network's own LRP-ε."""

    def __init__(self, runner: Runner, lrp_epsilon: ForwardPass) -> None:
        self._lrp_epsilon = lrp_epsilon
        self.takes_large_tiles = runner.takes_large_tiles

    def explain(self, inputs: Inputs, seeds: Seeds, leaks: Leaks, place: Window | None = None) -> Explanation:
        """Explain one tile."""
        logits, backward = self._lrp_epsilon(inputs.fine, inputs.coarse, inputs.edges)
        seeded = seeds(logits)
        fine, coarse = backward(seeded, leaks.record)
        if coarse is None and inputs.coarse is not None:
            coarse = torch.zeros_like(inputs.coarse)
        return Explanation(seeded_sum(seeded, logits), fine, coarse)
