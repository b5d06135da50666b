r"""Weighted sums of x x^T over pixels for several weights at once: most of the work of a scene's information.

The matrix products are torch's of several matrices at once, in float64. QGIS's BLAS, which takes the place of
others in its process (:mod:`.products`), has none of these: they are as fast, and the same to the last digit, in
any program.

A few sums take one product each, of x with the weighted x. Where there are many, as of the pairs of many classes,
each would multiply the same components anew. There the products :math:`x_i x_j` are made once, a block of them at a
time, and one matrix product with the weights leads to all sums: half as many multiplications.
"""

from __future__ import annotations

import numpy as np
import torch

HALVES = 2  # of a chunk: of a single matrix torch would ask the program's BLAS
MANY = 20  # sums from which on products of components are made once for all, as measured
BLOCK = 300  # products of components at a time


class WeightedGrams:
    """Sums of w x x^T over pixels for several weights w.

    Parameters
    ----------
    weights : int
        Number of weights, and of sums.
    columns : int
        Length of x.

    Attributes
    ----------
    rows : int
        Pixels of a chunk: what is made of them stays in the cache.
    """

    def __init__(self, weights: int, columns: int) -> None:
        self._number, self._columns = weights, columns
        self._blocks = _blocks(columns) if weights >= MANY else []
        if self._blocks:
            self.rows = 512
            widths = [sum(columns - i for i in block) for block in self._blocks]
            shapes = [(HALVES, weights, width) for width in widths]
            self._made = _empty(max(widths), HALVES, self.rows // HALVES)
        else:
            self.rows = 256 if weights > 1 else 1024
            batch = max(weights, HALVES)
            shapes = [(batch, columns, columns)]
            self._made = _empty(batch, self.rows * weights // batch, columns)
        self._sums = [torch.zeros(shape, dtype=torch.float64) for shape in shapes]

    def add(self, x: torch.Tensor, weights: np.ndarray) -> None:
        """Take a chunk.

        Parameters
        ----------
        x : torch.Tensor
            (2, half of the pixels, column), float64.
        weights : numpy.ndarray
            (weight, pixel), float64.
        """
        given = torch.from_numpy(weights)
        if self._blocks:
            self._add_products(x.permute(2, 0, 1).contiguous(), given)
            return
        batch, rows, columns = self._made.shape
        x = x.reshape(-1, rows, columns)
        torch.mul(x, given.reshape(batch, rows, 1), out=self._made)
        self._sums[0].baddbmm_(x.expand(batch, -1, -1).transpose(1, 2), self._made)

    def total(self) -> np.ndarray:
        """Return the sums (weight, column, column), exactly symmetric."""
        if not self._blocks:
            sums = self._sums[0]
            values = (sums.sum(0, keepdim=True) if self._number == 1 else sums).numpy()
            lower = np.tril(values)
            return lower + np.tril(lower, -1).swapaxes(1, 2)
        products = np.concatenate([sums.sum(0).numpy() for sums in self._sums], axis=1)
        place = np.zeros((self._columns, self._columns), int)
        place[np.triu_indices(self._columns)] = np.arange(products.shape[1])
        return products[:, place + np.triu(place, 1).T]

    def _add_products(self, planes: torch.Tensor, weights: torch.Tensor) -> None:
        """Take x as planes (column, 2, half of the pixels)."""
        given = weights.reshape(self._number, *planes.shape[1:]).transpose(0, 1)
        for block, sums in zip(self._blocks, self._sums):
            begin = 0
            for i in block:
                end = begin + self._columns - i
                torch.mul(planes[i], planes[i:], out=self._made[begin:end])
                begin = end
            sums.baddbmm_(given, self._made[:begin].permute(1, 2, 0))


def _blocks(columns: int) -> list[list[int]]:
    """Return which columns are multiplied with themselves and all after them at a time."""
    blocks: list[list[int]] = []
    width = BLOCK
    for i in range(columns):
        if width + columns - i > BLOCK:
            blocks.append([])
            width = 0
        blocks[-1].append(i)
        width += columns - i
    return blocks


def _empty(*shape: int) -> torch.Tensor:
    return torch.empty(shape, dtype=torch.float64)
