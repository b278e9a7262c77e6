"""Chunks of a WebP that Pillow does not expose.

Specification: RFC 9649.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

WRITTEN_CHUNKS = {b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP", b"EXIF", b"XMP "}
FRAME_HEADER_BYTES = 16


def is_lossless_webp(file: BinaryIO) -> bool:
    """True if the first picture is lossless. Moves in `file`."""
    file.seek(12)
    while len(head := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        if name in {b"VP8 ", b"VP8L"}:
            return bool(name == b"VP8L")
        # a frame has a header, then chunks
        file.seek(FRAME_HEADER_BYTES if name == b"ANMF" else size + size % 2, 1)
    return False


def dropped_webp_chunks(file: BinaryIO) -> Iterator[str]:
    """Yield the names of chunks that the result will lack. Moves in `file`."""
    file.seek(4)
    end = 8 + int.from_bytes(file.read(4), "little")
    file.seek(12)
    while file.tell() < end and len(head := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        if name not in WRITTEN_CHUNKS and name.isascii():
            yield re.sub(r"[^!-~]", "", name.decode())
        file.seek(size + size % 2, 1)
