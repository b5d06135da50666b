r"""How far the weights of an output layer are from those that fit the labels best.

A score is weight over error of a *fitted* weight. A trained weight need not be one: training that stops
early leaves many where their random start put them. With labels the Newton step from the trained weights
towards the fit tells how far they are. It is measured jointly for each sensor, with the errors that clusters
allow: single weights of components that say the same have large errors, which would hide any distance.

Blocks hardly wider than the reach of what makes neighbours depend on each other are no independent clusters: errors
made of them are too small. What blocks of a size L miss lies along their edges, so that variances approach their
limit as 1/L. Two sizes of the ladder (:mod:`.clusters`) tell the limit, and how many independent blocks would say
as much.

Weights fitted to other pixels of the same kind, r times fewer than here, lie at a distance of about
:math:`\sqrt{1+r}`; scores of weights without effect then scatter by :math:`\sqrt r` instead of 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from .estimation.covariance import inverse_of, sandwich, variances_of
from .estimation.estimates import Estimate, Estimation
from .estimation.tails import log10_p_f
from .sums.clusters import block_size_of

FITTED = 1.5  # standard errors: scores of weights at a larger distance scatter too far for p-values
CHANCE = -3.0  # log10 p from which on a larger distance is no chance
MOST_CHANGED = 0.5  # of the size of the scores, by the step towards a fit
SMALLER = 0.75  # of the size of blocks: those of a size that shows how variances grow with it
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

    They are none where a sensor lies farther than :data:`FITTED`, and not by chance. They are one where all weights
    together lie no farther, unless the labels cannot tell them from chance: the step then changes the scores by more
    than :data:`MOST_CHANGED` of their size.
    """
    steps = _steps(fit)
    if steps is None:
        return None
    if any(step.distance > FITTED and step.log10_p < CHANCE for step in steps):
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

    Each size of the ladder from the chosen one on, of which there are enough blocks, tells a limit together with the
    next smaller size. The largest limit counts, and the fewest blocks. None without errors; clusters that are no blocks
    stay as they are.
    """
    clusters = fit.information.labels.clusters
    chosen, wide = block_size_of(fit.clustering or ""), widening(fit)
    if wide is None:
        return None
    if chosen is None:
        return wide, float(fit.cluster_count)
    limit, independent = wide, float(fit.cluster_count)
    sizes = {size: name for name in clusters if (size := block_size_of(name)) is not None}
    found = {chosen: wide}

    def widened(size: float) -> float:
        if size not in found:
            sums, n = clusters[sizes[size]], fit.information.labelled.n
            robust = sandwich(fit.fitted.labelled, fit.fitted.kept, fit.layer, sums, n)
            found[size] = _widened(fit.fitted, robust) or 0.0
        return found[size]

    for size, name in sizes.items():
        smaller = [each for each in sizes if each <= SMALLER * size]
        if size < chosen or clusters[name].count < CLUSTERS or not smaller:
            continue
        half = max(smaller)
        own = (size * widened(size) - half * widened(half)) / (size - half)
        limit = max(limit, own)
        independent = min(
            independent, clusters[name].count * min(1.0, widened(size) / own if own > 0 else 1.0)
        )
    return limit, independent


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
    found = []
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
        found.append(_Step(float(np.sqrt(squares[0])), float(np.sqrt(squares[1])), log10_p))
    return found or None
