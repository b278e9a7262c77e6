"""Write a TIFF with 8 or 16 bits.

Pillow's own writer loses the EXIF of a compressed TIFF and does not support 16-bit colour.
"""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Iterable
from fractions import Fraction
from typing import BinaryIO

import numpy as np
from PIL.ExifTags import Base as Tag

from derain.pictures.directories import (
    BYTE,
    LONG,
    RATIONAL,
    SHORT,
    UNDEFINED,
    Directory,
    DirectoryWriter,
    Order,
    Value,
)
from derain.pictures.exif import exif_order, header, tags_elsewhere, tags_in_place
from derain.pictures.picture import Metadata, Picture, Pixels
from derain.pictures.pillow_arrays import BAND_ROWS, picture_bands

NATIVE: Order = "<" if sys.byteorder == "little" else ">"
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
MAX_DENOMINATOR = 1000
"""Of a resolution, whose numerator has 32 bits."""


def write_tiff(picture: Picture, file: BinaryIO) -> None:
    """Write strips of BAND_ROWS rows (TIFF 6.0), uncompressed like the source or with Deflate."""
    write_pages([picture], file)


def write_pages(pages: Iterable[Picture], file: BinaryIO) -> None:
    """Write pages one by one, without holding them. Raises ValueError above 4 GiB.

    The file starts with the EXIF of the first page, so that all offsets in it remain valid. Each
    directory follows its strips.
    """
    order: Order | None = None
    link = 4  # position of the offset of the next directory
    for page in pages:
        exif = page.metadata.exif or b""
        if order is not None:
            tags = tags_elsewhere(exif, order)
        else:
            order, tags = exif_order(exif) or NATIVE, tags_in_place(exif)
            file.write(header(order) + (exif[8:] if tags else b""))
        start, next_link = _write_page(page, file, order, tags)
        if file.tell() > MAX_BYTES:
            raise ValueError("a TIFF cannot exceed 4 GiB")
        file.seek(link)
        file.write(struct.pack(order + "I", start))
        file.seek(0, 2)
        link = next_link


def _write_page(picture: Picture, file: BinaryIO, order: Order, tags: Directory) -> tuple[int, int]:
    """Write strips and a directory; return the positions of it and of its link to the next."""
    height, width = picture.pixels.shape[:2]
    channels = (1 if picture.grey else 3) + (picture.alpha is not None)
    is_compressed = picture.metadata.tiff_compression != "raw"
    offsets, sizes = [], []
    for band in picture_bands(picture):
        samples = _compress(band, order) if is_compressed else _ordered(band, order).tobytes()
        file.write(b"\0" * (file.tell() % 2))
        offsets.append(file.tell())
        sizes.append(file.write(samples))
    layout = {
        Tag.ImageWidth: (LONG, [width]),
        Tag.ImageLength: (LONG, [height]),
        Tag.BitsPerSample: (SHORT, [picture.depth_bits] * channels),
        Tag.Compression: (SHORT, [DEFLATE if is_compressed else UNCOMPRESSED]),
        Tag.PhotometricInterpretation: (SHORT, [BLACK_IS_ZERO if picture.grey else RGB]),
        Tag.SamplesPerPixel: (SHORT, [channels]),
        Tag.RowsPerStrip: (LONG, [BAND_ROWS]),
        Tag.PlanarConfiguration: (SHORT, [INTERLEAVED]),
        Tag.Predictor: (SHORT, [HORIZONTAL_DIFFERENCES if is_compressed else NO_PREDICTOR]),
        Tag.StripOffsets: (LONG, offsets),
        Tag.StripByteCounts: (LONG, sizes),
    }
    if picture.alpha is not None:
        layout[Tag.ExtraSamples] = (SHORT, [UNASSOCIATED_ALPHA])
    directory = {**tags, **_metadata_tags(picture.metadata, order)}
    directory |= {int(tag): _numbers(kind, values, order) for tag, (kind, values) in layout.items()}
    file.write(b"\0" * (file.tell() % 2))
    writer = DirectoryWriter(order, file.tell())
    start = writer.add(directory)
    file.write(writer.block)
    return start, start + 2 + 12 * len(directory)


def _compress(band: Pixels, order: Order) -> bytes:
    """Deflate (rows, W) or (rows, W, C) as differences to the left neighbour, which wrap around."""
    first = np.zeros_like(band[:, :1])
    differences = np.diff(band, axis=1, prepend=first).astype(band.dtype)
    return zlib.compress(_ordered(differences, order).tobytes(), 6)


def _ordered(samples: Pixels, order: Order) -> Pixels:
    return samples.astype(samples.dtype.newbyteorder(order), copy=False)


def _metadata_tags(metadata: Metadata, order: Order) -> Directory:
    """Return the tags of a page other than those of EXIF."""
    tags: Directory = {tag: value.reordered("<", order) for tag, value in metadata.tiff_page}
    if metadata.xmp:
        tags[Tag.XMLPacket] = Value(BYTE, metadata.xmp)
    if metadata.photoshop:
        tags[Tag.ImageResources] = Value(BYTE, metadata.photoshop)
    if metadata.icc:
        tags[Tag.InterColorProfile] = Value(UNDEFINED, metadata.icc)
    if metadata.dpi:
        for tag, dpi in zip((Tag.XResolution, Tag.YResolution), metadata.dpi, strict=True):
            fraction = Fraction(dpi).limit_denominator(MAX_DENOMINATOR)
            tags[tag] = _numbers(RATIONAL, [fraction.numerator, fraction.denominator], order)
        tags[Tag.ResolutionUnit] = _numbers(SHORT, [INCH], order)
    return tags


def _numbers(kind: int, values: list[int], order: Order) -> Value:
    return Value(kind, struct.pack(f"{order}{len(values)}{'H' if kind == SHORT else 'I'}", *values))
