"""The benchmark *fusion*: a variant of the network trained, its held-out scenes explained, and the maps scored."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ....ground.errors import NumericalError
from ....ground.protocols import Silent
from ....ground.rankings import Judged
from ....ground.vocabulary.relevance_methods import MethodChoice
from ....networks.standard_channels import MWR_CHANNELS
from ...relevance.methods import NODES_A_STEP, Method
from ...streaming.runner import Runner
from ..behaviour import FEW_DRAWS
from .behaviour import scene_sanity
from .controls import CONTROLS, SIGN, control
from .explaining import GATED, OF_OUTPUT, Explainers, Maps
from .generator import Fusion
from .networks import Effort, exact, explained_variance, predicted, trained
from .scenes import FusionScene
from .scores import ABSOLUTE, MEASURES, PEARSON, by_channel, scored

# check(share done): called often; may raise, and so ends the run.
Check = Callable[[float], None]

CONTRIBUTIONS, RELEVANCE = "contributions", "relevance"
KINDS = (CONTRIBUTIONS, RELEVANCE)
TRUTH = "truth"
EXACT, WHITE = "_exact", "_white"  # behind a variant; of both, white first
TRAINING_SHARE = 0.5  # of the time of a variant, for progress
_HELD_OUT, _CONTROLS = 1, 22  # part of the scenes, draw


@dataclass(frozen=True)
class Extent:
    """How much is done.

    Parameters
    ----------
    variants : tuple of str
        Of the network; behind :data:`EXACT` it is not trained but made from the functions, behind :data:`WHITE` no
        value of its scenes has anything to do with another one.
    effort : Effort
        How long each is trained.
    scenes, cells : int
        Held-out scenes that are explained, and cells along their sides.
    draws, patch, steps : int
        Of SmoothGrad; of occlusion, in pixels; of a path from the baseline.
    sanity : int
        Of the scenes, those by which it is tried how maps of a trained network behave.
    mwr, mwr_free : tuple of str
        Channels of the radiometer, and those of the variant in which their functions are free: fewer, since each of
        them is to be learnt.
    """

    variants: tuple[str, ...]
    effort: Effort
    scenes: int
    cells: int
    draws: int = 8
    patch: int = MethodChoice.patch
    steps: int = 16
    sanity: int = 3
    mwr: tuple[str, ...] = MWR_CHANNELS
    mwr_free: tuple[str, ...] = ("btemp_18_7h", "btemp_18_7v", "btemp_36_5h", "btemp_36_5v")

    def fusion(self, variant: str) -> Fusion:
        """Return the scenes of a variant."""
        kind = variant.removesuffix(EXACT)
        own = kind.removesuffix(WHITE)
        return Fusion(own, self.mwr_free if Fusion(own).free else self.mwr, white=own != kind)


SMALL = "interpretability_small"
EXTENTS = {
    "quick": Extent(
        (SMALL,),
        Effort(100, 3, 400, 4, 50),
        scenes=12,
        cells=4,
        draws=2,
        patch=50,
        steps=4,
        sanity=1,
    ),
    "full": Extent(
        (SMALL, f"{SMALL}{EXACT}", f"{SMALL}{WHITE}{EXACT}", "v2", f"v2{EXACT}"),
        Effort(300, 4, 1000, 3, 75),
        12,
        6,
    ),
}


@dataclass(frozen=True, eq=False)
class FusionResult:
    """What one variant gave.

    Parameters
    ----------
    variant : str
        Of the network.
    explained_variance : float
        R² of its logits on the held-out scenes.
    judged : tuple of Judged
        Scores of methods and controls, of the conditions ``fusion_<variant>_contributions`` and ``…_relevance``; a
        sample is a scene.
    ceilings : mapping
        Kind → measure → mean over the scenes of what gates can show of the truth.
    of_gated : mapping
        Kind → method that sees gates alone → Pearson's r, mean over the scenes, with what gates can show.
    channels : tuple of str
        Their names, the fine ones first.
    fine_channels : int
        How many are fine.
    by_channel : mapping
        (kind, method) → (channel,): Pearson's r over the pixels of each channel, mean over the scenes.
    scene : FusionScene
        The first held-out scene.
    maps : mapping
        (kind, method or ``truth``) → :class:`.Maps` of that scene.
    sanity : mapping
        Method of relevance → measure that needs no truth → (scene,), of a trained network.
    broken : mapping
        Kind → method whose maps were broken on purpose: the best by the measure that decides.
    """

    variant: str
    explained_variance: float
    judged: tuple[Judged, ...]
    ceilings: Mapping[str, Mapping[str, float]]
    of_gated: Mapping[str, Mapping[str, float]]
    channels: tuple[str, ...]
    fine_channels: int
    by_channel: Mapping[tuple[str, str], np.ndarray]
    scene: FusionScene
    maps: Mapping[tuple[str, str], Maps]
    sanity: Mapping[str, Mapping[str, np.ndarray]]
    broken: Mapping[str, str]


class _Checked(Silent):
    """A progress that asks `check` whether to go on."""

    def __init__(self, check: Check, start: float, stop: float) -> None:
        self.check, self.start, self.stop = check, start, stop

    def report(self, fraction: float, text: str = "") -> None:
        """Pass on the share done."""
        self.check(self.start + (self.stop - self.start) * min(max(fraction, 0.0), 1.0))

    def cancelled(self) -> bool:
        """Return False, unless the check raises."""
        self.check(self.start)
        return False


def run_variant(
    variant: str,
    extent: Extent,
    methods: Sequence[str],
    seed: int,
    check: Check = lambda share: None,
    repeat: int = 0,
) -> FusionResult:
    """Train one variant, explain the held-out scenes by each method, and score the maps.

    Parameters
    ----------
    variant : str
        A word of the extent's variants.
    extent : Extent
        How much is done.
    methods : sequence of str
        Words of relevance methods; the methods of contributions, and ablation, are always scored.
    seed : int
        Of target, scenes, weights and draws.
    check : callable
        Called with the share done; may raise.
    repeat : int
        Which training: another one has other scenes and other weights to begin with, and explains the same scenes.

    Raises
    ------
    NumericalError
        If the network gives numbers that are not finite.
    """
    fusion = extent.fusion(variant)
    if variant.endswith(EXACT):
        card, module = exact(fusion, seed)
    else:
        card, module = trained(fusion, extent.effort, seed, _Checked(check, 0.0, TRAINING_SHARE), repeat)
    runner = Runner(card, module, "cpu", "float32")
    scenes, contributions = fusion.samples(seed, extent.scenes, extent.cells, _HELD_OUT)
    inner = scenes[0].inner
    targets = [each.sum(0)[inner.slices()] for each in contributions]
    predictions = [predicted(runner, scene) for scene in scenes]
    if not np.isfinite(predictions).all():
        raise NumericalError(
            "The network of the benchmark gave numbers that are not finite. Choose another SEED."
        )
    task = _Task(variant, fusion, extent, seed, runner, scenes, check)
    of_output = task.judged(CONTRIBUTIONS, OF_OUTPUT)
    of_input = task.judged(RELEVANCE, methods)
    return FusionResult(
        variant,
        explained_variance(predictions, targets),
        (*of_output, *of_input),
        task.ceilings,
        task.of_gated,
        tuple(channel.name for channel in card.channels),
        len(card.fine_channels),
        task.by_channel,
        scenes[0],
        task.maps,
        task.sanity,
        task.broken,
    )


@dataclass(eq=False)
class _Task:
    """A trained network, the scenes it is explained on, and what has been found."""

    variant: str
    fusion: Fusion
    extent: Extent
    seed: int
    runner: Runner
    scenes: list[FusionScene]
    check: Check
    ceilings: dict[str, dict[str, float]] = field(default_factory=dict)
    of_gated: dict[str, dict[str, float]] = field(default_factory=dict)
    by_channel: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    maps: dict[tuple[str, str], Maps] = field(default_factory=dict)
    sanity: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    def judged(self, kind: str, words: Sequence[str]) -> list[Judged]:
        """Return the scores of methods of one kind, and of the controls."""
        if not words:
            return []
        truths, gated = self._truths(kind, False), self._truths(kind, True)
        self.maps[kind, TRUTH] = truths[0]
        self.ceilings[kind] = _means(_scores(gated, truths))
        condition = f"fusion_{self.variant}_{kind}"
        begun = TRAINING_SHARE if kind == CONTRIBUTIONS else (1 + TRAINING_SHARE) / 2
        rows: list[Judged] = []
        best: list[Maps] = []
        highest = -np.inf
        for number, word in enumerate(words):
            start = begun + (1 - TRAINING_SHARE) / 2 * number / len(words)
            progress = _Checked(self.check, start, start)
            explainers = Explainers(self.runner, self.extent.steps, progress)
            clock = time.perf_counter()
            found = [self._map(explainers, kind, word, scene) for scene in self.scenes]
            seconds = (time.perf_counter() - clock) / len(found)
            scores = _arrays(_scores(found, truths))
            rows.append(Judged(word, condition, scores, seconds))
            mean = float(np.nan_to_num(scores[MEASURES[0].word]).mean())
            if mean > highest:
                best, highest, self.broken[kind] = found, mean, word
            self.by_channel[kind, word] = np.mean([by_channel(a, b) for a, b in zip(found, truths)], axis=0)
            self.maps[kind, word] = found[0]
            if word == GATED or word in ("gradient_x_input", "lrp_0"):
                agreement = _means(_scores(found, gated))[PEARSON]
                self.of_gated.setdefault(kind, {})[word] = agreement
            if kind == RELEVANCE and self.extent.sanity and not self.variant.endswith(EXACT):
                some = self.scenes[: self.extent.sanity]
                settings = replace(FEW_DRAWS, seed=self.seed)
                self.sanity[word] = scene_sanity(self.runner, self._method(word), some, settings, progress)
        return rows + self._controls(condition, best, truths)

    def _map(self, explainers: Explainers, kind: str, word: str, scene: FusionScene) -> Maps:
        if kind == CONTRIBUTIONS:
            return explainers.contributions(word, scene)
        return explainers.relevance(self._method(word), scene)

    def _method(self, word: str) -> Method:
        extent = self.extent
        return Method(
            word,
            steps=NODES_A_STEP * extent.steps,
            refine=False,
            samples=extent.draws,
            patch=extent.patch,
            seed=self.seed,
        )

    def _controls(self, condition: str, good: list[Maps], truths: list[Maps]) -> list[Judged]:
        draw = np.random.default_rng([self.seed, _CONTROLS])
        rows = []
        for word in CONTROLS:
            found = [control(word, maps, scene, draw) for maps, scene in zip(good, self.scenes)]
            scores = _arrays(_scores(found, truths))
            if word == SIGN:
                del scores[ABSOLUTE]  # sizes have no sign to be broken
            rows.append(Judged(word, condition, scores, 0.0, control=True))
        return rows

    def _truths(self, kind: str, gated: bool) -> list[Maps]:
        """Return the truth of each scene over its inner part, or what gates can show of it."""
        target, fusion = self.fusion.target(self.seed), self.fusion
        number, found = len(fusion.channels) - len(fusion.mwr), []
        for scene in self.scenes:
            inner = scene.inner
            if kind == CONTRIBUTIONS:
                bands = target.gated(scene) if gated else target.contributions(scene)
                found.append(Maps.of_output(bands[(slice(None), *inner.slices())], number, fusion.ratio))
                continue
            relevance = target.relevance(scene, inner, gated)
            fine = np.stack(relevance[:number])[(slice(None), *inner.slices())]
            found.append(Maps.of_input(fine, np.stack(relevance[number:]), inner, fusion.ratio))
        return found


def _scores(found: Sequence[Maps], truths: Sequence[Maps]) -> list[dict[str, float]]:
    return [scored(maps, truth) for maps, truth in zip(found, truths)]


def _arrays(scores: Sequence[Mapping[str, float]]) -> dict[str, np.ndarray]:
    return {word: np.array([each[word] for each in scores]) for word in scores[0]}


def _means(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {word: float(values.mean()) for word, values in _arrays(scores).items()}
