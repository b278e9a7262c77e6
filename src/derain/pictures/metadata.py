"""Metadata: from Pillow's readers to `Metadata`, and from there to Pillow's writers."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, BinaryIO

from PIL import Image, JpegImagePlugin, TiffImagePlugin
from PIL.ExifTags import Base as Tag

from derain.pictures.exif import read_page_tags, read_tiff_exif
from derain.pictures.gif import read_gif_xmp
from derain.pictures.heif import (
    AvifBoxes,
    heic_coding,
    read_avif_boxes,
    read_avif_exif,
    unless_srgb,
)
from derain.pictures.open_image import HEIF
from derain.pictures.orientation import SIDEWAYS, upright_exif, upright_xmp
from derain.pictures.photoshop import read_resources, without_copies
from derain.pictures.picture import JpegCoding, Metadata
from derain.pictures.pillow_arrays import icc_profile, tiff_tag
from derain.pictures.png_chunks import EXIF_KEYWORD, read_png_chunks
from derain.pictures.regions import crop_regions, turn_regions
from derain.pictures.webp import is_lossless_webp
from derain.pictures.xmp import remove_references

SUBSAMPLINGS: dict[tuple[tuple[int, int], ...], int] = {
    ((1, 1),) * 3: 0,
    ((2, 1), (1, 1), (1, 1)): 1,
    ((2, 2), (1, 1), (1, 1)): 2,
}
"""Pillow's codes by the sampling factors of three channels."""
LOSSLESS_TABLE = (1,) * 64
"""The finest quantisation."""
UNREADABLE = (SyntaxError, TypeError, ValueError, struct.error)
"""Exceptions of Pillow for invalid EXIF or hexadecimal text."""
NO_UNIT, CENTIMETRE = 1, 3
"""Values of the TIFF tag ResolutionUnit."""


def read_metadata(
    image: Image.Image, file: BinaryIO, *, orientation: int, size: tuple[int, int]
) -> Metadata:
    """Read the metadata of an open picture, adapted to its upright form. Moves in `file`.

    `size` is (width, height) of the upright form.
    """
    info = image.info
    xmp = read_xmp(image, file)
    page = image.tag_v2.offset if isinstance(image, TiffImagePlugin.TiffImageFile) else None
    match image.format:
        case "TIFF":
            exif, _ = read_tiff_exif(file, page or 0)
        case "AVIF":
            exif = _if_readable(read_avif_exif(file) or info.get("exif"))
        case _:
            exif = _if_readable(info.get("exif") or _exif_from_text(info))
    if exif is not None:
        exif = upright_exif(exif.removeprefix(b"Exif\0\0"), orientation, size)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        dpi = _tiff_dpi(image.tag_v2)
    else:
        dpi = info.get("dpi")
    chunks = read_png_chunks(file).kept if image.format == "PNG" else ()
    avif = read_avif_boxes(file) if image.format == "AVIF" else None
    codes = _colour_codes(image, avif, dict(chunks))
    return Metadata(
        exif=exif or None,
        # a CMYK profile must not follow the picture into RGB
        icc=None if image.mode == "CMYK" else icc_profile(image),
        xmp=_upright_xmp(xmp, image, file, orientation=orientation) if xmp else None,
        dpi=_check_dpi(dpi, is_sideways=orientation in SIDEWAYS),
        comments=_comments(image),
        photoshop=_photoshop_resources(image),
        heic=heic_coding(image) if image.format == HEIF else None,
        avif_chroma=avif.chroma if avif is not None else None,
        colour_codes=codes,
        png_chunks=chunks if image.format == "PNG" else _cicp_chunk(codes),
        jpeg=_jpeg_coding(image) if isinstance(image, JpegImagePlugin.JpegImageFile) else None,
        tiff_compression=info.get("compression") if image.format == "TIFF" else None,
        tiff_page=() if page is None else read_page_tags(file, page),
        webp_lossless=image.format == "WEBP" and is_lossless_webp(file),
    )


def read_xmp(image: Image.Image, file: BinaryIO) -> bytes:
    """Return the XMP of an open picture, of a GIF with its first frame. Moves in `file`."""
    if image.format == "GIF":
        return (read_gif_xmp(file) or b"") if image.tell() == 0 else b""
    xmp = image.info.get("xmp") or b""
    return xmp.encode() if isinstance(xmp, str) else bytes(xmp)


