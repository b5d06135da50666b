"""What methods have to surpass: maps that know nothing of the network, and maps that were broken on purpose."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .explaining import Maps
from .scenes import FusionScene

SWAPPED, SIGN, SHIFTED = "broken_swapped", "broken_sign", "broken_shifted"
EDGES, RANDOM = "sobel", "random"
BROKEN = (SWAPPED, SIGN, SHIFTED)
CONTROLS = (EDGES, RANDOM, *BROKEN)


def control(word: str, good: Maps, scene: FusionScene, draw: np.random.Generator) -> Maps:
    """Return a control of one scene.

    Parameters
    ----------
    word : str
        A word of :data:`CONTROLS`.
    good : Maps
        The map that is broken: channels of a sensor take each other's place, the sign is turned, or every channel is
        moved by one pixel of its own grid, down and to the right.
    scene : FusionScene
        Whose edges are filtered.
    draw : numpy.random.Generator
        Of noise.
    """
    if word == SWAPPED:
        return Maps(np.roll(good.fine, 1, axis=0), np.roll(good.coarse, 1, axis=0))
    if word == SIGN:
        return Maps(-good.fine, -good.coarse)
    if word == SHIFTED:
        return Maps(_moved(good.fine), _moved(good.coarse))
    if word == RANDOM:
        return Maps(draw.standard_normal(good.fine.shape), draw.standard_normal(good.coarse.shape))
    inner = scene.inner
    cells = inner.coarser(scene.ratio)
    return Maps(
        _edges(scene.fine)[(slice(None), *inner.slices())],
        _edges(scene.coarse)[(slice(None), *cells.slices())],
    )


def _moved(planes: np.ndarray) -> np.ndarray:
    """Return planes moved by one row and column; what moves beyond an edge comes back on the other side."""
    return np.roll(planes, (1, 1), axis=(1, 2))


def _edges(planes: np.ndarray) -> np.ndarray:
    """Return the size of Sobel's gradient of each plane."""
    values = planes.astype(np.float64)
    return np.hypot(*(ndimage.sobel(values, axis=axis, mode="nearest") for axis in (1, 2)))
