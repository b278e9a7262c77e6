"""What a file says besides its pixels, out of Pillow's readers and into Pillow's writers."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, BinaryIO

from PIL import Image, JpegImagePlugin, TiffImagePlugin
from PIL.PngImagePlugin import PngInfo

from derain.pictures.heif import AvifBoxes, avif_boxes, heic_coding, uncommon
from derain.pictures.open_image import HEIF
from derain.pictures.orientation import upright_exif, upright_xmp
from derain.pictures.photoshop import kept_resources, resources_of
from derain.pictures.picture import COLOUR_CHUNKS, JpegCoding, Metadata
from derain.pictures.pillow_arrays import profile_of
from derain.pictures.xmp import remove_references

XMP_KEYWORD = b"XML:com.adobe.xmp"
EXIF_KEYWORD = b"Raw profile type exif"
"""The text, in hexadecimal numbers, in which a PNG had its EXIF before there was a chunk for it."""
PNG_CHUNKS = {*COLOUR_CHUNKS, b"tIME", b"tEXt", b"zTXt", b"iTXt"}
EXIF_DIRECTORY, GPS_DIRECTORY, INTEROPERABILITY = 34665, 34853, 40965
DIRECTORIES = {EXIF_DIRECTORY, GPS_DIRECTORY}
WINDOWS_TAGS = (18246, 18249, 40091, 40092, 40093, 40094, 40095)
"""Rating, the same in percent, title, comment, author, keywords and subject, as Windows shows them."""
TIFF_TAGS = (270, 271, 272, 305, 306, 315, 316, *WINDOWS_TAGS, 33432, 33723, *DIRECTORIES)
"""Description, make, model, software, time, artist, host, copyright, IPTC, and the directories of EXIF and GPS. The other tags
of a TIFF describe how its pixels are stored, and must not follow the picture into another file."""
PAGE_TAGS = (254, 255, 269, 285, 297)
"""The kind of page, of new and of old, names of document and page, number of the page: these follow it into another TIFF."""
SAMPLINGS: dict[tuple[tuple[int, int], ...], int] = {
    ((1, 1),) * 3: 0,
    ((2, 1), (1, 1), (1, 1)): 1,
    ((2, 2), (1, 1), (1, 1)): 2,
}
"""Pillow's codes; it tells that of three channels only."""
XMP, PHOTOSHOP = 700, 34377
UNREADABLE = (SyntaxError, TypeError, ValueError, struct.error)
"""What Pillow raises for bytes that are no EXIF, or a text that is no hexadecimal number."""
UNWRITABLE = (*UNREADABLE, AttributeError, OverflowError, ArithmeticError, IndexError, KeyError)
"""What it raises for values that are not of the kind that their tag wants."""
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 282, 283, 296
NO_UNIT, CENTIMETRE = 1, 3


def read_metadata(image: Image.Image, file: BinaryIO, *, orientation: int) -> Metadata:
    """Read the metadata of an open picture, for the upright form of it; `file` is moved."""
    info = image.info
    xmp = info.get("xmp")
    exif = (
        _tiff_exif(image)
        if image.format == "TIFF"
        else _readable(info.get("exif") or _exif_of_a_text(info))
    )
    if exif is not None:
        exif = upright_exif(exif.removeprefix(b"Exif\0\0"), orientation)
    dpi = (
        _tiff_dpi(image.tag_v2)
        if isinstance(image, TiffImagePlugin.TiffImageFile)
        else info.get("dpi")
    )
    chunks = _png_chunks(file) if image.format == "PNG" else ()
    avif = avif_boxes(file) if image.format == "AVIF" else None
    codes = _colour_codes(image, avif, dict(chunks))
    return Metadata(
        exif=exif or None,
        icc=None
        if image.mode == "CMYK"
        else profile_of(image),  # one of inks must not follow the picture into RGB
        xmp=remove_references(upright_xmp(xmp.encode() if isinstance(xmp, str) else xmp))
        if xmp
        else None,
        dpi=_dpi(dpi, turned=orientation in {5, 6, 7, 8}),
        comments=_comments(image),
        photoshop=_photoshop(image),
        heic=heic_coding(image) if image.format == HEIF else None,
        avif_chroma=avif.chroma if avif is not None else None,
        colour_codes=codes,
        png_chunks=chunks if image.format == "PNG" else _cicp_chunk(codes),
        jpeg=_jpeg_coding(image) if isinstance(image, JpegImagePlugin.JpegImageFile) else None,
        tiff_compression=info.get("compression") if image.format == "TIFF" else None,
        tiff_page=_page_tags(image),
        webp_lossless=image.format == "WEBP" and _is_lossless_webp(file),
    )


