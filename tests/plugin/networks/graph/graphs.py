"""Cards and runners of graph networks, for the tests."""

from __future__ import annotations

import dataclasses

import torch
from floelens.plugin.core.streaming.runner import Runner
from floelens.plugin.networks.card import Architecture, Component, Head, HeadClass, ModelCard
from floelens.plugin.networks.graph.geometry import geometry
from floelens.plugin.networks.graph.spec import GraphSpec
from floelens.plugin.networks.measure import receptive_field
from floelens.plugin.networks.package import build
from floelens.plugin.networks.standard_channels import MWR_CHANNELS, SAR_CHANNELS, standard_channels
from floelens.tests.plugin.networks.networks import changed, make_card, randomise


def heads_of(numbers) -> tuple[Head, ...]:
    """Return heads with so many classes each."""
    return tuple(
        Head(f"head {n}", "softmax" if number > 1 else "sigmoid",
             tuple(HeadClass(f"class {c}", c, "#102030") for c in range(number)))
        for n, number in enumerate(numbers)
    )  # fmt: skip


def graph_card(spec: GraphSpec, heads=None, components: int = 0, radius: int = 1) -> ModelCard:
    """Return a card of a graph with the first standard channels."""
    names = (*SAR_CHANNELS, "incidence_angle", "distance_map")[: spec.fine]
    channels = standard_channels((*names, *MWR_CHANNELS[: spec.coarse]), spec.ratio)
    return changed(
        make_card(ratio=spec.ratio if spec.coarse else 25),
        channels=channels,
        architecture=Architecture("graph", {"graph": spec.to_json()}),
        heads=heads or heads_of((spec.channels,)),
        components=tuple(Component(f"c{n}", "sar") for n in range(components)),
        receptive_field_radius=radius,
        alignment=geometry(spec).alignment,
    )


def measured_card(card: ModelCard, module: torch.nn.Module, spec: GraphSpec) -> ModelCard:
    """Return the card with what its network reads, as an importer writes it."""
    radius = receptive_field(module, card).radius + geometry(spec).beyond_field
    return dataclasses.replace(card, receptive_field_radius=radius)


def random_module(card: ModelCard, seed: int = 1) -> torch.nn.Module:
    """Return a network with random weights in float64."""
    torch.manual_seed(seed)
    module = build(card)
    randomise(module, seed)
    return module.double().eval().requires_grad_(False)


def graph_runner(spec: GraphSpec, components: int = 0, seed: int = 1) -> Runner:
    """Return a network of a graph with random weights, made ready in float64."""
    card = graph_card(spec, components=components)
    module = random_module(card, seed)
    return Runner(measured_card(card, module, spec), module, "cpu", "float64")
