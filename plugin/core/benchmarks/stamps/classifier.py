"""A network that tells stamped images from regular ones, trained here, and explained by the project's methods.

Two convolutions with a max pool each read the SAR channels, a 1 x 1 convolution the radiometer's cells; the second pool
takes the largest value of all, since a stamp may be anywhere. A dense layer joins them in one logit, that of *stamped*.
All layers are torch's own, so that every rule explains them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import skip_init

from ....networks.contract import FastPaths
from ...layers.conservation import Leaks
from ...relevance.methods import OCCLUSION, Method, explainer_for
from ...streaming.runner import Inputs
from .images import Images

if TYPE_CHECKING:
    from ...streaming.runner import Runner

Check = Callable[[float], None]
FILTERS, DEEPER, CELL_FILTERS = 8, 12, 16
PATCHES = 10  # of occlusion along each side
AT_ONCE = 25  # images that are explained together


class StampNetwork(nn.Module):
    """The classifier.

    Parameters
    ----------
    images : Images
        Whose sizes it takes.
    seed : int
        Of its weights: uniform within ±1/√(inputs of a unit).
    """

    def __init__(self, images: Images, seed: int) -> None:
        super().__init__()
        _, channels, rows, cols = images.fine.shape
        pool = min(rows, cols) // 2
        self.conv1 = skip_init(nn.Conv2d, channels, FILTERS, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = skip_init(nn.Conv2d, FILTERS, DEEPER, 3, padding=1)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(pool)
        self.flatten = nn.Flatten()
        features = DEEPER * ((rows // 2) // pool) * ((cols // 2) // pool)
        self.cells = None
        if images.coarse is not None:
            _, coarse, down, across = images.coarse.shape
            self.cells = skip_init(nn.Conv2d, coarse, CELL_FILTERS, 1)
            self.relu3 = nn.ReLU()
            self.flatten_cells = nn.Flatten()
            features += CELL_FILTERS * down * across
        self.output = skip_init(nn.Linear, features, 1)
        self._draw(seed)

    def _draw(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for layer in self.modules():
                if isinstance(layer, (nn.Linear, nn.Conv2d)):
                    bound = 1 / math.sqrt(layer.weight[0].numel())
                    for values in (layer.weight, layer.bias):
                        values.uniform_(-bound, bound, generator=generator)

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor | None) -> torch.Tensor:
        """Return the logit (image, 1) of *stamped*."""
        features = self.relu2(self.conv2(self.pool1(self.relu1(self.conv1(fine)))))
        features = self.flatten(self.pool2(features))
        if self.cells is not None:
            features = torch.cat([features, self.flatten_cells(self.relu3(self.cells(coarse)))], 1)
        return self.output(features)


@dataclass(frozen=True)
class Training:
    """How the classifier learns: Adam on the cross-entropy of stamped and regular images.

    Parameters
    ----------
    epochs : int
        Passes over all images, at most.
    batch : int
        Images of a step, each with and without its stamp.
    rate : float
        Of Adam; it falls to a tenth along a cosine.
    enough : float
        Mean loss of an epoch at which the training ends.
    """

    epochs: int = 20
    batch: int = 16
    rate: float = 1e-2
    enough: float = 0.02


def train(
    network: nn.Module,
    regular: Images,
    stamped: Images,
    training: Training,
    seed: int,
    check: Check = lambda share: None,
) -> int:
    """Train a classifier in place on all but the held-out images; return the passes over them that it took."""
    number = regular.held_out.start
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(network.parameters(), training.rate)
    steps = -(-number // training.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimiser, training.epochs * steps, training.rate / 10
    )
    passes = 0
    for epoch in range(training.epochs):
        order = torch.randperm(number, generator=generator).numpy()
        loss_sum = 0.0
        for step in range(steps):
            check((epoch + step / steps) / training.epochs)
            chosen = np.sort(order[step * training.batch : (step + 1) * training.batch])
            inputs = [_tensors(images, chosen) for images in (regular, stamped)]
            wanted = torch.cat([torch.zeros(len(chosen), 1), torch.ones(len(chosen), 1)])
            optimiser.zero_grad(set_to_none=True)
            loss = functional.binary_cross_entropy_with_logits(network(*_joined(inputs)), wanted)
            loss.backward()
            optimiser.step()
            schedule.step()
            loss_sum += float(loss.detach()) * len(chosen)
        passes = epoch + 1
        if loss_sum / number < training.enough:
            break
    network.requires_grad_(False)
    return passes


def _tensors(images: Images, chosen: np.ndarray | slice) -> Inputs:
    coarse = None if images.coarse is None else torch.from_numpy(images.coarse[chosen])
    return Inputs(torch.from_numpy(images.fine[chosen]), coarse)


def _joined(parts: list[Inputs]) -> tuple[torch.Tensor, torch.Tensor | None]:
    coarse = [part.coarse for part in parts if part.coarse is not None]
    return torch.cat([part.fine for part in parts]), torch.cat(coarse) if coarse else None


@dataclass(frozen=True)
class Relevance:
    """Relevance of images for the logit of *stamped*.

    Parameters
    ----------
    fine, coarse : numpy.ndarray
        (image, channel, row, column), float64; `coarse` None without radiometer.
    """

    fine: np.ndarray
    coarse: np.ndarray | None


class Classifier:
    """A trained classifier, presented as what the explainers of relevance ask for.

    Parameters
    ----------
    network : torch.nn.Module
        The trained network.
    ratio : int
        Pixels along the side of a cell.
    """

    dtype = input_dtype = torch.float32
    takes_large_tiles = False
    card = SimpleNamespace(id="of the benchmark")

    def __init__(self, network: nn.Module, ratio: int) -> None:
        self.ratio = ratio
        self.module = network.eval().requires_grad_(False)

    @property
    def fast(self) -> FastPaths:
        """No faster ways than the definition."""
        return FastPaths(lambda fine, coarse, edges=(True,) * 4: self.module(fine, coarse))

    @staticmethod
    def constant(like: Inputs, levels: tuple[float, ...] = ()) -> Inputs:
        """Return the baseline: every channel at its mean."""
        return Inputs(
            torch.zeros_like(like.fine), None if like.coarse is None else torch.zeros_like(like.coarse)
        )

    def logits(self, inputs: Inputs) -> torch.Tensor:
        """Return the logit (image, 1)."""
        with torch.no_grad():
            return self.module(inputs.fine, inputs.coarse)

    def gradient(self, inputs: Inputs, seeds: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the gradient of Σ seeds · logits."""
        with torch.enable_grad():
            leaves = [values.detach().requires_grad_() for values in _given(inputs)]
            logits = self.module(leaves[0], leaves[1] if len(leaves) > 1 else None)
            found = torch.autograd.grad(logits, leaves, seeds, allow_unused=True)
        parts = [torch.zeros_like(leaf) if part is None else part for leaf, part in zip(leaves, found)]
        return parts[0], parts[1] if len(parts) > 1 else None

    def says_stamped(self, images: Images, check: Callable[[], None] = lambda: None) -> np.ndarray:
        """Return (image,) bool: whose logit is above 0."""
        parts = []
        for at in range(0, len(images), 100):
            check()
            parts.append(self.logits(_tensors(images, slice(at, at + 100)))[:, 0].numpy() > 0)
        return np.concatenate(parts)

    def explain(
        self, method: Method, images: Images, chosen: np.ndarray, check: Callable[[], None]
    ) -> Relevance:
        """Explain the logit of *stamped* of some images (their numbers)."""
        parts = []
        for at in range(0, len(chosen), AT_ONCE):
            check()
            parts.append(self.relevance(method, _tensors(images, chosen[at : at + AT_ONCE]), check))
        fine = np.concatenate([part.fine for part in parts])
        coarse = [part.coarse for part in parts if part.coarse is not None]
        return Relevance(fine, np.concatenate(coarse) if coarse else None)

    def relevance(self, method: Method, inputs: Inputs, check: Callable[[], None]) -> Relevance:
        """Explain the logit of *stamped* of some inputs."""
        if method.name == OCCLUSION:
            return Relevance(*_arrays([self._occluded(values, inputs, check) for values in _given(inputs)]))
        explainer = explainer_for(cast("Runner", self), method, check)
        found = explainer.explain(inputs, torch.ones_like, Leaks())
        given = _given(inputs)
        multipliers, direct = (found.fine, found.coarse), (found.direct_fine, found.direct_coarse)
        relevance = []
        for values, factor, more in zip(given, multipliers, direct):
            part = torch.zeros_like(values) if factor is None else factor
            part = part * values if method.times_input and factor is not None else part
            relevance.append(part if more is None else part + more)
        return Relevance(*_arrays(relevance))

    def _occluded(self, values: torch.Tensor, inputs: Inputs, check: Callable[[], None]) -> torch.Tensor:
        """Return what the logit loses without a patch of one channel, in equal parts on the patch's values."""
        whole, coarse = self.logits(inputs), values is inputs.coarse
        found = torch.zeros_like(values)
        _, channels, rows, cols = values.shape
        down, across = -(-rows // PATCHES), -(-cols // PATCHES)
        for channel in range(channels):
            for top in range(0, rows, down):
                check()
                for left in range(0, cols, across):
                    here = (slice(None), channel, slice(top, top + down), slice(left, left + across))
                    without = values.clone()
                    without[here] = 0.0
                    changed = Inputs(inputs.fine, without) if coarse else Inputs(without, inputs.coarse)
                    lost = (whole - self.logits(changed))[:, :, None]
                    found[here] = lost / found[here][0].numel()
        return found


def _given(inputs: Inputs) -> list[torch.Tensor]:
    return [inputs.fine] if inputs.coarse is None else [inputs.fine, inputs.coarse]


def _arrays(parts: list[torch.Tensor]) -> tuple[np.ndarray, np.ndarray | None]:
    arrays = [part.detach().double().numpy() for part in parts]
    return arrays[0], arrays[1] if len(arrays) > 1 else None
