"""From the trunk of the fusion network to its logits where no ReLU lies between: linear, so folded and reordered.

Each scale is a pool over k x k pixels and a 3 x 3 convolution of dilation k. Multiplied into the output
weights, the convolution leads from the trunk's 18 channels straight to the few logits. Away from the
array's edges pool and convolution change places, and the pools are taken of logits instead of channels,
each from the one before (Horner's scheme; B_2k is B_k taken k/2 before and k/2 after)::

    Σ_k B_k C_k x  =  B_2 (C_2 x + D_1 (C_4 x + D_2 (C_8 x + D_4 C_16 x)))

with B_k the sum over a window of k pixels and D_h the sum of the values h before and h after, on both axes.
Close to an edge of the *scene* a pool counts fewer pixels and the order matters: strips along such edges
are computed in the order of the definition. Edges of a tile inside the scene need none, since what lies
close to them is thrown away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product

import torch
from torch import nn
from torch.nn import functional

from ...contract import Edges
from ...kernels.convolutions import convolved, filled, kernel_lines, planes
from ...kernels.threads import Found, together
from .bands import Band, bands
from .pools import beside, doubled_pools, turned_pools

# Rows of the trunk that are weighted at once, as measured: fewer take more steps, more leave the cache.
CHUNK_ROWS = 48
# Pixels along an edge of the scene that are computed by the definition at once: what they need stays in the cache.
STRIP_LENGTH = 384
# Rows of logits whose scales are put together at once, for the same reason.
FINISHED_ROWS = 48
# Types by the bytes of a number.
WIDE = {16: torch.complex128, 8: torch.float64, 4: torch.float32}
Slices = tuple[slice, slice]
# Which sides of an array are edges of the scene: top, bottom, left, right.
ALL_EDGES: Edges = (True, True, True, True)


class LinearHead(nn.Module):
    """Pools, dilated convolutions and output weights as one linear layer from the trunk to the logits.

    Parameters
    ----------
    kernels : dict of int to torch.Tensor
        Scale → (output, trunk channel, 3, 3), float64; scales are 2, 4, 8, …, each twice the one before.
    dtype : torch.dtype
        Of the convolutions.
    sum_dtype : torch.dtype
        Of the logits.
    memory_format : torch.memory_format
        Of the trunk's output, and of the kernels.
    """

    def __init__(
        self,
        kernels: dict[int, torch.Tensor],
        dtype: torch.dtype,
        sum_dtype: torch.dtype,
        memory_format: torch.memory_format,
    ) -> None:
        super().__init__()
        self.dtype = dtype
        self.sum_dtype = sum_dtype
        self.memory_format = memory_format
        self.scales = tuple(kernels)
        # A logit this far from an edge sees windows that lie wholly inside.
        self.reach = self.scales[-1] + self.scales[-1] // 2
        self.outputs, self.channels = kernels[self.scales[0]].shape[:2]
        # A single logit wastes a convolution's lanes: its nine taps are channels of a 1 x 1 one instead.
        self.by_taps = self.outputs == 1
        for scale, kernel in kernels.items():
            self._keep(f"lines{scale}", kernel_lines(kernel))
            self._keep(f"back{scale}", kernel.flip(2, 3).transpose(0, 1))
            mean = kernel / scale**2
            self._keep(f"mean{scale}_back", mean.flip(2, 3).transpose(0, 1), wide=True)
            if not self.by_taps:
                self._keep(f"mean_lines{scale}", kernel_lines(mean), wide=True)
        if self.by_taps:
            taps = [
                (kernel[0] / scale**2).permute(1, 2, 0).flatten(0, 1) for scale, kernel in kernels.items()
            ]
            self._keep("taps", torch.cat(taps)[:, :, None, None])

    def _keep(self, name: str, weight: torch.Tensor, wide: bool = False) -> None:
        kept = weight.to(self.dtype).contiguous(memory_format=self.memory_format)
        self.register_buffer(name, filled(kept) if wide else kept)

    def gathering(self, like: torch.Tensor, edges: Edges, shares: Sequence[Band]) -> Gathering:
        """Return what takes the trunk's output band by band; of `like` size and device are read."""
        return Gathering(self, like, edges, shares)

    def spreading(self, seeds: torch.Tensor, edges: Edges) -> Spreading:
        """Return what gives the multipliers of the trunk band by band."""
        return Spreading(self, seeds, edges)

    def strips(self, rows: int, cols: int, edges: Edges) -> Iterator[tuple[Slices, Slices, Slices]]:
        """Yield what is computed by the definition: what a strip sees, its own logits, and these in it."""
        everything, reach = slice(None), self.reach
        if min(rows, cols) < 4 * reach:
            yield (everything,) * 2, (everything,) * 2, (everything,) * 2
            return
        first, last = slice(0, reach), slice(-reach, None)
        near, far = slice(0, 2 * reach), slice(-2 * reach, None)
        top, bottom, left, right = edges
        for wanted, seen, own in ((top, near, first), (bottom, far, last)):
            for along, mine, inside in self._pieces(cols) if wanted else ():
                yield (seen, along), (own, mine), (own, inside)
        for wanted, seen, own in ((left, near, first), (right, far, last)):
            for along, mine, inside in self._pieces(rows) if wanted else ():
                yield (along, seen), (mine, own), (inside, own)

    def _pieces(self, length: int) -> Iterator[tuple[slice, slice, slice]]:
        """Yield what pieces of a strip see along it, what they answer for, and this in it."""
        for piece in bands(length, STRIP_LENGTH):
            seen = piece.around(self.reach)
            yield seen, piece.own, slice(piece.start - seen.start, piece.stop - seen.start)

    def products(self, trunk: torch.Tensor) -> Iterator[tuple[int, int, int, torch.Tensor]]:
        """Yield scale, rows down, columns across, and what pixels so far away add to a logit.

        The last is (output, row, column); the columns of all but single logits are summed already.
        """
        rows, cols = trunk.shape[-2:]
        if self.by_taps:
            taps = planes(trunk, self.get_buffer("taps")).view(-1, 9, 1, rows, cols)
            for scale, own in zip(self.scales, taps):
                # To sums of another type they would be added several times slower.
                for (down, across), tap in zip(product((-1, 0, 1), repeat=2), own.to(self.sum_dtype)):
                    yield scale, scale * down, scale * across, tap
            return
        for scale in self.scales:
            weight = self.get_buffer(f"mean_lines{scale}")
            lines = convolved(trunk, weight, None, (0, scale), (1, scale))
            lines = apart(lines[:, : 3 * self.outputs], 3).to(self.sum_dtype)
            for down, own in zip((-1, 0, 1), lines):
                yield scale, scale * down, 0, own

    def multipliers(self, sums: dict[int, torch.Tensor], rows: slice, single: int | None) -> torch.Tensor:
        """Return the transpose of :meth:`products` for a band of rows.

        Parameters
        ----------
        sums : dict of int to torch.Tensor
            Scale → multipliers (1, output, row, column) of all rows.
        rows : slice
            The band.
        single : int or None
            The output of which `sums` are; None: of all.
        """
        outputs = slice(None) if single is None else slice(single, single + 1)
        total = None
        for scale in self.scales:
            seen = Band(rows.start, rows.stop, sums[scale].shape[2]).around(scale)
            missing = seen.start - rows.start + scale, rows.stop + scale - seen.stop
            values = sums[scale][:, :, seen].to(self.dtype)
            if any(missing):
                values = functional.pad(values, (0, 0, *missing))
            weight = self.get_buffer(f"mean{scale}_back")[:, outputs]
            part = convolved(values, weight, None, (0, scale), scale)
            total = part if total is None else total.add_(part)
        return total[:, : self.channels]

    def by_definition(self, trunk: torch.Tensor, inside: Slices = (slice(None),) * 2) -> torch.Tensor:
        """Return the logits of the pixels `inside` a strip, pools first."""
        down, across = (
            Band(*span.indices(length)[:2], length) for span, length in zip(inside, trunk.shape[2:])
        )
        shape = len(trunk), self.outputs, down.stop - down.start, across.stop - across.start
        logits = trunk.new_zeros(shape, dtype=self.sum_dtype)
        for scale, pooled in doubled_pools(trunk, self.scales):
            seen, weight = down.around(scale), self.get_buffer(f"lines{scale}")
            lines = convolved(pooled[:, :, seen], weight, None, (0, scale), (1, scale))[..., across.own]
            for away, line in zip((-scale, 0, scale), lines.split(self.outputs, 1)):
                # A logit sees what lies `away` rows below it.
                rows = slice(seen.start - down.start, seen.stop - down.start)
                into, of = _overlap(rows, -away, shape[2])
                logits[:, :, into].add_(line[:, :, of])
        return logits

    def transposed_definition(self, seeds: torch.Tensor) -> torch.Tensor:
        """Return the multipliers of the trunk for those of a strip's logits."""
        return turned_pools(
            {
                scale: convolved(seeds.to(self.dtype), self.get_buffer(f"back{scale}"), None, scale, scale)
                for scale in self.scales
            },
            self.memory_format,
        )


