"""The sum of functions that is closest to a network: the truth of a network whose own truth was not published.

A network of an additive target is nearly such a sum. On samples of its inputs its output is fitted by functions that
bend at given places and are zero at zero, with a small ridge penalty. How well they fit, and how well the functions
of a network with known truth are recovered, says how far scores against them can be trusted.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .piecewise import PiecewiseLinear

BENDS = (-1.6, -0.8, -0.3, 0.0, 0.3, 0.8, 1.6)  # in standard deviations of an input
RIDGE = 1e-3  # of the mean square of what is fitted with


def recovered(
    outputs: Callable[[np.ndarray], np.ndarray],
    samples: Callable[[int], np.ndarray],
    deviations: np.ndarray,
    blocks: int,
) -> PiecewiseLinear:
    """Return C of the closest sum (1/d) Σ_i C_i(x_i) to a network.

    Parameters
    ----------
    outputs : callable
        Inputs (sample, input) → what the network gives, (sample,).
    samples : callable
        Number of a block → its inputs.
    deviations : numpy.ndarray
        (input,): standard deviations of the inputs.
    blocks : int
        How many blocks of samples there are.
    """
    inputs = len(deviations)
    bends = deviations[:, None] * np.array(BENDS)
    basis = inputs * (len(BENDS) + 1)
    squares, products = np.zeros((basis, basis)), np.zeros(basis)
    mean_of_basis, mean_of_output, number = np.zeros(basis), 0.0, 0
    for block in range(blocks):
        values = samples(block)
        given = outputs(values)
        design = _basis(values, bends)
        squares += design.T @ design
        products += design.T @ given
        mean_of_basis += design.sum(0)
        mean_of_output += given.sum()
        number += len(values)
    # A constant is fitted too, by taking off the means: a network need not be zero at zero.
    squares -= np.outer(mean_of_basis, mean_of_basis) / number
    products -= mean_of_basis * mean_of_output / number
    penalty = RIDGE * np.trace(squares) / basis
    weights = np.linalg.solve(squares + penalty * np.eye(basis), products).reshape(-1, inputs).T
    return PiecewiseLinear(bends, inputs * _slopes(weights))


def _basis(values: np.ndarray, bends: np.ndarray) -> np.ndarray:
    """Return x, and what lies beyond each bend on the side away from 0: (sample, (1 + bend) · input)."""
    beyond = [np.maximum(np.where(bend >= 0, values - bend, bend - values), 0.0) for bend in bends.T]
    return np.concatenate([values, *beyond], axis=1)


def _slopes(weights: np.ndarray) -> np.ndarray:
    """Return the slopes (input, piece) of weights (input, 1 + bend) of the basis."""
    slopes = np.repeat(weights[:, :1], len(BENDS) + 1, axis=1)
    for number, bend in enumerate(BENDS):
        if bend >= 0:
            slopes[:, number + 1 :] += weights[:, [number + 1]]
        else:
            slopes[:, : number + 1] -= weights[:, [number + 1]]
    return slopes
