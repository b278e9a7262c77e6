"""Open a file with Pillow: which kinds, with which decoders, and what to say when it does not open."""

from __future__ import annotations

import ctypes
import errno
import stat
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

from derain.errors import MissingExtraError, PictureError
from derain.pictures.pillow_arrays import UnsupportedFormatError

MAX_MEGAPIXELS = 178
"""Pillow's own bound against files of a few kilobytes that unpack to more memory than there is."""
KINDS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "AVIF")
HEIF = "HEIF"
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"msf1"}
NEW_SUBFILE_TYPE, SUB_IFDS, DNG_VERSION = 254, 330, 50706
"""Tags of a TIFF."""
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY
"""Profiles of scanners and printers, and histories in XMP, unpack to more than Pillow's one megabyte for a piece."""
_warnings_are_ours = threading.Lock()


def open_image(file: BinaryIO) -> ImageFile.ImageFile:
    """The Pillow picture in an open file, not decoded yet."""
    head = file.read(32)
    kinds = (HEIF,) if _needs_heif(head) else KINDS
    file.seek(0)
    if kinds == (HEIF,):
        register_heif()
    # Pillow warns about large pictures that derain is made for; the filter of warnings is shared by all threads
    with _warnings_are_ours, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            image = Image.open(file, formats=kinds)
        except UnidentifiedImageError:
            if head[:4] in {b"II*\0", b"MM\0*"}:
                raise UnsupportedFormatError(
                    "is a TIFF that is damaged or of an unusual kind; save it again with 8 or 16 bits for a sample"
                ) from None
            raise
    assert isinstance(image, ImageFile.ImageFile)
    if isinstance(image, TiffImagePlugin.TiffImageFile) and _is_raw(image.tag_v2, head):
        raise UnsupportedFormatError(
            "is a raw photo, of which only a preview could be read; develop it to a TIFF or JPEG first"
        )
    return image


def _is_raw(tags: TiffImagePlugin.ImageFileDirectory_v2, head: bytes) -> bool:
    """Whether a TIFF is a raw photo: a DNG, a CR2, or (NEF, ARW and others) a preview whose photo lies in another directory."""
    is_preview = bool(tags.get(NEW_SUBFILE_TYPE, 0) & 1) and SUB_IFDS in tags
    return DNG_VERSION in tags or head[8:10] == b"CR" or is_preview


def register_heif() -> None:
    """Teach Pillow HEIC, which is an extra because its decoder is a large library. Raises MissingExtraError."""
    try:
        import pillow_heif
    except ImportError:
        raise MissingExtraError("HEIC", extra="heif") from None
    pillow_heif.register_heif_opener()


def silence_libtiff() -> None:
    """Keep libtiff from writing lines of its own to stderr, in the whole process: a damaged file gets one sentence of ours."""
    library = ctypes.CDLL(_imaging.__file__)
    for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
        with suppress(
            AttributeError
        ):  # a build of Pillow that does not show the functions of its libraries
            getattr(library, name)(None)


@contextmanager
def picture_errors(path: Path) -> Iterator[None]:
    """Whatever a decoder raises in this block becomes a PictureError of one sentence that begins with `path`."""
    try:
        status = path.stat()
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise PictureError(
                f"{path}: is a pipe or a device, not a picture; save what comes out of it as a file first"
            )
        if stat.S_ISREG(status.st_mode) and status.st_size == 0:
            raise PictureError(
                f"{path}: the file is empty (zero bytes); copy it again from where it came"
            )
        yield
    except MissingExtraError as error:
        raise PictureError(f"{path}: {error}") from None
    except PictureError:
        raise
    except MemoryError as error:
        raise PictureError(
            f"{path}: there is not enough memory to hold it; close other programs or scale it down"
        ) from error
    except Exception as error:  # a damaged file may raise anything at all in a decoder
        raise PictureError(f"{path}: {_fact(error)}") from error


def _needs_heif(head: bytes) -> bool:
    if head[4:8] != b"ftyp":
        return False
    brands = {head[8:12], *(head[start : start + 4] for start in range(16, len(head), 4))}
    if brands & {b"avif", b"avis"}:
        if not features.check("avif"):
            raise UnsupportedFormatError(
                "this build of Pillow has no AVIF; get one that has with `pip install -U pillow`"
            )
        return False
    return bool(brands & HEIF_BRANDS) or head[8:12] == b"mif1"


def _fact(error: Exception) -> str:
    """What is wrong and what to do about it."""
    match error:
        case FileNotFoundError():
            return "there is no such file; check the spelling"
        case IsADirectoryError():
            return "is a folder, not a picture; name a file in it"
        case PermissionError():
            return "may not be read by this user; change its permissions (chmod +r) or its folder's (chmod +rx)"
        case OSError(errno=errno.ELOOP):
            return "is a link that leads back to itself; name the file that it should lead to"
        case UnidentifiedImageError():
            return "is not a picture that derain reads (PNG, JPEG, WebP, TIFF, BMP, GIF, AVIF, HEIC); convert it first"
        case Image.DecompressionBombError():
            return f"has more pixels than the {MAX_MEGAPIXELS} megapixels that derain opens; scale it down or cut it up"
        case UnsupportedFormatError():
            return str(error)
        case ValueError() if "raw mode" in str(error):
            return "stores its samples in a way that Pillow does not read; save it interleaved, and unpacked or by Deflate"
    detail = " ".join(str(error).split()) or type(error).__name__
    return f"is damaged or cut short ({detail}); copy it again from where it came"
