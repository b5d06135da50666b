"""The backward pass of the fast fusion network: from gradients of the logits to gradients of the inputs.

It does what autograd would do, without recording: convolutions run backwards as convolutions with flipped kernels,
gates are read from the outputs of the ReLUs, and the share of every bias is a sum over the gradient at its layer.
Forwards and backwards, the trunk is computed in bands of rows.
"""

from __future__ import annotations

from functools import partial
from typing import Protocol

import torch
from torch import nn
from torch.nn import functional

from ...contract import Backward, Record
from ...kernels.convolutions import Filters, convolved
from ...kernels.threads import run_parallel
from ..variants import SCALES
from .bands import Band, rolled, span_of
from .forward import FastAspp
from .head import ALL_EDGES, Edges
from .head_transpose import HeadTranspose
from .weights import CONVOLUTIONS, NORMS


class Transposed(Protocol):
    """What the head sends back to the trunk."""

    def gradients(self, rows: slice) -> torch.Tensor:
        """Return the gradients (1, trunk channel, row, column) of the rows `rows`."""


class GradientPass(nn.Module):
    """A forward pass that keeps what its backward pass needs.

    Parameters
    ----------
    network : FastAspp
        A network whose scale convolutions have no ReLU, with cells that are repeated over their pixels. The
        backward pass runs in its precision.
    forward_network : FastAspp, optional
        The same network in the precision of the forward pass, which decides the gates: a gate that is wrong by
        rounding is wrong by the whole gradient. `network` itself where it is None.
    """

    def __init__(self, network: FastAspp, forward_network: FastAspp | None = None) -> None:
        super().__init__()
        self.network = network
        self.forward_network = forward_network or network
        self.filters = nn.ModuleDict()
        for name in CONVOLUTIONS:
            merged = "_merged" if NORMS.get(name) in network.merged else ""
            self.filters[name] = Filters(flipped(network.get_buffer(f"{name}{merged}_weight"), network))
        self.register_buffer("skip_back", flipped(network.get_buffer("output_skip"), network))

    def forward(
        self, fine: torch.Tensor, coarse: torch.Tensor | None, edges: Edges = ALL_EDGES
    ) -> tuple[torch.Tensor, Backward]:
        """Return the logits and their backward pass, to be run before the next forward pass.

        Parameters
        ----------
        fine, coarse, edges
            As :meth:`.forward.FastAspp.forward` takes them.
        """
        network = self.forward_network
        buffer_pool = network.buffer_pool
        number = buffer_pool.begin()
        kept = self.kept(fine)
        with torch.no_grad():
            logits = network.banded_logits(fine, coarse, edges, kept)

        def backward(
            seeds: torch.Tensor, record: Record | None = None
        ) -> tuple[torch.Tensor, torch.Tensor | None]:
            buffer_pool.check(number)
            with torch.no_grad():
                seeds = seeds.to(self.network.sum_dtype)
                totals = channel_sums(seeds)
                if record is not None:
                    for name, key in self._offsets():
                        record(name, (totals * self.network.get_buffer(key)).sum())
                head_transpose = HeadTranspose(self.network.head, seeds, edges)
                return self.to_fine(seeds, kept, head_transpose, record, self.reached(seeds)), self.to_cells(
                    seeds, coarse
                )

        return logits, backward

    def kept(self, fine: torch.Tensor, behind: str = "") -> dict[str, torch.Tensor]:
        """Return arrays of the tile for what the ReLUs let through, all or those behind a convolution."""
        # Only the sign matters backwards, and half the bytes keep it.
        network = self.forward_network
        half = network.dtype == torch.float32
        like = network.output_skip.new_empty(0, dtype=torch.bfloat16 if half else network.dtype)
        shape = fine.shape[-2:]
        names = CONVOLUTIONS[CONVOLUTIONS.index(behind) + 1 :] if behind else CONVOLUTIONS
        return {
            name: network.buffer_pool.named(name, (1, self.channels(name), *shape), like) for name in names
        }

    def channels(self, name: str) -> int:
        """Return how many channels a convolution puts out."""
        return len(self.forward_network.get_buffer(f"{name}_bias"))

    def _offsets(self) -> list[tuple[str, str]]:
        """Return layers behind the trunk, and the buffer_pool of what they add to the logits."""
        scales = [(f"scales.{index}", f"offset{scale}") for index, scale in enumerate(SCALES)]
        return [("output", "offset_output"), *scales]

    def reached(self, seeds: torch.Tensor) -> Band:
        """Return the rows that seeds (1, output, row, column) reach."""
        return span_of(seeds, 2, self.network.head.reach + len(CONVOLUTIONS))

    def to_fine(
        self,
        seeds: torch.Tensor,
        kept: dict[str, torch.Tensor],
        head_transpose: Transposed,
        record: Record | None,
        reached: Band,
    ) -> torch.Tensor:
        """Return the gradients of the fine inputs.

        Parameters
        ----------
        seeds : torch.Tensor
            (1, output, row, column), gradients of the logits.
        kept : dict of str to torch.Tensor
            Outputs of the ReLUs, by convolution.
        head_transpose : Transposed
            Gives the gradients of the trunk's output.
        record : callable or None
            Hears of what biases receive.
        reached : Band
            Rows that have a gradient.
        """
        network = self.network
        to_fine = seeds.new_zeros((1, self.filters["conv1"].outputs, *seeds.shape[2:]))
        to_fine = to_fine.contiguous(memory_format=network.memory_format)
        shares = [
            partial(self.to_layer, share, seeds, head_transpose, kept, to_fine, "", record is not None)
            for share in network.shares(reached)
        ]
        arrived = run_parallel(shares)
        if record is not None:
            for name in (*reversed(CONVOLUTIONS), *NORMS.values()):
                weights = (
                    network.get_buffer(f"{name}_bias").double()
                    if name in CONVOLUTIONS
                    else self._shift_of(name)
                )
                record(name, (sum(of_share[name] for of_share in arrived) * weights).sum())
        return to_fine

    def to_layer(
        self,
        share: Band,
        seeds: torch.Tensor,
        head_transpose: Transposed,
        kept: dict[str, torch.Tensor],
        found: torch.Tensor,
        layer: str = "",
        recording: bool = False,
    ) -> dict[str, torch.Tensor]:
        """Fill the share's rows of `found` with the gradient of a layer.

        Parameters
        ----------
        layer : str
            A convolution, behind whose ReLU the gradient is taken; '' for the inputs.

        Returns
        -------
        dict of str to torch.Tensor
            What arrived at each layer by channel, float64, if `recording`.
        """
        network, rows = self.network, seeds.shape[2]
        passed = CONVOLUTIONS[CONVOLUTIONS.index(layer) + 1 :] if layer else CONVOLUTIONS
        arrived = {name: torch.zeros((), dtype=torch.float64) for name in (*CONVOLUTIONS, *NORMS.values())}
        # What arrives behind each convolution, gated.
        with rolled(reversed(passed), rows, network.buffer_pool) as chain:
            for band in share.cut(network.band_rows):
                behind = ""  # the convolution behind this one
                for left, (name, rolling) in zip(range(len(passed), 0, -1), chain.items()):
                    new = rolling.new(band.around(left))
                    if new:
                        channels = kept[name].shape[1]
                        gradients = rolling.room(new, channels, seeds, network.dtype)
                        if behind:
                            values, own = chain[behind].seen_by(new)
                            self.filters[behind](values, rows=own, out=gradients)
                        else:
                            gradients.copy_(head_transpose.gradients(new.own))
                        mine = new.inside(share) if recording else None
                        self._gate(name, behind, new, mine, gradients, seeds, kept[name], arrived)
                    if band.stop == share.stop and behind:
                        chain[behind].close()  # the next layer may have its memory
                    behind = name
                mine = found[:, :, band.own]
                if behind:
                    values, own = chain[behind].seen_by(band)
                    self.filters[behind](values, rows=own, out=mine)
                else:
                    mine.copy_(head_transpose.gradients(band.own))
                if layer:
                    self._to_output(layer, behind, band, mine, seeds)
        return arrived

    def _gate(
        self,
        name: str,
        behind: str,
        new: Band,
        mine: Band | None,
        gradients: torch.Tensor,
        seeds: torch.Tensor,
        passed: torch.Tensor,
        arrived: dict[str, torch.Tensor],
    ) -> None:
        """Turn, in place, the gradient at the convolution `behind` into that at `name`, rows `new`.

        What arrives in the rows `mine` is added to `arrived`, by channel.
        """
        norm = NORMS.get(behind)
        if norm is not None and mine:
            arrived[norm] = arrived[norm] + channel_sums(gradients[:, :, new.where(mine)])
        self._to_output(name, behind, new, gradients, seeds)
        self._let_pass(gradients, passed[:, :, new.own].to(self.network.dtype))
        if mine:
            arrived[name] = arrived[name] + channel_sums(gradients[:, :, new.where(mine)])

    def _to_output(
        self, name: str, behind: str, new: Band, gradients: torch.Tensor, seeds: torch.Tensor
    ) -> None:
        """Turn, in place, the gradient at the convolution `behind` into that at the output of `name`, rows `new`."""
        network, norm = self.network, NORMS.get(behind)
        if norm is not None and norm not in network.merged:  # what arrives holds the gain already
            gradients.mul_(network.get_buffer(f"{norm}_gain"))
        if name == "conv2":
            direct = seeds[:, :, new.own].to(network.dtype)
            gradients.add_(convolved(direct, self.get_buffer("skip_back")))

    def _let_pass(self, gradients: torch.Tensor, passed: torch.Tensor) -> None:
        """Multiply gradients, in place, by the gate of a ReLU whose output is `passed`."""
        torch.ops.aten.threshold_backward.grad_input(gradients, passed, 0, grad_input=gradients)

    def _shift_of(self, norm: str) -> torch.Tensor:
        """Return what a norm adds, by channel, in units of what arrives behind it; float64."""
        shift = self.network.get_buffer(f"{norm}_shift").double()[:, 0, 0]
        gain = self.network.get_buffer(f"{norm}_gain").double()[:, 0, 0]
        return shift / gain if norm in self.network.merged else shift

    def to_cells(self, seeds: torch.Tensor, coarse: torch.Tensor | None) -> torch.Tensor | None:
        """Return the gradients of the coarse cells; None without such inputs."""
        if coarse is None or not self.network.coarse_channels:
            return None
        return to_cells(self.network, seeds, coarse, self.network.get_buffer("output_coarse"))


