"""Where the image begins and ends in each row: no data (DN 0) and border noise lie outside.

Products before IPF 2.9 (March 2018) keep a fringe of small numbers along their edges that is no
image. An image's power is never far below the thermal noise in it, so the noise table gives the
fringe: from each edge of a row inward the fringe goes on until a pixel and the mean of the 16 pixels
from it inward both exceed a quarter of the noise there. Each row decides for itself; strips cannot
show. Where the table has no noise the fringe is DN 0 alone.
"""

from __future__ import annotations

import numpy as np

LIMIT = 0.25
"""Share of the thermal noise's power below which a pixel at the edge is no image."""
WIDTH = 16
"""Pixels whose mean decides."""
_PIECES = (64, 512, 4096)


def fringe(power: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return how many pixels from the left are no image, in each row.

    Parameters
    ----------
    power, noise : numpy.ndarray
        (row, column) DN² and thermal noise; the noise is infinite where no sub-swath is.

    Returns
    -------
    numpy.ndarray
        (row,) int64, up to the number of columns. For the right edge give ``power[:, ::-1]``.
    """
    rows, cols = power.shape
    width = min(WIDTH, cols)
    last = cols - width + 1
    widths = np.full(rows, cols, dtype=np.int64)
    open_rows = np.arange(rows)
    start = number = 0
    while start < last and len(open_rows):
        stop = min(last, start + _PIECES[min(number, len(_PIECES) - 1)])
        reach = slice(start, stop + width - 1)
        whole = len(open_rows) == rows
        q = power[:, reach] if whole else power[open_rows, reach]
        limit = LIMIT * (noise[:, reach] if whole else noise[open_rows, reach])
        image = q[:, : stop - start] > limit[:, : stop - start]
        image &= _window_sums(q, width) > _window_sums(limit, width)
        hit = image.any(axis=1)
        widths[open_rows[hit]] = start + np.argmax(image[hit], axis=1)
        open_rows = open_rows[~hit]
        start, number = stop, number + 1
    return widths


def _window_sums(values: np.ndarray, width: int) -> np.ndarray:
    """Return sums of `width` columns from each column on; infinite values stay so."""
    total = np.zeros((values.shape[0], values.shape[1] - width + 1))
    doubled, size, offset = values, 1, 0
    left = width
    while left:
        if left & 1:
            total += doubled[:, offset : offset + total.shape[1]]
            offset += size
        left >>= 1
        if left:
            doubled = doubled[:, :-size] + doubled[:, size:]
            size *= 2
    return total
