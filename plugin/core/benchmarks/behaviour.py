"""Sanity measures of the maps of a benchmark's networks of layers."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from ..artifacts.variants import randomised
from ..relevance.methods import INTEGRATED_GRADIENTS, Method
from ..sanity.run import Explained, Settings, sanity
from ..streaming.runner import Inputs
from .explaining import LayeredNetwork

HIGHER = 0.5  # standard deviations that the other baseline lies above the first one
FEW_DRAWS = Settings(noisy=2, sets=20)
AT_ONCE = 25


class _Shifted(nn.Module):
    """A network that adds a constant to its inputs: explained from zero, it is explained from that constant."""

    def __init__(self, network: nn.Module, by: float) -> None:
        super().__init__()
        self.network, self.by = network, by

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        return self.network(fields + self.by)


def layered_sanity(
    network: LayeredNetwork,
    method: Method,
    fields: torch.Tensor,
    classes: torch.Tensor,
    settings: Settings,
    check: Callable[[], None] = lambda: None,
) -> dict[str, np.ndarray]:
    """Return the sanity measures of a method's maps of some fields, (sample,) each.

    Parameters
    ----------
    network : LayeredNetwork
        The trained network; the baseline is zero.
    method : Method
        What explains it.
    fields : torch.Tensor
        (sample, 1, row, column), float64.
    classes : torch.Tensor
        (sample,), int64: whose logits are explained.
    settings : Settings
        What is drawn.
    check : callable
        Called between passes; may raise.
    """
    untrained = _with(network, randomised(network.network, settings.seed))
    raised = _with(network, _Shifted(network.network, HIGHER))
    found: list[dict[str, np.ndarray]] = []
    for number, at in enumerate(range(0, len(fields), AT_ONCE)):
        batch = _Batch(method, classes[at : at + AT_ONCE], check)
        explained = Explained(
            partial(batch.predict, network),
            partial(batch.explain, network),
            slopes=not method.times_input,
            untrained=partial(batch.explain, untrained),
            rebased=partial(batch.explain, raised, shift=HIGHER)
            if method.name == INTEGRATED_GRADIENTS
            else None,
        )
        inputs = fields[at : at + AT_ONCE, 0].double().numpy()
        own = dataclasses.replace(settings, seed=settings.seed + number)
        found.append(sanity([inputs], explained, own, check))
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


@dataclass(frozen=True)
class _Batch:
    """Samples that are explained together, of inputs (sample, row, column)."""

    method: Method
    classes: torch.Tensor
    check: Callable[[], None]

    def explain(self, network: LayeredNetwork, inputs: np.ndarray, shift: float = 0.0) -> np.ndarray:
        """Return the maps of a network."""
        return network.explain(self.method, _tensor(inputs - shift), self.classes, self.check).relevance

    def predict(self, network: LayeredNetwork, inputs: np.ndarray) -> np.ndarray:
        """Return the explained logits."""
        with torch.no_grad():
            logits = network.logits(Inputs(_tensor(inputs), None))
        return logits.gather(1, self.classes[:, None])[:, 0].double().numpy()


def _tensor(inputs: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(inputs))[:, None]


def _with(network: LayeredNetwork, module: nn.Module) -> LayeredNetwork:
    """Return how another network is explained in the same way."""
    other = copy.copy(network)
    other.network = module
    other.module = type(network.module)(module)
    return other
