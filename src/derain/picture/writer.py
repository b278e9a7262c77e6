"""`write`: a `Picture` to a file of the same kind or another, completely or not at all."""

from __future__ import annotations

import errno
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from derain.errors import PictureError
from derain.picture.deep_png import write_deep_png
from derain.picture.metadata import png_info
from derain.picture.picture import Metadata, Picture
from derain.picture.samples import pillow_image
from derain.picture.tiff import write_tiff

FORMATS = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp", ".dib"),
}
"""The kinds of files and their suffixes, the usual one first."""
PARTIAL_PREFIX = ".derain-"
"""What the name of a half-written file begins with."""


def write(picture: Picture, path: str | Path) -> None:
    """Write the kind of file that the suffix of `path` names, with the metadata that it can hold; replaces a file of that name.

    The file appears under its name when it is complete: nothing is left behind by an error, a full disk or Ctrl-C. A kind that
    holds 8 bits rounds 16. Raises PictureError for an unknown suffix, transparency that the kind cannot hold, and whatever the
    disk says.
    """
    path = Path(path)
    kind = kind_of(path)
    if picture.alpha is not None and kind in {"JPEG", "BMP"}:
        raise PictureError(f"{path}: {kind} holds no transparency and this picture has some; write .png, .webp or .tif")
    if kind == "WEBP" and max(picture.pixels.shape[:2]) > 16383:
        raise PictureError(f"{path}: WebP holds at most 16383 pixels a side; write .png, .jpg or .tif")
    try:
        with replacing(path) as file:
            WRITERS[kind](picture, file)
    except (OSError, ValueError, RuntimeError) as error:
        raise PictureError(f"{path}: {_fact(error)}") from error


def kind_of(path: Path) -> str:
    """The key of FORMATS that a suffix stands for, or PictureError."""
    for kind, suffixes in FORMATS.items():
        if path.suffix.lower() in suffixes:
            return kind
    known = ", ".join(suffixes[0] for suffixes in FORMATS.values())
    raise PictureError(f"{path}: {path.suffix or 'no suffix'} is not a kind of picture that derain writes; use {known}")


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file beside `path` that takes its name when the block ends well, and is removed when it does not."""
    partial = path.parent / f"{PARTIAL_PREFIX}{secrets.token_hex(6)}.part"
    try:
        with partial.open("xb") as file:
            yield file
        partial.replace(path)
    finally:  # also for KeyboardInterrupt; after a success there is nothing of that name
        partial.unlink(missing_ok=True)


def _write_png(picture: Picture, file: BinaryIO) -> None:
    if picture.depth_bits == 16:
        write_deep_png(picture, file)
        return
    described = _given(picture.metadata, "exif", "icc", "dpi")
    pillow_image(picture).save(file, "PNG", pnginfo=png_info(picture.metadata), **described)


def _write_jpeg(picture: Picture, file: BinaryIO) -> None:
    metadata, coding = picture.metadata, picture.metadata.jpeg
    options: dict[str, Any] = {"quality": 95, "subsampling": 0}  # of what was not a JPEG as little as possible is lost
    if coding is not None:
        options = {"qtables": [list(table) for table in coding.tables], "progressive": coding.progressive}
        if coding.subsampling >= 0 and not picture.grey:
            options["subsampling"] = coding.subsampling
    described = _given(metadata, "exif", "icc", "dpi", "xmp", "comment")
    if "exif" in described:
        described["exif"] = b"Exif\0\0" + described["exif"]
    pillow_image(picture).save(file, "JPEG", **options, **described)


def _write_webp(picture: Picture, file: BinaryIO) -> None:
    metadata = picture.metadata
    options: dict[str, Any] = {"lossless": True, "exact": True} if metadata.webp_lossless else {"quality": 90}
    pillow_image(picture).save(file, "WEBP", **options, **_given(metadata, "exif", "icc", "xmp"))


def _write_bmp(picture: Picture, file: BinaryIO) -> None:
    pillow_image(picture).save(file, "BMP", **_given(picture.metadata, "dpi"))


WRITERS: dict[str, Callable[[Picture, BinaryIO], None]] = {
    "PNG": _write_png,
    "JPEG": _write_jpeg,
    "WEBP": _write_webp,
    "TIFF": write_tiff,
    "BMP": _write_bmp,
}


def _given(metadata: Metadata, *names: str) -> dict[str, Any]:
    """Those of the named fields that are set, as the options of Pillow's writers."""
    values = {name: getattr(metadata, name) for name in names}
    return {"icc_profile" if name == "icc" else name: value for name, value in values.items() if value}


def _fact(error: Exception) -> str:
    """What went wrong and what to do about it."""
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return "its folder does not exist; create it first"
        case IsADirectoryError():
            return "is a folder; name a file in it"
        case PermissionError():
            return "may not be written by this user; write to another folder with -o"
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return "the disk is full; free some space or write to another disk with -o"
        case OSError(errno=errno.EROFS):
            return "the disk is read-only; write to another folder with -o"
    return f"cannot be written ({str(error) or type(error).__name__}); try another kind of file, .png holds everything"
