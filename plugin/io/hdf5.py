"""Looks over the structure of an HDF5 file (NetCDF-4 is one) before the library for it does.

The library trusts what it reads: one wrong byte in a table of addresses can end the process, and QGIS
with it. Nearly all of these tables carry a checksum, so that damage shows; in the few that do not
(indices of chunks, heaps of strings) addresses and sizes are checked one by one. The values
themselves are not looked at: damage among them gives wrong values, or an error when they are read.

Format: "HDF5 File Format Specification Version 3.0", The HDF Group.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from osgeo import gdal

from ..core.errors import SceneError
from .gdal_state import quiet_gdal
from .hdf5_bytes import Tables, Unsound, checksum

SIGNATURE = b"\x89HDF\r\n\x1a\n"


def check_structure(source: str, path: str) -> None:
    """Check that the tables of an HDF5 file are whole and lead nowhere outside of it.

    Parameters
    ----------
    source : str
        What GDAL opens, also under ``/vsi…``.
    path : str
        What a person calls it, for messages.

    Raises
    ------
    SceneError
        It is damaged or truncated.
    """
    with quiet_gdal():
        file = gdal.VSIFOpenL(source, "rb")
    if file is None:
        raise SceneError(f"There is no file {path}, or it cannot be read. Check the path.")
    try:
        with quiet_gdal():
            gdal.VSIFSeekL(file, 0, 2)
            size = gdal.VSIFTellL(file)
            _Walk(file, size).run()
    except (Unsound, struct.error, IndexError, RecursionError, MemoryError, OverflowError) as error:
        reason = str(error) or type(error).__name__
        raise SceneError(f"{path} is damaged or truncated ({reason}): copy or download it again.") from error
    finally:
        gdal.VSIFCloseL(file)


@dataclass(frozen=True)
class _Layout:
    """Where the values of an array lie, as far as it matters here."""

    variable_length: bool = False
    filters: bool = False


class _Walk(Tables):
    """Follows all addresses from the superblock on."""

    def __init__(self, file, size: int) -> None:
        super().__init__(file, size)
        self._collections: dict[int, dict[int, int]] = {}
        self._objects: list[int] = []
        self._chunk_rank = 32  # half the children of a node, unless the file says otherwise

    # Superblock

    def run(self) -> None:
        head = self.read(0, min(96, self.size))
        if head[:8] != SIGNATURE or len(head) < 48:
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
            base, end = self.offset(head, at), self.offset(head, at + 2 * self.offset_width)
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
            messages = self._modern_messages(address, start)
        elif start[:1] == b"\x01":
            messages = self._old_messages(address, start)
        else:
            raise Unsound(f"no object header at byte {address}")
        datatype = next((data for kind, data in messages if kind == 0x03), b"")
        layout = _Layout(bool(datatype) and datatype[0] & 15 == 9, any(kind == 0x0B for kind, _ in messages))
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
            if not note & 0x02:  # a shared message is kept elsewhere
                messages.append((kind, data[at : at + size]))
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
        version, names, types, spaces = data[0], *(self.number(data, at, 2) for at in (2, 4, 6))
        at = 9 if version == 3 else 8
        if version == 1:
            names, types, spaces = (-(-size // 8) * 8 for size in (names, types, spaces))
        datatype = data[at + names : at + names + types]
        if datatype and datatype[0] & 15 == 9 and not data[1] & 0x01:
            self._strings(data[at + names + types + spaces :])

    def _dense(self, data: bytes, index_width: int, take) -> None:
        """Check links or attributes that are kept in a heap with an index."""
        at = 2 + (index_width if data[1] & 1 else 0)
        heap, index = self.offset(data, at), self.offset(data, at + self.offset_width)
        indices = [index]
        if data[1] & 2:
            indices.append(self.offset(data, at + 2 * self.offset_width))
        if not self.given(heap):
            return
        blocks, id_width, bits = self._heap(heap)
        ids: list[bytes] = []
        for number, address in enumerate(indices):
            if self.given(address):
                records = self._index(address)
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

    # Fractal heaps and their indices

    def _heap(self, address: int) -> tuple[list[tuple[int, bytes]], int, int]:
        """Return the blocks of a heap by their offset, the width of its identities, and of its offsets."""
        o, n = self.offset_width, self.length_width
        head = self.checked(address, 26 + 12 * n + 3 * o, b"FRHP")
        flags = head[9]
        at = 14 + 10 * n + 2 * o
        width = self.number(head, at, 2)
        first, largest = self.length(head, at + 2), self.length(head, at + 2 + n)
        bits = self.number(head, at + 2 + 2 * n, 2)
        root = self.offset(head, at + 6 + 2 * n)
        rows = self.number(head, at + 6 + 2 * n + o, 2)
        if not (width and first and largest >= first and 1 <= bits <= 64):
            raise Unsound("a heap has no believable size")
        blocks: list[tuple[int, bytes]] = []
        if self.given(root):
            shape = (width, first, largest, -(-bits // 8), bool(flags & 2))
            if rows:
                self._indirect(root, 0, rows, shape, blocks)
            else:
                self._direct(root, 0, first, shape, blocks)
        return blocks, self.number(head, 5, 2), bits

    def _direct(self, address: int, offset: int, size: int, shape, blocks) -> None:
        data = self.read(address, size)
        at = 5 + self.offset_width + shape[3]
        if data[:4] != b"FHDB":
            raise Unsound(f"no FHDB block at byte {address}")
        if shape[4]:
            stated = self.number(data, at, 4)
            if checksum(data[:at] + bytes(4) + data[at + 4 :]) != stated:
                raise Unsound(f"the checksum of the FHDB block at byte {address} is wrong")
        blocks.append((offset, data))

    def _indirect(self, address: int, offset: int, rows: int, shape, blocks) -> None:
        width, first, largest, offset_bytes, _ = shape
        if rows > 64 or not self.first_visit("heap", address):
            raise Unsound("a heap leads back into itself")
        data = self.checked(
            address, 5 + self.offset_width + offset_bytes + rows * width * self.offset_width + 4, b"FHIB"
        )
        at = 5 + self.offset_width + offset_bytes
        for row in range(rows):
            size = first << max(0, row - 1)
            for _ in range(width):
                child = self.offset(data, at)
                at += self.offset_width
                if self.given(child):
                    if size <= largest:
                        self._direct(child, offset, size, shape, blocks)
                    else:
                        inner = (size // (first * width)).bit_length()
                        self._indirect(child, offset, inner, shape, blocks)
                offset += size

    def _index(self, address: int) -> list[bytes]:
        """Return the records of a version 2 B-tree."""
        head = self.checked(address, 22 + self.offset_width + self.length_width, b"BTHD")
        node, record, depth = self.number(head, 6, 4), self.number(head, 10, 2), self.number(head, 12, 2)
        root, count = self.offset(head, 16), self.number(head, 16 + self.offset_width, 2)
        if not record or node < 16 or depth > 16:
            raise Unsound("an index has no believable size")
        records: list[bytes] = []
        if self.given(root):
            self._index_node(root, count, depth, node, record, records)
        return records

    def _index_node(self, address, count, depth, node, record, records) -> None:
        if not self.first_visit("index", address):
            raise Unsound("an index leads back into itself")
        if depth == 0:
            data = self.checked(address, 6 + count * record + 4, b"BTLF")
            records += [data[6 + i * record : 6 + (i + 1) * record] for i in range(count)]
            return
        # Numbers of records below are as wide as the largest there can be.
        most = [(node - 10) // record]
        width = [_bytes_for(most[0])]
        totals, total_width = [most[0]], [0]
        for level in range(1, depth + 1):
            pointer = self.offset_width + width[0] + total_width[level - 1]
            most.append((node - 10 - pointer) // (record + pointer))
            totals.append((most[level] + 1) * totals[level - 1] + most[level])
            width.append(_bytes_for(most[level]))
            total_width.append(_bytes_for(totals[level]))
        pointer = self.offset_width + width[0] + (total_width[depth - 1] if depth > 1 else 0)
        data = self.checked(address, 6 + count * record + (count + 1) * pointer + 4, b"BTIN")
        records += [data[6 + i * record : 6 + (i + 1) * record] for i in range(count)]
        for i in range(count + 1):
            at = 6 + count * record + i * pointer
            below = self.number(data, at + self.offset_width, width[0])
            self._index_node(self.offset(data, at), below, depth - 1, node, record, records)

    # Values

    def _values(self, data: bytes, layout: _Layout) -> None:
        version = data[0]
        if version == 3 and data[1] == 0:
            if layout.variable_length:
                self._strings(data[4 : 4 + self.number(data, 2, 2)])
        elif version in (3, 4) and data[1] == 1:
            address, size = self.offset(data, 2), self.length(data, 2 + self.offset_width)
            if self.given(address):
                if address + size > self.size:
                    raise Unsound(f"it ends before the values of an array, at byte {address + size}")
                if layout.variable_length:
                    self._strings(self.read(address, size))
        elif version == 3 and data[1] == 2:
            rank, address = data[2], self.offset(data, 3)
            sizes = [self.number(data, 3 + self.offset_width + 4 * i, 4) for i in range(rank)]
            nbytes = 1
            for size in sizes:
                nbytes *= size
            if self.given(address):
                self._chunks(address, rank, nbytes, layout)

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
                self._strings(self.read(address, size))

    def _tree_children(self, address: int, kind: int, key: int, most: int) -> list[int]:
        return [child for _, child in self._tree_entries(address, kind, key, most)]

    def _tree_entries(self, root: int, kind: int, key: int, most: int) -> list[tuple[bytes, int]]:
        """Return (key, address) of the leaves of a version 1 B-tree."""
        found: list[tuple[bytes, int]] = []
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
                    found.append((data[i * step : i * step + key], child))
        return found

    def _strings(self, data: bytes) -> None:
        """Check references to strings: length, address of a collection, number in it."""
        width = 8 + self.offset_width
        for at in range(0, len(data) - width + 1, width):
            length, number = self.number(data, at, 4), self.number(data, at + 4 + self.offset_width, 4)
            address = self.offset(data, at + 4)
            if not length and not number:
                continue
            size = self._collection(address).get(number)
            # Strings are counted in bytes, references to objects by eight.
            if size is None or length > size:
                raise Unsound(f"a text leads to nothing at byte {address}")

    def _collection(self, address: int) -> dict[int, int]:
        """Return the sizes of the pieces of a collection of strings by their number."""
        if address not in self._collections:
            head = self.read(address, 8 + self.length_width)
            size = self.length(head, 8)
            if head[:4] != b"GCOL" or head[4] != 1 or size < 8 + self.length_width:
                raise Unsound(f"no GCOL block at byte {address}")
            data, at, pieces = self.read(address, size), 8 + self.length_width, {}
            while at + 8 + self.length_width <= size:
                number, length = self.number(data, at, 2), self.length(data, at + 8)
                if number == 0:
                    if length > size - at:
                        raise Unsound(f"the collection of texts at byte {address} is damaged")
                    break
                at += 8 + self.length_width + -(-length // 8) * 8
                if at > size or number in pieces:
                    raise Unsound(f"the collection of texts at byte {address} is damaged")
                pieces[number] = length
            self._collections[address] = pieces
        return self._collections[address]


def _piece(blocks: list[tuple[int, bytes]], start: int, length: int) -> bytes:
    """Return what lies at an offset of a heap."""
    for offset, data in blocks:
        if offset <= start and start + length <= offset + len(data):
            return data[start - offset : start - offset + length]
    raise Unsound("an entry of a heap lies outside of it")


def _bytes_for(number: int) -> int:
    return max(1, -(-max(1, number).bit_length() // 8))
