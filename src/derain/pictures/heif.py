"""HEIC with 10 and 12 bits, and the HEIC and AVIF boxes that Pillow does not expose.

Specifications: ISO/IEC 14496-12 and 23008-12.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derain.pictures.open_image import HEIF, register_heif
from derain.pictures.picture import HeicCoding, Picture
from derain.pictures.pillow_arrays import pillow_image
from derain.pictures.sixteen_bit import WHITE, unpremultiply

LIGHT_LEVELS = (
    "content_light_level",
    "mastering_display_colour_volume",
    "ambient_viewing_environment",
    "nominal_diffuse_white_luminance",
)
DEPTH_MAPS = {"urn:mpeg:hevc:2015:auxid:2", "urn:mpeg:mpegb:cicp:systems:auxiliary:depth"}
CHROMA = {0: "4:4:4", 2: "4:2:2", 3: "4:2:0"} | dict.fromkeys(range(4, 8), "4:0:0") | {1: None}
"""Chroma subsampling by three bits of the AV1 configuration (AV1 in ISOBMFF, section 2.3).

The bits are monochrome, half the columns, half the rows.
"""
SRGB = (1, 13)
"""Primaries and transfer of sRGB in ITU-T H.273: the default of an AVIF or HEIC."""
UNSPECIFIED = (2, 2)
BT601_MATRIX = 6
MAX_COLOUR_CODE = 255


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


def auxiliary_pictures(image: Image.Image) -> list[str]:
    """Return descriptions of the auxiliary pictures of an open HEIC; alpha is not one of them."""
    kinds = [str(kind).lower() for kind in image.info.get("aux") or ()]
    has_depth = image.info.get("depth_images") or any(kind in DEPTH_MAPS for kind in kinds)
    descriptions = ["its depth map"] if has_depth else []
    if any("gainmap" in kind for kind in kinds):
        descriptions.append("its HDR gain map")
    if others := [kind for kind in kinds if "gainmap" not in kind and kind not in DEPTH_MAPS]:
        descriptions.append(f"its auxiliary picture {', '.join(others)}")
    return descriptions


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
    """The coding parameters in the boxes of an AVIF."""

    bits: int = 8
    colour_codes: tuple[int, int] = SRGB
    chroma: str | None = None
    """`4:4:4`, `4:2:2`, `4:2:0`, or `4:0:0` for grey."""


def read_avif_boxes(file: BinaryIO) -> AvifBoxes:
    """Read bits per sample, chroma, and the codes of primaries and transfer; moves in `file`."""
    file.seek(0)
    while len(head := file.read(8)) == 8:
        size, name = struct.unpack(">I4s", head)
        if size < 8:  # up to the end of the file, or invalid
            break
        if name == b"meta":
            return _parse_meta_box(file.read(size - 8))
        file.seek(size - 8, 1)
    return AvifBoxes()


def _parse_meta_box(box: bytes) -> AvifBoxes:
    bits, codes, chroma = 8, SRGB, None
    coding, colour = (box.partition(name)[2] for name in (b"av1C", b"colrnclx"))
    if len(coding) > 2 and coding[2] & 0x40:
        bits = 12 if coding[2] & 0x20 else 10
    if len(coding) > 2:
        chroma = CHROMA[coding[2] >> 2 & 7]
    if len(colour) >= 4:
        primaries, transfer = struct.unpack_from(">HH", colour)
        codes = primaries, transfer
    return AvifBoxes(bits, codes, chroma)


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
