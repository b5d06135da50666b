"""Maps that explain nothing, and maps that are wrong on purpose: what a method must be better than.

An edge filter sees no network: a method that does not come closer to the stamp than *Sobel* or *Laplace* explains
nothing beyond the image (Clark et al. 2024, XAI-TRIS). The *random* map is noise. The broken ones are the true map with
a fault that software has: *channels* in another order, the *sign* turned, one *pixel* beside. All of a perfect map but
the fault: no benchmark that ranks them before a method can tell right from wrong.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import laplace, sobel

SOBEL, LAPLACE, RANDOM = "sobel", "laplace", "random"
SWAPPED, SIGN, SHIFTED = "broken_swapped", "broken_sign", "broken_shifted"
CONTROLS = (SOBEL, LAPLACE, RANDOM, SWAPPED, SIGN, SHIFTED)
BROKEN = (SWAPPED, SIGN, SHIFTED)


def edges(values: np.ndarray) -> dict[str, np.ndarray]:
    """Return the edge filters of an image (channel, row, column): the size of the Sobel gradient, and |Laplace|."""
    # Plane by plane: of all at once, scipy's filters would take in the channels beside.
    sizes = [np.hypot(sobel(plane, 0, mode="nearest"), sobel(plane, 1, mode="nearest")) for plane in values]
    return {
        SOBEL: np.stack(sizes),
        LAPLACE: np.abs(np.stack([laplace(plane, mode="nearest") for plane in values])),
    }


def noise(shape: tuple[int, ...], seed: int, number: int) -> np.ndarray:
    """Return the random map of an image."""
    return np.random.default_rng([seed, 7, number]).standard_normal(shape)


def broken(truth: np.ndarray) -> dict[str, np.ndarray]:
    """Return the true map (channel, row, column) with a fault each; without the first where there is one channel."""
    relevance = truth.astype(np.float64)
    faults: dict[str, Callable[[], np.ndarray]] = {
        SWAPPED: lambda: np.roll(relevance, 1, axis=0),
        SIGN: lambda: -relevance,
        SHIFTED: lambda: np.roll(relevance, (1, 1), axis=(1, 2)),
    }
    if len(relevance) == 1:
        del faults[SWAPPED]
    return {word: fault() for word, fault in faults.items()}
