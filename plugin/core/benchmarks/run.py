"""One architecture of a benchmark: trained, explained by every method that applies, and scored against the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from ...ground.errors import NumericalError
from ..relevance.methods import Method
from ..streaming.runner import Inputs
from . import networks, scores
from .echo_state import COLUMNS, COLUMNS_REVERSED, ROWS, EchoState, Reservoir
from .explaining import AT_ONCE, UNROLLED, ExplainedNetwork, LayeredNetwork, Maps, ReservoirNetwork
from .samples import Benchmark, Truth, held_out
from .training import Training, train

# check(share done): called often; may raise, and so ends the run.
Check = Callable[[float], None]

LAYERED = {"linear": networks.linear, "mlp": networks.mlp, "cnn": networks.cnn}
TRAINING = {"linear": Training(), "mlp": Training(), "cnn": Training(epochs=10, rate=3e-3, enough=0.05)}
ECHO_STATE = "echo_state"
FEEDS = (COLUMNS, ROWS, COLUMNS_REVERSED)
OUTLIERS = 10  # planted in a sample
OUTLIER = 10.0  # their value, in units of the largest usual one
TRAINING_SHARE = 0.4  # of the time of an architecture, for progress


@dataclass(frozen=True)
class Architecture:
    """One network of the benchmark.

    Parameters
    ----------
    name : str
        ``linear``, ``mlp``, ``cnn``, or ``echo_state`` with the feed and leak rate of `reservoir`.
    reservoir : Reservoir or None
        Of an echo state network.
    """

    name: str
    reservoir: Reservoir | None = None

    @classmethod
    def echo_state(cls, feed: str, leak: float) -> Architecture:
        """Return an echo state network."""
        return cls(f"{ECHO_STATE}_{feed}_{leak:g}", Reservoir(leak, feed))

    @property
    def axis(self) -> int:
        """The axis along which the network is fed; that of columns where it is fed all at once."""
        return 0 if self.reservoir and self.reservoir.feed == ROWS else 1

    @property
    def backwards(self) -> bool:
        """Whether the feed begins at the right."""
        return bool(self.reservoir and self.reservoir.feed == COLUMNS_REVERSED)


@dataclass(frozen=True)
class Extent:
    """How much is done.

    Parameters
    ----------
    leaks : tuple of float
        Leak rates of the echo state networks, for each feed.
    feeds : tuple of str
        Their feeds.
    explained : int
        Held-out samples that are explained.
    nulls : int
        Inputs of noise alone.
    steps, draws : int
        Nodes of integrated gradients and draws of SmoothGrad.
    """

    leaks: tuple[float, ...]
    feeds: tuple[str, ...]
    explained: int
    nulls: int
    steps: int
    draws: int

    def architectures(self) -> tuple[Architecture, ...]:
        """Return the networks, those fed all at once first."""
        fed = tuple(Architecture.echo_state(feed, leak) for feed in self.feeds for leak in self.leaks)
        return (*(Architecture(name) for name in LAYERED), *fed)


EXTENTS = {
    "quick": Extent((0.1,), (COLUMNS, ROWS), explained=12, nulls=12, steps=8, draws=4),
    "full": Extent((0.005, 0.02, 0.1, 0.4), FEEDS, explained=60, nulls=40, steps=16, draws=16),
}


@dataclass(frozen=True)
class MethodScores:
    """What a method gave for one architecture; None where a number has no meaning.

    Parameters
    ----------
    method : str
        Its word.
    mass_inside, mass_inside_corrected : float or None
        Share of Σ|R| inside the true pixels, before and after correction.
    rank_accuracy, rank_accuracy_corrected : float or None
        Share of the largest |R| that lie inside.
    conservation_error : float or None
        Median of |ΣR - f|/|f|; None for slopes, which share out nothing.
    stripes, stripes_corrected : float or None
        Share of the variance over pixels by position along the feed, of maps of noise.
    border, border_corrected : float or None
        Mean |R| at the edge over that of the rest, of maps of noise.
    decay, decay_expected, recurrent_share : float or None
        |R| a step back, fitted; 1 - α(1 - ρ); ρ. Of echo state networks.
    outlier_share, outlier_share_capped : float or None
        Share of Σ|R| at planted outliers, as they are and capped.
    noise_inside : float
        Share of Σ|R| inside of maps of noise, for the classes that are predicted of the samples.
    common_corrected : float or None
        Share of what remains of Σ|R| on pixels that hold more than noise, but do not decide.
    """

    method: str
    mass_inside: float | None
    mass_inside_corrected: float | None
    rank_accuracy: float | None
    rank_accuracy_corrected: float | None
    conservation_error: float | None
    stripes: float | None
    stripes_corrected: float | None
    border: float | None
    border_corrected: float | None
    decay: float | None
    decay_expected: float | None
    recurrent_share: float | None
    outlier_share: float | None
    outlier_share_capped: float | None
    noise_inside: float
    common_corrected: float | None

    @property
    def raised(self) -> bool | None:
        """Whether the correction raised the mass inside; None where it left no map."""
        if self.mass_inside is None or self.mass_inside_corrected is None:
            return None
        return self.mass_inside_corrected > self.mass_inside


@dataclass(frozen=True)
class ArchitectureResult:
    """Scores and mean maps of one architecture.

    Parameters
    ----------
    architecture : Architecture
        The network.
    accuracy, accuracy_training : float
        Share of held-out and of training samples whose class it predicts.
    methods : tuple of MethodScores
        One a method.
    maps : mapping
        Method → (3, row, column), float32: mean relevance, mean corrected relevance, and the share of Σ|R| of each
        pixel without the data.
    profiles : mapping
        Method → mean |R| of inputs of noise at each step of the feed, the first step first.
    """

    architecture: Architecture
    accuracy: float
    accuracy_training: float
    methods: tuple[MethodScores, ...]
    maps: dict[str, np.ndarray]
    profiles: dict[str, np.ndarray]


def run_architecture(
    benchmark: Benchmark,
    inputs: np.ndarray,
    truth: Truth,
    architecture: Architecture,
    methods: Sequence[str],
    extent: Extent,
    seed: int,
    check: Check = lambda share: None,
) -> ArchitectureResult:
    """Train one network, explain held-out samples, and score the maps.

    Parameters
    ----------
    benchmark : Benchmark
        Draws inputs of noise alone, and says what outliers are capped to.
    inputs, truth : numpy.ndarray, Truth
        What :meth:`Benchmark.samples` returned.
    architecture : Architecture
        The network.
    methods : sequence of str
        Words of methods; those that do not apply are left out.
    extent : Extent
        How much is done.
    seed : int
        Of weights and draws.
    check : callable
        Called with the share done; may raise.

    Raises
    ------
    NumericalError
        If the network gives numbers that are not finite.
    """
    fields = torch.from_numpy(np.ascontiguousarray(inputs))[:, None]
    classes = torch.from_numpy(truth.classes.astype(np.int64))
    test = held_out(len(fields))
    network = _trained(
        architecture,
        fields[: test.start],
        classes[: test.start],
        seed,
        lambda share: check(TRAINING_SHARE * share),
    )
    predicted = _predicted(network, fields, lambda: check(TRAINING_SHARE))
    right = (predicted == classes).double()
    chosen = slice(test.start, min(test.stop, test.start + extent.explained))
    task = _Task(
        network,
        fields[chosen],
        predicted[chosen],
        torch.from_numpy(benchmark.null(seed, extent.nulls))[:, None],
        truth,
        benchmark.cap,
        architecture,
        seed,
    )
    applying = [word for word in methods if network.applies(word)]
    found = []
    for number, word in enumerate(applying):
        begun = TRAINING_SHARE + (1 - TRAINING_SHARE) * number / len(applying)
        method = (
            word if word in UNROLLED else Method(word, steps=extent.steps, samples=extent.draws, seed=seed)
        )
        found.append(task.scored(word, method, partial(check, begun)))
    return ArchitectureResult(
        architecture,
        float(right[test].mean()),
        float(right[: test.start].mean()),
        tuple(row for row, _, _ in found),
        {row.method: maps for row, maps, _ in found},
        {row.method: steps for row, _, steps in found},
    )


def _trained(
    architecture: Architecture, fields: torch.Tensor, classes: torch.Tensor, seed: int, check: Check
) -> ExplainedNetwork:
    rows, cols = fields.shape[2:]
    if architecture.reservoir is not None:
        check(0.0)
        width = cols if architecture.axis == 0 else rows
        echo = EchoState(architecture.reservoir, width, seed)
        check(0.3)
        echo.fit(fields, classes, lambda: check(0.5))
        return ReservoirNetwork(echo)
    network = LAYERED[architecture.name](rows, cols, seed)
    train(network, fields.float(), classes, seed, TRAINING[architecture.name], check)
    return LayeredNetwork(network, torch.float32 if architecture.name == "cnn" else torch.float64)


def _predicted(network: ExplainedNetwork, fields: torch.Tensor, check: Callable[[], None]) -> torch.Tensor:
    found = []
    for at in range(0, len(fields), AT_ONCE):
        check()
        with torch.no_grad():
            found.append(network.logits(Inputs(fields[at : at + AT_ONCE], None)))
    logits = torch.cat(found)
    if not torch.isfinite(logits).all():
        raise NumericalError(
            "A network of the benchmark gave numbers that are not finite. Choose another SEED."
        )
    return logits.argmax(1)


@dataclass(frozen=True)
class _Task:
    """A trained network, and what its methods are tried on."""

    network: ExplainedNetwork
    fields: torch.Tensor
    classes: torch.Tensor
    nulls: torch.Tensor
    truth: Truth
    cap: float
    architecture: Architecture
    seed: int

    def scored(
        self, word: str, method: Method | str, check: Callable[[], None]
    ) -> tuple[MethodScores, np.ndarray, np.ndarray]:
        """Return scores, mean maps and the profile along the feed of one method."""
        explain, truth, axis = self.network.explain, self.truth, self.architecture.axis
        found = explain(method, self.fields, self.classes, check)
        nulls = [
            explain(method, self.nulls, torch.full((len(self.nulls),), k), check).relevance for k in range(2)
        ]
        half = len(self.nulls) // 2  # of these the correction is made, on the others artifacts are measured
        shares = np.stack([scores.null_share(maps[:half]) for maps in nulls])
        of_class = shares[self.classes.numpy()]
        kept = scores.corrected(found.relevance, of_class)
        before = np.abs(np.concatenate([maps[half:] for maps in nulls])).mean(0)
        after = np.abs(
            np.concatenate([scores.corrected(maps[half:], shares[k][None]) for k, maps in enumerate(nulls)])
        ).mean(0)
        steps = scores.profile(before, truth.valid, axis, self.architecture.backwards)
        shares_out = self._outlier_shares(method, check)
        row = MethodScores(
            word,
            scores.mass_inside(found.relevance, truth.inside),
            scores.mass_inside(kept, truth.inside),
            scores.rank_accuracy(found.relevance, truth.inside),
            scores.rank_accuracy(kept, truth.inside),
            self._conservation(method, found),
            scores.stripes(before, truth.valid, axis),
            scores.stripes(after, truth.valid, axis),
            scores.border(before, truth.valid),
            scores.border(after, truth.valid),
            *self._decay(steps, found),
            *shares_out,
            float(of_class[:, truth.inside].sum(1).mean()),
            scores.mass_inside(kept, truth.structure & ~truth.inside),
        )
        maps = np.stack([found.relevance.mean(0), kept.mean(0), shares.mean(0)])
        return row, np.where(truth.valid, maps, np.nan).astype(np.float32), steps

    @staticmethod
    def _conservation(method: Method | str, found: Maps) -> float | None:
        if isinstance(method, Method) and not method.times_input:
            return None
        return scores.conservation_error(found.relevance, found.explained)

    def _decay(self, steps: np.ndarray, found: Maps) -> tuple[float | None, float | None, float | None]:
        reservoir, share = self.architecture.reservoir, found.recurrent_share
        if reservoir is None:
            return None, None, None
        return (
            scores.decay(steps),
            None if share is None else reservoir.keep + reservoir.leak * share,
            share,
        )

    def _outlier_shares(
        self, method: Method | str, check: Callable[[], None]
    ) -> tuple[float | None, float | None]:
        """Return Σ|R| at outliers planted in the background as a share of Σ|R|, as they are and capped."""
        draw = np.random.default_rng([self.seed, 3])
        places = np.flatnonzero(self.truth.background)
        planted = np.zeros((len(self.fields), *self.truth.valid.shape), dtype=bool)
        for picture in planted:
            picture.ravel()[draw.choice(places, min(OUTLIERS, len(places)), replace=False)] = True
        there = torch.from_numpy(planted)[:, None]
        found = []
        for value in (OUTLIER * self.cap, self.cap):
            fields = torch.where(there, value, self.fields)
            sizes = np.abs(self.network.explain(method, fields, self.classes, check).relevance)
            total = sizes.sum((1, 2))
            shares = np.where(planted, sizes, 0.0).sum((1, 2))[total > 0] / total[total > 0]
            found.append(float(shares.mean()) if len(shares) else None)
        return found[0], found[1]
