"""Decode 16-bit samples, which Pillow supports for grey only, through Pillow's 8-bit modes.

Pillow reads 16-bit colour by dropping the low byte of each sample. With the byte order swapped it
drops the high byte instead. Decoding a file twice therefore yields all bits, and Pillow's
decompressors do the work.

This relies on private behaviour of Pillow: the mode and the raw mode of an image (`_mode`, `tile`)
can be changed after opening and before decoding. `tests/pictures/test_sixteen_bit.py` checks that.
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
    SEPARATE_PLANES,
    UnsupportedFormatError,
    convert_in_bands,
    pillow_bands,
    tiff_tag,
)

WHITE = 65535
WHITE_IS_ZERO = 0
"""Value of the TIFF tag PhotometricInterpretation."""
PREMULTIPLIED_ALPHA = 1
"""Value of the TIFF tag ExtraSamples."""
PACKED_FORMATS = {"BMP", "DIB"}
"""Formats with at most 8 bits per sample, whose 16 bits are those of a whole pixel."""
_COLOUR = re.compile(r"RGB[AaX]?;16([BLN])")
_SWAPPED_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}


def is_16bit(image: ImageFile.ImageFile) -> bool:
    """True if the file stores 16-bit samples. To be called before the image is decoded."""
    if image.format in PACKED_FORMATS:
        return False
    return ";16" in image.mode or ";16" in _rawmode(image) or _has_16bit_planes(image)


def decode_16bit(
    image: ImageFile.ImageFile, *, reopen: Callable[[], ImageFile.ImageFile]
) -> NDArray[np.uint16]:
    """Decode an open image: (H, W), (H, W, 2), (H, W, 3) or (H, W, 4).

    `reopen` opens the same file once more.
    """
    transparent = image.info.get("transparency")  # the one transparent colour of a PNG
    if ";16" in image.mode:
        samples = _decode_grey(image)
    elif _rawmode(image) == "LA;16B":
        samples = _decode_grey_alpha(image)
    else:
        samples = _decode_colour(image, reopen)
    if transparent is None:
        return samples
    visible = (np.atleast_3d(samples) != np.asarray(transparent, np.uint16)).any(axis=-1)
    return np.dstack([samples, visible * np.uint16(WHITE)])


def unpremultiply(samples: NDArray[np.uint16]) -> None:
    """Divide colours, (H, W, 4), by the alpha that they were multiplied with, in place."""
    for top in range(0, len(samples), BAND_ROWS):
        band = samples[top : top + BAND_ROWS]
        colours, alpha = np.split(band.astype(np.uint32), [3], axis=2)
        alpha = np.maximum(alpha, 1)
        band[..., :3] = np.minimum((colours * WHITE + alpha // 2) // alpha, WHITE)


def _decode_grey(image: ImageFile.ImageFile) -> NDArray[np.uint16]:
    is_12bit = _rawmode(image) == "I;12"
    samples = np.asarray(image).astype(np.uint16)
    if is_12bit:
        samples = (samples << 4 | samples >> 8).astype(np.uint16)
    # Pillow inverts 8-bit samples where 0 is white, but not 16-bit samples
    is_inverted = tiff_tag(image, TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == WHITE_IS_ZERO
    return WHITE - samples if is_inverted else samples


def _decode_grey_alpha(image: ImageFile.ImageFile) -> NDArray[np.uint16]:
    # two 16-bit samples are four bytes: decoded as RGBA they are not changed
    image._mode = "RGBA"
    _change_rawmode(image, lambda _: "RGBA")
    return convert_in_bands(image, lambda band: band, channels=4).view(">u2").astype(np.uint16)


def _decode_colour(
    image: ImageFile.ImageFile, reopen: Callable[[], ImageFile.ImageFile]
) -> NDArray[np.uint16]:
    order, mode = _byte_order(image), "RGB" if image.mode in {"RGB", "RGBX"} else "RGBA"
    is_premultiplied = PREMULTIPLIED_ALPHA in (tiff_tag(image, TiffImagePlugin.EXTRASAMPLES) or ())
    twin = reopen()
    _change_rawmode(image, lambda rawmode: f"{_channels(rawmode)};16{order}")
    _change_rawmode(twin, lambda rawmode: f"{_channels(rawmode)};16{_SWAPPED_ORDER[order]}")
    samples = np.empty((*twin.size[::-1], len(mode)), np.uint16)
    for rows, band in pillow_bands(twin):
        samples[rows] = np.asarray(band.convert(mode))
    del twin, band  # two of Pillow's images and the array would be the peak of memory
    for rows, band in pillow_bands(image):
        samples[rows] |= np.left_shift(np.asarray(band.convert(mode)), 8, dtype=np.uint16)
    if is_premultiplied:
        unpremultiply(samples)
    return samples


def _byte_order(image: ImageFile.ImageFile) -> str:
    """Return the byte order of the samples: B (big endian), L (little) or N (of this machine)."""
    if isinstance(image, TiffImagePlugin.TiffImageFile) and _has_16bit_planes(image):
        if image.tile[0][0] != "raw":  # Pillow takes the high bytes from libtiff, always
            raise UnsupportedFormatError(
                "its 16-bit channels are stored separately and compressed; "
                "save it interleaved first"
            )
        return "L" if image.tag_v2.prefix == b"II" else "B"
    match = _COLOUR.fullmatch(_rawmode(image))
    if match is None:
        raise UnsupportedFormatError(
            f"its 16-bit samples have the unsupported layout {_rawmode(image)}; "
            "save it as a 16-bit PNG first"
        )
    return match[1]


def _channels(rawmode: str) -> str:
    """Return a raw mode without its depth, and without the division by alpha.

    Pillow would divide with 8 bits.
    """
    return rawmode.partition(";")[0].replace("a", "A")


def _has_16bit_planes(image: ImageFile.ImageFile) -> bool:
    """True for a TIFF with separate 16-bit channels. Pillow treats them as 8-bit channels."""
    planes = tiff_tag(image, TiffImagePlugin.PLANAR_CONFIGURATION)
    is_separate = planes == SEPARATE_PLANES and len(image.getbands()) > 1
    return is_separate and 16 in (tiff_tag(image, TiffImagePlugin.BITSPERSAMPLE) or ())


def _rawmode(image: ImageFile.ImageFile) -> str:
    """Return Pillow's name for the layout of the samples in the file."""
    arguments: Any = image.tile[0][3] if image.tile else None
    if not arguments:
        return image.mode
    return str(arguments if isinstance(arguments, str) else arguments[0])


def _change_rawmode(image: ImageFile.ImageFile, rename: Callable[[str], str]) -> None:
    """Have the decoder use another layout; `rename` maps Pillow's names."""
    tiles = []
    for tile in image.tile:
        arguments: Any = tile[3]
        if isinstance(arguments, str):
            arguments = rename(arguments)
        else:
            arguments = (rename(arguments[0]), *arguments[1:])
        tiles.append(type(tile)(tile[0], tile[1], tile[2], arguments))
    image.tile = tiles