def tiff_tags(metadata: Metadata) -> dict[int, Any]:
    """What a TIFF keeps among its own tags; the value of a directory is a dictionary."""
    tags = _writable({**_described(exif_of(metadata)), **dict(metadata.tiff_page)})
    if metadata.xmp:
        tags[XMP] = metadata.xmp
    if metadata.photoshop:
        tags[PHOTOSHOP] = metadata.photoshop
    return tags


def exif_of(metadata: Metadata) -> Image.Exif:
    """The EXIF as Pillow reads it, as far as it does."""
    exif = Image.Exif()
    if metadata.exif:
        with suppress(*UNREADABLE):
            exif.load(b"Exif\0\0" + metadata.exif)
    return exif


def png_info(metadata: Metadata) -> PngInfo:
    """The chunks that a PNG is to hold besides EXIF, ICC profile and resolution."""
    info = PngInfo()
    for name, data in metadata.png_chunks:
        info.add(name, data)
    if metadata.xmp:
        info.add(b"iTXt", xmp_chunk(metadata.xmp))
    return info


def xmp_chunk(xmp: bytes) -> bytes:
    """The data of the iTXt chunk that holds an XMP packet: keyword, uncompressed, no language, no translation."""
    return XMP_KEYWORD + b"\0\0\0\0\0" + xmp


def has_unwritable(exif: Image.Exif) -> bool:
    """Whether a TIFF leaves out some of what this says: other programs write texts where numbers should be."""
    return _writable(found := _described(exif)) != found


def _tiff_exif(image: Image.Image) -> bytes | None:
    kept = Image.Exif()
    kept.update(_writable(_described(image.getexif())))
    return kept.tobytes() if len(kept) else None


def _writable(tags: dict[int, Any], *, within: int | None = None) -> dict[int, Any]:
    """Those that Pillow can write; `within` is the tag of the directory that they are in."""
    kept = {}
    for tag, value in tags.items():
        writable = _writable(value, within=tag) if isinstance(value, dict) else value
        directory = TiffImagePlugin.ImageFileDirectory_v2(group=within)
        with suppress(*UNWRITABLE):
            directory[tag] = writable
            directory.tobytes()
            kept[tag] = writable
    return kept


def _described(exif: Image.Exif) -> dict[int, Any]:
    """Those of TIFF_TAGS that are there, directories as dictionaries."""
    tags: dict[int, Any] = {tag: exif[tag] for tag in TIFF_TAGS if tag in exif}
    for tag in DIRECTORIES & tags.keys():
        tags[tag] = dict(exif.get_ifd(tag))
    if INTEROPERABILITY in tags.get(EXIF_DIRECTORY, ()):
        del tags[EXIF_DIRECTORY][INTEROPERABILITY]  # a place in the old file
        directory = exif.get_ifd(INTEROPERABILITY)
        if isinstance(
            directory.get(1), str
        ):  # or other programs have left the place behind, and something else lies there
            tags[EXIF_DIRECTORY][INTEROPERABILITY] = dict(directory)
    return tags


def _page_tags(image: Image.Image) -> tuple[tuple[int, Any], ...]:
    tags: Mapping[int, Any] = (
        image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    )
    return tuple((tag, tags[tag]) for tag in PAGE_TAGS if tag in tags)


def _exif_of_a_text(info: dict[Any, Any]) -> bytes | None:
    text = info.get(EXIF_KEYWORD.decode())
    try:
        return bytes.fromhex("".join(text.split("\n")[3:])) if text else None
    except ValueError:
        return None


def _readable(exif: bytes | None) -> bytes | None:
    """The same; None where no program can read it, and some cannot write it."""
    try:
        Image.Exif().load(exif or b"")
    except UNREADABLE:
        return None
    return exif


