"""The rule of LRP-ε for one layer, and sums of the relevance that leaks to biases and to the stabiliser.

A layer propagates the share s = |z|/(|z| + ε D) of the relevance of its output z, D = Σ|z_ij| + |b_j| (Bach et
al. 2015, doi 10.1371/journal.pone.0130140, with ε relative to the layer's own contributions).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from ...contract import Record
from .bands import bands
from .gradient import column_sums

# A smaller ε is nothing beside the rounding of z, but ε D would be zero in float32, and 0/0 no number.
LEAST_EPSILON = 1e-30

# Rows propagated at once, as measured: fewer take more steps, more leave the cache.
CHUNK_ROWS = 64


class LeakSums:
    """Adds up leaks by column, one thread at a time, so that each sum is made once."""

    def __init__(self) -> None:
        # By kind and layer: float64 sums over rows, the channels, and their weights.
        self._sums: dict[tuple[str, str], tuple[torch.Tensor, int, torch.Tensor | float]] = {}

    def add(self, kind: str, layer: str, values: torch.Tensor, weights: torch.Tensor | float) -> None:
        """Add Σ weights · values (sample, channel, row, column); weights: float64 by channel, or one for all.

        All calls for one (kind, layer) must use the same width, memory layout and weights.
        """
        sums = column_sums(values)
        if (kind, layer) in self._sums:
            self._sums[kind, layer][0].add_(sums)
        else:
            self._sums[kind, layer] = sums.double(), values.shape[1], weights

    def close(self, record: Record) -> None:
        """Record the sums."""
        for (kind, layer), (sums, channels, weights) in self._sums.items():
            record(kind, layer, (sums.view(-1, channels).sum(0) * weights).sum())


def record_all(leaks: Iterable[LeakSums], record: Record) -> None:
    """Record the totals of several sums."""
    total: dict[tuple[str, str], torch.Tensor] = {}

    def add(kind: str, layer: str, amount: torch.Tensor) -> None:
        total[kind, layer] = total.get((kind, layer), 0.0) + amount

    for each in leaks:
        each.close(add)
    for entry, amount in total.items():
        record(*entry, amount)


class EpsilonRule:
    """Propagates relevance through one layer.

    Parameters
    ----------
    epsilon : float
        ε, relative to D; less than :data:`LEAST_EPSILON` is taken as that.
    dtype : torch.dtype
        Of what is computed.

    Attributes
    ----------
    least : float
        So much that ε D is never zero where it is added to D, and too little to be seen beside any other D.
    """

    def __init__(self, epsilon: float, dtype: torch.dtype) -> None:
        self.epsilon = max(epsilon, LEAST_EPSILON)
        self.least = torch.finfo(dtype).tiny / self.epsilon

    def propagate(
        self,
        leaks: LeakSums,
        layer: str,
        weights: torch.Tensor,
        gradients: torch.Tensor,
        z: torch.Tensor,
        size: torch.Tensor,
        own: slice | None = None,
        rectified: bool = False,
    ) -> torch.Tensor:
        """Return what a layer propagates of `gradients`; add what ε and the bias get in the rows `own`, or all.

        `gradients` and `size` (D, nowhere zero) are used up. `weights` are those of the bias, float64.
        """
        own = own or slice(0, z.shape[2])
        for part in bands(z.shape[2], CHUNK_ROWS):
            arriving, here, withheld = (each[:, :, part.own] for each in (gradients, z, size))
            if not rectified:
                withheld.copysign_(here)
            arriving.mul_(here).div_(torch.add(here, withheld, alpha=self.epsilon))
            inside = slice(max(own.start - part.start, 0), min(own.stop, part.stop) - part.start)
            if inside.start < inside.stop:
                mine = arriving[:, :, inside]
                leaks.add("epsilon", layer, withheld[:, :, inside].mul_(mine), self.epsilon)
                leaks.add("bias", layer, mine, weights)
        return gradients
