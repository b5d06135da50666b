"""Relevance of a benchmark's networks, by the methods and the rules that explain a scene.

:class:`LayeredNetwork` presents a network of torch layers, :class:`ReservoirNetwork` an echo state network, as what
the explainers of :mod:`floelens.plugin.core.relevance` ask for, with samples in place of pixels: logits are
(sample, 2). Only occlusion differs: a patch changes the logit of its own sample alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import torch
from torch import nn

from ...networks.contract import FastPaths
from ..layers.activations import Rescaled
from ..layers.conservation import Leaks
from ..layers.rules import Rules, along_gradient
from ..relevance.explainers import Explainer, Explanation
from ..relevance.methods import (
    DEEPLIFT,
    INTEGRATED_GRADIENTS,
    LRP_COMPOSITE,
    OCCLUSION,
    SMOOTHGRAD,
    Method,
    explainer_for,
    rules_of,
)
from ..streaming.runner import Inputs
from .echo_state import EchoState
from .unrolled import EPSILON, Z_PLUS, LayerwiseBackward, gradient, unrolled

if TYPE_CHECKING:
    from ..streaming.runner import Runner

UNROLLED = {"unrolled_zplus": Z_PLUS, "unrolled_epsilon": EPSILON}
AT_ONCE = 50  # samples that are explained together: a second at most until a cancelled run ends
PATCHES = 10  # of occlusion along each side, at most

Check = Callable[[], None]


@dataclass(frozen=True)
class Maps:
    """Relevance of samples.

    Parameters
    ----------
    relevance : numpy.ndarray
        (sample, row, column), float64.
    explained : numpy.ndarray
        (sample,): the logits that were explained.
    recurrent_share : float or None
        ρ of the unrolled rule; None for other methods.
    """

    relevance: np.ndarray
    explained: np.ndarray
    recurrent_share: float | None = None


class ExplainedNetwork(Protocol):
    """A trained network that can be explained."""

    def applies(self, method: str) -> bool:
        """Return whether a method applies to such a network."""

    def logits(self, inputs: Inputs) -> torch.Tensor:
        """Return the logits (sample, 2)."""

    def explain(
        self, method: Method | str, fields: torch.Tensor, classes: torch.Tensor, check: Check
    ) -> Maps:
        """Explain the logits of `classes` (sample,) of some fields (sample, 1, row, column), float64."""


class _Samples:
    """What explainers ask of a runner, for samples of one channel."""

    network: Any
    dtype = input_dtype = torch.float64
    ratio, takes_large_tiles = 1, False
    card = SimpleNamespace(id="of the benchmark")
    patches = PATCHES

    def logits(self, inputs: Inputs) -> torch.Tensor:
        """Return the logits (sample, 2)."""
        raise NotImplementedError

    def _forward(self, fine: torch.Tensor, coarse: object = None, edges: object = None) -> torch.Tensor:
        return self.logits(Inputs(fine, None))

    @property
    def fast(self) -> FastPaths:
        """No faster ways than the definition."""
        return FastPaths(self._forward)

    @staticmethod
    def constant(like: Inputs, levels: tuple[float, ...] = ()) -> Inputs:
        """Return the baseline: zero, or one level."""
        return Inputs(torch.full_like(like.fine, levels[0] if levels else 0.0), None)

    def explainer(self, method: Method, check: Check) -> Explainer:
        """Return the project's explainer of a method for this network."""
        return explainer_for(cast("Runner", self), method, check)

    def rules(self, method: Method) -> Rules:
        """Return the project's rules of a method."""
        return rules_of(cast("Runner", self), method)

    def explain(
        self, method: Method | str, fields: torch.Tensor, classes: torch.Tensor, check: Check
    ) -> Maps:
        """Explain the logits of `classes` of some fields."""
        parts = [
            self._explain(method, fields[at : at + AT_ONCE], classes[at : at + AT_ONCE], check)
            for at in range(0, len(fields), AT_ONCE)
        ]
        shares = [part.recurrent_share for part in parts if part.recurrent_share is not None]
        return Maps(
            np.concatenate([part.relevance for part in parts]),
            np.concatenate([part.explained for part in parts]),
            float(np.mean(shares)) if shares else None,
        )

    def _explain(self, method: Any, fields: torch.Tensor, classes: torch.Tensor, check: Check) -> Maps:
        check()
        fields = fields.to(self.dtype)
        with torch.no_grad():
            logits = self.logits(Inputs(fields, None))
        explained = logits.gather(1, classes[:, None])[:, 0].double().numpy()
        if method in UNROLLED:
            result = unrolled(cast("EchoState", self.network), fields, classes, UNROLLED[method], check)
            return Maps(result.relevance[:, 0].numpy(), explained, result.recurrent_share)
        if method.name == OCCLUSION:
            relevance = _occluded(self, fields, classes, check)
        else:
            found = self.explainer(method, check).explain(
                Inputs(fields, None), lambda logits: _seeds(logits, classes), Leaks()
            )
            relevance = torch.zeros_like(fields) if found.fine is None else found.fine
            if method.times_input:
                relevance = relevance * fields
            if found.direct_fine is not None:
                relevance = relevance + found.direct_fine
        return Maps(relevance[:, 0].detach().double().numpy(), explained)


