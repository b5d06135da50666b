r"""A network run on the parts of its inputs at once: which group of channels each value comes from.

A value is held in parts: *base* parts (see :mod:`.split_activations`), to which layers apply their biases, and one
part for each group of channels, without biases. Every layer but an activation is linear, so the parts
of its output are what it makes of the parts of its input.

A group has no part where nothing of it arrives. Concatenations are not carried out before a convolution,
and upsampling not before a convolution of single pixels, where their inputs have different parts: channels
that enter at the last layer cost no more than their weights, on coarse cells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Union

import torch
from torch import fx, nn
from torch.nn import functional

from ...ground.errors import ModelError
from ...networks.layers import SamePool2d
from .activations import Activation
from .affine import Affine
from .backward import traced
from .kinds import (
    explaining,
    kind_of_call,
    kind_of_layer,
    kind_of_node,
    layer_of_node,
    read_inputs,
    size_nodes,
)
from .layer_kind import Activated, Concatenation, LayerKind, Linear, Maximum, Sum, Weighted
from .split_activations import Frozen, Step, Straight

Gates = Union[Frozen, Step, Straight]


class ChannelParts:
    """Parts of a value.

    Parameters
    ----------
    values : dict of int to torch.Tensor
        (1, channel, row, column) by part: base parts are negative, groups from 0.
    like : torch.Tensor, optional
        (any, channel, row, column): the size of a value of which no part arrives.
    """

    def __init__(self, values: dict[int, torch.Tensor], like: torch.Tensor | None = None) -> None:
        self.values = values
        if values:
            self.like = next(iter(values.values()))
        elif like is not None:
            self.like = like[:0]
        else:
            raise ValueError("no part arrives, and nothing says of which size the value is")

    def each(
        self, function: Callable[[torch.Tensor], torch.Tensor], of_parts: Callable | None = None
    ) -> ChannelParts:
        """Return the parts of a linear function of the value; `of_parts`: the same without what it adds."""
        of_parts = of_parts or function
        values = {name: (function if name < 0 else of_parts)(row) for name, row in self.values.items()}
        return ChannelParts(values, None if values else function(self.like))

    def part(self, name: int) -> torch.Tensor:
        """Return a part, zeros where nothing of it arrives."""
        return self.values[name] if name in self.values else self.like.new_zeros((1, *self.like.shape[1:]))


@dataclass(frozen=True)
class _Joined:
    """Values to be concatenated along their channels."""

    parts: tuple[ChannelParts | _Waiting, ...]


@dataclass(frozen=True)
class _Waiting:
    """Coarse cells to be brought to the size of a fine value."""

    layer: nn.Module
    cells: ChannelParts
    like: torch.Tensor

    def upsampled(self) -> ChannelParts:
        return self.cells.each(lambda row: self.layer(row, self.like))


Value = Union[ChannelParts, _Joined, _Waiting]


def _weighted(affine: Affine, parts: Sequence[ChannelParts | _Waiting]) -> ChannelParts:
    """Return what a layer with weights makes of concatenated parts."""
    total: dict[int, torch.Tensor] = {}
    first = 0
    for part in parts:
        rows = part.cells if isinstance(part, _Waiting) else part
        number = rows.like.shape[1]
        here = slice(first, first + number) if len(parts) > 1 else slice(None)
        first += number
        for name, row in rows.values.items():
            # Base parts are in every part; the bias counts once.
            bias = affine.bias if name < 0 and name not in total else None
            weighted = affine.part(row, bias, here)
            if isinstance(part, _Waiting):
                weighted = part.layer(weighted, part.like)
            total[name] = total[name].add_(weighted) if name in total else weighted
    blank = None if total else affine.part(_dense(_Joined(tuple(parts))).like, None, slice(None))
    return ChannelParts(total, blank)


class SplitForward(fx.Interpreter):
    """Runs a network on the parts of its inputs.

    Parameters
    ----------
    module : torch.nn.Module
        A network in evaluation mode; it is read, not changed.
    dtype : torch.dtype
        Of the computation.

    Raises
    ------
    ModelError
        If the network's way depends on data, or a layer is not known, naming it.
    """

    def __init__(self, module: nn.Module, dtype: torch.dtype) -> None:
        super().__init__(traced(module))
        self.extra_traceback = False  # an error of ours is a sentence
        self._affine: dict[fx.Node, Affine] = {}
        self._layers: dict[fx.Node, tuple[LayerKind, nn.Module | None]] = {}
        self._gates: Gates = Straight()
        prepared: dict[str, Affine] = {}
        self._sizes = size_nodes(self.module)
        for node in self.module.graph.nodes:
            if node.op == "get_attr":
                raise ModelError(
                    f"The array '{node.target}' of the network cannot be explained: only layers can."
                )
            if node.op not in ("call_module", "call_function", "call_method") or node in self._sizes:
                continue
            kind, layer = self._layers[node] = self._known(node)
            if isinstance(kind.mathematics, Weighted):
                if node.target not in prepared:
                    with explaining(node.target, node.name):
                        prepared[node.target] = kind.mathematics.prepare(layer, dtype)
                self._affine[node] = prepared[node.target]
        self._pools = _SharedPools(self.module)

    def _known(self, node: fx.Node) -> tuple[LayerKind, nn.Module | None]:
        """Return the kind of a node and its layer; refuse what is not known before anything is computed."""
        if node.op == "call_module":
            kind = kind_of_layer(node.target, self.fetch_attr(node.target))
            if node.kwargs:
                given = ", ".join(f"{name}=" for name in node.kwargs)
                raise ModelError(f"Layer '{node.target}': arguments of a layer go by position, not {given}.")
        else:
            kind = kind_of_call(node.name, node.target)
        with explaining(node.target, node.name):
            if isinstance(kind.mathematics, Sum) and (
                not all(isinstance(part, fx.Node) for part in node.args) or node.kwargs
            ):
                raise ModelError("only the sum of two arrays is known")
            if self._sizes.intersection(node.all_input_nodes):
                return kind, None  # set by sizes: known when it runs
            layer = layer_of_node(self.module, node, kind)
            return (kind if layer is None else kind_of_layer(node.name, layer)), layer

    def straight_inputs(self) -> tuple[bool, ...]:
        """Return for each input whether all its ways to the output are linear."""
        bent: dict[fx.Node, dict[fx.Node, bool]] = {}
        for node in self.module.graph.nodes:
            if node.op == "placeholder":
                bent[node] = {node: False}
                continue
            kind = kind_of_node(self.module, node)
            gate = kind is not None and not kind.proportional
            bent[node] = {}
            for source in read_inputs(node, kind):
                for origin, before in bent[source].items():
                    bent[node][origin] = gate or before or bent[node].get(origin, False)
        (output,) = (node for node in self.module.graph.nodes if node.op == "output")
        inputs = [node for node in self.module.graph.nodes if node.op == "placeholder"]
        return tuple(not bent[output].get(node, False) for node in inputs)

    def propagate(self, inputs: Sequence[ChannelParts | None], gates: Gates) -> ChannelParts:
        """Return the parts of the network's output for those of its inputs.

        Parameters
        ----------
        inputs : sequence of ChannelParts or None
            In the order of the network's inputs, with the base parts of `gates`; inputs that are missing at the end
            are None, as the coarse one of a network without coarse channels.
        gates : Frozen, Step or Straight
            What activations do.
        """
        self._gates = gates
        number = sum(node.op == "placeholder" for node in self.module.graph.nodes)
        with torch.no_grad():
            return _dense(self.run(*inputs, *[None] * (number - len(inputs))))

    def run_node(self, n: fx.Node):
        """Run one layer on parts."""
        if n in self._sizes:
            return self._sized(n)
        if n not in self._layers:
            return super().run_node(n)
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        kind, layer = self._layers[n]
        how = kind.mathematics
        if layer is None and isinstance(how, (Activated, Maximum, Linear)):  # set by sizes
            layer = kind.layer_of(n.target, args, kwargs)[1]
            how = kind_of_layer(n.name, layer).mathematics
        if isinstance(how, Concatenation):
            return _concatenated(*args, **kwargs)
        if isinstance(how, Sum):
            return _added(*args)
        value = args[0] if args else kwargs["input"]
        if n in self._affine:
            affine = self._affine[n]
            return _weighted(affine, _ready(value, affine))
        if isinstance(how, Activated):
            return self._activated(how.activation(layer), value)
        if isinstance(how, Linear) and how.changes_nothing:
            return value
        rows = _dense(value)
        if isinstance(how, Maximum) and layer is not None:
            return ChannelParts(self._gates.maximum(layer, rows.values)) if rows.values else rows.each(layer)
        if kind.sized_by_second:
            waiting = _Waiting(layer, rows, _size(args[1]))
            return (
                waiting if kind.whole else waiting.upsampled()
            )  # constants become others where zeros are padded
        if isinstance(layer, SamePool2d):
            return self._pools.means(n, layer, rows)
        if layer is None or not isinstance(how, Linear):
            raise ModelError(
                f"The layer '{n.name}' cannot be taken through in parts: nothing is known of it."
            )
        return rows.each(layer, how.without_constant(layer))

    def _sized(self, n: fx.Node):
        """Return the size of a value, or what is computed of sizes."""
        first, *others = self.fetch_args_kwargs_from_env(n)[0]
        if not isinstance(first, (ChannelParts, _Joined, _Waiting)):
            return super().run_node(n)
        shape = _shape(first)
        return shape if n.target is getattr or not others else shape[others[0]]

    def _activated(self, activation: Activation, value: Value) -> ChannelParts:
        rows = _dense(value)
        return ChannelParts(self._gates.activate(activation, rows.values)) if rows.values else rows


class _SharedPools:
    """Means over squares whose sides double, each made from the sums of the one before.

    Parameters
    ----------
    graph : torch.fx.GraphModule
        The network: pools of one value share their sums.
    """

    def __init__(self, graph: fx.GraphModule) -> None:
        self._largest: dict[fx.Node, int] = {}
        self._sums: tuple[ChannelParts | None, int, ChannelParts | None] = (None, 0, None)
        for node in graph.graph.nodes:
            if node.op == "call_module" and isinstance(graph.get_submodule(node.target), SamePool2d):
                size = graph.get_submodule(node.target).size
                self._largest[node.args[0]] = max(size, self._largest.get(node.args[0], 0))

    def means(self, node: fx.Node, layer: SamePool2d, rows: ChannelParts) -> ChannelParts:
        """Return what `layer` makes of the parts."""
        size, largest = layer.size, self._largest[node.args[0]]
        if size & (size - 1) or largest & (largest - 1):
            return rows.each(layer)
        before, after = (largest - 1) // 2, largest // 2
        of, reached, held = self._sums
        if held is None or of is not rows or reached > size:
            reached, held = 1, rows.each(lambda row: functional.pad(row, (before, after, before, after)))
        sums = held
        while reached < size:
            sums = sums.each(partial(_doubled, half=reached))
            reached *= 2
        self._sums = (rows, reached, sums) if size < largest else (None, 0, None)
        height, width = rows.like.shape[-2:]
        counts = layer.counts(height, rows.like)[:, None] * layer.counts(width, rows.like)
        shares, begin = 1 / counts, before - layer.before
        return sums.each(lambda row: row[:, :, begin : begin + height, begin : begin + width] * shares)


def _doubled(sums: torch.Tensor, half: int) -> torch.Tensor:
    """Return sums over windows of 2k pixels, four of k: (1, channel, row, column), less k at the end."""
    sums = sums[:, :, :-half] + sums[:, :, half:]
    return sums[:, :, :, :-half] + sums[:, :, :, half:]


def _dense(value: Value) -> ChannelParts:
    """Return a value with everything carried out."""
    if isinstance(value, _Waiting):
        return value.upsampled()
    if isinstance(value, _Joined):
        parts = [_dense(part) for part in value.parts]
        return parts[0] if len(parts) == 1 else _side_by_side(parts, 1)
    return value


def _ready(value: Value, layer: Affine) -> Sequence[ChannelParts | _Waiting]:
    """Return the parts of a value that a layer takes one by one: all at once unless that saves work."""
    parts = value.parts if isinstance(value, _Joined) else (value,)
    rows = [part.cells if isinstance(part, _Waiting) else part for part in parts]
    fewer_rows = any(part.values.keys() != rows[0].values.keys() for part in rows)
    fewer_pixels = layer.commutes and any(isinstance(part, _Waiting) for part in parts)
    if not layer.splits or not (fewer_rows or fewer_pixels):
        return [_dense(value)]
    return [part if layer.commutes else _dense(part) for part in parts]


def _concatenated(tensors: Sequence[Value], dim: int = 0) -> Value:
    if dim not in (1, -3):  # not along the channels: carried out at once
        return _side_by_side([_dense(value) for value in tensors], dim)
    parts: list[ChannelParts | _Waiting] = []
    for value in tensors:
        parts += value.parts if isinstance(value, _Joined) else [value]
    return _Joined(tuple(parts))


def _side_by_side(parts: Sequence[ChannelParts], axis: int) -> ChannelParts:
    names = {name for part in parts for name in part.values}
    values = {name: torch.cat([part.part(name) for part in parts], axis) for name in sorted(names)}
    return ChannelParts(values, None if values else torch.cat([part.like for part in parts], axis))


def _added(first: Value, second: Value) -> ChannelParts:
    one, two = _dense(first), _dense(second)
    values = {name: row for name, row in one.values.items() if name not in two.values}
    for name, row in two.values.items():
        values[name] = one.values[name] + row if name in one.values else row
    if one.like.shape[1:] == two.like.shape[1:]:
        return ChannelParts(values, one.like)
    shape = torch.broadcast_shapes(one.like.shape[1:], two.like.shape[1:])
    like = one.like.new_zeros((0, *shape))
    return ChannelParts({name: row.expand(1, *shape) for name, row in values.items()}, like)


def _size(value: Value) -> torch.Tensor:
    """Return a tensor of the value's rows and columns."""
    if isinstance(value, _Waiting):
        return value.like
    return _size(value.parts[0]) if isinstance(value, _Joined) else value.like


def _shape(value: Value) -> torch.Size:
    parts = value.parts if isinstance(value, _Joined) else (value,)
    channels = sum((part.cells if isinstance(part, _Waiting) else part).like.shape[1] for part in parts)
    return torch.Size((1, channels, *_size(value).shape[2:]))
