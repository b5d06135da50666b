"""One operator of a file while it is turned into layers: its inputs as operators ask for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ....ground.errors import ModelError
from ....networks.files import shown, shown_text
from .values import FIRST, LAST, Array, Known, Value

if TYPE_CHECKING:
    from .convert import Conversion
    from .model import OnnxNode


class Step:
    """One operator of a file while it is turned into layers: what :mod:`.operators` works with."""

    def __init__(self, conversion: Conversion, node: OnnxNode, values: list[Value]) -> None:
        self._conversion, self.node, self.values = conversion, node, values
        self.attributes: Mapping[str, Any] = node.attributes
        self.writer, self.opset = conversion.writer, conversion.graph.opset
        self.hint = node.name or node.operator

    def error(self, problem: str) -> ModelError:
        """Return the error of this operator."""
        return ModelError(
            f"the node {shown(self.node.name)} ({shown_text(self.node.operator, 40)}) cannot be turned into a layer: "
            f"{shown_text(problem, 200)}. Export the network without it."
        )

    def add(
        self,
        kind: str,
        inputs: Sequence[str],
        settings: dict[str, Any] | None = None,
        tensors: Mapping[str, np.ndarray] | None = None,
        suffix: str = "",
    ) -> str:
        """Write a node of the graph of layers, and return its name."""
        return self.writer.add(f"{self.hint}{suffix}", kind, inputs, settings, **(tensors or {}))

    def scaled(self, source: str, scale: np.ndarray | None, shift: np.ndarray | None) -> str:
        """Write scale · values + shift of each channel."""
        return self.writer.scaled(self.hint, source, scale, shift)

    def has(self, at: int) -> bool:
        """Return whether an input is given."""
        return at < len(self.values) and self.values[at] is not None

    def array(self, at: int) -> str:
        """Return the name of an input that a layer computes, with its channels first."""
        value = self.values[at] if self.has(at) else None
        if not isinstance(value, Array):
            raise self.error("an input that the network computes is missing")
        if value.groups:
            raise self.error("it reads groups of channels, each as one list")
        if value.channels != FIRST and not value.flat:
            raise self.error("it reads an array whose channels are last")
        return value.name

    def known(self, at: int) -> Known:
        """Return an input that is known before the network runs."""
        value = self.values[at] if self.has(at) else None
        if not isinstance(value, Known):
            raise self.error("its weights or settings are computed by the network")
        return value

    def fixed(self, at: int) -> np.ndarray:
        """Return an input that is the same for any image."""
        found = self.known(at).fixed
        if found is None:
            raise self.error("a setting of it depends on the size of the image")
        return found

    def channels(self, source: str) -> int:
        """Return the channels of an array."""
        return self.writer.grids[source].channels

    def rows_axis(self, at: int) -> int:
        """Return which axis of an input its rows are."""
        value = self.values[at]
        return 1 if isinstance(value, Array) and value.channels == LAST else 2

    def by_channel(self, at: int) -> np.ndarray:
        """Return a constant that is added to each channel, or multiplies it."""
        values = self.fixed(at)
        if any(isinstance(value, Array) and value.flat for value in self.values):
            values = values.reshape(*values.shape, 1, 1)
        shape = (1,) * (4 - values.ndim) + values.shape
        a_channel = len(shape) == 4 and shape[0] == 1 and shape[2:] == (1, 1)
        if not a_channel and values.size != 1:
            raise self.error(
                f"a constant of the shape {shown(list(values.shape))} is not one number a channel"
            )
        return values.ravel().astype(np.float64)

    def arrays_and_rest(self, operation: Callable[..., np.ndarray]) -> tuple[list[str], np.ndarray | None]:
        """Return the inputs that the network computes, and what the constants among them are together."""
        arrays = [self.array(at) for at, value in enumerate(self.values) if isinstance(value, Array)]
        rest = None
        for at, value in enumerate(self.values):
            if isinstance(value, Known):
                own = self.by_channel(at)
                rest = own if rest is None else operation(rest, own)
        if rest is not None and arrays and rest.size not in (1, self.channels(arrays[0])):
            raise self.error(f"a constant has {rest.size} numbers for {self.channels(arrays[0])} channels")
        return arrays, rest

    def target_size(self, own: np.ndarray) -> np.ndarray:
        """Return the rows and columns (2, image) to which Resize brings an array."""
        operator, older = self.node.operator, self.node.operator == "Upsample" or self.opset < 11
        at = 1 if older else 2
        if older and operator == "Upsample" and "scales" in self.attributes:
            scales = np.asarray(self.attributes["scales"], float)[:, None]
        elif self.has(at) and self.known(at).values.size:
            scales = self.known(at).values.astype(float)
        elif self.has(3):
            target = self.known(3).values
            return self._last_two(target) + 0 * own
        else:
            raise self.error("neither its scales nor its sizes are given")
        return np.floor(self._last_two(scales) * own + 1e-6).astype(np.int64)

    def _last_two(self, values: np.ndarray) -> np.ndarray:
        if values.ndim != 2 or len(values) not in (2, 4):
            raise self.error("its scales or sizes are not those of four axes")
        return values[-2:]

    def array_of_size(
        self, target: np.ndarray, steps: tuple[Fraction, Fraction] | None = None, axis: int | None = None
    ) -> str | None:
        """Return the last array with these rows and columns for all images, of these steps where they are given."""
        return self._conversion.array_of_size(target, steps, axis)

    def needs_multiple(self) -> None:
        """Keep that the network is that of the file for images of whole strides only."""
        self._conversion.whole_strides = True
