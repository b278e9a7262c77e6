"""Write a TIFF with 8 or 16 bits.

Pillow's own writer loses the EXIF of a compressed TIFF and does not support 16-bit colour.
"""

from __future__ import annotations

import itertools
import struct
import sys
import zlib
from collections.abc import Iterable
from typing import Any, BinaryIO

import numpy as np
from PIL.ExifTags import Base as Tag
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from PIL.TiffTags import LONG

from derain.pictures.metadata import tiff_tags
from derain.pictures.picture import Metadata, Picture, Pixels
from derain.pictures.pillow_arrays import BAND_ROWS, picture_bands

NATIVE = b"II" if sys.byteorder == "little" else b"MM"
HEADER = NATIVE + struct.pack("=HI", 42, 8)
"""The first directory follows the header."""
MAX_BYTES = 2**32 - 2**24
"""Offsets have 32 bits; the margin is for directories."""
UNCOMPRESSED, DEFLATE = 1, 8
"""Values of the tag Compression."""
NO_PREDICTOR, HORIZONTAL_DIFFERENCES = 1, 2
BLACK_IS_ZERO, RGB = 1, 2
"""Values of the tag PhotometricInterpretation."""
INTERLEAVED = 1
UNASSOCIATED_ALPHA = 2
"""Value of the tag ExtraSamples: the colours are not multiplied with the alpha."""
INCH = 2


def write_tiff(picture: Picture, file: BinaryIO) -> None:
    """Write strips of BAND_ROWS rows (TIFF 6.0), uncompressed like the source or with Deflate."""
    write_pages([picture], file)


def write_pages(pages: Iterable[Picture], file: BinaryIO) -> None:
    """Write pages one by one, without holding them. Raises ValueError above 4 GiB."""
    file.write(HEADER)
    link = 4  # position of the offset of the next directory
    for page in pages:
        start = file.seek(0, 2)
        file.write(b"\0" * (start % 2))
        start += start % 2
        next_link = _write_page(page, file, start)
        if file.tell() > MAX_BYTES:
            raise ValueError("a TIFF cannot exceed 4 GiB")
        file.seek(link)
        file.write(struct.pack("=I", start))
        link = next_link
    file.seek(0, 2)


def _write_page(picture: Picture, file: BinaryIO, start: int) -> int:
    """Write a directory and its strips; return the position of the offset of the next directory."""
    height, width = picture.pixels.shape[:2]
    channels = (1 if picture.grey else 3) + (picture.alpha is not None)
    is_compressed = picture.metadata.tiff_compression != "raw"
    strips: Iterable[bytes] = (
        _compress(band) if is_compressed else band.tobytes() for band in picture_bands(picture)
    )
    row_bytes = picture.depth_bits // 8 * channels * width
    sizes = [row_bytes * min(BAND_ROWS, height - top) for top in range(0, height, BAND_ROWS)]
    if is_compressed:  # the directory comes first and needs the compressed sizes
        strips = list(strips)
        sizes = [len(strip) for strip in strips]
    offsets = itertools.accumulate(sizes[:-1], initial=0)  # Pillow adds the end of the directory
    directory = ImageFileDirectory_v2(prefix=NATIVE)
    _set_metadata(directory, picture.metadata)
    layout: dict[int, Any] = {
        Tag.ImageWidth: width,
        Tag.ImageLength: height,
        Tag.BitsPerSample: (picture.depth_bits,) * channels,
        Tag.Compression: DEFLATE if is_compressed else UNCOMPRESSED,
        Tag.PhotometricInterpretation: BLACK_IS_ZERO if picture.grey else RGB,
        Tag.SamplesPerPixel: channels,
        Tag.RowsPerStrip: BAND_ROWS,
        Tag.PlanarConfiguration: INTERLEAVED,
        Tag.Predictor: HORIZONTAL_DIFFERENCES if is_compressed else NO_PREDICTOR,
        Tag.StripOffsets: tuple(offsets),
        Tag.StripByteCounts: tuple(sizes),
    }
    if picture.alpha is not None:
        layout[Tag.ExtraSamples] = UNASSOCIATED_ALPHA
    # offsets and sizes of strips do not fit into a short, Pillow's default
    directory.tagtype.update({Tag.StripOffsets: LONG, Tag.StripByteCounts: LONG})
    for tag, value in layout.items():
        directory[tag] = value
    file.write(directory.tobytes(start))
    file.writelines(strips)
    return start + 2 + 12 * len(directory)


def _compress(band: Pixels) -> bytes:
    """Deflate (rows, W) or (rows, W, C) as differences to the left neighbour, which wrap around."""
    first = np.zeros_like(band[:, :1])
    return zlib.compress(np.diff(band, axis=1, prepend=first).astype(band.dtype).tobytes(), 6)


def _set_metadata(directory: ImageFileDirectory_v2, metadata: Metadata) -> None:
    for tag, value in tiff_tags(metadata).items():
        directory[tag] = value
    if metadata.dpi:
        directory[Tag.XResolution], directory[Tag.YResolution] = metadata.dpi
        directory[Tag.ResolutionUnit] = INCH
    if metadata.icc:
        directory[Tag.InterColorProfile] = metadata.icc
