"""What of a file is going to be missing in the result: each a sentence for the person who gave it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from PIL import Image

from derain.pictures.heif import auxiliary_pictures, avif_boxes
from derain.pictures.metadata import has_unwritable
from derain.pictures.open_image import HEIF
from derain.pictures.xmp import referenced_parts

UNWRITABLE = "part of its EXIF has values of the wrong kind and is left out"


def omissions(image: Image.Image, file: BinaryIO, *, bits: int) -> Iterator[str]:
    """The losses of an open picture that was read with `bits` for a sample; `file` is moved."""
    count = int(getattr(image, "n_frames", 1))
    xmp = image.info.get("xmp") or b""
    parts = list(referenced_parts(xmp.encode() if isinstance(xmp, str) else xmp))
    if image.format == "AVIF" and (told := avif_boxes(file).bits) > 8:
        yield f"its {told} bits for a sample are read as 8, because Pillow reads no more of an AVIF"
    if image.format == "TIFF" and has_unwritable(image.getexif()):
        yield UNWRITABLE
    if image.format == "PNG" and count > 1 and bits > 8:
        yield f"its {bits} bits for a sample are written as 8, because Pillow writes no more of a moving PNG"
    if image.format == HEIF and count > 1:
        yield f"it holds {count} pictures, and the main one alone is restored and kept"
    if image.format == "MPO" and count > 1:
        yield f"it holds {count} pictures, and the first one alone is restored and kept"
    if image.format == HEIF:
        parts += auxiliary_pictures(image)
    for part in dict.fromkeys(parts):
        yield f"{part} is left out: the result holds one picture"
