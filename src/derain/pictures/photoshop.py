"""Photoshop's image resources: captions and credits of press agencies, paths, guides (Photoshop File Formats, 2019)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

HEAD = b"Photoshop 3.0\0"
"""What a segment of a JPEG begins with that holds resources; if they are too many for one, another goes on where it ends."""
IPTC = 1028
MOST_BYTES = 65533 - len(HEAD)
COPIES = {1033, 1036, 1039, 1058, 1059, 1060}
"""Two thumbnails, which show the rain, and copies of the colour profile, the EXIF and the XMP, which have places of their own."""


def resources_of(segments: Iterable[bytes]) -> bytes | None:
    """The resources in the APP13 segments of a JPEG, without the copies."""
    return kept_resources(
        b"".join(segment.removeprefix(HEAD) for segment in segments if segment.startswith(HEAD))
    )


def kept_resources(resources: bytes) -> bytes | None:
    """The same resources byte for byte, without the copies; None if there are none. What does not read as one ends them."""
    kept = b"".join(resource for number, resource in _each(resources) if number not in COPIES)
    return kept or None


def jpeg_segments(resources: bytes) -> bytes:
    """The APP13 segments, with marker and length, that hold resources."""
    parts = (
        HEAD + resources[start : start + MOST_BYTES]
        for start in range(0, len(resources), MOST_BYTES)
    )
    return b"".join(b"\xff\xed" + struct.pack(">H", len(part) + 2) + part for part in parts)


def has_captions(resources: bytes) -> bool:
    """Whether IPTC is among the resources, which hold settings of Photoshop, too."""
    return any(number == IPTC for number, _ in _each(resources))


def _each(resources: bytes) -> Iterator[tuple[int, bytes]]:
    """(number, all of its bytes) of each resource: signature, number, name and data, the last two filled up to even sizes."""
    start = 0
    while len(resources) >= start + 12:
        (number,) = struct.unpack_from(">H", resources, start + 4)
        size_at = start + 6 + (resources[start + 6] + 2) // 2 * 2
        if len(resources) < size_at + 4:
            return
        (size,) = struct.unpack_from(">I", resources, size_at)
        end = size_at + 4 + size
        if len(resources) < end:
            return
        stop = min(end + size % 2, len(resources))
        yield number, resources[start:stop]
        start = stop
