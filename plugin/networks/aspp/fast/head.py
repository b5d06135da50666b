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

from collections.abc import Iterator
from itertools import product

import torch
from torch import nn
from torch.nn import functional

from ...contract import Edges
from ...kernels.convolutions import convolved, filled, kernel_lines, planes
from .bands import Band, bands, overlap
from .pools import doubled_pools, transposed_pools

# Pixels along an edge of the scene that are computed by the definition at once: what they need stays in the cache.
STRIP_LENGTH = 384
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
            lines = deinterleaved(lines[:, : 3 * self.outputs], 3).to(self.sum_dtype)
            for down, own in zip((-1, 0, 1), lines):
                yield scale, scale * down, 0, own

    def transposed_products(
        self, sums: dict[int, torch.Tensor], rows: slice, single: int | None
    ) -> torch.Tensor:
        """Return the transpose of :meth:`products` for a band of rows.

        Parameters
        ----------
        sums : dict of int to torch.Tensor
            Scale → gradients (1, output, row, column) of all rows.
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
        if total is None:
            raise ValueError("a linear head without scales has no gradient")
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
                into, of = overlap(rows, -away, shape[2])
                logits[:, :, into].add_(line[:, :, of])
        return logits

    def transposed_definition(self, seeds: torch.Tensor) -> torch.Tensor:
        """Return the gradients of the trunk for those of a strip's logits."""
        return transposed_pools(
            {
                scale: convolved(seeds.to(self.dtype), self.get_buffer(f"back{scale}"), None, scale, scale)
                for scale in self.scales
            },
            self.memory_format,
        )


def deinterleaved(values: torch.Tensor, parts: int) -> torch.Tensor:
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
    return given.transpose(0, 1).contiguous().view(parts, rows, cols, number).permute(0, 3, 1, 2)
