"""From a coarse raster's own pixels to the network's cells, and relevance back again.

The way there is a sparse matrix: every cell is a weighted mean of up to four pixels around its
centre. Relevance takes its transpose, so that nothing is lost: <S x, y> = <x, S^T y>.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from .grid import NESTING_TOLERANCE, Grid

# A cell counts if pixels with at least this share of its weight have data.
LEAST_WEIGHT = 0.5


@dataclass(frozen=True)
class Sampler:
    """A linear operator from coarse pixels to the network's cells.

    Parameters
    ----------
    matrix : scipy.sparse.csr_matrix
        (cell, coarse pixel), float64, both row by row; the rows of valid cells sum to 1, the
        others are empty.
    cell_shape, coarse_shape : tuple of int
        Rows and columns of the cells and of the coarse raster.
    cell_valid : numpy.ndarray
        (cell row, cell column), bool.
    """

    matrix: sparse.csr_matrix
    cell_shape: tuple[int, int]
    coarse_shape: tuple[int, int]
    cell_valid: np.ndarray

    @classmethod
    def build(cls, fine: Grid, ratio: int, coarse: Grid, valid: np.ndarray) -> Sampler:
        """Return the operator for cells of `ratio` x `ratio` pixels of `fine`.

        Parameters
        ----------
        fine : Grid
            The fine raster.
        ratio : int
            Fine pixels along the side of a cell.
        coarse : Grid
            The coarse raster, nested in the fine one or on any grid of its own.
        valid : numpy.ndarray
            (row, column) of the coarse raster, bool: where all channels have data. Other pixels
            take no part; their weight goes to the neighbours if those have at least half of it.
        """
        row, col = _cell_centres(fine, ratio, coarse)
        cell_shape = (row.shape[0], row.shape[1])
        shape = (coarse.rows, coarse.cols)
        if valid.shape != shape:
            raise ValueError(f"valid has shape {valid.shape}, the coarse raster {shape}")
        # Half a pixel outside the outermost pixels still answer.
        with np.errstate(invalid="ignore"):
            inside = (row >= -0.5) & (row <= shape[0] + 0.5) & (col >= -0.5) & (col <= shape[1] + 0.5)
        cell = np.flatnonzero(inside)
        top, row_weight = _neighbours(row[inside], shape[0])
        left, col_weight = _neighbours(col[inside], shape[1])
        pixels, weights = [], []
        for down in (0, 1):
            for right in (0, 1):
                i = np.minimum(top + down, shape[0] - 1)
                j = np.minimum(left + right, shape[1] - 1)
                weight = (row_weight if down else 1 - row_weight) * (col_weight if right else 1 - col_weight)
                pixels.append(i * shape[1] + j)
                weights.append(np.where(valid[i, j], weight, 0.0))
        pixels, weights = np.stack(pixels), np.stack(weights)  # (neighbour, cell)
        total = weights.sum(axis=0)
        keep = total >= LEAST_WEIGHT - 1e-12
        weights = weights[:, keep] / total[keep]
        cells = np.broadcast_to(cell[keep], weights.shape)
        used = weights > 0
        matrix = sparse.coo_matrix(
            (weights[used], (cells[used], pixels[:, keep][used])),
            shape=(cell_shape[0] * cell_shape[1], shape[0] * shape[1]),
        ).tocsr()
        cell_valid = np.zeros(cell_shape, dtype=bool)
        cell_valid.ravel()[cell[keep]] = True
        return cls(matrix, cell_shape, shape, cell_valid)

    def forward(self, values: np.ndarray) -> np.ndarray:
        """Return (channel, cell row, cell column), float64, of (channel, row, column); NaN in invalid cells."""
        flat = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
        # Only stored entries are multiplied, so NaN in pixels without weight stays where it is.
        cells = np.asarray(self.matrix @ flat.T).T.reshape(len(values), *self.cell_shape)
        return np.where(self.cell_valid, cells, np.nan)

    def adjoint(self, values: np.ndarray) -> np.ndarray:
        """Return (channel, row, column), float64, of (channel, cell row, cell column): the exact transpose.

        Values of invalid cells are not looked at.
        """
        flat = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
        return np.asarray(self.matrix.T @ flat.T).T.reshape(len(values), *self.coarse_shape)


def _cell_centres(fine: Grid, ratio: int, coarse: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Return coarse pixel coordinates (row, col) of the centres of the network's cells."""
    cells = (-(-fine.rows // ratio), -(-fine.cols // ratio))
    nesting = fine.nesting(coarse)
    if (
        nesting is not None
        and _identical(nesting.row_scale, nesting.row_offset, ratio, cells[0])
        and _identical(nesting.col_scale, nesting.col_offset, ratio, cells[1])
    ):
        # The very same cells: rounding must not mix neighbours.
        row, col = np.arange(cells[0]) + 0.5, np.arange(cells[1]) + 0.5
        row, col = np.meshgrid(row, col, indexing="ij")
        return row, col
    # A cell at the edge may be cut off: it stands for the pixels it has.
    row, col = np.meshgrid(_centres(fine.rows, ratio), _centres(fine.cols, ratio), indexing="ij")
    return nesting.coarse(row, col) if nesting is not None else fine.pixels_in(coarse, row, col)


def _centres(size: int, ratio: int) -> np.ndarray:
    start = np.arange(0, size, ratio, dtype=np.float64)
    return 0.5 * (start + np.minimum(start + ratio, size))


def _identical(scale: float, offset: float, ratio: int, cells: int) -> bool:
    return abs(offset) <= NESTING_TOLERANCE and abs((scale * ratio - 1) * cells + offset) <= NESTING_TOLERANCE


def _neighbours(coordinate: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixel before each coordinate, counted between centres, and the weight of the one after."""
    centre = np.clip(coordinate - 0.5, 0, size - 1)
    before = np.minimum(np.floor(centre).astype(np.int64), max(size - 2, 0))
    return before, centre - before
