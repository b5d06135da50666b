"""How a map behaves, in one number a sample: formulas on arrays, each from its paper.

Maps R and inputs x are (sample, input), float64, with any further axes flattened. A number that is not defined is NaN:
a correlation with what is constant, or a change relative to an empty map.

- randomisation: Adebayo et al. 2018, arXiv 1810.03292: Spearman's ρ of |R| and |Q|, Q of random weights
- relative_change: Yeh et al. 2019, arXiv 1901.09392 (there without the division): ‖Q - R‖ / ‖R‖, Q of a noisy input, or
  from another baseline
- infidelity: ibid., definition 2.1: E[(Iᵀφ - (f(x) - f(x - I)))²] over perturbations I
- faithfulness_correlation: Bhatt et al. 2020, arXiv 2005.00631: corr_S(Σ_S R, f(x) - f(x with S at its baseline))
- sparseness: Chalasani et al. 2020, arXiv 1810.06583: Gini index of |R|

φ is a slope; of a method that shares out the logit, R_i = φ_i (x_i - b_i), and so Iᵀφ = Σ_S R where I sets the inputs S
to their baseline b.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

_NOTHING = 1e-12  # a part of the largest value that rounding leaves


def correlation(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return Pearson's r of each sample, (sample,), of two arrays (sample, value); NaN where one is constant."""
    parts = [values - values.mean(1, keepdims=True) for values in (left, right)]
    known = [
        np.abs(part).max(1) > _NOTHING * np.abs(values).max(1) for part, values in zip(parts, (left, right))
    ]
    sizes = np.sqrt((parts[0] ** 2).sum(1)) * np.sqrt((parts[1] ** 2).sum(1))
    return _divided((parts[0] * parts[1]).sum(1), np.where(known[0] & known[1], sizes, 0.0))


def randomisation(maps: np.ndarray, untrained: np.ndarray) -> np.ndarray:
    """Return Spearman's ρ of |R| and that of a network with random weights, (sample,)."""
    return correlation(*(rankdata(np.abs(values), axis=1) for values in (maps, untrained)))


def relative_change(maps: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """Return ‖Q - R‖ / ‖R‖, (sample,)."""
    return _divided(np.linalg.norm(changed - maps, axis=1), np.linalg.norm(maps, axis=1))


def infidelity(predicted: np.ndarray, lost: np.ndarray) -> np.ndarray:
    """Return the mean of (Iᵀφ - (f(x) - f(x - I)))² over perturbations, (sample,).

    Parameters
    ----------
    predicted, lost : numpy.ndarray
        (sample, perturbation): Iᵀφ, and f(x) - f(x - I).
    """
    return ((predicted - lost) ** 2).mean(1)


def relative_infidelity(predicted: np.ndarray, lost: np.ndarray) -> np.ndarray:
    """Return :func:`infidelity` over that of a map of zeros, (sample,): it does not depend on the logit's scale."""
    return _divided(infidelity(predicted, lost), (lost**2).mean(1))


def faithfulness_correlation(summed: np.ndarray, lost: np.ndarray) -> np.ndarray:
    """Return Pearson's r over sets of inputs of Σ_S R and what the network loses without them, (sample,).

    Parameters
    ----------
    summed, lost : numpy.ndarray
        (sample, set).
    """
    return correlation(summed, lost)


def sparseness(maps: np.ndarray) -> np.ndarray:
    """Return the Gini index of |R|, (sample,): Σ_k (2k - n - 1) |R|_(k) / (n Σ|R|), sizes in rising order."""
    sizes = np.sort(np.abs(maps), axis=1)
    number = sizes.shape[1]
    weights = 2.0 * np.arange(1, number + 1) - number - 1
    return _divided(sizes @ weights, number * sizes.sum(1))


def _divided(values: np.ndarray, by: np.ndarray) -> np.ndarray:
    return np.divide(values, by, out=np.full(len(values), np.nan), where=by > 0)
