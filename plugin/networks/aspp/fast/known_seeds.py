"""Gradients of logits whose seeds are known beforehand: without the logits, on the pixels alone that gates look at.

The head is linear, so what it sends back depends on the seeds alone. Seeds may lie far around the pixels whose
gradients are wanted; the trunk is computed on these pixels and 2 more a convolution: one for what the gradient passes,
one for what its gates see.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...contract import Backward, Edges, Record, Slices
from .bands import Band
from .gradient import GradientPass
from .head_transpose import HeadTranspose
from .weights import CONVOLUTIONS

MARGIN = 2 * len(CONVOLUTIONS)


@dataclass(frozen=True)
class KnownSeeds:
    """A forward pass to the gates, and its backward pass.

    Parameters
    ----------
    gradient : GradientPass
        Of the network.
    explained : torch.Tensor
        (row, column), bool: which logits have seeds, the same ones each; within reach of the tile.
    edges : tuple of bool
        Which of its sides are edges of the scene.
    within : tuple of slice
        Where `inside` lies in it.
    inside : tuple of slice
        Rows and columns of the tile whose gradients are computed; wrong at :data:`MARGIN` pixels along their sides.
    """

    gradient: GradientPass
    explained: torch.Tensor
    edges: Edges
    within: Slices
    inside: Slices

    def __call__(
        self, fine: torch.Tensor, coarse: torch.Tensor | None, edges: Edges = (True,) * 4
    ) -> tuple[torch.Tensor, Backward]:
        """Return zeros in place of the logits, and the backward pass, to be run before the next forward pass."""
        whole, network = self.gradient, self.gradient.forward_network
        number = network.buffer_pool.begin()
        seen = fine[(..., *self.inside)]
        kept = whole.kept(seen)
        with torch.no_grad():
            network.keep(network.laid_out(seen), self._edges(fine, edges), kept)
        shape = (1, network.head.outputs, *fine.shape[2:])
        logits = fine.new_zeros(shape, dtype=network.sum_dtype)

        def backward(
            seeds: torch.Tensor, _record: Record | None = None
        ) -> tuple[torch.Tensor, torch.Tensor | None]:
            network.buffer_pool.check(number)
            with torch.no_grad():
                seeds = seeds.to(whole.network.sum_dtype)
                found = fine.new_zeros(fine.shape)
                sent_back = self._sent_back(seeds)
                mine = seeds[(..., *self.inside)]
                rows = Band(0, mine.shape[2], mine.shape[2])
                found[(..., *self.inside)] = whole.to_fine(mine, kept, sent_back, None, rows)
                return found, whole.to_cells(seeds, coarse)

        return logits, backward

    def _edges(self, fine: torch.Tensor, edges: Edges) -> Edges:
        rows, cols = self.inside
        top, bottom, left, right = edges
        return (
            top and rows.start == 0,
            bottom and rows.stop == fine.shape[2],
            left and cols.start == 0,
            right and cols.stop == fine.shape[3],
        )

    def _sent_back(self, seeds: torch.Tensor) -> SentBack:
        """Return what the head sends back to the pixels inside."""
        head = self.gradient.network.head
        single = seeds.flatten(2)[..., seeds[0].any(0).flatten().nonzero()[0]][..., None]
        if not any(self.edges) and bool(self.explained.all()):
            # The same at all pixels: that in the middle of a small tile.
            side = 4 * head.reach + 1
            line = slice(side // 2, side // 2 + 1)
            tile = HeadTranspose(head, single.expand(-1, -1, side, side), (False,) * 4)
            return SentBack(tile.gradients(line)[..., line], self.within)
        everywhere = single * self.explained.to(seeds)
        return SentBack(HeadTranspose(head, everywhere, self.edges), self.within)


@dataclass(frozen=True)
class SentBack:
    """What the head sends back to a part of a tile.

    Parameters
    ----------
    of : torch.Tensor or HeadTranspose
        (1, trunk channel, 1, 1), the same everywhere, or that of the tile.
    within : tuple of slice
        The part's rows and columns.
    """

    of: torch.Tensor | HeadTranspose
    within: Slices

    def gradients(self, rows: slice) -> torch.Tensor:
        """Return the gradients (1, trunk channel, row, column) of the rows `rows` of the part."""
        down, across = self.within
        if isinstance(self.of, torch.Tensor):
            return self.of.expand(-1, -1, rows.stop - rows.start, across.stop - across.start)
        first = down.start
        return self.of.gradients(slice(first + rows.start, first + rows.stop))[..., across]
