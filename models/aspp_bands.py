"""Bands: the rows of a tile a few at a time, so that what one layer hands to the next stays in the cache.

A 3 x 3 convolution sees one row more on each side. A chain of n of them therefore starts n rows beyond the
rows a band answers for, and after each layer the outermost row, which the cut has spoiled, is dropped::

    for band in bands(rows):
        seen = band.around(n)
        values = fine[:, :, seen]
        for left in reversed(range(n)):
            values = band.narrowed(convolved(values), seen, seen := band.around(left))
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

# Measured with tiles of 1000 columns: shorter bands compute more rows twice, taller ones leave the cache.
BAND_ROWS = 96
# Rows that are worth a core of their own.
LEAST_SHARE = 64
# Tiles differ by a coarse cell in their rows and columns.
ROOM = 1.1


@dataclass(frozen=True)
class Band:
    """Rows of an array of `rows` rows (or columns, where it is said).

    Parameters
    ----------
    start, stop : int
        The rows the band answers for.
    rows : int
        Of the whole array.
    """

    start: int
    stop: int
    rows: int

    @property
    def own(self) -> slice:
        """The rows the band answers for."""
        return slice(self.start, self.stop)

    def around(self, halo: int) -> slice:
        """Return these rows and `halo` more on each side, as far as the array goes."""
        return slice(max(0, self.start - halo), min(self.rows, self.stop + halo))

    def cut(self, height: int) -> Iterator[Band]:
        """Yield bands of these rows, of about equal height and at most `height`; 0 for one of all."""
        length = self.stop - self.start
        if not length:
            return
        number = -(-length // (height or length))
        breaks = [self.start + length * index // number for index in range(number + 1)]
        for start, stop in zip(breaks, breaks[1:]):
            yield Band(start, stop, self.rows)

    def narrowed(self, values: torch.Tensor, seen: slice, wanted: slice) -> torch.Tensor:
        """Return the rows `wanted` of values (sample, channel, row, column) of the rows `seen`, as a view."""
        return values[:, :, wanted.start - seen.start : wanted.stop - seen.start]


def bands(rows: int, height: int) -> Iterator[Band]:
    """Yield the bands of an array of `rows` rows, of about equal height and at most `height`; 0 for one of all."""
    return Band(0, rows, rows).cut(height)


def shares(rows: Band, number: int) -> list[Band]:
    """Return about equal parts of some rows: `number` where each gets at least :data:`LEAST_SHARE` of them.

    Of no rows there are none.
    """
    length = rows.stop - rows.start
    return list(rows.cut(-(-length // max(1, min(number, length // LEAST_SHARE)))))


def span_of(values: torch.Tensor, axis: int, halo: int) -> Band:
    """Return what holds all of values (sample, channel, row, column) that are not zero, and `halo` more.

    Parameters
    ----------
    values : torch.Tensor
        The values.
    axis : int
        2 for a span of rows, 3 for one of columns.
    halo : int
        How many more on each side, as far as the array goes.
    """
    length = values.shape[axis]
    held = values.ne(0).any(5 - axis).any(1).any(0).nonzero()
    if not len(held):
        return Band(0, 0, length)
    return Band(max(0, int(held[0]) - halo), min(length, int(held[-1]) + 1 + halo), length)


class Workspace:
    """Large arrays that one tile after the other uses: fresh memory costs more than what is computed in it.

    An array is kept under its name, with some room, until the next one does not fit or is less than half as
    large.
    """

    def __init__(self) -> None:
        self._kept: dict[str, torch.Tensor] = {}

    def take(self, name: str, shape: tuple[int, int, int, int], like: torch.Tensor) -> torch.Tensor:
        """Return an array (sample, channel, row, column) of any values, channels last, of the kind of `like`."""
        samples, channels, rows, cols = shape
        number = samples * channels * rows * cols
        kept = self._kept.pop(name, None)
        fits = kept is not None and kept.dtype == like.dtype and kept.device == like.device
        if not fits or not number <= len(kept) <= 2 * ROOM * number:
            kept = None  # given back before more is asked for
            kept = torch.empty(int(ROOM * number), dtype=like.dtype, device=like.device)
        self._kept[name] = kept
        return kept[:number].view(samples, rows, cols, channels).permute(0, 3, 1, 2)
