"""Write 16-bit PNG and TIFF, row band by row band: no mode of Pillow holds 16-bit colour."""

from __future__ import annotations

import itertools
import struct
import sys
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from derain.picture.metadata import tiff_tags, xmp_chunk
from derain.picture.picture import Metadata, Picture
from derain.picture.samples import BAND_ROWS, interleaved

UP = 2
"""The PNG filter that takes each byte's difference to the one above it: good on photos and one subtraction for a whole band."""


def write_png(picture: Picture, file: BinaryIO) -> None:
    """Write a PNG of 16 bits for a sample (PNG specification, third edition)."""
    height, width = picture.pixels.shape[:2]
    colour_type = (0 if picture.grey else 2) + (0 if picture.alpha is None else 4)
    file.write(b"\x89PNG\r\n\x1a\n")
    _chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0))
    _describe_png(file, picture.metadata)
    packer, above = zlib.compressobj(6), None
    for rows in _bands(picture, ">u2"):
        _chunk(file, b"IDAT", packer.compress(_filtered(rows, above)))
        above = rows[-1:]
    _chunk(file, b"IDAT", packer.flush())
    _chunk(file, b"IEND", b"")


def write_tiff(picture: Picture, file: BinaryIO) -> None:
    """Write an uncompressed TIFF of 16 bits for a sample, one strip for each band: 16-bit noise hardly packs."""
    height, width = picture.pixels.shape[:2]
    samples = (1 if picture.grey else 3) + (picture.alpha is not None)
    strips = [2 * samples * width * min(BAND_ROWS, height - top) for top in range(0, height, BAND_ROWS)]
    order = "II" if sys.byteorder == "little" else "MM"
    directory = ImageFileDirectory_v2(prefix=order.encode())
    _describe_tiff(directory, picture.metadata)
    directory.tagtype.update({273: 4, 279: 4})  # offsets and sizes of strips outgrow a short
    photometric = 1 if picture.grey else 2
    layout = {256: width, 257: height, 258: (16,) * samples, 259: 1, 262: photometric, 277: samples, 278: BAND_ROWS, 284: 1}
    offsets = itertools.accumulate(strips[:-1], initial=0)  # from the end of the directory, which Pillow adds
    for tag, value in {**layout, 273: tuple(offsets), 279: tuple(strips)}.items():
        directory[tag] = value
    if picture.alpha is not None:
        directory[338] = 2  # the last sample is an alpha, and the colours are not multiplied with it
    directory.save(file)
    for rows in _bands(picture, "=u2"):
        file.write(rows.tobytes())


def _bands(picture: Picture, kind: str) -> Iterator[NDArray[np.uint8]]:
    """The rows as bytes in the order of `kind`, a band at a time: (rows, bytes for a row)."""
    for top in range(0, len(picture.pixels), BAND_ROWS):
        rows = slice(top, top + BAND_ROWS)
        band = interleaved(picture.samples[rows], None if picture.alpha is None else picture.alpha[rows])
        yield band.reshape(len(band), -1).astype(kind).view(np.uint8)


def _filtered(rows: NDArray[np.uint8], above: NDArray[np.uint8] | None) -> bytes:
    first = np.zeros_like(rows[:1]) if above is None else above
    filtered = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = UP
    np.subtract(rows, np.concatenate([first, rows[:-1]]), out=filtered[:, 1:])  # bytes wrap around, as the format wants
    return filtered.tobytes()


def _chunk(file: BinaryIO, name: bytes, data: bytes) -> None:
    if data or name == b"IEND":
        file.write(struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name))))


def _describe_png(file: BinaryIO, metadata: Metadata) -> None:
    # the order matters: what describes the colours comes before the pixels, and a profile replaces the name of a colour space
    if metadata.icc:
        _chunk(file, b"iCCP", b"ICC Profile\0\0" + zlib.compress(metadata.icc))
    for name, data in metadata.png_chunks:
        if not (metadata.icc and name == b"sRGB"):
            _chunk(file, name, data)
    if metadata.dpi:
        _chunk(file, b"pHYs", struct.pack(">IIB", *(round(value / 0.0254) for value in metadata.dpi), 1))
    if metadata.exif:
        _chunk(file, b"eXIf", metadata.exif)
    if metadata.xmp:
        _chunk(file, b"iTXt", xmp_chunk(metadata.xmp))


def _describe_tiff(directory: ImageFileDirectory_v2, metadata: Metadata) -> None:
    for tag, value in tiff_tags(metadata).items():
        directory[tag] = value
    if metadata.dpi:
        directory[282], directory[283], directory[296] = *metadata.dpi, 2
    if metadata.icc:
        directory[34675] = metadata.icc
