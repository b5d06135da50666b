"""An ONNX graph turned into a graph of layers with its weights: :func:`read_onnx`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from ....ground.errors import ModelError
from ....networks.files import short_path, shown, shown_text
from ....networks.graph.filled import filled_up
from ....networks.graph.geometry import geometry
from ....networks.graph.grids import Grid
from ....networks.graph.spec import COARSE, FINE, GraphError, GraphSpec, Node
from . import arithmetic, operators
from .dense import matrix_product, reformed, whole_patch
from .model import OnnxGraph, OnnxNode, OnnxValue, read_model
from .step import Step
from .values import FIRST, LAST, Array, Known, Value
from .writer import GraphWriter

# Rows and columns of the images for which sizes are followed, where a file leaves them open: any, and whole strides.
_ANY_IMAGES = ((512, 768), (513, 641), (527, 700), (530, 590), (575, 561), (544, 611))
_WHOLE_IMAGES = ((512, 768), (768, 512), (1024, 1536))
_MOST_CHANNELS = 4_096
# Of numbers that operators make of weights and sizes before the network runs, all of them together.
MOST_BYTES_KNOWN = 2 << 30
# What turns logits into an answer: the head of a card says so instead.
_ENDS = ("Softmax", "LogSoftmax", "Sigmoid", "ArgMax", "Identity", "Cast")


class OnnxNetwork(NamedTuple):
    """What an ONNX file holds.

    Parameters
    ----------
    spec : GraphSpec
        The network as a graph of layers.
    weights : dict of str to numpy.ndarray
        ``<node>.<tensor>``, float32.
    notes : tuple of str
        Sentences: what was left out, or is not as in the file.
    """

    spec: GraphSpec
    weights: dict[str, np.ndarray]
    notes: tuple[str, ...]


def read_onnx(path: str | os.PathLike, coarse: int = 0, ratio: int = 1) -> OnnxNetwork:
    """Return the network of an ONNX file as a graph of layers; nothing of the file is executed.

    Parameters
    ----------
    path : path
        The file.
    coarse : int
        How many of the last channels of its only input are coarse: they are brought from cells to pixels inside of the
        network. A file with two inputs has its coarse channels in the second, whatever is given here.
    ratio : int
        Fine pixels along one side of a coarse cell.

    Raises
    ------
    ModelError
        If the file cannot be read, or holds an operator that no layer stands for, naming it and its node.
    """
    graph = read_model(path)
    try:
        return converted(graph, coarse, ratio)
    except ModelError as error:
        raise ModelError(f"{short_path(path)}: {error}") from None


def converted(graph: OnnxGraph, coarse: int = 0, ratio: int = 1) -> OnnxNetwork:
    """Return what :func:`read_onnx` does, of a file that has been read.

    Where sizes do not fit for any image, or arrays are stretched to odd sizes of others, the network is that of images
    of whole strides, and its image is filled up to such.
    """
    try:
        network = Conversion(graph, coarse, ratio).network()
    except ModelError as first:
        try:
            return Conversion(graph, coarse, ratio, whole_strides=True).network()
        except ModelError:
            raise first from None
    if any(
        node.kind == "resize" and network.spec.grids[node.inputs[0]].spread for node in network.spec.nodes
    ):
        with suppress(ModelError):
            return Conversion(graph, coarse, ratio, whole_strides=True).network()
    return network


class Conversion:
    """An ONNX graph on its way to a graph of layers."""

    def __init__(self, graph: OnnxGraph, coarse: int, ratio: int, whole_strides: bool = False) -> None:
        self.graph = graph
        self.notes: list[str] = []
        # Whether the network is that of the file for images of whole strides only.
        self.whole_strides = whole_strides
        self._images = _WHOLE_IMAGES if whole_strides else _ANY_IMAGES
        self.patches = False  # whether it has dense layers
        self._values: dict[str, Value] = {"": None}
        self._bytes_known = 0  # of numbers that operators made
        self._readers: dict[str, list[OnnxNode]] = {}
        for node in graph.nodes:
            for name in node.inputs:
                self._readers.setdefault(name, []).append(node)
        self._begin(coarse, ratio)

    def _begin(self, coarse: int, ratio: int) -> None:
        inputs = self.graph.inputs
        if not 1 <= len(inputs) <= 2:
            raise ModelError(
                f"the network has {len(inputs)} inputs ({', '.join(shown(v.name) for v in inputs[:4])}); one is "
                "read, or two: fine and coarse channels."
            )
        forms = [self._form(value) for value in inputs]
        (channels, sizes), *second = forms
        if second:
            coarse, cells = second[0]
            if self.sizes_are_open(inputs[0]) != self.sizes_are_open(inputs[1]):
                raise ModelError("of its two inputs one has a fixed size, the other none. Export both alike.")
            ratio = ratio if self.sizes_are_open(inputs[1]) else max(1, round(sizes[0, 0] / cells[0, 0]))
        if not 0 <= coarse < channels + (coarse if second else 0):
            raise ModelError(
                f"of {channels} channels {coarse} cannot be coarse. Give fewer, at least one is fine."
            )
        self.fine = channels if second else channels - coarse
        self.coarse, self.ratio = coarse, ratio if coarse else 1
        grids = {FINE: Grid(self.fine, (Fraction(1),) * 2)}
        shapes = {FINE: sizes}
        if coarse:
            grids[COARSE] = Grid(coarse, (Fraction(self.ratio),) * 2)
            shapes[COARSE] = -(-sizes // self.ratio)
        self.writer = GraphWriter(grids, shapes)
        first = FINE
        if coarse and not second:
            upsampled = self.writer.add("cells", "cells", (COARSE, FINE), {"ratio": self.ratio})
            first = self.writer.add("all_channels", "concatenate", (FINE, upsampled))
        for value, name in zip(inputs, (first, COARSE)):
            self._values[value.name] = Array(name, LAST if self._channels_last(value) else FIRST)

    def sizes_are_open(self, value: OnnxValue) -> bool:
        """Return whether an input takes images of any size."""
        rows = 1 if self._channels_last(value) else 2
        return None in value.sizes[rows : rows + 2]

    def _channels_last(self, value: OnnxValue) -> bool:
        readers = self._readers.get(value.name, [])
        return bool(readers) and all(
            node.operator == "Transpose" and node.attributes.get("perm") == [0, 3, 1, 2] for node in readers
        )

    def _form(self, value: OnnxValue) -> tuple[int, np.ndarray]:
        """Return the channels of an input, and rows and columns (2, image) of the images that are followed."""
        if len(value.sizes) != 4:
            raise ModelError(
                f"its input {shown(value.name)} has {len(value.sizes)} dimensions instead of four: sample, channel, "
                "row, column."
            )
        last = self._channels_last(value)
        channels, rows, cols = value.sizes[3 if last else 1], *value.sizes[1 if last else 2 :][:2]
        if channels is None or channels > _MOST_CHANNELS:
            raise ModelError(
                f"its input {shown(value.name)} leaves open how many channels it has, or has more than "
                f"{_MOST_CHANNELS}. Export it with a fixed number."
            )
        if rows is None or cols is None:
            return channels, np.array(self._images).T
        if not (0 < rows <= 1 << 16 and 0 < cols <= 1 << 16):
            raise ModelError(
                f"its input {shown(value.name)} is {rows} x {cols} pixels large, as no network's."
            )
        return channels, np.array([[rows], [cols]])

    def array_of_size(
        self, target: np.ndarray, steps: tuple[Fraction, Fraction] | None, axis: int | None
    ) -> str | None:
        """Return the array written last that has these rows and columns (or one of them) for all images."""
        either = None
        for name in reversed(self.writer.sizes):
            sizes = self.writer.sizes[name]
            if steps is not None and self.writer.grids[name].steps != steps:
                continue
            if np.array_equal(sizes, np.broadcast_to(target, sizes.shape)):
                return name
            if either is None and axis is not None and np.array_equal(sizes[axis], target[axis]):
                either = name
        return either

    def network(self) -> OnnxNetwork:
        """Return the graph of layers."""
        for node in self.graph.nodes:
            self._read(node)
        outputs = [self._output(value) for value in self.graph.outputs]
        if not outputs:
            raise ModelError("the network has no output.")
        nodes, outputs = self._over_pixels(outputs)
        nodes = _needed(nodes, outputs)
        spec = self._checked(nodes, tuple(outputs))
        kept = {node.name for node in spec.nodes}
        weights = {name: value for name, value in self.writer.weights.items() if name.split(".")[0] in kept}
        for name, value in weights.items():
            if not np.isfinite(value).all():
                raise ModelError(
                    f"its weights {shown(name)} are not finite everywhere. The network is damaged."
                )
        return OnnxNetwork(spec, weights, tuple(dict.fromkeys(self.notes)))

    def _read(self, node: OnnxNode) -> None:
        outputs = [name for name in node.outputs if name]
        for name in node.inputs:
            if name and name not in self._values and name in self.graph.tensors:
                self._values[name] = Known.constant(self.graph.tensors[name])
        missing = [name for name in node.inputs if name not in self._values]
        if missing:
            raise ModelError(
                f"the node {shown(node.name)} reads {shown(missing[0])}, which nothing before it computes. The file is "
                "damaged."
            )
        step = Step(self, node, [self._values[name] for name in node.inputs])
        if any(name in self._values for name in outputs):
            raise step.error("it computes a value a second time")
        try:
            result = self._result(step)
        except (KeyError, ValueError, TypeError, IndexError, OverflowError) as error:
            raise step.error(f"its settings cannot be read ({type(error).__name__})") from None
        except GraphError as error:
            raise step.error(str(error)) from None
        if outputs:
            self._values[outputs[0]] = result

    def _result(self, step: Step) -> Value:
        operator, values = step.node.operator, step.values
        if operator == "Constant":
            return _constant(step)
        if operator == "Shape" and isinstance(values[0], Array):
            return self._shape(step, values[0])
        if operator in ("Flatten", "Reshape", "Squeeze") and values and isinstance(values[0], Array):
            return reformed(step)
        if operator in ("Gemm", "MatMul"):
            self.patches = True
            return matrix_product(step)
        computed = [value for value in values if isinstance(value, Known)]
        if values and len(computed) == len([value for value in values if value is not None]):
            if operator not in arithmetic.OPERATORS:
                raise step.error("it is not known for sizes and constants")
            return self._computed(step, computed)
        if operator in _ENDS and self._ends(step.node):
            return self._end(step)
        if operator == "Split":
            raise step.error("it splits channels, for which no layer is known")
        if operator not in operators.OPERATORS:
            raise ModelError(
                f"the node {shown(step.node.name)} has the operator {shown_text(operator, 40)}, for which no layer is "
                f"known. Known are: {', '.join(sorted(operators.OPERATORS))}."
            )
        result = operators.OPERATORS[operator](step)
        return replace(result, flat=any(isinstance(value, Array) and value.flat for value in values))

    def _computed(self, step: Step, inputs: list[Known]) -> Known:
        """Return what an operator makes of known numbers: all of them are kept, so that their sum is bounded."""
        try:
            known = arithmetic.computed(step.node.operator, inputs, step.attributes)
        except arithmetic.Beyond as beyond:
            raise step.error(str(beyond)) from None
        self._bytes_known += known.values.nbytes if known.values.base is None else 0  # views take no memory
        if self._bytes_known > MOST_BYTES_KNOWN:
            raise step.error("it and the operators before it would make too many numbers")
        return known

    def _shape(self, step: Step, value: Array) -> Known:
        sizes = self.writer.sizes[value.name]
        rows, channels = sizes, np.full_like(sizes[:1], self.writer.grids[value.name].channels)
        one = np.ones_like(channels)
        if value.flat:
            raise step.error("it asks for the size of an array that is one list")
        parts = [one, rows, channels] if value.channels == LAST else [one, channels, rows]
        start, end = int(step.attributes.get("start", 0)), step.attributes.get("end")
        return Known(np.concatenate(parts)[start : None if end is None else int(end)])

    def _ends(self, node: OnnxNode) -> bool:
        """Return whether nothing but outputs of the file lies behind a node."""
        names = {value.name for value in self.graph.outputs}
        for _ in range(4):
            readers = [reader for name in node.outputs for reader in self._readers.get(name, [])]
            if not readers:
                return any(name in names for name in node.outputs)
            if len(readers) > 1 or any(name in names for name in node.outputs):
                return False
            node = readers[0]
            if node.operator not in (*_ENDS, "Transpose"):
                return False
        return False

    def _end(self, step: Step) -> Value:
        value = step.values[0]
        if step.node.operator in ("Softmax", "LogSoftmax", "ArgMax") and isinstance(value, Array):
            axis = int(step.attributes.get("axis", -1 if step.opset >= 13 else 1))
            wanted = 1 if value.flat or value.channels == FIRST else 3
            if axis % (2 if value.flat else 4) != wanted:
                raise step.error("it is taken over another axis than the channels")
        if step.node.operator not in ("Identity", "Cast"):
            self.notes.append(
                f"The file ends in {step.node.operator}, which is left out: the network of a package returns logits, "
                f"and its heads say what they become ({'softmax' if 'max' in step.node.operator else 'sigmoid'})."
            )
        return value

    def _output(self, value: OnnxValue) -> str:
        found = self._values.get(value.name)
        if not isinstance(found, Array):
            raise ModelError(f"its output {shown(value.name)} is no array that its layers compute.")
        return found.name

    def _over_pixels(self, outputs: list[str]) -> tuple[list[Node], list[str]]:
        return whole_patch(self.writer, outputs, self.notes) if self.patches else self._covered(outputs)

    def _covered(self, outputs: list[str]) -> tuple[list[Node], list[str]]:
        """Bring outputs that are coarser than the image to its pixels."""
        found = []
        for name in outputs:
            steps = self.writer.grids[name].steps
            if steps != (1, 1) and all(step >= 1 and step.denominator == 1 for step in steps):
                factor = [int(step) for step in steps]
                self.notes.append(
                    f"The output '{name}' has places of {factor[0]} x {factor[1]} pixels, which are repeated over them."
                )
                name = self.writer.add(f"{name}_pixels", "upsample", (name,), {"factor": factor})
                name = self.writer.add(f"{name}_fit", "fit", (name, FINE), {"mode": "replicate"})
            found.append(name)
        return list(self.writer.nodes.values()), found

    def _checked(self, nodes: Sequence[Node], outputs: tuple[str, ...]) -> GraphSpec:
        """Return the graph; where its arrays fit for whole strides alone, with an image that is filled up to such."""
        spec = GraphSpec(self.fine, tuple(nodes), outputs, self.coarse, self.ratio)
        try:
            if self.whole_strides:
                raise GraphError("whole strides alone")
            geometry(spec)
            return spec
        except GraphError:
            filled = filled_up(spec)
            geometry(filled)
        self.notes.append(
            f"The network takes images of whole strides: one of another size is filled up to a multiple of "
            f"{filled.nodes[0].values['multiple']} pixels by its last rows and columns."
        )
        return filled


def _needed(nodes: Sequence[Node], outputs: Sequence[str]) -> list[Node]:
    """Return the nodes on which outputs depend, in their order."""
    wanted = set(outputs)
    for node in reversed(nodes):
        if node.name in wanted:
            wanted.update(node.inputs)
    return [node for node in nodes if node.name in wanted]


def _constant(step: Step) -> Known:
    for name in ("value", "value_float", "value_int", "value_floats", "value_ints"):
        if name in step.attributes:
            value = step.attributes[name]
            if isinstance(value, str):
                break
            dtype = None if isinstance(value, np.ndarray) else np.int64 if "int" in name else np.float32
            return Known.constant(np.asarray(value, dtype))
    raise step.error("it holds no numbers")
