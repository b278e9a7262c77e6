"""Boxes of an AVIF or HEIC: the items of the file, their properties and their data.

Specifications: ISO/IEC 14496-12 and 23008-12.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

Properties = tuple[tuple[bytes, bytes], ...]
"""(name, content) of boxes."""
IN_FILE, IN_META_BOX = 0, 1
"""Construction methods: where the extents of an item are."""
SAMPLE_ENTRY_BYTES = 78
"""Fields of a visual sample entry before its boxes."""
SIDES_AT = 24
"""Position of width and height among these fields."""
MAX_BOXES = 1024
"""Limit for damaged files, at the top level."""
MAX_EXTENTS = 256
"""Limit for damaged files; encoders write a single one."""
INVALID = (struct.error, IndexError, KeyError)
"""Exceptions for damaged boxes."""


@dataclass
class Item:
    """A picture or a block of metadata."""

    kind: bytes = b""
    """`av01`, `hvc1`, `grid`, `Exif`, ..."""
    properties: Properties = ()
    construction: int = IN_FILE
    extents: list[tuple[int, int]] = field(default_factory=list)
    """(offset, size) of the parts of its data."""
    sources: list[int] = field(default_factory=list)
    """Items that a derived picture, such as a grid, consists of."""


@dataclass
class MetaBox:
    """All items of a file."""

    primary: int = 0
    items: dict[int, Item] = field(default_factory=dict)
    data: bytes = b""
    """Content of the items inside of this box."""

    def item(self, number: int) -> Item:
        """Return an item, which is new if the number is unknown."""
        return self.items.setdefault(number, Item())

    def primary_properties(self) -> Properties:
        """Return the properties of the main picture, then those of the first part of a grid."""
        primary = self.item(self.primary)
        parts = [self.item(number) for number in primary.sources[:1]]
        return primary.properties + tuple(box for part in parts for box in part.properties)


def read_meta(file: BinaryIO) -> MetaBox | None:
    """Return the items of a file; None if it has none, or is damaged. Moves in `file`."""
    body = _find_in_file(file, b"meta")
    try:
        return None if body is None else _parse_meta(body)
    except INVALID:
        return None


def read_track_properties(file: BinaryIO) -> Properties:
    """Return the properties of the frames of an animation, not of their alpha. Moves in `file`."""
    movie = _find_in_file(file, b"moov")
    try:
        for name, track in children(movie or b""):
            media = _find(track, b"mdia") if name == b"trak" else b""
            if media and _find(media, b"hdlr")[8:12] == b"pict":
                table = _find(_find(media, b"minf"), b"stbl")
                _, entry = next(children(_find(table, b"stsd")[8:]))
                sides = struct.pack(">4xII", *struct.unpack_from(">HH", entry, SIDES_AT))
                return ((b"ispe", sides), *children(entry[SAMPLE_ENTRY_BYTES:]))
    except (*INVALID, StopIteration):
        pass
    return ()


def read_item(file: BinaryIO, meta: MetaBox, kind: bytes) -> bytes | None:
    """Return the data of the only item of a kind; None if there are several. Moves in `file`."""
    items = [item for item in meta.items.values() if item.kind == kind]
    if len(items) != 1 or items[0].construction not in {IN_FILE, IN_META_BOX}:
        return None
    parts, size = [], file.seek(0, 2)
    if sum(length for _, length in items[0].extents) > size:
        return None
    for offset, length in items[0].extents:
        if items[0].construction == IN_META_BOX:
            parts.append(meta.data[offset : offset + length])
        elif offset + length <= size:
            file.seek(offset)
            parts.append(file.read(length))
        else:
            return None
    return b"".join(parts)


def children(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (name, content) of each box in the content of another box."""
    start = 0
    while start + 8 <= len(body):
        size, name = struct.unpack_from(">I4s", body, start)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", body, start + 8)
            head = 16
        end = len(body) if size == 0 else start + size
        if end < start + head:
            return
        yield name, body[start + head : end]
        start = end


def _find(body: bytes, name: bytes) -> bytes:
    """Return the content of the first box of a name. Raises KeyError."""
    for found, content in children(body):
        if found == name:
            return content
    raise KeyError(name)


