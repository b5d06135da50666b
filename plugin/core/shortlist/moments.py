"""Mean and covariance of components: all that tells how much of a logit some of them carry.

The logit is linear in the components, so no pixel has to be seen again: sums of products over the pixels suffice, as a
state of Z-scores holds them, where each pixel counts by p(1-p).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..streaming.products import gram


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and covariance of m components over pixels.

    Parameters
    ----------
    mean : numpy.ndarray
        (m,), float64.
    covariance : numpy.ndarray
        (m, m), float64: mean product of the distances from `mean`.
    """

    mean: np.ndarray
    covariance: np.ndarray

    @classmethod
    def of_sums(cls, sums: np.ndarray) -> Moments:
        """Return the moments from sums of products.

        Parameters
        ----------
        sums : numpy.ndarray
            (1 + m, 1 + m): sum of w x xᵀ over pixels, x the components with a 1 before them, w the weight of a pixel.

        Raises
        ------
        ValueError
            If the weights add up to nothing.
        """
        if not sums[0, 0] > 0:
            raise ValueError("the weights of all pixels are zero")
        mean = sums[0, 1:] / sums[0, 0]
        return cls(mean, sums[1:, 1:] / sums[0, 0] - np.outer(mean, mean))

    @classmethod
    def of_values(cls, components: np.ndarray) -> Moments:
        """Return the moments of components (pixel, component), every pixel counted alike."""
        values = np.asarray(components, np.float64)
        mean = values.mean(axis=0)
        return cls(mean, gram(values - mean) / len(values))
