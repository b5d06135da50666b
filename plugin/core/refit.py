r"""The output layer fitted anew to the labels, by Newton's method over the pixels.

The trained weights are not those that fit the labels of a scene best. A refit tells what an ordinary
regression of these labels on the same components would find; its scores stand in columns of their
own. It needs the pixels again for every step: a state of sums allows one step only (the shift).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from .estimates import Estimation
from .information import Information, OutputLayer, SceneAccumulator
from .wording import listed

Batch = tuple[np.ndarray, np.ndarray, Mapping[str, np.ndarray]]  # components, labels, clusters

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
    low, high = np.inf, -np.inf
    present: set[int] = set()
    for _, labels, _ in batches():
        known = labels[~np.isnan(labels)]
        if known.size:
            low, high = min(low, known.min()), max(high, known.max())
            if layer.kind == "softmax":
                present |= set(np.unique(known).astype(int).tolist())
    if not low < high:
        return Refit(None, (), 0, "all labels are the same" if low == high else "no pixel has a label")
    classes = tuple(sorted(present)) if layer.kind == "softmax" else (0,)
    absent = [name for k, name in enumerate(layer.classes) if k not in classes]
    note = f"no pixel is labelled {listed(absent)}: the refit leaves it out" if absent else ""
    weights = np.zeros((len(classes), 1 + len(layer.components)))
    fit, seen = _at(layer, classes, weights, batches)
    first = fit
    for step_number in range(1, _STEPS + 1):
        if not _same(fit, first):
            break
        kept = fit.estimate.kept
        step = np.einsum("fagb,gb->fa", fit.estimate.naive_labelled, fit.total_score())
        size = np.maximum(np.abs(seen.lowest), np.abs(seen.highest))[kept.columns]
        error = np.sqrt(np.einsum("fafa->fa", fit.estimate.naive_labelled))
        if layer.kind == "linear":
            error = error * np.sqrt(fit.error_variance or 0.0)
        small = np.abs(step) <= _CONVERGED * np.maximum(error, np.abs(fit.estimate.weights))
        if small.all() and (layer.kind == "linear" or (np.abs(step) * np.append(1.0, size) < _STILL).all()):
            fit, _ = _at(layer, classes, weights, batches, clustering, coarser, clustered=True)
            return Refit(fit, classes, step_number - 1, note)
        whole = np.zeros_like(weights)
        whole[np.ix_(kept.free, np.append(0, kept.columns + 1))] = step
        fit, seen, weights = _advanced(layer, classes, weights, whole, seen, batches)
    if fit.blank and fit is first:
        return Refit(None, classes, 0, fit.blank)
    return Refit(None, classes, 0, "the components separate the labels: no finite weights fit them best")


def _same(fit: Estimation, first: Estimation) -> bool:
    """Return whether a fit still estimates all that the first one does."""
    if fit.estimate is None or fit.estimate.naive_labelled is None:
        return False
    ours, theirs = fit.estimate.kept, first.estimate.kept
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
