"""The kinds of layers that a network may be made of: one row each, for all explanations.

The backward pass (:mod:`.rules`), the forward pass in parts (:mod:`.split_forward`), occlusion (:mod:`.reach`) and the
rules of first layers read this table and no other, so that they know the same layers. :mod:`.layer_kind` explains
what a row says.

A call of a function or of a tensor's method is explained as the layer that does the same.

To add a kind, add a row to :data:`KINDS`, and an example of it to the tests of the table.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from ...ground.errors import ModelError
from ...networks.layers import (
    BilinearUpsample,
    FillUp,
    FitTo,
    NearestUpsample,
    OneComponent,
    ResizeTo,
    SamePool2d,
)
from . import linear, reach
from .activations import Clamped, HyperbolicTangent, Rectifier, Sigmoid, Smooth
from .affine import Convolution, Dense, Normalisation, TransposedConvolution
from .layer_kind import (
    Activated,
    Call,
    Concatenation,
    LayerKind,
    Linear,
    Maximum,
    Size,
    Sum,
    Unknown,
    Weighted,
)
from .reach import Reach


def _activated(layer: type[nn.Module], activation: Callable, *calls: Call, like: Callable) -> LayerKind:
    return LayerKind((layer,), Activated(activation), dict.fromkeys(calls, like), reach.none)


class Interpolation(nn.Upsample):
    """What ``functional.interpolate`` does, as a layer; beside torch's own with `antialias`."""

    def __init__(self, *arguments: Any, antialias: bool = False, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.antialias = antialias

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the values at another size."""
        options = {"recompute_scale_factor": self.recompute_scale_factor, "antialias": self.antialias}
        return functional.interpolate(
            values, self.size, self.scale_factor, self.mode, self.align_corners, **options
        )


def _max_pool(
    kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
) -> nn.Module:
    if return_indices:
        raise ModelError("a maximum that also returns its places is not known")
    return nn.MaxPool2d(kernel_size, stride, padding, dilation, ceil_mode=ceil_mode)


def _dropout(p: float = 0.5, training: bool = True, inplace: bool = False) -> nn.Module:
    if training:
        raise ModelError("it drops units in evaluation too: give it training=self.training")
    return nn.Dropout(p)


def _padding(pad: tuple[int, ...], mode: str = "constant", value: float | None = None) -> nn.Module:
    sides = (*pad, *[0] * (4 - len(pad)))
    if len(sides) > 4 or mode == "circular":
        raise ModelError(f"padding {tuple(pad)} by '{mode}' is not known")
    if mode == "constant":
        return nn.ConstantPad2d(sides, value or 0.0)
    return (nn.ReflectionPad2d if mode == "reflect" else nn.ReplicationPad2d)(sides)


_NORM = (
    "it scales by the mean and the variance of the values themselves, over the whole image: a tile does not give what "
    "the scene gives, and no rule shares such a scale out exactly. Use BatchNorm2d."
)
_MIXES = "every output depends on all inputs by their sum or product, and no rule shares it out exactly."
_MEMORY = "it carries a state from place to place, which tiles cut; no rule shares it out exactly."
_PRODUCT = (
    "the parts of a product of arrays are not unique. "
    "A constant factor belongs into the weights of the layer before it."
)

KINDS: tuple[LayerKind, ...] = (
    # z = W a + b
    LayerKind((nn.Conv2d,), Weighted(Convolution), reach=reach.of_window),
    LayerKind((nn.ConvTranspose2d,), Weighted(TransposedConvolution), reach=reach.of_transposed),
    LayerKind((nn.Linear,), Weighted(Dense)),
    LayerKind((nn.BatchNorm2d,), Weighted(Normalisation), reach=reach.none),
    # y = g(z)
    _activated(
        nn.ReLU,
        lambda layer: Rectifier(),
        torch.relu,
        functional.relu,
        "relu",
        like=lambda inplace=False: nn.ReLU(),
    ),
    _activated(
        nn.LeakyReLU,
        lambda layer: Rectifier(layer.negative_slope),
        functional.leaky_relu,
        like=lambda negative_slope=0.01, inplace=False: nn.LeakyReLU(negative_slope),
    ),
    _activated(nn.Sigmoid, lambda layer: Sigmoid(), torch.sigmoid, "sigmoid", like=nn.Sigmoid),
    _activated(nn.Tanh, lambda layer: HyperbolicTangent(), torch.tanh, "tanh", like=nn.Tanh),
    _activated(
        nn.Hardtanh,
        lambda layer: Clamped(layer.min_val, layer.max_val),
        functional.hardtanh,
        like=lambda min_val=-1.0, max_val=1.0, inplace=False: nn.Hardtanh(min_val, max_val),
    ),
    _activated(
        nn.ReLU6,
        lambda layer: Clamped(0.0, 6.0),
        functional.relu6,
        like=lambda inplace=False: nn.ReLU6(),
    ),
    _activated(
        nn.GELU,
        lambda layer: Smooth(lambda z: functional.gelu(z, approximate=layer.approximate)),
        functional.gelu,
        like=nn.GELU,
    ),
    _activated(
        nn.SiLU, lambda layer: Smooth(functional.silu), functional.silu, like=lambda inplace=False: nn.SiLU()
    ),
    _activated(
        nn.Mish, lambda layer: Smooth(functional.mish), functional.mish, like=lambda inplace=False: nn.Mish()
    ),
    _activated(
        nn.ELU,
        lambda layer: Smooth(lambda z: functional.elu(z, layer.alpha), (0.0,)),
        functional.elu,
        like=lambda alpha=1.0, inplace=False: nn.ELU(alpha),
    ),
    _activated(
        nn.SELU,
        lambda layer: Smooth(functional.selu, (0.0,)),
        functional.selu,
        torch.selu,
        like=lambda inplace=False: nn.SELU(),
    ),
    _activated(
        nn.Softplus,
        lambda layer: Smooth(lambda z: functional.softplus(z, layer.beta, layer.threshold)),
        functional.softplus,
        like=nn.Softplus,
    ),
    _activated(
        nn.Hardswish,
        lambda layer: Smooth(functional.hardswish, (-3.0, 3.0)),
        functional.hardswish,
        like=lambda inplace=False: nn.Hardswish(),
    ),
    # The largest of a window
    LayerKind(
        (nn.MaxPool2d,),
        Maximum(),
        {functional.max_pool2d: _max_pool, torch.max_pool2d: _max_pool},
        reach.of_window,
    ),
    # One component of the last layer alone
    LayerKind((OneComponent,), Linear(), reach=reach.none),
    # Means
    LayerKind((SamePool2d,), Linear(linear.pooled), reach=reach.of_same_pool, whole=True),
    LayerKind((nn.AvgPool2d,), Linear(), {functional.avg_pool2d: nn.AvgPool2d}, reach.of_window),
    LayerKind((nn.AdaptiveAvgPool2d,), Linear(), {functional.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d}),
    # Other sizes
    LayerKind(
        (NearestUpsample,), Linear(linear.repeated), reach=reach.of_cells, whole=True, sized_by_second=True
    ),
    LayerKind((BilinearUpsample,), Linear(), reach=reach.of_cells, whole=True, sized_by_second=True),
    LayerKind((ResizeTo,), Linear(), whole=True, sized_by_second=True),
    LayerKind((FitTo,), Linear(), reach=reach.of_fit, sized_by_second=True),
    LayerKind((FillUp,), Linear(), whole=True),
    LayerKind(
        (nn.Upsample, nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d, Interpolation),
        Linear(),
        {functional.interpolate: Interpolation},
        reach.of_upsample,
        whole=True,
    ),
    LayerKind(
        (nn.PixelShuffle,),
        Linear(),
        {functional.pixel_shuffle: nn.PixelShuffle},
        reach.of_shuffle,
        whole=True,
    ),
    # Borders
    LayerKind(
        (nn.ConstantPad2d, nn.ZeroPad2d),
        Linear(linear.padded, linear.padded_by_zeros),
        {functional.pad: _padding},
        reach.of_constant_padding,
    ),
    LayerKind((nn.ReflectionPad2d,), Linear(), reach=reach.of_reflection, whole=True),
    LayerKind((nn.ReplicationPad2d,), Linear(), reach=reach.of_replication, whole=True),
    # Nothing, in evaluation
    LayerKind((nn.Identity,), Linear(linear.unchanged), {"contiguous": nn.Identity}, reach.none, whole=True),
    LayerKind(
        (nn.Dropout, nn.Dropout2d),
        Linear(linear.unchanged),
        {functional.dropout: _dropout, functional.dropout2d: _dropout},
        reach.none,
        drops=True,
    ),
    LayerKind(
        (nn.Flatten,),
        Linear(linear.reshaped),
        dict.fromkeys(
            (torch.flatten, "flatten"), lambda start_dim=0, end_dim=-1: nn.Flatten(start_dim, end_dim)
        ),
        whole=True,
    ),
    # Several arrays
    LayerKind(
        (), Concatenation(), dict.fromkeys((torch.cat, torch.concat), nn.Identity), reach.none, whole=True
    ),
    LayerKind(
        (), Sum(), dict.fromkeys((operator.add, operator.iadd, torch.add, "add"), nn.Identity), reach.none
    ),
    LayerKind((), Size(), dict.fromkeys((getattr, "size"), nn.Identity)),
    # What no explanation can follow
    LayerKind((nn.GroupNorm, nn.LayerNorm, nn.InstanceNorm2d), Unknown(_NORM)),
    LayerKind(
        (nn.Softmax, nn.Softmax2d, nn.LogSoftmax, nn.LocalResponseNorm, nn.Bilinear, nn.MultiheadAttention),
        Unknown(_MIXES),
        dict.fromkeys(
            (torch.softmax, functional.softmax, "softmax", torch.matmul, operator.matmul), nn.Softmax
        ),
    ),
    LayerKind((nn.LSTM, nn.GRU, nn.RNN), Unknown(_MEMORY, sloped=False)),
    LayerKind(
        (), Unknown(_PRODUCT), dict.fromkeys((torch.mul, operator.mul, operator.imul, "mul"), nn.Identity)
    ),
)
OF_LAYERS: dict[type[nn.Module], LayerKind] = {layer: kind for kind in KINDS for layer in kind.layers}
OF_CALLS: dict[Call, LayerKind] = {call: kind for kind in KINDS for call in kind.calls}


def kind_of_layer(name: str, layer: nn.Module, by_slope: bool = False) -> LayerKind:
    """Return the kind of a layer; `by_slope`: one whose slope is all that is known will do.

    Raises
    ------
    ModelError
        If it cannot be explained, naming it and saying why.
    """
    kind = OF_LAYERS.get(type(layer))
    called = f"The layer '{name}' of the kind {type(layer).__name__} cannot be explained"
    if kind is None:
        raise ModelError(f"{called}. Layers that can: {', '.join(known_layers())}.")
    if isinstance(kind.mathematics, Unknown) and not (by_slope and kind.mathematics.sloped):
        raise ModelError(f"{called}: {kind.mathematics.sentence}")
    return kind


def kind_of_call(name: str, call: Call, by_slope: bool = False) -> LayerKind:
    """Return the kind of a function or of a method of a tensor; `by_slope`: one whose slope alone is known will do.

    Raises
    ------
    ModelError
        If it cannot be explained, naming it and saying why.
    """
    kind = OF_CALLS.get(call)
    what = f"method '{call}' of an array" if isinstance(call, str) else f"'{getattr(call, '__name__', call)}'"
    called = f"The {what} ('{name}' in the network) cannot be explained"
    if kind is None:
        raise ModelError(f"{called}. Use a layer of one of these kinds: {', '.join(known_layers())}.")
    if isinstance(kind.mathematics, Unknown) and not (by_slope and kind.mathematics.sloped):
        raise ModelError(f"{called}: {kind.mathematics.sentence}")
    return kind


@contextmanager
def explaining(called: Call, name: str) -> Iterator[None]:
    """Name the layer or the call in an error that says why it cannot be explained.

    Parameters
    ----------
    called : callable or str
        What the network calls: a function, or the name of a layer or a method.
    name : str
        What the call is named in the network.
    """
    try:
        yield
    except ModelError as error:
        what = getattr(called, "__name__", called)
        where = "" if what == name else f" ('{name}' in the network)"
        raise ModelError(f"'{what}'{where} cannot be explained: {error}.") from error


def kind_of_node(graph: fx.GraphModule, node: fx.Node) -> LayerKind | None:
    """Return the kind of what a node of a network's graph does; None for an unknown one and for inputs and outputs."""
    if node.op == "call_module":
        return OF_LAYERS.get(type(graph.get_submodule(node.target)))
    return OF_CALLS.get(node.target) if node.op in ("call_function", "call_method") else None


def layer_of_node(graph: fx.GraphModule, node: fx.Node, kind: LayerKind) -> nn.Module | None:
    """Return the layer that a node is, or that does the same; None for what joins several arrays.

    Raises
    ------
    ModelError
        If that depends on data.
    """
    if node.op == "call_module":
        return graph.get_submodule(node.target)
    if isinstance(kind.mathematics, (Concatenation, Sum, Size)):
        return None
    if len(node.all_input_nodes) != 1 or isinstance(kind.mathematics, Unknown):
        raise ModelError("it takes settings that depend on other arrays")
    return kind.layer_of(node.target, node.args, node.kwargs)[1]


def reach_of_node(graph: fx.GraphModule, node: fx.Node, kind: LayerKind) -> Reach | None:
    """Return what a place of a node's output reads, None where that is not known."""
    layer = layer_of_node(graph, node, kind)
    return kind.reach(layer) if layer is None else OF_LAYERS[type(layer)].reach(layer)


def read_inputs(node: fx.Node, kind: LayerKind | None) -> list[fx.Node]:
    """Return the nodes whose values a node reads; of others it reads the size at most."""
    if kind is None or isinstance(kind.mathematics, (Concatenation, Sum, Unknown)):
        return node.all_input_nodes
    return [] if isinstance(kind.mathematics, Size) else node.all_input_nodes[:1]


def size_nodes(graph: fx.GraphModule) -> set[fx.Node]:
    """Return the nodes of a network's graph that are sizes of arrays, or are computed of such alone.

    Raises
    ------
    ModelError
        If another attribute of an array is read.
    """
    nodes: set[fx.Node] = set()
    for node in graph.graph.nodes:
        kind, sources = kind_of_node(graph, node), node.all_input_nodes
        if kind is not None and isinstance(kind.mathematics, Size):
            if node.target is getattr and node.args[1:2] != ("shape",):
                raise ModelError(
                    f"The attribute '{node.args[1]}' of an array ('{node.name}') cannot be explained."
                )
            nodes.add(node)
        elif node.op in ("call_function", "call_method") and sources and nodes.issuperset(sources):
            nodes.add(node)
    return nodes


def known_layers() -> Iterable[str]:
    """Return the names of torch's layers that can be explained."""
    known = (layer for layer, kind in OF_LAYERS.items() if not isinstance(kind.mathematics, Unknown))
    return sorted(layer.__name__ for layer in known if layer.__module__.startswith("torch."))


def drops_units(layer: nn.Module) -> bool:
    """Return whether a layer drops units in training, so that dropout can be sampled."""
    kind = OF_LAYERS.get(type(layer))
    return kind is not None and kind.drops and layer.p > 0
