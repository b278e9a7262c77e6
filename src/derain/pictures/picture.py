"""A picture between the file it was read from and the file it is written to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derain.pictures.directories import ASCII, Value

Pixels = NDArray[np.uint8 | np.uint16]
COLOUR_CHUNKS = {b"cHRM", b"cICP", b"gAMA", b"sRGB", b"mDCV", b"cLLI"}
"""PNG chunks that define the colour space."""


@dataclass(frozen=True)
class JpegCoding:
    """The encoder settings of a JPEG, reused for the result so that quality and size match."""

    tables: tuple[tuple[int, ...], ...]
    """Quantisation tables, 64 numbers each."""
    subsampling: int
    """Pillow's code of the chroma subsampling: 0 for 4:4:4, 1 for 4:2:2, 2 for 4:2:0, else -1."""
    progressive: bool
    lossless: bool = False
    """Not reused: Pillow writes no lossless JPEG."""


@dataclass(frozen=True)
class HeicCoding:
    """The encoder settings of a HEIC."""

    bits: int
    """8, 10 or 12 per sample."""
    chroma: int | None
    """420, 422 or 444; None for grey."""
    light_levels: tuple[tuple[str, Any], ...] = ()
    """Brightness metadata for HDR screens, as pillow-heif's (option, value)."""


@dataclass(frozen=True)
class FrameDisplay:
    """Display settings of a frame of an animation."""

    duration_ms: float | None
    """Fractional in a PNG. None for the still of an APNG, for viewers without animation."""
    loop: int | None
    """How often the animation is played: 0 is endless, None is unspecified."""


@dataclass(frozen=True)
class Metadata:
    """Everything in a file but its pixels. Fields are optional and describe the upright picture."""

    exif: bytes | None = None
    """A TIFF structure without JPEG's prefix `Exif\\0\\0`.

    Its orientation is 1, and its thumbnail is unlinked.
    """
    icc: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    comments: tuple[bytes, ...] = ()
    """Comments of a JPEG or a GIF."""
    photoshop: bytes | None = None
    """Image resources of a JPEG or TIFF (caption, credits, rights), without thumbnails."""
    png_chunks: tuple[tuple[bytes, bytes], ...] = ()
    """(name, data) of the texts and the colour description of a PNG, byte for byte."""
    jpeg: JpegCoding | None = None
    heic: HeicCoding | None = None
    avif_chroma: str | None = None
    """Chroma subsampling of an AVIF, for example `4:2:0`."""
    colour_codes: tuple[int, int] | None = None
    """ITU-T H.273 codes of primaries and transfer in an AVIF, HEIC or PNG; None for sRGB."""
    tiff_compression: str | None = None
    tiff_page: tuple[tuple[int, Value], ...] = ()
    """(tag, little-endian value) of the TIFF tags that identify a page: its name, number, kind."""
    webp_lossless: bool = False
    display: FrameDisplay | None = None
    """None for a single picture and for the pages of a TIFF."""

    def stripped(self) -> Metadata:
        """Return a copy without personal metadata: only what is needed to display the pixels."""
        colours = tuple(chunk for chunk in self.png_chunks if chunk[0] in COLOUR_CHUNKS)
        page = tuple(entry for entry in self.tiff_page if entry[1].kind != ASCII)
        stripped = replace(self, exif=None, xmp=None, dpi=None, comments=(), photoshop=None)
        return replace(stripped, png_chunks=colours, tiff_page=page)


@dataclass(frozen=True, eq=False)
class Picture:
    """An upright picture in the sample type of its file: 100 megapixels take 300 MB, not 1.2 GB."""

    pixels: Pixels
    """(H, W, 3), uint8 or uint16, in the colour space of the file (sRGB or the ICC profile's).

    The three channels of a grey picture are equal. They may be one array, broadcast and read-only.
    """
    alpha: Pixels | None = None
    """(H, W) in the type of `pixels`, 0 is transparent; None if the file has no transparency."""
    grey: bool = False
    format: str = "PNG"
    """A key of `derain.suffixes.PICTURE_FORMATS`."""
    metadata: Metadata = field(default_factory=Metadata)
    omissions: tuple[str, ...] = ()
    """Parts of the file that were not read and that the result will lack, one sentence each."""

    @property
    def depth_bits(self) -> int:
        """8 or 16."""
        return self.pixels.dtype.itemsize * 8

    @property
    def image(self) -> Pixels:
        """Input of the network: (H, W) if the picture is grey, else (H, W, 3). A view."""
        return self.pixels[..., 0] if self.grey else self.pixels

    def with_image(self, image: Pixels) -> Picture:
        """Return a copy with other pixels, in the shape of `image`."""
        return replace(self, pixels=as_colour(image))

    def as_array(self) -> Pixels:
        """Return (H, W) for grey, (H, W, 3) for colour, (H, W, 4) with alpha; a copy or a view."""
        if self.alpha is None:
            return self.image
        return np.concatenate([self.pixels, self.alpha[..., None]], axis=-1)


def as_colour(image: Pixels) -> Pixels:
    """Return (H, W) or (H, W, 3) as (H, W, 3). Grey is broadcast, not copied."""
    return np.broadcast_to(image[..., None], (*image.shape, 3)) if image.ndim == 2 else image
