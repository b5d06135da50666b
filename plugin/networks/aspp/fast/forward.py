"""The fusion network reorganised for speed; the numbers are those of :class:`.definition.AsppFusion`.

What is done differently, each step exact but for rounding:

- the four pools share their sums (:mod:`.pools`): a window of 2k pixels is four windows of k, so each
  scale costs the same, whatever its size;
- nothing is concatenated before the output: each group of components is weighted on its own and added;
- coarse channels are weighted on their cells and the few logits upsampled, not the many channels;
- where no ReLU follows the scale convolutions (the interpretability variants), the whole way from the
  trunk to the logits is linear and :class:`.head.LinearHead` takes it, in both directions;
- on CPUs each core takes a share of a tile's rows, a band at a time (:mod:`.bands`), and filters fill
  the lanes of a register (:mod:`.convolutions`);
- float32 and bfloat16 run channels-last, float64 does not: as measured on CPUs.

Both batch norms stand before a zero-padded convolution. Merged into it, the shift would reach the padding
too and be wrong at the border: merged weights serve everywhere but along the scene's edges.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import torch

from ...kernels.convolutions import convolved
from ...kernels.threads import run_parallel, worker_count
from ..variants import SCALES
from .bands import Band, Rolling, rolled, shares
from .head import ALL_EDGES, Edges
from .head_forward import HeadForward, ShareForward
from .pools import doubled_pools
from .weights import CONVOLUTIONS, NORMS, AsppWeights


class FastAspp(AsppWeights):
    """A fast copy of the fusion network in evaluation mode.

    It shares nothing with the network it was made from: later changes of one do not reach the other.
    Gradients flow to the inputs, not to the weights.

    Parameters
    ----------
    network : AsppFusion
        The network to copy; its batch-norm statistics are taken as they are.
    dtype : torch.dtype
        float64, float32 or bfloat16. In bfloat16 the first convolution, the coarse channels and the sum of the
        groups stay in float32, and so are the logits.
    exact : int
        How many of the first convolutions stay in float32: which gates open is decided there first of all.
    """

    def shares(self, rows: int | Band) -> list[Band]:
        """Return parts of a tile's rows (or some of them), one for each core that computes at the same time."""
        # What is to be differentiated is not cut: autograd would keep every piece.
        cut = self.band_rows and not torch.is_grad_enabled()
        some = Band(0, rows, rows) if isinstance(rows, int) else rows
        return shares(some, worker_count() if cut else 1)

    def bands_at_once(self, rows: int) -> int:
        """Return how many bands of a window of `rows` rows are computed at the same time without autograd."""
        with torch.no_grad():
            return max(1, len(self.shares(rows)))

    def laid_out(self, fine: torch.Tensor) -> torch.Tensor:
        """Return standardised inputs (1, fine channel, row, column) as :meth:`bands` takes them."""
        return fine.to(self.sum_dtype).contiguous(memory_format=self.memory_format)

    def bands(
        self,
        share: Band,
        fine: torch.Tensor,
        edges: Edges = ALL_EDGES,
        kept: Mapping[str, torch.Tensor] | None = None,
    ) -> Iterator[tuple[torch.Tensor, Band, torch.Tensor]]:
        """Yield skip components, a band of a share, and the trunk's output of the band, to be used before the next.

        The skip components run ahead of the trunk: they too come from top to bottom, each row of the share once,
        but not always those of the band.

        Parameters
        ----------
        share : Band
            Of the rows.
        fine : torch.Tensor
            As :meth:`laid_out` returns it.
        edges : tuple of bool
            As in :meth:`forward`.
        kept : mapping of str to torch.Tensor, optional
            Arrays of the whole tile that take outputs of convolutions, after their ReLU.
        """
        rows, recorded = fine.shape[2], torch.is_grad_enabled()
        kept = kept or {}
        with rolled(CONVOLUTIONS, rows, self.buffer_pool) as chain:
            for band in share.cut(0 if recorded else self.band_rows):
                before, skip = Rolling(rows, fine), fine[:, :, :0]
                for index, (name, rolling) in enumerate(chain.items()):
                    new = rolling.new(band.around(len(CONVOLUTIONS) - 1 - index))
                    if new:
                        values, own = before.seen_by(new)
                        sides = (edges[0] and new.start == 0, edges[1] and new.stop == rows, *edges[2:])
                        if recorded:
                            rolling.take(new, self._layer(name, values, own, sides))
                        else:
                            room = rolling.room(new, self.filters[name].outputs, fine, self.put_out_in[name])
                            self._layer(name, values, own, sides, room)
                    mine = new.inside(share)
                    if name in kept and mine:
                        kept[name][:, :, mine.own] = rolling.of(mine.own)
                    if name == "conv2":
                        skip = rolling.of(mine.own)
                    if band.stop == share.stop and before is not chain["conv2"]:
                        before.close()  # the next layer may have its memory
                    before = rolling
                yield skip, band, before.of(band.own)

    def trunk(self, fine: torch.Tensor, edges: Edges = ALL_EDGES) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the skip components and the trunk's output of all rows at once."""
        fine = self.laid_out(fine)
        if torch.is_grad_enabled():
            ((skip, _, trunk),) = self.bands(Band(0, fine.shape[2], fine.shape[2]), fine, edges)
            return skip, trunk
        kept = {}
        for name in ("conv2", "conv6"):
            shape = 1, self.filters[name].outputs, *fine.shape[2:]
            empty = fine.new_empty(shape, dtype=self.put_out_in[name])
            kept[name] = empty.contiguous(memory_format=self.memory_format)
        self.keep(fine, edges, kept)
        return kept["conv2"], kept["conv6"]

    def _layer(
        self, name: str, values: torch.Tensor, own: slice, edges: Edges, out: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the rows `own` of a convolution after its ReLU; `out` takes them."""
        norm = NORMS.get(name)
        if norm in self.merged and out is not None:
            return self._merged(name, values, own, edges, out)
        values = values if norm is None else self.normalised(norm, values)
        return self.filters[name](values, relu=True, rows=own, out=out).to(self.put_out_in[name])

    def before_relu(
        self, name: str, values: torch.Tensor, own: slice, edges: Edges, out: torch.Tensor
    ) -> torch.Tensor:
        """Return the rows `own` of a convolution before its ReLU; `out` takes them."""
        norm = NORMS.get(name)
        if norm in self.merged:
            return self._merged(name, values, own, edges, out, relu=False)
        values = values if norm is None else self.normalised(norm, values)
        return self.filters[name](values, rows=own, out=out)

    def _merged(
        self, name: str, values: torch.Tensor, own: slice, edges: Edges, out: torch.Tensor, relu: bool = True
    ) -> torch.Tensor:
        """Return a convolution of normalised values, by weights that hold the norm except at the edges."""
        self.filters[f"{name}_merged"](values, relu=relu, rows=own, out=out)
        self.correct_edges(name, values, own, edges, out, relu=relu)
        return out

    def correct_edges(
        self, name: str, values: torch.Tensor, own: slice, edges: Edges, out: torch.Tensor, relu: bool
    ) -> None:
        """Compute anew what merged weights made of the outermost lines of the scene.

        Parameters
        ----------
        name : str
            A convolution behind a norm.
        values : torch.Tensor
            What the norm reads.
        own : slice
            Which of their rows `out` holds.
        edges : tuple of bool
            As in :meth:`forward`.
        out : torch.Tensor
            The result, to be corrected.
        relu : bool
            Whether it is that of the ReLU behind the convolution.
        """
        for seen, line in self.edge_strips(edges):
            corrected = self.filters[name](self.normalised(NORMS[name], values[seen]), relu=relu)[line]
            out[line] = corrected[:, :, own] if corrected.shape[2] > 1 else corrected

    @staticmethod
    def edge_strips(edges: Edges) -> Iterator[tuple[tuple, tuple]]:
        """Yield for each edge of the scene what its outermost line sees, and the line itself, there and in all."""
        top, bottom, left, right = edges
        everything, first, last = slice(None), slice(0, 1), slice(-1, None)
        sides = (
            (top, (everything, everything, slice(0, 2)), (everything, everything, first)),
            (bottom, (everything, everything, slice(-2, None)), (everything, everything, last)),
            (left, (..., slice(0, 2)), (..., first)),
            (right, (..., slice(-2, None)), (..., last)),
        )
        for wanted, seen, own in sides:
            if wanted:
                yield seen, own

    def _branches(self, trunk: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield each scale with the components of its branch."""
        for scale, pooled in doubled_pools(trunk, SCALES):
            branch = self._convolve(f"scale{scale}", pooled, scale, padding=scale)
            yield scale, branch.relu_() if self.rectified else branch

    def _joined(self, fine: torch.Tensor, coarse: torch.Tensor | None) -> torch.Tensor:
        skip, trunk = self.trunk(fine)
        parts = [skip, *(branch for _, branch in self._branches(trunk))]
        in_rows = self.memory_format == torch.channels_last and not torch.is_grad_enabled()
        if self.coarse_channels:
            cells = self.cells(coarse).to(self.dtype)
            parts.append(self._repeated(cells, fine) if in_rows else self.upsample(cells, fine))
        return side_by_side(parts) if in_rows else torch.cat(parts, 1)

    def _repeated(self, cells: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
        """Return coarse cells at the pixels of `fine`, channels last."""
        if not self.repeats_cells:
            return self.upsample(cells.contiguous(memory_format=self.memory_format), fine)
        ratio, (rows, cols) = self.upsample.ratio, fine.shape[2:]
        pixels = cells.permute(0, 2, 3, 1).repeat_interleave(ratio, 1)[:, :rows]
        return pixels.repeat_interleave(ratio, 2)[:, :, :cols].permute(0, 3, 1, 2)

    def components(self, fine: torch.Tensor, coarse: torch.Tensor | None) -> torch.Tensor:
        """Return what :meth:`.definition.AsppFusion.components` returns, in this copy's dtype."""
        return self.last_hidden(self._joined(fine, coarse))

    def last_hidden(self, joined: torch.Tensor) -> torch.Tensor:
        """Return the components, given what is joined: the same where there is no hidden layer."""
        return self._convolve("hidden1", joined).relu_() if self.hidden else joined

    def forward(
        self, fine: torch.Tensor, coarse: torch.Tensor | None, edges: Edges = ALL_EDGES
    ) -> torch.Tensor:
        """Return the logits (sample, output, row, column); float32 where the weights are bfloat16.

        Parameters
        ----------
        fine, coarse : torch.Tensor
            As :class:`.definition.AsppFusion` takes them.
        edges : tuple of bool
            Whether the top, bottom, left and right of the array are edges of the scene. What lies within
            the receptive field of one that is not need not be right.
        """
        if self.hidden:
            return self._convolve("output", self.components(fine, coarse)).to(self.sum_dtype)
        if self.folded:
            return self.banded_logits(fine, coarse, edges)
        return self._from_trunk(*self.trunk(fine, edges), fine, coarse)

    def keeping_logits(
        self,
        fine: torch.Tensor,
        coarse: torch.Tensor | None,
        edges: Edges,
        kept: Mapping[str, torch.Tensor],
    ) -> torch.Tensor:
        """Return the logits of a network without hidden layer; parameters as of :meth:`bands`; all is kept."""
        if self.folded:
            return self.banded_logits(fine, coarse, edges, kept)
        self.keep(self.laid_out(fine), edges, kept)
        return self._from_trunk(kept["conv2"], kept["conv6"], fine, coarse)

    def keep(self, fine: torch.Tensor, edges: Edges, kept: Mapping[str, torch.Tensor]) -> None:
        """Fill `kept`; parameters as of :meth:`bands`."""

        def keep(share: Band) -> None:
            for _ in self.bands(share, fine, edges, kept):
                pass

        run_parallel([partial(keep, share) for share in self.shares(fine.shape[2])])

    def _from_trunk(
        self, skip: torch.Tensor, trunk: torch.Tensor, fine: torch.Tensor, coarse: torch.Tensor | None
    ) -> torch.Tensor:
        logits = self._from_skip(skip)
        for scale, branch in self._branches(trunk):
            logits = logits + convolved(branch, self.get_buffer(f"output{scale}"))
        return self._with_coarse(logits, fine, coarse)

    def banded_logits(
        self,
        fine: torch.Tensor,
        coarse: torch.Tensor | None,
        edges: Edges,
        kept: Mapping[str, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Return the logits of a network with a linear head, band by band; parameters as of :meth:`bands`."""
        fine = self.laid_out(fine)
        shares = self.shares(fine.shape[2])
        head_forward = HeadForward(self.head, fine, edges, shares)

        def gather(share: Band, part: ShareForward) -> list[torch.Tensor]:
            skips = []
            for skip, band, trunk in self.bands(share, fine, edges, kept):
                if skip.shape[2]:
                    skips.append(self._from_skip(skip))
                part.add(band.own, trunk)
            part.finish()
            return skips

        skips = run_parallel([partial(gather, *each) for each in zip(shares, head_forward.parts)])
        cells = self._weighted_cells(coarse)

        def complete(index: int, logits: torch.Tensor) -> None:
            logits += torch.cat(skips[index], 2)
            logits += self._on_pixels(cells, shares[index], fine)

        return head_forward.logits(complete)

    def _from_skip(self, skip: torch.Tensor) -> torch.Tensor:
        return convolved(skip, self.get_buffer("output_skip")).to(self.sum_dtype)

    def _with_coarse(
        self, logits: torch.Tensor, fine: torch.Tensor, coarse: torch.Tensor | None
    ) -> torch.Tensor:
        """Add the bias and the coarse channels; of `fine` only the size is read."""
        rows = logits.shape[2]
        return logits + self._on_pixels(self._weighted_cells(coarse), Band(0, rows, rows), fine)

    def _weighted_cells(self, coarse: torch.Tensor | None) -> torch.Tensor:
        """Return the bias and what coarse cells add to the logits (1, output, cell row, cell column)."""
        bias = self.get_buffer("output_bias")[:, None, None]
        if not self.coarse_channels:
            return bias[None]
        # A plain sum again; the cells are few.
        cells = self.cells(coarse).to(self.sum_dtype)[:, None] * self.get_buffer("output_coarse")
        return cells.sum(2) + bias

    def _on_pixels(self, cells: torch.Tensor, band: Band, fine: torch.Tensor) -> torch.Tensor:
        """Return weighted cells on the pixels of some rows; of `fine` only the size is read."""
        if not self.coarse_channels:
            return cells
        if not self.repeats_cells:
            # Of all rows for each share; no variant whose logits are gathered by shares comes here.
            return self.upsample(cells, fine)[:, :, band.own]
        ratio = self.upsample.ratio
        first = band.start // ratio
        seen = fine[:, :, first * ratio : band.stop]
        on_pixels = self.upsample(cells[:, :, first : -(-band.stop // ratio)], seen)
        return on_pixels[:, :, band.start - first * ratio :]


def side_by_side(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return arrays (sample, channel, row, column) with their channels joined, channels last.

    As matrices (pixel, channel) they are joined several times faster than as arrays of four axes.
    """
    samples, _, rows, cols = parts[0].shape
    flat = [part.permute(0, 2, 3, 1).reshape(samples * rows * cols, -1) for part in parts]
    return torch.cat(flat, 1).view(samples, rows, cols, -1).permute(0, 3, 1, 2)
