"""Sanity measures of one method and network, streamed over samples: no more than a batch of maps is held at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...ground.errors import NumericalError, ParameterError
from .measures import (
    faithfulness_correlation,
    randomisation,
    relative_change,
    relative_infidelity,
    sparseness,
)

# Both take inputs (sample, …), float64: a network gives (sample,), a method maps of the inputs' shape.
Predict = Callable[[np.ndarray], np.ndarray]
Explain = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Explained:
    """A network and how it is explained.

    Parameters
    ----------
    predict : callable
        Inputs (sample, …) → the explained logits (sample,).
    explain : callable
        Inputs (sample, …) → maps of the same shape.
    baseline : numpy.ndarray or float
        What an input is set to where it is taken away; fits the shape of one sample.
    slopes : bool
        Whether maps are slopes and no parts of the logit.
    untrained : callable, optional
        As `explain`, of the same network with random weights.
    rebased : callable, optional
        As `explain`, from another baseline.
    """

    predict: Predict
    explain: Explain
    baseline: np.ndarray | float = 0.0
    slopes: bool = False
    untrained: Explain | None = None
    rebased: Explain | None = None


@dataclass(frozen=True)
class Joint:
    """Several inputs of a network, such as fine and coarse ones, as one array.

    Parameters
    ----------
    shapes : tuple of tuple of int
        Of each input, without the axis of samples.
    """

    shapes: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, parts: Sequence[np.ndarray]) -> tuple[Joint, np.ndarray]:
        """Return how inputs (sample, …) are joined, and the array (sample, value)."""
        joint = cls(tuple(part.shape[1:] for part in parts))
        return joint, joint.join(parts)

    def join(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """Return inputs or maps as one array (sample, value), float64."""
        return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1).astype(np.float64)

    def split(self, values: np.ndarray) -> list[np.ndarray]:
        """Return the parts of an array (sample, value), each (sample, …)."""
        ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes])[:-1]
        return [
            part.reshape(len(values), *shape)
            for part, shape in zip(np.split(values, ends, axis=1), self.shapes)
        ]


@dataclass(frozen=True)
class Settings:
    """What is drawn.

    Parameters
    ----------
    noisy : int
        Noisy copies of each sample.
    radius : float
        Their noise is uniform within ± radius; inputs count in standard deviations.
    sets : int
        Random sets of inputs that are taken away.
    share : float
        The part of the inputs that a set holds; one input at least.
    seed : int
        Of all draws.
    """

    noisy: int = 5
    radius: float = 0.1
    sets: int = 30
    share: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.noisy < 1 or self.sets < 3 or not 0 < self.share < 1 or not self.radius > 0:
            raise ParameterError(
                "Sanity measures need at least one noisy copy, three sets, a share between 0 and 1 and a radius "
                "above 0."
            )


@dataclass(frozen=True)
class Losses:
    """What maps predict, and what the network loses, when sets of inputs stand at their baseline.

    Parameters
    ----------
    summed : numpy.ndarray
        (sample, set): Σ_S R.
    predicted : numpy.ndarray
        (sample, set): the same; of slopes Σ_S R (x - b).
    lost : numpy.ndarray
        (sample, set): f(x) - f(x with S at its baseline).
    """

    summed: np.ndarray
    predicted: np.ndarray
    lost: np.ndarray


def sanity(
    batches: Iterable[np.ndarray],
    network: Explained,
    settings: Settings = Settings(),
    check: Callable[[], None] = lambda: None,
) -> dict[str, np.ndarray]:
    """Return each measure of :data:`floelens.plugin.ground.vocabulary.sanity.SANITY_MEASURES` that applies, (sample,).

    Parameters
    ----------
    batches : iterable of numpy.ndarray
        Inputs (sample, …), float64.
    network : Explained
        What explains them.
    settings : Settings
        What is drawn.
    check : callable
        Called between passes; may raise.

    Raises
    ------
    NumericalError
        If a map or a logit is not finite.
    ParameterError
        If a map has not the shape of its inputs, or there are no batches.
    """
    measured: dict[str, list[np.ndarray]] = {}
    draw = np.random.default_rng([settings.seed, 22])
    for inputs in batches:
        for name, values in _measured(inputs, network, settings, draw, check).items():
            measured.setdefault(name, []).append(values)
    if not measured:
        raise ParameterError("There are no samples: sanity measures need at least one.")
    return {name: np.concatenate(values) for name, values in measured.items()}


def _measured(
    inputs: np.ndarray,
    network: Explained,
    settings: Settings,
    draw: np.random.Generator,
    check: Callable[[], None],
) -> dict[str, np.ndarray]:
    check()
    maps = _flat(network.explain(inputs), inputs)
    values = {"sparseness": sparseness(maps)}
    if network.untrained is not None:
        check()
        values["randomisation"] = randomisation(maps, _flat(network.untrained(inputs), inputs))
    changes = []
    for _ in range(settings.noisy):
        check()
        noisy = inputs + draw.uniform(-settings.radius, settings.radius, inputs.shape)
        changes.append(relative_change(maps, _flat(network.explain(noisy), inputs)))
    values["max_sensitivity"] = np.max(changes, axis=0)
    values["mean_sensitivity"] = np.mean(changes, axis=0)
    if network.rebased is not None:
        check()
        values["baseline_sensitivity"] = relative_change(maps, _flat(network.rebased(inputs), inputs))
    size = max(1, round(settings.share * maps.shape[1]))
    found = losses(inputs, maps, network, random_sets(maps.shape, size, settings.sets, draw), check)
    values["infidelity"] = relative_infidelity(found.predicted, found.lost)
    values["faithfulness_correlation"] = faithfulness_correlation(found.summed, found.lost)
    return values


def random_sets(
    shape: tuple[int, ...], size: int, number: int, draw: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield random sets of `size` inputs of each sample, (sample, input), bool; `shape` is that of maps."""
    for _ in range(number):
        chosen = np.argpartition(draw.random(shape), size - 1, axis=1)[:, :size]
        inside = np.zeros(shape, dtype=bool)
        np.put_along_axis(inside, chosen, True, axis=1)
        yield inside


