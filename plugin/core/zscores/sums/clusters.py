"""Clusters of pixels that may depend on each other: square blocks of a scene, and whole scenes.

Neighbouring pixels see the same ice, the same radiometer footprint and the same ice chart polygon.
Robust errors treat whole blocks as the independent units, so a block must be larger than the reach
of that dependence: at least the largest footprint (62 km at 6.9 GHz). A ladder of block sizes, each
made of whole blocks of the smallest, shows where the errors level off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ....ground.errors import ParameterError
from ....ground.window import Window

LADDER_KM = (8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
SCENES = "scenes"
SHORT = 1e-3  # part by which a block may miss its size: pixels measured on the ground are not exactly nominal
_BLOCKS = " km blocks"


def blocks_name(block_size_km: float) -> str:
    """Return the name of the clustering into blocks of a size, such as ``64 km blocks``."""
    return f"{block_size_km:g}{_BLOCKS}"


def block_size_of(clustering: str) -> float | None:
    """Return the size in km of the blocks that a clustering is named after, None for other clusterings."""
    return float(clustering[: -len(_BLOCKS)]) if clustering.endswith(_BLOCKS) else None


@dataclass(frozen=True, eq=False)
class BlockLadder:
    """Blocks of several sizes over one scene.

    Parameters
    ----------
    finest : str
        Name of the clustering into the smallest blocks.
    size_km : float
        Least width of these.
    scene : Window
        All pixels of the scene.
    pixel_size_m : float
        Width of a pixel on the ground, m.
    coarser : mapping of str to numpy.ndarray
        By the name of each clustering, the finest included, and of whole scenes: the cluster that
        each of the smallest blocks belongs to, (smallest block,), int64.
    """

    finest: str
    size_km: float
    scene: Window
    pixel_size_m: float
    coarser: Mapping[str, np.ndarray]

    @classmethod
    def over(
        cls,
        scene: Window,
        pixel_size_m: float,
        block_size_km: float,
        sizes_km: tuple[float, ...] = LADDER_KM,
    ) -> BlockLadder:
        """Return the ladder of a scene.

        Parameters
        ----------
        scene : Window
            All pixels of the scene; fixes the blocks, whatever part of it is processed.
        pixel_size_m : float
            Width of a pixel on the ground, m.
        block_size_km : float
            A size that must be among them; no larger block is cut smaller than its own size, but for a thousandth.
        sizes_km : tuple of float
            The other sizes.

        Raises
        ------
        ParameterError
            If a block size is not positive.
        """
        sizes = sorted({float(block_size_km), *sizes_km})
        down, across = _counts(scene, pixel_size_m, sizes[0])
        height_km, width_km = (
            length * pixel_size_m / 1000.0 / count
            for length, count in ((scene.rows, down), (scene.cols, across))
        )
        coarser = {}
        for size in sizes:
            row, _ = _gathered(down, size / height_km)
            col, cols_of_blocks = _gathered(across, size / width_km)
            coarser[blocks_name(size)] = (row[:, None] * cols_of_blocks + col).ravel()
        coarser[SCENES] = np.zeros(down * across, np.int64)
        return cls(blocks_name(sizes[0]), sizes[0], scene, pixel_size_m, coarser)

    def blocks(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Return the number of the smallest block that each pixel lies in, (pixel,), int64."""
        return block_clusters(rows, cols, self.scene, self.pixel_size_m, self.size_km)


def _gathered(count: int, least: float) -> tuple[np.ndarray, int]:
    """Return which of the larger blocks each of `count` small ones belongs to, at least `least` in each."""
    together = max(1, int(np.ceil(least * (1 - SHORT))))
    larger = max(1, count // together)
    return (np.arange(count) * larger // count).astype(np.int64), larger


def _counts(scene: Window, pixel_size_m: float, block_size_km: float) -> tuple[int, int]:
    """Return the number of blocks down and across."""
    if not block_size_km > 0:
        raise ParameterError(f"BLOCK_SIZE must be a positive number of km, not {block_size_km}.")
    least = 1000.0 * block_size_km / pixel_size_m * (1 - SHORT)
    return max(1, int(scene.rows / least)), max(1, int(scene.cols / least))


def block_clusters(
    rows: np.ndarray, cols: np.ndarray, scene: Window, pixel_size_m: float, block_size_km: float
) -> np.ndarray:
    """Return the number of the block that each pixel lies in.

    The scene is cut into equal blocks, each at least `block_size_km` wide but for a thousandth (as wide as the
    scene where that is narrower): no sliver is left over at an edge, and a scene of two blocks whose pixels are
    a little short of their nominal size still has both.

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
    down, across = _counts(scene, pixel_size_m, block_size_km)
    block_row = np.clip((np.asarray(rows) - scene.row) * down // max(scene.rows, 1), 0, down - 1)
    block_col = np.clip((np.asarray(cols) - scene.col) * across // max(scene.cols, 1), 0, across - 1)
    return (block_row * across + block_col).astype(np.int64)
