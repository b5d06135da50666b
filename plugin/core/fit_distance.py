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
CLUSTERS = 10  # fewer let the root mean square of robust t-values wander


def fit_distance(fit: Estimation) -> float | None:
    """Return the root mean square over the weights of the Newton step towards the fit, in standard errors.

    The errors are the robust ones where at least :data:`CLUSTERS` clusters stand behind them, else the
    naive ones times the root of the dispersion. From 0 on; None without labels, or where labels do not
    determine the weights.
    """
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
    steps = shift[:, 1:][variance[:, 1:] > 0] / np.sqrt(variance[:, 1:][variance[:, 1:] > 0])
    distance = float(np.sqrt(np.mean(np.square(steps)))) if steps.size else np.nan
    return distance if np.isfinite(distance) else None


def weights_fitted(fit: Estimation) -> bool | None:
    """Return whether the weights are a fit of the labels; None where that is not known."""
    distance = fit_distance(fit)
    return None if distance is None else distance <= FITTED
