r"""The information that pixels carry about the weights of an output layer.

The last layer of the network is a regression of the map on its *components*, the inputs of the
last 1x1 convolution. What its Z-scores need from the pixels are sums: they add up over batches,
scenes and machines, in any order::

    accumulator = SceneAccumulator(layer)
    for components, labels, blocks in batches:                      # of one scene
        accumulator.add(components, labels, {"64 km blocks": blocks})
    information = accumulator.close()
    archive = archive.merge(information)

With x the components of a pixel (1 put before them for the bias), :math:`\beta` the weights and p
the prediction, the Fisher information is

* sigmoid: :math:`\sum p(1-p)\,x x^T`;
* softmax: blocks :math:`\sum p_k(\delta_{kl}-p_l)\,x x^T`, kept as the sums
  :math:`A_{kl}=\sum p_k p_l\,x x^T` of the pairs k < l, from which every block follows without
  cancellation;
* linear: :math:`\sum x x^T`.

Labels do not enter it. Where there are labels y, the scores :math:`u_g=\sum_{i\in g}x_i(y_i-p_i)`
of the clusters g are kept as :math:`\sum u u^T`, :math:`\sum u` and their number: clusters close
within a scene, so that the size of the state does not grow with the number of pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from scipy import sparse, special

from .errors import ModelError, NumericalError, ParameterError
from .products import gram, product

KINDS = ("sigmoid", "softmax", "linear")
_CHUNK = 960  # pixels at a time: the work stays in the cache, and 2**960 is still a float64
_LOG_FLOOR = -600.0  # log-probability below which Pearson's residual of a single pixel is capped


@dataclass(frozen=True)
class Component:
    """What is known of one input of the output layer.

    Parameters
    ----------
    name : str
        As in the model card.
    sensor, scale, channel, polarisation : str
        Empty where the component has none (a SAR feature mixes channels).
    frequency_ghz : float or None
        Frequency of the radiometer channel, GHz.
    """

    name: str
    sensor: str = ""
    scale: str = ""
    channel: str = ""
    frequency_ghz: float | None = None
    polarisation: str = ""


@dataclass(frozen=True)
class Group:
    """Components that belong together.

    Parameters
    ----------
    kind : str
        ``sensor``, ``scale``, ``frequency`` or ``polarisation``.
    name : str
        Such as ``mwr``, ``d4``, ``36.5 GHz`` or ``h``.
    members : tuple of int
        Positions of its components in the layer.
    """

    kind: str
    name: str
    members: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class OutputLayer:
    """One head of the network: a regression on the components.

    Parameters
    ----------
    head, kind : str
        Name of the head; ``sigmoid``, ``softmax`` or ``linear``.
    classes : tuple of str
        One name an output: one for sigmoid and linear, at least two for softmax.
    components : tuple of Component
        In the order of the columns.
    weights : numpy.ndarray
        (output, component), float64.
    bias : numpy.ndarray
        (output,), float64.

    Raises
    ------
    ModelError
        If the parts do not fit each other, or a weight is not a number.
    """

    head: str
    kind: str
    classes: tuple[str, ...]
    components: tuple[Component, ...]
    weights: np.ndarray
    bias: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", np.array(self.weights, dtype=np.float64, ndmin=2))
        object.__setattr__(self, "bias", np.array(self.bias, dtype=np.float64, ndmin=1))
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "components", tuple(self.components))
        if self.kind not in KINDS:
            raise ModelError(f"Head '{self.head}' has the kind '{self.kind}'; known are {', '.join(KINDS)}.")
        outputs = len(self.classes)
        if (outputs < 2) if self.kind == "softmax" else (outputs != 1):
            needed = "at least two classes" if self.kind == "softmax" else "exactly one class"
            raise ModelError(f"Head '{self.head}' is {self.kind} and needs {needed}, not {outputs}.")
        if self.weights.shape != (outputs, len(self.components)) or self.bias.shape != (outputs,):
            raise ModelError(
                f"Head '{self.head}' has {outputs} outputs and {len(self.components)} components, but weights "
                f"of shape {self.weights.shape} and a bias of shape {self.bias.shape}; check the model card."
            )
        if not (np.isfinite(self.weights).all() and np.isfinite(self.bias).all()):
            raise ModelError(f"Head '{self.head}' has weights that are not numbers; the model is damaged.")

    @classmethod
    def from_card(cls, card, head: str, weights: np.ndarray, bias: np.ndarray) -> OutputLayer:
        """Return the layer of one head of a model.

        Parameters
        ----------
        card : ModelCard
            Its heads follow one another in the output layer.
        head : str
            Name of the head.
        weights, bias : numpy.ndarray
            Of the whole output layer: (output of all heads, component) and (output of all heads,).

        Raises
        ------
        ModelError
            If the model has no such head or the shapes do not fit.
        """
        first = 0
        for known in card.heads:
            outputs = len(known.classes) if known.kind == "softmax" else 1
            if known.name == head:
                rows = slice(first, first + outputs)
                weights = np.asarray(weights, dtype=np.float64)
                return cls(
                    head=head,
                    kind=known.kind,
                    classes=tuple(known_class.name for known_class in known.classes[:outputs]),
                    components=tuple(
                        Component(
                            name=part.name,
                            sensor=part.sensor or "",
                            scale=part.scale or "",
                            channel=part.channel or "",
                            frequency_ghz=part.frequency_ghz,
                            polarisation=part.polarisation or "",
                        )
                        for part in card.components
                    ),
                    weights=weights.reshape(weights.shape[0], -1)[rows],
                    bias=np.asarray(bias, dtype=np.float64)[rows],
                )
            first += outputs
        names = ", ".join(known.name for known in card.heads)
        raise ModelError(f"The model has no head '{head}'; its heads are {names}.")

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return len(self.classes)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Pairs of outputs k < l whose sums are kept; a single (0, 0) but for softmax."""
        return list(combinations(range(self.outputs), 2)) if self.kind == "softmax" else [(0, 0)]

    def groups(self) -> tuple[Group, ...]:
        """Return the components by sensor, scale, frequency and polarisation, in their own order."""
        return tuple(
            Group(kind, name, tuple(i for i, other in enumerate(labels) if other == name))
            for kind, labels in (
                ("sensor", [part.sensor for part in self.components]),
                ("scale", [part.scale for part in self.components]),
                ("frequency", [_frequency_name(part.frequency_ghz) for part in self.components]),
                ("polarisation", [part.polarisation for part in self.components]),
            )
            for name in dict.fromkeys(labels)
            if name
        )

    def same_as(self, other: OutputLayer) -> bool:
        """Return whether the other layer is this one: same head, components and weights."""
        return (
            (self.head, self.kind, self.classes, self.components)
            == (other.head, other.kind, other.classes, other.components)
            and np.array_equal(self.weights, other.weights)
            and np.array_equal(self.bias, other.bias)
        )


