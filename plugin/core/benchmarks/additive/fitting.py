"""Networks of additive benchmarks learn here: by AdamW, or, where they are linear, by least squares.

Samples are drawn in blocks, whose order is the same for the same seed. Those that fit into memory are drawn once and
seen in each epoch; of more, every epoch draws each block again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from .generator import BLOCK, Generator, stream

MOST_KEPT = 120_000_000  # values of the inputs that are kept in memory, float32
# check(share done): called at every step; may raise, and so ends the training.
Check = Callable[[float], None]


@dataclass(frozen=True)
class Training:
    """How a network learns.

    Parameters
    ----------
    samples : int
        Samples that it is trained on.
    epochs : int
        How often it sees each.
    batch : int
        Samples a step.
    rate : float
        Of AdamW at the beginning; it falls to zero by a half cosine (Loshchilov and Hutter 2017, arXiv 1608.03983).
    decay : float
        Weight decay of AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101).
    """

    samples: int
    epochs: int
    batch: int = 256
    rate: float = 1e-3
    decay: float = 1e-2

    @property
    def text(self) -> str:
        """How the network learns, for the report."""
        return (
            f"AdamW, rate {self.rate:g} falling by a cosine, weight decay {self.decay:g}, batches of {self.batch}, "
            f"{self.samples:,} samples, {self.epochs} epochs, float32"
        )


Block = tuple[torch.Tensor, torch.Tensor]


def blocks(generator: Generator, seed: int, samples: int) -> Iterator[Block]:
    """Yield training samples: inputs (sample, 1, row, column), and (sample,) the target or the class."""
    for block, begin in enumerate(range(0, samples, BLOCK), 1):
        inputs, truth = generator.samples(stream(seed, block), min(BLOCK, samples - begin))
        wanted = truth.target if truth.classes is None else truth.classes
        yield as_fields(inputs).float(), torch.from_numpy(wanted)


def as_fields(inputs: np.ndarray) -> torch.Tensor:
    """Return inputs (sample, input) or (sample, row, column) as (sample, 1, row, column); a vector is one row."""
    values = torch.from_numpy(np.ascontiguousarray(inputs))
    return values[:, None, None] if values.ndim == 2 else values[:, None]


def train(
    network: nn.Module,
    generator: Generator,
    seed: int,
    training: Training,
    check: Check = lambda share: None,
) -> None:
    """Train a network, of which the result is float32, without gradients.

    A network of one output learns the target by the mean squared error, one of two the classes by cross-entropy.
    Targets are brought to unit variance while it learns; the last layer gives them back their size.
    """
    pool = Pool(generator, seed, training, lambda share: check(0.2 * share))
    optimiser = torch.optim.AdamW(network.parameters(), training.rate, weight_decay=training.decay)
    steps = training.epochs * -(-training.samples // training.batch)
    step = 0
    for epoch in range(training.epochs):
        for inputs, wanted in pool.batches(epoch):
            check(0.2 + 0.8 * step / steps)
            for group in optimiser.param_groups:
                group["lr"] = training.rate * (1 + math.cos(math.pi * min(1.0, step / steps))) / 2
            optimiser.zero_grad(set_to_none=True)
            outputs = network(inputs)
            if pool.classes:
                loss = functional.cross_entropy(outputs, wanted)
            else:
                loss = functional.mse_loss(outputs[:, 0], wanted)
            loss.backward()
            optimiser.step()
            step += 1
    network.requires_grad_(False)
    if not pool.classes:
        last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
        for values in last.parameters():
            values.mul_(pool.size)


class Pool:
    """The training samples, in an order that the seed decides.

    Parameters
    ----------
    generator : Generator
        Of the samples.
    seed : int
        Which ones.
    training : Training
        How many, in batches of which size.
    check : callable
        Called with the share drawn.

    Attributes
    ----------
    classes : bool
        Whether networks learn classes.
    size : float
        What targets are divided by.
    """

    def __init__(self, generator: Generator, seed: int, training: Training, check: Check) -> None:
        self._generator, self._seed, self._training = generator, seed, training
        kept: list[Block] = []
        for inputs, wanted in blocks(generator, seed, training.samples):
            check(len(kept) * BLOCK / training.samples)
            kept.append((inputs, wanted))
            if training.samples * inputs[0].numel() > MOST_KEPT:
                break  # too many: the first block tells their kind and size
        self.classes = not kept[0][1].is_floating_point()
        self.size = 1.0 if self.classes else float(torch.cat([wanted for _, wanted in kept]).std())
        self._kept = [self._sized(block) for block in kept] if len(kept) * BLOCK >= training.samples else None

    def _sized(self, block: Block) -> Block:
        inputs, wanted = block
        return inputs, wanted if self.classes else (wanted / self.size).float()

    def batches(self, epoch: int) -> Iterator[Block]:
        """Yield the batches of an epoch."""
        order = torch.Generator().manual_seed(stream(self._seed, epoch))
        size = self._training.batch
        if self._kept is None:
            for block in blocks(self._generator, self._seed, self._training.samples):
                inputs, wanted = self._sized(block)
                for chosen in torch.randperm(len(inputs), generator=order).split(size):
                    yield inputs[chosen], wanted[chosen]
            return
        if len(self._kept) > 1:
            self._kept = [tuple(torch.cat(parts) for parts in zip(*self._kept))]
        inputs, wanted = self._kept[0]
        for chosen in torch.randperm(len(inputs), generator=order).split(size):
            yield inputs[chosen], wanted[chosen]


def least_squares(
    generator: Generator, seed: int, samples: int, check: Check = lambda share: None
) -> nn.Module:
    """Return the linear model of the target with a constant, float64, fitted by least squares."""
    squares: np.ndarray | float = 0.0
    products: np.ndarray | float = 0.0
    for number, (fields, wanted) in enumerate(blocks(generator, seed, samples)):
        check(number * BLOCK / samples)
        flat = fields.flatten(1).double().numpy()
        design = np.concatenate([flat, np.ones((len(flat), 1))], axis=1)
        squares = design.T @ design + squares
        products = design.T @ wanted.double().numpy() + products
    weights = np.linalg.lstsq(squares, products, rcond=1e-12)[0]
    model = nn.Sequential(nn.Flatten(), nn.utils.skip_init(nn.Linear, len(weights) - 1, 1)).double()
    with torch.no_grad():
        model[1].weight.copy_(torch.from_numpy(weights[None, :-1]))
        model[1].bias.copy_(torch.from_numpy(weights[-1:]))
    return model.requires_grad_(False)


def explained_variance(outputs: np.ndarray, target: np.ndarray) -> float:
    """Return R² = 1 - Σ(y - ŷ)² / Σ(y - ȳ)² of outputs and targets, (sample,)."""
    return float(1 - ((target - outputs) ** 2).sum() / ((target - target.mean()) ** 2).sum())
