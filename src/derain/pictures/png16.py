"""Write a 16-bit PNG, band by band: no mode of Pillow holds 16-bit colour."""

from __future__ import annotations

import struct
import zlib
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from derain.pictures.metadata import xmp_chunk
from derain.pictures.picture import Metadata, Picture
from derain.pictures.pillow_arrays import bands

UP = 2
"""The PNG filter that takes each byte's difference to the one above it: good on photos and one subtraction for a whole band."""


def write_deep_png(picture: Picture, file: BinaryIO) -> None:
    """Write a PNG of 16 bits for a sample (PNG specification, third edition)."""
    height, width = picture.pixels.shape[:2]
    colour_type = (0 if picture.grey else 2) + (0 if picture.alpha is None else 4)
    file.write(b"\x89PNG\r\n\x1a\n")
    _chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0))
    _describe_png(file, picture.metadata)
    packer, above = zlib.compressobj(6), None
    for band in bands(picture):
        rows = band.reshape(len(band), -1).astype(">u2").view(np.uint8)
        _chunk(file, b"IDAT", packer.compress(_filtered(rows, above)))
        above = rows[-1:]
    _chunk(file, b"IDAT", packer.flush())
    _chunk(file, b"IEND", b"")


def _filtered(rows: NDArray[np.uint8], above: NDArray[np.uint8] | None) -> bytes:
    first = np.zeros_like(rows[:1]) if above is None else above
    filtered = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = UP
    np.subtract(
        rows, np.concatenate([first, rows[:-1]]), out=filtered[:, 1:]
    )  # bytes wrap around, as the format wants
    return filtered.tobytes()


def _chunk(file: BinaryIO, name: bytes, data: bytes) -> None:
    if data or name == b"IEND":
        file.write(
            struct.pack(">I", len(data))
            + name
            + data
            + struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))
        )


def _describe_png(file: BinaryIO, metadata: Metadata) -> None:
    # the order matters: what describes the colours comes before the pixels, and a profile replaces the name of a colour space
    if metadata.icc:
        _chunk(file, b"iCCP", b"ICC Profile\0\0" + zlib.compress(metadata.icc))
    for name, data in metadata.png_chunks:
        if not (metadata.icc and name == b"sRGB"):
            _chunk(file, name, data)
    if metadata.dpi:
        _chunk(
            file,
            b"pHYs",
            struct.pack(">IIB", *(round(value / 0.0254) for value in metadata.dpi), 1),
        )
    if metadata.exif:
        _chunk(file, b"eXIf", metadata.exif)
    if metadata.xmp:
        _chunk(file, b"iTXt", xmp_chunk(metadata.xmp))
