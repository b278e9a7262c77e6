"""Photoshop's image resources: captions and credits (IPTC), paths, guides.

Specification: Photoshop File Formats, 2019.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from derain.pictures.jpeg_segments import pack_segments

SIGNATURE = b"Photoshop 3.0\0"
"""Start of a JPEG segment with resources. Long resources continue in the next segment."""
IPTC = 1028
COPIES = {1033, 1036, 1039, 1058, 1059, 1060}
"""Two thumbnails, which show the rain, and copies of the ICC profile, the EXIF and the XMP."""


def read_resources(segments: Iterable[bytes]) -> bytes | None:
    """Return the resources in the APP13 segments of a JPEG, without the copies."""
    return without_copies(
        b"".join(
            segment.removeprefix(SIGNATURE) for segment in segments if segment.startswith(SIGNATURE)
        )
    )


def without_copies(resources: bytes) -> bytes | None:
    """Return resources byte for byte, without the copies; None if none is left.

    Stops at the first invalid resource.
    """
    return b"".join(data for number, data in _split(resources) if number not in COPIES) or None


def jpeg_segments(resources: bytes) -> bytes:
    """Return APP13 segments, with marker and length, that hold resources."""
    return pack_segments(b"\xed", resources, prefix=SIGNATURE)


def has_captions(resources: bytes) -> bool:
    """True if the resources contain IPTC. Others are settings of Photoshop."""
    return any(number == IPTC for number, _ in _split(resources))


def _split(resources: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (number, all bytes) of each resource.

    A resource is signature, number, name, size and data; name and data are padded to even sizes.
    """
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
