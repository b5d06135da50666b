"""The way back through the fusion network by LRP-ε, written out for speed.

A layer hands on the share s = |z|/(|z| + ε D) of what arrives at its output z, D = Σ|z_ij| + |b_j| (Bach et
al. 2015, doi 10.1371/journal.pone.0130140, with ε relative to the layer's own contributions). Every layer of
the definition keeps its own share, so nothing is folded. Where a ReLU follows, s is zero where it is shut.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from .aspp_fast import CONVOLUTIONS, NORMS, FastAspp
from .aspp_head import convolved, doubled_pools, turned_pools
from .aspp_pullback import channel_sums, to_cells
from .aspp_variants import SCALES

# note(account, layer, amount): what a layer of the plain network did not hand on, a float64 scalar.
Note = Callable[[str, str, torch.Tensor], None]
# Share handed on, and ε D with the sign of z.
Kept = tuple[torch.Tensor, torch.Tensor]


class EpsilonPullback(nn.Module):
    """A forward pass that keeps each layer's share.

    Parameters
    ----------
    network : FastAspp
        A network without ReLU behind its scale convolutions, with cells repeated over their pixels.
    epsilon : float
        ε, relative to D.
    """

    def __init__(self, network: FastAspp, epsilon: float) -> None:
        super().__init__()
        self.network = network
        self.epsilon = epsilon
        names = (*CONVOLUTIONS, *(f"scale{scale}" for scale in SCALES))
        self._weights = {name: network.get_buffer(f"{name}_weight") for name in names}
        self._weights |= {f"output{scale}": network.get_buffer(f"output{scale}") for scale in SCALES}
        self._weights["output_skip"] = network.get_buffer("output_skip")
        self._biases = {name: network.get_buffer(f"{name}_bias") for name in names}
        layout = {"memory_format": network.memory_format}
        self._sizes = {name: weight.abs() for name, weight in self._weights.items()}
        self._turned = {
            name: weight.flip(2, 3).transpose(0, 1).contiguous(**layout)
            for name, weight in self._weights.items()
        }

    def forward(
        self, fine: torch.Tensor, coarse: torch.Tensor | None
    ) -> tuple[torch.Tensor, Callable[..., tuple[torch.Tensor, torch.Tensor | None]]]:
        """Return the logits, and ``pull(multipliers of them, note)``, which can be used once.

        Parameters
        ----------
        fine, coarse : torch.Tensor
            As :class:`.aspp.AsppFusion` takes them.
        """
        kept: dict[str, Kept] = {}
        with torch.no_grad():
            logits = self._ahead(fine, coarse, kept)

        def pull(seeds: torch.Tensor, note: Note) -> tuple[torch.Tensor, torch.Tensor | None]:
            with torch.no_grad():
                return self._back(seeds, coarse, kept, note)

        return logits, pull

    def _ahead(self, fine: torch.Tensor, coarse: torch.Tensor | None, kept: dict[str, Kept]) -> torch.Tensor:
        network = self.network
        values = fine.to(network.dtype).contiguous(memory_format=network.memory_format)
        size = values.abs()
        for name in CONVOLUTIONS:
            if name in NORMS:
                values, size = self._normalised(NORMS[name], values, kept)
            z, magnitude = self._affine(name, values, size, 1)
            values = size = z.relu_()
            kept[name] = self._share(values, magnitude, rectified=True)
            if name == "conv2":
                skip = values
        logits = convolved(skip, self._weights["output_skip"]).to(network.sum_dtype)
        magnitude = convolved(skip, self._sizes["output_skip"]).to(network.sum_dtype)
        for scale, pooled in doubled_pools(values, SCALES):
            branch, branch_size = self._affine(f"scale{scale}", pooled, pooled, scale)
            kept[f"scale{scale}"] = self._share(branch, branch_size)
            logits += convolved(branch, self._weights[f"output{scale}"])
            magnitude += convolved(branch.abs_(), self._sizes[f"output{scale}"])
        bias = network.get_buffer("offset_output").to(network.sum_dtype)[:, None, None]
        logits, magnitude = logits + bias, magnitude + bias.abs()
        if network.coarse_channels:
            cells = coarse.to(network.sum_dtype)[:, None] * network.get_buffer("output_coarse")
            logits += network.upsample(cells.sum(2), fine)
            magnitude += network.upsample(cells.abs().sum(2), fine)
        kept["output"] = self._share(logits, magnitude)
        return logits

    def _affine(
        self, name: str, values: torch.Tensor, size: torch.Tensor, dilation: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a convolution's outputs z and their D."""
        bias = self._biases[name]
        return (
            convolved(values, self._weights[name], bias, dilation, dilation),
            convolved(size, self._sizes[name], bias.abs(), dilation, dilation),
        )

    def _normalised(
        self, norm: str, values: torch.Tensor, kept: dict[str, Kept]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a batch norm's outputs and their size."""
        gain, shift = (self.network.get_buffer(f"{norm}_{part}") for part in ("gain", "shift"))
        z = torch.addcmul(shift, values, gain)
        kept[norm] = self._share(z, torch.addcmul(shift.abs(), values, gain.abs()))
        return z, z.abs()

    def _share(self, z: torch.Tensor, magnitude: torch.Tensor, rectified: bool = False) -> Kept:
        """Return |z|/(|z| + ε D) and ε D with the sign of z; `magnitude` is used up."""
        stabiliser = magnitude.mul_(self.epsilon)
        size = z if rectified else z.abs()
        total = (size + stabiliser).clamp_(min=torch.finfo(size.dtype).tiny)
        share = torch.div(size, total, out=total)
        return share, stabiliser if rectified else stabiliser.copysign_(z)

    def _hand_on(
        self, key: str, layer: str, multipliers: torch.Tensor, kept: dict, note: Note
    ) -> torch.Tensor:
        """Return what a layer hands on, and note what ε and the bias get."""
        share, withheld = kept.pop(key)
        multipliers = share.mul_(multipliers)
        note("epsilon", layer, channel_sums(withheld.mul_(multipliers)).sum())
        bias = self._bias_of(key)
        note("bias", layer, (channel_sums(multipliers) * bias).sum())
        return multipliers

    def _bias_of(self, key: str) -> torch.Tensor:
        if key == "output":
            return self.network.get_buffer("offset_output")
        if key in NORMS.values():
            return self.network.get_buffer(f"{key}_shift")[:, 0, 0].double()
        return self._biases[key].double()

    def _back(
        self, seeds: torch.Tensor, coarse: torch.Tensor | None, kept: dict[str, Kept], note: Note
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        network = self.network
        seeds = self._hand_on("output", "output", seeds.to(network.sum_dtype), kept, note)
        cells = to_cells(network, seeds, coarse) if network.coarse_channels else None
        seeds = seeds.to(network.dtype)
        pools = {}
        for index, scale in enumerate(SCALES):
            multipliers = convolved(seeds, self._turned[f"output{scale}"])
            multipliers = self._hand_on(f"scale{scale}", f"scales.{index}", multipliers, kept, note)
            pools[scale] = convolved(multipliers, self._turned[f"scale{scale}"], None, scale, scale)
        multipliers = turned_pools(pools)
        pools.clear()
        for name in reversed(CONVOLUTIONS):
            if name == "conv2":
                multipliers = multipliers.add_(convolved(seeds, self._turned["output_skip"]))
            multipliers = self._hand_on(name, name, multipliers, kept, note)
            multipliers = convolved(multipliers, self._turned[name], None, 1, 1)
            if name in NORMS:
                norm = NORMS[name]
                multipliers = self._hand_on(norm, norm, multipliers, kept, note)
                multipliers.mul_(network.get_buffer(f"{norm}_gain"))
        return multipliers, cells
