"""A small HDF5 file in the old format, whose objects carry no checksum: JAXA's granules are such files.

Written byte by byte after the "HDF5 File Format Specification Version 3.0"; GDAL can only write the
new format.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np

NOWHERE = b"\xff" * 8
_NODES, _ENTRIES = 16, 4  # half of what nodes of the index and of the table of names hold
_TYPES = {
    # class and version, bits, size, then first bit and digits (and, of real numbers, their parts)
    "uint16": struct.pack("<BBBBIHH", 0x10, 0, 0, 0, 2, 0, 16),
    "float32": struct.pack("<BBBBIHHBBBBI", 0x11, 0x20, 31, 0, 4, 0, 32, 23, 8, 0, 23, 127),
}


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


def _message(kind: int, data: bytes) -> bytes:
    data = _padded(data)
    return struct.pack("<HHB3x", kind, len(data), 0) + data


def _extent(shape: tuple[int, ...]) -> bytes:
    return struct.pack("<BBB5x", 1, len(shape), 0) + b"".join(struct.pack("<Q", size) for size in shape)


def _attribute(name: str, value: str | float) -> bytes:
    if isinstance(value, str):
        data = value.encode() + b"\0"
        datatype = struct.pack("<BBBBI", 0x13, 0, 0, 0, len(data))
    else:
        data, datatype = struct.pack("<f", value), _TYPES["float32"]
    title, extent = name.encode() + b"\0", _extent(())
    head = struct.pack("<BxHHH", 1, len(title), len(datatype), len(extent))
    return _message(0x0C, head + _padded(title) + _padded(datatype) + _padded(extent) + data)


def _object(messages: list[bytes]) -> bytes:
    body = b"".join(messages)
    return struct.pack("<BxHII4x", 1, len(messages), 1, len(body)) + body


def old_hdf5(arrays: Mapping[str, np.ndarray], attributes: Mapping[str, str | float]) -> bytes:
    """Return a file of at most eight arrays (uint16 or float32); each and the root have the attributes."""
    assert 1 <= len(arrays) <= 2 * _ENTRIES
    notes = [_attribute(name, value) for name, value in attributes.items()]
    root = 96
    root_size = len(_object([_message(0x11, bytes(16)), *notes]))
    tree, heap = root + root_size, root + root_size + 24 + (4 * _NODES + 1) * 8
    names, places = bytearray(8), {}
    for name in sorted(arrays):
        places[name] = len(names)
        names += _padded(name.encode() + b"\0")
    names_at = heap + 32
    table = names_at + len(names)
    at = table + 8 + 2 * _ENTRIES * 40
    entries, objects = b"", b""
    for name in sorted(arrays):
        values = arrays[name]

        def made(address: int, values=values) -> bytes:
            layout = struct.pack("<BBQQ", 3, 1, address, values.nbytes)
            described = [_message(0x01, _extent(values.shape)), _message(0x03, _TYPES[values.dtype.name])]
            never_written = _message(0x05, struct.pack("<BBBB", 2, 2, 2, 0))
            return _object([*described, never_written, _message(0x08, layout), *notes])

        header = made(at + len(made(0)))
        entries += struct.pack("<QQI4x16x", places[name], at, 0)
        content = header + _padded(values.tobytes())
        objects += content
        at += len(content)
    content = _object([_message(0x11, struct.pack("<QQ", tree, heap)), *notes])
    keys = struct.pack("<QQQ", 0, table, places[max(arrays)])
    content += b"TREE" + struct.pack("<BBH", 0, 0, 1) + 2 * NOWHERE + keys.ljust((4 * _NODES + 1) * 8, b"\0")
    content += b"HEAP" + struct.pack("<B3xQQQ", 0, len(names), 1, names_at) + names
    content += b"SNOD" + struct.pack("<BxH", 1, len(arrays)) + entries.ljust(2 * _ENTRIES * 40, b"\0")
    head = b"\x89HDF\r\n\x1a\n" + struct.pack("<BBBxBBBxHHI", 0, 0, 0, 0, 8, 8, _ENTRIES, _NODES, 0)
    head += bytes(8) + NOWHERE + struct.pack("<Q", root + len(content) + len(objects)) + NOWHERE
    head += struct.pack("<QQI4xQQ", 0, root, 1, tree, heap)
    return head + content + objects
