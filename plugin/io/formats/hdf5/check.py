"""Looks over the structure of an HDF5 file (NetCDF-4 is one) before the library for it does.

The library trusts what it reads: one wrong byte in a table of addresses can end the process, and QGIS
with it. Nearly all of these tables carry a checksum, so that damage shows; in the few that do not
(indices of chunks, heaps of strings) addresses and sizes are checked one by one. The values
themselves are not looked at: damage among them gives wrong values, or an error when they are read.

Format: "HDF5 File Format Specification Version 3.0", The HDF Group.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from osgeo import gdal

from ....ground.errors import SceneError
from ...environment.gdal_state import quiet_gdal
from ...files.sources import HDF5_SIGNATURE
from .heaps import Heaps
from .messages import VARIABLE, Datatype, read_attribute, read_dataspace, read_datatype, read_filters
from .raw_bytes import TooNew, Unsound, checksum

# Of an object in the old format: extent, type of values, what was never written, filters.
_SHARED = (0x01, 0x03, 0x04, 0x05, 0x0B)


def check_structure(source: str, path: str) -> frozenset[int]:
    """Check that the tables of an HDF5 file are whole and lead nowhere outside of it; return the filters in use.

    Parameters
    ----------
    source : str
        What GDAL opens, also under ``/vsi…``.
    path : str
        What a person calls it, for messages.

    Returns
    -------
    frozenset of int
        Numbers of the filters that arrays are compressed by, as The HDF Group registers them.

    Raises
    ------
    SceneError
        It is damaged or truncated, or in a format that libraries before HDF5 1.12 cannot read.
    """
    with quiet_gdal():
        file = gdal.VSIFOpenL(source, "rb")
    if file is None:
        raise SceneError(f"There is no file {path}, or it cannot be read. Check the path.")
    try:
        with quiet_gdal():
            gdal.VSIFSeekL(file, 0, 2)
            size = gdal.VSIFTellL(file)
            walk = _Walk(file, size)
            walk.run()
            return frozenset(walk.filters)
    except TooNew as error:
        raise SceneError(
            f"{path} is written in the newest format of HDF5 ({error}), which the library in many QGIS cannot read. "
            "Convert it with a recent netCDF: nccopy -k nc4 old.nc new.nc."
        ) from error
    except (Unsound, struct.error, IndexError, RecursionError, MemoryError, OverflowError) as error:
        reason = str(error) or type(error).__name__
        raise SceneError(f"{path} is damaged or truncated ({reason}): copy or download it again.") from error
    finally:
        gdal.VSIFCloseL(file)


@dataclass(frozen=True)
class _Layout:
    """What is known of the values of an array before their place is.

    Parameters
    ----------
    number : int
        How many there are.
    datatype : Datatype or None
        Their type; None where it is an object of its own.
    filters : bool
        Whether they are compressed.
    """

    number: int
    datatype: Datatype | None
    filters: bool

    @property
    def variable_length(self) -> bool:
        """Whether values are kept elsewhere and what is stored leads to them."""
        return self.datatype is not None and self.datatype.kind == VARIABLE

    def check_room(self, size: int) -> None:
        """Check that `size` bytes are enough for all values."""
        if self.datatype is not None and size < self.number * self.datatype.size:
            raise Unsound("an array has less room than values")


class _Walk(Heaps):
    """Follows all addresses from the superblock on."""

    def __init__(self, file, size: int) -> None:
        super().__init__(file, size)
        self._objects: list[int] = []
        self.filters: set[int] = set()
        self._chunk_rank = 32  # half the children of a node, unless the file says otherwise

    # Superblock

    def run(self) -> None:
        head = self.read(0, min(96, self.size))
        if head[:8] != HDF5_SIGNATURE or len(head) < 48:
            raise Unsound("it is cut off in its first bytes")
        version = head[8]
        if version in (2, 3):
            self.offset_width, self.length_width = head[9], head[10]
            self._check_widths()
            at = 12
            base, extension, end, root = (self.offset(head, at + i * self.offset_width) for i in range(4))
            length = at + 4 * self.offset_width + 4
            stated = self.number(head, length - 4, 4)
            if checksum(head[: length - 4]) != stated:
                raise Unsound("the checksum of its superblock is wrong")
            self._objects.append(root)
            if self.given(extension):  # looked at first: it may tell the size of indices
                self._objects.append(extension)
        elif version in (0, 1):
            self.offset_width, self.length_width = head[13], head[14]
            self._check_widths()
            at = 24 if version == 0 else 28
            if version == 1:
                self._chunk_rank = self.number(head, 24, 2)
            base, free, end, driver = (self.offset(head, at + i * self.offset_width) for i in range(4))
            # Nothing but split files has these; GDAL takes a name such as a0.h5 for a part of one, and the library
            # then makes the parts that it misses.
            if self.given(free) or self.given(driver):
                raise Unsound("it says that it is split over several files")
            root = self.offset(head, at + 5 * self.offset_width)
            self._objects.append(root)
        else:
            raise Unsound(f"its superblock has version {version}")
        if base != 0:
            raise Unsound("it does not begin where it says")
        if end > self.size:
            raise Unsound(f"{self.size} of {end} bytes are there")
        while self._objects:
            address = self._objects.pop()
            if self.first_visit("object", address):
                self._object(address)

    def _check_widths(self) -> None:
        if self.offset_width not in (4, 8) or self.length_width not in (4, 8):
            raise Unsound("its addresses have no usual width")

    # Objects: groups and arrays

    def _object(self, address: int) -> None:
        start = self.read(address, min(16, self.size - address))
        if start[:4] == b"OHDR":
            self._follow(self._modern_messages(address, start))
        elif start[:1] == b"\x01":
            try:
                self._follow(self._old_messages(address, start))
            except TooNew as error:
                # Without a checksum a later version is more likely a wrong byte.
                raise Unsound(str(error)) from error
        else:
            raise Unsound(f"no object header at byte {address}")

    def _follow(self, messages: list[tuple[int, bytes]]) -> None:
        """Check what an object's messages say, and where they lead."""
        number, datatype = 0, None
        for kind, data in messages:
            if kind == 0x01:
                number = read_dataspace(data, self.length_width)
            elif kind == 0x03:
                datatype = read_datatype(data, self.offset_width)
            elif kind == 0x07:
                raise Unsound("the values of an array lie in another file")
        layout = _Layout(number, datatype, any(kind == 0x0B for kind, _ in messages))
        for kind, data in messages:
            if kind == 0x02:
                self._dense(data, 8, self._link)
            elif kind == 0x15:
                self._dense(data, 2, self._attribute)
            elif kind == 0x06:
                self._link(data)
            elif kind == 0x0C:
                self._attribute(data)
            elif kind == 0x08:
                self._values(data, layout)
            elif kind == 0x0B:
                self.filters.update(read_filters(data))
            elif kind == 0x13:
                self._chunk_rank = self.number(data, 1, 2)
            elif kind == 0x11:
                self._old_group(self.offset(data, 0), self.offset(data, self.offset_width))

    def _modern_messages(self, address: int, start: bytes) -> list[tuple[int, bytes]]:
        flags = start[5]
        at = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        size = self.number(self.read(address + at, width), 0, width)
        block = self.checked(address, at + width + size + 4, b"OHDR")
        messages: list[tuple[int, bytes]] = []
        self._split(block[at + width : -4], flags, messages)
        done = 0
        while done < len(messages):
            kind, data = messages[done]
            done += 1
            if kind == 0x10:
                more, length = self.offset(data, 0), self.length(data, self.offset_width)
                if self.first_visit("continuation", more):
                    self._split(self.checked(more, length, b"OCHK")[4:-4], flags, messages)
        return messages

    def _split(self, data: bytes, flags: int, messages: list[tuple[int, bytes]]) -> None:
        at, head = 0, 6 if flags & 0x04 else 4
        while at + head <= len(data):
            kind, size, note = data[at], self.number(data, at + 1, 2), data[at + 3]
            at += head
            if at + size > len(data):
                raise Unsound("a message of an object is longer than the object")
            # A message that objects share is kept elsewhere.
            if not note & 0x02:
                messages.append((kind, data[at : at + size]))
            elif kind == 0x03:
                self._shared(data[at : at + size])
            at += size

    def _old_messages(self, address: int, start: bytes) -> list[tuple[int, bytes]]:
        count, size = self.number(start, 2, 2), self.number(start, 8, 4)
        blocks = [self.read(address + 16, size)]
        messages: list[tuple[int, bytes]] = []
        while blocks and len(messages) <= count:
            data, at = blocks.pop(0), 0
            while at + 8 <= len(data) and len(messages) < count:
                kind, length, note = self.number(data, at, 2), self.number(data, at + 2, 2), data[at + 4]
                at += 8
                if at + length > len(data):
                    raise Unsound("a message of an object is longer than the object")
                body = data[at : at + length]
                if note & 0x02:
                    if kind not in _SHARED:
                        raise Unsound(f"the object at byte {address} borrows what cannot be borrowed")
                    self._shared(body)
                messages.append((-1 if note & 0x02 else kind, body))
                at += length
                if kind == 0x10:
                    more = self.offset(body, 0)
                    if self.first_visit("continuation", more):
                        blocks.append(self.read(more, self.length(body, self.offset_width)))
        if len(messages) < count:
            raise Unsound(f"the object at byte {address} has lost messages")
        return messages

    def _old_group(self, tree: int, heap: int) -> None:
        head = self.read(heap, 8 + 2 * self.length_width + self.offset_width)
        if head[:4] != b"HEAP":
            raise Unsound(f"no HEAP block at byte {heap}")
        names = self.length(head, 8)
        self.read(self.offset(head, 8 + 2 * self.length_width), names)
        for node in self._tree_children(tree, 0, self.length_width, 1024):
            entries = self.read(node, 8)
            if entries[:4] != b"SNOD":
                raise Unsound(f"no SNOD block at byte {node}")
            width = 2 * self.offset_width + 24
            table = self.read(node + 8, self.number(entries, 6, 2) * width)
            for at in range(0, len(table), width):
                if self.offset(table, at) >= names:
                    raise Unsound("the name of an array leads outside of its heap")
                self._objects.append(self.offset(table, at + self.offset_width))

    def _link(self, data: bytes) -> None:
        flags, at = data[1], 2
        kind = 0
        if flags & 0x08:
            kind, at = data[at], at + 1
        at += (8 if flags & 0x04 else 0) + (1 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        at += width + self.number(data, at, width)
        if kind == 0:
            self._objects.append(self.offset(data, at))

    def _attribute(self, data: bytes) -> None:
        attribute = read_attribute(data, self.offset_width, self.length_width)
        if attribute.shared_type:
            self._shared(attribute.shared_type)
        if attribute.variable_length:
            self.strings(attribute.values)

    def _shared(self, data: bytes) -> None:
        """Follow a reference to a message (a type of values, mostly) that is an object of its own."""
        version, place = self.number(data, 0, 1), self.number(data, 1, 1)
        if version not in (1, 2, 3):
            raise Unsound("a reference to a type of values is of no known kind")
        if version < 3 or place == 2:
            self._objects.append(self.offset(data, 8 if version == 1 else 2))

    def _dense(self, data: bytes, index_width: int, take) -> None:
        """Check links or attributes that are kept in a heap with an index."""
        at = 2 + (index_width if data[1] & 1 else 0)
        heap, index = self.offset(data, at), self.offset(data, at + self.offset_width)
        indices = [index]
        if data[1] & 2:
            indices.append(self.offset(data, at + 2 * self.offset_width))
        if not self.given(heap):
            return
        blocks, id_width, bits = self.heap(heap)
        ids: list[bytes] = []
        for number, address in enumerate(indices):
            if self.given(address):
                records = self.index(address)
                if number == 0:
                    # hash, flags, order, heap id: the id comes first for attributes, last for links.
                    ids = [r[4 : 4 + id_width] if index_width == 8 else r[:id_width] for r in records]
        offset_width = -(-bits // 8)
        for identity in ids:
            if not identity or identity[0] & 0x30:
                continue  # huge and tiny objects are not used for these
            start = self.number(identity, 1, offset_width)
            length = self.number(identity, 1 + offset_width, len(identity) - 1 - offset_width)
            take(_piece(blocks, start, length))

    # Values

    def _values(self, data: bytes, layout: _Layout) -> None:
        version, kind = self.number(data, 0, 1), self.number(data, 1, 1)
        if version == 5:
            raise TooNew("values are laid out as only HDF5 2.0 or later does")
        if version not in (3, 4) or (kind == 3 and version == 3) or kind > 3:
            # Versions 1 and 2 ended with HDF5 1.6; no reader here has met them.
            raise Unsound("the values of an array lie in no known way")
        if kind == 0:
            size = self.number(data, 2, 2)
            layout.check_room(size)
            if layout.variable_length:
                self.strings(data[4 : 4 + size])
        elif kind == 1:
            address, size = self.offset(data, 2), self.length(data, 2 + self.offset_width)
            if self.given(address):
                layout.check_room(size)
                if address + size > self.size:
                    raise Unsound(f"it ends before the values of an array, at byte {address + size}")
                if layout.variable_length:
                    self.strings(self.read(address, size))
        elif kind == 2 and version == 3:
            rank, address = data[2], self.offset(data, 3)
            sizes = [self.number(data, 3 + self.offset_width + 4 * i, 4) for i in range(rank)]
            if not sizes or (layout.datatype is not None and sizes[-1] != layout.datatype.size):
                raise Unsound("the parts of an array do not fit its values")
            if self.given(address):
                self._chunks(address, rank, math.prod(sizes), layout)

    def _chunks(self, tree: int, rank: int, nbytes: int, layout: _Layout) -> None:
        """Check the index of the chunks of an array of `rank` - 1 dimensions, each of `nbytes` as values."""
        for key, address in self._tree_entries(tree, 1, 8 + 8 * rank, 2 * self._chunk_rank):
            size, mask = struct.unpack("<II", key[:8])
            if address + size > self.size:
                raise Unsound(f"it ends before the values of an array, at byte {address + size}")
            # A chunk that no filter has shrunk is taken as it is: it has to be whole.
            if (mask or not layout.filters) and size < nbytes:
                raise Unsound(f"a part of an array at byte {address} is too short")
            if layout.variable_length and not layout.filters:
                self.strings(self.read(address, size))

    def _tree_children(self, address: int, kind: int, key: int, most: int) -> list[int]:
        return [child for _, child in self._tree_entries(address, kind, key, most)]

    def _tree_entries(self, root: int, kind: int, key: int, most: int) -> list[tuple[bytes, int]]:
        """Return (key, address) of the leaves of a version 1 B-tree."""
        entries: list[tuple[bytes, int]] = []
        nodes = [(root, -1)]
        while nodes:
            address, expected = nodes.pop()
            if not self.first_visit("tree", address):
                raise Unsound("an index leads back into itself")
            head = self.read(address, 8 + 2 * self.offset_width)
            level, used = head[5], self.number(head, 6, 2)
            if head[:4] != b"TREE" or head[4] != kind or used > most or (expected >= 0 and level != expected):
                raise Unsound(f"no index of arrays at byte {address}")
            for sibling in (self.offset(head, 8), self.offset(head, 8 + self.offset_width)):
                if self.given(sibling) and sibling >= self.size:
                    raise Unsound(f"an address leads outside of its {self.size} bytes")
            step = key + self.offset_width
            data = self.read(address + 8 + 2 * self.offset_width, used * step + key)
            for i in range(used):
                child = self.offset(data, i * step + key)
                if level:
                    nodes.append((child, level - 1))
                else:
                    entries.append((data[i * step : i * step + key], child))
        return entries


def _piece(blocks: list[tuple[int, bytes]], start: int, length: int) -> bytes:
    """Return what lies at an offset of a heap."""
    for offset, data in blocks:
        if offset <= start and start + length <= offset + len(data):
            return data[start - offset : start - offset + length]
    raise Unsound("an entry of a heap lies outside of it")
