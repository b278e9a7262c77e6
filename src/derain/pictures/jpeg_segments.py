"""Segments of a JPEG: those to add, and those to drop, which may depend on the old pixels."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator

WRITTEN_OR_REPORTED = (
    ("APP0", b"JFIF\0"),
    ("APP0", b"JFXX\0"),  # a thumbnail, which shows the rain
    ("APP0", b"AVI1"),
    ("APP1", b"Exif\0"),
    ("APP1", b"http://ns.adobe.com/xap/1.0/\0"),
    ("APP1", b"http://ns.adobe.com/xmp/extension/\0"),
    ("APP2", b"ICC_PROFILE\0"),
    ("APP2", b"MPF\0"),
    ("APP12", b"Ducky"),  # Photoshop's quality
    ("APP13", b"Photoshop 3.0\0"),
    ("APP13", b"Adobe_CM"),
    ("APP14", b"Adobe"),
)
"""Segments of the coding, and those that other modules keep or report, by their first bytes."""
DESCRIPTIONS = (
    (b"FLIR\0", "its thermal picture (FLIR)"),
    (b"GoPro\0", "its telemetry of a GoPro"),
    (b"FPXR\0", "its FlashPix data"),
    (b"urn:iso:std:iso:ts:21496", "its HDR gain map"),
)
CREDENTIALS = "its content credentials (C2PA)"
MAX_BYTES = 65533
"""Longest content of a segment."""


def pack_segments(marker: bytes, data: bytes, *, prefix: bytes = b"") -> bytes:
    """Return as many segments as `data` needs; the content of each begins with `prefix`."""
    step = MAX_BYTES - len(prefix)
    parts = (prefix + data[start : start + step] for start in range(0, len(data), step))
    return b"".join(b"\xff" + marker + struct.pack(">H", len(part) + 2) + part for part in parts)


def dropped_segments(segments: Iterable[tuple[str, bytes]]) -> Iterator[str]:
    """Yield descriptions of the segments, (marker, data), that the result will lack."""
    for marker, data in segments:
        if marker == "COM" or any(
            marker == known and data.startswith(start) for known, start in WRITTEN_OR_REPORTED
        ):
            continue
        known = [text for start, text in DESCRIPTIONS if data.startswith(start)]
        if known:
            yield known[0]
        elif marker == "APP11" and b"c2pa" in data:
            yield CREDENTIALS
        else:
            name = re.match(rb"[ -~]{2,20}", data)
            yield f"its segment {marker}" + (f" ({name[0].decode()})" if name else "")
