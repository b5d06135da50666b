r"""Z-scores of the components of an output layer, with naive and cluster-robust errors.

After Malmgren-Hansen, Nielsen and Pedersen, *Explainability in CNN Models By Means of Z-Scores*
(arXiv 2102.05874): the last 1x1 convolution of a network is a regression of the map on its inputs,
so each weight has a standard error and :math:`z_j=\beta_j/se_j`. Here

* the naive error is that of independent pixels, from the Fisher information :math:`I`;
* the robust one, where labels are known, lets the pixels of a cluster depend on each other:
  :math:`I^{-1}BI^{-1}` with :math:`B=\sum_g(u_g-\bar u)(u_g-\bar u)^T`, the small-sample factor
  :math:`G/(G-1)\cdot(N-1)/(N-q)` and Student's t with G-1 degrees of freedom as reference;
* softmax weights are *centred* over the classes, :math:`\beta_{kj}-\mathrm{mean}_k\beta_{kj}`: only
  these are defined by the map. Their covariance is computed through contrasts against the class
  with most information, which equals :math:`(I+cP)^{-1}-P/c` with P the projection on what is
  common to all classes.

Components that do not vary, or that others repeat, have no score: they keep their row, with a note.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import lapack, solve_triangular

from .errors import NumericalError, ParameterError
from .information import (
    ClusterSums,
    Component,
    Group,
    Information,
    OutputLayer,
    SceneAccumulator,
    Sums,
)
from .products import product
from .tails import log10_p_chi2, log10_p_f, log10_p_normal, log10_p_student

__all__ = [
    "COLUMNS",
    "FEW_CLUSTERS",
    "GROUP_COLUMNS",
    "Component",
    "Group",
    "Information",
    "OutputLayer",
    "SceneAccumulator",
    "ZScores",
    "compute_scores",
    "summed_strengths",
]

COLUMNS = (
    "head",
    "class",
    "component",
    "channel",
    "sensor",
    "scale",
    "frequency_ghz",
    "polarisation",
    "weight",
    "se",
    "z",
    "log10_p",
    "se_robust",
    "z_robust",
    "log10_p_robust",
    "information",
    "vif",
    "n",
    "n_effective",
    "note",
)
GROUP_COLUMNS = (
    "head",
    "kind",
    "group",
    "components",
    "df",
    "chi2",
    "log10_p",
    "mean_abs_z",
    "chi2_robust",
    "log10_p_robust",
    "mean_abs_z_robust",
    "information",
    "note",
)
FEW_CLUSTERS = 50
_COLLINEAR = 1e-10  # share of a column's variance that no earlier column explains: VIF of 10^10
_ROUNDING = 1e-13  # share of a sum of squares that its rounding errors can feign as variance


@dataclass(frozen=True, eq=False)
class _Kept:
    """What the pixels allow to estimate.

    `columns` are positions of components; `free` and `reference` positions of outputs, the contrasts
    being output minus reference (reference -1: the output itself, for sigmoid and linear heads).
    """

    columns: np.ndarray
    free: np.ndarray
    reference: int

    @property
    def classes(self) -> np.ndarray:
        """Outputs with scores, in order."""
        return np.sort(np.append(self.free, self.reference)) if self.reference >= 0 else self.free

    def contrasts_of(self, values: np.ndarray) -> np.ndarray:
        """Return values (output, ...) as contrasts (free, ...)."""
        return values[self.free] - values[self.reference] if self.reference >= 0 else values[self.free]

    def centring(self) -> np.ndarray:
        """Return the matrix (class, free) that makes centred values of contrasts."""
        if self.reference < 0:
            return np.ones((1, 1))
        indicator = (self.classes[:, None] == self.free).astype(np.float64)
        return indicator - 1.0 / len(self.classes)


@dataclass(frozen=True, eq=False)
class _Estimate:
    """Weights and their covariances, all as contrasts of outputs, the intercept first."""

    kept: _Kept
    weights: np.ndarray  # (free, 1 + column)
    naive: np.ndarray  # (free, 1 + column, free, 1 + column), all pixels
    naive_labelled: np.ndarray | None  # the same, labelled pixels
    robust: np.ndarray | None
    alone: np.ndarray  # (column, free, free): covariance were the column the only one


@dataclass(frozen=True, eq=False)
class ZScores:
    """Scores of one head.

    Parameters
    ----------
    layer : OutputLayer
        The regression.
    rows : tuple of dict
        One a class and component, with the keys of :data:`COLUMNS`; None where not available.
    groups : tuple of dict
        Wald tests by sensor, scale, frequency and polarisation, keys of :data:`GROUP_COLUMNS`.
    bias : tuple of dict
        The intercept's row for each class (no part of the table of components).
    shifts : tuple of dict
        With labels: ``head, class, component, shift, shift_in_se``, the Newton step from the trained
        weights towards those that fit the labels best, and the same in standard errors.
    clusterings : tuple of dict
        ``clustering, clusters, ratio_low, ratio_median, ratio_high``: quartiles over the components
        of se_robust / se, for each clustering the pixels were given.
    measures : dict
        ``n, n_labelled, clustering, clusters, mean_logit`` and ``mean_prediction`` (by class),
        ``mean_weight`` (p(1-p), summed over classes: 0 if saturated), ``dispersion``,
        ``dispersion_pearson``, ``error_variance``, ``score_statistic``, ``score_df``,
        ``score_log10_p``; None where not available.
    correlation : numpy.ndarray
        (component, component): correlation weighted by p(1-p); NaN for components that do not vary.
    warnings : tuple of str
        Sentences a reader must see beside the numbers.
    """

    layer: OutputLayer
    rows: tuple[dict, ...]
    groups: tuple[dict, ...]
    bias: tuple[dict, ...]
    shifts: tuple[dict, ...]
    clusterings: tuple[dict, ...]
    measures: dict
    correlation: np.ndarray
    warnings: tuple[str, ...]
    _context: _Context | None = field(default=None, repr=False)

    def contrasts(self, reference: str) -> tuple[dict, ...]:
        """Return rows of the weights of each class minus those of a reference class.

        Parameters
        ----------
        reference : str
            Name of a class of this softmax head.

        Raises
        ------
        ParameterError
            If the head is not softmax or has no such class.
        """
        if self.layer.kind != "softmax":
            raise ParameterError(
                f"Head '{self.layer.head}' is {self.layer.kind}: contrasts need a softmax head; leave the "
                "reference class empty."
            )
        if reference not in self.layer.classes:
            raise ParameterError(
                f"Head '{self.layer.head}' has no class '{reference}'; its classes are "
                f"{', '.join(self.layer.classes)}."
            )
        position = self.layer.classes.index(reference)
        return self._context.rows(against=position)[0]

    def as_dict(self) -> dict:
        """Return the content as plain values, for reports."""
        return {
            "head": self.layer.head,
            "kind": self.layer.kind,
            "classes": self.layer.classes,
            "components": tuple(part.name for part in self.layer.components),
            "rows": self.rows,
            "groups": self.groups,
            "bias": self.bias,
            "shifts": self.shifts,
            "clusterings": self.clusterings,
            "measures": self.measures,
            "correlation": self.correlation,
            "warnings": self.warnings,
        }


def compute_scores(information: Information, clustering: str | None = None) -> ZScores:
    """Return the Z-scores of a head from the information of its pixels.

    Parameters
    ----------
    information : Information
        Of one scene, or merged over many.
    clustering : str, optional
        Which clustering the robust errors use; by default the first by name.

    Raises
    ------
    NumericalError
        If no pixel has been seen.
    ParameterError
        If the information has no such clustering.
    """
    layer = information.layer
    if information.n == 0:
        raise NumericalError(
            f"Head '{layer.head}': no pixel was sampled, so there is nothing to score. Check the mask, the extent "
            "and SAMPLE."
        )
    known = information.labels.clusters
    if clustering is not None and information.labelled.n and clustering not in known:
        names = ", ".join(f"'{name}'" for name in known) or "none"
        raise ParameterError(f"There are no clusters '{clustering}' in this information; it has {names}.")
    if clustering is None and known:
        clustering = sorted(known)[0]
    return _Context.of(information, clustering).scores()


# ---------------------------------------------------------------------------------------------------
# What can be estimated
# ---------------------------------------------------------------------------------------------------


def _pooled(sums: Sums) -> np.ndarray:
    """Return the information (1 + component, 1 + component) summed over the pairs of outputs."""
    return sums.pairs.sum(axis=0)


def _centred(matrix: np.ndarray) -> np.ndarray:
    """Return sums of products about the weighted means: the intercept (first) eliminated."""
    return matrix[1:, 1:] - np.outer(matrix[1:, 0], matrix[0, 1:]) / matrix[0, 0]


def _dead(information: Information, pooled: np.ndarray, centred: np.ndarray) -> dict[int, str]:
    """Return the components that do not vary, each with the reason."""
    notes = {}
    for j in range(len(centred)):
        low, high = information.lowest[j], information.highest[j]
        if low == high:
            notes[j] = "dead: always 0" if low == 0 else f"dead: constant at {low:g}"
        elif not centred[j, j] > _ROUNDING * pooled[j + 1, j + 1]:
            notes[j] = "dead: varies only where the prediction is certain"
    return notes


def _independent(centred: np.ndarray, candidates: Sequence[int], raw: np.ndarray) -> tuple[list[int], dict]:
    """Return the columns that earlier ones do not repeat, and how the others follow from them.

    A Cholesky factorisation of the columns scaled to unit information, in their own order; a column
    whose pivot vanishes is passed over.

    Parameters
    ----------
    centred : numpy.ndarray
        (component, component).
    candidates : sequence of int
        Columns to consider.
    raw : numpy.ndarray
        (component,): sums of squares about zero, which bound the rounding error.

    Returns
    -------
    kept : list of int
    repeated : dict of int to dict of int to float
        column -> {kept column: its coefficient}.
    """
    scale = np.sqrt(np.diag(centred)[list(candidates)])
    matrix = centred[np.ix_(candidates, candidates)] / np.outer(scale, scale)
    factor = np.zeros_like(matrix)
    chosen: list[int] = []
    repeated = {}
    for j, column in enumerate(candidates):
        r = len(chosen)
        row = solve_triangular(factor[:r, :r], matrix[chosen, j], lower=True) if r else np.zeros(0)
        pivot = matrix[j, j] - np.square(row).sum()
        if pivot > max(_COLLINEAR, 10 * _ROUNDING * raw[column] / scale[j] ** 2):
            factor[r, :r], factor[r, r] = row, np.sqrt(pivot)
            chosen.append(j)
            continue
        share = solve_triangular(factor[:r, :r], row, lower=True, trans="T")
        repeated[column] = {
            candidates[i]: float(share[at] * scale[j] / scale[i])
            for at, i in enumerate(chosen)
            if abs(share[at]) > 1e-4
        }
    return [candidates[j] for j in chosen], repeated


def _folded(weights: np.ndarray, repeated: Mapping[int, Mapping[int, float]]) -> np.ndarray:
    """Return weights (output, component) where kept columns carry those of the columns they repeat."""
    combined = weights.copy()
    for column, shares in repeated.items():
        for other, share in shares.items():
            combined[:, other] += share * weights[:, column]
    return combined


def _contrast_information(layer: OutputLayer, sums: Sums, kept: _Kept) -> np.ndarray:
    """Return the information (free, 1 + column, free, 1 + column) of the contrasts."""
    at = np.append(0, kept.columns + 1)
    pairs = sums.pairs[:, at][:, :, at]
    if kept.reference < 0:
        return pairs[0][None, :, None, :]
    free = len(kept.free)
    position = {int(k): index for index, k in enumerate(kept.free)}
    full = np.zeros((free, len(at), free, len(at)))
    for pair, (k, other) in enumerate(layer.pairs):
        a, b = position.get(k), position.get(other)
        if a is not None:
            full[a, :, a] += pairs[pair]
        if b is not None:
            full[b, :, b] += pairs[pair]
        if a is not None and b is not None:
            full[a, :, b] = full[b, :, a] = -pairs[pair]
    return full


def _invert(full: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None, int]:
    """Invert an information matrix of contrasts.

    Parameters
    ----------
    full : numpy.ndarray
        (free, 1 + column, free, 1 + column).

    Returns
    -------
    covariance : numpy.ndarray or None
        The same shape; None where the matrix is singular.
    alone : numpy.ndarray or None
        (column, free, free): the covariance of each column were it alone beside the intercepts.
    failed : int
        The first column (from 0; -1: an intercept) that cannot be estimated beside those before it.
    """
    free, q = full.shape[:2]
    c = q - 1
    corner = full[:, 0, :, 0]
    corner_inverse = _inverse(corner)
    if corner_inverse is None:
        return None, None, -1
    # columns in the order (component, free), so that the first to fail names a component
    across = full[:, 0, :, 1:].transpose(0, 2, 1).reshape(free, c * free)
    inner = full[:, 1:, :, 1:].transpose(1, 0, 3, 2).reshape(c * free, c * free)
    slopes = product(corner_inverse, across)
    schur = inner - product(across.T, slopes)
    schur = 0.5 * (schur + schur.T)
    diagonal = np.diag(schur)
    flat = np.flatnonzero(~(diagonal > _ROUNDING * np.diag(inner)))
    if flat.size:
        return None, None, int(flat[0]) // free
    scale = np.sqrt(diagonal)
    scaled = schur / np.outer(scale, scale)
    factor, info = lapack.dpotrf(scaled, lower=1)
    if info > 0:
        return None, None, (info - 1) // free
    low = np.flatnonzero(np.square(np.diag(factor)) < _COLLINEAR / 100)
    if low.size:
        return None, None, int(low[0]) // free
    inverse, info = lapack.dpotri(factor, lower=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    inverse /= np.outer(scale, scale)
    covariance = np.empty_like(full)
    covariance[:, 1:, :, 1:] = inverse.reshape(c, free, c, free).transpose(1, 0, 3, 2)
    mixed = -product(slopes, inverse)
    covariance[:, 0, :, 1:] = mixed.reshape(free, c, free).transpose(0, 2, 1)
    covariance[:, 1:, :, 0] = covariance[:, 0, :, 1:].transpose(1, 2, 0)
    covariance[:, 0, :, 0] = corner_inverse - product(mixed, slopes.T)
    blocks = schur.reshape(c, free, c, free)[np.arange(c), :, np.arange(c), :]
    alone = np.array([_inverse(block) for block in blocks]).reshape(c, free, free)
    return covariance, alone, q


def _inverse(matrix: np.ndarray) -> np.ndarray | None:
    """Return the inverse of a positive definite matrix after scaling it to a unit diagonal, or None."""
    diagonal = np.diag(matrix)
    if not (np.isfinite(matrix).all() and (diagonal > 0).all()):
        return None
    scale = np.sqrt(diagonal)
    factor, info = lapack.dpotrf(matrix / np.outer(scale, scale), lower=1)
    if info != 0 or (np.square(np.diag(factor)) < 1e-14).any():
        return None
    inverse, _ = lapack.dpotri(factor, lower=1)
    return (np.tril(inverse) + np.tril(inverse, -1).T) / np.outer(scale, scale)


def _sandwich(
    bread: np.ndarray, kept: _Kept, layer: OutputLayer, clusters: ClusterSums, n: int
) -> np.ndarray:
    """Return the cluster-robust covariance (free, 1 + column, free, 1 + column) of the contrasts."""
    count = clusters.count
    q = 1 + len(layer.components)
    outer = clusters.outer - np.outer(clusters.total, clusters.total) / count
    # u of a contrast "output minus reference" is the u of the output: the reference is held fixed
    at = (kept.free[:, None] * q + np.append(0, kept.columns + 1)).ravel()
    meat = outer[np.ix_(at, at)]
    flat = bread.reshape(len(at), len(at))
    factor = count / (count - 1) * (n - 1) / (n - len(at))
    return (factor * product(product(flat, meat), flat)).reshape(bread.shape)


# ---------------------------------------------------------------------------------------------------
# Scores
# ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Context:
    """One head's way from information to rows; holds what contrasts need later."""

    information: Information
    clustering: str | None
    estimate: _Estimate | None
    notes: dict[int, str]  # component -> why it has no score
    shared: dict[int, str]  # component -> whose weight it carries
    class_notes: dict[int, str]
    blank: str  # why there is no score at all
    weights: np.ndarray  # (output, component), with the weights of collinear columns folded in
    error_variance: float | None  # of a linear head

    @classmethod
    def of(cls, information: Information, clustering: str | None) -> _Context:
        """Find out what can be estimated, and estimate it."""
        layer, total = information.layer, information.total
        m = len(layer.components)
        names = [part.name for part in layer.components]
        pooled = _pooled(total)

        def without_scores(reason: str) -> _Context:
            return cls(information, clustering, None, {}, {}, {}, reason, layer.weights, None)

        if not pooled[0, 0] > 1e-250 * total.n:
            return without_scores("predictions are saturated: the pixels say nothing about the weights")
        centred = _centred(pooled)
        notes = _dead(information, pooled, centred)
        candidates = [j for j in range(m) if j not in notes]
        columns, repeated = _independent(centred, candidates, np.diag(pooled)[1:])
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
                kept = _Kept(
                    np.array(columns, dtype=int), np.array([k for k in classes if k != reference]), reference
                )
            else:
                kept = _Kept(np.array(columns, dtype=int), np.array([0]), -1)
            naive, alone, failed = _invert(_contrast_information(layer, total, kept))
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
            notes[column] = f"collinear with {_listed(partners)}: dropped"
            for j in shares:
                shared[j] = (
                    f"{shared[j]}, {names[column]}"
                    if j in shared
                    else f"carries also the weight of {names[column]}"
                )
        weights = _folded(layer.weights, repeated)
        # What dropped columns add to every pixel alike is the intercept's: its error is that of the whole.
        mean = pooled[0, 1:] / pooled[0, 0]
        level = {j: mean[j] for j in notes if notes[j].startswith("dead")}
        for column, shares in repeated.items():
            rest = mean[column] - sum(share * mean[j] for j, share in shares.items())
            level[column] = rest if abs(rest) > 1e-9 * abs(mean[column]) else 0.0
        bias = layer.bias + sum(level[j] * layer.weights[:, j] for j in sorted(level))
        carried = [names[j] for j in sorted(level) if level[j]]
        if carried:
            shared[-1] = f"carries also the constant part of {_listed(carried)}"
        full_weights = np.concatenate([bias[:, None], weights[:, kept.columns]], axis=1)
        labelled, robust = None, None
        error_variance = None
        if information.labelled.n:
            labelled = naive
            if information.unlabelled.n:
                labelled = _invert(_contrast_information(layer, information.labelled, kept))[0]
            size = len(kept.free) * (1 + len(columns))
            spare = information.labelled.n - size
            if layer.kind == "linear" and spare > 0:
                error_variance = information.labels.squares / spare
            clusters = information.labels.clusters.get(clustering)
            if labelled is not None and spare > 0 and clusters is not None and clusters.count > 1:
                robust = _sandwich(labelled, kept, layer, clusters, information.labelled.n)
        estimate = _Estimate(kept, kept.contrasts_of(full_weights), naive, labelled, robust, alone)
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

    def scores(self) -> ZScores:
        """Return everything as a value."""
        rows, bias, shifts = self.rows()
        return ZScores(
            layer=self.layer,
            rows=rows,
            groups=self._groups(rows),
            bias=bias,
            shifts=shifts,
            clusterings=self._clusterings(),
            measures=self._measures(),
            correlation=self._correlation(),
            warnings=self._warnings(),
            _context=self,
        )

    def rows(self, against: int | None = None) -> tuple[tuple[dict, ...], tuple[dict, ...], tuple[dict, ...]]:
        """Return rows of the components, of the biases, and the one-step shifts.

        `against` names the output that the others are compared with; None: centred weights.
        """
        layer, estimate = self.layer, self.estimate
        outputs = [k for k in range(layer.outputs) if k != against]
        table = self._statistics(against) if estimate is not None else {}
        position = {} if estimate is None else {int(j): at + 1 for at, j in enumerate(estimate.kept.columns)}
        blank_weights = self._blank_weights(against)
        rows: list[dict] = []
        bias: list[dict] = []
        shifts: list[dict] = []
        for k in outputs:
            for j, part in enumerate([None, *layer.components], start=-1):
                row = dict.fromkeys(COLUMNS)
                row.update(head=layer.head, n=self.information.n, note=self._note(k, j))
                row["class"] = layer.classes[k] + (
                    f" - {layer.classes[against]}" if against is not None else ""
                )
                if part is None:
                    row["component"] = "bias"
                    row["weight"] = _number(blank_weights[k, 0])
                else:
                    row.update(
                        component=part.name,
                        channel=part.channel,
                        sensor=part.sensor,
                        scale=part.scale,
                        frequency_ghz=part.frequency_ghz,
                        polarisation=part.polarisation,
                        weight=_number(blank_weights[k, j + 1]),
                        information=self._share(j),
                    )
                at = 0 if part is None else position.get(j)
                if k in table and at is not None:
                    row.update(
                        {name: _number(values[at]) for name, values in table[k].items() if name in row}
                    )
                    if table[k]["shift"] is not None and part is not None:
                        shifts.append(
                            {
                                "head": layer.head,
                                "class": row["class"],
                                "component": part.name,
                                "shift": _number(table[k]["shift"][at]),
                                "shift_in_se": _number(table[k]["shift_in_se"][at]),
                            }
                        )
                (bias if part is None else rows).append(row)
        return tuple(rows), tuple(bias), tuple(shifts)

    def _blank_weights(self, against: int | None) -> np.ndarray:
        """Return own weights (output, 1 + component) for rows that have no score."""
        own = np.concatenate([self.layer.bias[:, None], self.layer.weights], axis=1)
        if self.layer.kind != "softmax":
            return own
        return own - (own.mean(axis=0) if against is None else own[against])

    def _statistics(self, against: int | None) -> dict[int, dict[str, np.ndarray]]:
        """Return for each output with scores the columns of the table, (1 + column,) each."""
        estimate, kept = self.estimate, self.estimate.kept
        information = self.information
        centring = kept.centring()
        classes = list(kept.classes)
        if against is not None:
            if against not in classes:
                return {}
            centring = centring - centring[classes.index(against)]
        scale = 1.0
        if self.layer.kind == "linear":
            scale = np.nan if self.error_variance is None else self.error_variance
        weights = centring @ estimate.weights
        se = np.sqrt(scale * _variances(centring, estimate.naive))
        alone = np.full_like(se, np.nan)
        alone[:, 1:] = np.sqrt(np.einsum("lf,jfg,lg->lj", centring, estimate.alone, centring))
        with np.errstate(invalid="ignore", divide="ignore"):
            z = weights / se  # a reference class has neither
        size = len(kept.free) * (1 + len(kept.columns))
        if self.layer.kind == "linear":
            log10_p = log10_p_student(z, max(information.labelled.n - size, 1))
        else:
            log10_p = log10_p_normal(z)
        none = np.full_like(se, np.nan)
        se_robust, z_robust, log10_p_robust, effective = none, none, none, none
        se_labelled = none
        if estimate.naive_labelled is not None:
            se_labelled = np.sqrt(scale * _variances(centring, estimate.naive_labelled))
        if estimate.robust is not None:
            with np.errstate(invalid="ignore", divide="ignore"):
                se_robust = np.sqrt(_variances(centring, estimate.robust))
                z_robust = weights / se_robust
                effective = information.labelled.n * np.square(se_labelled / se_robust)
            log10_p_robust = log10_p_student(
                np.where(np.isfinite(z_robust), z_robust, np.nan), self.cluster_count - 1
            )
        shift = None
        if estimate.naive_labelled is not None:
            shift = centring @ np.einsum("fagb,gb->fa", estimate.naive_labelled, self._total_score())
        with np.errstate(invalid="ignore", divide="ignore"):
            return {
                k: {
                    "weight": weights[at],
                    "se": se[at],
                    "z": z[at],
                    "log10_p": log10_p[at],
                    "se_robust": se_robust[at],
                    "z_robust": z_robust[at],
                    "log10_p_robust": log10_p_robust[at],
                    "vif": np.square(se[at] / alone[at]) / scale
                    if np.isfinite(scale)
                    else _variances(centring, estimate.naive)[at] / np.square(alone[at]),
                    "n_effective": effective[at],
                    "shift": None if shift is None else shift[at],
                    "shift_in_se": None if shift is None else shift[at] / se_labelled[at],
                    "se_labelled": se_labelled[at],
                }
                for at, k in enumerate(classes)
                if k != against
            }

    def _total_score(self) -> np.ndarray:
        """Return the score U of the contrasts, (free, 1 + column)."""
        kept = self.estimate.kept
        return self.information.labels.score[np.ix_(kept.free, np.append(0, kept.columns + 1))]

    def _share(self, removal: int) -> float | None:
        """Return sqrt(2 sum KL(p || p without)), the information share of a removal."""
        divergence = float(self.information.total.divergence[removal])
        if self.layer.kind == "linear":
            if not self.error_variance:
                return None
            divergence /= self.error_variance
        return _number(np.sqrt(2.0 * divergence))

    def _note(self, k: int, j: int) -> str:
        """Return what a reader must know about a row; j = -1 is the bias."""
        if self.blank:
            return self.blank
        parts = []
        if k in self.class_notes:
            parts.append(self.class_notes[k])
        if j in self.notes:
            parts.append(self.notes[j])
        if j in self.shared:
            parts.append(self.shared[j])
        if not parts or j in self.shared:
            parts.append(self._robust_note())
        return "; ".join(part for part in parts if part)

    def _robust_note(self) -> str:
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

    def _groups(self, rows: Sequence[Mapping]) -> tuple[dict, ...]:
        """Return the Wald tests of the groups."""
        layer = self.layer
        m = len(layer.components)
        return tuple(self._group(group, m + index, rows) for index, group in enumerate(layer.groups()))

    def _group(self, group: Group, removal: int, rows: Sequence[Mapping]) -> dict:
        layer, estimate = self.layer, self.estimate
        row = dict.fromkeys(GROUP_COLUMNS)
        row.update(
            head=layer.head, kind=group.kind, group=group.name, components=len(group.members), note=self.blank
        )
        if estimate is None:
            return row
        row["information"] = self._share(removal)
        names = {layer.components[j].name for j in group.members}
        for name in ("z", "z_robust"):
            values = [abs(r[name]) for r in rows if r["component"] in names and r[name] is not None]
            row["mean_abs_" + name] = _number(np.mean(values)) if values else None
        at = np.flatnonzero(np.isin(estimate.kept.columns, group.members)) + 1
        freedom = len(at) * len(estimate.kept.free)
        row["df"] = freedom
        notes = []
        if len(at) < len(group.members):
            notes.append(f"{len(group.members) - len(at)} dead or collinear components left out")
        if freedom == 0:
            row["note"] = "; ".join(notes)
            return row
        weights = estimate.weights[:, at].ravel()
        scale = 1.0 if layer.kind != "linear" else self.error_variance
        if scale:
            statistic = _wald(weights, estimate.naive[:, at][:, :, :, at].reshape(freedom, freedom) * scale)
            row["chi2"] = _number(statistic)
            if layer.kind == "linear":
                size = estimate.weights.size
                row["log10_p"] = _number(
                    log10_p_f(statistic / freedom, freedom, self.information.labelled.n - size)
                )
            else:
                row["log10_p"] = _number(log10_p_chi2(statistic, freedom))
        count = self.cluster_count
        if estimate.robust is not None and count >= freedom + 1:
            statistic = _wald(weights, estimate.robust[:, at][:, :, :, at].reshape(freedom, freedom))
            row["chi2_robust"] = _number(statistic)
            # Hotelling's T^2 with G-1 degrees of freedom: for one weight it is the square of its t(G-1)
            ratio = statistic * (count - freedom) / ((count - 1) * freedom)
            row["log10_p_robust"] = _number(log10_p_f(ratio, freedom, count - freedom))
        elif estimate.robust is not None:
            notes.append(f"{count} clusters: a robust test of {freedom} weights needs {freedom + 1}")
        else:
            notes.append(self._robust_note())
        row["note"] = "; ".join(note for note in notes if note)
        return row

    def _clusterings(self) -> tuple[dict, ...]:
        """Return how much each clustering widens the errors."""
        found = []
        if self.estimate is None or self.estimate.naive_labelled is None:
            return ()
        estimate, information = self.estimate, self.information
        size = estimate.weights.size
        centring = estimate.kept.centring()
        scale = self.error_variance if self.layer.kind == "linear" else 1.0
        for name, clusters in sorted(
            information.labels.clusters.items(), key=lambda item: (-item[1].count, item[0])
        ):
            if clusters.count < 2 or information.labelled.n <= size or not scale:
                continue
            robust = _sandwich(
                estimate.naive_labelled, estimate.kept, self.layer, clusters, information.labelled.n
            )
            ratio = np.sqrt(
                _variances(centring, robust)[:, 1:]
                / (scale * _variances(centring, estimate.naive_labelled)[:, 1:])
            )
            if ratio.size == 0:
                continue
            low, median, high = np.percentile(ratio, [25, 50, 75])
            found.append(
                {
                    "clustering": name,
                    "clusters": clusters.count,
                    "ratio_low": _number(low),
                    "ratio_median": _number(median),
                    "ratio_high": _number(high),
                }
            )
        return tuple(found)

    def _measures(self) -> dict:
        information, layer, estimate = self.information, self.layer, self.estimate
        total, labels = information.total, information.labels
        n = information.labelled.n
        columns = len(layer.components) if estimate is None else len(estimate.kept.columns)
        spare = n - columns - 1
        pairs = total.pairs[:, 0, 0].sum() * (2.0 if layer.kind == "softmax" else 1.0)
        measures = {
            "n": information.n,
            "n_labelled": n,
            "clustering": self.clustering if n else None,
            "clusters": self.cluster_count if n else None,
            "mean_logit": {name: _number(v / total.n) for name, v in zip(layer.classes, total.logits)},
            "mean_prediction": {name: _number(v / total.n) for name, v in zip(layer.classes, total.means)},
            "mean_weight": None if layer.kind == "linear" else _number(pairs / total.n),
            "dispersion": None,
            "dispersion_pearson": None,
            "error_variance": self.error_variance,
            "score_statistic": None,
            "score_df": None,
            "score_log10_p": None,
        }
        if spare > 0 and layer.kind == "sigmoid" and labels.variance > 0:
            measures["dispersion"] = _number(labels.squares / labels.variance * n / spare)
            measures["dispersion_pearson"] = _number(labels.pearson / spare)
        if spare > 0 and layer.kind == "softmax":
            measures["dispersion"] = _number(labels.pearson / (spare * (layer.outputs - 1)))
        if n and estimate is not None and estimate.naive_labelled is not None:
            score = self._total_score()
            statistic = float(np.einsum("fa,fagb,gb->", score, estimate.naive_labelled, score))
            if layer.kind == "linear":
                statistic = statistic / self.error_variance if self.error_variance else np.nan
            measures["score_statistic"] = _number(statistic)
            measures["score_df"] = score.size
            measures["score_log10_p"] = _number(log10_p_chi2(statistic, score.size))
        return measures

    def _correlation(self) -> np.ndarray:
        pooled = _pooled(self.information.total)
        m = len(self.layer.components)
        if not pooled[0, 0] > 0:
            return np.full((m, m), np.nan)
        centred = _centred(pooled)
        variance = np.diag(centred).copy()
        variance[list(_dead(self.information, pooled, centred))] = np.nan
        return np.clip(centred / np.sqrt(np.outer(variance, variance)), -1.0, 1.0)

    def _warnings(self) -> tuple[str, ...]:
        layer, information = self.layer, self.information
        warnings = []
        if self.blank:
            warnings.append(f"Head '{layer.head}' has no scores: {self.blank}.")
        dead = sum(note.startswith("dead") for note in self.notes.values())
        collinear = sum(not note.startswith("dead") for note in self.notes.values())
        if dead or collinear:
            warnings.append(
                f"Head '{layer.head}': {dead} dead and {collinear} collinear components are listed without a score."
            )
        for k, note in self.class_notes.items():
            warnings.append(f"Class '{layer.classes[k]}' of head '{layer.head}' has no scores: {note}.")
        if information.labelled.n and information.unlabelled.n:
            warnings.append(
                f"{information.labelled.n} of {information.n} pixels have a label: robust errors and the effective "
                "sample size rest on these alone."
            )
        if information.labelled.n and not self.blank and self.cluster_count < FEW_CLUSTERS:
            plural = "" if self.cluster_count == 1 else "s"
            warnings.append(
                f"The labelled pixels form {self.cluster_count} cluster{plural}; below {FEW_CLUSTERS} the robust "
                "errors are themselves uncertain, and mostly too small. More scenes help, smaller blocks do not."
            )
        return tuple(warnings)


