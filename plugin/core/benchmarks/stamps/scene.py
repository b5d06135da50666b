"""Stamps in a scene: whether the *change* of relevance lies on them, for a network that is not trained here.

At several places the scene is explained as it is and with a stamp: the logits of the same pixels around, by the same
method. Of the change of relevance ΔR are reported the distance from the stamp (:mod:`.distance`), the share of Σ|ΔR| on
it and within the receptive field around it, and whether ΣΔR is the change of the logits Δf. Where a stamp lowers the
logits, the ideal change is below 0, so ΔR is turned by the sign of Δf. The truth is weaker here than for a classifier
of stamps: a network that overlooks a stamp has no reason to change its map. So places where the logits hardly change
say little, and Δf is reported.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ....ground.protocols import Patch, Source
from ....ground.rankings import Judged, Measure
from ....ground.window import Window
from ...layers.conservation import Leaks
from ...relevance.methods import Method, explainer_for
from ...relevance.steps import seeded_pixels, seeds_of
from ...streaming.engine import scene_window
from ...streaming.run_time import clock
from ...streaming.runner import Runner
from ...target.target import Seeding, Target
from . import controls
from .distance import is_constant
from .places import Place
from .run import DISTANCE, MASS, scores_of, seen_by
from .stamps import Stamp

if TYPE_CHECKING:
    import torch

    from ...relevance.explainers import Explainer

# check(share done): called often; may raise, and so ends the run.
Check = Callable[[float], None]

WITHIN = Measure(
    "within_field", "within the receptive field", "higher", 0.0, 1.0,
    "Share of the change of relevance, Σ|ΔR|, that lies within a receptive-field radius of the stamp.",
)  # fmt: skip
MISMATCH = Measure(
    # A sum of the right size and of random sign has 0 in half of the places and 1 in the others; a worse one more.
    "mismatch", "mismatch of the changes", "lower", 0.5, 0.0,
    "|ΣΔR − Δf|/(|ΣΔR| + |Δf|), ΔR the change of relevance and Δf that of the logits: 0 where ΔR adds up to Δf, 1 "
    "where their signs differ or one of them is 0; sums of random sign have 0.5 at best.",
)  # fmt: skip
CORRELATION, SLOPE = "sum_correlation", "sum_slope"
RESAMPLES = 2000
VARIES = 1e-3  # of the largest |Δf|: what differs by less is the same but for rounding
SCENE_MEASURES = (DISTANCE, MASS, WITHIN, MISMATCH)


@dataclass(frozen=True)
class Change:
    """What a stamp changed at a place, by one method.

    Parameters
    ----------
    relevance : numpy.ndarray
        ΔR of the stamp's sensor over `seen`, (channel, row, column), float64.
    elsewhere : float
        Σ|ΔR| of the other sensor.
    relevance_sum, logits : float
        ΣΔR of all inputs, and Δf.
    """

    relevance: np.ndarray
    elsewhere: float
    relevance_sum: float
    logits: float


@dataclass(frozen=True)
class MethodChanges:
    """Changes of one method and stamp, place by place.

    Parameters
    ----------
    method, stamp : str
        Their words.
    scores : mapping
        Measure → (place,).
    relevance_sums, logits : numpy.ndarray
        (place,): ΣΔR and Δf.
    constant : int
        Places where ΔR is constant.
    seconds : float
        Of one map.
    relevance : tuple of numpy.ndarray
        ΔR of the stamp's sensor over `seen` of each place, (channel, row, column), float32.
    times_input : bool
        Whether the numbers are parts of the logit, so that their sum means something.
    """

    method: str
    stamp: str
    scores: Mapping[str, np.ndarray]
    relevance_sums: np.ndarray
    logits: np.ndarray
    constant: int
    seconds: float
    relevance: tuple[np.ndarray, ...]
    times_input: bool

    def agreement(self, seed: int) -> dict[str, tuple[float, float, float]]:
        """Return Pearson's r of ΣΔR with Δf over places, and the slope of ΣΔR on Δf, with 95 % bootstrap intervals.

        The slope is that through the origin: no change of the logits is no change of relevance. Empty for methods that
        give slopes, whose sum means nothing; without r where Δf is the same everywhere, as for a linear channel.
        """
        largest = np.abs(self.logits).max(initial=0.0)
        if not self.times_input or not largest > 0:
            return {}
        number = len(self.logits)
        drawn = np.random.default_rng([seed, 9]).integers(number, size=(RESAMPLES, number))
        values = {}
        with np.errstate(invalid="ignore", divide="ignore"):
            every = _correlation_and_slope(self.logits[None], self.relevance_sums[None])
            resampled = _correlation_and_slope(self.logits[drawn], self.relevance_sums[drawn])
        for name, whole, parts in zip((CORRELATION, SLOPE), every, resampled):
            if name == SLOPE or np.ptp(self.logits) > VARIES * largest:
                low, high = np.nanquantile(parts, [0.025, 0.975])
                values[name] = float(whole[0]), float(low), float(high)
        return values


def _correlation_and_slope(logits: np.ndarray, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return r, and the slope through the origin, of rows (resample, place); NaN where one does not vary."""
    given, found = (values - values.mean(1, keepdims=True) for values in (logits, sums))
    correlation = (given * found).sum(1) / np.sqrt((given**2).sum(1) * (found**2).sum(1))
    return correlation, (logits * sums).sum(1) / (logits**2).sum(1)


