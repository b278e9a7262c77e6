"""Chunks of a PNG that are kept byte for byte, or adapted to the pixels that derain writes.

Specification: PNG, third edition.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from derain.pictures.picture import COLOUR_CHUNKS, Metadata

Chunks = tuple[tuple[bytes, bytes], ...]
"""(name, data) of chunks."""
XMP_KEYWORD = b"XML:com.adobe.xmp"
EXIF_KEYWORD = b"Raw profile type exif"
"""Keyword of a text with the EXIF in hexadecimal, as in old PNGs without an eXIf chunk."""
TEXT_CHUNKS = {b"tEXt", b"zTXt", b"iTXt"}
KEPT_CHUNKS = {*COLOUR_CHUNKS, *TEXT_CHUNKS, b"tIME", b"bKGD", b"sBIT"}
WRITTEN_CHUNKS = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"iCCP", b"pHYs", b"eXIf"}
WRITTEN_CHUNKS |= {b"acTL", b"fcTL", b"fdAT"}
"""Chunks that the writer makes."""
STORAGE_CHUNKS = {b"hIST", b"iDOT"}
"""Chunks about the storage of the pixels: nothing is lost without them."""
CREDENTIALS_CHUNK = "caBX"
"""Signed by the camera or editor, for the old pixels (C2PA)."""
GREY, COLOUR, PALETTE, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 3, 4, 6
"""Values of the colour type."""
SIGNIFICANT_BITS = {GREY: 1, COLOUR: 3, PALETTE: 3, GREY_ALPHA: 2, COLOUR_ALPHA: 4}
"""Length of an sBIT chunk."""
BACKGROUND = {GREY: 2, COLOUR: 6, PALETTE: 1, GREY_ALPHA: 2, COLOUR_ALPHA: 6}
"""Length of a bKGD chunk."""


@dataclass(frozen=True)
class PngChunks:
    """The chunks of a PNG."""

    kept: Chunks
    dropped: list[str]
    """Names of chunks that depend on the pixels in an unknown way."""


def read_png_chunks(file: BinaryIO) -> PngChunks:
    """Read the chunks other than XMP and EXIF. Moves to the end of the PNG in `file`."""
    chunks: list[tuple[bytes, bytes]] = []
    dropped: list[str] = []
    parts = {}
    file.seek(8)
    while len(head := file.read(8)) == 8:
        size, name = struct.unpack(">I4s", head)
        if name in {b"IHDR", b"PLTE"}:
            parts[name] = file.read(size)
        elif name in KEPT_CHUNKS or _is_safe_to_copy(name):
            data = file.read(size)
            # XMP and EXIF are separate fields, because their orientation changes
            if not data.startswith((XMP_KEYWORD, EXIF_KEYWORD)):
                chunks.append((name, data))
        else:
            file.seek(size, 1)
            parts[name] = b""
            if name not in WRITTEN_CHUNKS | STORAGE_CHUNKS:
                dropped.append(name.decode("latin-1"))
        file.seek(4, 1)
        if name == b"IEND":
            break
    return PngChunks(tuple(_adapted(chunks, parts)), dropped)


def has_late_orientation(file: BinaryIO) -> bool:
    """True if a PNG has EXIF or XMP behind its pixels, which Pillow reads after decoding them."""
    is_behind = False
    file.seek(8)
    while len(head := file.read(8)) == 8:
        size, name = struct.unpack(">I4s", head)
        is_behind |= name == b"IDAT"
        if is_behind and name == b"eXIf":
            return True
        if is_behind and name in TEXT_CHUNKS:
            start = file.read(min(size, len(EXIF_KEYWORD)))
            if start.startswith((XMP_KEYWORD, EXIF_KEYWORD)):
                return True
            size -= len(start)
        file.seek(size + 4, 1)
    return False


def png_chunks(metadata: Metadata) -> bytes:
    """Return the chunks of a PNG other than EXIF, ICC profile and resolution."""
    chunks = [
        pack_chunk(name, data)
        for name, data in metadata.png_chunks
        if not (metadata.icc and name == b"sRGB")  # a profile replaces sRGB
    ]
    if metadata.xmp:
        # uncompressed, no language, no translation
        chunks.append(pack_chunk(b"iTXt", XMP_KEYWORD + b"\0\0\0\0\0" + metadata.xmp))
    return b"".join(chunks)


def pack_chunk(name: bytes, data: bytes) -> bytes:
    """Return a chunk with its length and checksum."""
    checksum = zlib.crc32(data, zlib.crc32(name))
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)


class ChunkInserter:
    """A file that Pillow writes a PNG to, and that adds chunks after the header."""

    def __init__(self, file: BinaryIO, chunks: bytes) -> None:
        self._file = file
        self._chunks = chunks
        self._head = b""

    def write(self, data: bytes) -> int:
        """Write a part of the PNG."""
        if self._chunks:
            self._head += data
            if len(self._head) >= 33:  # the signature and IHDR
                self._file.write(self._head[:33] + self._chunks + self._head[33:])
                self._chunks = b""
        else:
            self._file.write(data)
        return len(data)

    def flush(self) -> None:
        """Flush the file."""
        self._file.flush()


def _is_safe_to_copy(name: bytes) -> bool:
    """True for an ancillary chunk that does not depend on the pixels (section 5.4)."""
    is_safe = name.isalpha() and name[:1].islower() and name[3:].islower()  # else it is damaged
    return is_safe and name not in WRITTEN_CHUNKS


def _adapted(
    chunks: list[tuple[bytes, bytes]], parts: dict[bytes, bytes]
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks, adapted to pixels without a palette and with at least 8 bits."""
    header = parts.get(b"IHDR", b"")
    depth, colour_type = (header[8], header[9]) if len(header) == 13 else (0, -1)
    for name, data in chunks:
        if name == b"bKGD":
            if len(data) == BACKGROUND.get(colour_type):
                palette = parts.get(b"PLTE", b"") if colour_type == PALETTE else None
                is_animated = b"acTL" in parts
                adapted = _background(data, depth, palette, is_animated=is_animated)
                if adapted is not None:
                    yield name, adapted
        elif name == b"sBIT":
            if len(data) == SIGNIFICANT_BITS.get(colour_type):
                becomes_alpha = b"tRNS" in parts and colour_type <= PALETTE
                bits = 16 if depth == 16 and b"acTL" not in parts else 8
                alpha = bytes([bits]) if becomes_alpha else b""
                yield name, bytes(min(value, bits) for value in data) + alpha
        else:
            yield name, data


def _background(
    data: bytes, depth: int, palette: bytes | None, *, is_animated: bool
) -> bytes | None:
    """Return the background colour in the depth of the result; None if it is invalid."""
    if palette is not None:
        colour = palette[3 * data[0] : 3 * data[0] + 3]
        return struct.pack(">3H", *colour) if len(colour) == 3 else None
    levels = struct.unpack(f">{len(data) // 2}H", data)
    white = (1 << depth) - 1
    if max(levels) > white:
        return None
    if depth < 8 or (depth == 16 and is_animated):
        levels = tuple((level * 255 + white // 2) // white for level in levels)
    return struct.pack(f">{len(levels)}H", *levels)
