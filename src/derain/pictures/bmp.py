"""Write a BMP with alpha: Pillow's header does not declare it, and readers take it for padding."""

from __future__ import annotations

import struct
from typing import BinaryIO

from derain.pictures.picture import Picture
from derain.pictures.pillow_arrays import pillow_image

MASKS = (0x00FF0000, 0x0000FF00, 0x000000FF, 0xFF000000)
"""Bits of red, green, blue and alpha in the four bytes of a pixel."""
BITFIELDS = 3
MAX_BYTES = 2**32 - 1


def write_bmp_with_alpha(picture: Picture, file: BinaryIO) -> None:
    """Write a 32-bit BMP with a BITMAPV4HEADER (Windows). Raises ValueError above 4 GiB."""
    image = pillow_image(picture).convert("RGBA")
    size = 4 * image.width * image.height
    dots_m = [round(value / 0.0254) for value in picture.metadata.dpi or (96, 96)]
    header = struct.pack("<IiiHHIIiiII", 108, *image.size, 1, 32, BITFIELDS, size, *dots_m, 0, 0)
    # sRGB needs no end points and no gamma
    header += struct.pack("<4I", *MASKS) + b"BGRs" + bytes(48)
    start = 14 + len(header)
    if start + size > MAX_BYTES:
        raise ValueError("a BMP cannot exceed 4 GiB")
    file.write(b"BM" + struct.pack("<IHHI", start + size, 0, 0, start) + header)
    file.write(image.tobytes("raw", "BGRA", 0, -1))  # bottom row first
