"""The way of one head from the information of its pixels to weights and their covariances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....ground.wording import finite, listed
from ..sums.information import Information, OutputLayer
from .covariance import contrast_information, inverted, sandwich
from .identifiable import (
    Kept,
    about_means,
    dead_components,
    folded_weights,
    independent_columns,
    pooled_information,
)


@dataclass(frozen=True, eq=False)
class Estimate:
    """Weights and their covariances, all as contrasts of outputs, the intercept first."""

    kept: Kept
    weights: np.ndarray  # (free, 1 + column)
    naive: np.ndarray  # (free, 1 + column, free, 1 + column), all pixels
    naive_labelled: np.ndarray | None  # the same, labelled pixels
    robust: np.ndarray | None
    alone: np.ndarray  # (column, free, free): covariance were the column the only one


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
        layer, total = information.layer, information.total
        m = len(layer.components)
        names = [part.name for part in layer.components]
        pooled = pooled_information(total)

        def without_scores(reason: str) -> Estimation:
            return cls(information, clustering, None, {}, {}, {}, reason, layer.weights, None)

        if not pooled[0, 0] > 1e-250 * total.n:
            return without_scores("predictions are saturated: the pixels say nothing about the weights")
        centred = about_means(pooled)
        notes = dead_components(information, pooled, centred)
        candidates = [j for j in range(m) if j not in notes]
        columns, repeated = independent_columns(centred, candidates, np.diag(pooled)[1:])
        classes = list(range(layer.outputs))
        class_notes = {}
        if layer.kind == "softmax":
            mass = np.array(
                [
                    sum(total.pairs[i][0, 0] for i, pair in enumerate(layer.pairs) if k in pair)
                    for k in classes
                ]
            )
            class_notes = {
                k: "class practically never predicted" for k in classes if not mass[k] > 1e-14 * mass.max()
            }
            classes = [k for k in classes if k not in class_notes]
        if total.n <= len(columns) + 1:
            return without_scores(f"{total.n} pixels are too few for {m} weights and the bias")
        failed = -2
        while True:
            if layer.kind == "softmax":
                if len(classes) < 2:
                    return without_scores("predictions are saturated: a single class is ever predicted")
                reference = max(classes, key=lambda k: mass[k])
                kept = Kept(
                    np.array(columns, dtype=int), np.array([k for k in classes if k != reference]), reference
                )
            else:
                kept = Kept(np.array(columns, dtype=int), np.array([0]), -1)
            naive, alone, failed = inverted(contrast_information(layer, total, kept))
            if naive is not None:
                break
            if failed >= 0:
                notes[columns.pop(failed)] = "not estimable beside the others in every class"
            elif layer.kind == "softmax":
                rarest = min(classes, key=lambda k: mass[k])
                classes.remove(rarest)
                class_notes[rarest] = "class practically never predicted"
            else:
                return without_scores("predictions are saturated: the pixels say nothing about the weights")
        shared: dict[int, str] = {}
        for column, shares in repeated.items():
            partners = [names[j] for j in shares]
            notes[column] = f"collinear with {listed(partners)}: dropped"
            for j in shares:
                shared[j] = (
                    f"{shared[j]}, {names[column]}"
                    if j in shared
                    else f"carries also the weight of {names[column]}"
                )
        weights = folded_weights(layer.weights, repeated)
        # What dropped columns add to every pixel alike is the intercept's: its error is that of the whole.
        mean = pooled[0, 1:] / pooled[0, 0]
        level = {j: mean[j] for j in notes if notes[j].startswith("dead")}
        for column, shares in repeated.items():
            rest = mean[column] - sum(share * mean[j] for j, share in shares.items())
            level[column] = rest if abs(rest) > 1e-9 * abs(mean[column]) else 0.0
        bias = layer.bias + sum(level[j] * layer.weights[:, j] for j in sorted(level))
        carried = [names[j] for j in sorted(level) if level[j]]
        if carried:
            shared[-1] = f"carries also the constant part of {listed(carried)}"
        full_weights = np.concatenate([bias[:, None], weights[:, kept.columns]], axis=1)
        labelled, robust = None, None
        error_variance = None
        if information.labelled.n:
            labelled = naive
            if information.unlabelled.n:
                labelled = inverted(contrast_information(layer, information.labelled, kept))[0]
            size = len(kept.free) * (1 + len(columns))
            spare = information.labelled.n - size
            if layer.kind == "linear" and spare > 0:
                error_variance = information.labels.fit.squares / spare
            clusters = information.labels.clusters.get(clustering)
            if labelled is not None and spare > 0 and clusters is not None and clusters.count > 1:
                robust = sandwich(labelled, kept, layer, clusters, information.labelled.n)
        estimate = Estimate(kept, kept.contrasts_of(full_weights), naive, labelled, robust, alone)
        return cls(information, clustering, estimate, notes, shared, class_notes, "", weights, error_variance)

    @property
    def layer(self) -> OutputLayer:
        """The regression."""
        return self.information.layer

    @property
    def cluster_count(self) -> int:
        """Number of clusters that the robust errors rest on."""
        clusters = self.information.labels.clusters.get(self.clustering)
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
        kept = self.estimate.kept
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
        information, estimate = self.information, self.estimate
        if not information.labelled.n:
            if self.layer.kind == "linear":
                return "no labels: no error variance, so no standard errors"
            return "no labels: naive errors only"
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
