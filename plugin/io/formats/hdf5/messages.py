"""What an HDF5 object says of its values: their type, their extent, and its attributes.

Objects in the old format carry no checksum, and the library (or GDAL above it) takes a message that
cannot be understood for one that can. Each is therefore taken apart here as the library would do it,
and has to come out even.

Format: "HDF5 File Format Specification Version 3.0", IV.A.2, The HDF Group.
"""

from __future__ import annotations

from dataclasses import dataclass

from .raw_bytes import TooNew, Unsound

_MOST_DIMENSIONS = 32
_MOST_MEMBERS = 4096
_DEEPEST = 16
_NEWER_TYPES = (
    4,
    5,
)  # of HDF5 1.12 and 2.0: no product is known that has them, and older libraries fail on them
_ENCODED = {0: 4, 1: 12, 2: 2, 3: 0, 4: 4, 7: 0}  # bytes that simple classes add to the eight common ones
_INTEGER, _REAL, _OPAQUE, _COMPOUND, _ENUM, VARIABLE, _ARRAY = 0, 1, 5, 6, 8, 9, 10


@dataclass(frozen=True)
class Datatype:
    """The type of a value.

    Parameters
    ----------
    kind : int
        Its class: 0 integer, 1 real, 3 text, 9 of variable length, ...
    size : int
        Bytes of a value.
    length : int
        Bytes of the description itself.
    """

    kind: int
    size: int
    length: int


@dataclass(frozen=True)
class Attribute:
    """An attribute of an object.

    Parameters
    ----------
    variable_length : bool
        Whether its values are kept elsewhere and `values` leads to them.
    values : bytes
        What is in the message.
    shared_type : bytes
        The reference to its type, where that is an object of its own; empty otherwise.
    """

    variable_length: bool
    values: bytes
    shared_type: bytes


def read_datatype(data: bytes, offset_width: int, depth: int = 0) -> Datatype:
    """Return the type that `data` begins with.

    Raises
    ------
    Unsound
        It contradicts itself.
    TooNew
        It is of a kind that HDF5 1.10 does not know.
    """
    if len(data) < 8 or depth > _DEEPEST:
        raise Unsound("a type of values is cut off")
    version, kind = data[0] >> 4, data[0] & 15
    bits, size = int.from_bytes(data[1:4], "little"), int.from_bytes(data[4:8], "little")
    if version in _NEWER_TYPES:
        raise TooNew("a type of values is one that only HDF5 1.12 or later writes")
    if not 1 <= version <= 3 or kind > _ARRAY or not size:
        raise Unsound("a type of values is of no known kind")
    at = 8
    if kind in _ENCODED:
        at += _ENCODED[kind]
        if at > len(data):
            raise Unsound("a type of values is cut off")
        _check_number(kind, data[8:at], bits, size)
    elif kind == _OPAQUE:
        at += bits & 0xFF
    elif kind == _COMPOUND:
        at = _members(data, version, bits & 0xFFFF, size, offset_width, depth)
    elif kind == VARIABLE:
        if size != 8 + offset_width:
            raise Unsound("values of variable length have an odd length")
        at += read_datatype(data[at:], offset_width, depth + 1).length
    elif kind == _ENUM:
        base = read_datatype(data[at:], offset_width, depth + 1)
        if base.kind != _INTEGER or base.size != size:
            raise Unsound("a type of named values is not one of whole numbers")
        at += base.length
        for _ in range(bits & 0xFFFF):
            at = _after_name(data, at, version < 3)
        at += (bits & 0xFFFF) * size
    else:
        at = _array(data, version, size, offset_width, depth)
    if at > len(data):
        raise Unsound("a type of values is cut off")
    return Datatype(kind, size, at)


def _check_number(kind: int, properties: bytes, bits: int, size: int) -> None:
    if kind in (_INTEGER, _REAL):
        first, precision = (int.from_bytes(properties[i : i + 2], "little") for i in (0, 2))
        if size > 64 or not precision or first + precision > 8 * size:
            raise Unsound("a type of numbers has more digits than room")
    if kind == _REAL:
        exponent, exponent_size, mantissa, mantissa_size = properties[4:8]
        sign = bits >> 8 & 0xFF
        if (
            not exponent_size
            or not mantissa_size
            or max(exponent + exponent_size, mantissa + mantissa_size, sign + 1) > first + precision
            or exponent < mantissa + mantissa_size <= exponent + exponent_size
        ):
            raise Unsound("a type of real numbers contradicts itself")