def flipped(weight: torch.Tensor, network: FastAspp) -> torch.Tensor:
    """Return the flipped weights with which a convolution runs backwards."""
    back = weight.flip(2, 3).transpose(0, 1).to(network.dtype)
    return back.contiguous(memory_format=network.memory_format)


def to_cells(
    network: FastAspp, seeds: torch.Tensor, coarse: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Return the gradients of the coarse cells: those of the logits summed over a cell, and weighted.

    `weights` are those of the output layer, (logit, coarse channel, 1, 1).
    """
    ratio = network.upsample.ratio
    cell_rows, cell_cols = coarse.shape[-2:]
    missing = (0, cell_cols * ratio - seeds.shape[3], 0, cell_rows * ratio - seeds.shape[2])
    full = functional.pad(seeds.to(network.sum_dtype), missing)
    sums = full.unflatten(3, (cell_cols, ratio)).unflatten(2, (cell_rows, ratio)).sum((3, 5))
    # (sample, output, coarse channel, cell row, cell column) summed over the outputs: no matrix product.
    return (sums[:, :, None] * weights).sum(1)


def channel_sums(values: torch.Tensor) -> torch.Tensor:
    """Return sums over samples and pixels by channel, float64 of :func:`column_sums`."""
    return column_sums(values).double().view(-1, values.shape[1]).sum(0)


def column_sums(values: torch.Tensor) -> torch.Tensor:
    """Return sums of values (sample, channel, row, column) over samples and rows, in float32 or more.

    Returns
    -------
    torch.Tensor
        (column · channel,), the channels of a column side by side; where they are not so in memory (channel,).
    """
    if values.shape[1] > 1 and values.is_contiguous(memory_format=torch.channels_last):
        # A register full of columns and channels at once, not the few channels alone.
        samples, channels, rows, cols = values.shape
        kind = torch.promote_types(values.dtype, torch.float32)
        return values.permute(0, 2, 3, 1).reshape(samples * rows, cols * channels).sum(0, dtype=kind)
    return values.sum((0, 2, 3))
