"""The layers of the fast fusion network: components a few rows at a time, and what lies between inputs and trunk.

:func:`component_bands` never holds the components of a whole tile; :class:`FastFeatures` stops the backward pass at the
layer that is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch.nn import functional

from ...kernels.convolutions import convolved
from ...kernels.threads import run_parallel
from ..variants import SCALES
from .bands import Band, bands
from .forward import FastAspp, side_by_side
from .gradient import GradientPass
from .head import ALL_EDGES, Edges
from .head_transpose import HeadTranspose
from .pools import doubled_pools
from .weights import CONVOLUTIONS

# Rows that a pool and the dilated convolution behind it see on each side of a band.
REACH = SCALES[-1] + SCALES[-1] // 2
INNER_LAYERS = "relu2", "relu6"  # what the branches read
# By the name of a layer the convolution before it.
LAYERS = {f"relu{number + 1}": name for number, name in enumerate(CONVOLUTIONS)}


@torch.no_grad()
def component_bands(
    network: FastAspp, fine: torch.Tensor, coarse: torch.Tensor | None, edges: Edges = ALL_EDGES
) -> Iterator[tuple[slice, torch.Tensor]]:
    """Yield rows of the tile and their components, (1, component, row, column).

    Parameters
    ----------
    network : FastAspp
        The network.
    fine, coarse, edges
        As :meth:`.forward.FastAspp.forward` takes them.
    """
    skip, trunk = network.trunk(fine, edges)
    pixels = _coarse_pixels(network, coarse, fine)
    for band in bands(fine.shape[2], network.band_rows):
        parts = [skip[:, :, band.own], *_branches(network, trunk, band), *pixels(band)]
        yield band.own, network.last_hidden(side_by_side(parts))


def _coarse_pixels(
    network: FastAspp, coarse: torch.Tensor | None, fine: torch.Tensor
) -> Callable[[Band], list[torch.Tensor]]:
    """Return what gives the coarse channels at the pixels of a band; nothing where there are none."""
    if not network.coarse_channels:
        return lambda _band: []
    cells = network.cells(coarse).to(network.dtype)
    if not network.repeats_cells:
        whole = network.upsample(cells, fine)
        return lambda band: [whole[:, :, band.own]]
    ratio, cols = network.upsample.ratio, fine.shape[3]
    across = cells.permute(0, 2, 3, 1).repeat_interleave(ratio, 2)[:, :, :cols]

    def of_band(band: Band) -> list[torch.Tensor]:
        first = band.start // ratio
        rows = across[:, first : -(-band.stop // ratio)].repeat_interleave(ratio, 1)
        return [rows[:, band.start - first * ratio : band.stop - first * ratio].permute(0, 3, 1, 2)]

    return of_band


def _branches(network: FastAspp, trunk: torch.Tensor, band: Band) -> Iterator[torch.Tensor]:
    """Yield what each scale makes of a band; rows that its pool and convolution see come with it."""
    around = band.around(REACH)
    for scale, pooled in doubled_pools(trunk[:, :, around], SCALES):
        seen = band.around(scale)
        values = band.cropped(pooled, around, seen)
        missing = seen.start - band.start + scale, band.stop + scale - seen.stop
        if any(missing):
            values = functional.pad(values, (0, 0, *missing))
        weight, bias = network.get_buffer(f"scale{scale}_weight"), network.get_buffer(f"scale{scale}_bias")
        branch = convolved(values, weight, bias, (0, scale), scale)
        yield branch.relu_() if network.rectified else branch


@torch.no_grad()
def inner_outputs(
    network: FastAspp, fine: torch.Tensor, coarse: torch.Tensor | None, edges: Edges = ALL_EDGES
) -> dict[str, torch.Tensor]:
    """Return what the layers before the branches put out, by name; parameters as of :func:`component_bands`."""
    del coarse  # the trunk does not read it
    skip, trunk = network.trunk(fine, edges)
    return dict(zip(INNER_LAYERS, (skip, trunk)))


class FastFeatures:
    """Outputs of the trunk's layers, with a backward pass that ends there.

    Parameters
    ----------
    passes : GradientPass
        The backward pass of the network.

    Attributes
    ----------
    layers : collection of str
        Names of the layers.
    """

    layers = LAYERS.keys()

    def __init__(self, passes: GradientPass) -> None:
        self._passes = passes

    @torch.no_grad()
    def __call__(
        self, layer: str, fine: torch.Tensor, coarse: torch.Tensor | None, edges: Edges = ALL_EDGES
    ) -> tuple[torch.Tensor, torch.Tensor, Callable[[torch.Tensor], torch.Tensor]]:
        """Return logits, the layer's output and the backward pass, to be used before the next forward pass."""
        passes, own = self._passes, LAYERS[layer]
        network = passes.forward_network
        kept = passes.kept(fine, behind=own)
        buffer_pool, shape = network.buffer_pool, (1, passes.channels(own), *fine.shape[-2:])
        number = buffer_pool.begin()
        kept[own] = buffer_pool.named("layer", shape, network.output_skip)
        logits = network.banded_logits(fine, coarse, edges, kept)

        @torch.no_grad()
        def backward(seeds: torch.Tensor) -> torch.Tensor:
            buffer_pool.check(number)
            like = passes.network.output_skip
            gradient = passes.network.buffer_pool.named(
                "gradient", shape, like.new_empty(0, dtype=seeds.dtype)
            )
            gradient.zero_()
            transpose = HeadTranspose(passes.network.head, seeds, edges)
            whole = Band(0, seeds.shape[2], seeds.shape[2])
            shares = passes.network.shares(whole)
            run_parallel(
                [partial(passes.to_layer, each, seeds, transpose, kept, gradient, own) for each in shares]
            )
            return gradient

        return logits, kept[own], backward
