"""Open a file with Pillow: the supported formats, their decoders, and messages about failures."""

from __future__ import annotations

import ctypes
import errno
import logging
import math
import stat
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from PIL import (
    Image,
    ImageFile,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    _imaging,
    features,
)
from PIL.ExifTags import Base as Tag

from derain.errors import MissingExtraError, PictureError
from derain.files.messages import explain_read_error
from derain.pictures.boxes import read_meta
from derain.pictures.pillow_arrays import UnsupportedFormatError
from derain.suffixes import READABLE_CLIP_SUFFIXES

MAX_MEGAPIXELS = 178
"""Pillow's own limit, a protection against small files that decompress to more than the memory."""
PILLOW_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "AVIF")
HEIF = "HEIF"
WEBP_ERRORS = {"could not create decoder object", "failed to read next frame"}
"""Errors of Pillow for a damaged WebP, and also for one that does not fit into the memory."""
AVIF_BRANDS = {b"avif", b"avis"}
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"msf1"}
REDUCED_COPY = 1
"""Bit of the TIFF tag NewSubfileType: the picture is a smaller copy of another one in the file."""
# Profiles of scanners and printers, and histories in XMP, exceed Pillow's limit of 1 MB a chunk
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY
_warnings_lock = threading.Lock()


def open_image(file: BinaryIO) -> ImageFile.ImageFile:
    """Return the Pillow image of an open file, not decoded yet."""
    head = file.read(32)
    formats = (HEIF,) if _needs_heif(head) else PILLOW_FORMATS
    file.seek(0)
    if formats == (HEIF,):
        register_heif()
    # Pillow warns about the large pictures that derain is made for; all threads share the filters
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            image = Image.open(file, formats=formats)
        except UnidentifiedImageError:
            if head[:4] in {b"II*\0", b"MM\0*"}:
                raise UnsupportedFormatError(
                    "is a damaged or unsupported TIFF; "
                    "save it again as RGB or grey, interleaved, with 8 or 16 bits per sample, "
                    "and LZW or Deflate"
                ) from None
            if _brands(head) & AVIF_BRANDS:
                raise _avif_error(file) from None
            raise
    assert isinstance(image, ImageFile.ImageFile)
    if isinstance(image, TiffImagePlugin.TiffImageFile) and _is_raw(image.tag_v2, head):
        raise UnsupportedFormatError(
            "is a raw photo, and only its preview could be read; develop it to TIFF or JPEG first"
        )
    if isinstance(image, TiffImagePlugin.TiffImageFile) and not _can_decompress(image):
        raise UnsupportedFormatError(
            f"its compression {image.info['compression']} is not supported by this build of "
            "Pillow; save it with LZW or Deflate"
        )
    return image


def _avif_error(file: BinaryIO) -> Exception:
    """Return the reason why Pillow cannot open an AVIF."""
    meta = read_meta(file)
    sides = dict(meta.primary_properties() if meta is not None else ()).get(b"ispe", b"")
    if len(sides) >= 12 and math.prod(struct.unpack_from(">II", sides, 4)) > MAX_MEGAPIXELS * 1e6:
        return Image.DecompressionBombError()
    return UnsupportedFormatError(
        "is a damaged or unsupported AVIF; copy it again from its source, or convert it to PNG"
    )


def _can_decompress(image: TiffImagePlugin.TiffImageFile) -> bool:
    """True if Pillow or its libtiff has the decompressor; also if that is unknown."""
    try:
        is_configured = _libraries().TIFFIsCODECConfigured
    except AttributeError:
        return True
    return image.tile[0][0] != "libtiff" or bool(is_configured(image.tag_v2[Tag.Compression]))


def _is_raw(tags: TiffImagePlugin.ImageFileDirectory_v2, head: bytes) -> bool:
    """True if a TIFF is a raw photo: a DNG, a CR2, or a preview before raw data (NEF, ARW, ...)."""
    is_preview = bool(tags.get(Tag.NewSubfileType, 0) & REDUCED_COPY) and Tag.SubIFDs in tags
    return Tag.DNGVersion in tags or head[8:10] == b"CR" or is_preview


