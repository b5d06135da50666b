"""Networks that read a scene step by step: whether relevance depends on when a step is read.

The steps (rows or columns) inside a window are put in random order, the map is computed, and its steps are put back.
What belongs to the data comes back to its place. A factor g that belongs to the time of reading does not: the ratio of
both maps' profiles at step x, which was read at π(x) instead, is g(x)/g(π(x)).

*Null hypothesis*: the ratios are not tied to x - π(x), nor one map's profile in the order of reading to the other's.
The replicates move ratios and profiles around; since π is drawn at random, they are exchangeable with the observed
ones, whatever the correlation along the steps.
"""

from __future__ import annotations

import numpy as np

from ...ground.protocols import Patch
from ...ground.window import Window
from .experiments import SHORTEST_PROFILE, STRIPS, UNCHANGED, Outcome
from .inputs import flat_cells, permuted
from .maps import Mapper


def permutation(
    mapper: Mapper, patch: Patch, core: Window, base: np.ndarray, replicates: int, random: np.random.Generator
) -> Outcome | None:
    """Put steps in random order and see whether relevance depends on when a step is read.

    Parameters
    ----------
    mapper, patch, core
        What makes maps, what was read, and the window.
    base : numpy.ndarray
        The map (row, column) of the window with coarse cells at their means.
    replicates : int
        How many reference values.
    random : numpy.random.Generator
        Of the order and of the reference values.

    Returns
    -------
    Outcome or None
        None for a window of few steps, and for a network without a direction. Two statistics: the trend of relevance
        along the order of reading, and the correlation of both maps' profiles in that order.
    """
    axis = mapper.feeding_axis
    if axis is None or base.shape[axis] < SHORTEST_PROFILE:
        return None
    steps = base.shape[axis]
    order = random.permutation(steps)
    back = np.argsort(order)
    permuted_map = mapper.relevance(permuted(flat_cells(patch), core, axis, order), core)
    # (strip, step), logarithms: both in the order of reading.
    ordered, mixed = _log_profiles(base, axis), _log_profiles(permuted_map, axis)
    ratios = ordered - mixed[:, back]
    total = float(np.nansum(np.abs(base)))
    if not len(ratios) or ratios.std() < UNCHANGED:
        return Outcome(np.zeros((1 + replicates, 2)), 0.0, total)
    places = np.linspace(-1, 1, steps)
    moved = places - places[back]
    moves = [np.zeros(len(ratios), int), *random.integers(0, steps, (replicates, len(ratios)))]
    statistics = np.array(
        [(abs(_slope(ratios, moved, each)), _covariance(ordered, mixed, each)) for each in moves]
    )
    trend, shared = statistics[0]
    # Relevance changes by exp(2 trend) from the first step to the last; `shared` is the variance of log g.
    size = max(1 - np.exp(-2 * trend), 1 - np.exp(-np.sqrt(max(shared, 0.0))))
    return Outcome(statistics, float(size) * total, total)


def _log_profiles(values: np.ndarray, axis: int) -> np.ndarray:
    """Return the logarithm of mean |values| at each step, by strips across the steps: (strip, step)."""
    sizes = np.abs(values)
    strips = np.array_split(sizes, STRIPS, axis=1 - axis)
    profiles = np.array([np.nan_to_num(np.nanmean(strip, axis=1 - axis)) for strip in strips])
    floor = 1e-9 * profiles.max(initial=0.0)
    return np.log(profiles + floor) if floor > 0 else np.zeros((0, profiles.shape[1]))


def _slope(ratios: np.ndarray, moved: np.ndarray, steps: np.ndarray) -> float:
    """Return the slope of ratios (strip, step), each strip moved around by its number of steps, on `moved`."""
    rolled = np.mean([np.roll(ratio, step) for ratio, step in zip(ratios, steps)], axis=0)
    return float((rolled - rolled.mean()) @ moved / (moved @ moved))


def _covariance(first: np.ndarray, second: np.ndarray, steps: np.ndarray) -> float:
    """Return the mean covariance of profiles (strip, step), the second moved around."""
    centred = first - first.mean(axis=1, keepdims=True)
    return float(np.mean([c @ np.roll(s, step) / len(s) for c, s, step in zip(centred, second, steps)]))
