"""The graph of a U-Net and its weights, for the architecture ``graph``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..graph.spec import COARSE, FINE, GraphSpec, Node, safe_name
from .modules import Layer
from .unet import UPSAMPLED_FIRST, Choices, Pair, Step, UNetForm, Unit

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Inputs:
    """Where the inputs of a network come from.

    Parameters
    ----------
    order : tuple of int
        Position among the network's own inputs of each channel of the card: the fine ones, then the coarse ones.
    fine : int
        How many of them are fine.
    ratio : int
        Fine pixels along a coarse cell; cells are repeated over them, as the data of the challenge are made.
    """

    order: tuple[int, ...]
    fine: int
    ratio: int = 1


@dataclass(frozen=True)
class Kept:
    """What is kept of a head.

    Parameters
    ----------
    outputs : int
        How many, from the first on; further ones stand for masked pixels and are never mapped.
    scale : float
        What its weights are multiplied by, so that its map has the card's unit.
    """

    outputs: int
    scale: float = 1.0


class _Writer:
    """Nodes and weights, written down one after the other."""

    def __init__(self, padding: str) -> None:
        self.nodes: list[Node] = []
        self.weights: dict[str, Tensor] = {}
        self._padding = padding

    def node(self, name: str, kind: str, inputs: Sequence[str], **settings: object) -> str:
        self.nodes.append(Node(name, kind, tuple(inputs), settings))
        return name

    def convolution(self, name: str, layer: Layer, source: str) -> str:
        settings: dict[str, object] = {"channels": layer.outputs, "kernel": layer.kernel}
        settings["bias"] = "bias" in layer.tensors
        if layer.kernel > 1:
            settings.update(padding=layer.kernel // 2, padding_mode=self._padding)
        self._keep(name, layer)
        return self.node(name, "conv", (source,), **settings)

    def unit(self, name: str, unit: Unit, source: str) -> str:
        made = self.convolution(f"{name}_conv", unit.convolution, source)
        if unit.norm is not None:
            self._keep(f"{name}_norm", unit.norm)
            made = self.node(f"{name}_norm", "batch_norm", (made,))
        return self.node(f"{name}_relu", "relu", (made,))

    def pair(self, name: str, pair: Pair, source: str) -> str:
        return self.unit(f"{name}_2", pair[1], self.unit(f"{name}_1", pair[0], source))

    def _keep(self, name: str, layer: Layer) -> None:
        self.weights.update({f"{name}.{part}": tensor for part, tensor in layer.tensors.items()})

    def step(self, name: str, step: Step, below: str, skip: str, choices: Choices) -> str:
        if step.up is not None:
            layer = step.up
            self._keep(f"{name}_up", layer)
            settings = {"kernel": 2, "stride": 2, "channels": layer.outputs, "bias": "bias" in layer.tensors}
            up = self.node(f"{name}_up", "conv_transposed", (below,), **settings)
        elif choices.upsampling == "nearest":
            up = self.node(f"{name}_up", "upsample", (below,), factor=2)
        else:
            aligned = choices.upsampling == "aligned"
            up = self.node(
                f"{name}_up", "upsample", (below,), factor=2, mode="bilinear", align_corners=aligned
            )
        fitted = self.node(f"{name}_fit", "fit", (up, skip), mode=self._padding)
        halves = (fitted, skip) if choices.order == UPSAMPLED_FIRST else (skip, fitted)
        return self.pair(name, step.pair, self.node(f"{name}_join", "concatenate", halves))


def unet(
    form: UNetForm, choices: Choices, inputs: Inputs, kept: Mapping[str, Kept]
) -> tuple[GraphSpec, dict[str, Tensor]]:
    """Return the graph of a U-Net, and its weights by node and tensor.

    Parameters
    ----------
    form : UNetForm
        What its tensors tell.
    choices : Choices
        What they do not tell.
    inputs : Inputs
        Which channel is which input.
    kept : mapping of str to Kept
        What is kept of each head; all of one that is not named.
    """
    writer = _Writer(choices.padding)
    source = FINE
    coarse = len(inputs.order) - inputs.fine
    if coarse:
        cells = writer.node("cells", "cells", (COARSE, FINE), ratio=inputs.ratio)
        source = writer.node("channels", "concatenate", (FINE, cells)) if inputs.fine else cells
    first, second = form.down[0]
    reordered = {
        **first.convolution.tensors,
        "weight": first.convolution.tensors["weight"][:, list(inputs.order)],
    }
    entry = Unit(Layer(first.convolution.name, first.convolution.kind, reordered), first.norm)
    skips = [writer.pair("level_0", (entry, second), source)]
    for level, pair in enumerate(form.down[1:], 1):
        pooled = writer.node(f"level_{level}_pool", "max_pool", (skips[-1],), kernel=2)
        skips.append(writer.pair(f"level_{level}", pair, pooled))
    ends = {}
    for head, steps in form.decoders.items():
        below, prefix = skips[-1], f"{safe_name(head)}_up" if head else "up"
        for step, (level, skip) in zip(steps, reversed(list(enumerate(skips[:-1])))):
            below = writer.step(f"{prefix}_{level}", step, below, skip, choices)
        ends[head] = below
    outputs: list[str] = []
    for head, layer in form.heads.items():
        part = kept.get(head, Kept(layer.outputs))
        tensors = {name: part.scale * tensor[: part.outputs] for name, tensor in layer.tensors.items()}
        name = safe_name(f"head_{head}", outputs)
        end = ends[head] if head in ends else ends[""]
        outputs.append(writer.convolution(name, Layer(layer.name, layer.kind, tensors), end))
    graph = GraphSpec(inputs.fine, tuple(writer.nodes), tuple(outputs), coarse, inputs.ratio if coarse else 1)
    return graph, writer.weights


def receptive_field_radius(form: UNetForm, choices: Choices) -> int:
    """Return how far an output pixel of a U-Net reads, at most, away from the borders.

    Intervals of places that are read go from an output pixel at each place of a period back to the inputs. Border
    effects of reflected padding come on top.
    """
    levels = len(form.down)
    reach = [_reach(pair) for pair in form.down]
    wide = not form.transposed and choices.upsampling != "nearest"

    def encoded(level: int, first: int, last: int) -> tuple[int, int]:
        for below in range(level, -1, -1):
            first, last = first - reach[below], last + reach[below]
            if below:
                first, last = 2 * first, 2 * last + 1
        return first, last

    def decoded(steps: Sequence[Step], level: int, first: int, last: int) -> tuple[int, int]:
        if level == levels - 1:
            return encoded(level, first, last)
        more = _reach(steps[levels - 2 - level].pair)
        first, last = first - more, last + more
        skip = encoded(level, first, last)
        if wide:  # an even place reads the cell before its own as well, an odd one the cell behind
            first, last = (first - 1) // 2, (last + 1) // 2
        else:
            first, last = first // 2, last // 2
        below = decoded(steps, level + 1, first, last)
        return min(skip[0], below[0]), max(skip[1], below[1])

    most = 0
    for steps in form.decoders.values():
        for place in range(2 ** (levels - 1)):
            first, last = decoded(steps, 0, place, place)
            most = max(most, place - first, last - place)
    return most


def _reach(pair: Pair) -> int:
    return sum(unit.convolution.kernel // 2 for unit in pair)
