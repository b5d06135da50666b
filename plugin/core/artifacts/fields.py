"""The relevance that the data carry, pixel by pixel: the map minus what is there without them, and its p-value.

*Artifact*: what the mean null map ties to places (pattern, border and local part), and the mean of the map of inputs
at their training means, which is there without any data. The level of the mean null map beyond that is the network's
answer to the mean and the spectrum of the window, which are data: it stays in the corrected map.

*Null hypothesis at a pixel*: the window is a stationary Gaussian field with the means and spectra measured on it. Then
the map of the scene and the null maps are exchangeable. R null maps alone give no p-value below 1/(R + 1), too coarse
for many pixels. Distances from the null mean M, divided by their typical size at the place, are therefore pooled over
the window: the scene's |map - M|/size is ranked among those of all draws and pixels of the window. What M and the size
are is in :mod:`.structure`; they come from null maps alone. Where the local part of M is kept, a null map pulls its own
mean towards itself; its distance is enlarged by R/(R - 1) for that.

*Blocks*: where single pixels are lost in noise, the mean of (map - M)/size over a block of 8 x 8 pixels may not be. Its
magnitude is ranked among those of all draws and blocks of the window in the same way.

False discoveries are controlled within each window (Benjamini-Hochberg, see :mod:`.significance`), unless null maps are
too smooth for it (:func:`.significance.smooth`): draws with the spectrum measured on so few independent values are not
exchangeable with the scene. All q-values are 1 there, so that no pixel is called fact.

The map splits exactly, at every pixel and in every sum: relevance = corrected relevance + artifact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .decomposition import Place, block_means
from .significance import benjamini_hochberg, pooled_p, repeats_needed, smooth
from .structure import Structure


@dataclass(frozen=True)
class Corrected:
    """A window's map without what is there without the data; arrays (row, column).

    Parameters
    ----------
    relevance, artifact : numpy.ndarray
        They add up to the map.
    share : numpy.ndarray
        |artifact|/(|artifact| + |relevance|): 1 where nothing but the artifact is there.
    p_values, q_values : numpy.ndarray
        By pixel, and adjusted for the false discovery rate of the window.
    block_q_values : numpy.ndarray
        (block row, block column): the same of whole blocks; NaN where a pixel is missing.
    smooth : bool
        Whether null maps are too smooth to call any pixel fact: q-values are 1.
    repeats_needed : float
        How many null maps would call a pixel fact if all were like these; infinite where more would not help.
    """

    relevance: np.ndarray
    artifact: np.ndarray
    share: np.ndarray
    p_values: np.ndarray
    q_values: np.ndarray
    block_q_values: np.ndarray
    smooth: bool = False
    repeats_needed: float = math.inf


def corrected(
    observed: np.ndarray, maps: np.ndarray, structure: Structure, place: Place, bias: float = 0.0
) -> Corrected:
    """Return what of a map the data carry.

    Parameters
    ----------
    observed : numpy.ndarray
        (row, column); NaN where there is no map.
    maps : numpy.ndarray
        (draw, row, column): null maps, finite.
    structure : Structure
        Of the null maps.
    place : Place
        Where they lie.
    bias : float
        Mean of the map of inputs at their training means.
    """
    known = np.isfinite(observed)
    artifact = np.where(known, bias + structure.tied, np.nan)
    relevance = observed - artifact
    total = np.abs(artifact) + np.abs(relevance)
    share = np.divide(np.abs(artifact), total, out=np.where(known, 0.0, np.nan), where=total > 0)
    draws = len(maps)
    signed = maps - structure.null_mean
    distances = np.abs(signed)
    scale = structure.scale(distances.mean(axis=0), place)
    local = structure.kept[0, 2]
    factor = 1.0 / (1.0 - local / draws) if draws > 1 else 1.0
    usable = known & (scale > 0)
    reference = np.divide(distances * factor, scale, out=np.zeros_like(distances), where=scale > 0)[:, usable]
    signed *= factor
    np.divide(signed, scale, out=signed, where=scale > 0)
    beyond = np.abs(observed - structure.null_mean)
    values = np.divide(beyond, scale, out=np.full(observed.shape, np.nan), where=usable)
    # Where every null map is zero, so that nothing has a size, any relevance is the data's.
    values[known & ~usable] = np.where(beyond[known & ~usable] == 0, 0.0, np.inf)
    p_values = pooled_p(values, reference)
    mine = np.divide(observed - structure.null_mean, scale, out=np.full(observed.shape, np.nan), where=usable)
    block_p_values = pooled_p(np.abs(block_means(mine)), np.abs(block_means(signed)))
    too_smooth = smooth(maps - maps.mean(axis=0))
    q_values, block_q_values = (
        np.where(np.isnan(p), np.nan, 1.0) if too_smooth else benjamini_hochberg(p)
        for p in (p_values, block_p_values)
    )
    needed = math.inf if too_smooth else repeats_needed(p_values, reference.size, draws)
    return Corrected(relevance, artifact, share, p_values, q_values, block_q_values, too_smooth, needed)


def overlap(observed: np.ndarray, untrained: np.ndarray) -> np.ndarray:
    """Return the part of |observed| that untrained networks would put at the same place, (row, column).

    Both maps' magnitudes are scaled to the same sum; the smaller of the two at each pixel is common to both.
    """
    mine, theirs = np.abs(observed), np.abs(untrained)
    total, other = np.nansum(mine), np.nansum(theirs)
    if not total or not other:
        return np.where(np.isfinite(observed), 0.0, np.nan)
    return np.minimum(mine, theirs * (total / other))
