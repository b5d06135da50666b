"""U-Nets: read from a state dict by names and shapes, and written down as the graph of their layers.

The family: two convolutions at each level, with or without batch norm (before the ReLU) and biases; max-pools of 2;
upsampling by 2, bilinear or by a transposed convolution; what was upsampled is brought to the size of the skip and
joined with it; heads are 1 x 1 convolutions on the last features. The AutoICE starter kit's network (Stokholm et al.,
The Cryosphere 2024), those derived of it (MMSeaIce, Chen et al., The Cryosphere 2024) and the binary network of UiT are
of it.

Tensors tell filters, heads, biases and transposed convolutions. They do not tell the order of the two halves of a
concatenation, how borders are padded, nor how a bilinear upsampling treats corners: these are :class:`Choices`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...ground.errors import ModelError
from ..files import listed, shown
from .modules import CONVOLUTION, NORM, TRANSPOSED, Layer, layers_of, natural

if TYPE_CHECKING:
    from torch import Tensor

UPSAMPLED_FIRST, SKIP_FIRST = "upsampled_first", "skip_first"
_MOST_LEVELS = 8
_SIDE = 2  # of a max-pool, and of the kernel of a transposed convolution
# First parts of names, in the order of the layers, by the code that gives these names.
_STARTER_KIT = ("input_block", "contract_blocks", "bridge", "expand_blocks")
_BY_STEPS = ("inc", "down", "up", "outc")
_DECODERS = {"sic": "expand_sic_blocks", "sod": "expand_sod_blocks", "floe": "expand_floe_blocks"}
_HEADS = ("sic_feature_map", "sod_feature_map", "floe_feature_map", "regression_layer")


@dataclass(frozen=True)
class Choices:
    """What tensors do not tell.

    Parameters
    ----------
    order : str
        ``upsampled_first`` or ``skip_first``: the halves of a concatenation.
    padding : str
        ``zeros`` or ``reflect``: around convolutions, and where what was upsampled is smaller than the skip.
    upsampling : str
        ``aligned`` (bilinear, corner to corner), ``bilinear`` or ``nearest``; of no effect with transposed
        convolutions.
    """

    order: str
    padding: str = "zeros"
    upsampling: str = "aligned"


@dataclass(frozen=True)
class Unit:
    """A convolution with what follows it: a batch norm or nothing, and a ReLU."""

    convolution: Layer
    norm: Layer | None = None

    @property
    def inputs(self) -> int:
        """Channels that go in."""
        return self.convolution.inputs

    @property
    def outputs(self) -> int:
        """Channels that come out."""
        return self.convolution.outputs


Pair = tuple[Unit, Unit]


@dataclass(frozen=True)
class Step:
    """One step up: a transposed convolution or None, and two convolutions on what it is joined with."""

    up: Layer | None
    pair: Pair


@dataclass(frozen=True)
class UNetForm:
    """A U-Net as its tensors tell it.

    Parameters
    ----------
    naming : str
        Whose names the tensors have: ``starter_kit``, ``steps`` or empty.
    down : tuple of Pair
        The levels, from the inputs to the bottom.
    decoders : mapping of str to tuple of Step
        The ways up, by the name of the head that they lead to; an empty name where all heads share one.
    heads : mapping of str to Layer
        1 x 1 convolutions by the name of the head.
    unused : tuple of str
        Layers of the file that lead to no output.
    """

    naming: str
    down: tuple[Pair, ...]
    decoders: Mapping[str, tuple[Step, ...]]
    heads: Mapping[str, Layer]
    unused: tuple[str, ...] = ()

    @property
    def channels(self) -> int:
        """Number of inputs."""
        return self.down[0][0].inputs

    @property
    def filters(self) -> tuple[int, ...]:
        """Channels of each level, the bottom last."""
        return tuple(pair[1].outputs for pair in self.down)

    @property
    def transposed(self) -> bool:
        """Whether transposed convolutions upsample."""
        return any(step.up is not None for steps in self.decoders.values() for step in steps)

    @property
    def outputs(self) -> dict[str, int]:
        """Number of outputs by head."""
        return {name: layer.outputs for name, layer in self.heads.items()}

    def described(self) -> tuple[str, ...]:
        """Return what the tensors tell, in sentences."""
        units = [unit for pair in self.down for unit in pair]
        biased = any("bias" in unit.convolution.tensors for unit in units)
        normed = sum(unit.norm is not None for unit in units)
        heads = listed(f"{name} ({count})" for name, count in self.outputs.items())
        sentences = [
            f"A U-Net of {self.channels} inputs with {'-'.join(map(str, self.filters))} filters, "
            f"{len(self.down) - 1} halving{'' if len(self.down) == 2 else 's'} of the grid, "
            f"{'transposed convolutions' if self.transposed else 'an upsampling without weights'}.",
            f"Convolutions {'with' if biased else 'without'} bias, "
            f"{'with' if normed == len(units) else 'partly with' if normed else 'without'} batch norm.",
            f"Heads and their outputs: {heads}.",
        ]
        if self.unused:
            sentences.append(f"Layers that lead to no output, left out: {listed(self.unused, 4)}.")
        return tuple(sentences)


def recognise(tensors: Mapping[str, Tensor]) -> UNetForm:
    """Return the U-Net that tensors belong to.

    Parameters
    ----------
    tensors : mapping of str to torch.Tensor
        A state dict without prefix.

    Raises
    ------
    ModelError
        Naming the first layer or tensor that does not fit, and why.
    """
    layers = layers_of(tensors)
    naming = _naming(layers)
    layers = _ordered(layers, naming)
    if not layers or layers[0].kind != CONVOLUTION:
        what = layers[0].described() if layers else "nothing"
        raise ModelError(f"A U-Net begins with a convolution, but the file with {what}.")
    body, heads, unused = _split_heads(layers, naming)
    down, rest = _levels(body)
    decoders, left = _ways_up(down, rest, heads)
    for name, layer in heads.items():
        last = decoders.get(name, decoders.get("", ()))[-1].pair[1].outputs
        if layer.inputs != last:
            raise ModelError(
                f"The head {layer.described()} does not fit the {last} channels of the last features."
            )
    return UNetForm(naming, down, decoders, heads, (*unused, *left))


def _naming(layers: Sequence[Layer]) -> str:
    firsts = {layer.name.split(".", 1)[0] for layer in layers}
    if {"input_block", "contract_blocks", "bridge"} <= firsts:
        return "starter_kit"
    stems = {first.rstrip("0123456789") for first in firsts}
    return "steps" if {"inc", "down", "up"} <= stems else ""


def _ordered(layers: list[Layer], naming: str) -> list[Layer]:
    """Return layers from the inputs to the outputs where names tell; else in the order of the file."""
    if not naming:
        return layers
    known = _STARTER_KIT if naming == "starter_kit" else _BY_STEPS
    last = (*known, *_DECODERS.values(), *_HEADS)

    def place(layer: Layer) -> tuple:
        first = layer.name.split(".", 1)[0]
        stem = first if first in last else first.rstrip("0123456789")
        block = layer.name.split(".")[:2]
        named = [part for part in block[1:] if part.isdecimal()]
        return last.index(stem) if stem in last else len(last), natural(".".join((first, *named)))

    return sorted(layers, key=place)


def _split_heads(
    layers: Sequence[Layer], naming: str
) -> tuple[list[Layer], dict[str, Layer], tuple[str, ...]]:
    """Return the layers before the heads, the heads by name, and layers that lead to no output."""
    heads = [layer for layer in layers if layer.pointwise]
    body = [layer for layer in layers if not layer.pointwise]
    if not heads:
        raise ModelError(
            "No 1 x 1 convolution ends the network; heads of this family do. The file may hold the trunk alone."
        )
    unused: tuple[str, ...] = ()
    if naming == "starter_kit":
        named = {layer.name.split(".", 1)[0]: layer for layer in heads}
        linear = named.pop("regression_layer", None)
        if (
            linear is not None
        ):  # it takes the place of the classes of concentration, whose weights stay in the file
            replaced = named.pop("sic_feature_map", None)
            unused = (replaced.name,) if replaced is not None else ()
            named = {"regression_layer": linear, **named}
        found = {_head_name(first): layer for first, layer in named.items()}
    else:
        found = {("output" if len(heads) == 1 else f"output {i + 1}"): layer for i, layer in enumerate(heads)}
    if len(found) > 3:
        raise ModelError(
            f"{len(found)} convolutions of 1 x 1 were found ({listed(found, 4)}); a U-Net of this family has one to "
            "three heads. Export other networks as ONNX."
        )
    return body, found, unused


def _head_name(first: str) -> str:
    return "sic" if first == "regression_layer" else first.replace("_feature_map", "")


def _levels(body: Sequence[Layer]) -> tuple[tuple[Pair, ...], list[Layer]]:
    """Return the pairs of convolutions down to the bottom, and the layers behind them."""
    pairs: list[Pair] = []
    rest = list(body)
    while rest and rest[0].kind == CONVOLUTION and (not pairs or rest[0].inputs == pairs[-1][1].outputs):
        pairs.append(_pair(rest))
        if len(pairs) > _MOST_LEVELS:
            raise ModelError(f"More than {_MOST_LEVELS} levels; no U-Net of this family has so many.")
    if len(pairs) < 2:
        raise ModelError(
            f"After {pairs[0][1].convolution.described()} no level below follows: this is no U-Net. Export other "
            "networks as ONNX."
        )
    return tuple(pairs), rest


def _pair(rest: list[Layer]) -> Pair:
    first = _unit(rest, None)
    return first, _unit(rest, first)


def _unit(rest: list[Layer], before: Unit | None) -> Unit:
    """Take a convolution and its batch norm from the front of `rest`."""
    if not rest:
        raise ModelError(
            f"After {before.convolution.described() if before else 'the bottom'} a convolution is missing."
        )
    layer = rest.pop(0)
    if layer.kind != CONVOLUTION:
        raise ModelError(
            f"Instead of a convolution there is {layer.described()}: levels have two convolutions each."
        )
    if before is not None and layer.inputs != before.outputs:
        raise ModelError(
            f"The convolution {layer.described()} does not take the {before.outputs} channels of "
            f"{shown(before.convolution.name)}: levels have two convolutions each."
        )
    norm = None
    if rest and rest[0].kind == NORM:
        norm = rest.pop(0)
        if norm.outputs != layer.outputs:
            raise ModelError(f"The batch norm {norm.described()} does not fit {layer.described()}.")
    return Unit(layer, norm)


def _ways_up(
    down: tuple[Pair, ...], rest: list[Layer], heads: Mapping[str, Layer]
) -> tuple[dict[str, tuple[Step, ...]], tuple[str, ...]]:
    """Return the ways from the bottom to the heads, and the names of layers of ways that lead to none."""
    own = {
        head: [layer for layer in rest if layer.name.startswith(f"{block}.")]
        for head, block in _DECODERS.items()
    }
    shared = [layer for layer in rest if not any(layer in part for part in own.values())]
    if any(own.values()):
        decoders = {head: _steps(down, part) for head, part in own.items() if part and head in heads}
        missing = [head for head in heads if head not in decoders]
        if missing and not shared:
            raise ModelError(
                f"The way up to the head {shown(missing[0])} is missing: {_DECODERS[missing[0]]}."
            )
        if not missing:
            return decoders, tuple(layer.name for layer in shared)
        return {**decoders, "": _steps(down, shared)}, ()
    return {"": _steps(down, shared)}, ()


def _steps(down: tuple[Pair, ...], layers: Sequence[Layer]) -> tuple[Step, ...]:
    """Return the steps from the bottom up to the first level."""
    rest, steps, below = list(layers), [], down[-1][1].outputs
    for level in range(len(down) - 2, -1, -1):
        skip = down[level][1].outputs
        up = None
        if rest and rest[0].kind == TRANSPOSED:
            up = rest.pop(0)
            if up.inputs != below:
                raise ModelError(f"{up.described()} does not take the {below} channels below it.")
            below = up.outputs
        if not rest:
            raise ModelError(
                f"The way up ends {level + 1} levels too early: {len(down) - 1} are needed for {len(down)} levels."
            )
        first = rest[0]
        pair = _pair(rest)
        if pair[0].inputs != below + skip:
            raise ModelError(
                f"The convolution {first.described()} does not take {below} upsampled and {skip} skipped channels, "
                f"{below + skip} together."
            )
        steps.append(Step(up, pair))
        below = pair[1].outputs
    if rest:
        raise ModelError(f"Behind the last step up there is still {rest[0].described()}.")
    return tuple(steps)
