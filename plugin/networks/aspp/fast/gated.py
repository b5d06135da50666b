"""The logits of the fast fusion network in parts: what each group of channels adds with the gates frozen.

Every layer but a ReLU is linear. Rows, one a group of fine channels and one for the baseline with all biases,
are taken through the trunk side by side: layers treat the groups' rows without their biases, and a ReLU lets
pass what it lets pass of the sum of all rows, which is the network's own value. The rows add up to the logits;
none of them is made of the others. Coarse channels join at the last layer and are weighted on their cells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from ...kernels.convolutions import convolved
from ...kernels.threads import run_parallel
from .bands import Band, Rolling, rolled
from .forward import FastAspp
from .head import ALL_EDGES, Edges
from .head_forward import HeadForward, ShareForward
from .weights import CONVOLUTIONS, NORMS

if TYPE_CHECKING:
    Parts = Sequence[tuple[int, Sequence[int]]]

BIAS = -1  # the number of the row of the baseline and the biases


class GatedForward(nn.Module):
    """A forward pass of the fusion network in rows.

    Parameters
    ----------
    network : FastAspp
        A network with a linear head.
    """

    def __init__(self, network: FastAspp) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        distance: tuple[torch.Tensor, torch.Tensor | None],
        origin: tuple[torch.Tensor, torch.Tensor | None],
        groups: Sequence[Sequence[int]],
        edges: Edges = ALL_EDGES,
        outputs: Sequence[int] | None = None,
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield parts of the logits: the number of a group, or :data:`BIAS`, and what is to be added to it.

        Parameters
        ----------
        distance, origin : tuple of torch.Tensor
            Fine (1, channel, row, column) and coarse (1, channel, cell row, cell column): the inputs less the
            baseline, and the baseline. The coarse ones are None where the network has no coarse channels.
        groups : sequence of sequence of int
            The channels of each group, the fine ones first.
        edges : tuple of bool
            As in :meth:`.forward.FastAspp.forward`.
        outputs : sequence of int, optional
            Which logits are wanted; default: all.
        """
        network = self.network
        outputs = range(len(network.output_bias)) if outputs is None else outputs
        number = distance[0].shape[1]
        fine = [(index, [c for c in group if c < number]) for index, group in enumerate(groups)]
        fine = [(index, members) for index, members in fine if members]
        with torch.no_grad():
            parts = self._from_fine(distance[0], origin[0], fine, edges)
            parts[-1:] += network.output_bias[:, None, None]
        for row, name in enumerate([*(index for index, _ in fine), BIAS]):
            yield name, parts[row : row + 1, list(outputs)]
        if not network.coarse_channels:
            return
        cells, cells_of_origin = network.cells(distance[1]), network.cells(origin[1])
        for index, group in enumerate(groups):
            members = [c - number for c in group if c >= number]
            if members:
                yield index, self._from_cells(cells, members, outputs, distance[0])
        if cells_of_origin.any():
            every = range(cells_of_origin.shape[1])
            yield BIAS, self._from_cells(cells_of_origin, every, outputs, distance[0])

    def _from_cells(
        self, cells: torch.Tensor, members: Sequence[int], outputs: Sequence[int], like: torch.Tensor
    ) -> torch.Tensor:
        network, chosen = self.network, list(members)
        values = cells[:, None, chosen].to(network.sum_dtype)
        weights = network.output_coarse[list(outputs)][:, chosen]
        return network.upsample((values * weights).sum(2), like)

    def _from_fine(
        self, distance: torch.Tensor, origin: torch.Tensor, fine: Parts, edges: Edges
    ) -> torch.Tensor:
        """Return the rows (part, output, row, column) that come through the trunk, the bias row last."""
        network, rows = self.network, distance.shape[2]
        distance, origin = (
            values.to(network.conv1_weight.dtype).contiguous(memory_format=network.memory_format)
            for values in (distance, origin)
        )
        shares = network.shares(rows)
        forwards = [HeadForward(network.head, distance, edges, shares) for _ in range(len(fine) + 1)]
        groups = [group for _, group in fine]
        jobs = [
            partial(
                self._share,
                share,
                distance,
                origin,
                groups,
                edges,
                [each.parts[index] for each in forwards],
            )
            for index, share in enumerate(shares)
        ]
        from_skip = torch.cat([skip for of_share in run_parallel(jobs) for skip in of_share], 2)
        for row, head_forward in enumerate(forwards):
            from_skip[row : row + 1] += head_forward.logits()
        return from_skip

    def _share(
        self,
        share: Band,
        distance: torch.Tensor,
        origin: torch.Tensor,
        groups: Sequence[Sequence[int]],
        edges: Edges,
        parts: Sequence[ShareForward],
    ) -> list[torch.Tensor]:
        """Take a share of the rows through the trunk to `parts`; return what comes through the skip, band by band."""
        network, skips = self.network, []
        with rolled(CONVOLUTIONS, share.rows, network.buffer_pool) as chain:
            for band in share.cut(network.band_rows):
                before: Rolling | None = None
                for left, (name, rolling) in zip(reversed(range(len(CONVOLUTIONS))), chain.items()):
                    new = rolling.new(band.around(left))
                    if new:
                        outputs, samples = network.filters[name].outputs, len(groups) + 1
                        room = rolling.room(new, outputs, distance, network.dtype, samples)
                        if before is None:
                            self._first(distance, origin, groups, new, room)
                        else:
                            sides = (
                                edges[0] and new.start == 0,
                                edges[1] and new.stop == share.rows,
                                *edges[2:],
                            )
                            self._layer(name, *before.seen_by(new), sides, room)
                        _gate(room)
                    if name == "conv2" and (mine := new.inside(share)):
                        skip = convolved(rolling.of(mine.own), network.output_skip)
                        skips.append(skip.to(network.sum_dtype))
                    if band.stop == share.stop and before is not None:
                        before.close()  # the next layer may have its memory
                    before = rolling
                trunk = chain[CONVOLUTIONS[-1]].of(band.own)
                for row, part in enumerate(parts):
                    part.add(band.own, trunk[row : row + 1])
        for part in parts:
            part.finish()
        return skips

    def _first(
        self,
        distance: torch.Tensor,
        origin: torch.Tensor,
        groups: Sequence[Sequence[int]],
        new: Band,
        out: torch.Tensor,
    ) -> None:
        """Fill `out` with the rows `new` of the first convolution before its ReLU."""
        weight, bias, seen = self.network.conv1_weight, self.network.conv1_bias, new.around(1)
        own = slice(new.start - seen.start, new.stop - seen.start)
        for row, group in enumerate(groups):
            first = convolved(distance[:, group, seen], weight[:, group], padding=1)
            out[row : row + 1] = first[:, :, own]
        out[-1:] = convolved(origin[:, :, seen], weight, bias, padding=1)[:, :, own]

    def _layer(self, name: str, values: torch.Tensor, own: slice, edges: Edges, out: torch.Tensor) -> None:
        """Fill `out` with the rows `own` of a convolution, and a batch norm in front of it, before the ReLU."""
        network, norm = self.network, NORMS.get(name)
        if norm is not None and norm not in network.merged:
            shifted = network.normalised(norm, values[-1:])
            values = torch.cat([values[:-1] * network.get_buffer(f"{norm}_gain"), shifted])
            norm = None
        filters = network.filters[name if norm is None else f"{name}_merged"]
        filters(values, bias=False, rows=own, out=out)
        out[-1] += filters.bias[:, None, None]
        if norm is not None:
            network.correct_edges(name, values[-1:], own, edges, out[-1:], relu=False)


def _gate(rows: torch.Tensor) -> None:
    """Let pass, in place, what a ReLU lets pass of the sum of the rows (row, channel, image row, column)."""
    total = rows[0] + rows[1] if len(rows) > 1 else rows[0].clone()
    for row in rows[2:]:
        total += row
    for row in rows.split(1):
        torch.ops.aten.threshold_backward.grad_input(row, total[None], 0, grad_input=row)
