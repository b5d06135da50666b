r"""The information that pixels carry about the weights of an output layer; it merges in any order.

What Z-scores need from the pixels are sums: they add up over batches, scenes and machines::

    accumulator = SceneAccumulator(layer)
    for components, labels, blocks in batches:                      # of one scene
        accumulator.add(components, labels, {"64 km blocks": blocks})
    information = accumulator.close()
    archive = archive.merge(information)

The Fisher information needs no labels (:mod:`.pixel_sums`). Where there are labels y, the scores
:math:`u_g=\sum_{i\in g}x_i(y_i-p_i)` of the clusters g are kept as :math:`\sum u u^T` (as they are
while there are few), :math:`\sum u` and their number: clusters close within a scene, so that the size
of the state does not grow with the number of pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse

from ....ground.errors import NumericalError, ParameterError
from ...streaming.products import product
from ...target.output_layer import KINDS, Component, Group, OutputLayer, removals
from .cluster_sums import ClusterSums
from .pixel_sums import CHUNK, Fit, Sums, logits_of, pixel_sums, residuals, with_intercept

__all__ = [
    "KINDS",
    "ClusterSums",
    "Component",
    "Fit",
    "Group",
    "Information",
    "LabelSums",
    "OutputLayer",
    "SceneAccumulator",
    "Sums",
    "checked_components",
    "pixel_sums",
    "removals",
]

_LABELLED = 4 * CHUNK  # labelled pixels at a time


@dataclass(frozen=True, eq=False)
class LabelSums:
    """Sums over labelled pixels.

    Parameters
    ----------
    score : numpy.ndarray
        (output, 1 + component): sum of x (y - p), the total score U.
    fit : Fit
        How the predictions fit the labels.
    clusters : dict of str to ClusterSums
        By the name of the clustering.
    """

    score: np.ndarray
    fit: Fit = field(default_factory=Fit)
    clusters: Mapping[str, ClusterSums] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Information:
    """All that Z-scores of one head need to know about the pixels seen; merges in any order.

    Parameters
    ----------
    layer : OutputLayer
        The regression that the sums belong to.
    unlabelled, labelled : Sums
        Over the pixels without and with a label: every pixel is in one of them.
    labels : LabelSums
        What the labels say about the labelled pixels.
    lowest, highest : numpy.ndarray
        (component,): range of each component; infinite while no pixel has been seen.
    """

    layer: OutputLayer
    unlabelled: Sums
    labelled: Sums
    labels: LabelSums
    lowest: np.ndarray
    highest: np.ndarray

    @classmethod
    def empty(cls, layer: OutputLayer, shares: bool = True) -> Information:
        """Return the information of no pixel: merging it changes nothing."""
        m = len(layer.components)
        removals = m + len(layer.groups()) if shares else 0
        return cls(
            layer=layer,
            unlabelled=Sums.empty(layer, removals),
            labelled=Sums.empty(layer, removals),
            labels=LabelSums(score=np.zeros((layer.outputs, 1 + m))),
            lowest=np.full(m, np.inf),
            highest=np.full(m, -np.inf),
        )

    @property
    def total(self) -> Sums:
        """Sums over all pixels, labelled or not."""
        if self.labelled.n == 0:
            return self.unlabelled
        return self.labelled if self.unlabelled.n == 0 else self.unlabelled + self.labelled

    @property
    def n(self) -> int:
        """Number of pixels."""
        return self.unlabelled.n + self.labelled.n

    def merge(self, other: Information) -> Information:
        """Return the information of both, as if their scenes had been seen together.

        Clusterings that only one of two labelled parts has are given up: robust errors need all
        labelled pixels in clusters of one kind.

        Raises
        ------
        ParameterError
            If the other belongs to another head or to other weights.
        """
        if not self.layer.same_as(other.layer):
            raise ParameterError(
                f"Scores of head '{other.layer.head}' cannot be merged with those of head '{self.layer.head}': "
                "the heads, components or weights differ. Merge states of one and the same model only."
            )
        first, second = self.labels.clusters, other.labels.clusters
        if self.labelled.n and other.labelled.n:
            clusters = {name: first[name] + second[name] for name in sorted(set(first) & set(second))}
        else:
            clusters = dict(sorted({**first, **second}.items()))
        return Information(
            layer=self.layer,
            unlabelled=self.unlabelled + other.unlabelled,
            labelled=self.labelled + other.labelled,
            labels=LabelSums(
                score=self.labels.score + other.labels.score,
                fit=self.labels.fit + other.labels.fit,
                clusters=clusters,
            ),
            lowest=np.minimum(self.lowest, other.lowest),
            highest=np.maximum(self.highest, other.highest),
        )


class SceneAccumulator:
    """Takes the component batches of one scene and closes into mergeable information.

    Clusters may span batches, so their scores stay open until the scene is done; a cluster never
    spans scenes.

    Parameters
    ----------
    layer : OutputLayer
        The regression whose Z-scores are wanted.
    shares : bool
        Whether the information shares are collected, too.
    """

    def __init__(self, layer: OutputLayer, shares: bool = True) -> None:
        self._information = Information.empty(layer, shares)
        self._layer = layer
        self._removals = removals(layer) if shares else removals(layer)[:0]
        self._open: dict[str, dict[int, np.ndarray]] | None = None

    def add(
        self,
        components: np.ndarray,
        labels: np.ndarray | None = None,
        clusters: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Take a batch of pixels.

        Parameters
        ----------
        components : numpy.ndarray
            (pixel, component), float32 or float64.
        labels : numpy.ndarray, optional
            (pixel,); NaN where there is none. Sigmoid: the target probability, 0 to 1 (a fraction,
            not %). Softmax: the position of the class in the head. Linear: the target value.
        clusters : mapping of str to numpy.ndarray, optional
            For each clustering the cluster of every pixel, (pixel,), integers. The same clusterings
            in every batch.

        Raises
        ------
        NumericalError
            If a component is not finite.
        ParameterError
            If shapes, labels or clusters cannot be used.
        """
        components = checked_components(self._layer, components)
        if len(components) == 0:
            return
        seen = self._information
        np.minimum(seen.lowest, components.min(axis=0), out=seen.lowest)
        np.maximum(seen.highest, components.max(axis=0), out=seen.highest)
        if labels is None:
            unlabelled = seen.unlabelled + pixel_sums(self._layer, components, self._removals)
            self._information = replace(seen, unlabelled=unlabelled)
            return
        labels = _checked_labels(self._layer, labels, len(components))
        known = ~np.isnan(labels)
        unlabelled, labelled = seen.unlabelled, seen.labelled
        if not known.all():
            unlabelled = unlabelled + pixel_sums(self._layer, components[~known], self._removals)
        label_sums = seen.labels
        if known.any():
            labelled = labelled + pixel_sums(self._layer, components[known], self._removals)
            label_sums = self._with_labels(label_sums, components, labels, known, dict(clusters or {}))
        self._information = replace(seen, unlabelled=unlabelled, labelled=labelled, labels=label_sums)

    def close(self, coarser: Mapping[str, Mapping[str, np.ndarray]] | None = None) -> Information:
        """Return the information of the scene; the accumulator takes no more after it.

        Parameters
        ----------
        coarser : mapping, optional
            Clusterings made of whole clusters of a finer one, which then stand in its place:
            name of the finer -> {name: the cluster of each finer cluster, (finer cluster,)}.
        """
        clusters = {}
        for finer, scores in (self._open or {}).items():
            keys = np.array(sorted(scores))
            matrix = np.array([scores[key].ravel() for key in keys.tolist()])
            for name, numbers in (coarser or {}).get(finer, {finer: None}).items():
                clusters[name] = ClusterSums.of(
                    matrix if numbers is None else _gathered(matrix, numbers[keys])
                )
        clusters = dict(sorted(clusters.items()))
        labels = self._information.labels
        return replace(
            self._information,
            labels=LabelSums(labels.score, labels.fit, clusters),
        )

    def _with_labels(
        self,
        sums: LabelSums,
        components: np.ndarray,
        labels: np.ndarray,
        known: np.ndarray,
        clusters: dict[str, np.ndarray],
    ) -> LabelSums:
        """Return the label sums with these pixels, and keep the scores of the open clusters."""
        if self._open is None:
            self._open = {name: {} for name in clusters}
        if set(clusters) != set(self._open):
            raise ParameterError(
                f"A batch has the clusterings {_listed(clusters)}, an earlier one of the scene "
                f"{_listed(self._open)}; give the same in every batch."
            )
        keys = {name: _checked_clusters(name, ids, known) for name, ids in clusters.items()}
        x_all, y_all = components[known], labels[known]
        score = sums.score.copy()
        fit = sums.fit
        for start in range(0, len(x_all), _LABELLED):
            part = slice(start, start + _LABELLED)
            x = with_intercept(x_all[part])
            logits = logits_of(self._layer, x)
            residual, added = residuals(self._layer, logits, y_all[part])
            fit = fit + added
            score += product(residual.T, x)
            for name, ids in keys.items():
                self._add_clusters(self._open[name], ids[part], x, residual)
        return LabelSums(score, fit, {})

    @staticmethod
    def _add_clusters(
        held: dict[int, np.ndarray], ids: np.ndarray, x: np.ndarray, residual: np.ndarray
    ) -> None:
        """Add the scores of labelled pixels to those of their clusters, in place."""
        unique, gather = _grouping(ids)
        scores = np.empty((len(unique), residual.shape[1], x.shape[1]))
        for k, column in enumerate(residual.T):
            weighted = sparse.csr_matrix(
                (column[gather.indices], gather.indices, gather.indptr), gather.shape
            )
            scores[:, k] = weighted @ x
        for key, score in zip(unique.tolist(), scores):
            held[key] = held[key] + score if key in held else score


