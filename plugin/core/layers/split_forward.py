r"""A network run on the parts of its inputs at once: which group of channels each value comes from.

A value is held as rows: *base* rows (see :mod:`.split_activations`), which layers treat with their biases, and
one row for each group of channels, treated without. Every layer but an activation is linear, so the parts
of its output are what it makes of the parts of its input.

A group has no row where nothing of it arrives. Concatenations are not carried out before a convolution,
and upsampling not before a convolution of single pixels, where their parts have different rows: channels
that enter at the last layer cost no more than their weights, on coarse cells.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Union

import torch
from torch import fx, nn
from torch.nn import functional

from ...ground.errors import ModelError
from ...networks.layers import UPSAMPLING, BilinearUpsample, NearestUpsample, SamePool2d
from .affine import scale_and_shift
from .backward import traced
from .split_activations import ACTIVATIONS, RELU, SIGMOID, TANH, Activation, Frozen, Step, Straight

Gates = Union[Frozen, Step, Straight]


class Rows:
    """Parts of a value.

    Parameters
    ----------
    values : dict of int to torch.Tensor
        (1, channel, row, column) by part: base rows are negative, groups from 0.
    like : torch.Tensor, optional
        (any, channel, row, column): the size, where there is no row to tell it.
    """

    def __init__(self, values: dict[int, torch.Tensor], like: torch.Tensor | None = None) -> None:
        self.values = values
        self.like = next(iter(values.values())) if values else like[:0]

    def each(self, function: Callable[[torch.Tensor], torch.Tensor]) -> Rows:
        """Return the rows of a linear function of the value."""
        values = {name: function(row) for name, row in self.values.items()}
        return Rows(values, None if values else function(self.like))

    def row(self, name: int) -> torch.Tensor:
        """Return a row, zeros where nothing of it arrives."""
        return self.values[name] if name in self.values else self.like.new_zeros((1, *self.like.shape[1:]))


@dataclass(frozen=True)
class _Joined:
    """Values to be concatenated along their channels."""

    parts: tuple[Rows | _Waiting, ...]


@dataclass(frozen=True)
class _Waiting:
    """Coarse cells to be brought to the size of a fine value."""

    layer: nn.Module
    cells: Rows
    like: torch.Tensor

    def upsampled(self) -> Rows:
        return self.cells.each(lambda row: self.layer(row, self.like))


Value = Union[Rows, _Joined, _Waiting]


class _Affine:
    """The weights of a layer in the type of the computation, applied with and without the bias."""

    splits = False
    pointwise = False

    def __init__(self, bias: torch.Tensor | None, dtype: torch.dtype) -> None:
        self._bias = None if bias is None else bias.detach().to(dtype)

    def apply(self, values: torch.Tensor, bias: torch.Tensor | None, channels: slice) -> torch.Tensor:
        """Return the layer's output with `bias` in place of its own, for some of its input channels."""
        raise NotImplementedError

    def rows(self, parts: Sequence[Rows | _Waiting]) -> Rows:
        """Return the layer's output for concatenated parts."""
        total: dict[int, torch.Tensor] = {}
        first = 0
        for part in parts:
            rows = part.cells if isinstance(part, _Waiting) else part
            number = rows.like.shape[1]
            here = slice(first, first + number) if len(parts) > 1 else slice(None)
            first += number
            for name, row in rows.values.items():
                # Base rows are in every part; the bias counts once.
                bias = self._bias if name < 0 and name not in total else None
                found = self.apply(row, bias, here)
                if isinstance(part, _Waiting):
                    found = part.layer(found, part.like)
                total[name] = total[name].add_(found) if name in total else found
        blank = None if total else self.apply(_dense(_Joined(tuple(parts))).like, None, slice(None))
        return Rows(total, blank)


class _Convolution(_Affine):
    def __init__(self, layer: nn.Conv2d, dtype: torch.dtype) -> None:
        if layer.padding_mode != "zeros":
            raise ModelError(f"contributions cannot follow the padding '{layer.padding_mode}'")
        super().__init__(layer.bias, dtype)
        weight = layer.weight.detach().to(dtype)
        if dtype != torch.float64:
            weight = weight.contiguous(memory_format=torch.channels_last)
        self._weight = weight
        self._geometry = (layer.stride, layer.padding, layer.dilation, layer.groups)
        self.splits = layer.groups == 1
        unpadded = layer.padding in ((0, 0), "valid", "same")
        self.pointwise = layer.kernel_size == (1, 1) and layer.stride == (1, 1) and unpadded and self.splits

    def apply(self, values: torch.Tensor, bias: torch.Tensor | None, channels: slice) -> torch.Tensor:
        return functional.conv2d(values, self._weight[:, channels], bias, *self._geometry)


