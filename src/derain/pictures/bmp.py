"""Write a BMP with transparency: Pillow's header has no word for it, and readers then take it for padding."""

from __future__ import annotations

import struct
from typing import BinaryIO

from derain.pictures.picture import Picture
from derain.pictures.pillow_arrays import pillow_image

MASKS = (0x00FF0000, 0x0000FF00, 0x000000FF, 0xFF000000)
"""Where red, green, blue and alpha lie in four bytes."""
BITFIELDS = 3
MOST_BYTES = 2**32 - 1


def write_bmp_with_alpha(picture: Picture, file: BinaryIO) -> None:
    """Write a BMP of 32 bits for a pixel with the header BITMAPV4HEADER (Windows). Raises ValueError beyond 4 GiB."""
    image = pillow_image(picture).convert("RGBA")
    size = 4 * image.width * image.height
    dots_m = [round(value / 0.0254) for value in picture.metadata.dpi or (96, 96)]
    header = struct.pack("<IiiHHIIiiII", 108, *image.size, 1, 32, BITFIELDS, size, *dots_m, 0, 0)
    header += (
        struct.pack("<4I", *MASKS) + b"BGRs" + bytes(48)
    )  # sRGB, whose end points and gamma are left out
    start = 14 + len(header)
    if start + size > MOST_BYTES:
        raise ValueError("a BMP cannot be larger than 4 GiB")
    file.write(b"BM" + struct.pack("<IHHI", start + size, 0, 0, start) + header)
    file.write(image.tobytes("raw", "BGRA", 0, -1))  # from the bottom up
