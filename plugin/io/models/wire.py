"""The wire format of protocol buffers, as far as ONNX and TensorFlow need it: fields of a message, in bounded time.

A message is a sequence of fields: a key (number and type of the field, a varint), and a varint, four or eight bytes, or
a length with so many bytes. Nothing is copied but what is asked for: fields of bytes are views of the file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_MOST_VARINT = 10
# Fields of all messages together: a file of 10⁶ nodes has several times as many.
MOST_FIELDS = 1_000_000


class WireError(ValueError):
    """The bytes are no message: half a sentence."""


class Reader:
    """Reads messages, and counts what it reads.

    Parameters
    ----------
    most : int
        Fields that may be read of all messages together.
    """

    def __init__(self, most: int = MOST_FIELDS) -> None:
        self._left = most

    def fields(self, message: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
        """Yield number, type and value of each field: a whole number, or a view of bytes.

        Raises
        ------
        WireError
            If the bytes are no message, or too many fields were read.
        """
        at, end = 0, len(message)
        while at < end:
            self._left -= 1
            if self._left < 0:
                raise WireError("it has more parts than any network")
            key, at = varint(message, at)
            number, kind = key >> 3, key & 7
            if not 0 < number < 1 << 29:
                raise WireError("a field has no number")
            if kind == VARINT:
                value, at = varint(message, at)
                yield number, kind, value
                continue
            if kind == BYTES:
                size, at = varint(message, at)
            elif kind in (FIXED32, FIXED64):
                size = 4 if kind == FIXED32 else 8
            else:
                raise WireError(f"a field has the unknown type {kind}")
            if size > end - at:
                raise WireError("a field is longer than what it lies in")
            yield number, kind, message[at : at + size]
            at += size


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return an unsigned number of up to 64 bits, and where it ends.

    Raises
    ------
    WireError
        If it does not end.
    """
    value = 0
    for step in range(_MOST_VARINT):
        if at + step >= len(data):
            raise WireError("it ends within a number")
        byte = data[at + step]
        value |= (byte & 127) << 7 * step
        if byte < 128:
            return value & 0xFFFFFFFFFFFFFFFF, at + step + 1
    raise WireError("a number has more than 64 bits")


def signed(value: int) -> int:
    """Return a 64-bit number as a signed one."""
    return value - (1 << 64) if value >> 63 else value


def numbers(value: int | memoryview, most: int) -> list[int]:
    """Return signed whole numbers of a repeated field, packed or single.

    Raises
    ------
    WireError
        If there are more than `most`, or the bytes are none.
    """
    if isinstance(value, int):
        return [signed(value)]
    found: list[int] = []
    at = 0
    while at < len(value):
        if len(found) >= most:
            raise WireError(f"a list has more than {most} numbers")
        number, at = varint(value, at)
        found.append(signed(number))
    return found


def floats(value: int | memoryview, most: int) -> list[float]:
    """Return 32-bit numbers of a repeated field, packed or single.

    Raises
    ------
    WireError
        If there are more than `most`, or the bytes are none.
    """
    if isinstance(value, int) or len(value) % 4:
        raise WireError("a list of numbers is cut")
    if len(value) // 4 > most:
        raise WireError(f"a list has more than {most} numbers")
    return list(struct.unpack(f"<{len(value) // 4}f", value))


def text(value: int | memoryview, most: int = 1_000) -> str:
    """Return a text.

    Raises
    ------
    WireError
        If it is none, or has more than `most` bytes.
    """
    if isinstance(value, int) or len(value) > most:
        raise WireError("a name is none, or longer than a line")
    try:
        return bytes(value).decode("utf-8")
    except UnicodeDecodeError:
        raise WireError("a name is no UTF-8 text") from None