def _cicp_chunk(codes: tuple[int, int] | None) -> tuple[tuple[bytes, bytes], ...]:
    """What a PNG would say of an AVIF's or HEIC's colours: in RGB, of full range."""
    return () if codes is None else ((b"cICP", bytes([*codes, 0, 1])),)


def _colour_codes(
    image: Image.Image, avif: AvifBoxes | None, chunks: Mapping[bytes, bytes]
) -> tuple[int, int] | None:
    """What a picture says by code: an AVIF in its boxes, a PNG in a chunk, a HEIC by way of its reader."""
    told = chunks.get(b"cICP", b"")
    if len(told) == 4:
        return uncommon((told[0], told[1]))
    if avif is not None:
        return uncommon(avif.colour_codes)
    codes = image.info.get("nclx_profile") if image.format == HEIF else None
    return (
        uncommon((codes["color_primaries"], codes["transfer_characteristics"])) if codes else None
    )


def _tiff_dpi(tags: Mapping[int, Any]) -> tuple[float, float] | None:
    """What a page of a TIFF says by itself: Pillow hands the resolution of one page on to the others."""
    across, down, unit = (tags.get(tag) for tag in (X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT))
    if across is None or down is None or unit == NO_UNIT:
        return None
    inch = 2.54 if unit == CENTIMETRE else 1.0
    return float(across) * inch, float(down) * inch


def _dpi(dpi: Any, *, turned: bool) -> tuple[float, float] | None:
    if not isinstance(dpi, tuple) or len(dpi) != 2:
        return None
    across, down = (float(value) for value in dpi)
    if not (
        1 < across < 1e6 and 1 < down < 1e6
    ):  # 0, 1 and nan dots for an inch mean that nobody knows
        return None
    return (down, across) if turned else (across, down)


def _jpeg_coding(image: JpegImagePlugin.JpegImageFile) -> JpegCoding | None:
    progressive = bool(image.info.get("progressive"))
    if (
        image.mode == "CMYK"
    ):  # three channels are going to be written: they take over how the first three were coded
        layers = [layer[1:] for layer in image.layer[:3]]
        if any(table not in image.quantization for _, _, table in layers):
            return None
        tables = tuple(tuple(image.quantization[table]) for _, _, table in layers[:2])
        return JpegCoding(
            tables,
            SAMPLINGS.get(tuple((across, down) for across, down, _ in layers), -1),
            progressive,
        )
    tables = tuple(tuple(table) for _, table in sorted(image.quantization.items()))
    return JpegCoding(tables, JpegImagePlugin.get_sampling(image), progressive)


def _photoshop(image: Image.Image) -> bytes | None:
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        return resources_of(data for name, data in image.applist if name == "APP13")
    resources = (
        image.tag_v2.get(PHOTOSHOP) if isinstance(image, TiffImagePlugin.TiffImageFile) else None
    )
    return kept_resources(resources) if isinstance(resources, bytes) else None


def _comments(image: Image.Image) -> tuple[bytes, ...]:
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        return tuple(data for name, data in image.applist if name == "COM")
    comment = image.info.get("comment") if image.format == "GIF" else None
    return (comment,) if comment else ()


def _png_chunks(file: BinaryIO) -> tuple[tuple[bytes, bytes], ...]:
    chunks = []
    file.seek(8)
    while len(head := file.read(8)) == 8:
        size, name = struct.unpack(">I4s", head)
        if name not in PNG_CHUNKS:
            file.seek(size + 4, 1)
            continue
        data = file.read(size)
        if not data.startswith(
            (XMP_KEYWORD, EXIF_KEYWORD)
        ):  # kept apart, because the orientation in them changes
            chunks.append((name, data))
        file.seek(4, 1)
    return tuple(chunks)


def _is_lossless_webp(file: BinaryIO) -> bool:
    file.seek(12)
    while len(head := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        if name in {b"VP8 ", b"VP8L"}:
            return bool(name == b"VP8L")
        file.seek(
            16 if name == b"ANMF" else size + size % 2, 1
        )  # a frame has a head of 16 bytes, and then chunks of its own
    return False
