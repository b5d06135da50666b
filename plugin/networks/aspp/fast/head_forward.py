"""The linear head forwards: the trunk's output comes band by band, and its logits are put together at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch.nn import functional

from ...kernels.threads import run_on
from .bands import CHUNK_ROWS, Band, bands, overlap, rows_at_once
from .head import Edges, LinearHead, Slices
from .pools import shifted_sum

# Rows of logits whose scales are put together at once, for the same reason.
FINISHED_ROWS = 48


class HeadForward:
    """Logits of a linear head from the trunk's output.

    Parameters
    ----------
    head : LinearHead
        The head.
    like : torch.Tensor
        An array with the tile's size, on its device.
    edges : tuple of bool
        Which sides of the tile are edges of the scene.
    shares : sequence of Band
        Parts of the tile's rows, each of which comes from one core.

    Attributes
    ----------
    parts : tuple of ShareForward
        One for each share.
    """

    def __init__(self, head: LinearHead, like: torch.Tensor, edges: Edges, shares: Sequence[Band]) -> None:
        self._head, self._device, self._shares = head, like.device, shares
        rows, cols = like.shape[-2:]
        self._strips = list(head.strips(rows, cols, edges))
        everything = (slice(None),) * 2
        self._whole = any(own == everything for _, own, _ in self._strips)
        seen = [seen for seen, _, _ in self._strips]
        self.parts = tuple(ShareForward(head, like, seen, share, self._whole) for share in shares)

    def logits(self, complete: Callable[[int, torch.Tensor], None] | None = None) -> torch.Tensor:
        """Return the part of the logits (1, output, row, column) that comes through the scales.

        Parameters
        ----------
        complete : callable, optional
            ``complete(index, logits of the share)`` adds what comes by other ways, in place.
        """
        strips = run_on(self._device, [partial(self._of_strip, index) for index in range(len(self._strips))])
        if self._whole:
            logits = strips[0]
        else:
            first = self.parts[0].logits
            logits = first.new_empty((*first.shape[:2], self._shares[-1].stop, first.shape[3]))

        def put(index: int, share: Band) -> None:
            mine = logits[:, :, share.own]
            if not self._whole:
                self._put(index, share, strips, mine)
            if complete is not None:
                complete(index, mine)

        run_on(self._device, [partial(put, *each) for each in enumerate(self._shares)])
        return logits

    def _put(self, index: int, share: Band, strips: Sequence[torch.Tensor], logits: torch.Tensor) -> None:
        """Fill the logits of a share with what its own rows and its neighbours' add to them, or with strips."""
        own = self.parts[index]
        logits.copy_(own.logits[:, :, share.start - own.rows.start : share.stop - own.rows.start])
        for part in self.parts:
            into, of = overlap(
                slice(part.rows.start - share.start, part.rows.stop - share.start), 0, logits.shape[2]
            )
            if part is not own:
                logits[:, :, into].add_(part.logits[:, :, of])
        for (_, (rows, cols), _), strip in zip(self._strips, strips):
            first, stop, _ = rows.indices(share.rows)
            into, of = overlap(slice(first - share.start, stop - share.start), 0, logits.shape[2])
            logits[:, :, into, cols] = strip[:, :, of]

    def _of_strip(self, index: int) -> torch.Tensor:
        pieces = [piece for part in self.parts for piece in part.pieces[index]]
        return self._head.by_definition(torch.cat(pieces, 2), self._strips[index][2])


class ShareForward:
    """What a share of the rows of the trunk's output adds to the logits.

    Parameters
    ----------
    head, like, share
        See :class:`HeadForward`.
    strips : sequence of tuple of slice
        What the strips along the edges of the scene see.
    whole : bool
        Whether one of them is the whole tile.

    Attributes
    ----------
    rows : slice
        The rows of logits that the share adds to.
    logits : torch.Tensor
        (1, output, row, column), what it adds to them; there after :meth:`finish`.
    pieces : list of list of torch.Tensor
        For each strip what it sees of the share, from top to bottom.
    """

    def __init__(
        self, head: LinearHead, like: torch.Tensor, strips: Sequence[Slices], share: Band, whole: bool
    ) -> None:
        self._head = head
        self._strips = [(*rows.indices(share.rows)[:2], cols) for rows, cols in strips]
        self._whole = whole
        self.pieces: list[list[torch.Tensor]] = [[] for _ in strips]
        self.rows = share.around(head.reach)
        self._shape = head.outputs, self.rows.stop - self.rows.start, like.shape[3]
        self._sums: dict[int, torch.Tensor] = {}
        self.logits = torch.empty(0)

    def add(self, rows: slice, trunk: torch.Tensor) -> None:
        """Take the rows `rows` of the trunk's output; they come from top to bottom, each once."""
        for (first, stop, cols), pieces in zip(self._strips, self.pieces):
            low, high = max(first, rows.start), min(stop, rows.stop)
            if low < high:
                pieces.append(trunk[:, :, low - rows.start : high - rows.start, cols].clone())
        if self._whole:
            return
        if not self._sums:
            # The outputs of a pixel side by side, as they are found.
            outputs, height, width = self._shape
            kind = {"dtype": self._head.sum_dtype, "device": trunk.device}
            for scale in self._head.scales:
                self._sums[scale] = torch.zeros((height, width, outputs), **kind).permute(2, 0, 1)
        for band in bands(trunk.shape[2], rows_at_once(trunk, CHUNK_ROWS)):
            start, stop = (rows.start - self.rows.start + row for row in (band.start, band.stop))
            for scale, down, across, product in self._head.products(trunk[:, :, band.own]):
                total = self._sums[scale]
                # A logit `down` rows above and `across` columns to the left sees these.
                into_rows, of_rows = overlap(slice(start, stop), -down, total.shape[1])
                into_cols, of_cols = overlap(slice(0, total.shape[2]), -across, total.shape[2])
                # Not by `+=`, which would look the place up once more to put the sum there.
                total[:, into_rows, into_cols].add_(product[:, of_rows, of_cols])

    def finish(self) -> None:
        """Put the scales together, when all has been taken."""
        if self._whole:
            return
        outputs, height, width = self._shape
        sums, self._sums = self._sums, {}
        logits = sums[self._head.scales[0]].new_empty((1, height, width, outputs)).permute(0, 3, 1, 2)
        largest = self._head.scales[-1]
        for band in bands(height, rows_at_once(logits, FINISHED_ROWS)):
            # Each step of the scheme sees half a window more; what it makes of a band's ends is cut off.
            seen = band.around(largest // 2)
            total = sums[largest][None, :, seen]
            for scale in reversed(self._head.scales[:-1]):
                total = shifted_sum(total, scale // 2).add_(sums[scale][None, :, seen])
            total = functional.pad(total, (0, 1, 0, 1))
            total = total[:, :, :-1] + total[:, :, 1:]
            total = band.cropped(total, seen, band.own)
            logits[:, :, band.own] = total[:, :, :, :-1] + total[:, :, :, 1:]
        self.logits = logits
