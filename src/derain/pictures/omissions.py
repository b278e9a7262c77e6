"""Parts of a source file that the result will lack, one sentence each for the user."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from PIL import Image, JpegImagePlugin, TiffImagePlugin, TiffTags
from PIL.ExifTags import Base as Tag

from derain.pictures.exif import MOVED_NOTE, dropped_tags, read_tiff_exif
from derain.pictures.heif import read_avif_boxes
from derain.pictures.heif_parts import dropped_parts
from derain.pictures.jpeg_segments import CREDENTIALS, dropped_segments
from derain.pictures.metadata import read_xmp, upright_regions
from derain.pictures.open_image import HEIF
from derain.pictures.png_chunks import CREDENTIALS_CHUNK, read_png_chunks
from derain.pictures.trailing_data import describe_trailing_data
from derain.pictures.webp import dropped_webp_chunks
from derain.pictures.xmp import referenced_parts

COLOUR_CHANNELS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}
"""Channels of a TIFF without the extra samples, by PhotometricInterpretation."""
TAG_NAMES = {37724: "ImageSourceData (Photoshop's layers)"}
"""Names of TIFF tags that replace Pillow's."""
MAX_NAMES = 5


def omissions(
    image: Image.Image, file: BinaryIO, *, bits: int, has_alpha: bool, orientation: int
) -> Iterator[str]:
    """Yield the omissions of an open picture that was read with `bits` per sample.

    Moves in `file`.
    """
    count = int(getattr(image, "n_frames", 1))
    xmp = read_xmp(image, file)
    parts = list(referenced_parts(xmp))
    if image.format == "AVIF" and (file_bits := read_avif_boxes(file).bits) > 8:
        yield f"its {file_bits} bits per sample are read as 8: Pillow supports no more in AVIF"
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        page = image.tag_v2.offset or 0
        if read_tiff_exif(file, page)[1]:
            yield MOVED_NOTE
        yield from _further_channels(image, has_alpha=has_alpha)
        yield from _further_tags(dropped_tags(file, page))
    if image.format == "PNG" and count > 1 and bits > 8:
        yield (
            f"its {bits} bits per sample are written as 8: Pillow supports no more in animated PNG"
        )
    if image.format == HEIF and count > 1:
        yield f"contains {count} pictures; only the main one is restored and kept"
    if image.format == "MPO" and count > 1:
        yield f"contains {count} pictures; only the first one is restored and kept"
    if image.format in {"AVIF", HEIF}:
        parts += dropped_parts(image, file)
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        parts += dropped_segments(image.applist)
    if image.format == "PNG":
        for name in read_png_chunks(file).dropped:
            parts.append(CREDENTIALS if name == CREDENTIALS_CHUNK else f"its PNG chunk {name}")
    if image.format == "WEBP":
        for name in dropped_webp_chunks(file):
            parts.append(CREDENTIALS if name == "C2PA" else f"its WebP chunk {name}")
    # those of a motion photo are reported already
    if not parts and (trailing := describe_trailing_data(str(image.format), file)):
        parts.append(trailing)
    try:
        upright_regions(xmp, image, file, orientation=orientation)
    except ValueError:
        yield "its XMP has invalid regions, such as faces: they do not turn with the picture"
    for part in dict.fromkeys(parts):
        yield f"{part} is dropped: only the picture is kept"


def _further_channels(image: TiffImagePlugin.TiffImageFile, *, has_alpha: bool) -> Iterator[str]:
    channels = int(image.tag_v2.get(Tag.SamplesPerPixel, 1))
    colours = COLOUR_CHANNELS.get(image.tag_v2.get(Tag.PhotometricInterpretation, 0), channels)
    count = channels - colours - has_alpha
    if count > 0:
        yield (
            f"{count} further channel{'s' if count > 1 else ''} of the TIFF (near infrared, "
            f"spot colours or selections) {'are' if count > 1 else 'is'} dropped"
        )


def _further_tags(tags: list[int]) -> Iterator[str]:
    names = [TAG_NAMES.get(tag, TiffTags.lookup(tag).name) for tag in tags]
    names = [str(tag) if name == "unknown" else name for tag, name in zip(tags, names, strict=True)]
    if len(names) == 1:
        yield f"its TIFF tag {names[0]} is dropped"
    elif names:
        more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
        yield f"its TIFF tags {', '.join(names[:MAX_NAMES])}{more} are dropped"