def _frequency_name(frequency_ghz: float | None) -> str:
    return "" if frequency_ghz is None else f"{frequency_ghz:g} GHz"


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over pixels that need no labels.

    Parameters
    ----------
    n : int
        Number of pixels.
    pairs : numpy.ndarray
        (pair, 1 + component, 1 + component): weighted sums of x x^T, see the module's text.
    logits, means : numpy.ndarray
        (output,): sums of logits and of predictions (probabilities; the logit itself if linear).
    inputs : numpy.ndarray
        (component,): sums of the components.
    divergence : numpy.ndarray
        (removal,): sums of the Kullback-Leibler divergence KL(p || p without), in nats, for each
        set of components taken out of all logits; linear heads: for unit error variance.
    """

    n: int
    pairs: np.ndarray
    logits: np.ndarray
    means: np.ndarray
    inputs: np.ndarray
    divergence: np.ndarray

    @classmethod
    def empty(cls, layer: OutputLayer, removals: int) -> Sums:
        """Return the sums over no pixel."""
        q = 1 + len(layer.components)
        return cls(
            n=0,
            pairs=np.zeros((len(layer.pairs), q, q)),
            logits=np.zeros(layer.outputs),
            means=np.zeros(layer.outputs),
            inputs=np.zeros(q - 1),
            divergence=np.zeros(removals),
        )

    def __add__(self, other: Sums) -> Sums:
        """Return the sums over the pixels of both."""
        return Sums(
            n=self.n + other.n,
            pairs=self.pairs + other.pairs,
            logits=self.logits + other.logits,
            means=self.means + other.means,
            inputs=self.inputs + other.inputs,
            divergence=self.divergence + other.divergence,
        )


def pixel_sums(layer: OutputLayer, components: np.ndarray, removals: np.ndarray) -> Sums:
    """Return the sums over pixels.

    Parameters
    ----------
    layer : OutputLayer
        The regression; logits are computed from its weights in float64.
    components : numpy.ndarray
        (pixel, component), float32 or float64, finite.
    removals : numpy.ndarray
        (removal, component), bool: which components each removal takes out.
    """
    sums = Sums.empty(layer, len(removals))
    for start in range(0, len(components), _CHUNK):
        x = _with_intercept(components[start : start + _CHUNK])
        logits = _logits(layer, x)
        log_p = _log_probabilities(layer, logits)
        means = logits if layer.kind == "linear" else np.exp(log_p)
        for pair, (k, other) in enumerate(layer.pairs):
            root = x * _root_weight(layer, logits, log_p, k, other)[:, None]
            sums.pairs[pair] += gram(root)
        sums.logits[:] += logits.sum(axis=0)
        sums.means[:] += means.sum(axis=0)
        sums.inputs[:] += x[:, 1:].sum(axis=0)
        sums.divergence[:] += _divergence(layer, x[:, 1:], logits, log_p, means, removals)
    return Sums(len(components), sums.pairs, sums.logits, sums.means, sums.inputs, sums.divergence)


def _with_intercept(components: np.ndarray) -> np.ndarray:
    x = np.empty((len(components), 1 + components.shape[1]))
    x[:, 0] = 1.0
    x[:, 1:] = components
    return x


def _logits(layer: OutputLayer, x: np.ndarray) -> np.ndarray:
    """Return logits (pixel, output) of components with the 1 before them."""
    return product(x[:, 1:], layer.weights.T) + layer.bias


def _log_probabilities(layer: OutputLayer, logits: np.ndarray) -> np.ndarray:
    """Return the log of the predictions (pixel, output); zeros for a linear head."""
    if layer.kind == "sigmoid":
        return special.log_expit(logits)
    if layer.kind == "softmax":
        return logits - special.logsumexp(logits, axis=1, keepdims=True)
    return np.zeros_like(logits)


def _root_weight(layer: OutputLayer, logits: np.ndarray, log_p: np.ndarray, k: int, other: int) -> np.ndarray:
    """Return the square root of a pair's weight (pixel,), without computing 1 - p."""
    if layer.kind == "softmax":
        return np.exp(0.5 * (log_p[:, k] + log_p[:, other]))
    if layer.kind == "sigmoid":
        return np.exp(0.5 * (log_p[:, 0] + log_p[:, 0] - logits[:, 0]))  # log(1-p) = log p - logit
    return np.ones(len(logits))


