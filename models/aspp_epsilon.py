"""The way back through the fusion network by LRP-ε, written out for speed.

A layer hands on the share s = |z|/(|z| + ε D) of what arrives at its output z, D = Σ|z_ij| + |b_j| (Bach et
al. 2015, doi 10.1371/journal.pone.0130140, with ε relative to the layer's own contributions). Every layer of
the definition keeps its own share, so nothing is folded. Where a ReLU follows, s is zero where it is shut.

The trunk's outputs z are kept for a whole tile. All else, D and the branches, is made on the way back, band by
band (:mod:`.aspp_bands`), and used up in the band: memory costs more than computing anew. Each core takes its
part of the rows; what it hands to another's is added when all have come to an end.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.nn import functional

from .aspp_bands import Band, bands, rolled, span_of
from .aspp_fast import CONVOLUTIONS, NORMS, FastAspp
from .aspp_head import ALL_EDGES, Edges, Slices, apart
from .aspp_pools import complete, framed_pools, summed_back
from .aspp_pullback import channel_sums, to_cells, turned
from .aspp_variants import SCALES
from .convolutions import LANES, Filters, convolved
from .together import together

# Rows around a pixel that its branches see: the largest pool and the dilation behind it.
BRANCH_HALO = SCALES[-1] + SCALES[-1] // 2
# Rows around a seed that relevance reaches.
RADIUS = BRANCH_HALO + len(CONVOLUTIONS)

# A smaller ε is nothing beside the rounding of z, but ε D would be zero in float32, and 0/0 no number.
LEAST_EPSILON = 1e-30

# Rows handed on at once: what several operations read and write stays in the inner cache.
CHUNK_ROWS = 32

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
        self.epsilon = max(epsilon, LEAST_EPSILON)
        branches = [f"scale{scale}" for scale in SCALES]
        self._weights = {name: network.get_buffer(f"{name}_weight") for name in branches}
        self._weights |= {f"output{scale}": network.get_buffer(f"output{scale}") for scale in SCALES}
        self._weights["output_skip"] = network.get_buffer("output_skip")
        self._sizes = {name: weight.abs() for name, weight in self._weights.items()}
        self._turned = {name: turned(weight, network) for name, weight in self._weights.items()}
        # Few channels more than fill a register come row by row of their kernels, all at once.
        channels = len(self._turned["scale2"])
        rest = channels % LANES
        self._rest = rest if channels > LANES and rest <= LANES // 3 else 0
        self._lines = {}
        for scale in SCALES:
            name = f"scale{scale}"
            weight = self._turned[name] / scale**2  # a power of two; of windows that lie inside
            whole = len(weight) - self._rest
            lines = weight[whole:].permute(2, 0, 1, 3).flatten(0, 1)[:, :, None]
            self._lines[name] = lines.contiguous(memory_format=network.memory_format)
            self._turned[name] = weight[:whole].contiguous(memory_format=network.memory_format)
        self._biases = {name: network.get_buffer(f"{name}_bias") for name in (*CONVOLUTIONS, *branches)}
        # So much that ε D is never zero, and too little to be seen beside any other D.
        self._least = torch.finfo(network.dtype).tiny / self.epsilon
        self._bias_sizes = {name: bias.abs() + self._least for name, bias in self._biases.items()}
        self._to_size, self._to_before = {}, {}
        for name in CONVOLUTIONS:
            weight = network.get_buffer(f"{name}_weight")
            self._to_size[name] = Filters(weight.abs(), self._bias_sizes[name])
            self._to_before[name] = Filters(turned(weight, network))

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
        number = network.workspace.begin()
        kept = {name: self._array(name, len(self._biases[name]), fine) for name in CONVOLUTIONS}
        with torch.no_grad():
            logits = network.keeping_logits(fine, coarse, edges, kept)

        def pull(seeds: torch.Tensor, note: Note) -> tuple[torch.Tensor, torch.Tensor | None]:
            network.workspace.check(number)
            with torch.no_grad():
                return self._back(seeds.to(network.sum_dtype), logits, fine, coarse, kept, note)

        return logits, pull

    def _array(self, name: str, channels: int, fine: torch.Tensor) -> torch.Tensor:
        return self.network.workspace.take(name, (1, channels, *fine.shape[-2:]), self._turned["scale2"])

    def _hand_on(
        self,
        books: _Books,
        layer: str,
        weights: torch.Tensor,
        multipliers: torch.Tensor,
        z: torch.Tensor,
        size: torch.Tensor,
        own: slice,
        rectified: bool = False,
    ) -> torch.Tensor:
        """Return what a layer hands on of `multipliers`; book what ε and the bias get in the rows `own`.

        `multipliers` and `size` (D, nowhere zero) are used up. `weights` are those of the bias, float64.
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
        books.add("bias", layer, (bias * weights).sum())
        return multipliers

    def _bias_of(self, key: str) -> torch.Tensor:
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
        seeded = [index for index in range(seeds.shape[1]) if seeds[:, index].any()]
        seeds, logits, output = seeds[:, seeded], logits[:, seeded], _Output(network, seeded)
        shares, across = network.shares(span_of(seeds, 2, 0)), span_of(seeds, 3, 0)
        books = [_Books() for _ in shares]
        sizes = self._size_of_cells(fine, coarse, output)
        handed = torch.zeros_like(seeds, dtype=network.sum_dtype)
        behind = self._array("behind the trunk", kept["conv6"].shape[1], fine).zero_()
        spilt = together(
            [
                partial(
                    self._through_branches,
                    share,
                    across,
                    output,
                    seeds,
                    logits,
                    sizes,
                    kept,
                    handed,
                    behind,
                    books[index],
                )
                for index, share in enumerate(shares)
            ]
        )
        for reached, multipliers in (each for of_share in spilt for each in of_share):
            behind[(..., *reached)] += multipliers
        found = torch.zeros_like(fine, dtype=network.dtype, memory_format=network.memory_format)
        shares = network.shares(span_of(seeds, 2, RADIUS))
        books += (further := [_Books() for _ in shares])
        together(
            [
                partial(self._share_to_fine, share, output, handed, behind, fine, kept, found, further[index])
                for index, share in enumerate(shares)
            ]
        )
        total = _Books()
        for of_share in books:
            total.join(of_share)
        total.close(note)
        return found, to_cells(network, handed, coarse, output.coarse) if network.coarse_channels else None

    def _size_of_cells(
        self, fine: torch.Tensor, coarse: torch.Tensor | None, output: _Output
    ) -> torch.Tensor:
        """Return D of the output layer as far as it comes from bias and coarse channels."""
        network = self.network
        bias = output.bias.to(network.sum_dtype)[:, None, None].abs() + self._least
        if not network.coarse_channels:
            return bias.expand(-1, *fine.shape[2:])[None]
        cells = coarse.to(network.sum_dtype)[:, None] * output.coarse
        return network.upsample(cells.abs().sum(2) + bias, fine)

    def _through_branches(
        self,
        share: Band,
        across: Band,
        output: _Output,
        seeds: torch.Tensor,
        logits: torch.Tensor,
        sizes: torch.Tensor,
        kept: dict[str, torch.Tensor],
        handed: torch.Tensor,
        behind: torch.Tensor,
        books: _Books,
    ) -> list[tuple[Slices, torch.Tensor]]:
        """Take a share of the rows back to the trunk's output.

        Parameters
        ----------
        share, across : Band
            The rows, and the columns with seeds.
        output : _Output
            The seeded logits' weights.
        seeds, logits, sizes, kept
            What is explained, and what the forward pass and :meth:`_size_of_cells` found.
        handed, behind : torch.Tensor
            Multipliers behind the output layer, and behind the trunk: the share's rows are filled.
        books : _Books
            The share's own.

        Returns
        -------
        list of tuple of ((slice, slice), torch.Tensor)
            Pixels beyond the share's rows, and what is to be added to theirs of `behind`.
        """
        network, spilt = self.network, []
        seen_cols = across.around(BRANCH_HALO)
        own_cols = slice(across.start - seen_cols.start, across.stop - seen_cols.start)
        # Pools see a halo of rows, which shorter bands would pool more often.
        for band in share.cut(2 * network.band_rows):
            seen, here = (band.around(BRANCH_HALO), seen_cols), (..., band.own, across.own)
            # What a ReLU let through is its own size.
            skip = convolved(kept["conv2"][here], output.sizes["output_skip"])
            size_of_logits = sizes[here] + skip
            branches = {}
            trunk, ends = kept["conv6"][(..., *seen)], (seen[0].start == 0, seen[0].stop == band.rows)
            for scale, first, means, frame in framed_pools(trunk, SCALES, *ends):
                name = f"scale{scale}"
                values = _around(means, seen[0].start + first, band, scale)
                wide = max(0, frame - scale)  # zeros on each side that no own pixel sees
                inner = slice(own_cols.start + wide, own_cols.stop + wide)
                branch, size = (
                    convolved(values, weight, bias, (0, scale - frame + wide), scale)[..., inner]
                    for weight, bias in (
                        (self._weights[name], self._biases[name]),
                        (self._sizes[name], self._bias_sizes[name]),
                    )
                )
                size_of_logits += convolved(branch.abs(), output.sizes[f"output{scale}"])
                branches[scale] = branch, size
            every = slice(0, band.stop - band.start)
            own = self._hand_on(
                books, "output", output.bias, seeds[here].clone(), logits[here], size_of_logits, every
            )
            handed[here] = own
            found = self._spread(band, across, output, own.to(network.dtype), branches, books)
            inner = slice(max(seen[0].start, share.start), min(seen[0].stop, share.stop))
            channels = behind.split([part.shape[1] for part in found], 1)
            for part, place in zip(found, channels):
                place[..., inner, seen_cols] += band.narrowed(part, seen[0], inner)
            for outer in (slice(seen[0].start, inner.start), slice(inner.stop, seen[0].stop)):
                if outer.start < outer.stop:
                    parts = [band.narrowed(part, seen[0], outer) for part in found]
                    spilt.append(((outer, seen_cols), torch.cat(parts, 1)))
        return spilt

    def _spread(
        self,
        band: Band,
        across: Band,
        output: _Output,
        seeds: torch.Tensor,
        branches: dict[int, tuple[torch.Tensor, torch.Tensor]],
        books: _Books,
    ) -> list[torch.Tensor]:
        """Return what some pixels' branches (z and D) hand to the trunk's output, for the pixels within their halo.

        It comes in parts of the channels, one after the other.
        """
        seen = band.around(BRANCH_HALO), across.around(BRANCH_HALO)
        size = tuple(span.stop - span.start for span in seen)
        every = slice(0, band.stop - band.start)
        arriving = {}
        for scale in SCALES:
            name, layer = f"scale{scale}", f"scales.{SCALES.index(scale)}"
            arriving[scale] = self._hand_on(
                books,
                layer,
                self._bias_of(name),
                convolved(seeds, output.turned[f"output{scale}"]),
                *branches.pop(scale),
                every,
            )

        def add(spread: torch.Tensor, row: int, col: int, scale: int, total: torch.Tensor) -> None:
            """Add what begins at a row and column of the tile; what lies outside the tile is cut off."""
            top, left = max(row, seen[0].start), max(col, seen[1].start)
            rows, cols = slice(top - row, max(0, seen[0].stop - row)), slice(left - col, seen[1].stop - col)
            spread = spread[:, :, rows, cols]
            if not spread.numel():
                return
            begin = top - seen[0].start, left - seen[1].start
            spans = [(first, first + length) for first, length in zip(begin, spread.shape[2:])]
            complete(spread, scale, spans, size)
            total[(..., *(slice(*span) for span in spans))] += spread

        def add_whole(scale: int, total: torch.Tensor) -> None:
            # Pixels around them get their share too: with more padding the result is so much larger.
            beyond = [_beyond(own, scale) for own in (band, across)]
            padding = scale + beyond[0], scale + beyond[1]
            spread = convolved(arriving[scale], self._turned[f"scale{scale}"], None, padding, scale)
            add(spread, band.start - beyond[0], across.start - beyond[1], scale, total)

        def add_rest(scale: int, total: torch.Tensor) -> None:
            beyond = _beyond(across, scale)
            weight = self._lines[f"scale{scale}"]
            lines = convolved(arriving[scale], weight, None, (0, scale + beyond), (1, scale))
            for down, line in zip((1, 0, -1), apart(lines, 3).split(1)):
                add(line, band.start + down * scale, across.start - beyond, scale, total)

        layout, channels = self.network.memory_format, len(self._turned[f"scale{SCALES[0]}"])
        found = [summed_back(SCALES, (1, channels, *size), seeds, layout, add_whole)]
        if self._rest:
            found.append(summed_back(SCALES, (1, self._rest, *size), seeds, layout, add_rest))
        return found

    def _share_to_fine(
        self,
        share: Band,
        output: _Output,
        seeds: torch.Tensor,
        behind: torch.Tensor,
        fine: torch.Tensor,
        kept: dict[str, torch.Tensor],
        found: torch.Tensor,
        books: _Books,
    ) -> None:
        network, rows = self.network, fine.shape[2]
        # What the convolutions hand on.
        with rolled(reversed(CONVOLUTIONS), rows, network.workspace) as chain:
            for band in share.cut(network.band_rows):
                after = ""  # the convolution behind the one at hand
                for left, (name, rolling) in zip(range(len(CONVOLUTIONS), 0, -1), chain.items()):
                    new = rolling.new(band.around(left))
                    if new:
                        multipliers = rolling.room(new, kept[name].shape[1], fine, network.dtype)
                        own = new.where(new.inside(share))
                        if after:
                            values, wanted = chain[after].seen_by(new)
                            self._to_before[after](values, rows=wanted, out=multipliers)
                            if after in NORMS:
                                self._through_norm(after, kept[name][:, :, new.own], multipliers, own, books)
                        else:
                            multipliers.copy_(behind[:, :, new.own])
                        if name == "conv2":
                            multipliers.add_(convolved(seeds[:, :, new.own], output.turned["output_skip"]))
                        before = kept[CONVOLUTIONS[left - 2]] if left > 1 else fine
                        size = self._size(name, before, new)
                        z = kept[name][:, :, new.own]
                        self._hand_on(
                            books, name, self._bias_of(name), multipliers, z, size, own, rectified=True
                        )
                    if band.stop == share.stop and after:
                        chain[after].close()  # the next layer may have its memory
                    after = name
                values, wanted = chain[after].seen_by(band)
                self._to_before[after](values, rows=wanted, out=found[:, :, band.own])

    def _size(self, name: str, before: torch.Tensor, new: Band) -> torch.Tensor:
        """Return D of a convolution in the rows `new`; `before` is what it reads, or the norm in front of it."""
        network, norm = self.network, NORMS.get(name)
        values = before[:, :, new.around(1)]
        if norm is not None:
            gain, shift = (network.get_buffer(f"{norm}_{part}") for part in ("gain", "shift"))
            values = torch.addcmul(shift, values, gain).abs_()
        elif name == CONVOLUTIONS[0]:
            values = values.abs()
        # What a ReLU let through is its own size.
        first = new.start - new.around(1).start
        return self._to_size[name](values, rows=slice(first, first + new.stop - new.start))

    def _through_norm(
        self, name: str, before: torch.Tensor, multipliers: torch.Tensor, own: slice, books: _Books
    ) -> None:
        """Take multipliers, in place, through the norm in front of a convolution; `before` are the norm's inputs."""
        network, norm = self.network, NORMS[name]
        gain, shift = (network.get_buffer(f"{norm}_{part}") for part in ("gain", "shift"))
        size = torch.addcmul(shift.abs() + self._least, before, gain.abs())
        z = torch.addcmul(shift, before, gain)
        self._hand_on(books, norm, self._bias_of(norm), multipliers, z, size, own).mul_(gain)


