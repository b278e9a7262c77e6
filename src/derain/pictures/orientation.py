"""Which way is up: applied to the pixels once, and then taken out of the metadata so that no viewer applies it again."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

import numpy as np

from derain.pictures.picture import Pixels

ORIENTATION, EXIF_POINTER, WIDTH, HEIGHT = 0x0112, 0x8769, 0xA002, 0xA003


def upright(samples: Pixels, orientation: int) -> Pixels:
    """Turn (H, W) or (H, W, C) as the EXIF orientation 1 to 8 asks; any other number leaves it as it is. Contiguous."""
    if orientation in {5, 6, 7, 8}:
        samples = samples.swapaxes(0, 1)  # 5 is the transposition alone; the others are flips of it
    if orientation in {3, 4, 7, 8}:
        samples = samples[::-1]
    if orientation in {2, 3, 6, 7}:
        samples = samples[:, ::-1]
    return np.ascontiguousarray(samples)


def upright_exif(exif: bytes, orientation: int) -> bytes:
    """The same EXIF for a picture that was turned upright from `orientation`.

    Numbers are changed where they lie, so that a camera maker's own block, which points at absolute offsets, still reads. The
    orientation becomes 1, a width and height that were swapped are swapped, and the thumbnail is unlinked: it shows the rain.
    What does not read as EXIF is given back untouched.
    """
    data = bytearray(exif)
    try:
        order = {b"II": "<", b"MM": ">"}[bytes(data[:2])]
        first = struct.unpack_from(order + "I", data, 4)[0]
        for tag, entry in _entries(data, order, first):
            if tag == ORIENTATION:
                struct.pack_into(order + "H", data, entry + 8, 1)
            elif tag == EXIF_POINTER and orientation in {5, 6, 7, 8}:
                _swap_sides(data, order, struct.unpack_from(order + "I", data, entry + 8)[0])
        count = struct.unpack_from(order + "H", data, first)[0]
        struct.pack_into(
            order + "I", data, first + 2 + 12 * count, 0
        )  # the link to the directory of the thumbnail
    except (KeyError, struct.error):
        return exif
    return bytes(data)


def upright_xmp(xmp: bytes) -> bytes:
    """The same XMP saying that the picture is upright."""
    return re.sub(rb"""(tiff:Orientation\s*(?:=\s*["']|>)\s*)[2-8]""", rb"\g<1>1", xmp)


def _entries(data: bytearray, order: str, start: int) -> Iterator[tuple[int, int]]:
    """(tag, position) of each 12-byte entry of the directory at `start`."""
    for index in range(struct.unpack_from(order + "H", data, start)[0]):
        position = start + 2 + 12 * index
        yield struct.unpack_from(order + "H", data, position)[0], position


def _swap_sides(data: bytearray, order: str, start: int) -> None:
    # type, count and value are swapped together: one side may be a short and the other a long
    sides = {tag: entry for tag, entry in _entries(data, order, start) if tag in {WIDTH, HEIGHT}}
    if len(sides) == 2:
        wide, high = (slice(sides[tag] + 2, sides[tag] + 12) for tag in (WIDTH, HEIGHT))
        data[wide], data[high] = data[high], data[wide]
