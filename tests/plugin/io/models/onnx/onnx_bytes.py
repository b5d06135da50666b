"""Writes ONNX files for the tests: messages of protocol buffers, byte by byte."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import numpy as np

CODES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7, "bool": 9, "float16": 10, "float64": 11}


def varint(value: int) -> bytes:
    """Return a number of up to 64 bits; negative ones as ten bytes."""
    value &= (1 << 64) - 1
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def inside(field: int, content: bytes | str) -> bytes:
    content = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(content)) + content


def tensor(name: str, values: np.ndarray, one_by_one: bool = False) -> bytes:
    """Return a TensorProto: with raw bytes, or with its numbers one by one."""
    values = np.asarray(values)
    head = (
        b"".join(number(1, size) for size in values.shape)
        + number(2, CODES[values.dtype.name])
        + inside(8, name)
    )
    if not one_by_one:
        return head + inside(9, values.tobytes())
    if values.dtype.kind == "f":
        return head + b"".join(varint(4 << 3 | 5) + struct.pack("<f", value) for value in values.ravel())
    return head + inside(7 if values.itemsize == 8 else 5, b"".join(varint(int(v)) for v in values.ravel()))


def attribute(name: str, value: object) -> bytes:
    """Return an AttributeProto."""
    head = inside(1, name)
    if isinstance(value, (bool, int)):
        return head + number(3, int(value)) + number(20, 2)
    if isinstance(value, float):
        return head + varint(2 << 3 | 5) + struct.pack("<f", value) + number(20, 1)
    if isinstance(value, str):
        return head + inside(4, value) + number(20, 3)
    if isinstance(value, np.ndarray):
        return head + inside(5, tensor("", value)) + number(20, 4)
    values = list(value)
    if all(isinstance(each, int) for each in values):  # packed, and as older files have them
        packed = inside(8, b"".join(varint(each) for each in values[:1])) + b"".join(
            number(8, v) for v in values[1:]
        )
        return head + packed + number(20, 7)
    return head + inside(7, struct.pack(f"<{len(values)}f", *values)) + number(20, 6)


def node(operator: str, inputs: Sequence[str], output: str, domain: str = "", **attributes: object) -> bytes:
    """Return a NodeProto, named as its output."""
    return (
        b"".join(inside(1, name) for name in inputs)
        + b"".join(inside(2, name) for name in output.split(","))
        + inside(3, output)
        + inside(4, operator)
        + b"".join(inside(5, attribute(name, value)) for name, value in attributes.items())
        + (inside(7, domain) if domain else b"")
    )


def value(name: str, sizes: Sequence[int | str]) -> bytes:
    """Return a ValueInfoProto; a text leaves a size open."""
    dimensions = [number(1, size) if isinstance(size, int) else inside(2, size) for size in sizes]
    shape = b"".join(inside(1, dimension) for dimension in dimensions)
    return inside(1, name) + inside(2, inside(1, number(1, 1) + inside(2, shape)))


def graph(
    nodes: Sequence[bytes],
    tensors: Mapping[str, np.ndarray],
    inputs: Sequence[bytes],
    outputs: Sequence[bytes],
) -> bytes:
    """Return a GraphProto."""
    return (
        b"".join(inside(1, each) for each in nodes)
        + inside(2, "main")
        + b"".join(inside(5, tensor(name, values)) for name, values in tensors.items())
        + b"".join(inside(11, each) for each in inputs)
        + b"".join(inside(12, each) for each in outputs)
    )


def model(
    nodes: Sequence[bytes],
    tensors: Mapping[str, np.ndarray],
    channels: int | Sequence[int] = 2,
    sizes: Sequence[int | str] = ("rows", "cols"),
    outputs: Sequence[str] = ("out",),
    opset: int = 17,
    last: bool = False,
) -> bytes:
    """Return a ModelProto with the inputs ``image`` and, where two numbers of channels are given, ``cells``."""
    channels = (channels,) if isinstance(channels, int) else channels
    forms = [["n", *sizes, c] if last else ["n", c, *sizes] for c in channels]
    inputs = [value(name, form) for name, form in zip(("image", "cells"), forms)]
    content = graph(nodes, tensors, inputs, [value(name, ["n", "c", "h", "w"]) for name in outputs])
    return number(1, 8) + inside(2, "tests") + inside(7, content) + inside(8, number(2, opset))