def _divergence(
    layer: OutputLayer,
    components: np.ndarray,
    logits: np.ndarray,
    log_p: np.ndarray,
    means: np.ndarray,
    removals: np.ndarray,
) -> np.ndarray:
    """Return sum of KL(p || p without) over the pixels, (removal,).

    With d the part of the logit taken out: sigmoid p d + softplus(f - d) - softplus(f); softmax
    sum_k p_k d_k + log sum_k exp(log p_k - d_k); linear d^2/2.
    """
    if layer.kind == "softmax":
        sums = np.empty(len(removals))
        # classes first: numpy adds up and compares whole rows of pixels much faster than short columns
        by_component, log_by_class, p_by_class = components.T.copy(), log_p.T.copy(), means.T.copy()
        for index, taken in enumerate(removals):
            members = np.flatnonzero(taken)
            if len(members) == 1:
                parts = layer.weights[:, members] * by_component[members]  # (class, pixel)
            else:
                parts = product(layer.weights[:, members], by_component[members])
            given = (p_by_class * parts).sum()
            rest = np.subtract(log_by_class, parts, out=parts)
            top = rest.max(axis=0)
            rest -= top
            np.exp(rest, out=rest)
            sums[index] = given + top.sum() + np.log(rest.sum(axis=0)).sum()
        return np.maximum(sums, 0.0)
    single = removals.sum(axis=1) == 1
    parts = np.empty((len(components), len(removals)))
    members = removals[single].argmax(axis=1)
    parts[:, single] = components[:, members] * layer.weights[0, members]
    parts[:, ~single] = product(components, (removals[~single] * layer.weights[0]).T)
    if layer.kind == "linear":
        return 0.5 * np.einsum("ir,ir->r", parts, parts)
    # A column of its own for "nothing taken out": what must cancel then cancels to the last bit.
    rest = np.empty((len(components), len(removals) + 1))
    np.subtract(logits, parts, out=rest[:, :-1])
    rest[:, -1] = logits[:, 0]
    positive = np.maximum(rest, 0.0).sum(axis=0)
    np.abs(rest, out=rest)
    np.negative(rest, out=rest)
    np.exp(rest, out=rest)
    rest += 1.0
    # One logarithm a column: each factor lies in (1, 2], so that _CHUNK of them do not overflow.
    softplus = positive + np.log(np.multiply.reduce(rest, axis=0))
    return np.maximum(product(means.T, parts)[0] + softplus[:-1] - softplus[-1], 0.0)


