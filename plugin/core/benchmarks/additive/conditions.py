"""The networks of an additive benchmark: each a condition, with what makes it ready to be explained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from . import networks
from .agreement import pearson
from .fitting import Training, as_fields, least_squares, train
from .generator import BLOCK, Generator, stream
from .piecewise import PiecewiseLinear
from .recovery import recovered

if TYPE_CHECKING:
    from .point import Points

# check(share done): called often; may raise, and so ends the run.
Check = Callable[[float], None]
LEAST_BATCHES = 10  # that a network is trained on
RECOVERY = 1 << 19  # from here on the numbers of blocks that functions are recovered from


@dataclass(frozen=True)
class Extent:
    """How much is done.

    Parameters
    ----------
    training : Training
        Of dense networks.
    images : Training
        Of the convolutional network.
    held_out : int
        Samples by which networks are judged.
    explained : int
        Of these, samples that are explained.
    steps, draws : int
        Nodes of integrated gradients and draws of SmoothGrad.
    sanity : int
        Of the explained ones, samples on which it is tried how maps behave.
    recovery : int
        Blocks of samples from which the functions of somebody else's network are recovered.
    """

    training: Training
    images: Training
    held_out: int
    explained: int
    steps: int
    draws: int
    sanity: int
    recovery: int


EXTENTS = {
    "quick": Extent(
        Training(20_000, 5, rate=2e-3),
        Training(2000, 4, batch=32, rate=2e-3),
        2000,
        24,
        steps=16,
        draws=8,
        sanity=4,
        recovery=1,
    ),
    "full": Extent(
        Training(100_000, 10, rate=2e-3),
        Training(10_000, 8, batch=64),
        5000,
        200,
        steps=64,
        draws=50,
        sanity=25,
        recovery=4,
    ),
}


@dataclass(frozen=True)
class Fitted:
    """A network that is ready to be explained.

    Parameters
    ----------
    network : torch.nn.Module
        (sample, 1, row, column) → (sample, output).
    generator : Generator
        Whose samples it is judged by.
    facts : mapping
        Plain values that the report lists: how it learned.
    trained : bool
        Whether its weights were learned; else it makes no sense to shuffle them.
    """

    network: nn.Module
    generator: Generator
    facts: Mapping[str, object]
    trained: bool = True


@dataclass(frozen=True)
class Condition:
    """A network that is tried.

    Parameters
    ----------
    word : str
        Its name in tables; methods are ranked within it.
    title : str
        For readers.
    network : str
        What kind of network it is, in the plural: a method is recommended for a kind.
    fit : callable
        ``fit(generator, extent, seed, check)`` returns the network, ready to be explained.
    """

    word: str
    title: str
    network: str
    fit: Callable[[Any, Extent, int, Check], Fitted]


def learned(word: str, title: str, calibrated: bool = False) -> Condition:
    """Return the published dense network, trained on the samples.

    Parameters
    ----------
    word, title : str
        Those of the condition.
    calibrated : bool
        Whether it is also tried how well its functions, which are known, can be recovered from it.
    """

    def fit(generator: Generator, extent: Extent, seed: int, check: Check) -> Fitted:
        inputs, truth = generator.samples(stream(seed, 0), 1)
        network = networks.dense(inputs[0].size, seed)
        train(network, generator, seed, extent.training, check)
        facts: dict[str, object] = {"training": extent.training.text}
        if calibrated:
            functions = _recovered(network.double(), generator, extent, seed, check)
            inputs, truth = generator.samples(stream(seed, 0), extent.explained)
            found = pearson(functions.contributions(inputs), truth.contributions)
            facts["recovered"] = float(np.nanmean(found))
        return Fitted(network, generator, facts)

    return Condition(word, title, "dense networks", fit)


def fewer(word: str, title: str, times: int) -> Condition:
    """Return the published dense network, trained on so many times fewer samples, each as often."""
    whole = learned(word, title)

    def fit(generator: Generator, extent: Extent, seed: int, check: Check) -> Fitted:
        training = extent.training
        samples = max(LEAST_BATCHES * training.batch, training.samples // times)
        return whole.fit(generator, replace(extent, training=replace(training, samples=samples)), seed, check)

    return replace(whole, fit=fit)


def independent(condition: Condition) -> Condition:
    """Return a condition on inputs that have nothing in common."""

    def fit(generator: Points, extent: Extent, seed: int, check: Check) -> Fitted:
        return condition.fit(generator.independent(seed), extent, seed, check)

    return replace(condition, fit=fit)


def linear(word: str, title: str) -> Condition:
    """Return the linear model of the samples."""

    def fit(generator: Generator, extent: Extent, seed: int, check: Check) -> Fitted:
        samples = extent.training.samples
        network = least_squares(generator, seed, samples, check)
        return Fitted(network, generator, {"training": f"least squares, {samples:,} samples"})

    return Condition(word, title, "linear models", fit)


def exact(word: str, title: str, functions: PiecewiseLinear | None = None) -> Condition:
    """Return the network that is the sum of functions: what methods miss of it, no training could mend.

    Parameters
    ----------
    word, title : str
        Those of the condition.
    functions : PiecewiseLinear, optional
        Those of the generator by default.
    """

    def fit(generator: Points, extent: Extent, seed: int, check: Check) -> Fitted:
        facts = {"training": "none: weights from the functions"}
        own = generator.functions if functions is None else functions
        return Fitted(networks.exact(own), replace(generator, functions=own), facts, trained=False)

    return Condition(word, title, "exact sums of functions", fit)


def published(word: str, title: str) -> Condition:
    """Return the network that somebody else trained on another function of the same inputs.

    That function was not published. What is taken for true is the sum of functions that is closest to the network.
    """

    def fit(generator: Points, extent: Extent, seed: int, check: Check) -> Fitted:
        network = networks.stacked(generator.others).requires_grad_(False)
        reads = np.array(generator.reads)
        nothing = PiecewiseLinear(np.zeros((len(reads), 1)), np.zeros((len(reads), 2)))
        covariance = generator.covariance[np.ix_(reads, reads)]
        own = replace(generator, covariance=covariance, functions=nothing, others=(), reads=())
        functions = _recovered(network, own, extent, seed, check)
        return Fitted(
            network,
            replace(own, functions=functions),
            {"training": "by others", "truth": "the sum of functions that is closest to the network"},
        )

    return Condition(word, title, "dense networks trained elsewhere", fit)


def classified(
    word: str, title: str, inverted: bool = False, trained: dict[object, nn.Sequential] | None = None
) -> Condition:
    """Return the published convolutional network, trained to tell the classes apart.

    Parameters
    ----------
    word, title : str
        Those of the condition.
    inverted : bool
        Whether it reads 1 - image: the same network behind a layer that inverts again, so that nothing but the values
        of pixels differs.
    trained : dict, optional
        Networks that are trained already; shared by conditions of the same network.
    """
    known = {} if trained is None else trained

    def fit(generator: Any, extent: Extent, seed: int, check: Check) -> Fitted:
        key = (extent.images, seed)
        if key not in known:
            network = networks.convolutional(seed)
            train(network, generator, seed, extent.images, check)
            known[key] = network
        network, facts = known[key], {"training": extent.images.text}
        if not inverted:
            return Fitted(network, generator, facts)
        return Fitted(networks.inverting(network), replace(generator, inverted=True), facts)

    return Condition(word, title, "convolutional networks", fit)


def outputs(network: nn.Module, inputs: np.ndarray) -> np.ndarray:
    """Return what a network gives for inputs (sample, input) or (sample, row, column): (sample, output), float64."""
    dtype = next(network.parameters()).dtype
    with torch.no_grad():
        parts = [network(part).double() for part in as_fields(inputs).to(dtype).split(500)]
    return torch.cat(parts).numpy()


def _recovered(
    network: nn.Module, generator: Any, extent: Extent, seed: int, check: Check
) -> PiecewiseLinear:
    def samples(block: int) -> np.ndarray:
        check(0.9)
        return generator.samples(stream(seed, RECOVERY + block), BLOCK)[0]

    deviations = np.sqrt(np.diag(generator.covariance))
    return recovered(lambda values: outputs(network, values)[:, 0], samples, deviations, extent.recovery)
