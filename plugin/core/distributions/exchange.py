"""Groups of whole units exchanged at random: what a statistic is where groups and values are independent.

Samples of one unit stay together, so that they may depend on each other in any way: where the units are exchangeable,
so is the observed statistic among the exchanged ones, however alike neighbouring samples are.
"""

from __future__ import annotations

from math import comb

import numpy as np


def unit_groups(first: np.ndarray, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each unit whether it is of the first group, and the unit of each sample.

    A unit with samples in both groups counts as two.

    Parameters
    ----------
    first : numpy.ndarray
        (n,), bool: the samples of the first group; the others are those of the second.
    unit : numpy.ndarray
        (n,), int.

    Returns
    -------
    first : numpy.ndarray
        (unit,), bool.
    unit : numpy.ndarray
        (n,), int, from 0.
    """
    numbers, at = np.unique(2 * np.unique(unit, return_inverse=True)[1] + first, return_inverse=True)
    return numbers % 2 == 1, at


def exchanged(first: np.ndarray, number: int, seed: int) -> np.ndarray:
    """Return random groups of the units with as many in each as observed, (number, unit), bool."""
    generator = np.random.default_rng(seed)
    ranks = generator.random((number, len(first))).argsort(axis=1)
    return ranks < int(first.sum())


def least_p(first: np.ndarray) -> float:
    """Return the smallest p-value that units in two groups allow: one over the number of ways to choose the first."""
    return 1.0 / comb(len(first), int(first.sum()))
