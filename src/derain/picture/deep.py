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
from PIL import ImageFile

from derain.picture.samples import UnreadableKindError, banded, pillow_bands

_COLOUR = re.compile(r"(RGB|RGBA|RGBX);16([BLN])")
_OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}


def is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether the file holds 16 bits for a sample; asked before the picture is decoded."""
    return ";16" in image.mode or ";16" in _rawmode(image)


def deep_channels(image: ImageFile.ImageFile, *, again: Callable[[], ImageFile.ImageFile]) -> NDArray[np.uint16]:
    """Decode an open picture: (H, W), (H, W, 2), (H, W, 3) or (H, W, 4). `again` opens the same file once more."""
    colour = image.info.get("transparency")  # of a PNG: the one colour that stands for nothing
    if ";16" in image.mode:
        samples = np.asarray(image).astype(np.uint16)
    elif _rawmode(image) == "LA;16B":
        samples = _grey_alpha(image)
    else:
        samples = _colours(image, again)
    if colour is None:
        return samples
    seen = (np.atleast_3d(samples) != np.asarray(colour, np.uint16)).any(axis=-1)
    return np.dstack([samples, seen * np.uint16(65535)])


def _grey_alpha(image: ImageFile.ImageFile) -> NDArray[np.uint16]:
    # two samples of 16 bits are four bytes: read as RGBA they come through untouched
    image._mode = "RGBA"
    _tell(image, "RGBA")
    return banded(image, lambda band: band, channels=4).view(">u2").astype(np.uint16)


def _colours(image: ImageFile.ImageFile, again: Callable[[], ImageFile.ImageFile]) -> NDArray[np.uint16]:
    match = _COLOUR.fullmatch(_rawmode(image))
    if match is None:
        raise UnreadableKindError(f"its 16-bit samples are stored as {_rawmode(image)}; save it as a 16-bit PNG first")
    layout, order = match.groups()
    mode = layout.replace("X", "")
    twin = again()
    _tell(twin, f"{layout};16{_OTHER_ORDER[order]}")
    samples = np.empty((*twin.size[::-1], len(mode)), np.uint16)
    for rows, band in pillow_bands(twin):
        samples[rows] = np.asarray(band.convert(mode))
    del twin, band  # two of Pillow's pictures beside the array would be the peak of memory
    for rows, band in pillow_bands(image):
        samples[rows] |= np.left_shift(np.asarray(band.convert(mode)), 8, dtype=np.uint16)
    return samples


def _rawmode(image: ImageFile.ImageFile) -> str:
    """The layout of the samples in the file, in Pillow's words."""
    arguments: Any = image.tile[0][3] if image.tile else None
    return str(arguments if isinstance(arguments, str) else arguments[0]) if arguments else image.mode


def _tell(image: ImageFile.ImageFile, rawmode: str) -> None:
    """Have the decoder take the samples for another layout."""
    image.tile = [
        type(tile)(tile[0], tile[1], tile[2], rawmode if isinstance(tile[3], str) else (rawmode, *tile[3][1:]))  # type: ignore[index]
        for tile in image.tile
    ]
