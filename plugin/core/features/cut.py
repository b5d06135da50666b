"""A network cut at one of its layers: what the layer puts out, and how the logits depend on it.

The network's graph falls into what comes before the layer and what depends on it. Only the second part is
differentiated, and only it is run again where features are changed::

    cut = LayerCut(runner, named_layer(runner, "relu6"))
    values = cut.values(inputs, seeds_of)       # logits, activations, gradients on the pixels of the inputs
    logits = cut.changed(inputs)                # a function: logits for other activations of the same inputs

The logits are linear in the components, so that neither a graph nor a backward pass is needed for these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import fx
from torch.nn import functional

from ...ground.errors import ParameterError
from ...networks.card_checks import WHOLE_IMAGE
from ...networks.inner_layers import output_convolution
from ...networks.layers import SamePool2d, trace
from ..streaming.runner import Inputs, Runner
from .layer import COMPONENTS, JOINED, LayerShape, probe_inputs

# Pairs of activations on which a layer is tried for being affine, and what rounding may leave.
_TRIALS, _ROUNDING = 3, 1e-4


@dataclass(frozen=True)
class LayerValues:
    """What a network makes of some inputs, on their pixels.

    Parameters
    ----------
    logits : torch.Tensor
        (output, row, column), of all heads.
    activation : torch.Tensor
        (feature, row, column).
    gradient : torch.Tensor or None
        (feature, row, column): of the seeded logits' sum, at the layer's own cells; None where not asked for.
    density : float
        Cells of the layer a pixel: contributions to the logit are gradient x activation x density a pixel.
    """

    logits: torch.Tensor
    activation: torch.Tensor
    gradient: torch.Tensor | None
    density: float

    @property
    def contribution(self) -> torch.Tensor:
        """What each feature adds to the seeded logits: (feature, row, column)."""
        if self.gradient is None:
            raise AssertionError("self.gradient is None")
        product = self.gradient * self.activation
        return product if self.density == 1 else product * self.density


SeedsOf = Callable[[torch.Tensor], torch.Tensor]  # logits (1, output, row, column) → seeds of that shape


class LayerCut:
    """A network cut at a layer.

    Parameters
    ----------
    runner : Runner
        The network.
    shape : LayerShape
        The layer, as of :func:`named_layer`.
    """

    def __init__(self, runner: Runner, shape: LayerShape) -> None:
        self.runner, self.shape = runner, shape
        self.linear = shape.name == COMPONENTS and COMPONENTS not in runner.layer_names
        fast = runner.fast.features
        # What keeps and explains the layer faster than the definition does.
        exact = runner.dtype == runner.input_dtype
        self.fast = fast if fast is not None and exact and shape.name in fast.layers else None
        # Which components the layer is, where it is some of them that the architecture computes faster.
        self.columns: list[int] = []
        if not self.linear:
            self._graph = trace(runner.module)
            self._modules = dict(self._graph.named_modules())
            self._ahead, self._behind, self._nodes = _parts(self._graph, [part.name for part in shape.layers])
            if runner.fast.component_bands is not None and exact and COMPONENTS not in runner.layer_names:
                self.columns = self._columns()

    @cached_property
    def weight(self) -> torch.Tensor:
        """Weights (output, component) of the last layer."""
        weight = self.runner.output_weights()[0]
        return torch.as_tensor(weight, dtype=self.runner.input_dtype, device=self.runner.device)

    @cached_property
    def bias(self) -> torch.Tensor:
        """Biases (output,) of the last layer."""
        bias = self.runner.output_weights()[1]
        return torch.as_tensor(bias, dtype=self.runner.input_dtype, device=self.runner.device)

    @property
    def of_components(self) -> bool:
        """Whether the layer is the components, or some of them."""
        return self.linear or bool(self.columns)

    def _columns(self) -> list[int]:
        """Return which components the layer is; nothing where it acts on the logits in another way."""
        joins = {user for node in self._nodes for user in node.users}
        join = next(iter(joins))
        ends = output_convolution(self.runner.module)
        plain = join.op == "call_function" and join.target in (torch.cat, torch.concat)
        if ends is None or not plain or len(joins) > 1:
            return []
        if {str(user.target) for user in join.users} != {*ends.names}:
            return []
        with torch.no_grad():
            _, kept = self._before(probe_inputs(self.runner, 1))
        own = dict(zip(self._nodes, (part.channels for part in self.shape.layers)))
        columns, start = {}, 0
        for node in join.all_input_nodes:
            others = kept.get(node)
            number = own.get(node) or (others.shape[1] if isinstance(others, torch.Tensor) else 0)
            columns[node] = range(start, start + number)
            start += number
        return [column for node in self._nodes for column in columns[node]]

    @cached_property
    def reach(self) -> int:
        """How far, in pixels, a logit lies from the cells of the layer that it depends on; measured."""
        if self.linear or self.runner.radius >= WHOLE_IMAGE:  # its tiles see a whole image anyway
            return 0
        runner = self.runner
        most = runner.radius + self.shape.step
        inputs = probe_inputs(runner, 2 * -(-(2 * most + 1) // (2 * runner.alignment)) + 1)
        rows, cols = inputs.fine.shape[2:]
        with torch.no_grad():
            activation, kept = self._before(inputs)
            far = 0
            for row, col in ((rows // 2, cols // 2), (rows // 2 + 1, cols // 2 + 1)):
                cell = row // self.shape.step, col // self.shape.step
                marked = activation.clone()
                # What is not a number spreads to all that depends on it.
                marked[:, :, cell[0], cell[1]] = math.nan
                touched = self._after(marked, kept)[0].isnan().any(0).nonzero()
                if len(touched):
                    first = torch.tensor(cell, device=touched.device) * self.shape.step
                    beyond = torch.maximum(first - touched, touched - (first + self.shape.step - 1))
                    far = max(far, int(beyond.max()))
        return min(far + self.shape.step - 1, most)

    @cached_property
    def affine(self) -> bool:
        """Whether the logits are affine in the activations: no gate opens or closes behind the layer."""
        if self.linear:
            return True
        with torch.no_grad():
            activation, kept = self._before(probe_inputs(self.runner, 1))
            draw = torch.Generator().manual_seed(0)

            def drawn() -> torch.Tensor:
                return 10 * torch.randn(activation.shape, generator=draw).to(activation)

            for _ in range(_TRIALS):
                first, second = drawn(), drawn()
                ends = self._after(first, kept) + self._after(second, kept)
                bend = ends - self._after(first + second, kept) - self._after(torch.zeros_like(first), kept)
                if not bool(bend.abs().max() <= _ROUNDING * ends.abs().max()):
                    return False
        return True

    @cached_property
    def beside(self) -> tuple[str, ...]:
        """Layers through which the logits depend on the inputs beside this one, in the network's order."""
        if self.linear:
            return ()
        needed = {node for late in self._behind for node in late.all_input_nodes}
        return tuple(
            str(node.target)
            for node in self._ahead
            if node in needed and node.op == "call_module" and node not in self._nodes
        )

    @property
    def halo(self) -> int:
        """Pixels around a window which the network has to see for exact activations, gradients and seeds inside.

        A gradient depends on the activations behind the layer up to `reach` away, and each of these on inputs within
        the network's receptive field.
        """
        return self.runner.radius + self.reach

    @property
    def takes_large_tiles(self) -> bool:
        """Whether large tiles cost no speed: the network is computed a few rows at a time."""
        banded = self.runner.fast.component_bands if self.of_components else self.fast
        return banded is not None and self.runner.takes_large_tiles

    @property
    def alignment(self) -> int:
        """Windows begin on multiples of it, in pixels."""
        return math.lcm(self.runner.alignment, self.shape.step)

    def values(self, inputs: Inputs, seeds_of: SeedsOf | None) -> LayerValues:
        """Return logits, activations and, with seeds, gradients.

        Parameters
        ----------
        inputs : Inputs
            The inputs.
        seeds_of : callable, optional
            How much each logit counts, decided on the logits; None: no gradient.
        """
        if self.linear:
            activation = self._components(inputs)
            logits = self.weighted(activation)
            if seeds_of is None:
                return LayerValues(logits, activation, None, 1.0)
            seeds = seeds_of(logits[None])[0]
            return LayerValues(logits, activation, torch.einsum("orc,ok->krc", seeds, self.weight), 1.0)
        if self.fast is not None:
            logits, activation, backward = self.fast(
                self.shape.name, inputs.fine, inputs.coarse, inputs.edges
            )
            gradient = None if seeds_of is None else backward(seeds_of(logits))[0]
            return LayerValues(logits[0], activation[0], gradient, 1.0)
        with torch.no_grad():
            activation, kept = self._before(inputs)
        gradient = None
        if seeds_of is None:
            with torch.no_grad():
                logits = self._after(activation, kept)
        else:
            with torch.enable_grad():
                leaf = activation.detach().clone().requires_grad_()
                logits = self._after(leaf, kept)
                seeds = seeds_of(logits.detach())
                if logits.requires_grad:
                    (gradient,) = torch.autograd.grad(logits, leaf, seeds, allow_unused=True)
            gradient = self._on_pixels(torch.zeros_like(activation) if gradient is None else gradient, inputs)
        density = 1.0 / self.shape.step**2
        return LayerValues(logits.detach()[0], self._on_pixels(activation, inputs), gradient, density)

    def component_bands(self, inputs: Inputs) -> Iterator[tuple[slice, torch.Tensor]]:
        """Yield rows of the inputs and the components (component, row, column) there, all at once or a few rows."""
        if self.runner.fast.component_bands is None:
            yield slice(0, inputs.fine.shape[2]), self._components(inputs)
            return
        for rows, found in self.runner.fast.component_bands(inputs.fine, inputs.coarse, inputs.edges):
            yield rows, found[0].to(self.runner.input_dtype)

    def _components(self, inputs: Inputs) -> torch.Tensor:
        return self.runner.components(inputs)[0].to(self.runner.input_dtype)

    def changed(self, inputs: Inputs) -> tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor]]:
        """Return the activations of the layer, (feature, cell row, cell column), and what makes logits of others.

        The function takes activations of that shape and returns logits (output, row, column).
        """
        if self.linear:
            return self._components(inputs), self.weighted
        with torch.no_grad():
            activation, kept = self._before(inputs)

        def logits_of(changed: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                return self._after(changed[None], kept)[0]

        return activation[0], logits_of

    def weighted(self, activation: torch.Tensor) -> torch.Tensor:
        """Return the logits (output, row, column) of components."""
        flat = self.weight @ activation.flatten(1) + self.bias[:, None]
        return flat.view(-1, *activation.shape[1:])

    def _on_pixels(self, cells: torch.Tensor, inputs: Inputs) -> torch.Tensor:
        """Return the map of each cell's values (feature, row, column) on the pixels of the inputs."""
        step = self.shape.step
        if step == 1:
            return cells[0]
        rows, cols = inputs.fine.shape[2:]
        down, across = (
            (torch.arange(pixels, device=cells.device) // step).clamp(max=size - 1)
            for pixels, size in ((rows, cells.shape[2]), (cols, cells.shape[3]))
        )
        return cells[0][:, down][:, :, across]

    def _before(self, inputs: Inputs) -> tuple[torch.Tensor, dict[fx.Node, object]]:
        """Return the activations and what else is needed behind the layer."""
        given = iter((inputs.fine, inputs.coarse))
        values: dict[fx.Node, object] = {}
        needed = {node for late in self._behind for node in late.all_input_nodes} | {*self._nodes}
        known = self._known(inputs)
        steps = _steps_to(needed, [node for node in self._ahead if node not in known])
        uses = {node: sum(user in steps for user in node.users) for node in self._ahead}
        for node in self._ahead:
            if node.op == "placeholder":
                values[node] = next(given)
            elif node in known:
                values[node] = known[node]
            elif node in steps:
                values[node] = self._called(node, values)
                for used in node.all_input_nodes:
                    uses[used] -= 1
                    if not uses[used] and used not in needed:
                        values.pop(used, None)
        own = [values.pop(node) for node in self._nodes]
        activation = own[0] if len(own) == 1 else torch.cat(own, 1)  # type: ignore[arg-type]
        if not isinstance(activation, torch.Tensor):
            raise AssertionError("not isinstance(activation, torch.Tensor)")
        return activation, {node: values[node] for node in needed if node in values}

    def _known(self, inputs: Inputs) -> dict[fx.Node, torch.Tensor]:
        """Return outputs of layers before this one that the architecture computes faster; by the node."""
        inner, runner = self.runner.fast.inner, self.runner
        nodes = {str(node.target): node for node in self._ahead if node.op == "call_module"}
        exact = runner.dtype == runner.input_dtype
        if inner is None or not exact or not set(runner.fast.inner_layers) <= nodes.keys():
            return {}
        found = inner(inputs.fine, inputs.coarse, inputs.edges)
        return {nodes[name]: each.to(runner.input_dtype) for name, each in found.items()}

    def _after(self, activation: torch.Tensor, kept: dict[fx.Node, object]) -> torch.Tensor:
        """Return the logits (1, output, row, column) of activations."""
        # Layers may work in place on what they are given.
        parts = activation.clone().split([part.channels for part in self.shape.layers], 1)
        values = {**kept, **dict(zip(self._nodes, parts))}
        result: object = parts[0]
        for node in self._behind:
            if node.op == "output":
                result = fx.map_arg(node.args[0], values.__getitem__)
                break
            values[node] = self._called(node, values)
        if not isinstance(result, torch.Tensor):
            raise AssertionError("not isinstance(result, torch.Tensor)")
        return result

    def _called(self, node: fx.Node, values: dict[fx.Node, object]) -> object:
        args = fx.map_arg(node.args, values.__getitem__)
        named = fx.map_arg(node.kwargs, values.__getitem__)
        if node.op == "call_module":
            module = self._modules[str(node.target)]
            return separable_mean(module, *args) if isinstance(module, SamePool2d) else module(*args, **named)
        if node.op == "call_method":
            return getattr(args[0], str(node.target))(*args[1:], **named)
        if node.op == "get_attr":
            value: object = self._graph
            for part in str(node.target).split("."):
                value = getattr(value, part)
            return value
        if not callable(node.target):
            raise AssertionError("not callable(node.target)")
        return node.target(*args, **named)


def _steps_to(needed: set[fx.Node], nodes: Sequence[fx.Node]) -> set[fx.Node]:
    """Return which of some nodes, given in their order, the needed ones come from."""
    steps: set[fx.Node] = set()
    for node in reversed(nodes):
        if node in needed or any(user in steps for user in node.users):
            steps.add(node)
    return steps


def separable_mean(pool: SamePool2d, values: torch.Tensor) -> torch.Tensor:
    """Return what a pool does, by rows and then by columns: 2 k instead of k² terms a pixel, equal up to rounding."""
    rows, cols = values.shape[-2:]
    padded = functional.pad(values, (pool.before, pool.after, pool.before, pool.after))
    means = functional.avg_pool2d(padded, (pool.size, 1), stride=1)
    means = functional.avg_pool2d(means, (1, pool.size), stride=1)
    counts = pool.counts(rows, values)[:, None] * pool.counts(cols, values)
    return means * (pool.size**2 / counts)


def _parts(graph: fx.GraphModule, names: Sequence[str]) -> tuple[list[fx.Node], list[fx.Node], list[fx.Node]]:
    """Return the nodes that do not depend on layers, those that do, and the layers' own, which are among the first.

    Of layers that are looked at together one may depend on another: what lies between them is none of those behind.

    Raises
    ------
    ParameterError
        If one of several reaches the logits through the others alone.
    """
    nodes: list[fx.Node] = list(graph.graph.nodes)
    own = [[node for node in nodes if node.op == "call_module" and node.target == name][-1] for name in names]
    last = next(node for node in nodes if node.op == "output")
    reached: set[fx.Node] = set()  # from the logits backwards, up to the layers
    waiting = [last]
    while waiting:
        for used in waiting.pop().all_input_nodes:
            if used not in reached:
                reached.add(used)
                waiting += [] if used in own else [used]
    hidden = [node.target for node in own if node not in reached]
    if hidden:
        raise ParameterError(
            f"NETWORK_LAYER={JOINED.join(names)}: {hidden[0]} acts through the others alone. Leave it out."
        )
    behind: set[fx.Node] = set()
    for node in nodes:
        after = node in reached and node not in own
        if after and any(used in own or used in behind for used in node.all_input_nodes):
            behind.add(node)
    ahead = [node for node in nodes if node not in behind and node is not last]
    ordered = [node for node in nodes if node in behind or node is last]
    return ahead, ordered, own
