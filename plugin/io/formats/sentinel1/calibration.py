"""The calibration table: A of sigma0 = DN² / A², bilinear in line and pixel."""

from __future__ import annotations

import numpy as np

from .tables import Rows, along_line, vectors, zones
from .xml import Node


class Calibration:
    """The calibration of one polarisation.

    Parameters
    ----------
    root : Node
        The calibration file.
    rows, cols : int
        Size of the image.

    Raises
    ------
    SceneError
        The table is malformed or does not cover the image.
    """

    def __init__(self, root: Node, rows: int, cols: int) -> None:
        table = vectors(root, "calibrationVectorList/calibrationVector", "sigmaNought", cols)
        if any((vector.values <= 0).any() for vector in table):
            raise root.error("has a sigmaNought that is not positive")
        self.lines = np.array([vector.line for vector in table], dtype=np.float64)
        gap = float(np.diff(self.lines).max()) if len(table) > 1 else 0.0
        short = any(v.pixels[0] > 0 or v.pixels[-1] < cols - 1 for v in table)
        if short or self.lines[0] > gap or self.lines[-1] < rows - 1 - gap:
            raise root.error(f"does not cover the image of {rows} x {cols} pixels")
        columns = np.arange(cols, dtype=np.float64)
        self._values = np.stack([np.interp(columns, v.pixels, v.values) for v in table])
        self._at = zones([v.line for v in table], rows, self._make)

    def _make(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        return along_line(self.lines, self._values, row)

    def rows(self, row: int) -> Rows:
        """Return A from `row` on (amplitude, not squared)."""
        return self._at(row)
