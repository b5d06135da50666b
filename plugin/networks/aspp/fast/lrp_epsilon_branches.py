"""The backward pass by LRP-ε from the fusion network's logits through its branches to the trunk's output.

Pools, the branches' outputs z and D are computed again band by band: memory costs more than computing them.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.nn import functional

from ...kernels.convolutions import LANES, convolved, filled, kernel_lines, without_padding_channels
from ...kernels.threads import run_parallel, worker_count
from ..variants import SCALES
from .bands import Band, span_of
from .forward import FastAspp
from .gradient import flipped
from .head import deinterleaved
from .lrp_epsilon_rule import EpsilonRule, LeakSums
from .pools import framed_pools, normalise_boundary, summed_back

# Rows around a pixel that its branches see: the largest pool and the dilation behind it.
BRANCH_HALO = SCALES[-1] + SCALES[-1] // 2


class OutputWeights:
    """The weights of the output layer for some of its logits.

    Attributes
    ----------
    sizes, flipped : dict of str to torch.Tensor
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
        self.flipped = {name: flipped(weight, network) for name, weight in weights.items()}
        self.bias = network.get_buffer("offset_output")[logits]
        self.coarse = network.get_buffer("output_coarse")[logits]


@dataclass(frozen=True)
class Explained:
    """The seeded logits, and what is known of them.

    Parameters
    ----------
    output : OutputWeights
        Their weights.
    seeds, logits : torch.Tensor
        Their gradients, and themselves: (1, logit, row, column).
    sizes : torch.Tensor
        What bias and coarse channels add to their D.
    kept : dict of str to torch.Tensor
        Convolution → its outputs.
    passed : torch.Tensor
        Takes the gradients behind the output layer.
    """

    output: OutputWeights
    seeds: torch.Tensor
    logits: torch.Tensor
    sizes: torch.Tensor
    kept: dict[str, torch.Tensor]
    passed: torch.Tensor