@dataclass(frozen=True)
class SceneStudy:
    """A network, a scene, and the places where stamps are tried.

    Parameters
    ----------
    runner, source : Runner, Source
        The network and the scene.
    target : Target
        Which logits; the predicted class is that of each place's middle pixel before the stamp.
    stamps : tuple of Stamp
        What is stamped.
    position : str
        Where in the middle of a place, as in images.
    places : tuple of Place
        Of :func:`places_of`.
    seed : int
        Of places, and of noise.
    """

    runner: Runner
    source: Source
    target: Target
    stamps: tuple[Stamp, ...]
    position: str
    places: tuple[Place, ...]
    seed: int

    def masks(self, stamp: Stamp) -> list[np.ndarray]:
        """Return where a stamp lies at each place: (row, column) of the core's pixels or cells, bool."""
        draw = np.random.default_rng([self.seed, 6])
        shapes = [
            (core.coarser(self.runner.ratio).rows, core.coarser(self.runner.ratio).cols)
            if stamp.coarse
            else (core.rows, core.cols)
            for core in (place.core for place in self.places)
        ]
        return [stamp.drawn(shape, self.position, draw) for shape in shapes]

    def truth(self, stamp: Stamp, place: Place, mask: np.ndarray) -> np.ndarray:
        """Return the stamped values over `seen`, (channel, row, column) bool on the stamp's grid."""
        ratio = self.runner.ratio
        core, seen = place.core, place.seen
        if stamp.coarse:
            core, seen = core.coarser(ratio), seen.coarser(ratio)
        there = np.zeros((seen.rows, seen.cols), bool)
        there[core.slices(seen)] = mask
        return stamp.truth(there)

    def stamped(self, patch: Patch, stamp: Stamp, place: Place, mask: np.ndarray) -> Patch:
        """Return a patch with the stamp, in physical units."""
        added = stamp.physical(mask)
        if stamp.coarse:
            cells = patch.coarse.copy()
            here = place.core.coarser(self.runner.ratio).slices(patch.window.coarser(self.runner.ratio))
            cells[(slice(None), *here)] += added
            return dataclasses.replace(patch, coarse=cells)
        fine = patch.fine.copy()
        fine[(slice(None), *place.core.slices(patch.window))] += added
        return dataclasses.replace(patch, fine=fine)

    def method_changes(self, word: str, method: Method, check: Check) -> list[MethodChanges]:
        """Return what each stamp changes by one method, at all places.

        Raises
        ------
        ModelError
            If the method has no rule for a layer of the network.
        """
        masks = {stamp.word: self.masks(stamp) for stamp in self.stamps}
        found: dict[str, list[Change]] = {stamp.word: [] for stamp in self.stamps}
        done = 0.0

        def step() -> None:
            check(done)

        explainer = explainer_for(self.runner, method, step, scene_window(self.source))
        task = _Task(self.runner, method, explainer, step)
        start, maps = clock(), 0
        for number, place in enumerate(self.places):
            done = number / len(self.places)
            patch = self._read(place)
            seeding = self._target(patch, place).resolve(self.runner.card)
            before = task.explained(patch, place, seeding)
            for stamp in self.stamps:
                stamped = self.stamped(patch, stamp, place, masks[stamp.word][number])
                found[stamp.word].append(_change(before, task.explained(stamped, place, seeding), stamp))
            maps += 1 + len(self.stamps)
        seconds = (clock() - start) / max(maps, 1)
        return [
            self._judged(word, method.times_input, stamp, found[stamp.word], masks[stamp.word], seconds)
            for stamp in self.stamps
        ]

    def _judged(
        self,
        word: str,
        times_input: bool,
        stamp: Stamp,
        changes: Sequence[Change],
        masks: Sequence[np.ndarray],
        seconds: float,
    ) -> MethodChanges:
        truths = [self.truth(stamp, place, mask) for place, mask in zip(self.places, masks)]
        maps = [change.relevance for change in changes]
        sums, logits = (
            np.array([getattr(change, name) for change in changes]) for name in ("relevance_sum", "logits")
        )
        # A stamp that lowers the logits is to have relevance below 0.
        turned = [each * (-1.0 if logit < 0 else 1.0) for each, logit in zip(maps, logits)]
        scores = scores_of(turned, truths, signed=times_input)
        totals = np.array([np.abs(change.relevance).sum() + change.elsewhere for change in changes])
        with np.errstate(invalid="ignore", divide="ignore"):
            # Of both sensors: relevance that moves to the other one is not on the stamp.
            own = np.array([np.abs(change.relevance).sum() for change in changes])
            scores[MASS.word] = scores[MASS.word] * own / totals
            within = [self._within(stamp, *each) for each in zip(maps, truths)]
            scores[WITHIN.word] = np.array(within) / totals
        if times_input:
            size = np.abs(sums) + np.abs(logits)
            scores[MISMATCH.word] = np.divide(
                np.abs(sums - logits), size, out=np.full(len(size), np.nan), where=size > 0
            )
        return MethodChanges(
            word, stamp.word, scores, sums, logits, sum(is_constant(each) for each in maps), seconds,
            tuple(each.astype(np.float32) for each in maps), times_input,
        )  # fmt: skip

    def controls(self, stamp: Stamp) -> list[Judged]:
        """Return the scores of noise, and of the truth broken.

        Edge filters are none here: the change of a filter lies on the stamp by its construction, whatever the network.
        """
        found: dict[str, list[np.ndarray]] = {}
        truths = [self.truth(stamp, place, mask) for place, mask in zip(self.places, self.masks(stamp))]
        for number, truth in enumerate(truths):
            noise = {controls.RANDOM: controls.noise(truth.shape, self.seed, number)}
            for word, relevance in {**noise, **controls.broken(truth)}.items():
                found.setdefault(word, []).append(relevance)
        condition = scene_condition(stamp.word)
        scores = {word: seen_by(scores_of(maps, truths), word) for word, maps in found.items()}
        # Of the broken ones all lies there; of noise as much as there is of the field in what is looked at.
        within = [
            self._within(stamp, *each) / np.abs(each[0]).sum() for each in zip(found[controls.RANDOM], truths)
        ]
        scores[controls.RANDOM][WITHIN.word] = np.array(within)
        return [Judged(word, condition, each, 0.0, control=True) for word, each in scores.items()]

    def _within(self, stamp: Stamp, relevance: np.ndarray, truth: np.ndarray) -> float:
        """Return Σ|relevance| within a receptive-field radius of the stamp."""
        return float(np.abs(relevance[:, self._near(stamp, truth)]).sum())

    def _near(self, stamp: Stamp, truth: np.ndarray) -> np.ndarray:
        """Return which places of the stamp's grid lie within a receptive-field radius of the stamp, (row, column)."""
        reach = self.runner.radius if not stamp.coarse else -(-self.runner.radius // self.runner.ratio)
        rows, cols = (np.flatnonzero(truth.any(0).any(axis)) for axis in (1, 0))
        near = np.zeros(truth.shape[1:], bool)
        near[
            max(0, rows[0] - reach) : rows[-1] + reach + 1, max(0, cols[0] - reach) : cols[-1] + reach + 1
        ] = True
        return near

    def by_pixel(self, stamp: Stamp, place: Place, values: np.ndarray) -> np.ndarray:
        """Return a sum over channels by pixel of `seen`, (row, column); that of a cell in equal parts on its pixels."""
        total = values.sum(0)
        if not stamp.coarse:
            return total
        ratio, seen = self.runner.ratio, place.seen
        pixels = np.repeat(np.repeat(total / ratio**2, ratio, axis=0), ratio, axis=1)
        cells = seen.coarser(ratio)
        return pixels[seen.slices(Window(cells.row * ratio, cells.col * ratio, 0, 0))]

    def _read(self, place: Place) -> Patch:
        return dataclasses.replace(self.source.read(place.tile.read), scene=scene_window(self.source))

    def _target(self, patch: Patch, place: Place) -> Target:
        """Return the target of a place: one class for both maps."""
        seeding = self.target.resolve(self.runner.card)
        if seeding.wanted is not None:
            return self.target
        runner, seen = self.runner, place.seen
        logits = runner.logits(runner.standardise(patch, seen))[0]
        middle = (
            place.core.row + place.core.rows // 2 - seen.row,
            place.core.col + place.core.cols // 2 - seen.col,
        )
        own = logits[(slice(seeding.first, seeding.first + seeding.outputs), *middle)]
        chosen = seeding.head.classes[int(own.argmax())].name
        if chosen == self.target.reference_class:
            return self.target
        return dataclasses.replace(self.target, class_name=chosen)


@dataclass(frozen=True)
class _Map:
    """Relevance over the pixels and cells of `seen`, the sum of all of it, and the sum of the explained logits."""

    fine: np.ndarray
    coarse: np.ndarray
    total: float
    logits: float


@dataclass(frozen=True)
class _Task:
    """A method made ready for a network."""

    runner: Runner
    method: Method
    explainer: Explainer
    check: Callable[[], None]

    def explained(self, patch: Patch, place: Place, seeding: Seeding) -> _Map:
        """Explain the logits of a place."""
        self.check()
        seen = place.seen
        inputs = self.runner.standardise(patch, seen)
        mask = seeded_pixels(seeding, place.tile, patch)
        seeds = seeds_of(seeding, mask, self.runner, inputs, fixed=False)
        found = self.explainer.explain(inputs, seeds, Leaks(), seen)
        cells = seen.coarser(self.runner.ratio)
        fine = self._of(inputs.fine, found.fine, found.direct_fine, found.fine_window, seen)
        parts = [fine]
        if inputs.coarse is not None:
            parts.append(
                self._of(inputs.coarse, found.coarse, found.direct_coarse, found.coarse_window, cells)
            )
        coarse = parts[1] if len(parts) > 1 else np.zeros((0, cells.rows, cells.cols))
        return _Map(fine, coarse, float(sum(part.sum() for part in parts)), found.target_sum)

    def _of(
        self,
        values: torch.Tensor,
        multipliers: torch.Tensor | None,
        direct: torch.Tensor | None,
        where: Window | None,
        whole: Window,
    ) -> np.ndarray:
        """Return the relevance of some inputs, (channel, row, column), float64; the baseline is 0, each mean."""
        found = np.zeros(values.shape[1:])
        if multipliers is not None:
            found += self._array(multipliers) * (self._array(values) if self.method.times_input else 1.0)
        if direct is not None:
            # A patch of occlusion may reach beyond what is seen.
            window = (where or whole).intersection(whole)
            found[(slice(None), *window.slices(whole))] += self._array(direct)[
                (slice(None), *window.slices(where or whole))
            ]
        return found

    def _array(self, values: torch.Tensor) -> np.ndarray:
        return self.runner.array(values[0]).astype(np.float64)


def scene_condition(stamp: str) -> str:
    """Return the word of the condition of a stamp in a scene."""
    return f"scene_{stamp}"


def judged_changes(changes: Sequence[MethodChanges]) -> list[Judged]:
    """Return changes as what is ranked."""
    return [Judged(each.method, scene_condition(each.stamp), each.scores, each.seconds) for each in changes]


def _change(before: _Map, after: _Map, stamp: Stamp) -> Change:
    fine, coarse = after.fine - before.fine, after.coarse - before.coarse
    own, other = (coarse, fine) if stamp.coarse else (fine, coarse)
    return Change(own, float(np.abs(other).sum()), after.total - before.total, after.logits - before.logits)


def method_of(word: str, steps: int, draws: int, seed: int) -> Method:
    """Return a method with the settings of a study: as many steps everywhere, without trying more."""
    return Method(word, steps=steps, samples=draws, seed=seed, refine=False, tolerance=1.0)
