"""Exact Shapley values by enumeration (Shapley 1953): what each player adds, averaged over all orders.

φ_g = Σ_S |S|! (k - |S| - 1)!/k! (v(S and g) - v(S)) over all sets S of the k players without g. The values of
all sets are needed once each; none is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from math import comb

import numpy as np

MOST_PLAYERS = 10


def coalitions(players: int) -> Iterator[tuple[int, ...]]:
    """Yield every set of players, the smallest first."""
    for size in range(players + 1):
        yield from combinations(range(players), size)


def shapley_values(value: Callable[[tuple[int, ...]], np.ndarray], players: int) -> np.ndarray:
    """Return the Shapley value of each player.

    Parameters
    ----------
    value : callable
        v(S) of a set of players, an array of float64; called once for each of the 2^k sets.
    players : int
        k, at most 10.

    Returns
    -------
    numpy.ndarray
        (player, …), the shape of v behind; they add up to v(all) - v(none).
    """
    if players > MOST_PLAYERS:
        raise ValueError(f"Shapley values of {players} players would take {2**players} runs")
    total: np.ndarray | None = None
    for members in coalitions(players):
        worth = value(members)
        if total is None:
            total = np.zeros((players, *worth.shape))
        size = len(members)
        for player in range(players):
            # s! (k-s-1)!/k! = 1/(k C(k-1, s)), s being the size without the player.
            if player in members:
                total[player] += worth / (players * comb(players - 1, size - 1))
            else:
                total[player] -= worth / (players * comb(players - 1, size))
    if total is None:
        raise ValueError("there is no coalition to be valued")
    return total
