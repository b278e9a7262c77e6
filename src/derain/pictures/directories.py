"""Directories of a TIFF, of which EXIF consists too: read and written byte for byte.

Specifications: TIFF 6.0, BigTIFF.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

import numpy as np

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, IFD = 1, 2, 3, 4, 5, 7, 13
"""Types of values."""
TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
TYPE_BYTES |= dict.fromkeys((16, 17, 18), 8)
"""Size of a single value by its type. BigTIFF adds the types above IFD."""
WORD_BYTES = TYPE_BYTES | {5: 4, 10: 4}
"""Size of the parts of a value that the byte order applies to."""
Order = Literal["<", ">"]
ORDERS: dict[bytes, Order] = {b"II": "<", b"MM": ">"}
"""Byte order, as in `struct`, by the first bytes of a file."""
CLASSIC, BIG = 42, 43
HEADER_BYTES = 8


@dataclass(frozen=True)
class Value:
    """The values of a tag, in the byte order of their file."""

    kind: int
    """A key of TYPE_BYTES."""
    data: bytes
    position: int = 0
    """Where the values are in their file."""

    @property
    def count(self) -> int:
        """Number of values."""
        return len(self.data) // TYPE_BYTES[self.kind]

    def reordered(self, order: Order, other: Order) -> Value:
        """Return the values of byte order `order` in the byte order `other`."""
        if order == other or WORD_BYTES[self.kind] == 1:
            return self
        words = np.frombuffer(self.data, f"u{WORD_BYTES[self.kind]}")
        return Value(self.kind, words.byteswap().tobytes(), self.position)


@dataclass(frozen=True)
class WrittenValue:
    """Values that a file contains already."""

    kind: int
    count: int
    position: int


Directory = dict[int, "Value | WrittenValue | Directory"]
"""Values and further directories, by tag."""


class DirectoryReader:
    """Reads the directories of a TIFF or of EXIF.

    Raises ValueError or struct.error for damaged ones.
    """

    def __init__(self, file: BinaryIO) -> None:
        """`file` must be seekable, and begin with the header."""
        self._file = file
        self._size = file.seek(0, 2)
        self._unread = self._size  # overlapping values would otherwise exceed the memory
        file.seek(0)
        head = file.read(16)
        if head[:2] not in ORDERS:
            raise ValueError("not a TIFF")
        self.order = ORDERS[head[:2]]
        (version,) = struct.unpack_from(self.order + "H", head, 2)
        if version not in {CLASSIC, BIG}:
            raise ValueError("not a TIFF")
        self._is_big = version == BIG
        self.first = self._unpack("Q", head[8:]) if self._is_big else self._unpack("I", head[4:])

    def directory(self, start: int, *, tags: Collection[int] | None = None) -> Directory:
        """Return the values of `tags`, or all values, of the directory at `start`.

        Values of unknown types, and values beyond the end of the file, are left out.
        """
        return dict(self._values(start, tags))

    def tags(self, start: int) -> list[int]:
        """Return the tags of the directory at `start`."""
        return [self._unpack("H", entry) for _, entry in self._entries(start)]

    def pointer(self, value: Value) -> int:
        """Return the position of the directory that a value names."""
        word = "Q" if self._is_big and len(value.data) == 8 else "I"
        return self._unpack(word, value.data)

    def _values(self, start: int, tags: Collection[int] | None) -> Iterator[tuple[int, Value]]:
        for place, entry in self._entries(start):
            tag, kind = struct.unpack_from(self.order + "HH", entry)
            if (tags is not None and tag not in tags) or kind not in TYPE_BYTES:
                continue
            words = entry[4:]
            half = len(words) // 2
            size = self._word(words[:half]) * TYPE_BYTES[kind]
            position = place + 4 + half
            if size > half:
                position = self._word(words[half:])
            if size > self._unread or position + size > self._size:
                continue
            self._unread -= size
            data = words[half : half + size] if size <= half else self._read(position, size)
            yield tag, Value(kind, data, position)

    def _entries(self, start: int) -> Iterator[tuple[int, bytes]]:
        """Yield position and bytes of each entry of the directory at `start`."""
        form, head_bytes, entry_bytes = ("Q", 8, 20) if self._is_big else ("H", 2, 12)
        count = self._unpack(form, self._read(start, head_bytes))
        table = self._read(start + head_bytes, count * entry_bytes)
        for offset in range(0, len(table) - entry_bytes + 1, entry_bytes):
            yield start + head_bytes + offset, table[offset : offset + entry_bytes]

    def _read(self, position: int, size: int) -> bytes:
        if position + size > self._size:
            raise ValueError("a directory exceeds the file")
        self._file.seek(position)
        return self._file.read(size)

    def _word(self, data: bytes) -> int:
        return self._unpack("Q" if self._is_big else "I", data)

    def _unpack(self, form: str, data: bytes) -> int:
        return int(struct.unpack_from(self.order + form, data)[0])


class DirectoryWriter:
    """Lays out directories and their values in a block of bytes."""

    def __init__(self, order: Order, start: int, *, pinned: Value | None = None) -> None:
        """`start`: position of the block in its file. `pinned` keeps the position that it has."""
        self.order = order
        self.block = bytearray()
        self._start = start
        self._pinned = pinned

    def add(self, directory: Directory) -> int:
        """Write a directory, its values and its directories; return its position in the file."""
        position = self._allocate(2 + 12 * len(directory) + 4)
        entries = [self._entry(tag, directory[tag]) for tag in sorted(directory)]
        count = struct.pack(self.order + "H", len(entries))
        self._put(position, count + b"".join(entries) + bytes(4))
        return position

    def _entry(self, tag: int, value: Value | WrittenValue | Directory) -> bytes:
        match value:
            case Value() if len(value.data) <= 4:
                head = struct.pack(self.order + "HHI", tag, value.kind, value.count)
                return head + value.data.ljust(4, b"\0")
            case Value():
                is_pinned = value is self._pinned
                position = value.position if is_pinned else self._allocate(len(value.data))
                self._put(position, value.data)
                kind, count = value.kind, value.count
            case WrittenValue():
                kind, count, position = value.kind, value.count, value.position
            case _:
                kind, count, position = LONG, 1, self.add(value)
        return struct.pack(self.order + "HHII", tag, kind, count, position)

    def _allocate(self, size: int) -> int:
        """Return an even position after the block where `size` bytes do not overlap `pinned`."""
        position = self._start + len(self.block)
        position += position % 2
        if self._pinned is not None:
            end = self._pinned.position + len(self._pinned.data)
            if position < end and position + size > self._pinned.position:
                position = end + end % 2
        self._put(position, bytes(size))
        return position

    def _put(self, position: int, data: bytes) -> None:
        start = position - self._start
        self.block.extend(bytes(max(start + len(data) - len(self.block), 0)))
        self.block[start : start + len(data)] = data
