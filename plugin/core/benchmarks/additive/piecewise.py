"""Continuous piecewise linear functions of one input each, zero at zero, and their sums.

Mamalakis, Ebert-Uphoff and Barnes 2022 (doi 10.1017/eds.2022.7): y = (1/d) Σ_i C_i(X_i), where C_i has K break points,
one of them 0, and a slope on each of the K + 1 pieces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....ground.errors import ParameterError
from ..normal import covariance_root

BREAKS = 5


@dataclass(frozen=True)
class PiecewiseLinear:
    """Functions of one input each.

    Parameters
    ----------
    breaks : numpy.ndarray
        (function, K), sorted: where slopes change. 0 need not be among them; every function is 0 there.
    slopes : numpy.ndarray
        (function, K + 1), of the pieces from the lowest to the highest.
    inputs : numpy.ndarray, optional
        (function,), int: the input that each function reads; by default the one of its own number. Each input is read.

    Raises
    ------
    ParameterError
        The arrays do not belong together, or break points are not sorted.
    """

    breaks: np.ndarray
    slopes: np.ndarray
    inputs: np.ndarray | None = None

    def __post_init__(self) -> None:
        functions, breaks = self.breaks.shape
        if self.slopes.shape != (functions, breaks + 1):
            raise ParameterError(
                f"{functions} functions of {breaks} break points need slopes of shape ({functions}, {breaks + 1}), "
                f"but these have shape {self.slopes.shape}."
            )
        if not (np.isfinite(self.breaks).all() and np.isfinite(self.slopes).all()):
            raise ParameterError("Break points and slopes of piecewise linear functions have to be finite.")
        if (np.diff(self.breaks, axis=1) < 0).any():
            raise ParameterError("The break points of each piecewise linear function have to be sorted.")

    @property
    def reads(self) -> np.ndarray:
        """(function,), int: the input that each function reads."""
        return np.arange(len(self.breaks)) if self.inputs is None else self.inputs

    @property
    def number(self) -> int:
        """How many inputs there are."""
        return int(self.reads.max()) + 1

    def contributions(self, values: np.ndarray) -> np.ndarray:
        """Return C_i of inputs (sample, input), float64, shaped as these; functions of one input are added up."""
        at = values if self.inputs is None else values[:, self.inputs]
        below, above = self._at_zero
        each = np.where(at >= 0, above, below) * at
        # Beyond a bend, on its side of zero, the slope changes.
        for bends, changes in zip(self.breaks.T, np.diff(self.slopes, axis=1).T):
            beyond = at - bends
            beyond *= np.where(bends > 0, 1.0, -1.0)
            np.maximum(beyond, 0.0, out=beyond)
            beyond *= np.where(bends == 0, 0.0, changes)
            each += beyond
        if self.inputs is None:
            return each
        found = np.zeros(values.shape)
        for function, read in enumerate(self.inputs):
            found[:, read] += each[:, function]
        return found

    @property
    def _at_zero(self) -> tuple[np.ndarray, np.ndarray]:
        """The slopes below and above zero, (function,) each."""
        functions = np.arange(len(self.breaks))
        return (
            self.slopes[functions, (self.breaks < 0).sum(1)],
            self.slopes[functions, (self.breaks <= 0).sum(1)],
        )

    def bent_at_zero(self) -> PiecewiseLinear:
        """Return functions that leave 0 as these do and bend nowhere else."""
        return PiecewiseLinear(np.zeros((len(self.breaks), 1)), np.stack(self._at_zero, axis=1), self.inputs)

    def merged(self, groups: np.ndarray) -> PiecewiseLinear:
        """Return the same functions where inputs (input,) of one group are one and the same."""
        return PiecewiseLinear(self.breaks, self.slopes, groups[self.reads])


def drawn(covariance: np.ndarray, seed: int, breaks: int = BREAKS) -> PiecewiseLinear:
    """Draw one function an input, alike where inputs are alike.

    Each slope, and each break point but 0, is over the inputs a draw from N(0, S); a break point F⁻¹(Φ(g)) of normal
    inputs with g ~ N(0, their correlation) is such a draw.

    Parameters
    ----------
    covariance : numpy.ndarray
        S, (input, input).
    seed, breaks : int
        Which draw; K.
    """
    root = covariance_root(covariance)
    draw = np.random.default_rng([seed, 7])
    normal = (root @ draw.standard_normal((len(root), 2 * breaks))).astype(float)
    points = np.sort(np.concatenate([normal[:, : breaks - 1], np.zeros((len(root), 1))], axis=1), axis=1)
    return PiecewiseLinear(points, normal[:, breaks - 1 :])
