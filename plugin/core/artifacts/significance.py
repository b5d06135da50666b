"""P-values by rank, their correction for many tests or many pixels, and rank correlation.

A statistic is ranked among values of the same statistic that are exchangeable with it where there is nothing to
find: p = (1 + number of reference values at least as large)/(1 + number of reference values). Such a p-value is
uniform on its grid, or stochastically larger where there are ties, whatever the distribution (Phipson and Smyth 2010,
doi 10.2202/1544-6115.1585).

*Many tests*: Holm (1979), valid under any dependence. *Many pixels*: Benjamini and Hochberg (1995). Neighbouring
pixels depend on each other positively, since they share inputs; under such dependence (Benjamini and Yekutieli 2001,
theorem 1.2) the procedure keeps its level. The correction for arbitrary dependence of the same paper would divide the
level by the sum of 1/k, about 12 for a window, and call next to nothing a fact.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

LEVEL = 0.05
# Share of a window's side that the correlation length of a field may have.
SMOOTH = 0.1


def rank_p(observed: float, reference: np.ndarray) -> float:
    """Return (1 + number of `reference` at least `observed`)/(1 + number of `reference`)."""
    reference = np.asarray(reference, float)
    # Ties up to rounding count against the observed value.
    margin = 1e-12 * max(abs(observed), float(np.abs(reference).max(initial=0.0)))
    return float((1 + np.count_nonzero(reference >= observed - margin)) / (1 + len(reference)))


def largest_standardised(statistics: np.ndarray) -> np.ndarray:
    """Return the largest of several statistics, each standardised over all replicates.

    Parameters
    ----------
    statistics : numpy.ndarray
        (replicate, statistic). The observed value is one of the replicates and is treated like all others, so that
        the maximum is exchangeable where the rows are.

    Returns
    -------
    numpy.ndarray
        (replicate,); a statistic that is the same in all replicates takes no part.
    """
    values = np.asarray(statistics, float)
    spread = values.std(axis=0)
    usable = spread > 1e-12 * np.abs(values).max(axis=0, initial=0.0)
    if not usable.any():
        return np.zeros(len(values))
    values = values[:, usable]
    return ((values - values.mean(axis=0)) / spread[usable]).max(axis=1)


def holm(p_values: np.ndarray) -> np.ndarray:
    """Return p-values adjusted for the family-wise error (Holm 1979, step-down Bonferroni)."""
    p_values = np.asarray(p_values, float)
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    adjusted = np.minimum(1.0, np.maximum.accumulate(factors * p_values[order]))
    result = np.empty_like(adjusted)
    result[order] = adjusted
    return result


def benjamini_hochberg(p_values: np.ndarray) -> np.ndarray:
    """Return p-values adjusted for the false discovery rate (Benjamini and Hochberg 1995).

    Parameters
    ----------
    p_values : numpy.ndarray
        Any shape; NaN takes no part and stays NaN.
    """
    p_values = np.asarray(p_values, float)
    result = np.full(p_values.shape, np.nan)
    known = np.isfinite(p_values)
    given = p_values[known]
    if not len(given):
        return result
    order = np.argsort(given, kind="stable")
    ratios = given[order] * len(given) / np.arange(1, len(given) + 1)
    adjusted = np.minimum(1.0, np.minimum.accumulate(ratios[::-1])[::-1])
    back = np.empty_like(adjusted)
    back[order] = adjusted
    result[known] = back
    return result


def pooled_p(values: np.ndarray, null: np.ndarray) -> np.ndarray:
    """Return the p-value of each of `values` among all of `null`; large values are unusual.

    Parameters
    ----------
    values : numpy.ndarray
        Any shape; NaN stays NaN.
    null : numpy.ndarray
        Values under the null hypothesis, of which each is distributed as any of `values` would be; those that are
        not finite take no part.
    """
    reference = np.sort(null[np.isfinite(null)], axis=None)
    above = len(reference) - np.searchsorted(reference, values, side="left")
    return np.where(np.isfinite(values), (1.0 + above) / (1.0 + len(reference)), np.nan)


def repeats_needed(p_values: np.ndarray, references: int, repeats: int, level: float = LEVEL) -> float:
    """Return how many draws would give a q-value of `level` if all were like these; infinite where none.

    Of m p-values the k-th, above which a of n null values lie, has a q-value of m(1 + a)/(k(1 + n)). With more draws
    a and n grow alike, and the 1 loses its weight.

    Parameters
    ----------
    p_values : numpy.ndarray
        Of :func:`pooled_p`; NaN takes no part.
    references, repeats : int
        How many null values there were, of how many draws.
    level : float
        Of the false discovery rate.
    """
    given = np.sort(p_values[np.isfinite(p_values)])
    if not len(given):
        return float("inf")
    above = np.round(given * (1 + references)) - 1
    room = level * np.arange(1, len(given) + 1) * references / len(given) - above
    return float(np.ceil(repeats / room.max() - 1e-9)) if room.max() > 0 else float("inf")


def smooth(maps: np.ndarray) -> bool:
    """Return whether fields are too smooth for their windows to be compared with fields that are moved around.

    They are where values a tenth of the window's side apart still have a correlation of one half or more, along rows
    or columns. Such a window holds few independent values: of Gaussian fields of a correlation length of a quarter of
    the side 15 to 20 % were called significant at a level of 5 %.

    Parameters
    ----------
    maps : numpy.ndarray
        (..., row, column), finite.
    """
    maps = maps - maps.mean(axis=(-2, -1), keepdims=True)
    size = float((maps**2).mean())
    if size <= 0:
        return False
    lag = max(1, round(min(maps.shape[-2:]) * SMOOTH))
    down = float((maps[..., lag:, :] * maps[..., :-lag, :]).mean())
    across = float((maps[..., lag:] * maps[..., :-lag]).mean())
    return max(down, across) >= 0.5 * size


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return Spearman's rank correlation where both are finite; 0 where one of them does not vary."""
    known = np.isfinite(first) & np.isfinite(second)
    if np.count_nonzero(known) < 3:
        return 0.0
    a, b = rankdata(first[known]), rankdata(second[known])
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0