def register_heif() -> None:
    """Enable HEIC in Pillow. Its large decoder is an optional extra. Raises MissingExtraError."""
    try:
        import pillow_heif
    except ImportError:
        raise MissingExtraError("HEIC", extra="heif") from None
    pillow_heif.register_heif_opener()


def silence_libraries() -> None:
    """Keep libtiff and Pillow from writing to stderr, in the whole process.

    derain reports damaged files itself.
    """
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    library = _libraries()
    for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
        with suppress(AttributeError):
            getattr(library, name)(None)


def _libraries() -> ctypes.CDLL:
    """Return the libraries that Pillow is linked with. Some builds hide their functions."""
    return ctypes.CDLL(_imaging.__file__)


@contextmanager
def picture_errors(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises in this block into a one-line PictureError about `path`."""
    try:
        status = path.stat()
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise PictureError(
                f"{path}: is a pipe or a device, not a picture; save its output to a file first"
            )
        if stat.S_ISREG(status.st_mode) and status.st_size == 0:
            raise PictureError(f"{path}: is empty (zero bytes); copy it again from its source")
        yield
    except MissingExtraError as error:
        raise PictureError(f"{path}: {error}") from None
    except PictureError:
        raise
    except MemoryError as error:
        raise PictureError(
            f"{path}: not enough memory to load it; close other programs or downscale it"
        ) from error
    except Exception as error:  # decoders raise anything for a damaged file
        is_clip = path.suffix.lower() in READABLE_CLIP_SUFFIXES
        if is_clip and isinstance(error, UnidentifiedImageError):
            fact = "is a clip, not a picture; restore it with `derain video`"
        else:
            fact = _explain(error)
        raise PictureError(f"{path}: {fact}") from error


def _brands(head: bytes) -> set[bytes]:
    """Return the brands of an AVIF, HEIC or MP4; none for another file."""
    if head[4:8] != b"ftyp":
        return set()
    return {head[8:12], *(head[start : start + 4] for start in range(16, len(head), 4))}


def _needs_heif(head: bytes) -> bool:
    brands = _brands(head)
    if brands & AVIF_BRANDS:
        if not features.check("avif"):
            raise UnsupportedFormatError(
                "this build of Pillow does not support AVIF; "
                "upgrade it with `pip install -U pillow`"
            )
        return False
    return bool(brands & HEIF_BRANDS) or head[8:12] == b"mif1"


def _explain(error: Exception) -> str:
    """Return the fact and the remedy."""
    match error:
        case FileNotFoundError():
            return "there is no such file; check the spelling"
        case IsADirectoryError():
            return "is a folder, not a picture; name a file in it"
        case PermissionError():
            return (
                "permission denied; make it readable (chmod +r), "
                "and its folder accessible (chmod +rx)"
            )
        case OSError(errno=errno.ELOOP):
            return "is a symbolic link that leads back to itself; use the path of the file"
        case UnidentifiedImageError():
            return (
                "is not a picture in a supported format "
                "(PNG, JPEG, WebP, TIFF, BMP, GIF, AVIF, HEIC); convert it first"
            )
        case Image.DecompressionBombError():
            return (
                f"has more than the {MAX_MEGAPIXELS} megapixels that derain accepts; "
                "downscale or crop it"
            )
        case UnsupportedFormatError():
            return str(error)
        case OSError(errno=None) if "unsupported" in str(error).lower():
            return (
                f"is a variant of its format that Pillow does not support ({error}); "
                "save it as PNG or TIFF"
            )
        case OSError(errno=int(), strerror=str()):  # of the disk, not of a decoder
            return explain_read_error(error)
        case ValueError() if "raw mode" in str(error):
            return (
                "stores its samples in a layout that Pillow does not support; "
                "save it interleaved, uncompressed or with Deflate"
            )
    detail = " ".join(str(error).split()) or type(error).__name__
    if detail in WEBP_ERRORS:
        return (
            f"is damaged or truncated, or there is not enough memory to load it ({detail}); "
            "copy it again from its source, or close other programs"
        )
    return f"is damaged or truncated ({detail}); copy it again from its source"
