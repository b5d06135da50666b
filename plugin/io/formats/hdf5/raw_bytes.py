"""Bytes of an HDF5 file: windows that stay inside of it, numbers, blocks with their checksums."""

from __future__ import annotations

import struct

from osgeo import gdal

_MOST_STRUCTURES = 2_000_000
_MOST_BYTES = 256 << 20  # of tables; a scene has less than one
_LARGEST_BLOCK = 64 << 20
_MASK = 0xFFFFFFFF


class Unsound(Exception):
    """The structure contradicts itself; the text says where."""


class TooNew(Unsound):
    """It may be whole, but is written in a form that came after the ones known here."""


class Tables:
    """Reads the tables of a file.

    Parameters
    ----------
    file : object
        What ``gdal.VSIFOpenL`` gave.
    size : int
        Its length in bytes.
    """

    offset_width = length_width = 8

    def __init__(self, file, size: int) -> None:
        self._file, self.size = file, size
        self._seen: set[tuple[str, int]] = set()
        self._bytes = 0

    def read(self, address: int, length: int) -> bytes:
        """Return bytes of the file."""
        if not 0 <= address <= self.size or not 0 <= length <= self.size - address:
            raise Unsound(f"an address leads outside of its {self.size} bytes")
        self._bytes += length
        if length > _LARGEST_BLOCK or self._bytes > _MOST_BYTES:
            raise Unsound("a table is too large to be true")
        gdal.VSIFSeekL(self._file, address, 0)
        data = bytes(gdal.VSIFReadL(1, length, self._file) or b"") if length else b""
        if len(data) != length:
            raise Unsound(f"it ends before byte {address + length}")
        return data

    def checked(self, address: int, length: int, mark: bytes) -> bytes:
        """Return a block that begins with `mark` and ends with the checksum of what is before."""
        data = self.read(address, length)
        if data[:4] != mark:
            raise Unsound(f"no {mark.decode()} block at byte {address}")
        if checksum(data[:-4]) != int.from_bytes(data[-4:], "little"):
            raise Unsound(f"the checksum of the {mark.decode()} block at byte {address} is wrong")
        return data

    def number(self, data: bytes, at: int, length: int) -> int:
        """Return a number of `length` bytes, the least first."""
        if at < 0 or at + length > len(data):
            raise Unsound("a table ends too early")
        return int.from_bytes(data[at : at + length], "little")

    def offset(self, data: bytes, at: int) -> int:
        """Return an address."""
        return self.number(data, at, self.offset_width)

    def length(self, data: bytes, at: int) -> int:
        """Return a size."""
        return self.number(data, at, self.length_width)

    def given(self, address: int) -> bool:
        """Return whether an address is not the one that stands for none."""
        return address != (1 << (8 * self.offset_width)) - 1

    def first_visit(self, kind: str, address: int) -> bool:
        """Return whether a table is met for the first time."""
        if (kind, address) in self._seen:
            return False
        self._seen.add((kind, address))
        if len(self._seen) > _MOST_STRUCTURES:
            raise Unsound("it has too many tables to be true")
        return True


def checksum(data: bytes) -> int:
    """Return the checksum of HDF5's tables: Jenkins's lookup3 (2006) with a seed of 0."""
    a = b = c = (0xDEADBEEF + len(data)) & _MASK
    if not data:
        return c
    padded = data + bytes(-len(data) % 12)
    words = struct.unpack(f"<{len(padded) // 4}I", padded)
    for i in range(0, len(words) - 3, 3):
        a, b, c = (a + words[i]) & _MASK, (b + words[i + 1]) & _MASK, (c + words[i + 2]) & _MASK
        a = ((a - c) & _MASK) ^ _turned(c, 4)
        c = (c + b) & _MASK
        b = ((b - a) & _MASK) ^ _turned(a, 6)
        a = (a + c) & _MASK
        c = ((c - b) & _MASK) ^ _turned(b, 8)
        b = (b + a) & _MASK
        a = ((a - c) & _MASK) ^ _turned(c, 16)
        c = (c + b) & _MASK
        b = ((b - a) & _MASK) ^ _turned(a, 19)
        a = (a + c) & _MASK
        c = ((c - b) & _MASK) ^ _turned(b, 4)
        b = (b + a) & _MASK
    a, b, c = (a + words[-3]) & _MASK, (b + words[-2]) & _MASK, (c + words[-1]) & _MASK
    c = ((c ^ b) - _turned(b, 14)) & _MASK
    a = ((a ^ c) - _turned(c, 11)) & _MASK
    b = ((b ^ a) - _turned(a, 25)) & _MASK
    c = ((c ^ b) - _turned(b, 16)) & _MASK
    a = ((a ^ c) - _turned(c, 4)) & _MASK
    b = ((b ^ a) - _turned(a, 14)) & _MASK
    return ((c ^ b) - _turned(b, 24)) & _MASK


def _turned(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & _MASK
