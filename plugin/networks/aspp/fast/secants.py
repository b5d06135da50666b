"""The backward pass of the fast fusion network over steps of a path, with the secant of every ReLU as its slope.

Between two points of the inputs a ReLU changes by its secant (max(b, 0) - max(a, 0))/(b - a) times what its input
changes. With these slopes in place of gates that are open or shut, the gradients over a step explain the change of
the logits completely, however long the step is; the shorter the steps, the closer to integrated gradients.

The inputs of the ReLUs at the begin of a step are those at the end of the step before: every point of the path is
computed once, so that a step costs one forward and one backward pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import torch

from ...kernels.threads import run_parallel
from .bands import Band, Rolling, rolled
from .gradient import GradientPass
from .head import ALL_EDGES, Edges
from .head_transpose import HeadTranspose
from .weights import CONVOLUTIONS


class SecantGradient(GradientPass):
    """Multipliers over the steps of a path, for the networks that :class:`.gradient.GradientPass` takes."""

    def cells(self, seeds: torch.Tensor, coarse: torch.Tensor | None) -> torch.Tensor | None:
        """Return the gradients of the coarse inputs, the same along every path; None without such inputs."""
        return self.to_cells(seeds.to(self.network.sum_dtype), coarse)

    def steps(
        self, points: Iterable[torch.Tensor], seeds: torch.Tensor, edges: Edges = ALL_EDGES
    ) -> Iterator[torch.Tensor]:
        """Yield the gradients (1, fine channel, row, column) over each step between two points.

        Parameters
        ----------
        points : iterable of torch.Tensor
            Fine inputs (1, fine channel, row, column) along the path.
        seeds : torch.Tensor
            (1, output, row, column).
        edges : tuple of bool
            As in :meth:`.forward.FastAspp.forward`.
        """
        network, seeds = self.forward_network, seeds.to(self.network.sum_dtype)
        like = network.output_skip.new_empty(0)
        # A slope lies between 0 and 1: half the bytes give it to 3 digits, which average out over the slopes.
        short = like.to(torch.float16) if network.dtype == torch.float32 else like
        before: dict[str, torch.Tensor] = {}
        for fine in points:
            # Not around the loop: a generator that waits must not change its caller's mode.
            with torch.no_grad():
                gradient = self._step(network.laid_out(fine), seeds, edges, before, short)
            if gradient is not None:
                yield gradient

    def _step(
        self,
        fine: torch.Tensor,
        seeds: torch.Tensor,
        edges: Edges,
        before: dict[str, torch.Tensor],
        like: torch.Tensor,
    ) -> torch.Tensor | None:
        """Return the gradients over the step to `fine`, None at the first point; renew `before`."""
        network, shape, first = self.forward_network, fine.shape[-2:], not before
        number = network.buffer_pool.begin()
        if first:
            for name in CONVOLUTIONS:
                size = 1, network.filters[name].outputs, *shape
                before[name] = network.buffer_pool.named(
                    f"{name}_before", size, network.output_skip.new_empty(0)
                )
        slopes = None
        if not first:
            slopes = {
                name: network.buffer_pool.named(f"{name}_slope", tuple(values.shape), like)
                for name, values in before.items()
            }
        run_parallel(
            [
                partial(self._share_of_step, share, fine, edges, before, slopes)
                for share in network.shares(shape[0])
            ]
        )
        if slopes is None:
            return None
        to_fine = self.to_fine(
            seeds, slopes, HeadTranspose(network.head, seeds, edges), None, self.reached(seeds)
        )
        network.buffer_pool.check(number)
        return to_fine

    def _share_of_step(
        self,
        share: Band,
        fine: torch.Tensor,
        edges: Edges,
        before: dict[str, torch.Tensor],
        slopes: dict[str, torch.Tensor] | None,
    ) -> None:
        """Take a share of the rows through the trunk: fill `slopes` over the step from `before`, and renew `before`."""
        network, rows = self.forward_network, fine.shape[2]
        with rolled(CONVOLUTIONS, rows, network.buffer_pool) as chain:
            for band in share.cut(network.band_rows):
                previous = Rolling(rows, fine)
                for left, (name, rolling) in zip(reversed(range(len(CONVOLUTIONS))), chain.items()):
                    new = rolling.new(band.around(left))
                    if new:
                        values, own = previous.seen_by(new)
                        sides = (edges[0] and new.start == 0, edges[1] and new.stop == rows, *edges[2:])
                        room = rolling.room(new, network.filters[name].outputs, fine, network.dtype)
                        network.before_relu(name, values, own, sides, room)
                        if mine := new.inside(share):
                            begin, end = before[name][:, :, mine.own], room[:, :, new.where(mine)]
                            if slopes is not None:
                                slopes[name][:, :, mine.own] = secants(begin, end)
                            begin.copy_(end)
                        room.relu_()
                    if band.stop == share.stop and left < len(CONVOLUTIONS) - 1:
                        previous.close()  # the next layer may have its memory
                    previous = rolling

    def _let_pass(self, gradients: torch.Tensor, slopes: torch.Tensor) -> None:
        gradients.mul_(slopes)


def secants(begin: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """Return the slopes of the secants of a ReLU, 0 where both values are 0."""
    above = torch.maximum(begin, end).clamp_(min=0)
    below = torch.minimum(begin, end).clamp_(max=0)
    return above.div_(torch.sub(above, below).clamp_(min=torch.finfo(above.dtype).tiny))
