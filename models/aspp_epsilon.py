"""The way back through the fusion network by LRP-ε, written out for speed.

A layer hands on the share s = |z|/(|z| + ε D) of what arrives at its output z, D = Σ|z_ij| + |b_j| (Bach et
al. 2015, doi 10.1371/journal.pone.0130140, with ε relative to the layer's own contributions). Every layer of
the definition keeps its own share, so nothing is folded. Where a ReLU follows, s is zero where it is shut.

The trunk's outputs z are kept for a whole tile. All else, D and the branches, is made on the way back, band by
band (:mod:`.aspp_bands`), and used up in the band: memory costs more than computing anew.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.nn import functional

from .aspp_bands import Band, Workspace, bands, rows_with
from .aspp_fast import CONVOLUTIONS, NORMS, FastAspp
from .aspp_head import (
    ALL_EDGES,
    Edges,
    doubled_pools,
    inverse_counts,
    summed_back,
)
from .aspp_pullback import channel_sums, to_cells, turned
from .aspp_variants import SCALES
from .convolutions import Filters, convolved
from .together import together

# Rows around a pixel that its branches see: the largest pool and the dilation behind it.
BRANCH_HALO = SCALES[-1] + SCALES[-1] // 2
# Rows around a seed that relevance reaches.
RADIUS = BRANCH_HALO + len(CONVOLUTIONS)

LEAST_EPSILON = 1e-30

# Rows handed on at once: what several operations read and write stays in the inner cache.
CHUNK_ROWS = 16

# note(account, layer, amount): what a layer of the plain network did not hand on, a float64 scalar.
Note = Callable[[str, str, torch.Tensor], None]


class EpsilonPullback(nn.Module):
    """A forward pass that keeps each layer's share.

    Parameters
    ----------
    network : FastAspp
        A network without ReLU behind its scale convolutions, with cells repeated over their pixels.
    epsilon : float
        ε, relative to D; less than :data:`LEAST_EPSILON` is taken as that.
    """

    def __init__(self, network: FastAspp, epsilon: float) -> None:
        super().__init__()
        self.network = network
        # Less is nothing beside the rounding of z, but would be zero in float32.
        self.epsilon = max(epsilon, LEAST_EPSILON)
        branches = [f"scale{scale}" for scale in SCALES]
        self._weights = {name: network.get_buffer(f"{name}_weight") for name in branches}
        self._weights |= {f"output{scale}": network.get_buffer(f"output{scale}") for scale in SCALES}
        self._weights["output_skip"] = network.get_buffer("output_skip")
        self._sizes = {name: weight.abs() for name, weight in self._weights.items()}
        self._turned = {name: turned(weight, network) for name, weight in self._weights.items()}
        self._biases = {name: network.get_buffer(f"{name}_bias") for name in (*CONVOLUTIONS, *branches)}
        # So much that ε D is never zero, and too little to be seen beside any other D.
        self._least = torch.finfo(network.dtype).tiny / self.epsilon
        self._bias_sizes = {name: bias.abs() + self._least for name, bias in self._biases.items()}
        self._to_size, self._to_before = {}, {}
        for name in CONVOLUTIONS:
            weight = network.get_buffer(f"{name}_weight")
            self._to_size[name] = Filters(weight.abs(), self._bias_sizes[name])
            self._to_before[name] = Filters(turned(weight, network))
        self._workspace, self._passes = Workspace(), 0

    def forward(
        self, fine: torch.Tensor, coarse: torch.Tensor | None, edges: Edges = ALL_EDGES
    ) -> tuple[torch.Tensor, Callable[..., tuple[torch.Tensor, torch.Tensor | None]]]:
        """Return the logits, and ``pull(multipliers of them, note)``, to be used before the next pass.

        Parameters
        ----------
        fine, coarse, edges
            As :meth:`.aspp_fast.FastAspp.forward` takes them.
        """
        network = self.network
        fine = network.laid_out(fine)
        self._passes += 1
        number = self._passes
        kept = {name: self._array(name, len(self._biases[name]), fine) for name in CONVOLUTIONS}
        with torch.no_grad():
            logits = network.keeping_logits(fine, coarse, edges, list(kept.values()))

        def pull(seeds: torch.Tensor, note: Note) -> tuple[torch.Tensor, torch.Tensor | None]:
            if number != self._passes:
                raise RuntimeError("a later forward pass has used the memory of this one; pull before it")
            with torch.no_grad():
                return self._back(seeds.to(network.sum_dtype), logits, fine, coarse, kept, note)

        return logits, pull

    def _array(self, name: str, channels: int, fine: torch.Tensor) -> torch.Tensor:
        return self._workspace.take(name, (1, channels, *fine.shape[-2:]), self._turned["output_skip"])

    def _hand_on(
        self,
        books: _Books,
        key: str,
        layer: str,
        multipliers: torch.Tensor,
        z: torch.Tensor,
        size: torch.Tensor,
        own: slice,
        rectified: bool = False,
    ) -> torch.Tensor:
        """Return what a layer hands on of `multipliers`; book what ε and the bias get in the rows `own`.

        `multipliers` and `size` (D, nowhere zero) are used up.
        """
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
        books.add("bias", layer, (bias * self._bias_of(key)).sum())
        return multipliers

    def _bias_of(self, key: str) -> torch.Tensor:
        if key == "output":
            return self.network.get_buffer("offset_output")
        if key in NORMS.values():
            return self.network.get_buffer(f"{key}_shift")[:, 0, 0].double()
        return self._biases[key].double()

    def _back(
        self,
        seeds: torch.Tensor,
        logits: torch.Tensor,
        fine: torch.Tensor,
        coarse: torch.Tensor | None,
        kept: dict[str, torch.Tensor],
        note: Note,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        network = self.network
        shares = network.shares(rows_with(seeds, 0))
        books = [_Books() for _ in shares]
        sizes = self._size_of_cells(fine, coarse)
        handed = torch.zeros_like(seeds, dtype=network.sum_dtype)
        behind = self._array("behind the trunk", kept["conv6"].shape[1], fine).zero_()
        spilt = together(
            [
                partial(
                    self._through_branches, share, seeds, logits, sizes, kept, handed, behind, books[index]
                )
                for index, share in enumerate(shares)
            ]
        )
        for reached, multipliers in (each for of_share in spilt for each in of_share):
            behind[:, :, reached] += multipliers
        found = torch.zeros_like(fine, dtype=network.dtype, memory_format=network.memory_format)
        shares = network.shares(rows_with(seeds, RADIUS))
        books += (further := [_Books() for _ in shares])
        together(
            [
                partial(self._share_to_fine, share, handed, behind, fine, kept, found, further[index])
                for index, share in enumerate(shares)
            ]
        )
        total = _Books()
        for of_share in books:
            total.join(of_share)
        total.close(note)
        return found, to_cells(network, handed, coarse) if network.coarse_channels else None

    def _size_of_cells(self, fine: torch.Tensor, coarse: torch.Tensor | None) -> torch.Tensor:
        """Return D of the output layer as far as it comes from bias and coarse channels."""
        network = self.network
        bias = network.get_buffer("offset_output").to(network.sum_dtype)[:, None, None].abs() + self._least
        if not network.coarse_channels:
            return bias.expand(-1, *fine.shape[2:])[None]
        cells = coarse.to(network.sum_dtype)[:, None] * network.get_buffer("output_coarse")
        return network.upsample(cells.abs().sum(2) + bias, fine)

    def _through_branches(
        self,
        share: Band,
        seeds: torch.Tensor,
        logits: torch.Tensor,
        sizes: torch.Tensor,
        kept: dict[str, torch.Tensor],
        handed: torch.Tensor,
        behind: torch.Tensor,
        books: _Books,
    ) -> list[tuple[slice, torch.Tensor]]:
        """Take a share of the rows back to the trunk's output.

        Parameters
        ----------
        share, seeds, logits, sizes, kept
            The rows, what is explained, and what the forward pass and :meth:`_size_of_cells` found.
        handed, behind : torch.Tensor
            Multipliers behind the output layer, and behind the trunk: the share's rows are filled.
        books : _Books
            The share's own.

        Returns
        -------
        list of tuple of (slice, torch.Tensor)
            Rows beyond the share, and what is to be added to theirs of `behind`.
        """
        network, spilt = self.network, []
        skip, trunk = kept["conv2"], kept["conv6"]
        for band in share.cut(network.band_rows):
            seen = band.around(BRANCH_HALO)
            # What a ReLU let through is its own size.
            size_of_logits = sizes[:, :, band.own] + convolved(
                skip[:, :, band.own], self._sizes["output_skip"]
            )
            branches = {}
            for scale, pooled in doubled_pools(trunk[:, :, seen], SCALES):
                branch, size = self._affine(f"scale{scale}", _rows_around(pooled, band, seen, scale), scale)
                size_of_logits += convolved(branch.abs(), self._sizes[f"output{scale}"])
                branches[scale] = branch, size
            own, every = seeds[:, :, band.own].clone(), slice(0, band.stop - band.start)
            z = logits[:, :, band.own]
            handed[:, :, band.own] = self._hand_on(books, "output", "output", own, z, size_of_logits, every)
            found = self._spread(band, handed[:, :, band.own].to(network.dtype), branches, books)
            inner = slice(max(seen.start, share.start), min(seen.stop, share.stop))
            behind[:, :, inner] += band.narrowed(found, seen, inner)
            for outer in (slice(seen.start, inner.start), slice(inner.stop, seen.stop)):
                if outer.start < outer.stop:
                    spilt.append((outer, band.narrowed(found, seen, outer).clone()))
        return spilt

    def _affine(self, name: str, values: torch.Tensor, dilation: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a convolution's outputs z and their D; the values are not negative, rows around them are there."""
        padding = 0, dilation
        return (
            convolved(values, self._weights[name], self._biases[name], padding, dilation),
            convolved(values, self._sizes[name], self._bias_sizes[name], padding, dilation),
        )

    def _spread(
        self,
        band: Band,
        seeds: torch.Tensor,
        branches: dict[int, tuple[torch.Tensor, torch.Tensor]],
        books: _Books,
    ) -> torch.Tensor:
        """Return what a band's branches (z and D) hand to the trunk's output, for the rows within their halo."""
        seen, every = band.around(BRANCH_HALO), slice(0, band.stop - band.start)
        rows, cols = seen.stop - seen.start, seeds.shape[3]

        def add(scale: int, total: torch.Tensor) -> None:
            name, number = f"scale{scale}", SCALES.index(scale)
            multipliers = convolved(seeds, self._turned[f"output{scale}"])
            multipliers = self._hand_on(
                books, name, f"scales.{number}", multipliers, *branches.pop(scale), every
            )
            # Rows beyond the band get their share too: twice the padding makes the result so much taller.
            spread = convolved(multipliers, self._turned[name], None, (2 * scale, scale), scale)
            near = band.around(scale)
            spread = spread[:, :, near.start - band.start + scale :][:, :, : near.stop - near.start]
            begin = near.start - seen.start
            shares = inverse_counts(rows, cols, scale, spread)[begin:][: spread.shape[2]]
            total[:, :, begin : begin + spread.shape[2]].addcmul_(spread, shares)

        shape = 1, self._turned[f"scale{SCALES[0]}"].shape[0], rows, cols
        return summed_back(SCALES, shape, seeds, self.network.memory_format, add)

    def _share_to_fine(
        self,
        share: Band,
        seeds: torch.Tensor,
        behind: torch.Tensor,
        fine: torch.Tensor,
        kept: dict[str, torch.Tensor],
        found: torch.Tensor,
        books: _Books,
    ) -> None:
        for band in share.cut(self.network.band_rows):
            found[:, :, band.own] = self._through_trunk(band, seeds, behind, fine, kept, books)

    def _through_trunk(
        self,
        band: Band,
        seeds: torch.Tensor,
        behind: torch.Tensor,
        fine: torch.Tensor,
        kept: dict[str, torch.Tensor],
        books: _Books,
    ) -> torch.Tensor:
        """Return the multipliers of a band's fine inputs."""
        network = self.network
        seen = band.around(len(CONVOLUTIONS))
        multipliers = behind[:, :, seen].clone()
        for index in range(len(CONVOLUTIONS) - 1, -1, -1):
            name, before = CONVOLUTIONS[index], kept[CONVOLUTIONS[index - 1]] if index else fine
            if name == "conv2":
                multipliers.add_(convolved(seeds[:, :, seen], self._turned["output_skip"]))
            wider = band.around(index + 2)
            values = before[:, :, wider]
            norm = NORMS.get(name)
            if norm is not None:
                gain, shift = (network.get_buffer(f"{norm}_{part}") for part in ("gain", "shift"))
                values = torch.addcmul(shift, values, gain)
            # What a ReLU let through is its own size.
            magnitude = values if index and norm is None else values.abs()
            size = self._to_size[name](magnitude)
            size, z = band.narrowed(size, wider, seen), kept[name][:, :, seen]
            own = slice(band.start - seen.start, band.stop - seen.start)
            multipliers = self._hand_on(books, name, name, multipliers, z, size, own, rectified=True)
            wanted = band.around(index)
            multipliers = band.narrowed(self._to_before[name](multipliers), seen, wanted)
            seen = wanted
            if norm is not None:
                size = torch.addcmul(shift.abs() + self._least, before[:, :, seen], gain.abs())
                z = band.narrowed(values, wider, seen)
                own = slice(band.start - seen.start, band.stop - seen.start)
                multipliers = self._hand_on(books, norm, norm, multipliers, z, size, own).mul_(gain)
        return multipliers


def _rows_around(values: torch.Tensor, band: Band, seen: slice, halo: int) -> torch.Tensor:
    """Return a band's rows and `halo` more on each side of values of the rows `seen`; zeros beyond the array."""
    near = band.around(halo)
    above, below = near.start - (band.start - halo), band.stop + halo - near.stop
    return functional.pad(band.narrowed(values, seen, near), (0, 0, above, below))


class _Books:
    """Adds up what single bands note, so that each sum is noted once."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], torch.Tensor] = {}

    def add(self, account: str, layer: str, amount: torch.Tensor) -> None:
        """Add a float64 scalar."""
        self._sums[account, layer] = self._sums.get((account, layer), 0.0) + amount

    def join(self, others: _Books) -> None:
        """Add the sums of other books."""
        for entry, amount in others._sums.items():
            self.add(*entry, amount)

    def close(self, note: Note) -> None:
        """Note the sums."""
        for entry, amount in self._sums.items():
            note(*entry, amount)
