"""Folders of variables as TensorFlow writes them, by a small writer of the documented formats.

TensorFlow itself is not at hand. The table is that of LevelDB (doc/table_format.md): blocks with shared beginnings of
keys, restarts, a kind of compression and a masked CRC-32C; the messages are those of tensor_bundle.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

TYPES = {"<f4": 1, "<f8": 2, "<f2": 19, "<i8": 9}
SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
MAGIC = 0xDB4775248B80FB57


def crc32c(data: bytes) -> int:
    """Return the checksum, bit by bit from its polynomial."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 * (crc & 1))
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    made = b""
    while value > 127:
        made += bytes([value & 127 | 128])
        value >>= 7
    return made + bytes([value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def fixed32(number: int, value: int) -> bytes:
    return varint(number << 3 | 5) + struct.pack("<I", value)


def block(pairs: list[tuple[bytes, bytes]], restart: int = 4) -> bytes:
    """Return a block: every `restart`-th key is written whole."""
    content, before, restarts = b"", b"", []
    for number, (key, value) in enumerate(pairs):
        shared = 0
        if number % restart == 0:
            restarts.append(len(content))
        else:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        content += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    restarts = restarts or [0]
    return content + b"".join(struct.pack("<I", at) for at in restarts) + struct.pack("<I", len(restarts))


def table(pairs: list[tuple[bytes, bytes]], each: int = 5, compression: int = 0, listed: int = 1) -> bytes:
    """Return a table of sorted pairs, with `each` of them in a block, each block `listed` times."""
    content, index = b"", []

    def put(made: bytes) -> bytes:
        nonlocal content
        handle = varint(len(content)) + varint(len(made))
        kind = bytes([compression])
        content += made + kind + struct.pack("<I", masked(made + kind))
        return handle

    for start in range(0, len(pairs), each):
        part = pairs[start : start + each]
        index += [(part[-1][0], put(block(part)))] * listed
    footer = put(block([])) + put(block(index, 1))
    return content + footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def write_variables(folder: Path, arrays: Mapping[str, np.ndarray], more: Mapping[bytes, bytes] = {}) -> Path:
    """Write variables by their keys without the ending; return the folder of the SavedModel."""
    variables = folder / "variables"
    variables.mkdir(parents=True)
    data, pairs = b"", {b"": field(1, 1) + field(3, field(1, 1)), **more}
    for key in sorted(arrays):
        values = np.ascontiguousarray(arrays[key])
        content = values.tobytes()
        shape = b"".join(field(2, field(1, side)) for side in values.shape)
        entry = (
            field(1, TYPES[values.dtype.str]) + field(2, shape) + field(4, len(data)) + field(5, len(content))
        )
        pairs[f"{key}{SUFFIX}".encode()] = entry + fixed32(6, masked(content))
        data += content
    (variables / "variables.data-00000-of-00001").write_bytes(data)
    (variables / "variables.index").write_bytes(table(sorted(pairs.items())))
    (folder / "saved_model.pb").write_bytes(b"")
    return folder
