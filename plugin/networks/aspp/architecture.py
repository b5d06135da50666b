"""The fusion network as an architecture: how a card's network is built, and its fast paths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ...ground.errors import ModelError
from ..contract import Architecture, FastPaths, GradientCrop
from ..layers import OneComponent
from .definition import AsppFusion
from .fast.features import INNER_LAYERS, FastFeatures, component_bands, inner_outputs
from .fast.forward import FastAspp
from .fast.gated import GatedForward
from .fast.gradient import GradientPass
from .fast.known_seeds import MARGIN, KnownSeeds
from .fast.lrp_epsilon import EpsilonPass
from .fast.secants import SecantGradient
from .fast.weights import CONVOLUTIONS
from .variants import VARIANTS

if TYPE_CHECKING:
    from ..card import ModelCard

# Of a network in bfloat16, the convolutions that decide gates in float32 all the same. A gate that is wrong by rounding
# is wrong for all layers before it: with four Pearson's r with float32 is 0.995 (three 0.991, six 0.99998).
EXACT_GATES = 4


def _build(card: ModelCard, arguments: Mapping[str, Any]) -> AsppFusion:
    if not isinstance(arguments.get("variant"), str):
        raise ModelError(
            f"The card of '{card.id}' does not name the network's variant. Add it to architecture.arguments."
        )
    return AsppFusion(
        fine_channels=len(card.fine_channels),
        coarse_channels=len(card.coarse_channels),
        ratio=card.ratio,
        variant=arguments["variant"],
        outputs=card.outputs,
    )


def _fast(module: nn.Module, dtype: torch.dtype) -> FastPaths | None:
    if not isinstance(module, AsppFusion):
        return None
    network = FastAspp(module, dtype)
    gates = None
    if network.sum_dtype != dtype:
        gates = FastAspp(module, dtype, EXACT_GATES), FastAspp(module, network.sum_dtype)
    paths = fast_paths_of(network, gates)
    # LRP-ε would stabilise the last layer, through which the relevance of one component passes as it is.
    return replace(paths, lrp_epsilon=None) if isinstance(module.output, OneComponent) else paths


def fast_paths_of(network: FastAspp, gates: tuple[FastAspp, FastAspp] | None = None) -> FastPaths:
    """Return what the fast copy of a network computes; the backward passes need linear branches.

    `gates`, where it is not None, is the same network in the precisions in which gradients take their forward pass:
    those at a point, and those over steps of a path.
    """
    at_points, over_steps = gates or (None, None)

    def release() -> None:
        for each in (network, *(gates or ())):
            each.buffer_pool.clear()

    has_gradient = network.folded and network.repeats_cells
    gradient = GradientPass(network, at_points) if has_gradient else None
    return FastPaths(
        forward=network,
        components=network.components,
        component_bands=partial(component_bands, network),
        inner=partial(inner_outputs, network),
        inner_layers=INNER_LAYERS,
        features=None if gradient is None else FastFeatures(gradient),
        gradient=gradient,
        secants=SecantGradient(network, over_steps) if has_gradient else None,
        lrp_epsilon=partial(EpsilonPass, network) if network.linear and network.repeats_cells else None,
        gated=GatedForward(network) if network.folded else None,
        band_rows=network.band_rows,
        bands_at_once=network.bands_at_once,
        # Gates are right 2 pixels a convolution inside, and what the head sends back where it sees all logits. Smaller
        # tiles are computed by the definition, as if the scene ended at their sides.
        gradient_crop=GradientCrop(network.head.reach + len(CONVOLUTIONS), 4 * network.head.reach)
        if has_gradient
        else None,
        known_seeds=None if gradient is None else partial(KnownSeeds, gradient),
        known_seeds_margin=MARGIN,
        release=release,
    )


ARCHITECTURE = Architecture(
    arguments=("variant", "ratio", "outputs"),
    build=_build,
    fast=_fast,
    examples=tuple({"variant": name} for name in VARIANTS),
)
