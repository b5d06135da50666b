"""Networks of a benchmark are trained here, in seconds, the same way from the same seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

# check(share done): called at every step; may raise, and so ends the training.
Check = Callable[[float], None]


@dataclass(frozen=True)
class Training:
    """How a network learns.

    Parameters
    ----------
    epochs : int
        Passes over the samples, at most.
    batch : int
        Samples a step.
    rate : float
        Of Adam.
    enough : float
        Mean loss of an epoch at which the training ends.
    """

    epochs: int = 40
    batch: int = 50
    rate: float = 1e-3
    enough: float = 0.01


def train(
    network: nn.Module,
    inputs: torch.Tensor,
    classes: torch.Tensor,
    seed: int,
    training: Training,
    check: Check = lambda share: None,
) -> None:
    """Train a network by cross-entropy with Adam (Kingma and Ba 2015, arXiv 1412.6980).

    Parameters
    ----------
    network : torch.nn.Module
        Is changed.
    inputs : torch.Tensor
        (sample, 1, row, column), in the network's type.
    classes : torch.Tensor
        (sample,), int64.
    seed : int
        Of the order of the samples.
    training : Training
        How.
    check : callable
        Called at every step with the share done.
    """
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(network.parameters(), training.rate)
    steps = -(-len(inputs) // training.batch)
    for epoch in range(training.epochs):
        order = torch.randperm(len(inputs), generator=generator)
        loss_sum = 0.0
        for step in range(steps):
            check((epoch + step / steps) / training.epochs)
            chosen = order[step * training.batch : (step + 1) * training.batch]
            optimiser.zero_grad(set_to_none=True)
            loss = functional.cross_entropy(network(inputs[chosen]), classes[chosen])
            loss.backward()
            optimiser.step()
            loss_sum += float(loss.detach()) * len(chosen)
        if loss_sum / len(inputs) < training.enough:
            break
    network.requires_grad_(False)
