"""The layers of a network that can be looked at: their names, features and resolution.

The components, the inputs of the last 1 x 1 convolution, have a name of their own (:data:`COMPONENTS`). Layers of one
resolution can be looked at together, joined by ``+``: ``relu6+relu2+upsample``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ...ground.errors import ParameterError
from ...networks.inner_layers import layer_names
from ..streaming.runner import Inputs, Runner

COMPONENTS = "components"
JOINED = "+"
_NAMED = 380  # letters of a list of layers in an error


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
    parts : tuple of LayerShape
        The layers that are joined; empty for a single one.
    """

    name: str
    channels: int
    step: int
    parts: tuple[LayerShape, ...] = ()

    @property
    def layers(self) -> tuple[LayerShape, ...]:
        """The single layers."""
        return self.parts or (self,)

    @property
    def text(self) -> str:
        """The layer in a list: ``relu6 (18)``, ``pool (32, 1/4)``."""
        return f"{self.name} ({self.channels}{f', 1/{self.step}' if self.step > 1 else ''})"


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
        If there is no such layer; it lists those there are. If layers are joined that cannot be.
    """
    shapes = layer_shapes(runner)
    if not name.strip() and shapes:
        return shapes[-1] if shapes[-1].name == COMPONENTS or len(shapes) < 2 else shapes[-2]
    wanted = {part.strip() for part in name.split(JOINED)}
    found = tuple(shape for shape in shapes if shape.name in wanted)
    if len(found) == len(wanted):
        return found[0] if len(found) == 1 else _joined(found)
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


def _joined(parts: tuple[LayerShape, ...]) -> LayerShape:
    """Return several layers as one.

    Raises
    ------
    ParameterError
        If they differ in resolution, or the components are among them.
    """
    name = JOINED.join(part.name for part in parts)
    if any(part.name == COMPONENTS for part in parts):
        raise ParameterError(
            f"NETWORK_LAYER={name}: the components hold all that reaches the last layer. Give them alone."
        )
    if len({part.step for part in parts}) > 1:
        raise ParameterError(
            f"NETWORK_LAYER={name}: only layers of one resolution are looked at together; these are "
            f"{', '.join(part.text for part in parts)}."
        )
    return LayerShape(name, sum(part.channels for part in parts), parts[0].step, parts)


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
