"""What a study of artifacts looked at and how much it found, as core counts it and reports print it."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class StudyCounts:
    """What was looked at.

    Parameters
    ----------
    windows : int
        Windows that have a map.
    sampled : float
        Share of the region that the windows hold.
    repeats : int
        Null maps of each window.
    passes, planned : float
        Maps of all windows, counted by passes through the network: those that were made, and as estimated before.
    """

    windows: int
    sampled: float
    repeats: int
    passes: float
    planned: float = math.nan


@dataclass(frozen=True)
class SensorShares:
    """How much of a sensor's map is artifact, and how much is fact.

    Parameters
    ----------
    pixels : int
        Pixels that have a map; of the radiometry cells.
    artifact_share : float
        Share of the artifact in the sizes of artifact and corrected map.
    fact_share : float
        Share of |relevance| at pixels whose q-value is at most the level.
    least_q : float
        Least q-value of any pixel; NaN where none has one.
    repeats_needed : float
        How many null maps would call a pixel fact if all were like those there are; infinite where more would not help.
    smooth : bool
        Whether all windows are too smooth to call any pixel fact.
    block_share : float
        Share of blocks (8 x 8 pixels, 3 x 3 cells or fewer) whose q-value is at most the level.
    least_block_q : float
        Least q-value of any block; NaN where none has one.
    """

    pixels: int
    artifact_share: float
    fact_share: float
    least_q: float = math.nan
    repeats_needed: float = math.inf
    smooth: bool = False
    block_share: float = 0.0
    least_block_q: float = math.nan
