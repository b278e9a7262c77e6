"""Write a 16-bit PNG in bands: Pillow has no mode for 16-bit colour."""

from __future__ import annotations

import struct
import zlib
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from derain.pictures.picture import Metadata, Picture
from derain.pictures.pillow_arrays import picture_bands
from derain.pictures.png_chunks import pack_chunk, png_chunks

UP = 2
"""PNG filter: the difference to the byte above.

It works well on photos, and costs one subtraction for a whole band.
"""


def write_png16(picture: Picture, file: BinaryIO) -> None:
    """Write a PNG with 16 bits per sample (PNG specification, third edition)."""
    height, width = picture.pixels.shape[:2]
    colour_type = (0 if picture.grey else 2) + (0 if picture.alpha is None else 4)
    file.write(b"\x89PNG\r\n\x1a\n")
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    _write_chunk(file, b"IHDR", header)
    _write_metadata(file, picture.metadata)
    compressor, above = zlib.compressobj(6), None
    for band in picture_bands(picture):
        rows = band.reshape(len(band), -1).astype(">u2").view(np.uint8)
        _write_chunk(file, b"IDAT", compressor.compress(_filter_up(rows, above)))
        above = rows[-1:]
    _write_chunk(file, b"IDAT", compressor.flush())
    _write_chunk(file, b"IEND", b"")


def _filter_up(rows: NDArray[np.uint8], above: NDArray[np.uint8] | None) -> bytes:
    first = np.zeros_like(rows[:1]) if above is None else above
    filtered = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = UP
    # bytes wrap around, as the format demands
    np.subtract(rows, np.concatenate([first, rows[:-1]]), out=filtered[:, 1:])
    return filtered.tobytes()


def _write_chunk(file: BinaryIO, name: bytes, data: bytes) -> None:
    if data or name == b"IEND":
        file.write(pack_chunk(name, data))


def _write_metadata(file: BinaryIO, metadata: Metadata) -> None:
    # colour chunks must precede the pixels
    if metadata.icc:
        _write_chunk(file, b"iCCP", b"ICC Profile\0\0" + zlib.compress(metadata.icc))
    file.write(png_chunks(metadata))
    if metadata.dpi:
        dots_m = [round(value / 0.0254) for value in metadata.dpi]
        _write_chunk(file, b"pHYs", struct.pack(">IIB", *dots_m, 1))
    if metadata.exif:
        _write_chunk(file, b"eXIf", metadata.exif)