class Gathering:
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
    parts : tuple of Gathered
        One for each share.
    """

    def __init__(self, head: LinearHead, like: torch.Tensor, edges: Edges, shares: Sequence[Band]) -> None:
        self._head, self._device, self._shares = head, like.device, shares
        rows, cols = like.shape[-2:]
        self._strips = list(head.strips(rows, cols, edges))
        everything = (slice(None),) * 2
        self._whole = any(own == everything for _, own, _ in self._strips)
        seen = [seen for seen, _, _ in self._strips]
        self.parts = tuple(Gathered(head, like, seen, share, self._whole) for share in shares)

    def logits(self, complete: Callable[[int, torch.Tensor], None] | None = None) -> torch.Tensor:
        """Return the part of the logits (1, output, row, column) that comes through the scales.

        Parameters
        ----------
        complete : callable, optional
            ``complete(index, logits of the share)`` adds what comes by other ways, in place.
        """
        found = _each([partial(self._of_strip, index) for index in range(len(self._strips))], self._device)
        if self._whole:
            logits = found[0]
        else:
            first = self.parts[0].logits
            logits = first.new_empty((*first.shape[:2], self._shares[-1].stop, first.shape[3]))

        def put(index: int, share: Band) -> None:
            mine = logits[:, :, share.own]
            if not self._whole:
                self._put(index, share, found, mine)
            if complete is not None:
                complete(index, mine)

        _each([partial(put, *each) for each in enumerate(self._shares)], self._device)
        return logits

    def _put(self, index: int, share: Band, strips: Sequence[torch.Tensor], logits: torch.Tensor) -> None:
        """Fill the logits of a share with what its own rows and its neighbours' add to them, or with strips."""
        own = self.parts[index]
        logits.copy_(own.logits[:, :, share.start - own.rows.start : share.stop - own.rows.start])
        for part in self.parts:
            into, of = _overlap(
                slice(part.rows.start - share.start, part.rows.stop - share.start), 0, logits.shape[2]
            )
            if part is not own:
                logits[:, :, into].add_(part.logits[:, :, of])
        for (_, (rows, cols), _), strip in zip(self._strips, strips):
            first, stop, _ = rows.indices(share.rows)
            into, of = _overlap(slice(first - share.start, stop - share.start), 0, logits.shape[2])
            logits[:, :, into, cols] = strip[:, :, of]

    def _of_strip(self, index: int) -> torch.Tensor:
        pieces = [piece for part in self.parts for piece in part.pieces[index]]
        return self._head.by_definition(torch.cat(pieces, 2), self._strips[index][2])


