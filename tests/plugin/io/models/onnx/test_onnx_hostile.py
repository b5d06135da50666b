"""ONNX files that are broken or made to harm: a sentence each, in bounded time and memory, and nothing is opened."""

from __future__ import annotations

import random
import time
import tracemalloc

import numpy as np
import pytest
from floelens.plugin.ground.errors import ModelError
from floelens.plugin.io.models.onnx import convert
from floelens.plugin.io.models.onnx.convert import read_onnx
from floelens.tests.plugin.io.models.onnx.onnx_bytes import (
    attribute,
    graph,
    inside,
    model,
    node,
    number,
    tensor,
    value,
    varint,
)

W = {"w": np.ones((3, 2, 1, 1), np.float32)}
CONV = node("Conv", ["image", "w"], "out")


def with_graph(content: bytes, opset: bytes = number(2, 17)) -> bytes:
    return number(1, 8) + inside(7, content) + inside(8, opset)


def with_tensor(content: bytes) -> bytes:
    """Return a network whose only weights are a TensorProto."""
    image = inside(11, value("image", ["n", 2, "h", "w"]))
    return with_graph(
        inside(1, CONV) + inside(5, content) + image + inside(12, value("out", ["n", 3, "h", "w"]))
    )


def huge(*sizes: int) -> bytes:
    return b"".join(number(1, size) for size in sizes) + number(2, 1) + inside(8, "w")