class EpsilonBranches:
    """Takes relevance from the logits to the trunk's output.

    Parameters
    ----------
    network : FastAspp
        A network without ReLU behind its scale convolutions.
    rule : EpsilonRule
        Of its layers.
    """

    def __init__(self, network: FastAspp, rule: EpsilonRule) -> None:
        self._network, self._rule = network, rule
        branches = [f"scale{scale}" for scale in SCALES]
        weights = {name: network.get_buffer(f"{name}_weight") for name in branches}
        self._filters, self._channels = weights["scale2"].shape[:2]
        self._weights = {name: filled(weight) for name, weight in weights.items()}
        self._sizes = {name: weight.abs() for name, weight in self._weights.items()}
        # Backwards: the channels that fill registers, and the lines of the few kernels left over.
        rest = self._channels % LANES
        self._rest = rest if self._channels > LANES and 3 * rest <= LANES else 0
        self._back, self._lines_back = {}, {}
        for scale in SCALES:
            name = f"scale{scale}"
            # The pool's mean of a window that lies inside, exactly: a power of two. Others: `normalise_boundary`.
            weight = flipped(weights[name], network) / scale**2
            back, left_over = weight.split([self._channels - self._rest, self._rest])
            self._back[name] = back.contiguous(memory_format=network.memory_format)
            lines = kernel_lines(left_over)
            self._lines_back[name] = filled(lines.contiguous(memory_format=network.memory_format))
        self._biases = {name: network.get_buffer(f"{name}_bias") for name in branches}
        self._bias_weights = {name: bias.double() for name, bias in self._biases.items()}
        self._bias_sizes = {name: bias.abs() + rule.least for name, bias in self._biases.items()}

    def through(self, explained: Explained, behind: torch.Tensor) -> list[LeakSums]:
        """Take all rows with seeds back to the trunk's output, in bands; return the leaks of each band.

        Parameters
        ----------
        explained : Explained
            What is taken back.
        behind : torch.Tensor
            Multipliers behind the trunk, to which is added.
        """
        seeds = explained.seeds
        across, bands = span_of(seeds, 3, 0), self._bands(span_of(seeds, 2, 0))
        leaks, adding = [LeakSums() for _ in bands], threading.Lock()

        def take(band: Band, own: LeakSums) -> None:
            from_band, reached = self._from_band(band, across, explained, own)
            # Rows that another band reaches too: the sum of two numbers is the same whichever comes first.
            with adding:
                _add(from_band, behind[reached])

        run_parallel([partial(take, *each) for each in zip(bands, leaks)])
        return leaks

    def _bands(self, rows: Band) -> list[Band]:
        """Return rows in bands; no row is reached by the halos of more than two of them, its own band among these."""
        length, tall = rows.stop - rows.start, 2 * self._network.band_rows
        if not length or not tall:
            return [rows] if rows else []
        # Pools see a halo of rows, which short bands would pool more often; but each core needs some of them.
        wanted = max(-(-length // tall), 2 * worker_count())
        return list(rows.cut(-(-length // max(1, min(wanted, length // (2 * BRANCH_HALO))))))

    def _from_band(
        self, band: Band, across: Band, explained: Explained, leaks: LeakSums
    ) -> tuple[list[torch.Tensor], tuple[Any, slice, slice]]:
        """Return what the branches of a band's rows, and of the columns `across`, propagate to the trunk's output.

        It comes in parts of the channels, one after the other, with the place of the pixels in the trunk's output.
        """
        output, kept = explained.output, explained.kept
        network = self._network
        seen_cols = across.around(BRANCH_HALO)
        own_cols = slice(across.start - seen_cols.start, across.stop - seen_cols.start)
        seen, here = (band.around(BRANCH_HALO), seen_cols), (..., band.own, across.own)
        # What a ReLU let through is its own size.
        skip = convolved(kept["conv2"][here], output.sizes["output_skip"])
        size_of_logits = explained.sizes[here] + skip
        branches = {}
        trunk, ends = kept["conv6"][(..., *seen)], (seen[0].start == 0, seen[0].stop == band.rows)
        for scale, first, means, frame in framed_pools(trunk, SCALES, *ends):
            name = f"scale{scale}"
            values = _around(means, seen[0].start + first, band, scale)
            wide = max(0, frame - scale)  # zeros on each side that no own pixel sees
            own_inside = slice(own_cols.start + wide, own_cols.stop + wide)
            branch, size = (
                self._filtered(values, weight, bias, (0, scale - frame + wide), scale)[..., own_inside]
                for weight, bias in (
                    (self._weights[name], self._biases[name]),
                    (self._sizes[name], self._bias_sizes[name]),
                )
            )
            size_of_logits += convolved(branch.abs(), output.sizes[f"output{scale}"])
            branches[scale] = branch, size
        own = self._rule.propagate(
            leaks,
            "output",
            output.bias,
            explained.seeds[here].clone(),
            explained.logits[here],
            size_of_logits,
        )
        explained.passed[here] = own
        return self._spread(band, across, output, own.to(network.dtype), branches, leaks), (..., *seen)

    def _filtered(
        self,
        values: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        padding: tuple[int, int],
        dilation: int,
    ) -> torch.Tensor:
        """Return a convolution by padded weights without the padding channels."""
        more = len(weight) - self._filters
        if not more:
            return convolved(values, weight, bias, padding, dilation)
        filtered_values = convolved(values, weight, functional.pad(bias, (0, more)), padding, dilation)
        return without_padding_channels(filtered_values, self._filters)

    def _spread(
        self,
        band: Band,
        across: Band,
        output: OutputWeights,
        seeds: torch.Tensor,
        branches: dict[int, tuple[torch.Tensor, torch.Tensor]],
        leaks: LeakSums,
    ) -> list[torch.Tensor]:
        """Return what some pixels' branches (z and D) propagate to the trunk's output, within their halo.

        It comes in parts of the channels, one after the other.
        """
        seen = band.around(BRANCH_HALO), across.around(BRANCH_HALO)
        size = seen[0].stop - seen[0].start, seen[1].stop - seen[1].start
        arriving = {}  # of all scales at once: each is asked for twice
        for scale in SCALES:
            name, layer = f"scale{scale}", f"scales.{SCALES.index(scale)}"
            arriving[scale] = self._rule.propagate(
                leaks,
                layer,
                self._bias_weights[name],
                convolved(seeds, output.flipped[f"output{scale}"]),
                *branches.pop(scale),
            )

        def add(spread: torch.Tensor, row: int, col: int, scale: int, total: torch.Tensor) -> None:
            """Add what begins at a row and column of the tile; what lies outside the tile is cut off."""
            top, left = max(row, seen[0].start), max(col, seen[1].start)
            rows, cols = slice(top - row, max(0, seen[0].stop - row)), slice(left - col, seen[1].stop - col)
            spread = spread[:, :, rows, cols]
            if not spread.numel():
                return
            down, right = top - seen[0].start, left - seen[1].start
            spans = (down, down + spread.shape[2]), (right, right + spread.shape[3])
            # Where what is seen ends inside the tile, nothing arrives so close that a window reached beyond it.
            normalise_boundary(spread, scale, spans, size)
            total[(..., *(slice(*span) for span in spans))].add_(spread)

        def add_whole(scale: int, total: torch.Tensor) -> None:
            # Pad more: relevance also reaches pixels outside the band.
            beyond = [_beyond(own, scale) for own in (band, across)]
            padding = scale + beyond[0], scale + beyond[1]
            spread = convolved(arriving[scale], self._back[f"scale{scale}"], None, padding, scale)
            add(spread, band.start - beyond[0], across.start - beyond[1], scale, total)

        def add_rest(scale: int, total: torch.Tensor) -> None:
            beyond = _beyond(across, scale)
            weight = self._lines_back[f"scale{scale}"]
            lines = convolved(arriving[scale], weight, None, (0, scale + beyond), (1, scale))
            for down, line in zip((1, 0, -1), deinterleaved(lines[:, : 3 * self._rest], 3).split(1)):
                add(line, band.start + down * scale, across.start - beyond, scale, total)

        layout, whole = self._network.memory_format, self._channels - self._rest
        totals = [summed_back(SCALES, (1, whole, *size), seeds, layout, add_whole)]
        if self._rest:
            totals.append(summed_back(SCALES, (1, self._rest, *size), seeds, layout, add_rest))
        return totals


def _add(parts: list[torch.Tensor], values: torch.Tensor) -> None:
    """Add parts of the channels, one after the other, to values of all."""
    for part, place in zip(parts, values.split([part.shape[1] for part in parts], 1)):
        place.add_(part)


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
