"""The rule of LRP-ε for one layer: what is handed on of what arrives, and the books of what is not.

A layer hands on the share s = |z|/(|z| + ε D) of what arrives at its output z, D = Σ|z_ij| + |b_j| (Bach et
al. 2015, doi 10.1371/journal.pone.0130140, with ε relative to the layer's own contributions).
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from .aspp_bands import bands
from .aspp_pullback import channel_sums

# A smaller ε is nothing beside the rounding of z, but ε D would be zero in float32, and 0/0 no number.
LEAST_EPSILON = 1e-30

# Rows handed on at once, as measured: fewer take more steps, more leave the cache.
CHUNK_ROWS = 64

# note(account, layer, amount): what a layer of the plain network did not hand on, a float64 scalar.
Note = Callable[[str, str, torch.Tensor], None]


class Books:
    """Adds up what single bands note, so that each sum is noted once."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], torch.Tensor] = {}

    def add(self, account: str, layer: str, amount: torch.Tensor) -> None:
        """Add a float64 scalar."""
        self._sums[account, layer] = self._sums.get((account, layer), 0.0) + amount

    def join(self, others: Books) -> None:
        """Add the sums of other books."""
        for entry, amount in others._sums.items():
            self.add(*entry, amount)

    def close(self, note: Note) -> None:
        """Note the sums."""
        for entry, amount in self._sums.items():
            note(*entry, amount)


class EpsilonRule:
    """Hands on the share of a layer.

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

    def hand_on(
        self,
        books: Books,
        layer: str,
        weights: torch.Tensor,
        multipliers: torch.Tensor,
        z: torch.Tensor,
        size: torch.Tensor,
        own: slice | None = None,
        rectified: bool = False,
    ) -> torch.Tensor:
        """Return what a layer hands on of `multipliers`; book what ε and the bias get in the rows `own`, or all.

        `multipliers` and `size` (D, nowhere zero) are used up. `weights` are those of the bias, float64.
        """
        own = own or slice(0, z.shape[2])
        epsilon = bias = 0.0
        for part in bands(z.shape[2], CHUNK_ROWS):
            arriving, here, withheld = (each[:, :, part.own] for each in (multipliers, z, size))
            if not rectified:
                withheld.copysign_(here)
            arriving.mul_(here).div_(torch.add(here, withheld, alpha=self.epsilon))
            inside = slice(max(own.start - part.start, 0), min(own.stop, part.stop) - part.start)
            if inside.start < inside.stop:
                mine = arriving[:, :, inside]
                epsilon = epsilon + channel_sums(withheld[:, :, inside].mul_(mine)).sum()
                bias = bias + channel_sums(mine)
        books.add("epsilon", layer, self.epsilon * epsilon)
        books.add("bias", layer, (bias * weights).sum())
        return multipliers
