"""How well maps agree with exact contributions: a correlation a sample, over its inputs.

As in Mamalakis, Ebert-Uphoff and Barnes 2022 (doi 10.1017/eds.2022.7): methods that tell for from against are compared
with C. Those that do not are compared with |C|, and with what speaks for the prediction: C⁺, and where the
prediction is negative the map changes its sign and is compared with (-C)⁺.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import rankdata

SIGNED, ABSOLUTE, POSITIVE = "contributions", "absolute", "positive"

Correlation = Callable[[np.ndarray, np.ndarray], np.ndarray]


def pearson(maps: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return Pearson's r of each sample, (sample,), of arrays (sample, input); NaN where one of them is constant."""
    left, right = (values - values.mean(1, keepdims=True) for values in (maps, truth))
    # What rounding leaves of a constant is no variance.
    known = [
        np.abs(part).max(1) > 1e-12 * np.abs(values).max(1) for part, values in ((left, maps), (right, truth))
    ]
    sizes = np.sqrt((left**2).sum(1)) * np.sqrt((right**2).sum(1))
    known_both = known[0] & known[1] & (sizes > 0)
    return np.divide((left * right).sum(1), sizes, out=np.full(len(maps), np.nan), where=known_both)


def spearman(maps: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return Spearman's ρ of each sample: Pearson's r of ranks, ties at their mean rank."""
    return pearson(rankdata(maps, axis=1), rankdata(truth, axis=1))


def agreement(
    maps: np.ndarray,
    contributions: np.ndarray,
    predictions: np.ndarray,
    signed: bool,
    correlation: Correlation = pearson,
) -> dict[str, np.ndarray]:
    """Return the correlation of each sample's map with the truth it can show.

    Parameters
    ----------
    maps, contributions : numpy.ndarray
        (sample, input): relevance, and C.
    predictions : numpy.ndarray
        (sample,): what the network gives, of which only the sign counts.
    signed : bool
        Whether the method tells what speaks for from what speaks against.
    correlation : callable
        :func:`pearson` or :func:`spearman`.

    Returns
    -------
    dict
        ``contributions`` of a signed method; ``absolute`` and ``positive`` of others: (sample,) each.
    """
    if signed:
        return {SIGNED: correlation(maps, contributions)}
    sign = np.where(predictions < 0, -1.0, 1.0)[:, None]
    return {
        ABSOLUTE: correlation(np.abs(maps), np.abs(contributions)),
        POSITIVE: correlation(sign * maps, np.maximum(sign * contributions, 0.0)),
    }