def losses(
    inputs: np.ndarray,
    maps: np.ndarray,
    network: Explained,
    sets: Iterable[np.ndarray],
    check: Callable[[], None] = lambda: None,
) -> Losses:
    """Take sets of inputs away, and return what maps predict and what the network loses.

    Parameters
    ----------
    inputs : numpy.ndarray
        (sample, …).
    maps : numpy.ndarray
        (sample, input).
    network : Explained
        What is explained.
    sets : iterable of numpy.ndarray
        (sample, input), bool, one set a sample each.
    check : callable
        Called between passes; may raise.
    """
    values = inputs.reshape(len(inputs), -1)
    baseline = np.broadcast_to(network.baseline, inputs.shape[1:]).ravel()
    parts = maps * (values - baseline) if network.slopes else maps
    whole = _logits(network, inputs)
    summed, predicted, lost = [], [], []
    for inside in sets:
        check()
        without = np.where(inside, baseline, values).reshape(inputs.shape)
        lost.append(whole - _logits(network, without))
        summed.append((maps * inside).sum(1))
        predicted.append((parts * inside).sum(1))
    return Losses(*(np.stack(part, axis=1) for part in (summed, predicted, lost)))


def _logits(network: Explained, inputs: np.ndarray) -> np.ndarray:
    logits = np.asarray(network.predict(inputs), dtype=np.float64)
    if not np.isfinite(logits).all():
        raise NumericalError("The network gave numbers that are not finite, so its maps cannot be judged.")
    return logits


def _flat(maps: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Return maps as (sample, input), checked."""
    if maps.shape != inputs.shape:
        raise ParameterError(f"A map has the shape {maps.shape}, but its inputs {inputs.shape}.")
    if not np.isfinite(maps).all():
        raise NumericalError("A map holds numbers that are not finite, so it cannot be judged.")
    return maps.reshape(len(maps), -1).astype(np.float64, copy=False)