@dataclass(frozen=True, eq=False)
class ClusterSums:
    """Sums over the clusters' scores u_g.

    Parameters
    ----------
    count : int
        Number of clusters.
    total : numpy.ndarray
        (output * (1 + component),): sum of u_g.
    outer : numpy.ndarray
        (the same, the same): sum of u_g u_g^T.
    """

    count: int
    total: np.ndarray
    outer: np.ndarray

    def __add__(self, other: ClusterSums) -> ClusterSums:
        """Return the sums over the clusters of both; no cluster is in both."""
        return ClusterSums(self.count + other.count, self.total + other.total, self.outer + other.outer)


@dataclass(frozen=True, eq=False)
class LabelSums:
    """Sums over labelled pixels.

    Parameters
    ----------
    score : numpy.ndarray
        (output, 1 + component): sum of x (y - p), the total score U.
    squares, variance, pearson : float
        Sums of (y - p)^2, of p(1 - p), and of (y - p)^2 / (p(1 - p)); softmax: over the classes, the
        last with p alone below; linear: only the first.
    clusters : dict of str to ClusterSums
        By the name of the clustering.
    """

    score: np.ndarray
    squares: float = 0.0
    variance: float = 0.0
    pearson: float = 0.0
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
    def empty(cls, layer: OutputLayer) -> Information:
        """Return the information of no pixel: merging it changes nothing."""
        m = len(layer.components)
        removals = m + len(layer.groups())
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
                squares=self.labels.squares + other.labels.squares,
                variance=self.labels.variance + other.labels.variance,
                pearson=self.labels.pearson + other.labels.pearson,
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
    """

    def __init__(self, layer: OutputLayer) -> None:
        self._information = Information.empty(layer)
        self._layer = layer
        self._removals = removals(layer)
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
            self._information = _replaced(seen, unlabelled=unlabelled)
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
        self._information = _replaced(seen, unlabelled=unlabelled, labelled=labelled, labels=label_sums)

    def close(self) -> Information:
        """Return what the scene has told; the accumulator takes no more after it."""
        clusters = {}
        for name, scores in sorted((self._open or {}).items()):
            matrix = np.array([scores[key].ravel() for key in sorted(scores)])
            clusters[name] = ClusterSums(len(matrix), matrix.sum(axis=0), gram(matrix))
        labels = self._information.labels
        return _replaced(
            self._information,
            labels=LabelSums(labels.score, labels.squares, labels.variance, labels.pearson, clusters),
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
        squares, variance, pearson = sums.squares, sums.variance, sums.pearson
        for start in range(0, len(x_all), 50 * _CHUNK):
            part = slice(start, start + 50 * _CHUNK)
            x = _with_intercept(x_all[part])
            logits = _logits(self._layer, x)
            residual, added = _residuals(self._layer, logits, y_all[part])
            squares, variance, pearson = squares + added[0], variance + added[1], pearson + added[2]
            score += product(residual.T, x)
            for name, ids in keys.items():
                self._add_clusters(name, ids[part], x, residual)
        return LabelSums(score, squares, variance, pearson, {})

    def _add_clusters(self, name: str, ids: np.ndarray, x: np.ndarray, residual: np.ndarray) -> None:
        unique, inverse = np.unique(ids, return_inverse=True)
        gather = sparse.csr_matrix(
            (np.ones(len(ids)), (inverse, np.arange(len(ids)))), shape=(len(unique), len(ids))
        )
        scores = np.stack([gather @ (x * residual[:, [k]]) for k in range(residual.shape[1])], axis=1)
        held = self._open[name]
        for key, score in zip(unique.tolist(), scores):
            held[key] = held[key] + score if key in held else score


def removals(layer: OutputLayer) -> np.ndarray:
    """Return which components are taken out for each information share.

    Returns
    -------
    numpy.ndarray
        (component + group, component), bool: every component alone, then every group.
    """
    m = len(layer.components)
    groups = layer.groups()
    taken = np.zeros((m + len(groups), m), dtype=bool)
    taken[:m] = np.eye(m, dtype=bool)
    for index, group in enumerate(groups):
        taken[m + index, list(group.members)] = True
    return taken


def checked_components(layer: OutputLayer, components: np.ndarray) -> np.ndarray:
    """Return components (pixel, component) as they are, or say what is wrong with them.

    Raises
    ------
    ParameterError
        If the number of columns is not the layer's.
    NumericalError
        If a value is not finite.
    """
    components = np.asarray(components)
    if components.ndim != 2 or components.shape[1] != len(layer.components):
        raise ParameterError(
            f"Head '{layer.head}' has {len(layer.components)} components, but the pixels come as an array of "
            f"shape {components.shape}; give (pixel, component)."
        )
    finite = np.isfinite(components).all(axis=0)
    if not finite.all():
        first = int(np.flatnonzero(~finite)[0])
        count = int((~np.isfinite(components[:, first])).sum())
        raise NumericalError(
            f"Component '{layer.components[first].name}' is not a finite number at {count} of "
            f"{len(components)} pixels; mask these pixels, or check the scene's values and the model's precision."
        )
    return components


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


def _residuals(
    layer: OutputLayer, logits: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, tuple[float, float, float]]:
    """Return y - p (pixel, output) and the sums of squares, of variances and of Pearson's residuals."""
    if layer.kind == "linear":
        residual = labels[:, None] - logits
        return residual, (float(np.square(residual).sum()), 0.0, 0.0)
    log_p = _log_probabilities(layer, logits)
    p = np.exp(log_p)
    floor = np.exp(np.maximum(log_p, _LOG_FLOOR))
    if layer.kind == "sigmoid":
        log_rest = log_p - logits
        # y - p without cancellation: y(1-p) - (1-y)p
        residual = labels[:, None] * np.exp(log_rest) - (1.0 - labels[:, None]) * p
        variance = float(np.exp(log_p + log_rest).sum())
        floor = floor * np.exp(np.maximum(log_rest, _LOG_FLOOR))
    else:
        residual = -p
        residual[np.arange(len(labels)), labels.astype(int)] += 1.0
        variance = float((p * (1.0 - p)).sum())
    squares = np.square(residual)
    return residual, (float(squares.sum()), variance, float((squares / np.maximum(floor, 1e-290)).sum()))


def _replaced(information: Information, **changes) -> Information:
    parts = {name: getattr(information, name) for name in information.__dataclass_fields__}
    return Information(**{**parts, **changes})


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "(none)"
