"""Fractal heaps of an HDF5 file and the version 2 B-trees that index them: where many links or attributes are."""

from __future__ import annotations

from .raw_bytes import Tables, Unsound, checksum


class Heaps(Tables):
    """Reads heaps and their indices, checksums and addresses being checked."""

    def __init__(self, file, size: int) -> None:
        super().__init__(file, size)
        self._collections: dict[int, dict[int, int]] = {}

    def heap(self, address: int) -> tuple[list[tuple[int, bytes]], int, int]:
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

    def index(self, address: int) -> list[bytes]:
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

    def strings(self, data: bytes) -> None:
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
            # Heads of a collection and of its pieces are filled up to eight bytes.
            width = 8 + -(-self.length_width // 8) * 8
            head = self.read(address, width)
            size = self.length(head, 8)
            if head[:4] != b"GCOL" or head[4] != 1 or size < width:
                raise Unsound(f"no GCOL block at byte {address}")
            data, at, pieces = self.read(address, size), width, {}
            while at + width <= size:
                number, length = self.number(data, at, 2), self.length(data, at + 8)
                if number == 0:  # what is free, up to the end; the library goes on behind it
                    if length != size - at:
                        raise Unsound(f"the collection of texts at byte {address} is damaged")
                    break
                at += width + -(-length // 8) * 8
                if at > size or number in pieces:
                    raise Unsound(f"the collection of texts at byte {address} is damaged")
                pieces[number] = length
            self._collections[address] = pieces
        return self._collections[address]


def _bytes_for(number: int) -> int:
    return max(1, -(-max(1, number).bit_length() // 8))
