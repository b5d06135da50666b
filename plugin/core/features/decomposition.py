"""How much of the prediction some of the features carry: all others set to zero, or to their mean.

The top share of features is compared with its complement and with random sets of the same size. The authors set the
others to zero, with the mask of the *predicted* class, which is circular; a fixed class and means are stricter. Windows
spread over the scene are predicted again for each set, and compared with the whole network's map and with labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import numpy as np
import torch

from ...ground.heap import give_back_free_memory
from ...ground.protocols import Patch, Progress, Source
from ...ground.window import Window
from ..streaming.engine import check_cancelled
from ..streaming.out_of_memory import OutOfMemoryFallback
from ..streaming.tiling import Plan, Tile
from ..target.target import Seeding
from .importance import PREDICTED, Importance, kept_number, top_mask
from .tiles import Analysis

SHARES = (0.05, 0.10, 0.25, 0.50)
RANDOM_SETS = 20
CURVE = 12  # sizes of the top set on the curve
KEPT_SKILL = 0.99
ZERO, MEAN = "zero", "mean"
TOP, COMPLEMENT, RANDOM, OWN_CLASS, NONE = "top", "complement", "random", "predicted class", "none"
# Windows across and down that are predicted again, and their sides: where only a matrix product follows, where the
# logits are affine in the features, and where every set takes a pass through the layers behind.
LINEAR_WINDOWS, AFFINE_WINDOWS, WINDOWS = (3, 96), (2, 48), (2, 48)


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """Features that are kept.

    Parameters
    ----------
    kind : str
        ``top``, ``complement``, ``random``, ``predicted class`` (the top set of the class predicted in a window), or
        ``none``: what the rest of the network predicts.
    share : float
        Of the features in the top set.
    masks : numpy.ndarray
        (class or 1, K), bool: by the class predicted in a window, or the same for all.
    """

    kind: str
    share: float
    masks: np.ndarray

    def mask(self, predicted: int) -> np.ndarray:
        """Return which features are kept in a window of a predicted class."""
        return self.masks[predicted if len(self.masks) > 1 else 0]


@dataclass(frozen=True)
class KeptSkill:
    """What the prediction is worth with some of the features.

    Parameters
    ----------
    kind, fill : str
        The set, and what the others are set to.
    share : float
        Of the features in the top set.
    number : int
        Features kept.
    r2 : float
        Of the logit, against the whole network; may be negative.
    agreement : float
        Share of pixels of the class that the whole network maps.
    accuracy : float
        Share of labelled pixels of the right class; NaN without labels.
    sets : int
        How many sets it is the mean of.
    spread : tuple of float
        Smallest and largest skill of these sets.
    """

    kind: str
    fill: str
    share: float
    number: int
    r2: float
    agreement: float
    accuracy: float
    sets: int
    spread: tuple[float, float]

    @property
    def skill(self) -> float:
        """Accuracy where there are labels, else agreement."""
        return self.agreement if np.isnan(self.accuracy) else self.accuracy


@dataclass(frozen=True)
class Decomposition:
    """Skill by the features kept.

    Parameters
    ----------
    whole : float
        Skill of the whole network: 1 without labels.
    labelled : bool
        Whether skill is accuracy against labels.
    pixels, windows : int
        How many were predicted again.
    rows : tuple of KeptSkill
        All sets.
    features : int
        K.
    constant_agreement, constant_accuracy : float
        Of the best map of one class: with the whole network's map, and with the labels (NaN without any).
    """

    whole: float
    labelled: bool
    pixels: int
    windows: int
    rows: tuple[KeptSkill, ...]
    features: int
    constant_agreement: float
    constant_accuracy: float

    def curve(self, fill: str) -> list[KeptSkill]:
        """Return the top sets from the smallest to the largest."""
        rows = [row for row in self.rows if row.kind == TOP and row.fill == fill]
        return sorted({row.number: row for row in rows}.values(), key=lambda row: row.number)

    def row(self, kind: str, fill: str, share: float) -> KeptSkill | None:
        """Return one of the sets."""
        chosen = (row for row in self.rows if (row.kind, row.fill, row.share) == (kind, fill, share))
        return next(chosen, None)

    def without(self, fill: str) -> KeptSkill | None:
        """Return the prediction without any of the features."""
        return self.row(NONE, fill, 0.0)

    def smallest(self, fill: str) -> KeptSkill | None:
        """Return the smallest top set from which on the skill is kept; None where none is.

        Kept are :data:`KEPT_SKILL` of the logit's variance, and of what map and accuracy are above those of the best
        map of one class: where all is water, any set maps water; and another map may be as right by chance. Where the
        rest of the network keeps as much without any of the features, that is the set of none.
        """

        def beyond(value: float, whole: float, constant: float) -> bool:
            return value - constant >= KEPT_SKILL * (whole - constant)

        def keeps(row: KeptSkill) -> bool:
            right = beyond(row.accuracy, self.whole, self.constant_accuracy) if self.labelled else True
            return row.r2 >= KEPT_SKILL and beyond(row.agreement, 1.0, self.constant_agreement) and right

        if self.labelled and not self.whole > self.constant_accuracy:
            return None  # there is no skill to keep
        none = self.without(fill)
        if none is not None and keeps(none):
            return none
        best = None
        for row in reversed(self.curve(fill)):
            if not keeps(row):
                break
            best = row
        return best


def feature_sets(importance: Importance, wanted: int, seed: int) -> list[FeatureSet]:
    """Return the sets that are tried: top, complement and random ones at each share, and top ones along a curve."""
    order = importance.order(wanted)
    features = len(order)
    draw = np.random.default_rng(seed)
    sets = [FeatureSet(NONE, 0.0, np.zeros((1, features), bool))]
    numbers = {kept_number(share, features) for share in SHARES}
    for share in SHARES:
        number = kept_number(share, features)
        top = top_mask(order, number)
        sets.append(FeatureSet(TOP, share, top[None]))
        sets.append(FeatureSet(COMPLEMENT, share, ~top[None]))
        for _ in range(RANDOM_SETS):
            sets.append(FeatureSet(RANDOM, share, top_mask(draw.permutation(features), number)[None]))
        own = [top_mask(importance.order(c), number) for c in range(len(importance.by_class))]
        sets.append(FeatureSet(OWN_CLASS, share, np.array(own)))
    for number in np.unique(np.geomspace(1, features, CURVE).round().astype(int)).tolist():
        if number not in numbers:
            sets.append(FeatureSet(TOP, number / features, top_mask(order, number)[None]))
    return sets


def windows_over(plan: Plan, number: int, side: int) -> Iterator[Tile]:
    """Yield windows of a side, a number across and down, spread over the region of a plan."""
    region = plan.region
    seen: set[Window] = set()
    for down in range(number):
        for across in range(number):
            row = region.row + max(0, (2 * down + 1) * region.rows // (2 * number) - side // 2)
            col = region.col + max(0, (2 * across + 1) * region.cols // (2 * number) - side // 2)
            window = Window(row, col, side, side).intersection(region)
            if window not in seen and not any(_overlap(window, other) for other in seen):
                seen.add(window)
                yield plan.tile(window)


def _overlap(first: Window, second: Window) -> bool:
    return not first.intersection(second).empty


class _Counts:
    """What one set adds up to over the windows."""

    def __init__(self) -> None:
        self.squares = 0.0
        self.agreeing = self.right = 0
        self.mapped: Counter[int] = Counter()
        self.labels: Counter[int] = Counter()

    def add(
        self,
        logit: np.ndarray,
        whole: np.ndarray,
        classes: np.ndarray,
        mapped: np.ndarray,
        labels: np.ndarray,
    ):
        self.squares += float(((logit - whole) ** 2).sum())
        self.agreeing += int((classes == mapped).sum())
        self.right += int((classes == labels)[labels >= 0].sum())


def decompose(
    analysis: Analysis,
    source: Source,
    plan: Plan,
    importance: Importance,
    means: np.ndarray,
    progress: Progress,
    classes_at: Callable[[Window], np.ndarray] | None = None,
    seed: int = 0,
) -> Decomposition | None:
    """Predict windows of a scene with sets of the features.

    Parameters
    ----------
    analysis, source, plan : Analysis, Source, Plan
        What is looked at, the scene, and its tiles.
    importance : Importance
        Of the features.
    means : numpy.ndarray
        (K,), the mean activation of each.
    progress : Progress
        Asked whether to go on.
    classes_at : callable, optional
        Classes as labelled, (row, column), negative where unknown.
    seed : int
        Of the random sets.

    Returns
    -------
    Decomposition or None
        None where no window holds a valid pixel.
    """
    wanted = PREDICTED if analysis.seeding.wanted is None else _position(analysis.seeding)
    sets = feature_sets(importance, wanted, seed)
    counts = {(number, fill): _Counts() for number in range(len(sets)) for fill in (ZERO, MEAN)}
    whole = _Counts()
    fallback = OutOfMemoryFallback(analysis.runner, plan, progress, analysis.on)
    cut = analysis.cut
    size = LINEAR_WINDOWS if cut.linear else AFFINE_WINDOWS if cut.affine else WINDOWS
    tiles = list(windows_over(plan, *size))
    total, squares, pixels, labelled, used = 0.0, 0.0, 0, 0, 0
    for done, tile in enumerate(tiles):
        check_cancelled(progress)
        patch = _read(source, plan, tile)
        if not patch.valid[tile.output.slices(patch.window)].any():
            continue
        labels = None if classes_at is None else classes_at(tile.output)
        first, results = fallback.whole(tile, partial(_predicted, patch, sets, means, progress))
        logit, mapped = first
        known = (
            np.full(len(mapped), -1) if labels is None else labels[_explained(patch, analysis.seeding, tile)]
        )
        for key, (changed, classes) in results.items():
            counts[key].add(changed, logit, classes, mapped, known)
        whole.add(logit, logit, mapped, mapped, known)
        whole.mapped.update(mapped.tolist())
        whole.labels.update(known[known >= 0].tolist())
        total, squares = total + float(logit.sum()), squares + float((logit**2).sum())
        pixels, labelled, used = pixels + len(logit), labelled + int((known >= 0).sum()), used + 1
        progress.report((done + 1) / len(tiles), "Leaving features out")
        give_back_free_memory()
    if not pixels:
        return None
    variance = squares - total**2 / pixels
    rows = _rows(sets, counts, pixels, labelled, variance)
    skill = whole.right / labelled if labelled else 1.0
    return Decomposition(
        skill,
        labelled > 0,
        pixels,
        used,
        tuple(rows),
        len(means),
        max(whole.mapped.values()) / pixels,
        max(whole.labels.values()) / labelled if labelled else np.nan,
    )


def _position(seeding: Seeding) -> int:
    """Return the class of a target among the samples' classes: of a head with one logit the upper one."""
    return 1 if seeding.outputs == 1 else cast(int, seeding.wanted)


