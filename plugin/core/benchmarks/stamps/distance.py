"""How far a map of relevance is from the stamp.

Scores r of the n values of an image and the mask of the stamp are standardised, z = (r - mean)/sd and e likewise
(population standard deviation). The *distance* is D = ‖z - e‖/√n = √(2 (1 - ρ)), ρ Pearson's correlation of r with the
mask: 0 for the stamp itself, √2 for a map that knows nothing, 2 for its opposite. A constant map has no z; it counts as
√2. After Jung and Kwon 2020, whose distance is not published in detail.

*Overlap*: how many of the k largest |r| lie on the stamp, k its number of values (the precision of XAI-TRIS, Clark et
al. 2024, doi 10.1007/s10994-024-06574-3). *Mass*: Σ|r| on the stamp as a share of Σ|r|. *Proximity*:
1 - Σ|r| d/(Σ|r| d₀), d the distance of a value to the stamp in its channel and d₀ the diagonal of the image, which is
also d in other channels: XAI-TRIS' score by the earth mover's distance for a stamp of one value, and no less than that
score for a larger one.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt

# Maps whose standard deviation is below this share of their largest |r| are constant up to rounding.
CONSTANT = 1e-12
UNINFORMATIVE = float(np.sqrt(2.0))


def is_constant(relevance: np.ndarray) -> bool:
    """Return whether a map (…) has one value up to rounding, or holds values that are not finite."""
    largest = np.abs(relevance).max(initial=0.0)
    return bool(not np.isfinite(largest) or relevance.std() <= CONSTANT * largest)


def distance(relevance: np.ndarray, truth: np.ndarray) -> float:
    """Return D of a map from the stamp; √2 for a constant map.

    Parameters
    ----------
    relevance, truth : numpy.ndarray
        Any one shape; `truth` bool, with values of both kinds.
    """
    if is_constant(relevance):
        return UNINFORMATIVE
    scores, mask = relevance.astype(np.float64).ravel(), truth.astype(np.float64).ravel()
    difference = _standardised(scores) - _standardised(mask)
    return float(np.sqrt(np.mean(difference**2)))


def overlap(relevance: np.ndarray, truth: np.ndarray) -> float:
    """Return the share of the k largest |r| that lie on the stamp; values of 0 do not count."""
    sizes, number = np.abs(relevance).ravel(), int(truth.sum())
    largest = np.argpartition(sizes, -number)[-number:]
    return float((truth.ravel()[largest] & (sizes[largest] > 0)).mean())


def mass(relevance: np.ndarray, truth: np.ndarray) -> float:
    """Return Σ|r| on the stamp as a share of Σ|r|; NaN for an empty map."""
    total = np.abs(relevance).sum()
    return float(np.abs(relevance[truth]).sum() / total) if total > 0 else float("nan")


def proximity(relevance: np.ndarray, truth: np.ndarray) -> float:
    """Return 1 - the mean distance of |r| to the stamp over the diagonal; NaN for an empty map.

    Parameters
    ----------
    relevance, truth : numpy.ndarray
        (channel, row, column); in a channel without a stamp every value is a diagonal away.
    """
    total = np.abs(relevance).sum()
    if not total > 0:
        return float("nan")
    diagonal = max(float(np.hypot(truth.shape[1] - 1, truth.shape[2] - 1)), 1.0)
    away = np.stack(
        [distance_transform_edt(~plane) if plane.any() else np.full(plane.shape, diagonal) for plane in truth]
    )
    return float(1.0 - (np.abs(relevance) * away).sum() / (total * diagonal))


def _standardised(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()
