"""Normal inputs at points, and a target that is the mean of a known function of each.

Mamalakis, Ebert-Uphoff and Barnes 2022 (doi 10.1017/eds.2022.7): X ~ N(0, S) with S a correlation of sea surface
temperature, y = (1/d) Σ_i C_i(X_i). The truth of a sample is the vector C.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..normal import covariance_root
from .piecewise import PiecewiseLinear, drawn

ALIKE = 1e-9  # inputs whose correlation is closer to 1 are one
SAMPLES = 100_000


@dataclass(frozen=True)
class Additive:
    """What is known of the samples.

    Parameters
    ----------
    contributions : numpy.ndarray
        (sample, input): C, what each input contributed.
    target : numpy.ndarray
        (sample,): their mean, y.
    """

    contributions: np.ndarray
    target: np.ndarray


@dataclass(frozen=True)
class Points:
    """Normal inputs, and a sum of known functions of them.

    Parameters
    ----------
    covariance : numpy.ndarray
        S, (input, input), without inputs that are one and the same (:func:`merge`).
    functions : PiecewiseLinear, optional
        C; drawn from the seed where none is given.
    number : int
        Samples.
    """

    covariance: np.ndarray
    functions: PiecewiseLinear | None = None
    number: int = SAMPLES

    def samples(self, seed: int) -> tuple[np.ndarray, Additive]:
        """Return inputs (sample, input), float64, and what is true of them."""
        draw = np.random.default_rng([seed, 8])
        root = covariance_root(self.covariance)
        inputs = draw.standard_normal((self.number, len(root))) @ root.T
        contributions = (self.functions or drawn(self.covariance, seed)).contributions(inputs)
        return inputs, Additive(contributions, contributions.mean(1))


def merge(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Merge inputs that are perfectly correlated and vary alike: no method can tell them apart.

    Parameters
    ----------
    covariance : numpy.ndarray
        (input, input).

    Returns
    -------
    covariance : numpy.ndarray
        Of the inputs that remain, in their order.
    groups : numpy.ndarray
        (input,), int: which of the remaining inputs each one is.
    """
    variances = np.diag(covariance)
    differ = variances[:, None] + variances[None] - 2 * covariance  # variance of the difference
    alike = differ <= 2 * ALIKE * np.maximum(variances[:, None], variances[None])
    first = alike.argmax(1)  # the first that is alike, itself at the latest
    kept, groups = np.unique(first, return_inverse=True)
    return covariance[np.ix_(kept, kept)], groups
