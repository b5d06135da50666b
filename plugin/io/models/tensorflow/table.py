"""Sorted tables of keys and values, as LevelDB and TensorFlow write them: ``variables.index`` is one.

A table is blocks of entries, then a block that lists the blocks, then a footer with a magic number. Keys share their
beginning with the one before. Each block carries a checksum (CRC-32C, masked), which is compared.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ..wire import WireError, varint

MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
_TRAILER = 5  # the kind of compression and a checksum
_MASK = 0xA282EAD8
_POLYNOMIAL = 0x82F63B78
_MOST_BLOCKS = 10_000
_MOST_ENTRIES = 100_000
_MOST_KEY = 4_000


def _remainders() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return tuple(table)


_REMAINDERS = _remainders()


def masked_crc(data: bytes | memoryview) -> int:
    """Return the CRC-32C (Castagnoli, RFC 3720) of bytes, masked as LevelDB stores it."""
    crc = 0xFFFFFFFF
    for byte in bytes(data):
        crc = crc >> 8 ^ _REMAINDERS[(crc ^ byte) & 255]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + _MASK) & 0xFFFFFFFF


def is_table(data: bytes) -> bool:
    """Return whether bytes end as a table does."""
    return len(data) >= _FOOTER and struct.unpack("<Q", data[-8:])[0] == MAGIC


def entries(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yield keys and values of a table, in order.

    Raises
    ------
    WireError
        If the bytes are no table, damaged, compressed, or hold too many entries.
    """
    if not is_table(data):
        raise WireError("it does not end as a table of TensorFlow")
    view = memoryview(data)
    footer = view[-_FOOTER:-8]
    at = 0
    for _ in range(2):  # the block of metadata is not needed
        _, at = varint(footer, at)
    offset, at = varint(footer, at)
    size, _ = varint(footer, at)
    count = passed = 0
    for number, (_, handle) in enumerate(_block(view, offset, size)):
        if number >= _MOST_BLOCKS:
            raise WireError("it has more blocks than any network")
        start, at = varint(handle, 0)
        length, _ = varint(handle, at)
        if start < passed:  # one block listed ten thousand times would take hours
            raise WireError("its blocks overlap")
        passed = start + length
        for entry in _block(view, start, length):
            count += 1
            if count > _MOST_ENTRIES:
                raise WireError("it has more entries than any network")
            yield entry


def _block(view: memoryview, offset: int, size: int) -> Iterator[tuple[bytes, memoryview]]:
    """Yield keys and values of a block."""
    end = offset + size
    if end + _TRAILER > len(view) - _FOOTER or size < 4:
        raise WireError("a block lies outside of it")
    kind, checksum = struct.unpack("<BI", view[end : end + _TRAILER])
    if kind != 0:
        raise WireError("it is compressed, which TensorFlow does not do")
    if masked_crc(view[offset : end + 1]) != checksum:
        raise WireError("a block has another checksum")
    block = view[offset:end]
    restarts = struct.unpack("<I", block[-4:])[0]
    stop = size - 4 - 4 * restarts
    if stop < 0:
        raise WireError("a block is cut")
    at, key = 0, b""
    while at < stop:
        shared, at = varint(block, at)
        own, at = varint(block, at)
        length, at = varint(block, at)
        if shared > len(key) or shared + own > _MOST_KEY or at + own + length > stop:
            raise WireError("an entry is longer than its block")
        key = key[:shared] + bytes(block[at : at + own])
        at += own
        yield key, block[at : at + length]
        at += length
