"""Orientation: applied to the pixels, then reset in the metadata.

Otherwise viewers would apply it a second time.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
from PIL.ExifTags import Base as Tag

from derain.pictures.directories import ORDERS, SHORT
from derain.pictures.picture import Pixels

ORIENTATION = int(Tag.Orientation)
XMP_ORIENTATION = re.compile(rb"""(tiff:Orientation\s*(?:=\s*["']|>)\s*)([2-8])""")
SIDES = {Tag.ExifImageWidth, Tag.ExifImageHeight}
SUBJECTS = {0x9214, 0xA214}
"""Area and location of the main subject, in pixels."""
SIDEWAYS = {5, 6, 7, 8}
"""Orientations that swap width and height."""


def upright(samples: Pixels, orientation: int) -> Pixels:
    """Rotate and flip (H, W) or (H, W, C) according to the EXIF orientation 1 to 8. Contiguous.

    Any other number changes nothing.
    """
    if orientation in SIDEWAYS:
        samples = samples.swapaxes(0, 1)  # 5 is the transposition; the others also flip
    if orientation in {3, 4, 7, 8}:
        samples = samples[::-1]
    if orientation in {2, 3, 6, 7}:
        samples = samples[:, ::-1]
    return np.ascontiguousarray(samples)


def upright_exif(exif: bytes, orientation: int, size: tuple[int, int] | None = None) -> bytes:
    """Return the EXIF of a picture that was rotated upright from `orientation`.

    Numbers are changed in place, because the maker note of a camera contains absolute offsets. The
    orientation becomes 1, swapped sides are swapped, the subject is turned within `size`, (width,
    height) of the upright picture, and the thumbnail is unlinked: it shows the rain. Unreadable
    parts are unchanged.
    """
    data = bytearray(exif)
    with suppress(KeyError, struct.error):
        order = ORDERS[bytes(data[:2])]
        first = struct.unpack_from(order + "I", data, 4)[0]
        for tag, entry in _entries(data, order, first):
            if tag == Tag.Orientation:
                struct.pack_into(order + "H", data, entry + 8, 1)
            elif tag == Tag.ExifOffset:
                with suppress(struct.error):
                    camera = struct.unpack_from(order + "I", data, entry + 8)[0]
                    _turn_camera_tags(data, order, camera, orientation, size)
        count = struct.unpack_from(order + "H", data, first)[0]
        # the link to the next directory, which holds the thumbnail
        struct.pack_into(order + "I", data, first + 2 + 12 * count, 0)
    return bytes(data)


def upright_xmp(xmp: bytes) -> bytes:
    """Return the XMP with orientation 1."""
    return XMP_ORIENTATION.sub(rb"\g<1>1", xmp)


def xmp_orientation(xmp: bytes) -> int | None:
    """Return the orientation in the XMP."""
    match = XMP_ORIENTATION.search(xmp)
    return None if match is None else int(match[2])


def _entries(data: bytearray, order: str, start: int) -> Iterator[tuple[int, int]]:
    """Yield (tag, position) of each 12-byte entry of the directory at `start`."""
    for index in range(struct.unpack_from(order + "H", data, start)[0]):
        position = start + 2 + 12 * index
        yield struct.unpack_from(order + "H", data, position)[0], position


def _turn_camera_tags(
    data: bytearray, order: str, start: int, orientation: int, size: tuple[int, int] | None
) -> None:
    if orientation in SIDEWAYS:
        _swap_sides(data, order, start)
    for tag, entry in _entries(data, order, start):
        if tag in SUBJECTS and size is not None:
            _turn_subject(data, order, entry, orientation, size)


def _turn_subject(
    data: bytearray, order: str, entry: int, orientation: int, size: tuple[int, int]
) -> None:
    """Turn a point, a circle (x, y, diameter) or a rectangle (x, y of its centre, sides)."""
    kind, count = struct.unpack_from(order + "HI", data, entry + 2)
    if kind != SHORT or count not in {2, 3, 4}:
        return
    at = entry + 8 if count == 2 else struct.unpack_from(order + "I", data, entry + 8)[0]
    x, y, *sides = struct.unpack_from(f"{order}{count}H", data, at)
    width, height = size
    if orientation in SIDEWAYS:
        x, y, sides = y, x, sides[::-1]
    if orientation in {3, 4, 7, 8}:
        y = height - 1 - y
    if orientation in {2, 3, 6, 7}:
        x = width - 1 - x
    if 0 <= x < width and 0 <= y < height:
        struct.pack_into(f"{order}{count}H", data, at, x, y, *sides)


def _swap_sides(data: bytearray, order: str, start: int) -> None:
    # type, count and value are swapped together: one side may be a short, the other a long
    sides = {tag: entry for tag, entry in _entries(data, order, start) if tag in SIDES}
    if len(sides) == 2 and max(sides.values()) + 12 <= len(data):
        width, height = (
            slice(sides[tag] + 2, sides[tag] + 12)
            for tag in (Tag.ExifImageWidth, Tag.ExifImageHeight)
        )
        data[width], data[height] = data[height], data[width]
