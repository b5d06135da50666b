"""A network cut at one of its layers: what the layer puts out, and how the logits depend on it.

The network's graph falls into what comes before the layer and what depends on it. Only the second part is
differentiated, and only it is run again where features are changed::

    cut = LayerCut(runner, "relu6")
    values = cut.values(inputs, seeds_of)       # logits, activations, gradients on the pixels of the inputs
    logits = cut.changed(inputs)                # a function: logits for other activations of the same inputs

The components, the inputs of the last 1 x 1 convolution, have a name of their own (:data:`COMPONENTS`). The logits are
linear in them, so that neither a graph nor a backward pass is needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import fx, nn
from torch.nn import functional

from ...ground.errors import ParameterError
from ...networks.inner_layers import layer_names
from ...networks.layers import SamePool2d, trace
from ..streaming.runner import Inputs, Runner

COMPONENTS = "components"
_NAMED = 380  # letters of a list of layers in an error
# Pairs of activations on which a layer is tried for being affine, and what rounding may leave.
_TRIALS, _ROUNDING = 3, 1e-4


@dataclass(frozen=True)
class LayerShape:
    """A layer that can be looked at.

    Parameters
    ----------
    name : str
        Its name in the network, or :data:`COMPONENTS`.
    channels : int
        Features.
    step : int
        Pixels along one side of a cell of its maps.
    """

    name: str
    channels: int
    step: int

    @property
    def text(self) -> str:
        """The layer in a list: ``relu6 (18)``, ``pool (32, 1/4)``."""
        return f"{self.name} ({self.channels}{f', 1/{self.step}' if self.step > 1 else ''})"


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
        assert self.gradient is not None
        product = self.gradient * self.activation
        return product if self.density == 1 else product * self.density


SeedsOf = Callable[[torch.Tensor], torch.Tensor]  # logits (1, output, row, column) → seeds of that shape


def layer_shapes(runner: Runner) -> tuple[LayerShape, ...]:
    """Return the layers of a network that put out maps, from the inputs to the logits; the components last.

    Raises
    ------
    ModelError
        If the way through the network depends on data.
    """
    inputs = probe_inputs(runner, 1)
    rows, cols = inputs.fine.shape[2:]
    outputs = dict.fromkeys(layer_names(runner.module))
    shapes: dict[str, torch.Size] = {}

    def recorder(name: str):
        def record(_module, _inputs, output) -> None:
            if isinstance(output, torch.Tensor):
                shapes[name] = output.shape

        return record

    handles = [runner.module.get_submodule(name).register_forward_hook(recorder(name)) for name in outputs]
    try:
        with torch.inference_mode():
            runner.module(inputs.fine, inputs.coarse)
    finally:
        for handle in handles:
            handle.remove()
    listed = [
        LayerShape(name, shapes[name][1], step)
        for name in outputs
        if name in shapes and (step := _step(shapes[name], rows, cols))
    ]
    if runner.has_components and COMPONENTS not in outputs:
        weights, _ = runner.output_weights()
        listed.append(LayerShape(COMPONENTS, weights.shape[1], 1))
    return tuple(listed)


def named_layer(runner: Runner, name: str) -> LayerShape:
    """Return the layer of a name; without one the components, or else the last layer before the logits.

    Raises
    ------
    ParameterError
        If there is no such layer; it lists those there are.
    """
    shapes = layer_shapes(runner)
    if not name.strip() and shapes:
        return shapes[-1] if shapes[-1].name == COMPONENTS or len(shapes) < 2 else shapes[-2]
    for shape in shapes:
        if shape.name == name.strip():
            return shape
    # Dropout does nothing in use: such a layer may be named, and need not be listed.
    modules = dict(runner.module.named_modules())
    texts = [shape.text for shape in shapes if not isinstance(modules.get(shape.name), nn.Dropout)]
    listed = ", ".join(texts)
    if len(listed) > _NAMED:
        while texts and len(", ".join(texts)) > _NAMED:
            texts.pop(len(texts) // 2)
        middle = len(texts) // 2
        listed = f"{', '.join(texts[:middle])}, …, {', '.join(texts[middle:])}"
    raise ParameterError(
        f"Model '{runner.card.id}' has no layer '{name}'. Set NETWORK_LAYER to one of these (with their features): "
        f"{listed}."
    )


def probe_inputs(runner: Runner, cells: int) -> Inputs:
    """Return standardised inputs of mean values over at least `cells` x `cells` windows of the alignment."""
    side = runner.alignment * max(cells, -(-16 // runner.alignment))
    fine = torch.zeros((1, len(runner.fine_channels), side, side), dtype=runner.input_dtype)
    coarse = None
    if runner.coarse_channels:
        number = side // runner.ratio
        coarse = torch.zeros((1, len(runner.coarse_channels), number, number), dtype=runner.input_dtype)
        coarse = coarse.to(runner.device)
    return Inputs(fine.to(runner.device), coarse)


def _step(shape: Sequence[int], rows: int, cols: int) -> int:
    """Return the pixels along a cell of a map of such a shape; 0 where it is no map of the pixels."""
    if len(shape) != 4 or not shape[2] or not shape[3]:
        return 0
    step = round(rows / shape[2])
    return step if step >= 1 and shape[2] * step == rows and shape[3] * step == cols else 0


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
        if self.linear:
            weight, bias = runner.output_weights()
            self.weight = torch.as_tensor(weight, dtype=runner.input_dtype, device=runner.device)
            self.bias = torch.as_tensor(bias, dtype=runner.input_dtype, device=runner.device)
        else:
            self._graph = trace(runner.module)
            self._modules = dict(self._graph.named_modules())
            self._ahead, self._behind, self._node = _parts(self._graph, shape.name)

    @cached_property
    def reach(self) -> int:
        """How far, in pixels, a logit lies from the cells of the layer that it depends on; measured."""
        if self.linear:
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

    @property
    def halo(self) -> int:
        """Pixels around a window which the network has to see for exact activations, gradients and seeds inside.

        A gradient depends on the activations behind the layer up to `reach` away, and each of these on inputs within
        the network's receptive field.
        """
        return self.runner.radius + self.reach

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
            activation = self.runner.components(inputs)[0]
            logits = self._weighted(activation)
            if seeds_of is None:
                return LayerValues(logits, activation, None, 1.0)
            seeds = seeds_of(logits[None])[0]
            return LayerValues(logits, activation, torch.einsum("orc,ok->krc", seeds, self.weight), 1.0)
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

    def changed(self, inputs: Inputs) -> tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor]]:
        """Return the activations of the layer, (feature, cell row, cell column), and what makes logits of others.

        The function takes activations of that shape and returns logits (output, row, column).
        """
        if self.linear:
            return self.runner.components(inputs)[0], self._weighted
        with torch.no_grad():
            activation, kept = self._before(inputs)

        def logits_of(changed: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                return self._after(changed[None], kept)[0]

        return activation[0], logits_of

    def _weighted(self, activation: torch.Tensor) -> torch.Tensor:
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
        needed = {node for late in self._behind for node in late.all_input_nodes} | {self._node}
        uses = {node: sum(user not in self._behind for user in node.users) for node in self._ahead}
        for node in self._ahead:
            values[node] = next(given) if node.op == "placeholder" else self._called(node, values)
            for used in node.all_input_nodes:
                uses[used] -= 1
                if not uses[used] and used not in needed:
                    values.pop(used, None)
        activation = values.pop(self._node)
        assert isinstance(activation, torch.Tensor)
        return activation, {node: values[node] for node in needed if node in values}

    def _after(self, activation: torch.Tensor, kept: dict[fx.Node, object]) -> torch.Tensor:
        """Return the logits (1, output, row, column) of activations."""
        # Layers may work in place on what they are given.
        values = {**kept, self._node: activation.clone()}
        result: object = values[self._node]
        for node in self._behind:
            if node.op == "output":
                result = fx.map_arg(node.args[0], values.__getitem__)
                break
            values[node] = self._called(node, values)
        assert isinstance(result, torch.Tensor)
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
        assert callable(node.target)
        return node.target(*args, **named)


def separable_mean(pool: SamePool2d, values: torch.Tensor) -> torch.Tensor:
    """Return what a pool does, by rows and then by columns: 2 k instead of k² terms a pixel, equal up to rounding."""
    rows, cols = values.shape[-2:]
    padded = functional.pad(values, (pool.before, pool.after, pool.before, pool.after))
    means = functional.avg_pool2d(padded, (pool.size, 1), stride=1)
    means = functional.avg_pool2d(means, (1, pool.size), stride=1)
    counts = pool.counts(rows, values)[:, None] * pool.counts(cols, values)
    return means * (pool.size**2 / counts)


def _parts(graph: fx.GraphModule, name: str) -> tuple[list[fx.Node], list[fx.Node], fx.Node]:
    """Return the nodes that do not depend on a layer, those that do, and the layer's own, which is among the first."""
    nodes: list[fx.Node] = list(graph.graph.nodes)
    own = [node for node in nodes if node.op == "call_module" and node.target == name][-1]
    behind: set[fx.Node] = set()
    for node in nodes:
        if any(used is own or used in behind for used in node.all_input_nodes):
            behind.add(node)
    last = next(node for node in nodes if node.op == "output")
    ahead = [node for node in nodes if node not in behind and node is not last]
    ordered = [node for node in nodes if node in behind or node is last]
    return ahead, ordered, own
