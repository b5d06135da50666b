"""How well maps agree with exact contributions: correlations of each sample, over its inputs.

As in Mamalakis, Ebert-Uphoff and Barnes 2022 (doi 10.1017/eds.2022.7): methods that say what speaks for and what
against are compared with C. Those that do not are compared with |C|, and with what speaks for the prediction: C⁺, and
where the prediction is negative the map changes its sign and is compared with (-C)⁺.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import rankdata

from ....ground.rankings import Measure

Correlation = Callable[[np.ndarray, np.ndarray], np.ndarray]

MEASURES = (
    Measure(
        "pearson",
        "Pearson's r with the contributions",
        "higher",
        0.0,
        1.0,
        "Correlation of a map with C over the inputs of a sample.",
    ),
    Measure(
        "spearman",
        "Spearman's ρ with the contributions",
        "higher",
        0.0,
        1.0,
        "Correlation of the ranks of a map with those of C.",
    ),
    Measure(
        "pearson_absolute",
        "Pearson's r of sizes",
        "higher",
        0.0,
        1.0,
        "Correlation of |map| with |C|: for methods that do not tell for from against.",
    ),
    Measure("spearman_absolute", "Spearman's ρ of sizes", "higher", 0.0, 1.0, "The same, of ranks."),
    Measure(
        "pearson_positive",
        "Pearson's r with what speaks for the prediction",
        "higher",
        0.0,
        1.0,
        "Correlation of what speaks for the prediction in a map with C⁺; where the prediction is negative, of what "
        "speaks against with (-C)⁺.",
    ),
    Measure(
        "spearman_positive",
        "Spearman's ρ with what speaks for the prediction",
        "higher",
        0.0,
        1.0,
        "The same, of ranks.",
    ),
)


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


def agreement(maps: np.ndarray, contributions: np.ndarray, predictions: np.ndarray) -> dict[str, np.ndarray]:
    """Return how well each sample's map agrees with what is true of it, by each of :data:`MEASURES`.

    Parameters
    ----------
    maps, contributions : numpy.ndarray
        (sample, input): relevance, and C.
    predictions : numpy.ndarray
        (sample,): what the network gives, of which only the sign counts.

    Returns
    -------
    dict
        Word of a measure → (sample,).
    """
    sign = np.where(predictions < 0, -1.0, 1.0)[:, None]
    pairs = {
        "": (maps, contributions),
        "_absolute": (np.abs(maps), np.abs(contributions)),
        "_positive": (np.maximum(sign * maps, 0.0), np.maximum(sign * contributions, 0.0)),
    }
    return {
        f"{name}{ending}": correlation(*pair)
        for ending, pair in pairs.items()
        for name, correlation in (("pearson", pearson), ("spearman", spearman))
    }
