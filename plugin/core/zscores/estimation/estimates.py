"""The way of one head from the information of its pixels to weights and their covariances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ....ground.wording import finite, listed
from ..sums.information import Information, OutputLayer
from .covariance import contrast_information, inverted, sandwich
from .identifiable import (
    Identifiable,
    about_means,
    dead_components,
    folded_weights,
    independent_columns,
    pooled_information,
)


@dataclass(frozen=True, eq=False)
class Estimate:
    """Weights and their covariances, all as contrasts of outputs, the intercept first."""

    kept: Identifiable
    weights: np.ndarray  # (free, 1 + column)
    naive: np.ndarray  # (free, 1 + column, free, 1 + column), all pixels
    naive_labelled: np.ndarray | None  # the same, labelled pixels
    robust: np.ndarray | None
    alone: np.ndarray  # (column, free, free): covariance were the column the only one

    @property
    def labelled(self) -> np.ndarray:
        """The naive covariance of the labelled pixels.

        Raises
        ------
        ValueError
            If these do not determine the weights.
        """
        if self.naive_labelled is None:
            raise ValueError("the labelled pixels do not determine the weights")
        return self.naive_labelled


FEW_CLUSTERS = 50


@dataclass(frozen=True, eq=False)
class Estimation:
    """One head's way from information to rows; holds what contrasts need later."""

    information: Information
    clustering: str | None
    estimate: Estimate | None
    notes: dict[int, str]  # component -> why it has no score
    shared: dict[int, str]  # component -> whose weight it carries
    class_notes: dict[int, str]
    blank: str  # why there is no score at all
    weights: np.ndarray  # (output, component), with the weights of collinear columns folded in
    error_variance: float | None  # of a linear head

    @classmethod
    def of(cls, information: Information, clustering: str | None) -> Estimation:
        """Find out what can be estimated, and estimate it."""
        layer = information.layer
        try:
            found = _identified(information)
        except _NoScores as reason:
            return cls(information, clustering, None, {}, {}, {}, str(reason), layer.weights, None)
        notes, shared = dict(found.notes), _shared(layer, found)
        for column, shares in found.repeated.items():
            partners = [layer.components[j].name for j in shares]
            notes[column] = f"collinear with {listed(partners)}: dropped"
        weights = folded_weights(layer.weights, found.repeated)
        level = _constant_parts(found, notes)
        bias = layer.bias + sum(level[j] * layer.weights[:, j] for j in sorted(level))
        carried = [layer.components[j].name for j in sorted(level) if level[j]]
        if carried:
            shared[-1] = f"carries also the constant part of {listed(carried)}"
        full_weights = np.concatenate([bias[:, None], weights[:, found.kept.columns]], axis=1)
        labelled, robust, error_variance = _labelled_errors(information, clustering, found)
        estimate = Estimate(
            found.kept, found.kept.contrasts_of(full_weights), found.naive, labelled, robust, found.alone
        )
        return cls(
            information, clustering, estimate, notes, shared, found.class_notes, "", weights, error_variance
        )

    @property
    def layer(self) -> OutputLayer:
        """The regression."""
        return self.information.layer

    @property
    def fitted(self) -> Estimate:
        """The weights and covariances of a head that has scores.

        Raises
        ------
        ValueError
            If it has none; :attr:`blank` says why.
        """
        if self.estimate is None:
            raise ValueError(f"head '{self.layer.head}' has no scores: {self.blank}")
        return self.estimate

    @property
    def cluster_count(self) -> int:
        """Number of clusters that the robust errors rest on."""
        clusters = self.information.labels.clusters.get(self.clustering or "")
        return clusters.count if clusters is not None else 0

    @property
    def dispersion(self) -> float | None:
        """Scatter of the labels about the predictions, as a share of what the head's distribution has."""
        layer, labels, n = self.layer, self.information.labels, self.information.labelled.n
        columns = len(layer.components) if self.estimate is None else len(self.estimate.kept.columns)
        spare = n - columns - 1
        if spare > 0 and layer.kind == "sigmoid" and labels.fit.variance > 0:
            return finite(labels.fit.squares / labels.fit.variance * n / spare)
        if spare > 0 and layer.kind == "softmax":
            return finite(labels.fit.pearson / (spare * (layer.outputs - 1)))
        return None

    def without_labels(self) -> tuple[int, ...]:
        """Return the outputs of a softmax that no labelled pixel has: labels say nothing of their errors."""
        information = self.information
        if self.layer.kind != "softmax" or not information.labelled.n:
            return ()
        counts = information.labels.score[:, 0] + information.labelled.means  # of y - p, and of p
        return tuple(np.flatnonzero(counts < 0.5).tolist())

    def total_score(self) -> np.ndarray:
        """Return the score U of the contrasts, (free, 1 + column)."""
        kept = self.fitted.kept
        return self.information.labels.score[np.ix_(kept.free, np.append(0, kept.columns + 1))]

    def share(self, removal: int) -> float | None:
        """Return sqrt(2 sum KL(p || p without)), the divergence of a removal."""
        divergence = float(self.information.total.divergence[removal])
        if self.layer.kind == "linear":
            if not self.error_variance:
                return None
            divergence /= self.error_variance
        return finite(np.sqrt(2.0 * divergence))

    def robust_note(self) -> str:
        """Return why robust errors are blank, or what they rest on."""
        information = self.information
        if not information.labelled.n:
            if self.layer.kind == "linear":
                return "no labels: no error variance, so no standard errors"
            return "no labels: naive errors only"
        estimate = self.fitted
        if estimate.robust is None:
            size = len(estimate.kept.free) * (1 + len(estimate.kept.columns))
            if information.labelled.n <= size:
                return f"{information.labelled.n} labelled pixels are too few for {size} weights"
            if estimate.naive_labelled is None:
                return "the labelled pixels alone do not determine the weights"
            if not information.labels.clusters:
                return "no clusters common to all labelled pixels: naive errors only"
            return f"{self.cluster_count} cluster: robust errors need at least 2"
        if self.cluster_count < FEW_CLUSTERS:
            return f"{self.cluster_count} clusters only: robust errors uncertain"
        return ""