def _around(values: torch.Tensor, first: int, own: Band, halo: int) -> torch.Tensor:
    """Return the rows `own` and `halo` more around them of values from row `first` on; zeros beyond the array."""
    seen = own.around(halo)
    missing = seen.start - (own.start - halo), own.stop + halo - seen.stop
    values = values[:, :, seen.start - first : seen.stop - first]
    return functional.pad(values, (0, 0, *missing)) if any(missing) else values


def _beyond(own: Band, distance: int) -> int:
    """Return how many lines at most, of `distance` on either side of `own`, lie inside the array."""
    near = own.around(distance)
    return max(own.start - near.start, near.stop - own.stop)


class _Output:
    """The weights of the output layer for some of its logits.

    Attributes
    ----------
    sizes, turned : dict of str to torch.Tensor
        ``output_skip`` and ``output2`` to ``output16`` → absolute weights, and weights backwards.
    bias : torch.Tensor
        (logit,), float64.
    coarse : torch.Tensor
        (logit, coarse channel, 1, 1).
    """

    def __init__(self, network: FastAspp, logits: list[int]) -> None:
        names = "output_skip", *(f"output{scale}" for scale in SCALES)
        weights = {name: network.get_buffer(name)[logits] for name in names}
        self.sizes = {name: weight.abs() for name, weight in weights.items()}
        self.turned = {name: turned(weight, network) for name, weight in weights.items()}
        self.bias = network.get_buffer("offset_output")[logits]
        self.coarse = network.get_buffer("output_coarse")[logits]


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
