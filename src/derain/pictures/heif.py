"""HEIC of 10 and 12 bits, and what the boxes of HEIC and AVIF say that Pillow does not hand on (ISO/IEC 14496-12, 23008-12)."""

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

LIGHT = (
    "content_light_level",
    "mastering_display_colour_volume",
    "ambient_viewing_environment",
    "nominal_diffuse_white_luminance",
)
DEPTH = {"urn:mpeg:hevc:2015:auxid:2", "urn:mpeg:mpegb:cicp:systems:auxiliary:depth"}
CHROMA = {0: "4:4:4", 2: "4:2:2", 3: "4:2:0"} | dict.fromkeys(range(4, 8), "4:0:0") | {1: None}
"""By the three bits of AV1's configuration: grey, half as many columns, half as many rows (AV1 in ISOBMFF, section 2.3)."""
SRGB = (1, 13)
"""Primaries and transfer of sRGB in the codes of ITU-T H.273; an AVIF or HEIC that says nothing has them."""


def deep_heic_channels(file: BinaryIO) -> NDArray[np.uint16]:
    """Decode the main picture of a HEIC of more than 8 bits: (H, W), (H, W, 2), (H, W, 3) or (H, W, 4), white is 65535."""
    import pillow_heif

    file.seek(0)
    opened = pillow_heif.open_heif(file, convert_hdr_to_8bit=False)
    image = opened[opened.primary_index]
    samples = np.array(image, np.uint16)
    bits: Any = image.info["bit_depth"]
    samples |= samples >> bits  # the decoder leaves the low bits empty
    if image.mode.startswith("RGBa"):
        unpremultiply(samples)
    return samples


def auxiliary_pictures(image: Image.Image) -> list[str]:
    """What an open HEIC holds for its main picture that is not kept; its alpha is."""
    kinds = [str(kind).lower() for kind in image.info.get("aux") or ()]
    found = (
        ["its depth map"]
        if image.info.get("depth_images") or any(kind in DEPTH for kind in kinds)
        else []
    )
    if any("gainmap" in kind for kind in kinds):
        found.append("its gain map for bright screens")
    if others := [kind for kind in kinds if "gainmap" not in kind and kind not in DEPTH]:
        found.append(f"its auxiliary picture {', '.join(others)}")
    return found


def heic_coding(image: Image.Image) -> HeicCoding:
    """How an open HEIC was coded."""
    info = image.info
    return HeicCoding(
        info.get("bit_depth", 8),
        info.get("chroma"),
        tuple((key, info[key]) for key in LIGHT if info.get(key)),
    )


def write_heic(picture: Picture, file: BinaryIO, *, options: dict[str, Any]) -> None:
    """Write a HEIC with the bits and the chroma that it had; 16 bits of another kind become 10. `options` are Pillow's."""
    coding = picture.metadata.heic or HeicCoding(10, None)
    options = {**options, **dict(coding.light)}
    if coding.chroma is not None and not picture.grey:
        options["chroma"] = coding.chroma
    if picture.metadata.colour_codes is not None:
        primaries, transfer = picture.metadata.colour_codes
        options |= {"color_primaries": primaries, "transfer_characteristics": transfer}
        options |= {"matrix_coefficients": 6, "full_range_flag": 1}
    register_heif()
    if picture.depth_bits == 8:
        pillow_image(picture).save(file, HEIF, **options)
    else:
        _write_deep(picture, file, max(coding.bits, 10), options)


def _write_deep(picture: Picture, file: BinaryIO, bits: int, options: dict[str, Any]) -> None:
    import pillow_heif

    samples = (
        picture.image if picture.alpha is None else np.dstack([picture.image, picture.alpha])
    )
    most = (1 << bits) - 1
    data = ((samples.astype(np.uint32) * most + WHITE // 2) // WHITE).astype("<u2").tobytes()
    mode = ("L" if picture.grey else "RGB") + ("" if picture.alpha is None else "A")
    height, width = picture.pixels.shape[:2]
    pillow_heif.encode(f"{mode};{bits}", (width, height), data, file, bit_depth=bits, **options)


@dataclass(frozen=True)
class AvifBoxes:
    """What the first boxes of an AVIF say."""

    bits: int = 8
    colour_codes: tuple[int, int] = SRGB
    chroma: str | None = None
    """`4:4:4`, `4:2:2` or `4:2:0`, or `4:0:0` for none at all."""


def avif_boxes(file: BinaryIO) -> AvifBoxes:
    """Find the bits for a sample, the chroma, and the codes of primaries and transfer; `file` is moved."""
    file.seek(0)
    while len(head := file.read(8)) == 8:
        size, name = struct.unpack(">I4s", head)
        if size < 8:  # up to the end of the file, or lying
            break
        if name == b"meta":
            return _told(file.read(size - 8))
        file.seek(size - 8, 1)
    return AvifBoxes()


def _told(boxes: bytes) -> AvifBoxes:
    bits, codes, chroma = 8, SRGB, None
    coding, colour = (boxes.partition(name)[2] for name in (b"av1C", b"colrnclx"))
    if len(coding) > 2 and coding[2] & 0x40:
        bits = 12 if coding[2] & 0x20 else 10
    if len(coding) > 2:
        chroma = CHROMA[coding[2] >> 2 & 7]
    if len(colour) >= 4:
        primaries, transfer = struct.unpack_from(">HH", colour)
        codes = primaries, transfer
    return AvifBoxes(bits, codes, chroma)


def with_colour_codes(avif: bytes, codes: tuple[int, int] | None) -> bytes:
    """An AVIF of Pillow's, which always says that its colours are those of sRGB, with other codes."""
    if codes is None:
        return avif
    return avif.replace(
        b"colrnclx" + struct.pack(">HH", *SRGB), b"colrnclx" + struct.pack(">HH", *codes)
    )


def uncommon(codes: tuple[int, int]) -> tuple[int, int] | None:
    """None for the codes of sRGB, for those that say nothing, and for those that there are not."""
    return None if codes in {SRGB, (2, 2)} or max(codes) > 255 else codes
