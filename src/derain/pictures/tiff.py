"""Write a TIFF of 8 or 16 bits: Pillow's own writer drops the EXIF of a packed one, and has no 16-bit colour."""

from __future__ import annotations

import itertools
import struct
import sys
import zlib
from collections.abc import Iterable
from typing import BinaryIO

import numpy as np
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from derain.pictures.metadata import tiff_tags
from derain.pictures.picture import Metadata, Picture, Pixels
from derain.pictures.pillow_arrays import BAND_ROWS, bands

NATIVE = b"II" if sys.byteorder == "little" else b"MM"
HEADER = NATIVE + struct.pack("=HI", 42, 8)
"""The first directory follows at once."""
MOST_BYTES = 2**32 - 2**24
"""Offsets have 32 bits; the margin is for directories."""


def write_tiff(picture: Picture, file: BinaryIO) -> None:
    """Write strips of BAND_ROWS rows: as they are if the file was not packed, else Deflate over differences (TIFF 6.0)."""
    write_pages([picture], file)


def write_pages(pages: Iterable[Picture], file: BinaryIO) -> None:
    """Write pages one after the other, none of which is held. Raises ValueError beyond the 4 GiB that a TIFF can be."""
    file.write(HEADER)
    link = 4  # where the offset of the next directory is told
    for page in pages:
        start = file.seek(0, 2)
        file.write(b"\0" * (start % 2))
        start += start % 2
        next_link = _write_page(page, file, start)
        if file.tell() > MOST_BYTES:
            raise ValueError("a TIFF cannot be larger than 4 GiB")
        file.seek(link)
        file.write(struct.pack("=I", start))
        link = next_link
    file.seek(0, 2)


def _write_page(picture: Picture, file: BinaryIO, start: int) -> int:
    """Write a directory and its strips; returns where the offset of the next directory belongs."""
    height, width = picture.pixels.shape[:2]
    channels = (1 if picture.grey else 3) + (picture.alpha is not None)
    is_packed = picture.metadata.tiff_compression != "raw"
    strips: Iterable[bytes] = (
        _packed(band) if is_packed else band.tobytes() for band in bands(picture)
    )
    row_bytes = picture.depth_bits // 8 * channels * width
    sizes = [row_bytes * min(BAND_ROWS, height - top) for top in range(0, height, BAND_ROWS)]
    if is_packed:  # only then the sizes, which come first, are not known beforehand
        strips = list(strips)
        sizes = [len(strip) for strip in strips]
    directory = ImageFileDirectory_v2(prefix=NATIVE)
    _describe(directory, picture.metadata)
    layout = {
        256: width,
        257: height,
        258: (picture.depth_bits,) * channels,
        259: 8 if is_packed else 1,
        284: 1,
    }
    layout |= {
        262: 1 if picture.grey else 2,
        277: channels,
        278: BAND_ROWS,
        317: 2 if is_packed else 1,
    }
    if picture.alpha is not None:
        layout[338] = 2  # the last sample is an alpha, and the colours are not multiplied with it
    directory.tagtype.update({273: 4, 279: 4})  # offsets and sizes of strips outgrow a short
    offsets = itertools.accumulate(
        sizes[:-1], initial=0
    )  # from the end of the directory, which Pillow adds
    for tag, value in {**layout, 273: tuple(offsets), 279: tuple(sizes)}.items():
        directory[tag] = value
    file.write(directory.tobytes(start))
    file.writelines(strips)
    return start + 2 + 12 * len(directory)


def _packed(band: Pixels) -> bytes:
    """(rows, W) or (rows, W, C) -> Deflate of each sample's difference to the one on its left, wrapping around."""
    first = np.zeros_like(band[:, :1])
    return zlib.compress(np.diff(band, axis=1, prepend=first).astype(band.dtype).tobytes(), 6)


def _describe(directory: ImageFileDirectory_v2, metadata: Metadata) -> None:
    for tag, value in tiff_tags(metadata).items():
        directory[tag] = value
    if metadata.dpi:
        directory[282], directory[283], directory[296] = *metadata.dpi, 2
    if metadata.icc:
        directory[34675] = metadata.icc
