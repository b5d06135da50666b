"""The backward pass of the fusion network by LRP-ε (:mod:`.lrp_epsilon_rule`), written out for speed.

Every layer of the definition keeps its own share, so nothing is folded. Where a ReLU follows, the share is zero
where the ReLU is shut. The trunk's outputs z are kept for a whole tile; all else is computed again in the backward
pass, band by band (:mod:`.bands`). Each core takes its part of the rows; rows that two parts reach are added at
the end.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from ...contract import Backward, Record
from ...kernels.convolutions import Filters, convolved
from ...kernels.threads import run_parallel
from .bands import Band, rolled, span_of
from .forward import FastAspp
from .gradient import flipped, to_cells
from .head import ALL_EDGES, Edges
from .lrp_epsilon_branches import BRANCH_HALO, EpsilonBranches, Explained, OutputWeights
from .lrp_epsilon_rule import EpsilonRule, LeakSums, record_all
from .weights import CONVOLUTIONS, NORMS

# Rows around a seed that relevance reaches.
RADIUS = BRANCH_HALO + len(CONVOLUTIONS)


class EpsilonPass(nn.Module):
    """A forward pass that keeps each layer's share.

    Parameters
    ----------
    network : FastAspp
        A network without ReLU behind its scale convolutions, with cells repeated over their pixels.
    epsilon : float
        ε, relative to D; as of :class:`.lrp_epsilon_rule.EpsilonRule`.
    """

    def __init__(self, network: FastAspp, epsilon: float) -> None:
        super().__init__()
        self.network = network
        self._rule = EpsilonRule(epsilon, network.dtype)
        self._branches = EpsilonBranches(network, self._rule)
        self._biases = {name: network.get_buffer(f"{name}_bias") for name in CONVOLUTIONS}
        least = self._rule.least
        self._bias_sizes = {name: bias.abs() + least for name, bias in self._biases.items()}
        # The weights of biases and shifts in the leaks, float64.
        self._bias_weights = {name: bias.double() for name, bias in self._biases.items()}
        self._bias_weights |= {
            norm: network.get_buffer(f"{norm}_shift")[:, 0, 0].double() for norm in NORMS.values()
        }
        self._to_size, self._to_before = {}, {}
        for name in CONVOLUTIONS:
            weight = network.get_buffer(f"{name}_weight")
            self._to_size[name] = Filters(weight.abs(), self._bias_sizes[name])
            self._to_before[name] = Filters(flipped(weight, network))

    def forward(
        self, fine: torch.Tensor, coarse: torch.Tensor | None, edges: Edges = ALL_EDGES
    ) -> tuple[torch.Tensor, Backward]:
        """Return the logits and their backward pass, to be run before the next forward pass.

        Parameters
        ----------
        fine, coarse, edges
            As :meth:`.forward.FastAspp.forward` takes them.
        """
        network = self.network
        fine = network.laid_out(fine)
        number = network.buffer_pool.begin()
        kept = {name: self._array(name, len(self._biases[name]), fine) for name in CONVOLUTIONS}
        with torch.no_grad():
            logits = network.keeping_logits(fine, coarse, edges, kept)

        def backward(seeds: torch.Tensor, record: Record) -> tuple[torch.Tensor, torch.Tensor | None]:
            network.buffer_pool.check(number)
            with torch.no_grad():
                return self._back(seeds.to(network.sum_dtype), logits, fine, coarse, kept, record)

        return logits, backward

    def _array(self, name: str, channels: int, fine: torch.Tensor) -> torch.Tensor:
        return self.network.buffer_pool.named(name, (1, channels, *fine.shape[-2:]), self.network.output_skip)

    def _back(
        self,
        seeds: torch.Tensor,
        logits: torch.Tensor,
        fine: torch.Tensor,
        coarse: torch.Tensor | None,
        kept: dict[str, torch.Tensor],
        record: Record,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        network = self.network
        seeded = [index for index in range(seeds.shape[1]) if seeds[:, index].any()]
        seeds, logits, output = seeds[:, seeded], logits[:, seeded], OutputWeights(network, seeded)
        sizes = self._size_of_cells(fine, coarse, output)
        passed = torch.zeros_like(seeds, dtype=network.sum_dtype)
        behind = self._array("behind the trunk", kept["conv6"].shape[1], fine).zero_()
        leaks = self._branches.through(Explained(output, seeds, logits, sizes, kept, passed), behind)
        to_fine = torch.zeros_like(fine, dtype=network.dtype, memory_format=network.memory_format)
        shares = network.shares(span_of(seeds, 2, RADIUS))
        further = [LeakSums() for _ in shares]
        run_parallel(
            [
                partial(
                    self._share_to_fine, share, output, passed, behind, fine, kept, to_fine, further[index]
                )
                for index, share in enumerate(shares)
            ]
        )
        record_all([*leaks, *further], record)
        return to_fine, to_cells(
            network, passed, network.cells(coarse), output.coarse
        ) if network.coarse_channels else None

    def _size_of_cells(
        self, fine: torch.Tensor, coarse: torch.Tensor | None, output: OutputWeights
    ) -> torch.Tensor:
        """Return D of the output layer as far as it comes from bias and coarse channels."""
        network = self.network
        bias = output.bias.to(network.sum_dtype)[:, None, None].abs() + self._rule.least
        if not network.coarse_channels:
            return bias.expand(-1, *fine.shape[2:])[None]
        cells = network.cells(coarse).to(network.sum_dtype)[:, None] * output.coarse
        return network.upsample(cells.abs().sum(2) + bias, fine)

    def _share_to_fine(
        self,
        share: Band,
        output: OutputWeights,
        seeds: torch.Tensor,
        behind: torch.Tensor,
        fine: torch.Tensor,
        kept: dict[str, torch.Tensor],
        found: torch.Tensor,
        leaks: LeakSums,
    ) -> None:
        network, rows = self.network, fine.shape[2]
        # What the convolutions propagate.
        with rolled(reversed(CONVOLUTIONS), rows, network.buffer_pool) as chain:
            for band in share.cut(network.band_rows):
                after = ""  # the convolution behind this one
                for left, (name, rolling) in zip(range(len(CONVOLUTIONS), 0, -1), chain.items()):
                    new = rolling.new(band.around(left))
                    if new:
                        gradients = rolling.room(new, kept[name].shape[1], fine, network.dtype)
                        own = new.where(new.inside(share))
                        if after:
                            values, wanted = chain[after].seen_by(new)
                            self._to_before[after](values, rows=wanted, out=gradients)
                            if after in NORMS:
                                self._through_norm(after, kept[name][:, :, new.own], gradients, own, leaks)
                        else:
                            gradients.copy_(behind[:, :, new.own])
                        if name == "conv2":
                            gradients.add_(
                                convolved(
                                    seeds[:, :, new.own].to(network.dtype), output.flipped["output_skip"]
                                )
                            )
                        before = kept[CONVOLUTIONS[left - 2]] if left > 1 else fine
                        size = self._size(name, before, new)
                        z = kept[name][:, :, new.own]
                        self._rule.propagate(
                            leaks, name, self._bias_weights[name], gradients, z, size, own, rectified=True
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
        self, name: str, before: torch.Tensor, gradients: torch.Tensor, own: slice, leaks: LeakSums
    ) -> None:
        """Take gradients, in place, through the norm in front of a convolution; `before` are the norm's inputs."""
        network, norm = self.network, NORMS[name]
        gain, shift = (network.get_buffer(f"{norm}_{part}") for part in ("gain", "shift"))
        size = torch.addcmul(shift.abs() + self._rule.least, before, gain.abs())
        z = torch.addcmul(shift, before, gain)
        self._rule.propagate(leaks, norm, self._bias_weights[norm], gradients, z, size, own).mul_(gain)