def _grouping(numbers: np.ndarray) -> tuple[np.ndarray, sparse.csr_matrix]:
    """Return the different numbers, and the matrix (number, row) that adds up the rows of each."""
    order = np.argsort(numbers, kind="stable")
    unique, first = np.unique(numbers[order], return_index=True)
    ends = np.append(first, len(numbers))
    return unique, sparse.csr_matrix((np.ones(len(numbers)), order, ends), shape=(len(unique), len(numbers)))


def _gathered(scores: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return the sums of the scores (cluster, parameter) of each number."""
    return _grouping(numbers)[1] @ scores


def checked_components(layer: OutputLayer, components: np.ndarray) -> np.ndarray:
    """Return components (pixel, component) as they are, or say what is wrong with them.

    Raises
    ------
    ParameterError
        If the number of columns is not the layer's.
    NumericalError
        If a value is not finite.
    """
    components = checked_width(layer, components)
    if not np.isfinite(components).all():
        refuse_infinite(layer, components)
    return components


def checked_width(layer: OutputLayer, components: np.ndarray) -> np.ndarray:
    """Return components as they are where their number is the layer's.

    Raises
    ------
    ParameterError
        If it is not.
    """
    components = np.asarray(components)
    if components.ndim != 2 or components.shape[1] != len(layer.components):
        raise ParameterError(
            f"Head '{layer.head}' has {len(layer.components)} components, but the pixels come as an array of "
            f"shape {components.shape}; give (pixel, component)."
        )
    return components


def refuse_infinite(layer: OutputLayer, components: np.ndarray) -> None:
    """Say which component is not finite, and at how many pixels.

    Raises
    ------
    NumericalError
        Always.
    """
    first = int(np.flatnonzero(~np.isfinite(components).all(axis=0))[0])
    count = int((~np.isfinite(components[:, first])).sum())
    raise NumericalError(
        f"Component '{layer.components[first].name}' is not a finite number at {count} of "
        f"{len(components)} pixels; mask these pixels, or check the scene's values and the model's precision."
    )


def _checked_labels(layer: OutputLayer, labels: np.ndarray, n: int) -> np.ndarray:
    labels = np.asarray(labels, dtype=np.float64)
    if labels.shape != (n,):
        raise ParameterError(
            f"There are {n} pixels but labels of shape {labels.shape}; give one label a pixel."
        )
    if np.isinf(labels).any():
        raise ParameterError("A label is infinite; mark pixels without a label by NaN.")
    known = labels[~np.isnan(labels)]
    if layer.kind == "sigmoid" and known.size and (known.min() < 0 or known.max() > 1):
        raise ParameterError(
            f"Labels of head '{layer.head}' must lie between 0 and 1 (fractions, not %), but they range from "
            f"{known.min():g} to {known.max():g}."
        )
    if layer.kind == "softmax" and known.size and not np.isin(known, np.arange(layer.outputs)).all():
        wrong = known[~np.isin(known, np.arange(layer.outputs))][0]
        raise ParameterError(
            f"Labels of head '{layer.head}' must be class positions from 0 to {layer.outputs - 1}, "
            f"but one is {wrong:g}."
        )
    return labels


def _checked_clusters(name: str, ids: np.ndarray, known: np.ndarray) -> np.ndarray:
    ids = np.asarray(ids)
    if ids.shape != known.shape or not np.issubdtype(ids.dtype, np.integer):
        raise ParameterError(
            f"Clusters '{name}' come as {ids.dtype} of shape {ids.shape}; give one integer for each of the "
            f"{len(known)} pixels."
        )
    return ids[known]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "(none)"