def _read(source: Source, plan: Plan, tile: Tile) -> Patch:
    return replace(source.read(tile.read), scene=plan.scene)


def _explained(patch: Patch, seeding: Seeding, tile: Tile) -> np.ndarray:
    return seeding.mask(tile.output, patch.valid[tile.output.slices(patch.window)])


Answer = tuple[np.ndarray, np.ndarray]  # logit (pixel,) and class (pixel,)


def _predicted(
    patch: Patch,
    sets: Sequence[FeatureSet],
    means: np.ndarray,
    progress: Progress,
    analysis: Analysis,
    tile: Tile,
) -> tuple[Answer, dict[tuple[int, str], Answer]]:
    """Return what the whole network predicts in a window, and what it does with each set."""
    runner, seeding = analysis.runner, analysis.seeding
    explained = torch.from_numpy(_explained(patch, seeding, tile)).to(runner.device)
    changed = _ChangedFeatures(analysis, patch, tile, explained, means)
    head = slice(seeding.first, seeding.first + seeding.outputs)

    def answer(logits: torch.Tensor, seeds: torch.Tensor) -> Answer:
        mine = logits[head]
        classes = mine.argmax(0) if len(mine) > 1 else (mine[0] > 0).long()
        return (logits.double() * seeds).sum(0).cpu().numpy(), classes.cpu().numpy()

    logits = changed.whole()
    seeds = seeding.seeds(logits[None, :, None], explained.new_ones(()))[0, :, 0]
    whole = answer(logits, seeds)
    most = int(np.bincount(whole[1], minlength=1).argmax()) if len(whole[1]) else 0
    results = {}
    for number, each in enumerate(sets):
        check_cancelled(progress)
        for fill in (ZERO, MEAN):
            results[number, fill] = answer(changed.kept(each.mask(most), fill), seeds)
    return whole, results


