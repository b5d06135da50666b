"""What methods have to surpass: noise, an edge filter, and maps that were broken on purpose."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

SWAPPED, SIGN, SHIFTED = "broken_swapped", "broken_sign", "broken_shifted"
RANDOM, EDGES = "random", "sobel"
# Measures that see no sign: a map of the other sign is not broken by them, and would keep the best from being trusted.
WITHOUT_SIGN = ("pearson_absolute", "spearman_absolute", "smooth", "zero_seen")


def broken(maps: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Return maps (sample, row, column) with inputs swapped, with the sign flipped, and shifted by one input.

    Inputs change their places the same way in all samples; what is shifted beyond an edge comes back on the other
    side.
    """
    places = np.random.default_rng([seed, 21]).permutation(maps[0].size)
    shifted = np.roll(maps, 1, axis=2)
    if maps.shape[1] > 1:
        shifted = np.roll(shifted, 1, axis=1)
    flat = maps.reshape(len(maps), -1)
    return {SWAPPED: flat[:, places].reshape(maps.shape), SIGN: -maps, SHIFTED: shifted}


def without_network(inputs: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Return maps (sample, row, column) that no network has a part in: noise, and edges where inputs are images."""
    found = {RANDOM: np.random.default_rng([seed, 22]).standard_normal(inputs.shape)}
    if inputs.shape[1] > 1:
        across, along = (ndimage.sobel(inputs, axis) for axis in (1, 2))
        found[EDGES] = np.hypot(across, along)
    return found
