"""Sixteen bits for a sample, which Pillow stores for grey pictures only: decoding by way of its 8-bit modes.

Pillow reads 16-bit colour by dropping the low byte of each sample. Told that the bytes lie in the other order, it drops the
high one; so a file that is decoded twice gives all bits, through the decompressors that are there anyway.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile, TiffImagePlugin

from derain.pictures.pillow_arrays import (
    BAND_ROWS,
    UnsupportedFormatError,
    convert_in_bands,
    pillow_bands,
)

_COLOUR = re.compile(r"RGB[AaX]?;16([BLN])")
_OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
WHITE = 65535


def is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether the file holds 16 bits for a sample; asked before the picture is decoded."""
    return ";16" in image.mode or ";16" in _rawmode(image) or _lies_in_planes(image)


def decode_16bit(
    image: ImageFile.ImageFile, *, again: Callable[[], ImageFile.ImageFile]
) -> NDArray[np.uint16]:
    """Decode an open picture: (H, W), (H, W, 2), (H, W, 3) or (H, W, 4). `again` opens the same file once more."""
    colour = image.info.get("transparency")  # of a PNG: the one colour that stands for nothing
    if ";16" in image.mode:
        samples = _grey(image)
    elif _rawmode(image) == "LA;16B":
        samples = _grey_alpha(image)
    else:
        samples = _colours(image, again)
    if colour is None:
        return samples
    seen = (np.atleast_3d(samples) != np.asarray(colour, np.uint16)).any(axis=-1)
    return np.dstack([samples, seen * np.uint16(WHITE)])


def unpremultiply(samples: NDArray[np.uint16]) -> None:
    """Divide colours, (H, W, 4), by the alpha that they were multiplied with, in place."""
    for top in range(0, len(samples), BAND_ROWS):
        band = samples[top : top + BAND_ROWS]
        colours, alpha = np.split(band.astype(np.uint32), [3], axis=2)
        alpha = np.maximum(alpha, 1)
        band[..., :3] = np.minimum((colours * WHITE + alpha // 2) // alpha, WHITE)


def _grey(image: ImageFile.ImageFile) -> NDArray[np.uint16]:
    has_twelve_bits = _rawmode(image) == "I;12"
    samples = np.asarray(image).astype(np.uint16)
    if has_twelve_bits:
        samples = (samples << 4 | samples >> 8).astype(np.uint16)
    # Pillow turns 8 bits over where 0 is white, but not 16
    return (
        WHITE - samples if _tag(image, TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0 else samples
    )


def _grey_alpha(image: ImageFile.ImageFile) -> NDArray[np.uint16]:
    # two samples of 16 bits are four bytes: read as RGBA they come through untouched
    image._mode = "RGBA"
    _tell(image, lambda _: "RGBA")
    return convert_in_bands(image, lambda band: band, channels=4).view(">u2").astype(np.uint16)


def _colours(
    image: ImageFile.ImageFile, again: Callable[[], ImageFile.ImageFile]
) -> NDArray[np.uint16]:
    order, mode = _order(image), "RGB" if image.mode == "RGB" else "RGBA"
    is_multiplied = 1 in (_tag(image, TiffImagePlugin.EXTRASAMPLES) or ())
    twin = again()
    _tell(image, lambda rawmode: f"{_plain(rawmode)};16{order}")
    _tell(twin, lambda rawmode: f"{_plain(rawmode)};16{_OTHER_ORDER[order]}")
    samples = np.empty((*twin.size[::-1], len(mode)), np.uint16)
    for rows, band in pillow_bands(twin):
        samples[rows] = np.asarray(band.convert(mode))
    del twin, band  # two of Pillow's pictures beside the array would be the peak of memory
    for rows, band in pillow_bands(image):
        samples[rows] |= np.left_shift(np.asarray(band.convert(mode)), 8, dtype=np.uint16)
    if is_multiplied:
        unpremultiply(samples)
    return samples


def _order(image: ImageFile.ImageFile) -> str:
    """In which order the two bytes of a sample lie: B, L or the N of this machine."""
    if isinstance(image, TiffImagePlugin.TiffImageFile) and _lies_in_planes(image):
        if (
            image.tile[0][0] != "raw"
        ):  # Pillow has libtiff give the high bytes alone, whatever it is told
            raise UnsupportedFormatError(
                "it is packed with one channel of 16 bits after the other; save it interleaved first"
            )
        return "L" if image.tag_v2.prefix == b"II" else "B"
    match = _COLOUR.fullmatch(_rawmode(image))
    if match is None:
        raise UnsupportedFormatError(
            f"its 16-bit samples are stored as {_rawmode(image)}; save it as a 16-bit PNG first"
        )
    return match[1]


def _plain(rawmode: str) -> str:
    """Without the depth, and without the division by the alpha, which Pillow does with 8 bits."""
    return rawmode.partition(";")[0].replace("a", "A")


def _lies_in_planes(image: ImageFile.ImageFile) -> bool:
    """Whether a TIFF has one channel after the other, each of 16 bits; Pillow takes these for 8."""
    is_split = _tag(image, TiffImagePlugin.PLANAR_CONFIGURATION) == 2 and len(image.getbands()) > 1
    return is_split and 16 in (_tag(image, TiffImagePlugin.BITSPERSAMPLE) or ())


def _tag(image: ImageFile.ImageFile, tag: int) -> Any:
    """The value of a tag of a TIFF, None of another picture."""
    return image.tag_v2.get(tag) if isinstance(image, TiffImagePlugin.TiffImageFile) else None


def _rawmode(image: ImageFile.ImageFile) -> str:
    """The layout of the samples in the file, in Pillow's words."""
    arguments: Any = image.tile[0][3] if image.tile else None
    return (
        str(arguments if isinstance(arguments, str) else arguments[0]) if arguments else image.mode
    )


def _tell(image: ImageFile.ImageFile, renamed: Callable[[str], str]) -> None:
    """Have the decoder take the samples for another layout, by a function of Pillow's word for it."""
    tiles = []
    for tile in image.tile:
        arguments: Any = tile[3]
        told = (
            renamed(arguments)
            if isinstance(arguments, str)
            else (renamed(arguments[0]), *arguments[1:])
        )
        tiles.append(type(tile)(tile[0], tile[1], tile[2], told))
    image.tile = tiles
