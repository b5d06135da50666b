"""One condition of an additive benchmark: a network is made ready, explained by every method, and its maps judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import numpy as np
import torch

from ....ground.errors import NumericalError
from ....ground.rankings import Judged
from ....ground.vocabulary.relevance_methods import METHODS
from ...relevance.methods import Method
from ...sanity.run import Settings
from ..behaviour import layered_sanity
from ..explaining import UNROLLED, LayeredNetwork
from . import agreement, failures
from .breaking import SIGN, WITHOUT_SIGN, broken, without_network
from .conditions import Check, Condition, Extent, Fitted, outputs
from .fitting import as_fields, explained_variance
from .generator import Additive, Generator, stream

MEASURES = (*agreement.MEASURES, *failures.MEASURES)
PATCHES = 13  # of occlusion along each side of an image: 5 x 5 pixels of 65 x 65
REPEAT = 1_000_003  # from the seed of one training to that of the next
FITTING_SHARE = 0.6  # of the time of a condition, for progress


@dataclass(frozen=True, eq=False)
class Result:
    """What one network gave.

    Parameters
    ----------
    condition, title : str
        Its word, and its name for readers.
    judged : tuple of Judged
        Methods and controls with the scores of each sample.
    facts : mapping
        Plain values that the report lists: how the network learned and how well.
    sanity : mapping
        Method → measure that needs no truth → (sample,), of a trained network.
    example : mapping
        ``truth`` and each method → (row, column), float32: one sample, in units of the target.
    broken : str
        The method whose maps were broken on purpose: the best by the measure that decides.
    """

    condition: str
    title: str
    judged: tuple[Judged, ...]
    facts: Mapping[str, object]
    sanity: Mapping[str, Mapping[str, np.ndarray]]
    example: Mapping[str, np.ndarray]
    broken: str = ""


def run_condition(
    generator: Generator,
    condition: Condition,
    methods: Sequence[str],
    extent: Extent,
    seed: int,
    check: Check = lambda share: None,
    repeat: int = 0,
) -> Result:
    """Make one network ready, explain held-out samples by each method, and score the maps.

    Parameters
    ----------
    generator : Generator
        Of the samples.
    condition : Condition
        Which of its networks.
    methods : sequence of str
        Words of methods; those that do not apply to networks of layers are left out.
    extent : Extent
        How much is done.
    seed : int
        Of samples, weights and draws.
    check : callable
        Called with the share done; may raise.
    repeat : int
        Which training: another one has other samples and other weights to begin with, and explains the same samples.

    Raises
    ------
    NumericalError
        If the network gives numbers that are not finite, or no sample is left to explain.
    """
    begun = perf_counter()
    fitted = condition.fit(
        generator, extent, seed + REPEAT * repeat, lambda share: check(FITTING_SHARE * share)
    )
    seconds = perf_counter() - begun
    held_out, truth = fitted.generator.samples(stream(seed, 0), extent.held_out)
    given = outputs(fitted.network, held_out)
    if not np.isfinite(given).all():
        raise NumericalError(
            f"{condition.title} gave numbers that are not finite. Choose another SEED, or check NETWORK."
        )
    judge = _Judge.of(fitted, held_out, truth, given, extent.explained, condition.word)
    applying = [word for word in dict.fromkeys(methods) if word not in UNROLLED]
    for number, word in enumerate(applying):
        share = FITTING_SHARE + (1 - FITTING_SHARE) * number / len(applying)
        method = Method(word, steps=extent.steps, samples=extent.draws, seed=seed)
        judge.add(method, partial(check, share), extent.sanity if fitted.trained else 0)
    judge.add_controls(seed)
    facts = {**fitted.facts, **_quality(truth, given), "seconds": round(seconds, 1)}
    return Result(
        condition.word, condition.title, tuple(judge.judged), facts, judge.sanity, judge.example, judge.broken
    )


def _quality(truth: Additive, given: np.ndarray) -> dict[str, object]:
    """Return how well a network does on held-out samples."""
    if truth.classes is not None:
        return {"accuracy": float((given.argmax(1) == truth.classes).mean())}
    error = given[:, 0] - truth.target
    return {
        "r_squared": explained_variance(given[:, 0], truth.target),
        "mean_squared_error": float((error**2).mean()),
        "mean_absolute_error": float(np.abs(error).mean()),
    }


def slopes(word: str) -> bool:
    """Return whether a method gives slopes, which are no parts of the target."""
    return not METHODS[word].times_input


class _Judge:
    """Explains samples and scores the maps."""

    def __init__(
        self,
        network: LayeredNetwork,
        inputs: np.ndarray,
        contributions: np.ndarray,
        classes: np.ndarray,
        given: np.ndarray,
        condition: str,
    ) -> None:
        self._network, self._condition = network, condition
        self._fields, self._classes = as_fields(inputs), torch.from_numpy(classes)
        shape = self._fields[:, 0].shape
        self._inputs, self._contributions = inputs.reshape(shape), contributions.reshape(shape)
        self._given = given
        self._maps: dict[str, np.ndarray] = {}
        self.judged: list[Judged] = []
        self.broken = ""
        self.sanity: dict[str, dict[str, np.ndarray]] = {}
        size = contributions[0].size
        self.example = {"truth": (self._contributions[0] / size).astype(np.float32)}

    @classmethod
    def of(
        cls,
        fitted: Fitted,
        inputs: np.ndarray,
        truth: Additive,
        given: np.ndarray,
        number: int,
        condition: str,
    ) -> _Judge:
        """Return the judge of a network: on the first samples, where it tells classes apart those it knows."""
        classes = given.argmax(1)
        known = np.arange(len(inputs))
        if truth.classes is not None:
            known = np.flatnonzero(classes == truth.classes)
        if not len(known):
            raise NumericalError("The network knows no class of a held-out sample. Choose another SEED.")
        chosen = known[:number]
        dense = inputs.ndim == 2
        precision = torch.float64 if dense else torch.float32
        patches = inputs.shape[1] if dense else PATCHES
        network = LayeredNetwork(fitted.network, precision, patches)
        sign = given[:, 0] if given.shape[1] == 1 else np.ones(len(given))
        return cls(
            network,
            inputs[chosen],
            truth.contributions[chosen],
            classes[chosen],
            sign[chosen],
            condition,
        )

    def add(self, method: Method, check: Callable[[], None], sane: int) -> None:
        """Explain all samples by a method and score its maps; of the first `sane` also how they behave."""
        begun = perf_counter()
        maps = self._network.explain(method, self._fields, self._classes, check).relevance
        seconds = (perf_counter() - begun) / len(maps)
        self._maps[method.name] = maps
        self.example[method.name] = maps[0].astype(np.float32)
        self._score(method.name, maps, seconds)
        if sane:
            some = self._fields[:sane], self._classes[:sane]
            settings = Settings(seed=method.seed)
            self.sanity[method.name] = layered_sanity(self._network, method, *some, settings, check)

    def add_controls(self, seed: int) -> None:
        """Score noise, edges, and the maps of the best method broken on purpose."""
        controls = without_network(self._inputs, seed)
        if self.judged:
            decides = MEASURES[0].word
            self.broken = max(self.judged, key=lambda each: np.nan_to_num(each.scores[decides]).mean()).method
            controls.update(broken(self._maps[self.broken], seed))
        for word, maps in controls.items():
            self._score(word, maps, 0.0, control=True)

    def _score(self, word: str, maps: np.ndarray, seconds: float, control: bool = False) -> None:
        flat, truth = maps.reshape(len(maps), -1), self._contributions.reshape(len(maps), -1)
        scores = agreement.agreement(flat, truth, self._given)
        if maps.shape[1] > 1:
            scores.update(failures.failures(maps, self._contributions, self._inputs))
        if word == SIGN:
            scores = {measure: values for measure, values in scores.items() if measure not in WITHOUT_SIGN}
        self.judged.append(Judged(word, self._condition, scores, seconds, control))