def _variances(combine: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Return variances (class, 1 + column) of combinations (class, free) of the contrasts."""
    own = covariance[
        :, np.arange(covariance.shape[1]), :, np.arange(covariance.shape[1])
    ]  # (column, free, free)
    return np.maximum(np.einsum("lf,jfg,lg->lj", combine, own, combine), 0.0)


def _wald(weights: np.ndarray, covariance: np.ndarray) -> float:
    """Return the chi-square of weights, NaN where the covariance is singular."""
    inverse = _inverse(0.5 * (covariance + covariance.T))
    return float("nan") if inverse is None else float(np.einsum("a,ab,b->", weights, inverse, weights))


def _number(value: float) -> float | None:
    """Return a Python float, or None where there is no finite number."""
    return float(value) if np.isfinite(value) else None


def _listed(names: Sequence[str]) -> str:
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def summed_strengths(layer: OutputLayer, sums: Sums, members: Sequence[Sequence[int]]) -> np.ndarray:
    r"""Return the strength of summed contributions, as if each were one regressor of weight 1.

    With :math:`C_{kc}=\sum_{j\in c}\beta_{kj}x_j` as the only regressors beside the intercepts,
    :math:`z_c=1/\sqrt{(I^{-1})_{cc}}`. Always positive: how firmly the pixels would fix the size of the
    contribution, not a test.

    Parameters
    ----------
    layer : OutputLayer
        The regression.
    sums : Sums
        Over the pixels.
    members : sequence of sequences of int
        The components of each contribution.

    Returns
    -------
    numpy.ndarray
        (contribution,); NaN where it does not vary or repeats the others.
    """
    q = 1 + len(layer.components)
    reference = layer.outputs - 1 if layer.kind == "softmax" else -1
    free = np.arange(max(layer.outputs - 1, 1))
    kept = _Kept(np.arange(q - 1), free, reference)
    strengths = np.full(len(members), np.nan)
    if not _pooled(sums)[0, 0] > 0:
        return strengths
    information = _contrast_information(layer, sums, kept).reshape(len(free) * q, len(free) * q)
    weights = kept.contrasts_of(layer.weights)
    basis = np.zeros((len(free), q, len(free) + len(members)))
    basis[free, 0, free] = 1.0
    for index, part in enumerate(members):
        basis[:, np.asarray(part, dtype=int) + 1, len(free) + index] = weights[:, part]
    basis = basis.reshape(len(free) * q, -1)
    reduced = product(product(basis.T, information), basis)
    corner = _inverse(reduced[: len(free), : len(free)])
    if corner is None:
        return strengths
    across = reduced[: len(free), len(free) :]
    schur = reduced[len(free) :, len(free) :] - product(product(across.T, corner), across)
    raw = np.diag(reduced)[len(free) :]
    varies = np.flatnonzero(np.diag(schur) > _ROUNDING * raw)
    inverse = _inverse(schur[np.ix_(varies, varies)]) if varies.size else None
    if inverse is not None:
        strengths[varies] = 1.0 / np.sqrt(np.diag(inverse))
    return strengths
