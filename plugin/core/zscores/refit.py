r"""The output layer fitted anew to the labels, by Newton's method over the pixels.

The trained weights are not those that fit the labels of a scene best. A refit tells what an ordinary
regression of these labels on the same components would find; its scores stand in columns of their
own. It needs the pixels again for every step: a state of sums allows one step only (the shift).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ...ground.wording import listed
from .estimation.estimates import Estimation
from .sums.information import Information, OutputLayer, SceneAccumulator

Batch = tuple[np.ndarray, np.ndarray, Mapping[str, np.ndarray]]  # components, labels, clusters

ACTIVE = 10  # pixels, in effect, that a component must vary at: fewer fix no weight
_STEPS = 50
_HALVINGS = 20
_CONVERGED = 1e-10  # largest Newton step, as a share of the error or of the weight
_STILL = 1e-6  # largest Newton step in logits: where labels are separated steps stay at about 1


@dataclass(frozen=True, eq=False)
class Refit:
    """An output layer fitted to labels.

    Parameters
    ----------
    fit : Estimation or None
        Weights and errors; None where nothing could be fitted.
    classes : tuple of int
        Which outputs of the trained layer its outputs are: those that some label has.
    steps : int
        Newton steps taken.
    note : str
        Why there is no refit, or what it leaves out.
    """

    fit: Estimation | None
    classes: tuple[int, ...]
    steps: int
    note: str = ""


def refit(
    layer: OutputLayer,
    batches: Callable[[], Iterable[Batch]],
    clustering: str | None = None,
    coarser: Mapping[str, Mapping[str, np.ndarray]] | None = None,
) -> Refit:
    """Fit the output layer to the labels of one scene.

    Parameters
    ----------
    layer : OutputLayer
        Its form; the trained weights do not matter.
    batches : callable
        Returns the pixels anew at each call: components (pixel, component), labels (pixel,) as for
        :meth:`.SceneAccumulator.add`, clusters (pixel,) by clustering.
    clustering : str, optional
        Which clusters the robust errors use.
    coarser : mapping, optional
        As in :meth:`.SceneAccumulator.close`.
    """
    seen_labels = _labels_of(layer, batches)
    if not seen_labels.low < seen_labels.high:
        same = seen_labels.low == seen_labels.high
        return Refit(None, (), 0, "all labels are the same" if same else "no pixel has a label")
    classes = tuple(sorted(seen_labels.present)) if layer.kind == "softmax" else (0,)
    absent = [name for k, name in enumerate(layer.classes) if k not in classes]
    notes = [f"no pixel is labelled {listed(absent)}: the refit leaves it out"] if absent else []
    scarce = _scarce_components(seen_labels, batches)
    if scarce:
        names = [layer.components[j].name for j in scarce]
        notes.append(f"left out, since they vary at fewer than {ACTIVE} labelled pixels: {', '.join(names)}")
        batches = _without(scarce, batches)
    note = "; ".join(notes)
    weights = np.zeros((len(classes), 1 + len(layer.components)))
    fit, seen = _at(layer, classes, weights, batches)
    first = fit
    for step_number in range(1, _STEPS + 1):
        if not _same(fit, first):
            break
        estimate = fit.fitted
        kept = estimate.kept
        step = np.einsum("fagb,gb->fa", estimate.labelled, fit.total_score())
        size = np.maximum(np.abs(seen.lowest), np.abs(seen.highest))[kept.columns]
        error = np.sqrt(np.einsum("fafa->fa", estimate.labelled))
        if layer.kind == "linear":
            error = error * np.sqrt(fit.error_variance or 0.0)
        small = np.abs(step) <= _CONVERGED * np.maximum(error, np.abs(estimate.weights))
        if small.all() and (layer.kind == "linear" or (np.abs(step) * np.append(1.0, size) < _STILL).all()):
            fit, _ = _at(layer, classes, weights, batches, clustering, coarser, clustered=True)
            return Refit(fit, classes, step_number - 1, note)
        whole = np.zeros_like(weights)
        whole[np.ix_(kept.free, np.append(0, kept.columns + 1))] = step
        fit, seen, weights = _advanced(layer, classes, weights, whole, seen, batches)
    if fit.blank and fit is first:
        return Refit(None, classes, 0, fit.blank)
    return Refit(None, classes, 0, _separation(layer, weights, seen))


@dataclass(frozen=True, eq=False)
class _Labels:
    """Range of the labels, the classes among them, and the mean of each component over the labelled pixels."""

    low: float
    high: float
    present: frozenset[int]
    count: int
    mean: np.ndarray


def _labels_of(layer: OutputLayer, batches: Callable[[], Iterable[Batch]]) -> _Labels:
    low, high, count = np.inf, -np.inf, 0
    present: set[int] = set()
    total = np.zeros(len(layer.components))
    for components, labels, _ in batches():
        known = ~np.isnan(labels)
        if known.any():
            low, high = min(low, labels[known].min()), max(high, labels[known].max())
            count += int(known.sum())
            total += components[known].sum(axis=0, dtype=np.float64)
            if layer.kind == "softmax":
                present |= set(np.unique(labels[known]).astype(int).tolist())
    return _Labels(low, high, frozenset(present), count, total / max(count, 1))


def _scarce_components(seen: _Labels, batches: Callable[[], Iterable[Batch]]) -> tuple[int, ...]:
    """Return the components whose variation comes from few pixels: those active at two pixels of thousands.

    The number of pixels, in effect, is that of the squares about the mean: (sum d^2)^2 / sum d^4. Components
    that do not vary at all are left to the estimation.
    """
    squares, fourths = np.zeros(len(seen.mean)), np.zeros(len(seen.mean))
    for components, labels, _ in batches():
        away = np.square(components[~np.isnan(labels)] - seen.mean)
        squares += away.sum(axis=0)
        fourths += np.square(away).sum(axis=0)
    varies = squares > 1e-12 * seen.count * np.square(seen.mean)
    with np.errstate(invalid="ignore", divide="ignore"):
        active = np.where(varies, np.square(squares) / fourths, np.inf)
    least = min(ACTIVE, 0.1 * seen.count)  # of few pixels every component varies at few
    return tuple(np.flatnonzero(active < least).tolist())


def _without(
    columns: tuple[int, ...], batches: Callable[[], Iterable[Batch]]
) -> Callable[[], Iterable[Batch]]:
    """Return the batches with some components held at 0, which the estimation then leaves out."""

    def held() -> Iterator[Batch]:
        for components, labels, clusters in batches():
            components = components.copy()
            components[:, columns] = 0.0
            yield components, labels, clusters

    return held


def _separation(layer: OutputLayer, weights: np.ndarray, seen: Information) -> str:
    """Return that labels are separated, and by which component most of all."""
    reach = np.maximum(np.abs(seen.lowest), np.abs(seen.highest))
    size = np.abs(weights[:, 1:]).max(axis=0) * np.where(np.isfinite(reach), reach, 0.0)
    name = layer.components[int(np.argmax(size))].name
    return f"the components separate the labels ('{name}' most of all): no finite weights fit them best"


def _same(fit: Estimation, first: Estimation) -> bool:
    """Return whether a fit still estimates all that the first one does."""
    if fit.estimate is None or fit.estimate.naive_labelled is None:
        return False
    ours, theirs = fit.estimate.kept, first.fitted.kept
    return np.array_equal(ours.columns, theirs.columns) and np.array_equal(ours.classes, theirs.classes)


def _advanced(
    layer: OutputLayer,
    classes: tuple[int, ...],
    weights: np.ndarray,
    step: np.ndarray,
    seen: Information,
    batches: Callable[[], Iterable[Batch]],
) -> tuple[Estimation, Information, np.ndarray]:
    """Take a step, halved until the labels are no less likely than before."""
    before = seen.labels.fit.log_likelihood
    for _ in range(_HALVINGS):
        moved = weights + step
        fit, there = _at(layer, classes, moved, batches)
        if there.labels.fit.log_likelihood >= before - 1e-12 * abs(before):
            break
        step = 0.5 * step
    return fit, there, moved


def _at(
    layer: OutputLayer,
    classes: tuple[int, ...],
    weights: np.ndarray,
    batches: Callable[[], Iterable[Batch]],
    clustering: str | None = None,
    coarser: Mapping[str, Mapping[str, np.ndarray]] | None = None,
    clustered: bool = False,
) -> tuple[Estimation, Information]:
    """Return what the labelled pixels say at weights (class, 1 + component)."""
    names = tuple(layer.classes[k] for k in classes)
    here = OutputLayer(layer.head, layer.kind, names, layer.components, weights[:, 1:], weights[:, 0])
    accumulator = SceneAccumulator(here, shares=False)
    position = np.full(len(layer.classes), np.nan)
    position[list(classes)] = np.arange(len(classes))
    for components, labels, clusters in batches():
        known = ~np.isnan(labels)
        targets = labels[known]
        if layer.kind == "softmax":
            targets = position[targets.astype(int)]
        held = {name: ids[known] for name, ids in clusters.items()} if clustered else {}
        accumulator.add(components[known], targets, held)
    information = accumulator.close(coarser if clustered else None)
    return Estimation.of(information, clustering), information
