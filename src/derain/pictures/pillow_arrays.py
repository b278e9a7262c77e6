"""Pillow's pictures to arrays and back, band by band: Pillow keeps four bytes for a coloured pixel, so one copy is enough."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin, TiffImagePlugin

from derain.pictures.picture import Picture, Pixels

BAND_ROWS = 256
GREY_MODES = {"1", "L", "LA", "La"}
COLOUR_MODES = {"P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr", "CMYK"}
ICC_PROFILE, PLANES = 34675, 284
"""Tags of a TIFF."""
APART = 2
SHALLOW_GREYS = {"L;2": 85, "L;4": 17}
"""How many of Pillow's 255 levels are one of theirs."""
ALPHA_MODES = {"LA", "La", "PA", "RGBA", "RGBa"}


class UnsupportedFormatError(ValueError):
    """A way to store pixels that is known but not supported; the text says which and what to do."""


def decode_8bit(image: Image.Image) -> NDArray[np.uint8]:
    """Decode an open picture of 8 bits for a sample: (H, W) grey, (H, W, 2) with alpha, (H, W, 3) or (H, W, 4)."""
    if image.mode not in GREY_MODES | COLOUR_MODES:
        raise UnsupportedFormatError(
            f"its pixels are of the kind {image.mode}; save it with 8 or 16 bits for a sample first"
        )
    if (
        image.mode == "LA"
        and isinstance(image, TiffImagePlugin.TiffImageFile)
        and image.tag_v2.get(PLANES) == APART
    ):
        raise UnsupportedFormatError(
            "its grey and its transparency lie apart, which Pillow misreads; save it interleaved first"
        )
    if (
        isinstance(image, PngImagePlugin.PngImageFile)
        and image.tile
        and isinstance(image.info.get("transparency"), int)
    ):
        # Pillow spreads the samples over 8 bits, and leaves this as it was
        image.info["transparency"] *= SHALLOW_GREYS.get(str(image.tile[0].args), 1)
    to = "L" if image.mode in GREY_MODES else "RGB"
    if image.mode in ALPHA_MODES or "transparency" in image.info:
        to += "A"
    return convert_in_bands(
        image,
        _from_cmyk(image) if image.mode == "CMYK" else lambda band: band.convert(to),
        channels=len(to),
    )


def profile_of(image: Image.Image) -> bytes | None:
    """The ICC profile of an open picture; of a TIFF that of this page: Pillow hands the profile of one page on to the others."""
    is_tiff = isinstance(image, TiffImagePlugin.TiffImageFile)
    profile = image.tag_v2.get(ICC_PROFILE) if is_tiff else image.info.get("icc_profile")  # type: ignore[attr-defined]
    return profile if isinstance(profile, bytes) and profile else None


def is_for_grey(profile: bytes | None) -> bool:
    """Whether an ICC profile describes grey, and may not stand beside colours (ICC.1, section 7.2.6)."""
    return profile is not None and profile[16:20] == b"GRAY"


def convert_in_bands(
    image: Image.Image, convert: Callable[[Image.Image], Image.Image], *, channels: int
) -> NDArray[np.uint8]:
    """(H, W) or (H, W, channels) of a picture, each band of it converted."""
    width, height = image.size
    samples = np.empty((height, width) if channels == 1 else (height, width, channels), np.uint8)
    for rows, band in pillow_bands(image):
        samples[rows] = np.asarray(convert(band))
    return samples


def pillow_bands(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    """A few rows at a time: which they are, and the cut-out of the picture."""
    width, height = image.size
    for top in range(0, height, BAND_ROWS):
        bottom = min(top + BAND_ROWS, height)
        yield slice(top, bottom), image.crop((0, top, width, bottom))


def bands(picture: Picture) -> Iterator[Pixels]:
    """The rows of a picture, a few at a time, with its alpha as the last channel: (rows, W) or (rows, W, C), contiguous."""
    for top in range(0, len(picture.pixels), BAND_ROWS):
        rows = slice(top, top + BAND_ROWS)
        samples = picture.image[rows]
        yield (
            np.ascontiguousarray(samples)
            if picture.alpha is None
            else np.dstack([samples, picture.alpha[rows]])
        )


def pillow_image(picture: Picture) -> Image.Image:
    """A Pillow picture of 8 bits (16 are rounded): L, LA, RGB or RGBA."""
    height, width = picture.pixels.shape[:2]
    mode = ("L" if picture.grey else "RGB") + ("" if picture.alpha is None else "A")
    image = Image.new(mode, (width, height))
    for index, band in enumerate(bands(picture)):
        image.paste(Image.fromarray(eight_bits(band)), (0, index * BAND_ROWS))
    return image


def eight_bits(samples: Pixels) -> NDArray[np.uint8]:
    """Round to 8 bits: 257 steps of sixteen bits are one of eight."""
    if samples.dtype == np.uint8:
        return samples.astype(np.uint8, copy=False)
    return ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _from_cmyk(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    try:
        inks = ImageCms.ImageCmsProfile(io.BytesIO(profile_of(image) or b""))
        transform = ImageCms.buildTransform(inks, ImageCms.createProfile("sRGB"), "CMYK", "RGB")
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return lambda band: band.convert("RGB")
    return lambda band: ImageCms.applyTransform(band, transform) or band
