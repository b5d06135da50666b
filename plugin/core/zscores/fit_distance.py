r"""How far the weights of an output layer are from those that fit the labels best.

A score is weight over error of a *fitted* weight. A trained weight need not be one: training that stops
early leaves many where their random start put them. With labels the Newton step from the trained weights
towards the fit tells how far they are. It is measured jointly for each sensor, with the errors that clusters
allow: single weights of components that say the same have large errors, which would hide any distance.

Blocks hardly wider than the reach of what makes neighbours depend on each other are no independent clusters: errors
made of them are too small. What blocks of a size L miss lies along their edges, so that variances approach their
limit as 1/L. Two sizes of the ladder (:mod:`.clusters`) tell the limit, and how many independent blocks would say
as much.

Where blocks are no wider than that reach, few of them count, and the test of all weights at once hardly ever decides.
One direction tells most then: that of the weights themselves. Of a fit the labels ask for no change along it. Weights
that are no fit at all map the labels worse than a constant does, and the step along them reverses them.

Weights fitted to other pixels of the same kind, r times fewer than here, lie at a distance of about
:math:`\sqrt{1+r}`; scores of weights without effect then scatter by :math:`\sqrt r` instead of 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from scipy import special

from .estimation.covariance import contrast_information, inverse_of, sandwich, variances_of
from .estimation.estimates import Estimate, Estimation
from .estimation.tails import log10_p_f
from .sums.cluster_sums import ClusterSums
from .sums.clusters import SCENES, block_size_of

FITTED = 1.5  # standard errors: scores of weights at a larger distance scatter too far for p-values
CHANCE = -3.0  # log10 p from which on a larger distance is no chance
MOST_CHANGED = 0.5  # of the size of the scores, by the step towards a fit
SMALLER = 0.75  # of the size of blocks: those of a size that shows how variances grow with it
REVERSED = -1.0  # step along the weights, as a share of them, that takes more than all of them away
REVERSED_CHANCE = np.log10(0.05)  # log10 p of such a step
CLUSTERS = 10  # fewer tell nothing about how far labels scatter


def fit_distance(fit: Estimation) -> float | None:
    r"""Return the size of the Newton step towards the fit, in standard errors, of the sensor where it is largest.

    With s the step of the d weights of a sensor and C their covariance, it is :math:`\sqrt{s^TC^{-1}s/d}`: 1 on
    average where the labels follow from the weights. C is the naive covariance of the labelled pixels, times
    the median over all weights of robust over naive variance.

    Returns
    -------
    float or None
        From 0 on. None without labels, with fewer than :data:`CLUSTERS` clusters, where labels do not determine the
        weights, and where no pixel is labelled with a class that the network predicts.
    """
    steps = _steps(fit)
    return None if steps is None else max(step.distance for step in steps)


def weights_fitted(fit: Estimation) -> bool | None:
    """Return whether the weights are a fit of the labels; None where that is not known.

    They are none where a sensor lies farther than :data:`FITTED`, and not by chance, or where they map the labels worse
    than a constant (:func:`_reversed`). They are one where all weights together lie no farther, unless the labels
    cannot tell them from chance: the step then changes the scores by more than :data:`MOST_CHANGED` of their size.
    """
    steps = _steps(fit)
    if steps is None:
        return None
    if any(step.distance > FITTED and step.log10_p < CHANCE for step in steps):
        return False
    if _reversed(fit):
        return False
    whole = steps[-1]
    return True if whole.distance <= min(FITTED, MOST_CHANGED * whole.scores) else None


def naive_tests(fit: Estimation) -> bool:
    """Return whether naive errors, those of all pixels, give p-values.

    The distance from a fit is known of the labelled pixels. Where they are fewer than the others, naive errors are so
    much smaller than those the distance was measured in that weights without effect would pass for large.
    """
    return bool(weights_fitted(fit)) and fit.information.labelled.n >= fit.information.unlabelled.n


def widening(fit: Estimation) -> float | None:
    """Return the median over all weights of robust over naive variance, of the labelled pixels; None without errors.

    The naive variance is that for unit error variance.
    """
    estimate = fit.estimate
    return None if estimate is None or estimate.robust is None else _widened(estimate, estimate.robust)


def widening_of_wide_blocks(fit: Estimation) -> tuple[float, float] | None:
    """Return what :func:`widening` tends to for wide blocks, and how many independent blocks would say as much.

    None without errors; clusters that are no blocks stay as they are.
    """
    chosen, wide = block_size_of(fit.clustering or ""), widening(fit)
    if wide is None:
        return None
    if chosen is None:
        return wide, float(fit.cluster_count)
    n = fit.information.labelled.n

    def widened(sums: ClusterSums) -> float:
        robust = sandwich(fit.fitted.labelled, fit.fitted.kept, fit.layer, sums, n)
        return _widened(fit.fitted, robust) or 0.0

    return _of_wide_blocks(fit, chosen, widened, wide)


def _of_wide_blocks(
    fit: Estimation, chosen: float, variance_by: Callable[[ClusterSums], float], of_chosen: float
) -> tuple[float, float]:
    """Return what a variance tends to for wide blocks, and how many independent blocks would say as much.

    Each size of the ladder from the chosen one on, of which there are enough blocks, tells a limit together with the
    next smaller size; whole scenes, where there are enough of them, tell it themselves. The largest limit counts, and
    the fewest blocks.

    Parameters
    ----------
    fit : Estimation
        Whose clusters.
    chosen : float
        Size of the blocks that were chosen, km.
    variance_by : callable
        Returns the variance that sums over clusters tell.
    of_chosen : float
        The variance of the chosen blocks.
    """
    clusters = fit.information.labels.clusters
    limit, independent = of_chosen, float(fit.cluster_count)
    sizes = {size: name for name in clusters if (size := block_size_of(name)) is not None}
    by_size = {chosen: of_chosen}

    def variance(size: float) -> float:
        if size not in by_size:
            by_size[size] = variance_by(clusters[sizes[size]])
        return by_size[size]

    for size, name in sizes.items():
        smaller = [each for each in sizes if each <= SMALLER * size]
        if size < chosen or clusters[name].count < CLUSTERS or not smaller:
            continue
        half = max(smaller)
        own = (size * variance(size) - half * variance(half)) / (size - half)
        limit = max(limit, own)
        independent = min(
            independent, clusters[name].count * min(1.0, variance(size) / own if own > 0 else 1.0)
        )
    if SCENES in clusters and clusters[SCENES].count >= CLUSTERS:
        limit = max(limit, variance_by(clusters[SCENES]))
        independent = min(independent, fit.cluster_count * of_chosen / limit if limit > 0 else independent)
    return limit, independent


def _reversed(fit: Estimation) -> bool:
    r"""Return whether the weights map the labels worse than a constant, and the labels ask to reverse them.

    With v the weights, each intercept moved so that the mean prediction stays, U the score and I the information, the
    step along v is :math:`v^TU/v^TIv`, its variance :math:`v^TBv/(v^TIv)^2` with the sums B over wide blocks.
    """
    estimate, clusters = fit.fitted, fit.information.labels.clusters
    chosen = block_size_of(fit.clustering or "")
    kept, own = estimate.kept, clusters.get(fit.clustering or "")
    if own is None:
        return False
    information = contrast_information(fit.layer, fit.information.labelled, kept)
    corner = inverse_of(information[:, 0, :, 0])
    if corner is None:
        return False
    along = estimate.weights.copy()
    along[:, 0] = 0.0
    along[:, 0] = -corner @ np.einsum("fgb,gb->f", information[:, 0], along)
    score = fit.total_score()
    asked = float((along * score).sum())
    size = float(np.einsum("fa,fagb,gb->", along, information, along))
    if not size > 0 or asked > REVERSED * size or not _worse_than_constant(fit, score[:, 0], corner):
        return False
    at = (kept.free[:, None] * (1 + len(fit.layer.components)) + np.append(0, kept.columns + 1)).ravel()

    def variance_by(sums: ClusterSums) -> float:
        v, total = along.ravel(), sums.total[at]
        spread = v @ sums.outer[np.ix_(at, at)] @ v - (v @ total) ** 2 / sums.count
        return float(spread) * sums.count / (sums.count - 1)

    variance, independent = variance_by(own), float(own.count)
    if chosen is not None:
        variance, independent = _of_wide_blocks(fit, chosen, variance_by, variance)
    if not variance > 0 or independent <= 1:
        return False
    return float(log10_p_f(asked**2 / variance, 1, independent - 1)) < REVERSED_CHANCE


def _worse_than_constant(fit: Estimation, score: np.ndarray, corner: np.ndarray) -> bool:
    """Return whether the labels are likelier under their own mean than under the map, its intercepts fitted.

    Parameters
    ----------
    fit : Estimation
        Weights and sums.
    score : numpy.ndarray
        (free,): of the intercepts.
    corner : numpy.ndarray
        (free, free): inverse of the intercepts' information.
    """
    information, layer = fit.information, fit.layer
    if layer.kind == "linear":
        return True  # the likelihood is a parabola along the weights: a step beyond half of them says so
    n = information.labelled.n
    shares = (information.labels.score[:, 0] + information.labelled.means) / n
    shares = np.append(shares, 1.0 - shares) if layer.kind == "sigmoid" else shares
    constant = n * float(special.xlogy(shares, np.maximum(shares, 0.0)).sum())
    fitted = information.labels.fit
    gain = 0.5 * float(score @ corner @ score)
    # Where predictions saturate, a step made of their information gains anything at all.
    if layer.kind == "sigmoid":
        predicted = float(information.labelled.means[0]) / n
        gain = min(gain, n * most_gained(float(shares[0]), predicted, fitted.variance / n))
    elif fitted.log_likelihood + gain > 0:  # likelier than certain: what the step gains a constant map counts
        gain = n * float(special.rel_entr(shares, information.labelled.means / n).sum())
    return constant > fitted.log_likelihood + gain


def most_gained(labelled: float, predicted: float, variance: float) -> float:
    r"""Return the most that moving the intercept of a sigmoid can add to the mean log-likelihood.

    Moved by d it adds :math:`d\bar y-E\log(1+p(e^d-1))`. Of all predictions with the mean m and the mean square s
    that is largest for a share :math:`w=m^2/s` of them at :math:`x=s/m` and the others at 0 (of d > 0; of d < 0 for
    1 - p and 1 - y), where its maximum is w times the Kullback-Leibler divergence of :math:`\bar y/w` from x.

    Parameters
    ----------
    labelled, predicted : float
        Mean label and mean prediction, 0 to 1.
    variance : float
        Mean of p(1 - p).
    """
    y, p = (labelled, predicted) if labelled >= predicted else (1.0 - labelled, 1.0 - predicted)
    square = max(p - variance, p * p)
    share = p * p / square if square > 0 else 0.0
    if share <= y:
        return float("inf") if share < 1.0 else -float(np.log(p))
    asked, held = y / share, square / p
    return share * float(special.rel_entr(asked, held) + special.rel_entr(1.0 - asked, 1.0 - held))


def _widened(estimate: Estimate, robust: np.ndarray) -> float | None:
    """Return the median over all weights of a robust variance over the naive one; None where it is no number."""
    centring = estimate.kept.centring()
    variance = variances_of(centring, estimate.labelled)[:, 1:]
    known = variance > 0
    if not known.any():
        return None
    wider = float(np.median(variances_of(centring, robust)[:, 1:][known] / variance[known]))
    return wider if np.isfinite(wider) and wider > 0 else None


def missing_classes(fit: Estimation) -> tuple[str, ...]:
    """Return the classes that the network predicts at labelled pixels, but no label has.

    Pixels of such a class are among those without a label: what the others say of its weights is biased.
    """
    predicted = fit.information.labelled.means
    return tuple(fit.layer.classes[k] for k in fit.without_labels() if predicted[k] >= 1.0)


@dataclass(frozen=True)
class _Step:
    distance: float  # size of the step, in standard errors
    scores: float  # size of the weights, in standard errors
    log10_p: float  # that the step is chance


_known: WeakKeyDictionary[Estimation, list[_Step] | None] = (
    WeakKeyDictionary()
)  # each is asked for several times


def _steps(fit: Estimation) -> list[_Step] | None:
    """Return the step of each sensor, that of components without one, and last that of all weights."""
    if fit not in _known:
        _known[fit] = _steps_of(fit)
    return _known[fit]


def _steps_of(fit: Estimation) -> list[_Step] | None:
    estimate = fit.estimate
    if estimate is None or estimate.robust is None or fit.cluster_count < CLUSTERS or missing_classes(fit):
        return None
    naive, kept, limit = estimate.labelled, estimate.kept, widening_of_wide_blocks(fit)
    if limit is None or limit[1] <= 1:
        return None
    wider, independent = limit
    step = np.einsum("fagb,gb->fa", naive, fit.total_score())
    sensors = [group.members for group in fit.layer.groups() if group.kind == "sensor"]
    held = {j for members in sensors for j in members}
    others = tuple(j for j in kept.columns.tolist() if j not in held)
    steps = []
    for members in (*sensors, others, tuple(kept.columns.tolist())):
        at = np.flatnonzero(np.isin(kept.columns, members)) + 1
        freedom = len(kept.free) * len(at)
        if not freedom:
            continue
        inverse = inverse_of(naive[:, at][:, :, :, at].reshape(freedom, freedom))
        if inverse is None:
            return None
        moved, weights = step[:, at].ravel(), estimate.weights[:, at].ravel()
        squares = [float(values @ inverse @ values) / (wider * freedom) for values in (moved, weights)]
        if not np.isfinite(squares).all():
            return None
        log10_p = float(log10_p_f(squares[0], freedom, independent - 1))
        steps.append(_Step(float(np.sqrt(squares[0])), float(np.sqrt(squares[1])), log10_p))
    return steps or None
