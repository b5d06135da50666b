"""Means over coarse cells of what comes in strips of fine pixels."""

from __future__ import annotations

import numpy as np

from ...ground.protocols import Sink


class CellMeans:
    """A sink that passes on the mean of each cell's finite values; a context manager that ends the last cells.

    Parameters
    ----------
    sink : Sink
        Takes (band, cell row, cell column), float64; NaN for cells without a value.
    ratio : int
        Pixels along the side of a cell; the first strip begins at one.
    """

    def __init__(self, sink: Sink, ratio: int) -> None:
        self._sink, self._ratio = sink, ratio
        self._waiting: np.ndarray | None = None

    def __enter__(self) -> CellMeans:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._waiting is not None and self._waiting.shape[1]:
            self._hand_on(self._waiting)

    def write(self, values: np.ndarray) -> None:
        """Take a strip: (band, row, column)."""
        if self._waiting is not None:
            values = np.concatenate([self._waiting, values], axis=1)
        whole = values.shape[1] // self._ratio * self._ratio
        if whole:
            self._hand_on(values[:, :whole])
        self._waiting = values[:, whole:].copy()

    def _hand_on(self, values: np.ndarray) -> None:
        known = np.isfinite(values)
        rows, cols = (range(0, size, self._ratio) for size in values.shape[1:])

        def sums(array: np.ndarray) -> np.ndarray:
            down = np.add.reduceat(array, rows, axis=1, dtype=np.float64)
            return np.add.reduceat(down, cols, axis=2)

        with np.errstate(invalid="ignore"):
            self._sink.write(sums(np.where(known, values, 0)) / sums(known))