class _ChangedFeatures:
    """The logits (output, pixel) of a window with some features kept, the others at zero or at their mean.

    Where the logits are affine in the features, the answer to each feature alone is computed once, and sets of
    features are sums of these.
    """

    def __init__(
        self, analysis: Analysis, patch: Patch, tile: Tile, explained: torch.Tensor, means: np.ndarray
    ) -> None:
        inputs = analysis.runner.standardise(patch, tile.input)
        self._activation, self._logits_of = analysis.cut.changed(inputs)
        self._own = (slice(None), *tile.output.slices(tile.input))
        self._explained = explained
        if analysis.cut.linear:  # pixels do not depend on their neighbours
            self._activation = self._activation[self._own][:, explained][:, None]
            self._own = (slice(None), slice(None), slice(None))
            self._explained = explained.new_ones(self._activation.shape[1:])
        self._means = torch.as_tensor(means, dtype=self._activation.dtype, device=self._activation.device)
        self._alone: dict[str, torch.Tensor] | None = None
        if analysis.cut.affine and not analysis.cut.linear:
            self._base = self._logits(torch.zeros_like(self._activation))
            constant = self._means[:, None, None].expand_as(self._activation)
            self._alone = {
                "own": torch.stack([self._answer_to(k, self._activation) for k in range(len(means))]),
                MEAN: torch.stack([self._answer_to(k, constant) for k in range(len(means))]),
            }

    def _logits(self, activation: torch.Tensor) -> torch.Tensor:
        return self._logits_of(activation)[self._own][:, self._explained]

    def _answer_to(self, feature: int, values: torch.Tensor) -> torch.Tensor:
        """Return what one feature alone adds to the logits of none."""
        alone = torch.zeros_like(self._activation)
        alone[feature] = values[feature]
        return self._logits(alone) - self._base

    def whole(self) -> torch.Tensor:
        """Return the logits of the whole network."""
        return self._logits(self._activation)

    def kept(self, mask: np.ndarray, fill: str) -> torch.Tensor:
        """Return the logits with the features of a mask (feature,), bool."""
        kept = torch.from_numpy(mask).to(self._activation.device)
        if self._alone is not None:
            total = self._base + self._alone["own"][kept].sum(0)
            return total if fill == ZERO else total + self._alone[MEAN][~kept].sum(0)
        others = self._means if fill == MEAN else torch.zeros_like(self._means)
        return self._logits(torch.where(kept[:, None, None], self._activation, others[:, None, None]))


