"""The linear head backwards: from the gradient of the logits to that of the trunk's output, in bands of rows."""

from __future__ import annotations

from functools import partial

import torch
from torch.nn import functional

from ...kernels.threads import run_on
from .bands import CHUNK_ROWS, bands, rows_at_once
from .head import Edges, LinearHead
from .pools import shifted_sum


class HeadTranspose:
    """Multipliers of the trunk for those of the logits, given out in bands of rows.

    Parameters
    ----------
    head : LinearHead
        The head.
    seeds : torch.Tensor
        (1, output, row, column), gradients of the logits.
    edges : tuple of bool
        Which sides of the tile are edges of the scene.
    """

    def __init__(self, head: LinearHead, seeds: torch.Tensor, edges: Edges) -> None:
        self._head = head
        self._strips: list[tuple[int, int, slice, torch.Tensor]] = []
        rows, cols = seeds.shape[-2:]
        remaining = seeds.to(head.sum_dtype, copy=True)
        self._whole = False
        jobs = []
        for seen, own, inside in head.strips(rows, cols, edges):
            strip = torch.zeros_like(remaining[(..., *seen)])
            strip[(..., *inside)] = remaining[(..., *own)]
            remaining[(..., *own)] = 0
            self._whole = self._whole or own == (slice(None),) * 2
            if self._whole or strip.any():
                jobs.append((seen, partial(head.transposed_definition, strip)))
        for (seen, _), gradient in zip(jobs, run_on(seeds.device, [job for _, job in jobs])):
            first, stop, _ = seen[0].indices(rows)
            self._strips.append((first, stop, seen[1], gradient))
        self._sums: dict[int, torch.Tensor] = {}
        if self._whole:
            return
        seeded = [output for output in range(head.outputs) if remaining[:, output].any()]
        self._single = seeded[0] if len(seeded) == 1 else 0 if head.by_taps else None
        if self._single is not None:
            remaining = remaining[:, self._single : self._single + 1]
        summed = functional.pad(remaining, (1, 0, 1, 0))
        summed = summed[:, :, :-1] + summed[:, :, 1:]
        summed = summed[:, :, :, :-1] + summed[:, :, :, 1:]
        for scale in head.scales:
            summed = shifted_sum(summed, scale // 4) if self._sums else summed
            self._sums[scale] = summed

    def gradients(self, rows: slice) -> torch.Tensor:
        """Return the gradients (1, trunk channel, row, column) of the rows `rows`."""
        if self._whole:
            return self._strips[0][3][:, :, rows].clone()
        head, sums = self._head, self._sums
        parts = [
            head.transposed_products(
                sums, slice(rows.start + band.start, rows.start + band.stop), self._single
            )
            for band in bands(rows.stop - rows.start, rows_at_once(sums[head.scales[0]], CHUNK_ROWS))
        ]
        total = torch.cat(parts, 2)
        for first, stop, cols, gradient in self._strips:
            low, high = max(first, rows.start), min(stop, rows.stop)
            if low < high:
                own = total[:, :, low - rows.start : high - rows.start, cols]
                own += gradient[:, :, low - first : high - first]
        return total
