"""The way back through the fusion network by LRP-ε, written out for speed.

A layer hands on the share s = |z|/(|z| + ε D) of what arrives at its output z, D = Σ|z_ij| + |b_j| (Bach et
al. 2015, doi 10.1371/journal.pone.0130140, with ε relative to the layer's own contributions). Every layer of
the definition keeps its own share, so nothing is folded. Where a ReLU follows, s is zero where it is shut.

The outputs z are kept for a whole tile; D is made again on the way back, band by band (:mod:`.aspp_bands`), but
for the branches, whose z and D the logits need at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from .aspp_bands import Band, Workspace
from .aspp_fast import CONVOLUTIONS, NORMS, FastAspp
from .aspp_head import (
    ALL_EDGES,
    Edges,
    convolved,
    doubled_pools,
    inverse_counts,
    pool_padding,
    summed_back,
)
from .aspp_pullback import channel_sums, to_cells
from .aspp_variants import SCALES
from .together import together

# Rows around a pixel that its branches see: the largest pool and the dilation behind it.
BRANCH_HALO = SCALES[-1] + SCALES[-1] // 2

# note(account, layer, amount): what a layer of the plain network did not hand on, a float64 scalar.
Note = Callable[[str, str, torch.Tensor], None]


class EpsilonPullback(nn.Module):
    """A forward pass that keeps each layer's share.

    Parameters
    ----------
    network : FastAspp
        A network without ReLU behind its scale convolutions, with cells repeated over their pixels.
    epsilon : float
        ε, relative to D.
    """

    def __init__(self, network: FastAspp, epsilon: float) -> None:
        super().__init__()
        self.network = network
        self.epsilon = epsilon
        names = (*CONVOLUTIONS, *(f"scale{scale}" for scale in SCALES))
        self._weights = {name: network.get_buffer(f"{name}_weight") for name in names}
        self._weights |= {f"output{scale}": network.get_buffer(f"output{scale}") for scale in SCALES}
        self._weights["output_skip"] = network.get_buffer("output_skip")
        self._biases = {name: network.get_buffer(f"{name}_bias") for name in names}
        layout = {"memory_format": network.memory_format}
        self._sizes = {name: weight.abs() for name, weight in self._weights.items()}
        self._turned = {
            name: weight.flip(2, 3).transpose(0, 1).to(network.dtype).contiguous(**layout)
            for name, weight in self._weights.items()
        }
        self._workspace, self._passes = Workspace(), 0
        self._of_core: defaultdict[int, Workspace] = defaultdict(Workspace)

    def forward(
        self, fine: torch.Tensor, coarse: torch.Tensor | None, edges: Edges = ALL_EDGES
    ) -> tuple[torch.Tensor, Callable[..., tuple[torch.Tensor, torch.Tensor | None]]]:
        """Return the logits, and ``pull(multipliers of them, note)``, to be used once and before the next pass.

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
            shares = network.shares(fine.shape[2])
            together([partial(self._trunk, share, fine, edges, kept) for share in shares])
            logits, magnitude = self._ahead(fine, coarse, kept)

        def pull(seeds: torch.Tensor, note: Note) -> tuple[torch.Tensor, torch.Tensor | None]:
            if number != self._passes:
                raise RuntimeError("a later forward pass, or a pull, has used the memory of this one up")
            self._passes += 1  # what is kept is used up on the way back
            books = _Books()
            with torch.no_grad():
                seeds = self._hand_on(
                    books, "output", "output", seeds.to(network.sum_dtype, copy=True), logits, magnitude
                )
                cells = to_cells(network, seeds, coarse) if network.coarse_channels else None
                found = self._back(seeds.to(network.dtype), fine, kept, books)
            books.close(note)
            return found, cells

        return logits, pull

    def _array(self, name: str, channels: int, fine: torch.Tensor) -> torch.Tensor:
        return self._workspace.take(name, (1, channels, *fine.shape[-2:]), self._turned["output_skip"])

    def _ahead(
        self, fine: torch.Tensor, coarse: torch.Tensor | None, kept: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits and their D from what the trunk has kept; z and D of the branches are added to it."""
        network = self.network
        for scale in SCALES:
            for name in (f"scale{scale}", f"scale{scale}_size"):
                kept[name] = self._array(name, len(self._biases[f"scale{scale}"]), fine)
        jobs = [partial(self._branches, share, kept) for share in network.shares(fine.shape[2])]
        parts = [part for of_share in together(jobs) for part in of_share]
        logits, magnitude = (torch.cat(each, 2) for each in zip(*parts))
        bias = network.get_buffer("offset_output").to(network.sum_dtype)[:, None, None]
        logits, magnitude = logits + bias, magnitude + bias.abs()
        if network.coarse_channels:
            cells = coarse.to(network.sum_dtype)[:, None] * network.get_buffer("output_coarse")
            logits += network.upsample(cells.sum(2), fine)
            magnitude += network.upsample(cells.abs().sum(2), fine)
        return logits, magnitude

    def _trunk(self, share: Band, fine: torch.Tensor, edges: Edges, kept: dict[str, torch.Tensor]) -> None:
        for _ in self.network.bands(share, fine, edges, [kept[name] for name in CONVOLUTIONS]):
            pass  # what matters is kept

    def _branches(
        self, share: Band, kept: dict[str, torch.Tensor]
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return logits and their D of a share, band by band, less bias and coarse channels."""
        network, parts = self.network, []
        skip, trunk = kept["conv2"], kept["conv6"]
        for band in share.cut(network.band_rows):
            seen = band.around(BRANCH_HALO)
            logits = convolved(skip[:, :, band.own], self._weights["output_skip"]).to(network.sum_dtype)
            magnitude = convolved(skip[:, :, band.own], self._sizes["output_skip"]).to(network.sum_dtype)
            for scale, pooled in doubled_pools(trunk[:, :, seen], SCALES):
                near = band.around(scale)
                branch, size = (
                    band.narrowed(each, near, band.own)
                    for each in self._affine(f"scale{scale}", band.narrowed(pooled, seen, near), scale)
                )
                logits += convolved(branch, self._weights[f"output{scale}"])
                magnitude += convolved(branch.abs(), self._sizes[f"output{scale}"])
                kept[f"scale{scale}"][:, :, band.own] = branch
                kept[f"scale{scale}_size"][:, :, band.own] = size
            parts.append((logits, magnitude))
        return parts

    def _affine(self, name: str, values: torch.Tensor, dilation: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a convolution's outputs z and their D; the values are not negative."""
        bias = self._biases[name]
        return (
            convolved(values, self._weights[name], bias, dilation, dilation),
            convolved(values, self._sizes[name], bias.abs(), dilation, dilation),
        )

    def _hand_on(
        self,
        books: _Books,
        key: str,
        layer: str,
        multipliers: torch.Tensor,
        z: torch.Tensor,
        size: torch.Tensor,
        own: slice = slice(None),
        rectified: bool = False,
    ) -> torch.Tensor:
        """Return what a layer hands on of `multipliers`; book what ε and the bias get in the rows `own`.

        `multipliers` and `size` (D) are used up.
        """
        withheld = size.mul_(self.epsilon)
        magnitude = z if rectified else z.abs()
        total = (magnitude + withheld).clamp_(min=torch.finfo(z.dtype).tiny)
        multipliers = multipliers.mul_(magnitude).div_(total)
        withheld = withheld if rectified else withheld.copysign_(z)
        mine = multipliers[:, :, own]
        books.add("epsilon", layer, channel_sums(withheld[:, :, own].mul_(mine)).sum())
        books.add("bias", layer, (channel_sums(mine) * self._bias_of(key)).sum())
        return multipliers

    def _bias_of(self, key: str) -> torch.Tensor:
        if key == "output":
            return self.network.get_buffer("offset_output")
        if key in NORMS.values():
            return self.network.get_buffer(f"{key}_shift")[:, 0, 0].double()
        return self._biases[key].double()

    def _back(
        self, seeds: torch.Tensor, fine: torch.Tensor, kept: dict[str, torch.Tensor], books: _Books
    ) -> torch.Tensor:
        rows = fine.shape[2]
        behind = self._array("behind the trunk", kept["conv6"].shape[1], fine).zero_()
        shares = self.network.shares(rows)
        found = torch.empty_like(fine, dtype=seeds.dtype, memory_format=self.network.memory_format)
        own = [_Books() for _ in shares]
        jobs = [
            partial(self._behind_trunk, index, share, seeds, kept, behind, own[index])
            for index, share in enumerate(shares)
        ]
        for spilt in together(jobs):
            for reached, multipliers in spilt:
                behind[:, :, reached] += multipliers
        together(
            [
                partial(self._share_to_fine, share, seeds, behind, fine, kept, found, books)
                for share, books in zip(shares, own)
            ]
        )
        for each in own:
            books.join(each)
        return found

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

    def _behind_trunk(
        self,
        index: int,
        share: Band,
        seeds: torch.Tensor,
        kept: dict[str, torch.Tensor],
        behind: torch.Tensor,
        books: _Books,
    ) -> list[tuple[slice, torch.Tensor]]:
        """Add what a share's branches hand on to its rows of `behind`; return rows beyond it, and what they get."""
        spilt = []
        for band in share.cut(self.network.band_rows):
            seen = band.around(BRANCH_HALO)
            found = self._through_branches(index, band, seeds, kept, books)
            inner = slice(max(seen.start, share.start), min(seen.stop, share.stop))
            behind[:, :, inner] += band.narrowed(found, seen, inner)
            for outer in (slice(seen.start, inner.start), slice(inner.stop, seen.stop)):
                if outer.start < outer.stop:
                    spilt.append((outer, band.narrowed(found, seen, outer).clone()))
        return spilt

    def _through_branches(
        self, core: int, band: Band, seeds: torch.Tensor, kept: dict[str, torch.Tensor], books: _Books
    ) -> torch.Tensor:
        """Return what a band's branches hand to the trunk's output, for the rows within their halo."""
        seen, pools = band.around(BRANCH_HALO), {}
        rows, cols = seen.stop - seen.start, seeds.shape[3]
        before, after = pool_padding(SCALES)
        for index, scale in enumerate(SCALES):
            name = f"scale{scale}"
            multipliers = convolved(seeds[:, :, band.own], self._turned[f"output{scale}"])
            z, size = kept[name][:, :, band.own], kept[f"{name}_size"][:, :, band.own]
            multipliers = self._hand_on(books, name, f"scales.{index}", multipliers, z, size)
            # Rows beyond the band get their share too: twice the padding makes the result so much taller.
            spread = convolved(multipliers, self._turned[name], None, (2 * scale, scale), scale)
            near = band.around(scale)
            spread = spread[:, :, near.start - band.start + scale :][:, :, : near.stop - near.start]
            shares = inverse_counts(rows, cols, scale, spread)[near.start - seen.start :][: spread.shape[2]]
            shape = (1, spread.shape[1], rows + before + after, cols + before + after)
            pools[scale] = self._of_core[core].take(f"pool{scale}", shape, spread).zero_()
            begin = before + near.start - seen.start
            pools[scale][:, :, begin : begin + spread.shape[2], before : before + cols] = spread.mul_(shares)
        return summed_back(pools)

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
            size = convolved(magnitude, self._sizes[name], self._biases[name].abs(), 1, 1)
            size, z = band.narrowed(size, wider, seen), kept[name][:, :, seen]
            own = slice(band.start - seen.start, band.stop - seen.start)
            multipliers = self._hand_on(books, name, name, multipliers, z, size, own, rectified=True)
            wanted = band.around(index)
            multipliers = band.narrowed(convolved(multipliers, self._turned[name], None, 1, 1), seen, wanted)
            seen = wanted
            if norm is not None:
                size = torch.addcmul(shift.abs(), before[:, :, seen], gain.abs())
                z = band.narrowed(values, wider, seen)
                own = slice(band.start - seen.start, band.stop - seen.start)
                multipliers = self._hand_on(books, norm, norm, multipliers, z, size, own).mul_(gain)
        return multipliers


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