def upright_regions(xmp: bytes, image: Image.Image, file: BinaryIO, *, orientation: int) -> bytes:
    """Return the XMP with its regions cropped and turned like the pixels. Moves in `file`.

    Raises ValueError for invalid regions.
    """
    if image.format in {"AVIF", HEIF}:
        boxes = read_avif_boxes(file)
        if boxes.crop is not None and boxes.size is not None:
            xmp = crop_regions(xmp, boxes.size, boxes.crop)
        if image.format == HEIF:  # its reader resets the orientation
            orientation = boxes.orientation
    return turn_regions(xmp, orientation)


def _upright_xmp(xmp: bytes, image: Image.Image, file: BinaryIO, *, orientation: int) -> bytes:
    with suppress(ValueError):  # reported as an omission
        xmp = upright_regions(xmp, image, file, orientation=orientation)
    return remove_references(upright_xmp(xmp))


def _exif_from_text(info: dict[Any, Any]) -> bytes | None:
    text = info.get(EXIF_KEYWORD.decode())
    try:
        return bytes.fromhex("".join(text.split("\n")[3:])) if text else None
    except ValueError:
        return None


def _if_readable(exif: bytes | None) -> bytes | None:
    """Return the EXIF; None if it is unreadable, because some writers reject it."""
    try:
        Image.Exif().load(exif or b"")
    except UNREADABLE:
        return None
    return exif


def _cicp_chunk(codes: tuple[int, int] | None) -> tuple[tuple[bytes, bytes], ...]:
    """Return the PNG chunk for the colours of an AVIF or HEIC: RGB, full range."""
    return () if codes is None else ((b"cICP", bytes([*codes, 0, 1])),)


def _colour_codes(
    image: Image.Image, avif: AvifBoxes | None, chunks: Mapping[bytes, bytes]
) -> tuple[int, int] | None:
    """Return the colour codes of a PNG (a chunk), an AVIF (a box) or a HEIC (from its reader)."""
    cicp = chunks.get(b"cICP", b"")
    if len(cicp) == 4:
        return unless_srgb((cicp[0], cicp[1]))
    if avif is not None:
        return unless_srgb(avif.colour_codes)
    nclx = image.info.get("nclx_profile") if image.format == HEIF else None
    if not nclx:
        return None
    return unless_srgb((nclx["color_primaries"], nclx["transfer_characteristics"]))


def _tiff_dpi(tags: Mapping[int, Any]) -> tuple[float, float] | None:
    """Return the resolution of a page; Pillow's `info` passes it on to later pages."""
    horizontal, vertical, unit = (
        tags.get(tag) for tag in (Tag.XResolution, Tag.YResolution, Tag.ResolutionUnit)
    )
    if horizontal is None or vertical is None or unit == NO_UNIT:
        return None
    units_per_inch = 2.54 if unit == CENTIMETRE else 1.0
    return float(horizontal) * units_per_inch, float(vertical) * units_per_inch


def _check_dpi(dpi: Any, *, is_sideways: bool) -> tuple[float, float] | None:
    """Return (horizontal, vertical) of the upright picture; None if they are not plausible."""
    if not isinstance(dpi, tuple) or len(dpi) != 2:
        return None
    horizontal, vertical = (float(value) for value in dpi)
    # 0, 1 and nan stand for an unknown resolution
    if not (1 < horizontal < 1e6 and 1 < vertical < 1e6):
        return None
    return (vertical, horizontal) if is_sideways else (horizontal, vertical)


def _jpeg_coding(image: JpegImagePlugin.JpegImageFile) -> JpegCoding:
    progressive = bool(image.info.get("progressive"))
    # three channels at most: a CMYK JPEG becomes RGB with the coding of its first three
    layers = [layer[1:] for layer in image.layer[:3]]
    # a lossless JPEG has no tables
    tables = tuple(
        tuple(image.quantization.get(table, LOSSLESS_TABLE)) for _, _, table in layers[:2]
    )
    if image.mode == "CMYK":
        factors = tuple((horizontal, vertical) for horizontal, vertical, _ in layers)
        subsampling = SUBSAMPLINGS.get(factors, -1)
    else:
        subsampling = JpegImagePlugin.get_sampling(image)
    return JpegCoding(tables, subsampling, progressive, lossless=not image.quantization)


def _photoshop_resources(image: Image.Image) -> bytes | None:
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        return read_resources(data for name, data in image.applist if name == "APP13")
    resources = tiff_tag(image, Tag.ImageResources)
    return without_copies(resources) if isinstance(resources, bytes) else None


def _comments(image: Image.Image) -> tuple[bytes, ...]:
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        return tuple(data for name, data in image.applist if name == "COM")
    comment = image.info.get("comment") if image.format == "GIF" else None
    return (comment,) if comment else ()
