"""XMP of a GIF, which Pillow does not support.

Specifications: GIF89a, and XMP part 3, section 1.1.2.
"""

from __future__ import annotations

from typing import BinaryIO

EXTENSION, IMAGE, APPLICATION = 0x21, 0x2C, 0xFF
"""Kinds of blocks, and a kind of extension."""
XMP_NAME = b"XMP DataXMP"
MAGIC_TRAILER = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
"""Ends the packet: readers without XMP take its bytes for lengths, and land on the last one."""


def read_gif_xmp(file: BinaryIO) -> bytes | None:
    """Return the XMP, wherever it is among the frames; None without one. Moves in `file`."""
    file.seek(10)
    file.seek(13 + _colour_table_bytes(_byte(file)))
    while True:
        block = _byte(file)
        if block == EXTENSION:
            if _byte(file) == APPLICATION and file.read(_byte(file)) == XMP_NAME:
                return _read_packet(file)
        elif block == IMAGE:
            file.seek(8, 1)
            file.seek(_colour_table_bytes(_byte(file)) + 1, 1)
        else:  # the end of the animation or of the file
            return None
        _skip_blocks(file)


def with_xmp(gif: bytes, xmp: bytes | None) -> bytes:
    """Return a GIF of Pillow with XMP before its first frame."""
    if not xmp:
        return gif
    start = 13 + _colour_table_bytes(gif[10])
    name = bytes([EXTENSION, APPLICATION, len(XMP_NAME)]) + XMP_NAME
    return b"GIF89a" + gif[6:start] + name + xmp + MAGIC_TRAILER + gif[start:]


def _read_packet(file: BinaryIO) -> bytes | None:
    start = file.tell()
    blocks = _skip_blocks(file)
    end = file.tell()
    file.seek(start)
    packet = file.read(end - start)
    if packet.endswith(MAGIC_TRAILER):
        return packet.removesuffix(MAGIC_TRAILER) or None
    # other programs write ordinary blocks
    return b"".join(packet[at + 1 : at + 1 + size] for at, size in blocks) or None


def _skip_blocks(file: BinaryIO) -> list[tuple[int, int]]:
    """Move to the end of some blocks; return their positions, from 0, and sizes."""
    blocks, position = [], 0
    while size := _byte(file):
        blocks.append((position, size))
        position += 1 + size
        file.seek(size, 1)
    return blocks


def _colour_table_bytes(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _byte(file: BinaryIO) -> int:
    """Return the next byte; 0 at the end of the file."""
    return (file.read(1) or b"\0")[0]