def top_level_boxes(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of the content of each box of a file. Moves in `file`."""
    start, end = 0, file.seek(0, 2)
    for _ in range(MAX_BOXES):
        if start + 8 > end:
            return
        file.seek(start)
        head = file.read(16)
        size, found = struct.unpack_from(">I4s", head)
        head_bytes = 8
        if size == 1 and len(head) == 16:
            size, head_bytes = struct.unpack_from(">Q", head, 8)[0], 16
        elif size == 0:
            size = end - start
        if size < head_bytes:
            return
        yield found, start + head_bytes, min(start + size, end)
        start += size


def _find_in_file(file: BinaryIO, name: bytes) -> bytes | None:
    """Return the content of the first box of a name."""
    for found, start, end in top_level_boxes(file):
        if found == name:
            file.seek(start)
            return file.read(end - start)
    return None


def _parse_meta(body: bytes) -> MetaBox:
    meta = MetaBox()
    for name, content in children(body[4:]):
        match name:
            case b"pitm":
                meta.primary = _Fields(content).number(2 if content[0] == 0 else 4)
            case b"iinf":
                _parse_kinds(content, meta)
            case b"iloc":
                _parse_locations(content, meta)
            case b"iref":
                _parse_references(content, meta)
            case b"iprp":
                _parse_properties(content, meta)
            case b"idat":
                meta.data = content
    return meta


class _Fields:
    """Reads the fields of a box one by one. Raises struct.error at its end."""

    def __init__(self, content: bytes) -> None:
        self.version = content[0]
        self.flags = int.from_bytes(content[1:4], "big")
        self.content = content
        self.position = 4

    def number(self, size: int) -> int:
        end = self.position + size
        if end > len(self.content):
            raise struct.error("a box is too short")
        value = int.from_bytes(self.content[self.position : end], "big")
        self.position = end
        return value


def _parse_kinds(content: bytes, meta: MetaBox) -> None:
    start = 6 if content[0] == 0 else 8
    for name, entry in children(content[start:]):
        if name == b"infe" and entry[0] >= 2:
            fields = _Fields(entry)
            number = fields.number(2 if fields.version == 2 else 4)
            meta.item(number).kind = entry[fields.position + 2 : fields.position + 6]


def _parse_locations(content: bytes, meta: MetaBox) -> None:
    fields = _Fields(content)
    sizes, more_sizes = fields.number(1), fields.number(1)
    number_bytes = 2 if fields.version < 2 else 4
    for _ in range(fields.number(number_bytes)):
        item = meta.item(fields.number(number_bytes))
        if fields.version > 0:
            item.construction = fields.number(2) & 15
        fields.number(2)  # data references: other files
        base = fields.number(more_sizes >> 4)
        count = fields.number(2)
        if count > MAX_EXTENTS:
            raise struct.error("an item has too many parts")
        for _ in range(count):
            if fields.version > 0:
                fields.number(more_sizes & 15)
            offset = base + fields.number(sizes >> 4)
            item.extents.append((offset, fields.number(sizes & 15)))


def _parse_references(content: bytes, meta: MetaBox) -> None:
    number_bytes = 2 if content[0] == 0 else 4
    for name, reference in children(content[4:]):
        fields = _Fields(bytes(4) + reference)
        item = meta.item(fields.number(number_bytes))
        targets = [fields.number(number_bytes) for _ in range(fields.number(2))]
        if name == b"dimg":
            item.sources += targets


def _parse_properties(content: bytes, meta: MetaBox) -> None:
    properties = list(children(_find(content, b"ipco")))
    for name, association in children(content):
        if name != b"ipma":
            continue
        fields = _Fields(association)
        for _ in range(fields.number(4)):
            item = meta.item(fields.number(2 if fields.version == 0 else 4))
            size, mask = (2, 0x7FFF) if fields.flags & 1 else (1, 0x7F)
            numbers = [fields.number(size) & mask for _ in range(fields.number(1))]
            # number 0 stands for no property
            item.properties += tuple(properties[number - 1] for number in numbers if number)
