r"""How far the weights of an output layer are from those that fit the labels best.

A score is weight over error of a *fitted* weight. A trained weight need not be one: training that stops
early leaves many where their random start put them. With labels the Newton step from the trained weights
towards the fit tells how far they are; its size in standard errors stays near 1 for fitted weights.
"""

from __future__ import annotations

import numpy as np

from .covariance import variances_of
from .estimates import Estimation

FITTED = 3.0  # standard errors: a larger distance is no fit
MOST_CHANGED = 0.5  # of the size of the scores, by the step towards a fit
CLUSTERS = 10  # fewer let the root mean square of robust t-values wander


def fit_distance(fit: Estimation) -> float | None:
    """Return the root mean square over the weights of the Newton step towards the fit, in standard errors.

    The errors are the robust ones where at least :data:`CLUSTERS` clusters stand behind them, else the
    naive ones times the root of the dispersion. From 0 on; None without labels, or where labels do not
    determine the weights.
    """
    sizes = _sizes(fit)
    return None if sizes is None else sizes[0]


def weights_fitted(fit: Estimation) -> bool | None:
    """Return whether the weights are a fit of the labels; None where that is not known.

    It is not where labels are too few to tell weights from chance: the step is then no more than a few errors,
    but changes the scores by more than :data:`MOST_CHANGED` of their size.
    """
    sizes = _sizes(fit)
    if sizes is None:
        return None
    distance, scores = sizes
    if distance > FITTED:
        return False
    return True if distance <= MOST_CHANGED * scores else None


def _sizes(fit: Estimation) -> tuple[float, float] | None:
    """Return the root mean squares of steps and of weights, in standard errors."""
    estimate = fit.estimate
    if estimate is None or estimate.naive_labelled is None or not fit.information.labelled.n:
        return None
    centring = estimate.kept.centring()
    shift = centring @ np.einsum("fagb,gb->fa", estimate.naive_labelled, fit.total_score())
    if estimate.robust is not None and fit.cluster_count >= CLUSTERS:
        variance = variances_of(centring, estimate.robust)
    else:
        scale = fit.error_variance if fit.layer.kind == "linear" else fit.dispersion
        if not scale:
            return None
        variance = scale * variances_of(centring, estimate.naive_labelled)
    known = variance[:, 1:] > 0
    if not known.any():
        return None
    found = []
    for values in (shift, centring @ estimate.weights):
        ratio = np.square(values[:, 1:][known]) / variance[:, 1:][known]
        found.append(float(np.sqrt(ratio.mean())))
    return (found[0], found[1]) if np.isfinite(found).all() else None
