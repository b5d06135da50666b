"""From the trunk of the fusion network to its logits where no ReLU lies between: linear, so folded and reordered.

Each scale is a pool over k x k pixels and a 3 x 3 convolution of dilation k. Multiplied into the output
weights, the convolution leads from the trunk's 18 channels straight to the few logits. Away from the
array's edges pool and convolution change places, and the pools are taken of logits instead of channels,
each from the one before (Horner's scheme; B_2k is B_k taken k/2 before and k/2 after)::

    Σ_k B_k C_k x  =  B_2 (C_2 x + D_1 (C_4 x + D_2 (C_8 x + D_4 C_16 x)))

with B_k the sum over a window of k pixels and D_h the sum of the values h before and h after, on both axes.
Close to an edge of the *scene* a pool counts fewer pixels and the order matters: strips along such edges
are computed in the order of the definition. Edges of a tile inside the scene need none, since what lies
close to them is thrown away.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional

from .layers import SamePool2d

# Which sides of an array are edges of the scene: top, bottom, left, right.
Edges = tuple[bool, bool, bool, bool]
ALL_EDGES: Edges = (True, True, True, True)


class LinearHead(nn.Module):
    """Pools, dilated convolutions and output weights as one linear layer from the trunk to the logits.

    Parameters
    ----------
    kernels : dict of int to torch.Tensor
        Scale → (output, trunk channel, 3, 3), float64; scales are 2, 4, 8, …, each twice the one before.
    dtype : torch.dtype
        Of the convolutions.
    sum_dtype : torch.dtype
        Of the logits.
    memory_format : torch.memory_format
        Of the trunk's output, and of the kernels.
    """

    def __init__(
        self,
        kernels: dict[int, torch.Tensor],
        dtype: torch.dtype,
        sum_dtype: torch.dtype,
        memory_format: torch.memory_format,
    ) -> None:
        super().__init__()
        self.dtype = dtype
        self.sum_dtype = sum_dtype
        self.scales = tuple(kernels)
        # A logit this far from an edge sees windows that lie wholly inside.
        self.reach = self.scales[-1] + self.scales[-1] // 2
        # A single logit wastes a convolution's lanes: its nine taps are channels of a 1 x 1 one instead.
        self.by_taps = len(kernels[self.scales[0]]) == 1
        if self.by_taps:
            taps = {k: kernel[0].permute(1, 2, 0).flatten(0, 1) / k**2 for k, kernel in kernels.items()}
            weights = {f"taps{scale}": values for scale, values in taps.items()}
            weights |= {f"taps{scale}_back": values.t() for scale, values in taps.items()}
            for name, values in weights.items():
                kept = values[:, :, None, None].to(dtype).contiguous(memory_format=memory_format)
                self.register_buffer(name, kept)
        for scale, kernel in kernels.items():
            back = kernel.flip(2, 3).transpose(0, 1)
            for name, values in (("forward", kernel), ("back", back)):
                for ending, share in (("", 1), ("_mean", scale**2)):
                    weights = (values / share).to(dtype).contiguous(memory_format=memory_format)
                    self.register_buffer(f"{name}{scale}{ending}", weights)

    def forward(self, trunk: torch.Tensor, edges: Edges = ALL_EDGES) -> torch.Tensor:
        """Return the part of the logits (1, output, row, column) that comes through the scales."""
        if min(trunk.shape[-2:]) < 4 * self.reach:
            return self._by_definition(trunk)
        logits = None
        for scale in reversed(self.scales):
            taps = self.by_taps
            part = self._from_taps(trunk, scale) if taps else self._convolve("forward", trunk, scale, "_mean")
            logits = part if logits is None else part.add_(_beside(logits, scale // 2))
        logits = functional.pad(logits, (0, 1, 0, 1))
        logits = logits[:, :, :-1] + logits[:, :, 1:]
        logits = logits[:, :, :, :-1] + logits[:, :, :, 1:]
        for seen, own, inside in self._strips(edges):
            logits[own] = self._by_definition(trunk[seen])[inside]
        return logits

    def transpose(self, seeds: torch.Tensor, edges: Edges = ALL_EDGES) -> torch.Tensor:
        """Return the multipliers of the trunk for those of the logits."""
        if min(seeds.shape[-2:]) < 4 * self.reach:
            return self._transposed_definition(seeds)
        strips = []
        remaining = seeds
        for seen, own, inside in self._strips(edges):
            if remaining is seeds:
                remaining = seeds.clone()
            strip = torch.zeros_like(seeds[seen])
            strip[inside] = remaining[own]
            remaining[own] = 0
            strips.append((seen, strip))
        summed = functional.pad(remaining, (1, 0, 1, 0))
        summed = summed[:, :, :-1] + summed[:, :, 1:]
        summed = summed[:, :, :, :-1] + summed[:, :, :, 1:]
        total = None
        for scale in self.scales:
            if total is not None:
                summed = _beside(summed, scale // 4)
            taps = self.by_taps
            part = self._to_taps(summed, scale) if taps else self._convolve("back", summed, scale, "_mean")
            total = part if total is None else total.add_(part)
        for seen, strip in strips:
            if strip.any():
                total[seen] += self._transposed_definition(strip)
        return total

    def _from_taps(self, trunk: torch.Tensor, scale: int) -> torch.Tensor:
        """Return a scale's convolution to a single logit: nine planes of products, shifted and added."""
        rows, cols = trunk.shape[-2:]
        products = convolved(trunk, self.get_buffer(f"taps{scale}"))
        # As a matrix (pixel, tap) it is turned much faster than as an array of four axes.
        planes = products.permute(0, 2, 3, 1).reshape(rows * cols, 9).t().contiguous()
        taps = planes.view(3, 3, rows, cols)
        total = taps[1, 1].to(self.sum_dtype, copy=True)
        for (down, across), tap in _around(taps):
            into, of = _shifted(rows, cols, scale * down, scale * across)
            total[into] += tap[of]
        return total[None, None]

    def _to_taps(self, logits: torch.Tensor, scale: int) -> torch.Tensor:
        """Return the transpose of :meth:`_from_taps`: nine planes shifted back, and one product."""
        rows, cols = logits.shape[-2:]
        plane = logits[0, 0].to(self.dtype)
        planes = torch.zeros(9, rows, cols, dtype=self.dtype, device=plane.device)
        taps = planes.view(3, 3, rows, cols)
        taps[1, 1] = plane
        for (down, across), tap in _around(taps):
            into, of = _shifted(rows, cols, scale * down, scale * across)
            tap[of] = plane[into]
        pixels = planes.view(9, rows * cols).t().contiguous()
        return convolved(
            pixels.view(1, rows, cols, 9).permute(0, 3, 1, 2), self.get_buffer(f"taps{scale}_back")
        )

    def _convolve(self, way: str, values: torch.Tensor, scale: int, mean: str = "") -> torch.Tensor:
        kernel = self.get_buffer(f"{way}{scale}{mean}")
        found = functional.conv2d(values.to(self.dtype), kernel, padding=scale, dilation=scale)
        return found.to(self.sum_dtype) if way == "forward" else found

    def _by_definition(self, trunk: torch.Tensor) -> torch.Tensor:
        logits = None
        for scale, pooled in doubled_pools(trunk, self.scales):
            part = self._convolve("forward", pooled, scale)
            logits = part if logits is None else logits.add_(part)
        return logits

    def _transposed_definition(self, seeds: torch.Tensor) -> torch.Tensor:
        return turned_pools({scale: self._convolve("back", seeds, scale) for scale in self.scales})

    def _strips(self, edges: Edges) -> Iterator[tuple]:
        """Yield for each edge of the scene what a strip sees, which logits are its own, and where in it."""
        top, bottom, left, right = edges
        everything, reach = slice(None), self.reach
        first, last = slice(0, reach), slice(-reach, None)
        near, far = slice(0, 2 * reach), slice(-2 * reach, None)
        plane = (everything, everything)
        for wanted, seen, own in ((top, near, first), (bottom, far, last)):
            if wanted:
                yield (*plane, seen), (*plane, own), (*plane, own)
        for wanted, seen, own in ((left, near, first), (right, far, last)):
            if wanted:
                yield (*plane, everything, seen), (*plane, everything, own), (*plane, everything, own)


