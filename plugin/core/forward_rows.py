r"""A network run on the parts of its inputs at once: which group of channels each value comes from.

A value is held as rows along the first axis: *base* rows (see :mod:`.forward_gates`), which layers treat
with their biases, and one row for each group of channels, treated without. Every layer but an activation
is linear, so the parts of its output are what it makes of the parts of its input.

A group has no row where nothing of it arrives. Concatenations are not carried out before a convolution,
and upsampling not before a convolution of single pixels, if their parts have different rows: channels
that enter at the last layer cost no more than their weights, on coarse cells.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Union

import torch
from torch import fx, nn
from torch.nn import functional

from ...models.layers import UPSAMPLING, BilinearUpsample, NearestUpsample, SamePool2d
from .errors import ModelError
from .forward_gates import ACTIVATIONS, RELU, SIGMOID, TANH, Activation, Frozen, Step, Straight
from .walk import traced

Gates = Union[Frozen, Step, Straight]


@dataclass(frozen=True)
class Rows:
    """Parts of a value.

    Parameters
    ----------
    values : torch.Tensor
        (row, channel, row of pixels, column).
    names : tuple of int
        Which part each row is, ascending: base rows are negative, groups from 0.
    """

    values: torch.Tensor
    names: tuple[int, ...]

    def spread(self, names: tuple[int, ...]) -> torch.Tensor:
        """Return the values with a row for each of `names`, zeros where there is none."""
        if names == self.names:
            return self.values
        result = self.values.new_zeros((len(names), *self.values.shape[1:]))
        result[[names.index(name) for name in self.names]] = self.values
        return result


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

    @property
    def names(self) -> tuple[int, ...]:
        return self.cells.names

    def upsampled(self) -> Rows:
        return Rows(self.layer(self.cells.values, self.like), self.cells.names)


Value = Union[Rows, _Joined, _Waiting]


class _Affine:
    """The weights of a layer in the type of the computation, applied with and without the bias."""

    splits = False
    pointwise = False
    channels = 0

    def __init__(self, bias: torch.Tensor | None, dtype: torch.dtype, trailing: int) -> None:
        self._bias = None if bias is None else bias.detach().to(dtype).view((-1,) + (1,) * trailing)

    def linear(self, values: torch.Tensor, channels: slice = slice(None)) -> torch.Tensor:
        """Return the layer's output without bias, for some of its input channels."""
        raise NotImplementedError

    def rows(self, parts: Sequence[Rows | _Waiting]) -> Rows:
        """Return the layer's output for concatenated parts."""
        names = tuple(sorted({name for part in parts for name in part.names}))
        done: dict[tuple[int, ...], torch.Tensor] = {}
        first = 0
        for part in parts:
            values = part.cells.values if isinstance(part, _Waiting) else part.values
            here = slice(first, first + values.shape[1]) if len(parts) > 1 else slice(None)
            first += values.shape[1]
            found = self.linear(values, here)
            if isinstance(part, _Waiting):
                found = part.layer(found, part.like)
            done[part.names] = done[part.names] + found if part.names in done else found
        output = _sum([Rows(values, found) for found, values in done.items()], names)
        base = sum(name < 0 for name in names)
        if self._bias is not None and base:
            output[:base] += self._bias
        return Rows(output, names)


class _Convolution(_Affine):
    def __init__(self, layer: nn.Conv2d, dtype: torch.dtype) -> None:
        if layer.padding_mode != "zeros":
            raise ModelError(f"contributions cannot follow the padding '{layer.padding_mode}'")
        super().__init__(layer.bias, dtype, 2)
        weight = layer.weight.detach().to(dtype)
        if dtype != torch.float64:
            weight = weight.contiguous(memory_format=torch.channels_last)
        self._weight = weight
        self._geometry = (layer.stride, layer.padding, layer.dilation, layer.groups)
        self.splits = layer.groups == 1
        unpadded = layer.padding in ((0, 0), "valid", "same")
        self.pointwise = layer.kernel_size == (1, 1) and layer.stride == (1, 1) and unpadded and self.splits

    def linear(self, values: torch.Tensor, channels: slice = slice(None)) -> torch.Tensor:
        return functional.conv2d(values, self._weight[:, channels], None, *self._geometry)


