"""Convert between Pillow images and arrays, in bands.

Pillow stores four bytes for a colour pixel; bands avoid a second full copy.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin, TiffImagePlugin

from derain.pictures.picture import Picture, Pixels

BAND_ROWS = 256
GREY_MODES = {"1", "L", "LA", "La"}
COLOUR_MODES = {"P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr", "CMYK"}
ALPHA_MODES = {"LA", "La", "PA", "RGBA", "RGBa"}
SEPARATE_PLANES = 2
"""Value of the TIFF tag PlanarConfiguration: one channel after the other."""
GREY_STEPS = {"L;2": 85, "L;4": 17}
"""8-bit levels between two neighbouring levels of a 2-bit or 4-bit grey."""


class UnsupportedFormatError(ValueError):
    """A known but unsupported way to store pixels; the text names it and the remedy."""


def decode_8bit(image: Image.Image) -> NDArray[np.uint8]:
    """Decode an open image with 8-bit samples.

    Returns (H, W) for grey, (H, W, 2) for grey with alpha, (H, W, 3) or (H, W, 4).
    """
    if image.mode not in GREY_MODES | COLOUR_MODES:
        raise UnsupportedFormatError(
            f"its pixels have the unsupported mode {image.mode}; "
            "save it as RGB or grey with 8 or 16 bits per sample first"
        )
    planes = tiff_tag(image, TiffImagePlugin.PLANAR_CONFIGURATION)
    if image.mode == "LA" and planes == SEPARATE_PLANES:
        raise UnsupportedFormatError(
            "its grey and alpha channels are stored separately, which Pillow misreads; "
            "save it interleaved first"
        )
    if (
        isinstance(image, PngImagePlugin.PngImageFile)
        and image.tile
        and isinstance(image.info.get("transparency"), int)
    ):
        # Pillow stretches the samples to 8 bits, but not this level
        image.info["transparency"] *= GREY_STEPS.get(str(image.tile[0].args), 1)
    _repair_colour_map(image)
    mode = "L" if image.mode in GREY_MODES else "RGB"
    if image.mode in ALPHA_MODES or "transparency" in image.info:
        mode += "A"
    return convert_in_bands(
        image,
        _cmyk_converter(image) if image.mode == "CMYK" else lambda band: band.convert(mode),
        channels=len(mode),
    )


def tiff_tag(image: Image.Image, tag: int) -> Any:
    """Return the value of a TIFF tag; None for other formats."""
    return image.tag_v2.get(tag) if isinstance(image, TiffImagePlugin.TiffImageFile) else None


def icc_profile(image: Image.Image) -> bytes | None:
    """Return the ICC profile of an open image.

    A TIFF is asked for the profile of this page: Pillow's `info` passes it on to later pages.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        profile = image.tag_v2.get(TiffImagePlugin.ICCPROFILE)
    else:
        profile = image.info.get("icc_profile")
    return profile if isinstance(profile, bytes) and profile else None


def is_grey_profile(profile: bytes | None) -> bool:
    """True if an ICC profile is for grey and not valid for colour (ICC.1, section 7.2.6)."""
    return profile is not None and profile[16:20] == b"GRAY"


def convert_in_bands(
    image: Image.Image, convert: Callable[[Image.Image], Image.Image], *, channels: int
) -> NDArray[np.uint8]:
    """Return (H, W) or (H, W, channels) of an image, each band of it converted."""
    width, height = image.size
    samples = np.empty((height, width) if channels == 1 else (height, width, channels), np.uint8)
    for rows, band in pillow_bands(image):
        samples[rows] = np.asarray(convert(band))
    return samples


def pillow_bands(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    """Yield (rows, crop) for BAND_ROWS rows at a time."""
    width, height = image.size
    for top in range(0, height, BAND_ROWS):
        bottom = min(top + BAND_ROWS, height)
        yield slice(top, bottom), image.crop((0, top, width, bottom))


def picture_bands(picture: Picture) -> Iterator[Pixels]:
    """Yield BAND_ROWS rows at a time, with alpha as the last channel.

    Bands are (rows, W) or (rows, W, C), contiguous.
    """
    for top in range(0, len(picture.pixels), BAND_ROWS):
        rows = slice(top, top + BAND_ROWS)
        image = picture.image[rows]
        yield (
            np.ascontiguousarray(image)
            if picture.alpha is None
            else np.dstack([image, picture.alpha[rows]])
        )


def pillow_image(picture: Picture) -> Image.Image:
    """Return an 8-bit Pillow image (16 bits are rounded): L, LA, RGB or RGBA."""
    height, width = picture.pixels.shape[:2]
    mode = ("L" if picture.grey else "RGB") + ("" if picture.alpha is None else "A")
    image = Image.new(mode, (width, height))
    for index, band in enumerate(picture_bands(picture)):
        image.paste(Image.fromarray(to_8bit(band)), (0, index * BAND_ROWS))
    return image


def to_8bit(samples: Pixels) -> NDArray[np.uint8]:
    """Round to 8 bits: one 8-bit step is 257 16-bit steps."""
    if samples.dtype == np.uint8:
        return samples.astype(np.uint8, copy=False)
    return ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _repair_colour_map(image: Image.Image) -> None:
    """Use the colour map of a TIFF by a scanner that writes 8 bits for a colour in place of 16."""
    colours = tiff_tag(image, TiffImagePlugin.COLORMAP) if image.mode == "P" else None
    if colours and max(colours) < 256:
        image.load()
        image.putpalette(bytes(np.reshape(colours, (3, -1)).T.astype(np.uint8)), "RGB")


def _cmyk_converter(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """Return a conversion to RGB: by the profile of the image if that is usable."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile(image) or b""))
        transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), "CMYK", "RGB")
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return lambda band: band.convert("RGB")
    return lambda band: ImageCms.applyTransform(band, transform) or band
