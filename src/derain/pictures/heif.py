"""HEIC with 10 and 12 bits, and the HEIC and AVIF boxes that Pillow does not expose.

Specifications: ISO/IEC 14496-12 and 23008-12.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derain.pictures.boxes import Properties, read_item, read_meta, read_track_properties
from derain.pictures.open_image import HEIF, register_heif
from derain.pictures.orientation import upright
from derain.pictures.picture import HeicCoding, Picture, Pixels
from derain.pictures.pillow_arrays import pillow_image
from derain.pictures.sixteen_bit import WHITE, unpremultiply

LIGHT_LEVELS = (
    "content_light_level",
    "mastering_display_colour_volume",
    "ambient_viewing_environment",
    "nominal_diffuse_white_luminance",
)
CHROMA = {0: "4:4:4", 2: "4:2:2", 3: "4:2:0"} | dict.fromkeys(range(4, 8), "4:0:0") | {1: None}
"""Chroma subsampling by three bits of the AV1 configuration (AV1 in ISOBMFF, section 2.3).

The bits are monochrome, half the columns, half the rows.
"""
SRGB = (1, 13)
"""Primaries and transfer of sRGB in ITU-T H.273: the default of an AVIF or HEIC."""
UNSPECIFIED = (2, 2)
BT601_MATRIX = 6
MAX_COLOUR_CODE = 255
Crop = tuple[slice, slice]
"""Rows and columns."""


def decode_deep_heic(file: BinaryIO) -> NDArray[np.uint16]:
    """Decode the main picture of a HEIC with more than 8 bits per sample; white is 65535.

    Returns (H, W), (H, W, 2), (H, W, 3) or (H, W, 4).
    """
    import pillow_heif

    file.seek(0)
    container = pillow_heif.open_heif(file, convert_hdr_to_8bit=False)
    image = container[container.primary_index]
    samples = np.array(image, np.uint16)
    bits: Any = image.info["bit_depth"]
    samples |= samples >> bits  # the decoder leaves the low bits empty
    if image.mode.startswith("RGBa"):
        unpremultiply(samples)
    return samples


def heic_coding(image: Image.Image) -> HeicCoding:
    """Return the encoder settings of an open HEIC."""
    info = image.info
    return HeicCoding(
        info.get("bit_depth", 8),
        info.get("chroma"),
        tuple((key, info[key]) for key in LIGHT_LEVELS if info.get(key)),
    )


def write_heic(picture: Picture, file: BinaryIO, *, options: dict[str, Any]) -> None:
    """Write a HEIC with the bits and the chroma of its source.

    16 bits of other formats become 10. `options` are Pillow's.
    """
    coding = picture.metadata.heic or HeicCoding(10, None)
    options = {**options, **dict(coding.light_levels)}
    if coding.chroma is not None and not picture.grey:
        options["chroma"] = coding.chroma
    if picture.metadata.colour_codes is not None:
        primaries, transfer = picture.metadata.colour_codes
        options |= {"color_primaries": primaries, "transfer_characteristics": transfer}
        options |= {"matrix_coefficients": BT601_MATRIX, "full_range_flag": 1}
    register_heif()
    if picture.depth_bits == 8:
        pillow_image(picture).save(file, HEIF, **options)
    else:
        _write_deep_heic(picture, file, max(coding.bits, 10), options)


def _write_deep_heic(picture: Picture, file: BinaryIO, bits: int, options: dict[str, Any]) -> None:
    import pillow_heif

    samples = picture.image if picture.alpha is None else np.dstack([picture.image, picture.alpha])
    white = (1 << bits) - 1
    data = ((samples.astype(np.uint32) * white + WHITE // 2) // WHITE).astype("<u2").tobytes()
    mode = ("L" if picture.grey else "RGB") + ("" if picture.alpha is None else "A")
    height, width = picture.pixels.shape[:2]
    pillow_heif.encode(f"{mode};{bits}", (width, height), data, file, bit_depth=bits, **options)


@dataclass(frozen=True)
class AvifBoxes:
    """Properties of the main picture of a HEIC or AVIF, or of the frames of an AVIF."""

    bits: int = 8
    colour_codes: tuple[int, int] = SRGB
    chroma: str | None = None
    """`4:4:4`, `4:2:2`, `4:2:0`, or `4:0:0` for grey."""
    size: tuple[int, int] | None = None
    """Width and height before the crop."""
    crop: Crop | None = None
    """Visible rows and columns, before the picture is rotated."""
    orientation: int = 1
    """The rotation as an EXIF orientation."""


def read_avif_boxes(file: BinaryIO) -> AvifBoxes:
    """Read the properties of the main picture, not of its alpha. Moves in `file`."""
    meta = read_meta(file)
    file.seek(8)
    properties = read_track_properties(file) if file.read(4) == b"avis" else ()
    if not properties and meta is not None:
        properties = meta.primary_properties()
    return _describe(properties)


def read_avif_exif(file: BinaryIO) -> bytes | None:
    """Return the EXIF byte for byte; Pillow writes its own orientation into it. Moves in `file`."""
    meta = read_meta(file)
    block = None if meta is None else read_item(file, meta, b"Exif")
    if block is None or len(block) < 4:
        return None
    (padding,) = struct.unpack_from(">I", block)
    return block[4 + padding :] or None


def crop_avif(samples: Pixels, file: BinaryIO) -> Pixels:
    """Return the part of (H, W) or (H, W, C) inside of the clean aperture. Moves in `file`."""
    crop = read_avif_boxes(file).crop
    return samples if crop is None else samples[crop]


def _describe(properties: Properties) -> AvifBoxes:
    bits, codes, chroma, size, aperture = 8, SRGB, None, None, None
    for name, content in reversed(properties):  # the first of several counts
        if name == b"av1C" and len(content) > 2:
            bits = (12 if content[2] & 0x20 else 10) if content[2] & 0x40 else 8
            chroma = CHROMA[content[2] >> 2 & 7]
        elif name == b"colr" and content[:4] == b"nclx" and len(content) >= 8:
            codes = struct.unpack_from(">HH", content, 4)
        elif name == b"ispe" and len(content) >= 12:
            size = struct.unpack_from(">II", content, 4)
        elif name == b"clap" and len(content) >= 32:
            aperture = content
    crop = None if size is None or aperture is None else _clean_aperture(aperture, *size)
    return AvifBoxes(bits, codes, chroma, size, crop, _orientation(properties))


def _orientation(properties: Properties) -> int:
    """Return the EXIF orientation of rotations and mirrors, which are applied in their order."""
    marks: NDArray[np.uint8] = np.arange(6, dtype=np.uint8).reshape(2, 3)
    turned = marks
    for name, content in properties:
        if name == b"irot" and content:
            turned = np.rot90(turned, content[0] & 3)  # anticlockwise
        elif name == b"imir" and content:
            turned = turned[:, ::-1] if content[0] & 1 else turned[::-1]
    candidates = range(1, 9)
    return next(number for number in candidates if np.array_equal(upright(marks, number), turned))


def _clean_aperture(box: bytes, width: int, height: int) -> Crop | None:
    """Return visible rows and columns; None if they are invalid (ISO/IEC 14496-12, 12.1.4)."""
    numbers = struct.unpack(">4i4i", box[:32])
    if not all(numbers[1::2]):
        return None
    clean_width, clean_height, right, down = (
        Fraction(*pair) for pair in zip(numbers[::2], numbers[1::2], strict=True)
    )
    columns = _centred(width, clean_width, right)
    rows = _centred(height, clean_height, down)
    return None if rows is None or columns is None else (rows, columns)


def _centred(size: int, clean: Fraction, offset: Fraction) -> slice | None:
    start = round((size - clean) / 2 + offset)
    stop = start + round(clean)
    return slice(start, stop) if 0 <= start < stop <= size else None


def with_colour_codes(avif: bytes, codes: tuple[int, int] | None) -> bytes:
    """Return an AVIF of Pillow, which always declares sRGB, with other colour codes."""
    if codes is None:
        return avif
    return avif.replace(
        b"colrnclx" + struct.pack(">HH", *SRGB), b"colrnclx" + struct.pack(">HH", *codes)
    )


def unless_srgb(codes: tuple[int, int]) -> tuple[int, int] | None:
    """Return colour codes; None for those of sRGB, for unspecified and for invalid ones."""
    return None if codes in {SRGB, UNSPECIFIED} or max(codes) > MAX_COLOUR_CODE else codes