def _rows(
    sets: Sequence[FeatureSet],
    counts: dict[tuple[int, str], _Counts],
    pixels: int,
    labelled: int,
    variance: float,
) -> list[KeptSkill]:
    """Return one row a set, random ones of one size together."""
    grouped: dict[tuple[str, float], list[int]] = {}
    for number, each in enumerate(sets):
        grouped.setdefault((each.kind, each.share), []).append(number)
    rows = []
    for (kind, share), numbers in grouped.items():
        for fill in (ZERO, MEAN):
            own = [counts[number, fill] for number in numbers]
            r2 = [1 - each.squares / variance if variance > 0 else np.nan for each in own]
            agreement = [each.agreeing / pixels for each in own]
            accuracy = [each.right / labelled if labelled else np.nan for each in own]
            skills = accuracy if labelled else agreement
            rows.append(
                KeptSkill(
                    kind,
                    fill,
                    share,
                    int(sets[numbers[0]].masks[0].sum()),
                    _mean(r2),
                    _mean(agreement),
                    _mean(accuracy),
                    len(numbers),
                    (float(min(skills)), float(max(skills))),
                )
            )
    return rows


def _mean(values: Sequence[float]) -> float:
    """Return the mean of values, never outside them, as rounding would have it for equal ones."""
    return float(np.clip(np.mean(values), min(values), max(values)))