class _Dense(_Affine):
    def __init__(self, layer: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__(layer.bias, dtype)
        self._weight = layer.weight.detach().to(dtype)

    def apply(self, values: torch.Tensor, bias: torch.Tensor | None, channels: slice) -> torch.Tensor:
        return functional.linear(values, self._weight, bias)


class _Normalisation(_Affine):
    """Batch norm in evaluation mode: times gain/sd, and a shift that counts as a bias."""

    def __init__(self, layer: nn.BatchNorm2d, dtype: torch.dtype) -> None:
        if layer.running_mean is None:
            raise ModelError("its batch norm has no running statistics, and contributions need them")
        scale, shift = scale_and_shift(layer)
        super().__init__(shift[:, None, None], dtype)
        self._scale = scale.detach().to(dtype)[:, None, None]

    def apply(self, values: torch.Tensor, bias: torch.Tensor | None, channels: slice) -> torch.Tensor:
        return values * self._scale if bias is None else torch.addcmul(bias, values, self._scale)


AFFINE: dict[type, Callable[[nn.Module, torch.dtype], _Affine]] = {
    nn.Conv2d: _Convolution,
    nn.Linear: _Dense,
    nn.BatchNorm2d: _Normalisation,
}
UNCHANGED = (nn.Dropout, nn.Dropout2d, nn.Identity)
LINEAR = (NearestUpsample, BilinearUpsample, SamePool2d, nn.AvgPool2d, nn.Upsample)
SUMS = (operator.add, operator.iadd, torch.add)
FUNCTIONS: dict[Callable, Activation] = {
    torch.relu: RELU,
    functional.relu: RELU,
    torch.sigmoid: SIGMOID,
    torch.tanh: TANH,
}
KNOWN = (*AFFINE, *UNCHANGED, *LINEAR, *ACTIVATIONS, nn.MaxPool2d)
STRAIGHT = (*AFFINE, *UNCHANGED, *LINEAR)


class Forward(fx.Interpreter):
    """Runs a network on rows.

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
        self._affine: dict[str, _Affine] = {}
        self._gates: Gates = Straight()
        for node in self.module.graph.nodes:
            self._prepare(node, dtype)
        self._pools = _SharedPools(self.module)

    def _prepare(self, node: fx.Node, dtype: torch.dtype) -> None:
        """Refuse what is not known, before anything is computed."""
        if node.op == "call_module":
            layer = self.fetch_attr(node.target)
            kind = type(layer)
            if kind not in KNOWN:
                raise ModelError(
                    f"Contributions cannot follow the layer '{node.target}' of the kind {kind.__name__}. Layers "
                    f"that they can: {', '.join(sorted(k.__name__ for k in KNOWN))}."
                )
            if kind in AFFINE and node.target not in self._affine:
                try:
                    self._affine[node.target] = AFFINE[kind](layer, dtype)
                except ModelError as error:
                    raise ModelError(f"Layer '{node.target}': {error}.") from error
        elif node.op in ("call_function", "call_method", "get_attr"):
            known = node.op == "call_function" and node.target in (torch.cat, *SUMS, *FUNCTIONS)
            if node.target is torch.cat:  # along the channels
                known = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0) in (1, -3)
            elif node.target in SUMS:  # of two values; "alpha" is not known
                known = all(isinstance(part, fx.Node) for part in node.args) and not node.kwargs
            if not known:
                called = getattr(node.target, "__name__", node.target)
                raise ModelError(f"Contributions cannot follow '{called}' ('{node.name}' in the network).")

    def straight_inputs(self) -> tuple[bool, ...]:
        """Return for each input whether all its ways to the output are linear."""
        bent: dict[fx.Node, dict[fx.Node, bool]] = {}
        for node in self.module.graph.nodes:
            if node.op == "placeholder":
                bent[node] = {node: False}
                continue
            sources: list[fx.Node] = []
            fx.node.map_arg((node.args, node.kwargs), sources.append)
            gate = node.op == "call_function" and node.target in FUNCTIONS
            if node.op == "call_module":
                kind = type(self.fetch_attr(node.target))
                gate = kind not in STRAIGHT
                if kind in UPSAMPLING:  # of the second input only the size is read
                    sources = sources[:1]
            bent[node] = {}
            for source in sources:
                for origin, before in bent[source].items():
                    bent[node][origin] = gate or before or bent[node].get(origin, False)
        (output,) = (node for node in self.module.graph.nodes if node.op == "output")
        inputs = [node for node in self.module.graph.nodes if node.op == "placeholder"]
        return tuple(not bent[output].get(node, False) for node in inputs)

    def rows(self, inputs: Sequence[Rows | None], gates: Gates) -> Rows:
        """Return the rows of the network's output for those of its inputs.

        Parameters
        ----------
        inputs : sequence of Rows or None
            In the order of the network's inputs, with the base rows of `gates`; inputs that are missing at the end
            are None, as the coarse one of a network without coarse channels.
        gates : Frozen, Step or Straight
            What activations do.
        """
        self._gates = gates
        number = sum(node.op == "placeholder" for node in self.module.graph.nodes)
        with torch.no_grad():
            return _dense(self.run(*inputs, *[None] * (number - len(inputs))))

    def run_node(self, n: fx.Node):
        """Run one layer on rows."""
        if n.op not in ("call_module", "call_function"):
            return super().run_node(n)
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        if n.op == "call_module":
            return self._layer(n, self.fetch_attr(n.target), *args)
        if n.target is torch.cat:
            return _concatenated(*args, **kwargs)
        if n.target in SUMS:
            return _added(*args)
        return self._activated(FUNCTIONS[n.target], args[0])

    def _layer(self, node: fx.Node, layer: nn.Module, value: Value, *others: Value) -> Value:
        kind = type(layer)
        if kind in UNCHANGED:
            return value
        if kind in AFFINE:
            affine = self._affine[node.target]
            return affine.rows(_ready(value, affine))
        if kind in ACTIVATIONS:
            return self._activated(ACTIVATIONS[kind](layer), value)
        rows = _dense(value)
        if kind in UPSAMPLING:
            return _Waiting(layer, rows, _size(others[0]))
        if kind is nn.MaxPool2d:
            return Rows(self._gates.maximum(layer, rows.values)) if rows.values else rows.each(layer)
        if kind is SamePool2d:
            return self._pools.means(node, layer, rows)
        return rows.each(layer)

    def _activated(self, activation: Activation, value: Value) -> Rows:
        rows = _dense(value)
        return Rows(self._gates.activate(activation, rows.values)) if rows.values else rows


class _SharedPools:
    """Means over squares whose sides double, each made from the sums of the one before.

    Parameters
    ----------
    graph : torch.fx.GraphModule
        The network: pools of one value share their sums.
    """

    def __init__(self, graph: fx.GraphModule) -> None:
        self._largest: dict[fx.Node, int] = {}
        self._sums: tuple[Rows | None, int, Rows | None] = (None, 0, None)
        for node in graph.graph.nodes:
            if node.op == "call_module" and isinstance(graph.get_submodule(node.target), SamePool2d):
                size = graph.get_submodule(node.target).size
                self._largest[node.args[0]] = max(size, self._largest.get(node.args[0], 0))

    def means(self, node: fx.Node, layer: SamePool2d, rows: Rows) -> Rows:
        """Return what `layer` makes of the rows."""
        size, largest = layer.size, self._largest[node.args[0]]
        if size & (size - 1) or largest & (largest - 1):
            return rows.each(layer)
        before, after = (largest - 1) // 2, largest // 2
        of, reached, sums = self._sums
        if of is not rows or reached > size:
            reached, sums = 1, rows.each(lambda row: functional.pad(row, (before, after, before, after)))
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


def _dense(value: Value) -> Rows:
    """Return a value with everything carried out."""
    if isinstance(value, _Waiting):
        return value.upsampled()
    if isinstance(value, _Joined):
        parts = [_dense(part) for part in value.parts]
        if len(parts) == 1:
            return parts[0]
        names = {name for part in parts for name in part.values}
        values = {name: torch.cat([part.row(name) for part in parts], 1) for name in sorted(names)}
        return Rows(values, None if values else torch.cat([part.like for part in parts], 1))
    return value


def _ready(value: Value, layer: _Affine) -> Sequence[Rows | _Waiting]:
    """Return the parts of a value that a layer takes one by one: all at once unless that saves work."""
    parts = value.parts if isinstance(value, _Joined) else (value,)
    rows = [part.cells if isinstance(part, _Waiting) else part for part in parts]
    fewer_rows = any(part.values.keys() != rows[0].values.keys() for part in rows)
    fewer_pixels = layer.pointwise and any(isinstance(part, _Waiting) for part in parts)
    if not layer.splits or not (fewer_rows or fewer_pixels):
        return [_dense(value)]
    return [part if layer.pointwise else _dense(part) for part in parts]


def _concatenated(values: Sequence[Value], dim: int = 0) -> _Joined:
    parts: list[Rows | _Waiting] = []
    for value in values:
        parts += value.parts if isinstance(value, _Joined) else [value]
    return _Joined(tuple(parts))


def _added(first: Value, second: Value) -> Rows:
    one, two = _dense(first), _dense(second)
    values = {name: row for name, row in one.values.items() if name not in two.values}
    for name, row in two.values.items():
        values[name] = one.values[name] + row if name in one.values else row
    return Rows(values, one.like)


def _size(value: Value) -> torch.Tensor:
    """Return a tensor of the value's rows and columns."""
    if isinstance(value, _Waiting):
        return value.like
    return _size(value.parts[0]) if isinstance(value, _Joined) else value.like