def nested(depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = inside(6, inside(1, inside(5, content)))
    return content


def body(*nodes: bytes, **options: object) -> bytes:
    return model(nodes, W, **options)


HOSTILE = {
    "empty": (b"", "no version, no graph"),
    "text": (b"import os; os.system('true')\n", "cannot be read as ONNX"),
    "zip": (b"PK\x03\x04" + bytes(200), "cannot be read as ONNX"),
    "pickle": (b"\x80\x04cos\nsystem\n", "cannot be read as ONNX"),
    "cut": (body(CONV)[:-9], "cannot be read as ONNX"),
    "endless number": (b"\xff" * 40, "more than 64 bits"),
    "longer than the file": (number(1, 8) + varint(7 << 3 | 2) + varint(1 << 60), "longer than what it lies in"),
    "two graphs": (body(CONV) + inside(7, graph([], {}, [], [])), "more than one graph"),
    "old operators": (body(CONV, opset=3), "version 3; 7 to 25 are read"),
    "operators of the future": (body(CONV, opset=10**6), "version 1000000"),
    "functions": (body(CONV) + inside(25, b""), "functions of its own"),
    "own domain": (body(node("Conv", ["image", "w"], "out", domain="com.evil")), "domain 'com.evil'"),
    "control flow": (
        body(inside(2, "out") + inside(4, "If") + inside(5, inside(1, "then_branch") + inside(6, b""))),
        "control flow",
    ),
    "deep nesting": (body(inside(4, "Loop") + inside(5, inside(1, "body") + nested(10_000))), "control flow"),
    "external data": (
        with_tensor(huge(3, 2, 1, 1) + inside(13, inside(1, "location") + inside(2, "/etc/passwd")) + number(14, 1)),
        "in another file, which is not opened",
    ),
    "terabytes": (with_tensor(huge(1 << 30, 1 << 30)), "at most 268435456 are read"),
    "negative size": (with_tensor(huge(-5, 2)), "the dimensions"),
    "many dimensions": (with_tensor(huge(*[1] * 40)), "the dimensions|more than 8 numbers"),
    "too few bytes": (with_tensor(huge(3, 2, 1, 1) + inside(9, b"1234")), "4 bytes for 6 numbers of 4"),
    "strings": (with_tensor(number(1, 1) + number(2, 8) + inside(8, "w")), "type 8, which is not read"),
    "segments": (with_tensor(huge(3, 2, 1, 1) + inside(3, b"")), "in segments"),
    "sparse": (with_graph(inside(15, b"")), "sparse tensors"),
    "not finite": (model([CONV], {"w": np.full((3, 2, 1, 1), np.nan, np.float32)}), "not finite everywhere"),
    "no input": (with_graph(inside(1, CONV)), "has 0 inputs"),
    "three inputs": (model([CONV], W, channels=(2, 2)) and with_graph(
        graph([CONV], W, [value(name, [1, 2, 8, 8]) for name in ("image", "b", "c")], [value("out", [1, 3, 8, 8])])
    ), "has 3 inputs"),
    "open channels": (
        with_graph(graph([CONV], W, [value("image", ["n", "c", "h", "w"])], [value("out", [])])), "leaves open how many"
    ),
    "two dimensions": (
        with_graph(graph([CONV], W, [value("image", ["n", 7])], [value("out", [])])), "2 dimensions instead of four"
    ),
    "huge image": (body(CONV, sizes=(1 << 30, 1 << 30)), "as no network's"),
    "unknown operator": (body(node("NonZero", ["image"], "out")), "'out' has the operator NonZero.*Known are: Add"),
    "attention": (body(node("MatMul", ["image", "image"], "out")), "as attention does"),
    "loop": (body(node("Relu", ["b"], "a"), node("Relu", ["a"], "b")), "reads 'b', which nothing before it"),
    "twice": (body(CONV, CONV), "a second time"),
    "no output": (body(CONV, outputs=()), "no output"),
    "other output": (body(CONV, outputs=("w",)), "'w' is no array"),
    "weights that do not fit": (body(node("Conv", ["image", "w"], "out", group=2)), "2 channels in 2 groups"),
    "absurd stride": (body(node("Conv", ["image", "w"], "out", strides=[10**9, 10**9])), "from 1 to 64"),
    "three axes": (body(node("Conv", ["image", "w"], "out", strides=[1, 1, 1])), "not of two axes"),
    "text for a number": (body(node("LeakyRelu", ["image"], "out", alpha="steep")), "settings cannot be read"),
    "upsampled for ever": (
        body(*(node("DepthToSpace", [f"d{n - 1}" if n else "image"], f"d{n}", blocksize=64) for n in range(9))),
        "no multiple",
    ),
    "a billion numbers": (
        model([node("ConstantOfShape", ["s"], "c"), node("Add", ["image", "c"], "out")], {"s": np.array([1 << 40])}),
        "too many numbers",
    ),
    "numbers times numbers": (
        model([node("Mul", ["a", "b"], "c"), node("Add", ["image", "c"], "out")],
              {"a": np.ones((1 << 15, 1), np.float32), "b": np.ones((1, 1 << 15), np.float32)}),
        "too many numbers",
    ),
    "one input joined a million times": (
        model([node("Concat", ["a"] * 100_000, "c", axis=0), node("Add", ["image", "c"], "out")],
              {"a": np.ones(1 << 12, np.float32)}),
        "too many numbers",
    ),
    "rows taken again and again": (
        model([node("Gather", ["a", "b"], "c"), node("Add", ["image", "c"], "out")],
              {"a": np.ones((1, 1 << 14), np.float32), "b": np.zeros(1 << 15, np.int64)}),
        "too many places",
    ),
    "division by zero": (
        model([node("Div", ["a", "b"], "c"), node("Add", ["image", "c"], "out")],
              {"a": np.array([1]), "b": np.array([0])}),
        "divides by zero",
    ),
    "HTML": (body(node("<script>alert(1)</script>", ["image"], "out")), "<script>"),
    "long names": (body(node("Relu", ["image"], "x" * 5_000)), "longer than a line"),
    "bytes as a name": (body(inside(1, b"\xff\xfe") + inside(4, "Relu")), "no UTF-8"),
    "graph as a number": (number(1, 8) + number(7, 5) + inside(8, number(2, 17)), "no version, no graph"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_one_sentence(name, tmp_path):
    content, words = HOSTILE[name]
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=words) as error:
        read_onnx(path)
    assert str(path) in str(error.value)
    assert len(str(error.value)) < 900
    assert "\n" not in str(error.value)


def test_numbers_that_many_operators_make_are_bounded_together(tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "MOST_BYTES_KNOWN", 20 << 16)
    nodes = [node("ConstantOfShape", ["s"], f"c{number}") for number in range(6)]
    path = tmp_path / "net.onnx"
    path.write_bytes(model([*nodes, node("Add", ["image", "c1"], "out")], {"s": np.array([1 << 16])}))
    with pytest.raises(ModelError, match=r"'c5'.*operators before it would make too many numbers"):
        read_onnx(path)


@pytest.mark.parametrize("what", ["nodes", "fields", "tensors"])
def test_a_file_of_a_million_parts_is_refused_in_seconds_and_little_memory(what, tmp_path):
    path = tmp_path / "net.onnx"
    one = {
        "nodes": inside(1, node("Relu", ["image"], "a")),
        "tensors": inside(5, tensor("t", np.ones(1, np.float32))),
        "fields": inside(1, number(9, 1) * 100),
    }[what]
    path.write_bytes(with_graph(one * (1_000_000 if what != "fields" else 20_000)))
    if what != "fields":  # counting them under tracemalloc takes long
        tracemalloc.start()
    began = time.process_time()
    with pytest.raises(ModelError, match=r"more than 20000 (nodes|tensors)|more parts than any network"):
        read_onnx(path)
    spent, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()  # without effect where it was not started
    assert spent < 20
    assert peak < path.stat().st_size + 100 * 2**20


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Return a file with bytes changed, cut out, doubled or put in."""
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        at = draw.randrange(len(data))
        way = draw.randrange(5)
        if way == 0:
            data[at] = draw.randrange(256)
        elif way == 1:
            data[at] ^= 1 << draw.randrange(8)
        elif way == 2:
            del data[at : at + draw.randrange(1, 9)]
        elif way == 3:
            data[at:at] = bytes(draw.randrange(256) for _ in range(draw.randrange(1, 9)))
        else:
            data[at:at] = data[at : at + draw.randrange(1, 65)]
        if not data:
            return b"\0"
    return bytes(data)


def samples() -> list[bytes]:
    from floelens.tests.plugin.io.models.onnx.test_onnx import SINGLE
    from floelens.tests.plugin.io.models.onnx.test_onnx_networks import BODY, ENDS, PADDED, STRETCHED, WEIGHTS

    single = [model(nodes, constants, opset=13) for nodes, constants, _ in SINGLE.values()]
    unets = [
        model([*BODY, *middle, *ENDS], WEIGHTS, outputs=("kind", "ice")) for middle in (PADDED, STRETCHED)
    ]
    return [*single, *unets * 10, inside(5, attribute("a", [1, 2]))]


def fuzz(number_of: int, seed: int, tmp_path) -> tuple[int, float]:
    """Read damaged files; return how many gave a network, and the seconds of the slowest."""
    draw, files = random.Random(seed), samples()
    path, read, slowest = tmp_path / "net.onnx", 0, 0.0
    for _ in range(number_of):
        path.write_bytes(damaged(draw.choice(files), draw))
        began = time.process_time()
        try:
            read_onnx(path)
            read += 1
        except ModelError as error:
            assert len(str(error)) < 900
        slowest = max(slowest, time.process_time() - began)
    return read, slowest


def test_damaged_files_give_a_network_or_a_sentence(tmp_path):
    read, slowest = fuzz(200, 1, tmp_path)
    assert 0 < read < 200
    assert slowest < 5


@pytest.mark.fuzz
@pytest.mark.slow
def test_ten_thousand_damaged_files_give_a_network_or_a_sentence(tmp_path):
    read, slowest = fuzz(10_000, 2, tmp_path)
    assert 0 < read < 10_000
    assert slowest < 5
