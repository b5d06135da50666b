"""Bands: the rows of a tile a few at a time, so that the next layer reads from the cache what one layer has written.

A 3 x 3 convolution sees one row more on each side, so that in a chain of n of them each runs a row ahead of the
next. Each row is computed once: what the next layer will see again is kept in front of what is new::

    with rolled(layers, rows, buffer_pool) as chain:
        for band in bands(rows):
            before = given
            for left, (layer, rolling) in zip(reversed(range(n)), chain.items()):
                new = rolling.new(band.around(left))
                values, own = before.seen_by(new)
                layer(values, rows=own, out=rolling.room(new, ...))
                before = rolling
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from ...kernels.buffers import BufferPool

# Measured with tiles of 1000 columns: shorter bands take more steps, taller ones leave the cache.
BAND_ROWS = 48
# Rows of the trunk that the linear head weights at once, as measured: fewer take more steps, more leave the cache.
CHUNK_ROWS = 48
# Rows that are worth a core of their own.
LEAST_SHARE = 64


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

    def inside(self, other: Band) -> Band:
        """Return those of these rows that the other band answers for too; they may be none."""
        start = max(self.start, other.start)
        return Band(start, max(start, min(self.stop, other.stop)), self.rows)

    def where(self, other: Band) -> slice:
        """Return where the rows of another band lie among these."""
        return slice(other.start - self.start, other.stop - self.start)

    def __bool__(self) -> bool:
        """Whether there are any rows."""
        return self.stop > self.start

    def cut(self, height: int) -> Iterator[Band]:
        """Yield bands of these rows, of about equal height and at most `height`; 0 for one of all."""
        length = self.stop - self.start
        if not length:
            return
        number = -(-length // (height or length))
        breaks = [self.start + length * index // number for index in range(number + 1)]
        for start, stop in zip(breaks, breaks[1:]):
            yield Band(start, stop, self.rows)

    def cropped(self, values: torch.Tensor, seen: slice, wanted: slice) -> torch.Tensor:
        """Return the rows `wanted` of values (sample, channel, row, column) of the rows `seen`, as a view."""
        return values[:, :, wanted.start - seen.start : wanted.stop - seen.start]


def bands(rows: int, height: int) -> Iterator[Band]:
    """Yield the bands of an array of `rows` rows, of about equal height and at most `height`; 0 for one of all."""
    return Band(0, rows, rows).cut(height)


def shares(rows: Band, number: int) -> list[Band]:
    """Return about equal parts of some rows: `number` where each gets at least :data:`LEAST_SHARE` of them.

    They come from top to bottom, without gaps; of no rows there are none.
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


def rows_at_once(values: torch.Tensor, rows: int) -> int:
    """Return how many rows are computed at a time: `rows` where there is a cache to stay in, else all."""
    return rows if values.device.type == "cpu" else 0


def overlap(span: slice, shift: int, length: int) -> tuple[slice, slice]:
    """Return where `span`, shifted, lies on an axis of `length`, and which part of the span that is."""
    start, stop = max(0, span.start + shift), min(length, span.stop + shift)
    stop = max(start, stop)
    return slice(start, stop), slice(start - span.start - shift, stop - span.start - shift)


class Rolling:
    """What one layer of a chain of 3 x 3 filters puts out: each row once, from top to bottom.

    Parameters
    ----------
    rows : int
        Of the whole array.
    values : torch.Tensor, optional
        All of them, where they are there already.
    buffer_pool : BufferPool, optional
        Lends what :meth:`room` needs.
    """

    KEPT = 2

    def __init__(
        self, rows: int, values: torch.Tensor | None = None, buffer_pool: BufferPool | None = None
    ) -> None:
        self._rows = rows
        self._buffer_pool = buffer_pool
        self._values = torch.empty(0) if values is None else values
        self._held = slice(0, 0) if values is None else slice(0, rows)
        self._memory: torch.Tensor | None = None

    def new(self, wanted: slice) -> Band:
        """Return those of the rows `wanted` that were not put out before."""
        start = max(wanted.start, self._held.stop)
        return Band(start, max(start, wanted.stop), self._rows)

    def take(self, new: Band, values: torch.Tensor) -> None:
        """Take the rows `new` as they are; none went before."""
        self._values, self._held = values, new.own

    def room(
        self, new: Band, channels: int, like: torch.Tensor, dtype: torch.dtype, samples: int = 1
    ) -> torch.Tensor:
        """Return an array (sample, channel, row, column), channels last, for the rows `new`.

        Earlier rows are discarded except the last two. `like` gives width and device.
        """
        kept = self._values[:, :, -self.KEPT :] if self._held.stop > self._held.start else None
        above = 0 if kept is None else kept.shape[2]
        rows, cols = above + new.stop - new.start, like.shape[3]
        number = samples * rows * cols * channels
        memory = self._memory
        if self._buffer_pool is None:
            raise ValueError("values that are there already have no room for more")
        if memory is None or len(memory) < number:
            memory = self._buffer_pool.acquire(number, dtype, like.device)
        values = memory[:number].view(samples, rows, cols, channels).permute(0, 3, 1, 2)
        if kept is not None:
            # They may lie where they are to go.
            overlap = memory is self._memory and (samples > 1 or self._values.shape[2] < 2 * self.KEPT)
            values[:, :, :above].copy_(kept.clone() if overlap else kept)
        if memory is not self._memory:
            self.close()  # `kept` is copied
        self._memory, self._values, self._held = memory, values, slice(new.start - above, new.stop)
        return values[:, :, above:]

    def close(self) -> None:
        """Give the memory back: what was put out is lost."""
        if self._memory is not None and self._buffer_pool is not None:
            self._buffer_pool.put_back(self._memory)
            self._memory, self._values = None, torch.empty(0)

    def seen_by(self, new: Band) -> tuple[torch.Tensor, slice]:
        """Return what a 3 x 3 filter sees for its rows `new`, and where in it they lie themselves."""
        seen = new.around(1)
        values = self._values[:, :, seen.start - self._held.start : seen.stop - self._held.start]
        return values, slice(new.start - seen.start, new.stop - seen.start)

    def of(self, rows: slice) -> torch.Tensor:
        """Return rows that are held."""
        return self._values[:, :, rows.start - self._held.start : rows.stop - self._held.start]


@contextmanager
def rolled(names: Iterable[str], rows: int, buffer_pool: BufferPool) -> Iterator[dict[str, Rolling]]:
    """Give what layers of a chain over `rows` rows put out, by name, in memory of the buffer_pool."""
    chain = {name: Rolling(rows, buffer_pool=buffer_pool) for name in names}
    try:
        yield chain
    finally:
        for rolling in chain.values():
            rolling.close()