class _Dense(_Affine):
    def __init__(self, layer: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__(layer.bias, dtype, 0)
        self._weight = layer.weight.detach().to(dtype)

    def linear(self, values: torch.Tensor, channels: slice = slice(None)) -> torch.Tensor:
        return functional.linear(values, self._weight)


class _Normalisation(_Affine):
    """Batch norm in evaluation mode: times gain/sd, and a shift that counts as a bias."""

    def __init__(self, layer: nn.BatchNorm2d, dtype: torch.dtype) -> None:
        if layer.running_mean is None:
            raise ModelError("its batch norm has no running statistics, and contributions need them")
        # The shift is a difference of large numbers: it is rounded once, at the end.
        scale = 1 / (layer.running_var.double() + layer.eps).sqrt()
        if layer.weight is not None:
            scale = scale * layer.weight.double()
        shift = -layer.running_mean.double() * scale
        if layer.bias is not None:
            shift = shift + layer.bias.double()
        super().__init__(shift, dtype, 2)
        self._scale = scale.detach().to(dtype)[:, None, None]

    def linear(self, values: torch.Tensor, channels: slice = slice(None)) -> torch.Tensor:
        return values * self._scale


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
            In the order of the network's inputs, with the base rows of `gates`.
        gates : Frozen, Step or Straight
            What activations do.
        """
        self._gates = gates
        with torch.no_grad():
            return _dense(self.run(*inputs))

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
            return _Waiting(layer, rows, _any_values(others[0]))
        if kind is nn.MaxPool2d:
            return Rows(self._gates.maximum(layer, rows.values), rows.names)
        if kind is SamePool2d:
            return Rows(self._pools.means(node, layer, rows.values), rows.names)
        return Rows(layer(rows.values), rows.names)

    def _activated(self, activation: Activation, value: Value) -> Rows:
        rows = _dense(value)
        return Rows(self._gates.activate(activation, rows.values), rows.names)


class _SharedPools:
    """Means over squares whose sides double, each made from the sums of the one before.

    Parameters
    ----------
    graph : torch.fx.GraphModule
        The network: pools of one value share their sums.
    """

    def __init__(self, graph: fx.GraphModule) -> None:
        self._largest: dict[fx.Node, int] = {}
        self._kept: tuple[fx.Node | None, torch.Tensor | None, int, torch.Tensor | None] = (
            None,
            None,
            0,
            None,
        )
        for node in graph.graph.nodes:
            if node.op == "call_module" and isinstance(graph.get_submodule(node.target), SamePool2d):
                size = graph.get_submodule(node.target).size
                self._largest[node.args[0]] = max(size, self._largest.get(node.args[0], 0))

    def means(self, node: fx.Node, layer: SamePool2d, values: torch.Tensor) -> torch.Tensor:
        """Return what `layer` makes of `values`."""
        size = layer.size
        if size & (size - 1) or not len(values):
            return layer(values)
        source, of, reached, sums = self._kept
        largest = self._largest[node.args[0]]
        before, after = (largest - 1) // 2, largest // 2
        if source is not node.args[0] or of is not values or reached > size:
            reached, sums = 1, functional.pad(values, (before, after, before, after))
        while reached < size:  # a window of 2k pixels is two of k on either axis
            sums = sums[:, :, :-reached] + sums[:, :, reached:]
            sums = sums[:, :, :, :-reached] + sums[:, :, :, reached:]
            reached *= 2
        self._kept = (node.args[0], values, reached, sums) if size < largest else (None, None, 0, None)
        rows, cols = values.shape[-2:]
        begin = before - layer.before
        inside = sums[:, :, begin : begin + rows, begin : begin + cols]
        return inside * (1 / (layer.counts(rows, values)[:, None] * layer.counts(cols, values)))


def _dense(value: Value) -> Rows:
    """Return a value with everything carried out."""
    if isinstance(value, _Waiting):
        return value.upsampled()
    if isinstance(value, _Joined):
        parts = [_dense(part) for part in value.parts]
        names = tuple(sorted({name for part in parts for name in part.names}))
        return Rows(torch.cat([part.spread(names) for part in parts], 1), names)
    return value


def _ready(value: Value, layer: _Affine) -> Sequence[Rows | _Waiting]:
    """Return the parts of a value that a layer takes one by one: all at once unless that saves rows."""
    parts = value.parts if isinstance(value, _Joined) else (value,)
    fewer_rows = len({part.names for part in parts}) > 1
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
    parts = [_dense(first), _dense(second)]
    names = tuple(sorted({*parts[0].names, *parts[1].names}))
    return Rows(parts[0].spread(names) + parts[1].spread(names), names)


def _sum(parts: Sequence[Rows], names: tuple[int, ...]) -> torch.Tensor:
    """Return the sum with a row for each of `names`, in an array of its own."""
    if len(parts) == 1:
        return parts[0].spread(names)
    total = parts[0].values.new_zeros((len(names), *parts[0].values.shape[1:]))
    for part in parts:
        for row, name in zip(part.values, part.names):
            total[names.index(name)] += row
    return total


def _any_values(value: Value) -> torch.Tensor:
    """Return a tensor of the value's rows and columns."""
    if isinstance(value, _Waiting):
        return value.like
    return _any_values(value.parts[0]) if isinstance(value, _Joined) else value.values
