"""What a picture is between the file that it came from and the file that it goes to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8 | np.uint16]
COLOUR_CHUNKS = {b"cHRM", b"cICP", b"gAMA", b"sRGB", b"mDCV", b"cLLI"}
"""Chunks of a PNG that say which colours its numbers stand for."""


@dataclass(frozen=True)
class JpegCoding:
    """How a JPEG was coded, so that the restored one is as good and as large: nothing of it says what the picture shows."""

    tables: tuple[tuple[int, ...], ...]
    """Quantisation tables, 64 numbers each."""
    subsampling: int
    """Pillow's code of the chroma subsampling: 0 is 4:4:4, 1 is 4:2:2, 2 is 4:2:0, -1 is another or none."""
    progressive: bool


@dataclass(frozen=True)
class HeicCoding:
    """How a HEIC was coded."""

    bits: int
    """8, 10 or 12 for a sample."""
    chroma: int | None
    """420, 422 or 444; None for grey."""
    light: tuple[tuple[str, Any], ...] = ()
    """What a screen is told of how bright the picture is meant to be, in pillow-heif's words."""


@dataclass(frozen=True)
class FrameDisplay:
    """How a frame of an animation is shown."""

    duration_ms: float | None
    """A PNG tells fractions of it. None for the picture of an APNG that only viewers without animation show."""
    loop: int | None
    """How often the animation is played, 0 for ever, None where the file says nothing."""


@dataclass(frozen=True)
class Metadata:
    """What a file says about its pixels. Everything is optional, and is for an upright picture."""

    exif: bytes | None = None
    """A TIFF structure without the `Exif\\0\\0` that JPEG puts before it; the orientation in it is 1, a thumbnail is unlinked."""
    icc: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    comments: tuple[bytes, ...] = ()
    """The comments of a JPEG or a GIF."""
    photoshop: bytes | None = None
    """The image resources of a JPEG or TIFF, among them the caption, credits and rights of press agencies; without thumbnails."""
    png_chunks: tuple[tuple[bytes, bytes], ...] = ()
    """(name, data) of the texts and the colour description of a PNG, byte for byte."""
    jpeg: JpegCoding | None = None
    heic: HeicCoding | None = None
    avif_chroma: str | None = None
    """How coarse the chroma of an AVIF is, `4:2:0`."""
    colour_codes: tuple[int, int] | None = None
    """Primaries and transfer of an AVIF, HEIC or PNG in the codes of ITU-T H.273; None for those of sRGB."""
    tiff_compression: str | None = None
    tiff_page: tuple[tuple[int, Any], ...] = ()
    """Tags of a TIFF that say which page this is of which document, and whether it is a reduced copy or a mask of another."""
    webp_lossless: bool = False
    showing: FrameDisplay | None = None
    """None in a file of one picture, and for the pages of a TIFF."""

    def stripped(self) -> Metadata:
        """Without what tells of the photo, its maker and its place: only what the pixels need to look as they did."""
        colours = tuple(chunk for chunk in self.png_chunks if chunk[0] in COLOUR_CHUNKS)
        page = tuple(entry for entry in self.tiff_page if not isinstance(entry[1], str))
        stripped = replace(self, exif=None, xmp=None, dpi=None, comments=(), photoshop=None)
        return replace(stripped, png_chunks=colours, tiff_page=page)


@dataclass(frozen=True, eq=False)
class Picture:
    """An upright picture in the samples of its file, so that 100 megapixels are 300 MB and not 1.2 GB."""

    pixels: Pixels
    """(H, W, 3), uint8 or uint16, encoded as in the file (sRGB or what the ICC profile says). Of a grey picture the three
    channels are equal, and may be one array seen three times: it may be read-only."""
    alpha: Pixels | None = None
    """(H, W) in the type of `pixels`, 0 is transparent; None where the file has no transparency."""
    grey: bool = False
    format: str = "PNG"
    """The kind of file: a key of `derain.suffixes.PICTURE_FORMATS`."""
    metadata: Metadata = field(default_factory=Metadata)
    omissions: tuple[str, ...] = ()
    """What of the file could not be read and is going to be missing, a sentence each."""

    @property
    def depth_bits(self) -> int:
        """8 or 16."""
        return self.pixels.dtype.itemsize * 8

    @property
    def image(self) -> Pixels:
        """What the network is given: (H, W) of a grey picture, else (H, W, 3). A view."""
        return self.pixels[..., 0] if self.grey else self.pixels

    def with_image(self, image: Pixels) -> Picture:
        """The same picture with other pixels, in the shape of `image`."""
        return replace(self, pixels=as_colour(image))

    def as_array(self) -> Pixels:
        """(H, W) of a grey picture, (H, W, 3) of a coloured one, (H, W, 4) of one with transparency, a copy or a view."""
        if self.alpha is None:
            return self.image
        return np.concatenate([self.pixels, self.alpha[..., None]], axis=-1)


def as_colour(samples: Pixels) -> Pixels:
    """(H, W) or (H, W, 3) -> (H, W, 3). Grey is seen three times, not copied."""
    return (
        np.broadcast_to(samples[..., None], (*samples.shape, 3)) if samples.ndim == 2 else samples
    )