class _OfOneInput(nn.Module):
    """A network of fine and coarse inputs, of which the coarse ones are not used."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor | None) -> torch.Tensor:
        """Return the logits."""
        return self.network(fine)


class LayeredNetwork(_Samples):
    """A trained network of torch layers.

    Parameters
    ----------
    network : torch.nn.Module
        (sample, 1, row, column) in, (sample, output) out; a vector is a single row.
    dtype : torch.dtype
        In which it computes; convolutions in float64 take ten times as long as in float32.
    patches : int
        Patches of occlusion along each side; where there are fewer pixels, each is one.
    """

    def __init__(
        self, network: nn.Module, dtype: torch.dtype = torch.float64, patches: int = PATCHES
    ) -> None:
        self.dtype = self.input_dtype = dtype
        self.patches = patches
        self.network = network.to(dtype).eval().requires_grad_(False)
        self.module = _OfOneInput(self.network)

    def applies(self, method: str) -> bool:
        """Return whether a method applies: all but those of recurrent networks."""
        return method not in UNROLLED

    def logits(self, inputs: Inputs) -> torch.Tensor:
        """Return the logits (sample, output)."""
        return self.network(inputs.fine.to(self.dtype))

    def gradient(self, inputs: Inputs, seeds: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Return the gradient of Σ seeds · logits."""
        with torch.enable_grad():
            fields = inputs.fine.detach().requires_grad_()
            (found,) = torch.autograd.grad(self.network(fields), fields, seeds)
        return found, None


class ReservoirNetwork(_Samples):
    """A fitted echo state network.

    Parameters
    ----------
    network : EchoState
        The network.
    """

    def __init__(self, network: EchoState) -> None:
        self.network = network

    def applies(self, method: str) -> bool:
        """Return whether a method applies: all but the composite, whose first layer would be every step."""
        return method != LRP_COMPOSITE

    def logits(self, inputs: Inputs) -> torch.Tensor:
        """Return the outputs (sample, 2)."""
        return self.network(inputs.fine)

    def gradient(self, inputs: Inputs, seeds: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Return the gradient of Σ seeds · outputs."""
        return gradient(self.network, inputs.fine, seeds), None

    def explainer(self, method: Method, check: Check) -> Explainer:
        """Return what explains by a method: step by step through the layers, or along a path or over noise."""
        if method.name in (INTEGRATED_GRADIENTS, SMOOTHGRAD):
            return super().explainer(method, check)
        if method.name == DEEPLIFT:
            gates = Rescaled()
            return _StepByStep(self.network, Rules(along_gradient, self.dtype, gates), gates)
        return _StepByStep(self.network, self.rules(method))


class _StepByStep:
    """Explains an echo state network layer by layer and step by step."""

    def __init__(self, network: EchoState, rules: Rules, differences: Rescaled | None = None) -> None:
        self._backward, self._differences = LayerwiseBackward(network, rules), differences

    def explain(self, inputs: Inputs, seeds: Callable, leaks: Leaks, place: object = None) -> Explanation:
        """Explain some samples."""
        if self._differences is not None:
            self._differences.record()
            self._backward.forward(torch.zeros_like(inputs.fine))
            self._differences.recording = False
        seeded = seeds(self._backward.forward(inputs.fine))
        return Explanation(0.0, self._backward.backward(seeded, leaks), None)


def _seeds(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(logits).scatter_(1, classes[:, None], 1.0)


def _occluded(network: _Samples, fields: torch.Tensor, classes: torch.Tensor, check: Check) -> torch.Tensor:
    """Return what the logit loses without a patch, in equal parts on the patch's pixels."""
    rows, cols = fields.shape[2:]
    found = torch.zeros_like(fields)
    side_down, side_across = -(-rows // network.patches), -(-cols // network.patches)

    def explained(values: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return network.logits(Inputs(values, None)).gather(1, classes[:, None])[:, 0]

    whole = explained(fields)
    for top in range(0, rows, side_down):
        for left in range(0, cols, side_across):
            check()
            at = (slice(None), slice(None), slice(top, top + side_down), slice(left, left + side_across))
            without = fields.clone()
            without[at] = 0.0
            lost = (whole - explained(without))[:, None, None, None]
            found[at] = lost / found[at][0].numel()
    return found