class _NoScores(Exception):
    """The pixels determine no weight at all; its text says why."""


@dataclass(frozen=True, eq=False)
class _Identified:
    """What the pixels allow to estimate, with the covariances of it and the reasons for what is left out."""

    kept: Identifiable
    naive: np.ndarray
    alone: np.ndarray
    means: np.ndarray  # (component,), weighted
    notes: dict[int, str]
    repeated: dict[int, dict[int, float]]
    class_notes: dict[int, str]


def _identified(information: Information) -> _Identified:
    """Return the largest set of components and classes whose information can be inverted.

    Raises
    ------
    _NoScores
        If there is none.
    """
    layer, total = information.layer, information.total
    m = len(layer.components)
    pooled = pooled_information(total)
    if not pooled[0, 0] > 1e-250 * total.n:
        raise _NoScores(_SATURATED)
    centred = about_means(pooled)
    notes = dead_components(information, pooled, centred)
    candidates = [j for j in range(m) if j not in notes]
    columns, repeated = independent_columns(centred, candidates, np.diag(pooled)[1:])
    mass, class_notes = _class_masses(information)
    classes = [k for k in range(layer.outputs) if k not in class_notes]
    if total.n <= len(columns) + 1:
        raise _NoScores(f"{total.n} pixels are too few for {m} weights and the bias")
    while True:
        if layer.kind == "softmax":
            if len(classes) < 2:
                raise _NoScores("predictions are saturated: a single class is ever predicted")
            reference = max(classes, key=lambda k: mass[k])
            free = np.array([k for k in classes if k != reference])
        else:
            reference, free = -1, np.array([0])
        kept = Identifiable(np.array(columns, dtype=int), free, reference)
        naive, alone, failed = inverted(contrast_information(layer, total, kept))
        if naive is not None and alone is not None:
            means = pooled[0, 1:] / pooled[0, 0]
            return _Identified(kept, naive, alone, means, notes, repeated, class_notes)
        if failed >= 0:
            notes[columns.pop(failed)] = "not estimable beside the others in every class"
        elif layer.kind == "softmax":
            rarest = min(classes, key=lambda k: mass[k])
            classes.remove(rarest)
            class_notes[rarest] = _NEVER
        else:
            raise _NoScores(_SATURATED)


_SATURATED = "predictions are saturated: the pixels say nothing about the weights"
_NEVER = "class practically never predicted"


def _class_masses(information: Information) -> tuple[np.ndarray, dict[int, str]]:
    """Return the information of each class of a softmax, and a note of those practically never predicted."""
    layer, total = information.layer, information.total
    if layer.kind != "softmax":
        return np.ones(layer.outputs), {}
    mass = np.array(
        [
            sum(total.pairs[i][0, 0] for i, pair in enumerate(layer.pairs) if k in pair)
            for k in range(layer.outputs)
        ]
    )
    return mass, {k: _NEVER for k in range(layer.outputs) if not mass[k] > 1e-14 * mass.max()}


def _shared(layer: OutputLayer, found: _Identified) -> dict[int, str]:
    """Return by component whose weight it carries beside its own."""
    names = [part.name for part in layer.components]
    shared: dict[int, str] = {}
    for column, shares in found.repeated.items():
        for j in shares:
            shared[j] = (
                f"{shared[j]}, {names[column]}"
                if j in shared
                else f"carries also the weight of {names[column]}"
            )
    return shared


def _constant_parts(found: _Identified, notes: Mapping[int, str]) -> dict[int, float]:
    """Return by dropped component what it adds to every pixel alike: that is the intercept's, and so its error."""
    mean = found.means
    level = {j: mean[j] for j in notes if notes[j].startswith("dead")}
    for column, shares in found.repeated.items():
        rest = mean[column] - sum(share * mean[j] for j, share in shares.items())
        level[column] = rest if abs(rest) > 1e-9 * abs(mean[column]) else 0.0
    return level


def _labelled_errors(
    information: Information, clustering: str | None, found: _Identified
) -> tuple[np.ndarray | None, np.ndarray | None, float | None]:
    """Return naive and robust covariances of the labelled pixels and, of a linear head, its error variance."""
    layer, n = information.layer, information.labelled.n
    labelled, robust, error_variance = None, None, None
    if not n:
        return labelled, robust, error_variance
    labelled = found.naive
    if information.unlabelled.n:
        labelled = inverted(contrast_information(layer, information.labelled, found.kept))[0]
    spare = n - len(found.kept.free) * (1 + len(found.kept.columns))
    if layer.kind == "linear" and spare > 0:
        error_variance = information.labels.fit.squares / spare
    clusters = information.labels.clusters.get(clustering or "")
    if labelled is not None and spare > 0 and clusters is not None and clusters.count > 1:
        robust = sandwich(labelled, found.kept, layer, clusters, n)
    return labelled, robust, error_variance
