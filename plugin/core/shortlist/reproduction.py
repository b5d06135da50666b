r"""How well the first k components of an order reproduce the logits, for k = 0 … all.

With β the weights of a logit, C the covariance of the components and T those that are left out, the part that is
missing is :math:`\beta_T^T x_T`. Where T stands at its mean, :math:`R^2=1-\beta_T^TC_{TT}\beta_T/\beta^TC\beta`; where
it is set to zero, the squared mean of the missing part is lost too. R² can be negative, and can fall when a component
comes in whose part another one cancels. Weights of the kept ones fitted anew to the logit give the R² of a
regression, which never falls.

Of several logits only their differences make the map: weights are centred over the classes, and sums of squares added
up over them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .moments import Moments

SUFFICIENT = 0.99
"""What a short list must reproduce: of the variance of the logits, or of the skill of all components."""
_REPEATED = 1e-10  # part of a component's variance that earlier ones leave: below it, it repeats them


@dataclass(frozen=True, eq=False)
class Reproduction:
    """R² of the logits for the first k components of an order.

    Parameters
    ----------
    at_mean, at_zero : numpy.ndarray
        (m + 1,): with the others at their mean, and at zero; NaN where the logits do not vary.
    refitted : numpy.ndarray
        (m + 1,): with the weights of the kept ones fitted to the logits.
    """

    at_mean: np.ndarray
    at_zero: np.ndarray
    refitted: np.ndarray


def reproduction(moments: Moments, weights: np.ndarray, order: np.ndarray) -> Reproduction:
    """Return how well the first components of an order reproduce the logits.

    Parameters
    ----------
    moments : Moments
        Of the m components.
    weights : numpy.ndarray
        (output, m).
    order : numpy.ndarray
        (m,), positions of the components, most important first.
    """
    beta = centred(weights)[:, order]
    covariance = moments.covariance[np.ix_(order, order)]
    # Of class c the parts of two components share beta_ci C_ij beta_cj; the classes are added up.
    shared = (beta.T @ beta) * covariance
    total = float(shared.sum())
    missing = _of_the_rest(shared)
    offset = np.zeros((len(beta), len(order) + 1))
    offset[:, :-1] = np.cumsum((beta * moments.mean[order])[:, ::-1], axis=1)[:, ::-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        at_mean = 1.0 - missing / total
        at_zero = 1.0 - (missing + np.square(offset).sum(axis=0)) / total
        refitted = _explained(covariance, covariance @ beta.T) / total
    if not total > 0:
        at_mean, at_zero, refitted = (np.full(len(order) + 1, np.nan) for _ in range(3))
    return Reproduction(at_mean, at_zero, refitted)


def suffices(curve: np.ndarray, needed: float = SUFFICIENT) -> int | None:
    """Return the smallest k from which on a curve stays at `needed` or above; None where its end lies below.

    Parameters
    ----------
    curve : numpy.ndarray
        (m + 1,): what the first k components reach, for k = 0 … m.
    needed : float
        What suffices.
    """
    below = np.flatnonzero(~(curve >= needed - 1e-12))
    k = 0 if not len(below) else int(below[-1]) + 1
    return k if k < len(curve) else None


def centred(weights: np.ndarray) -> np.ndarray:
    """Return weights (output, component) less their mean over the outputs; those of a single output as they are."""
    weights = np.asarray(weights, np.float64)
    return weights - weights.mean(axis=0) if len(weights) > 1 else weights


def _of_the_rest(shared: np.ndarray) -> np.ndarray:
    """Return for k = 0 … m the sum of a matrix (m, m) over what lies behind the first k rows and columns."""
    m = len(shared)
    sums = np.zeros(m + 1)
    for k in range(m - 1, -1, -1):
        sums[k] = sums[k + 1] + shared[k, k] + 2.0 * shared[k, k + 1 :].sum()
    return np.maximum(sums, 0.0)


def _explained(covariance: np.ndarray, with_logits: np.ndarray) -> np.ndarray:
    """Return for k = 0 … m what the first k components explain of the logits, summed over these.

    Parameters
    ----------
    covariance : numpy.ndarray
        (m, m), in order.
    with_logits : numpy.ndarray
        (m, output): covariance of each component with each logit.
    """
    rest, left = covariance.copy(), with_logits.copy()
    gained = np.zeros(len(covariance) + 1)
    for k in range(len(covariance)):
        # Each component less what the ones before explain of it: its own part is new.
        pivot = rest[k, k]
        if pivot > _REPEATED * covariance[k, k] and covariance[k, k] > 0:
            gained[k + 1] = float(np.square(left[k]).sum()) / pivot
            share = rest[k + 1 :, k] / pivot
            left[k + 1 :] -= share[:, None] * left[k]
            rest[k + 1 :, k + 1 :] -= np.outer(share, rest[k, k + 1 :])
    return np.cumsum(gained)
