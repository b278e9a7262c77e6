"""TIFF files with any tags, byte for byte."""

from __future__ import annotations

import struct
from collections.abc import Mapping

TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 13: 4}


def make_tiff(
    tags: Mapping[int, tuple[int, bytes]], pixels: bytes = b"", *, order: str = "<", start: int = 8
) -> bytes:
    """Return a TIFF with one directory at `start`; each tag is (type, value in byte order `order`).

    The pixels follow the values, and tag 273 is set to their position.
    """
    tags = {**tags, 273: (4, bytes(4))} if pixels else dict(tags)
    directory_bytes = 2 + 12 * len(tags) + 4
    values_at = start + directory_bytes + start % 2
    values = b""
    positions = {}
    for tag, (_, data) in tags.items():
        if len(data) > 4:
            positions[tag] = values_at + len(values)
            values += data + bytes(len(data) % 2)
    if pixels:
        tags[273] = (4, struct.pack(order + "I", values_at + len(values)))
    entries = b""
    for tag, (kind, data) in sorted(tags.items()):
        count = len(data) // TYPE_BYTES[kind]
        field = (
            struct.pack(order + "I", positions[tag]) if tag in positions else data.ljust(4, b"\0")
        )
        entries += struct.pack(order + "HHI", tag, kind, count) + field
    mark = {"<": b"II", ">": b"MM"}[order]
    head = mark + struct.pack(order + "HI", 42, start)
    directory = struct.pack(order + "H", len(tags)) + entries + bytes(4)
    return (head.ljust(start, b"\0") + directory).ljust(values_at, b"\0") + values + pixels


def grey_tags(width: int, height: int, *, order: str = "<") -> dict[int, tuple[int, bytes]]:
    """Return the tags of an uncompressed grey picture with 8 bits."""

    def short(*values: int) -> tuple[int, bytes]:
        return 3, struct.pack(f"{order}{len(values)}H", *values)

    return {
        256: short(width),
        257: short(height),
        258: short(8),
        259: short(1),
        262: short(1),
        277: short(1),
        278: short(height),
        279: (4, struct.pack(order + "I", width * height)),
    }
