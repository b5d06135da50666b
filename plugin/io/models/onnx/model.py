"""The parts of an ONNX file that a network needs: nodes, constant tensors, inputs and outputs.

Field numbers are those of ``onnx.proto`` (onnx.ai, IR versions 3 to 12). Nothing but the file itself is opened: tensors
that lie in other files are refused, and so are functions, graphs inside of nodes and operators of other domains.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Union

import numpy as np

from ....ground.errors import ModelError
from ....networks.files import read_regular, short_path, shown, shown_text
from ..wire import BYTES, FIXED32, Reader, WireError, floats, numbers, signed, text

MOST_BYTES = 1 << 30
MOST_NODES = 20_000
_MOST_TENSORS = 20_000
_MOST_DIMENSIONS = 8
_MOST_LIST = 4_096
_MOST_NUMBERS = 1 << 28
_MOST_OWN_NUMBERS = 1 << 16  # of values that a file holds one by one, not as raw bytes
_OPSETS = (7, 25)
# Codes of ``TensorProto.DataType`` → numpy's types. bfloat16 (16) is read by itself.
_TYPES = {
    1: "<f4", 2: "u1", 3: "i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8", 9: "?", 10: "<f2", 11: "<f8", 12: "<u4",
    13: "<u8",
}  # fmt: skip
_BFLOAT16 = 16
_DOMAINS = ("", "ai.onnx")
Attribute = Union[int, float, str, "list[int]", "list[float]", np.ndarray]


@dataclass(frozen=True)
class OnnxNode:
    """An operator.

    Parameters
    ----------
    name, operator : str
        What the file calls it, and its type.
    inputs, outputs : tuple of str
        Names of values; empty for an input that is left out.
    attributes : mapping
        Its settings.
    """

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]


@dataclass(frozen=True)
class OnnxValue:
    """An input or an output.

    Parameters
    ----------
    name : str
        Its name.
    sizes : tuple
        Its dimensions; None for one that is left open.
    """

    name: str
    sizes: tuple[int | None, ...]


@dataclass(frozen=True)
class OnnxGraph:
    """What a file holds.

    Parameters
    ----------
    opset : int
        Version of the operators.
    nodes : tuple of OnnxNode
        In the order of computation.
    tensors : mapping of str to numpy.ndarray
        Constants by name, read only.
    inputs, outputs : tuple of OnnxValue
        Without constants.
    """

    opset: int
    nodes: tuple[OnnxNode, ...]
    tensors: Mapping[str, np.ndarray]
    inputs: tuple[OnnxValue, ...]
    outputs: tuple[OnnxValue, ...]


def read_model(path: str | os.PathLike) -> OnnxGraph:
    """Return what an ONNX file holds.

    Raises
    ------
    ModelError
        If it is no ONNX file, or holds what is not read; the sentence names it.
    """
    try:
        content = read_regular(path, MOST_BYTES)
    except FileNotFoundError:
        raise ModelError(f"There is no file {short_path(path)}. Give the path of an ONNX file.") from None
    try:
        return parse_model(content)
    except WireError as error:
        raise ModelError(
            f"{short_path(path)} cannot be read as ONNX: {shown_text(error, 250)}. Export or download it again."
        ) from None


def parse_model(content: bytes) -> OnnxGraph:
    """Return what the bytes of an ONNX file hold.

    Raises
    ------
    WireError
        If they are none, or hold what is not read.
    """
    return _Parser().model(memoryview(content))


@dataclass
class _Graph:
    nodes: list[OnnxNode] = field(default_factory=list)
    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    inputs: list[OnnxValue] = field(default_factory=list)
    outputs: list[OnnxValue] = field(default_factory=list)


class _Parser:
    """Reads the messages of a file; counts numbers, so that a small file makes no large arrays."""

    def __init__(self) -> None:
        self._reader = Reader()
        self._numbers = 0

    def model(self, message: memoryview) -> OnnxGraph:
        version, opset, graph = None, 0, None
        for number, _, value in self._reader.fields(message):
            if number == 1 and isinstance(value, int):
                version = value
            elif number == 7 and not isinstance(value, int):
                graph = value if graph is None else _twice("graph")
            elif number == 8 and not isinstance(value, int):
                opset = max(opset, self._opset(value))
            elif number == 25:
                raise WireError("it defines functions of its own, which are not read; export it without them")
        if version is None or graph is None or not opset:
            raise WireError("it has no version, no graph or no set of operators")
        if not _OPSETS[0] <= opset <= _OPSETS[1]:
            raise WireError(f"its operators are of version {opset}; {_OPSETS[0]} to {_OPSETS[1]} are read")
        parts = self._graph(graph)
        constant = parts.tensors.keys()
        inputs = tuple(value for value in parts.inputs if value.name not in constant)
        return OnnxGraph(opset, tuple(parts.nodes), parts.tensors, inputs, tuple(parts.outputs))

    def _opset(self, message: memoryview) -> int:
        domain, version = "", 0
        for number, _, value in self._reader.fields(message):
            if number == 1:
                domain = text(value)
            elif number == 2 and isinstance(value, int):
                version = value
        return version if domain in _DOMAINS else 0

    def _graph(self, message: memoryview) -> _Graph:
        graph, tensors = _Graph(), 0
        for number, kind, value in self._reader.fields(message):
            if number not in (1, 5, 11, 12, 15) or kind != BYTES:
                continue
            if isinstance(value, int):
                raise AssertionError("isinstance(value, int)")
            if number == 1:
                graph.nodes.append(self._node(value))
            elif number == 5:
                name, tensor = self._tensor(value)
                graph.tensors[name] = tensor
                tensors += 1
            elif number == 15:
                raise WireError("it holds sparse tensors, which are not read")
            else:
                (graph.inputs if number == 11 else graph.outputs).append(self._value(value))
            if len(graph.nodes) > MOST_NODES:
                raise WireError(f"it has more than {MOST_NODES} nodes, which no network of this kind has")
            if tensors > _MOST_TENSORS:
                raise WireError(
                    f"it has more than {_MOST_TENSORS} tensors, which no network of this kind has"
                )
        return graph

    def _node(self, message: memoryview) -> OnnxNode:
        inputs: list[str] = []
        outputs: list[str] = []
        texts = {3: "", 4: "", 7: ""}
        attributes: dict[str, Attribute] = {}
        raw = []
        for number, _, value in self._reader.fields(message):
            if number in (1, 2):
                (inputs if number == 1 else outputs).append(text(value))
            elif number in texts:
                texts[number] = text(value)
            elif number == 5 and not isinstance(value, int):
                raw.append(value)
        name, operator, domain = texts[3] or (outputs[0] if outputs else ""), texts[4], texts[7]
        where = f"the node {shown(name)} ({shown_text(operator, 60)})"
        if domain not in _DOMAINS:
            raise WireError(f"{where} is of the domain {shown(domain)}; only ONNX's own operators are known")
        for attribute in raw:
            key, content = self._attribute(attribute, where)
            attributes[key] = content
        return OnnxNode(name, operator, tuple(inputs), tuple(outputs), attributes)

    def _attribute(self, message: memoryview, where: str) -> tuple[str, Attribute]:
        name: str = ""
        content: Any = None
        lists: list[Any] = []
        for number, kind, value in self._reader.fields(message):
            if number == 1:
                name = text(value)
            elif number == 2 and kind == FIXED32:
                content = floats(value, 1)[0]
            elif number == 3 and isinstance(value, int):
                content = signed(value)
            elif number == 4:
                content = text(value)
            elif number == 5 and not isinstance(value, int):
                content = self._tensor(value)[1]
            elif number in (7, 8):
                lists += (floats if number == 7 else numbers)(value, _MOST_LIST)
                if len(lists) > _MOST_LIST:
                    raise WireError(f"{where} has a list of more than {_MOST_LIST} numbers")
            elif number in (6, 11):
                raise WireError(
                    f"{where} holds a graph of its own: control flow that depends on data is not read"
                )
            elif number in (21, 22, 23):
                raise WireError(f"{where} has a setting that is not read ({shown(name)})")
        return name, lists if content is None else content

    def _value(self, message: memoryview) -> OnnxValue:
        name, sizes = "", []
        for number, _, value in self._reader.fields(message):
            if number == 1:
                name = text(value)
            elif number == 2 and not isinstance(value, int):
                for shape in self._inside(value, (1, 2)):
                    for dimension in self._inside(shape, (1,)):
                        found = [
                            v for n, _, v in self._reader.fields(dimension) if n == 1 and isinstance(v, int)
                        ]
                        sizes.append(found[0] if found and 0 < found[0] < 1 << 31 else None)
        if len(sizes) > _MOST_DIMENSIONS:
            raise WireError(f"{shown(name)} has {len(sizes)} dimensions")
        return OnnxValue(name, tuple(sizes))

    def _inside(self, message: memoryview, path: tuple[int, ...]) -> list[memoryview]:
        """Return the messages that lie in fields of these numbers, inside one another."""
        found = [message]
        for wanted in path:
            found = [
                value
                for each in found
                for number, _, value in self._reader.fields(each)
                if number == wanted and not isinstance(value, int)
            ]
        return found

    def _tensor(self, message: memoryview) -> tuple[str, np.ndarray]:
        sizes: list[int] = []
        code, name, raw = 0, "", None
        own: list[np.ndarray] = []
        held = 0
        for number, _, value in self._reader.fields(message):
            if number == 1:
                sizes += numbers(value, _MOST_DIMENSIONS)
            elif number == 2 and isinstance(value, int):
                code = value
            elif number == 8:
                name = text(value)
            elif number == 9 and not isinstance(value, int):
                raw = value
            elif number == 13 or (number == 14 and value == 1):
                raise WireError(
                    f"the tensor {shown(name)} lies in another file, which is not opened; save the network as one file"
                )
            elif number in (4, 5, 7, 10, 11):
                own.append(_own_numbers(number, value))
                held += own[-1].size
                if held > (_MOST_NUMBERS if number in (4, 10) else _MOST_OWN_NUMBERS):
                    raise WireError(f"the tensor {shown(name)} holds too many numbers one by one")
            elif number == 3:
                raise WireError(f"the tensor {shown(name)} comes in segments, which are not read")
        return name, self._array(name, sizes, code, raw, own)

    def _array(
        self, name: str, sizes: list[int], code: int, raw: memoryview | None, own: list[np.ndarray]
    ) -> np.ndarray:
        where = f"the tensor {shown(name)}"
        if len(sizes) > _MOST_DIMENSIONS or any(not 0 <= size < 1 << 31 for size in sizes):
            raise WireError(f"{where} has the dimensions {shown(sizes)}, which no network has")
        count = math.prod(sizes)
        self._numbers += count
        if count > _MOST_NUMBERS or self._numbers > _MOST_NUMBERS:
            raise WireError(f"{where} would have {count} numbers; at most {_MOST_NUMBERS} are read of a file")
        if code != _BFLOAT16 and code not in _TYPES:
            raise WireError(f"{where} is of the type {code}, which is not read")
        kind = np.dtype("<u2" if code == _BFLOAT16 else _TYPES[code])
        if raw is not None:
            if len(raw) != count * kind.itemsize:
                raise WireError(f"{where} has {len(raw)} bytes for {count} numbers of {kind.itemsize}")
            array = np.frombuffer(raw, kind)
        else:
            single = np.concatenate(own) if own else np.zeros(0)
            if single.size != count:
                raise WireError(f"{where} has {single.size} numbers instead of {count}")
            # Numbers of 16 bits stand in a list of whole numbers by their bits.
            array = single.astype("<u2" if code in (10, _BFLOAT16) else kind).view(kind)
        if code == _BFLOAT16:
            array = (array.astype("<u4") << 16).view("<f4")
        return array.reshape(sizes)


def _own_numbers(number: int, value: int | memoryview) -> np.ndarray:
    """Return the numbers of a field of a tensor that holds them one by one, or packed."""
    if number not in (4, 10):
        return np.array(numbers(value, _MOST_OWN_NUMBERS), np.int64)
    width = 4 if number == 4 else 8
    if isinstance(value, int) or len(value) % width:
        raise WireError("a list of numbers is cut")
    return np.frombuffer(value, f"<f{width}")


def _twice(what: str) -> memoryview:
    raise WireError(f"it has more than one {what}")