def _members(data: bytes, version: int, count: int, size: int, offset_width: int, depth: int) -> int:
    """Return where the members of a compound type end."""
    if not 1 <= count <= _MOST_MEMBERS:
        raise Unsound("a type of records has no believable number of members")
    at = 8
    for _ in range(count):
        at = _after_name(data, at, version < 3)
        width = 4 if version < 3 else max(1, -(-size.bit_length() // 8))
        place, at = int.from_bytes(data[at : at + width], "little"), at + width
        values = 1
        if version == 1:
            dimensions = data[at] if at < len(data) else 255
            if dimensions > 4:
                raise Unsound("a member of a record has too many dimensions")
            for i in range(dimensions):
                values *= int.from_bytes(data[at + 12 + 4 * i : at + 16 + 4 * i], "little")
            at += 28
        member = read_datatype(data[at:], offset_width, depth + 1)
        at += member.length
        if place + member.size * values > size:
            raise Unsound("a member of a record lies outside of it")
    return at


def _array(data: bytes, version: int, size: int, offset_width: int, depth: int) -> int:
    """Return where the description of an array type ends."""
    rank = data[8] if len(data) > 8 else 0
    if not 1 <= rank <= _MOST_DIMENSIONS:
        raise Unsound("a type of arrays has no believable number of dimensions")
    at = 12 if version < 3 else 9
    values = 1
    for i in range(rank):
        values *= int.from_bytes(data[at + 4 * i : at + 4 * i + 4], "little")
    at += 4 * rank * (2 if version < 3 else 1)
    base = read_datatype(data[at:], offset_width, depth + 1)
    if values * base.size != size:
        raise Unsound("a type of arrays is not as large as its values")
    return at + base.length


def _after_name(data: bytes, at: int, padded: bool) -> int:
    end = data.find(b"\0", at)
    if end < 0:
        raise Unsound("a name does not end")
    length = end + 1 - at
    return at + (-(-length // 8) * 8 if padded else length)


def read_dataspace(data: bytes, length_width: int) -> int:
    """Return the number of values of an extent.

    Raises
    ------
    Unsound
        It contradicts itself.
    """
    if len(data) < 4:
        raise Unsound("the extent of an array is cut off")
    version, rank, flags = data[0], data[1], data[2]
    at = {1: 8, 2: 4}.get(version, 0)
    if not at or rank > _MOST_DIMENSIONS or flags > 3 or (version == 2 and data[3] > 2):
        raise Unsound("the extent of an array is of no known kind")
    if len(data) < at + rank * length_width * (1 + (flags & 1)):
        raise Unsound("the extent of an array is cut off")
    sizes, limits = (
        [
            int.from_bytes(data[start + i * length_width : start + (i + 1) * length_width], "little")
            for i in range(rank)
        ]
        for start in (at, at + rank * length_width)
    )
    if flags & 1 and any(size > limit for size, limit in zip(sizes, limits)):
        raise Unsound("an array is larger than it may become")
    values = 0 if version == 2 and data[3] == 2 else 1
    for size in sizes:
        values *= size
    return values


def read_attribute(data: bytes, offset_width: int, length_width: int) -> Attribute:
    """Return the attribute in a message.

    Raises
    ------
    Unsound
        It contradicts itself.
    """
    version = data[0] if len(data) >= 8 else 0
    if version not in (1, 2, 3):
        raise Unsound("an attribute is of no known kind")
    flags = data[1] if version > 1 else 0
    lengths = [int.from_bytes(data[i : i + 2], "little") for i in (2, 4, 6)]
    if version == 3 and data[8:9] not in (b"\0", b"\1"):
        raise Unsound("the name of an attribute is in no known encoding")
    at = 9 if version == 3 else 8
    parts = []
    for length in lengths:
        parts.append(data[at : at + length])
        at += -(-length // 8) * 8 if version == 1 else length
    name, datatype, dataspace = parts
    if at > len(data) or flags > 3 or name.find(b"\0") != len(name) - 1 or len(name) < 2:
        raise Unsound("an attribute has no name, or one that does not end")
    if flags & 1 or flags & 2:
        # Types that several share are objects of their own; how much there is to read is not known here.
        return Attribute(False, b"", datatype if flags & 1 else b"")
    values = read_dataspace(dataspace, length_width)
    kind = read_datatype(datatype, offset_width)
    if values * kind.size > len(data) - at:
        raise Unsound("an attribute has fewer values than it says")
    return Attribute(kind.kind == VARIABLE, data[at : at + values * kind.size], b"")


def read_filters(data: bytes) -> list[int]:
    """Return the numbers of the filters of a pipeline; those after a description that is cut off are left out."""
    if len(data) < 2 or data[0] not in (1, 2):
        return []
    version, count = data[0], data[1]
    at = 8 if version == 1 else 2
    filters: list[int] = []
    for _ in range(count):
        number = int.from_bytes(data[at : at + 2], "little")
        named = version == 1 or number >= 256  # in version 2 those of HDF5 itself have no name
        if len(data) < at + (8 if named else 6):
            break
        filters.append(number)
        name = int.from_bytes(data[at + 2 : at + 4], "little") if named else 0
        if version == 1:
            name += -name % 8
        at += 8 if named else 6
        values = int.from_bytes(data[at - 2 : at], "little")
        at += name + 4 * values + (4 if version == 1 and values % 2 else 0)
    return filters