class Gathered:
    """What a share of the rows of the trunk's output adds to the logits.

    Parameters
    ----------
    head, like, share
        See :class:`Gathering`.
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
        for band in bands(trunk.shape[2], _at_once(trunk, CHUNK_ROWS)):
            start, stop = (rows.start - self.rows.start + row for row in (band.start, band.stop))
            for scale, down, across, found in self._head.products(trunk[:, :, band.own]):
                total = self._sums[scale]
                # A logit `down` rows above and `across` columns to the left sees these.
                into_rows, of_rows = _overlap(slice(start, stop), -down, total.shape[1])
                into_cols, of_cols = _overlap(slice(0, total.shape[2]), -across, total.shape[2])
                # Not by `+=`, which would look the place up once more to put the sum there.
                total[:, into_rows, into_cols].add_(found[:, of_rows, of_cols])

    def finish(self) -> None:
        """Put the scales together, when all has been taken."""
        if self._whole:
            return
        outputs, height, width = self._shape
        sums, self._sums = self._sums, {}
        logits = sums[self._head.scales[0]].new_empty((1, height, width, outputs)).permute(0, 3, 1, 2)
        largest = self._head.scales[-1]
        for band in bands(height, _at_once(logits, FINISHED_ROWS)):
            # Each step of the scheme sees half a window more; what it makes of a band's ends is cut off.
            seen = band.around(largest // 2)
            total = sums[largest][None, :, seen]
            for scale in reversed(self._head.scales[:-1]):
                total = beside(total, scale // 2).add_(sums[scale][None, :, seen])
            total = functional.pad(total, (0, 1, 0, 1))
            total = total[:, :, :-1] + total[:, :, 1:]
            total = band.narrowed(total, seen, band.own)
            logits[:, :, band.own] = total[:, :, :, :-1] + total[:, :, :, 1:]
        self.logits = logits


class Spreading:
    """Multipliers of the trunk for those of the logits, given out in bands of rows.

    Parameters
    ----------
    head : LinearHead
        The head.
    seeds : torch.Tensor
        (1, output, row, column), multipliers of the logits.
    edges : tuple of bool
        Which sides of the tile are edges of the scene.
    """

    def __init__(self, head: LinearHead, seeds: torch.Tensor, edges: Edges) -> None:
        self._head = head
        self._strips: list[tuple[int, int, slice, torch.Tensor]] = []
        rows, cols = seeds.shape[-2:]
        remaining = seeds.to(head.sum_dtype, copy=True)
        self._whole = False
        jobs = []
        for seen, own, inside in head.strips(rows, cols, edges):
            strip = torch.zeros_like(remaining[(..., *seen)])
            strip[(..., *inside)] = remaining[(..., *own)]
            remaining[(..., *own)] = 0
            self._whole = self._whole or own == (slice(None),) * 2
            if self._whole or strip.any():
                jobs.append((seen, partial(head.transposed_definition, strip)))
        for (seen, _), found in zip(jobs, _each([job for _, job in jobs], seeds.device)):
            first, stop, _ = seen[0].indices(rows)
            self._strips.append((first, stop, seen[1], found))
        self._sums: dict[int, torch.Tensor] = {}
        if self._whole:
            return
        seeded = [output for output in range(head.outputs) if remaining[:, output].any()]
        self._single = seeded[0] if len(seeded) == 1 else 0 if head.by_taps else None
        if self._single is not None:
            remaining = remaining[:, self._single : self._single + 1]
        summed = functional.pad(remaining, (1, 0, 1, 0))
        summed = summed[:, :, :-1] + summed[:, :, 1:]
        summed = summed[:, :, :, :-1] + summed[:, :, :, 1:]
        for scale in head.scales:
            summed = beside(summed, scale // 4) if self._sums else summed
            self._sums[scale] = summed

    def multipliers(self, rows: slice) -> torch.Tensor:
        """Return the multipliers (1, trunk channel, row, column) of the rows `rows`."""
        if self._whole:
            return self._strips[0][3][:, :, rows].clone()
        head, sums = self._head, self._sums
        parts = [
            head.multipliers(sums, slice(rows.start + band.start, rows.start + band.stop), self._single)
            for band in bands(rows.stop - rows.start, _at_once(sums[head.scales[0]], CHUNK_ROWS))
        ]
        total = torch.cat(parts, 2)
        for first, stop, cols, found in self._strips:
            low, high = max(first, rows.start), min(stop, rows.stop)
            if low < high:
                own = total[:, :, low - rows.start : high - rows.start, cols]
                own += found[:, :, low - first : high - first]
        return total


def _each(jobs: Sequence[Callable[[], Found]], device: torch.device) -> list[Found]:
    """Return what jobs return: on CPUs at once; another device has an order of its own for each thread."""
    return together(jobs) if device.type == "cpu" else [job() for job in jobs]


def _at_once(values: torch.Tensor, rows: int) -> int:
    """Return how many rows are computed at a time: `rows` where there is a cache to stay in, else all."""
    return rows if values.device.type == "cpu" else 0


def apart(values: torch.Tensor, parts: int) -> torch.Tensor:
    """Return values (1, channel, row, column), channels last, in parts of their channels, each channels last.

    They may be some channels of an array that has more.

    Returns
    -------
    torch.Tensor
        (part, channel, row, column).
    """
    _, channels, rows, cols = values.shape
    number = channels // parts
    given = values.permute(0, 2, 3, 1).reshape(rows * cols, channels).unflatten(1, (parts, number))
    # What lies side by side is moved like one number, where that can be.
    if given.stride(2) == 1 and not given.requires_grad:
        places = number, *given.stride()[:2], given.storage_offset()
        bytes_ = [place * given.element_size() for place in places]
        units = (unit for size, unit in WIDE.items() if not any(each % size for each in bytes_))
        given = given.view(next(units, given.dtype))
    moved = given.transpose(0, 1).contiguous()
    if moved.dtype != values.dtype:  # a view as another type lets no gradient pass
        moved = moved.view(values.dtype)
    return moved.view(parts, rows, cols, number).permute(0, 3, 1, 2)


def _overlap(span: slice, shift: int, length: int) -> tuple[slice, slice]:
    """Return where `span`, shifted, lies on an axis of `length`, and which part of the span that is."""
    start, stop = max(0, span.start + shift), min(length, span.stop + shift)
    stop = max(start, stop)
    return slice(start, stop), slice(start - span.start - shift, stop - span.start - shift)
