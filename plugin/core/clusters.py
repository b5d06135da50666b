"""Clusters of pixels that may depend on each other: square blocks of a scene.

Neighbouring pixels see the same ice, the same radiometer footprint and the same ice chart polygon.
Robust errors treat whole blocks as the independent units, so a block must be larger than the reach
of that dependence: at least the largest footprint (62 km at 6.9 GHz).
"""

from __future__ import annotations

import numpy as np

from .errors import ParameterError
from .window import Window


def block_clusters(
    rows: np.ndarray, cols: np.ndarray, scene: Window, pixel_size_m: float, block_size_km: float
) -> np.ndarray:
    """Return the number of the block that each pixel lies in.

    The scene is cut into equal blocks, each at least `block_size_km` wide (as wide as the scene where
    that is narrower): no sliver is left over at an edge.

    Parameters
    ----------
    rows, cols : numpy.ndarray
        (pixel,): positions in the scene, pixels.
    scene : Window
        All pixels of the scene; fixes the blocks, whatever part of it is processed.
    pixel_size_m : float
        Width of a pixel on the ground, m.
    block_size_km : float
        Least width of a block, km.

    Returns
    -------
    numpy.ndarray
        (pixel,), int64.

    Raises
    ------
    ParameterError
        If the block size is not positive.
    """
    if not block_size_km > 0:
        raise ParameterError(f"BLOCK_SIZE must be a positive number of km, not {block_size_km}.")
    least = 1000.0 * block_size_km / pixel_size_m
    down, across = max(1, int(scene.rows / least)), max(1, int(scene.cols / least))
    block_row = np.clip((np.asarray(rows) - scene.row) * down // max(scene.rows, 1), 0, down - 1)
    block_col = np.clip((np.asarray(cols) - scene.col) * across // max(scene.cols, 1), 0, across - 1)
    return (block_row * across + block_col).astype(np.int64)