def doubled_pools(values: torch.Tensor, scales: tuple[int, ...]) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield each scale with the :class:`.layers.SamePool2d` of that size, each from the one before.

    Parameters
    ----------
    values : torch.Tensor
        (sample, channel, row, column).
    scales : tuple of int
        2, 4, 8, …: each twice the one before.

    Yields
    ------
    tuple of (int, torch.Tensor)
        The scale, and the means in the shape of `values`.
    """
    rows, cols = values.shape[-2:]
    before = (scales[-1] - 1) // 2
    after = scales[-1] // 2
    # sums[i] is the sum over the window that *begins* at padded pixel i.
    sums = functional.pad(values, (before, after, before, after))
    for scale in scales:
        half = scale // 2
        sums = sums[:, :, :-half] + sums[:, :, half:]
        sums = sums[:, :, :, :-half] + sums[:, :, :, half:]
        begin = before - (scale - 1) // 2
        inside = sums[:, :, begin : begin + rows, begin : begin + cols]
        yield scale, inside * _inverse_counts(rows, cols, scale, values)


def turned_pools(multipliers: dict[int, torch.Tensor]) -> torch.Tensor:
    """Return the transpose of :func:`doubled_pools`: mirrored sums, from the largest scale to the smallest.

    Parameters
    ----------
    multipliers : dict of int to torch.Tensor
        Scale → (sample, channel, row, column).
    """
    scales = tuple(multipliers)
    rows, cols = multipliers[scales[0]].shape[-2:]
    after, before = (scales[-1] - 1) // 2, scales[-1] // 2
    total = None
    for scale in reversed(scales):
        values = multipliers[scale]
        values = values * _inverse_counts(rows, cols, scale, values)
        values = functional.pad(values, (before, after, before, after))
        total = values if total is None else total.add_(values)
        total = _beside(total, scale // 4) if scale > 2 else total
    total = total[:, :, :-1] + total[:, :, 1:]
    total = total[:, :, :, :-1] + total[:, :, :, 1:]
    return total[:, :, before - 1 : before - 1 + rows, before - 1 : before - 1 + cols]


def _beside(values: torch.Tensor, distance: int) -> torch.Tensor:
    """Return the sum of the values `distance` before and after, on both axes; zero lies outside."""
    padded = functional.pad(values, (0, 0, distance, distance))
    down = padded[:, :, : -2 * distance] + padded[:, :, 2 * distance :]
    padded = functional.pad(down, (distance, distance))
    return padded[:, :, :, : -2 * distance] + padded[:, :, :, 2 * distance :]


def _inverse_counts(rows: int, cols: int, size: int, like: torch.Tensor) -> torch.Tensor:
    pool = SamePool2d(size)
    counts = pool.counts(rows, like)[:, None] * pool.counts(cols, like)
    return 1 / counts


def _around(taps: torch.Tensor) -> Iterator[tuple[tuple[int, int], torch.Tensor]]:
    """Yield the eight taps around the middle one: (rows down, columns across), plane."""
    for row in range(3):
        for col in range(3):
            if (row, col) != (1, 1):
                yield (row - 1, col - 1), taps[row, col]


def _shifted(rows: int, cols: int, down: int, across: int) -> tuple[tuple, tuple]:
    """Return which pixels have a neighbour so far away inside the array, and these neighbours."""
    into = slice(max(0, -down), rows - max(0, down)), slice(max(0, -across), cols - max(0, across))
    return into, (slice(max(0, down), rows + min(0, down)), slice(max(0, across), cols + min(0, across)))


def convolved(
    values: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    padding: int = 0,
    dilation: int = 1,
) -> torch.Tensor:
    """Return a convolution of stride 1.

    With a single thread torch hands small 1 x 1 convolutions to a BLAS, which in QGIS is another one
    with another last digit; asked for by name, oneDNN takes them in any program.
    """
    if values.dtype == torch.float32 and values.device.type == "cpu" and torch.backends.mkldnn.is_available():
        pair = [padding, padding], [1, 1], [dilation, dilation]
        return torch.mkldnn_convolution(values, weight, bias, *pair, 1)
    return functional.conv2d(values, weight, bias, padding=padding, dilation=dilation)


def rectified(values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Return the ReLU of a 3 x 3 convolution with zero padding, in one pass where torch can."""
    fused = (
        getattr(torch.ops.mkldnn, "_convolution_pointwise", None)
        if torch.backends.mkldnn.is_available()
        else None
    )
    suits = values.dtype in (torch.float32, torch.bfloat16) and values.device.type == "cpu"
    if fused is None or not suits or torch.is_grad_enabled():
        return convolved(values, weight, bias, padding=1).relu_()
    return fused(values, weight, bias, [1, 1], [1, 1], [1, 1], 1, "relu", [], "")
