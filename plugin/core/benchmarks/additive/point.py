"""Normal inputs at points, and a target that is the mean of a known function of each.

Mamalakis, Ebert-Uphoff and Barnes 2022 (doi 10.1017/eds.2022.7): X ~ N(0, S) with S a correlation of sea surface
temperature, y = (1/d) Σ_i C_i(X_i). The truth of a sample is the vector C.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..normal import covariance_root
from .conditions import Condition, exact, fewer, independent, learned, linear, published
from .generator import Additive
from .networks import DenseLayer
from .piecewise import PiecewiseLinear, drawn

FEWER = 10  # times fewer samples, to see what more of them would bring
ALIKE = 1e-9  # inputs whose correlation is closer to 1 are one


@dataclass(frozen=True)
class Points:
    """Normal inputs, and a sum of known functions of them.

    Parameters
    ----------
    covariance : numpy.ndarray
        S, (input, input), without inputs that are one and the same (:func:`merge`).
    functions : PiecewiseLinear
        C.
    source : str
        Where the covariance comes from, for the report.
    others : tuple of DenseLayer
        A network that somebody else trained on another function of such inputs; scored beside ours.
    reads : tuple of int
        Which inputs that network reads, in its order.
    """

    covariance: np.ndarray
    functions: PiecewiseLinear
    source: str = ""
    others: tuple[DenseLayer, ...] = field(default=(), repr=False)
    reads: tuple[int, ...] = ()

    @classmethod
    def drawn(cls, covariance: np.ndarray, seed: int, source: str = "") -> Points:
        """Return inputs with functions that are drawn from the seed."""
        return cls(covariance, drawn(covariance, seed), source)

    @cached_property
    def root(self) -> np.ndarray:
        """A, (input, input), with A Aᵀ = S."""
        return covariance_root(self.covariance)

    @property
    def about(self) -> tuple[str, ...]:
        """What the samples are."""
        return (
            "Samples are those of Mamalakis, Ebert-Uphoff and Barnes 2022 (doi 10.1017/eds.2022.7): normal inputs, and "
            "a target that is the mean of one piecewise linear function of each, zero at zero. The truth of a sample "
            "is what each input contributed.",
        )

    @property
    def facts(self) -> Mapping[str, object]:
        """Inputs and where their covariance comes from."""
        return {"inputs": len(self.covariance), **({"covariance": self.source} if self.source else {})}

    def samples(self, seed: int, number: int) -> tuple[np.ndarray, Additive]:
        """Return inputs (sample, input), float64, and what is true of them."""
        draw = np.random.default_rng([seed, 8])
        inputs = draw.standard_normal((number, len(self.root))) @ self.root.T
        contributions = self.functions.contributions(inputs)
        return inputs, Additive(contributions, contributions.mean(1))

    def independent(self, seed: int) -> Points:
        """Return inputs of the same variances that have nothing in common, with the same functions in another order.

        Neighbours are alike in their values and in their functions: with either left, a map that is moved by one input
        would still agree with the truth.
        """
        order = np.random.default_rng([seed, 9]).permutation(len(self.covariance))
        functions = self.functions
        moved = PiecewiseLinear(functions.breaks, functions.slopes, np.argsort(order)[functions.reads])
        return Points(np.diag(np.diag(self.covariance)[order]), moved, self.source)

    def conditions(self) -> tuple[Condition, ...]:
        """Return the published network trained here, a linear model, the exact network, and somebody else's.

        From one to the next one thing is changed, so that what methods miss has a cause.
        """
        own = (
            learned("point", "Trained network", calibrated=bool(self.others)),
            linear("point_linear", "Linear model"),
            fewer("point_fewer_samples", f"Trained network, a {FEWER}th of the samples", FEWER),
            independent(learned("point_independent", "Trained network, independent inputs")),
            exact("point_exact", "Exact network"),
            independent(exact("point_exact_independent", "Exact network, independent inputs")),
            exact(
                "point_exact_bent_at_zero",
                "Exact network, bends at zero alone",
                self.functions.bent_at_zero(),
            ),
        )
        return (*own, published("point_published", "Published network")) if self.others else own


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


def smooth_covariance(longitudes: np.ndarray, latitudes: np.ndarray, reach: float) -> np.ndarray:
    """Return exp(-distance / reach) of places on a sphere of radius 1: (place, place).

    Parameters
    ----------
    longitudes, latitudes : numpy.ndarray
        (place,), degrees.
    reach : float
        In radii, along the chord.
    """
    east, north = np.radians(longitudes), np.radians(latitudes)
    places = np.stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)], axis=1)
    chords = np.sqrt(np.maximum(2 - 2 * places @ places.T, 0.0))
    return np.exp(-chords / reach)
