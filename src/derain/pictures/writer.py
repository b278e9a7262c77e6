"""Write files atomically: `write` for a picture, `write_frames` for several in one file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from derain.errors import PictureError
from derain.files.atomic import atomic_write
from derain.files.messages import explain_os_error
from derain.pictures.encoders import (
    ANIMATION_WRITERS,
    WRITERS,
    is_separate_still,
    oversized_in_jpeg,
)
from derain.pictures.exif import MOVED_NOTE, has_maker_note
from derain.pictures.photoshop import has_captions
from derain.pictures.picture import Picture
from derain.pictures.pillow_arrays import is_grey_profile
from derain.pictures.png_chunks import KEPT_CHUNKS, TEXT_CHUNKS
from derain.suffixes import PICTURE_FORMATS

OPAQUE_FORMATS = {"JPEG"}
MOSTLY_OPAQUE_FORMATS = {*OPAQUE_FORMATS, "BMP"}
"""Formats written without alpha if the picture is opaque. Many programs ignore alpha in a BMP."""
MAX_BITS = {"PNG": 16, "TIFF": 16}
"""Bits per sample of a format; 8 for the others, but a HEIC depends on its source."""
MAX_SIDE_PX = {"WEBP": 16383, "JPEG": 65535, "GIF": 65535, "AVIF": 65536, "HEIC": 16384}
OUT_OF_MEMORY = {"encoding error 1", "encoding error 2"}
"""Errors of Pillow's WebP encoder (VP8_ENC_ERROR_OUT_OF_MEMORY, ..._BITSTREAM_OUT_OF_MEMORY)."""
METADATA_NAMES = {
    "exif": "EXIF",
    "xmp": "XMP",
    "icc": "colour profile",
    "colour_codes": "colour codes",
    "photoshop": "captions (IPTC)",
    "comments": "comments",
    "png_chunks": "texts",
    "png_gamma": "gamma",
    "png_background": "background colour",
    "png_significant_bits": "significant bits",
    "png_other": "further PNG chunks",
}
"""Metadata that is reported when it is dropped, by the field of `Metadata` or the kind of chunk."""
_COMMON_METADATA = {"exif", "xmp", "icc"}
_PNG_METADATA = {name for name in METADATA_NAMES if name.startswith("png_")}
SUPPORTED_METADATA: dict[str, set[str]] = {
    "PNG": _COMMON_METADATA | {"colour_codes"} | _PNG_METADATA,
    "JPEG": _COMMON_METADATA | {"photoshop", "comments"},
    "WEBP": _COMMON_METADATA,
    "TIFF": _COMMON_METADATA | {"photoshop"},
    "BMP": set(),
    "GIF": {"comments", "xmp"},
    "AVIF": _COMMON_METADATA | {"colour_codes"},
    "HEIC": _COMMON_METADATA | {"colour_codes"},
}
"""Keys of METADATA_NAMES that a format can store."""
SRGB_GAMMA = 45455
"""As a PNG stores it: 100,000 / 2.2."""


def write(
    picture: Picture,
    path: str | Path,
    *,
    overwrite: bool = True,
    permissions_of: Path | None = None,
) -> None:
    """Write a picture in the format of the suffix of `path`, with the metadata that it can store.

    An existing file is replaced; without `overwrite` it is an error. The file appears when it is
    complete: an error, a full disk, a power cut or Ctrl-C leaves nothing behind. Formats with
    8 bits round 16-bit samples. `permissions_of` is another file, usually the source; permissions
    that it lacks are removed from the new file.

    Raises PictureError for an unknown suffix, for pixels that are neither uint8 nor uint16, for
    transparency or a size that the format does not support, and for errors of the disk.
    """
    path = Path(path)
    format_name = format_for(path)
    picture = _prepare(picture, path, format_name)
    _write_atomically(
        path,
        lambda file: WRITERS[format_name](picture, file),
        overwrite=overwrite,
        permissions_of=permissions_of,
    )


def write_frames(
    frames: Iterable[Picture],
    path: str | Path,
    *,
    overwrite: bool = True,
    permissions_of: Path | None = None,
) -> None:
    """Write an animation (GIF, PNG, WebP, AVIF) or the pages of a TIFF, otherwise like `write`.

    An exception of `frames` is not changed, and no file is left behind.
    """
    path = Path(path)
    format_name = format_for(path)
    if format_name not in ANIMATION_WRITERS:
        suffixes = ", ".join(PICTURE_FORMATS[name][0] for name in ANIMATION_WRITERS)
        raise PictureError(f"{path}: {format_name} cannot store several pictures; write {suffixes}")

    source_errors: list[Exception] = []

    def recorded() -> Iterator[Picture]:
        try:
            yield from frames
        except Exception as error:
            source_errors.append(error)
            raise

    def checked() -> Iterator[Picture]:
        for frame in recorded():
            if frame.format == "TIFF" != format_name:
                raise PictureError(
                    f"{path}: {format_name} stores animations, but the source has pages; write .tif"
                )
            yield _prepare(frame, path, format_name)

    _write_atomically(
        path,
        lambda file: ANIMATION_WRITERS[format_name](checked(), file),
        overwrite=overwrite,
        permissions_of=permissions_of,
        source_errors=source_errors,
    )


def omissions_when_writing(
    picture: Picture, path: Path, *, is_first: bool = True
) -> tuple[str, ...]:
    """Return what `write` drops because of the format of `path`, one sentence each.

    `is_first` is False for later pages and frames.
    """
    format_name, coding = format_for(path), picture.metadata.heic
    bits = picture.depth_bits if coding is None else coding.bits
    heic_bits = 10 if coding is None else bits
    max_bits = heic_bits if format_name == "HEIC" else MAX_BITS.get(format_name, 8)
    omissions = []
    if bits > max_bits:
        omissions.append(f"its {bits} bits per sample are written as {max_bits} in a {path.suffix}")
    supported = SUPPORTED_METADATA[format_name]
    if format_name == "WEBP" and is_grey_profile(picture.metadata.icc):
        supported = supported - {"icc"}  # a WebP is never grey
    names = [METADATA_NAMES[key] for key in _present_metadata(picture) if key not in supported]
    if format_name != picture.format and names:
        omissions.append(f"dropped, because a {path.suffix} cannot store it: {', '.join(names)}")
    if format_name == "JPEG" and (too_long := oversized_in_jpeg(picture.metadata)):
        names = [METADATA_NAMES[key] for key in METADATA_NAMES if key in too_long]
        omissions.append(f"dropped, because it is too long for a JPEG: {', '.join(names)}")
    if format_name == "JPEG" and picture.metadata.jpeg and picture.metadata.jpeg.lossless:
        omissions.append("its lossless JPEG is written as a lossy one of the highest quality")
    if picture.metadata.display is not None and format_name == "TIFF":
        omissions.append(f"dropped, because a {path.suffix} cannot store it: frame times")
    if format_name == "GIF" and _has_partial_alpha(picture):
        omissions.append("its partial transparency becomes full or none in a GIF")
    if is_separate_still(picture) and format_name not in {"PNG", "TIFF"}:
        omissions.append("its still for viewers without animation is dropped")
    if format_name == "TIFF" and not is_first and has_maker_note(picture.metadata.exif):
        omissions.append(MOVED_NOTE)  # the file starts with the EXIF of its first page
    return tuple(omissions)


def _present_metadata(picture: Picture) -> Iterator[str]:
    """Yield the keys of METADATA_NAMES that a picture has.

    Some PNG chunks are not texts, and some resources of Photoshop are not captions.
    """
    metadata = picture.metadata
    for key in METADATA_NAMES:
        match key:
            case "png_chunks":
                is_present = any(name in TEXT_CHUNKS for name, _ in metadata.png_chunks)
            case "png_background":
                is_present = any(name == b"bKGD" for name, _ in metadata.png_chunks)
            case "png_significant_bits":
                is_present = any(name == b"sBIT" for name, _ in metadata.png_chunks)
            case "png_other":
                is_present = any(name not in KEPT_CHUNKS for name, _ in metadata.png_chunks)
            case "png_gamma":
                is_present = _has_gamma(dict(metadata.png_chunks))
            case "photoshop":
                is_present = has_captions(metadata.photoshop or b"")
            case _:
                is_present = bool(getattr(metadata, key))
        if is_present:
            yield key


def _has_gamma(chunks: Mapping[bytes, bytes]) -> bool:
    """True if a PNG has a gamma other than that of sRGB, and no chunk that overrides it.

    Source: PNG specification, third edition, section 4.3.
    """
    gamma = chunks.get(b"gAMA", b"")
    return (
        len(gamma) == 4
        and not {b"cICP", b"sRGB"} & chunks.keys()
        and abs(int.from_bytes(gamma, "big") - SRGB_GAMMA) > 500
    )


def check_fits(picture: Picture, path: Path, *, columns: int = 1) -> None:
    """Raise PictureError if the format of `path` does not support the transparency or the size.

    `columns` is the number of pictures of this size that will be placed side by side.
    """
    format_name = format_for(path)
    max_px = MAX_SIDE_PX.get(format_name)
    height, width = picture.pixels.shape[:2]
    if max_px is not None and max(height, columns * width) > max_px:
        raise PictureError(
            f"{path}: {format_name} is limited to {max_px} pixels per side; write .png or .tif"
        )
    if format_name in OPAQUE_FORMATS and _is_transparent(picture):
        raise PictureError(
            f"{path}: {format_name} does not support transparency, which this picture has; "
            "write .png, .webp or .tif"
        )


def format_for(path: Path) -> str:
    """Return the key of PICTURE_FORMATS for the suffix of a path. Raises PictureError."""
    for format_name, suffixes in PICTURE_FORMATS.items():
        if path.suffix.lower() in suffixes:
            return format_name
    known = ", ".join(suffixes[0] for suffixes in PICTURE_FORMATS.values())
    raise PictureError(
        f"{path}: {path.suffix or 'a name without a suffix'} is not a picture format "
        f"that derain writes; use {known}"
    )


def _is_transparent(picture: Picture) -> bool:
    return picture.alpha is not None and bool(
        (picture.alpha != np.iinfo(picture.alpha.dtype).max).any()
    )


def _has_partial_alpha(picture: Picture) -> bool:
    if picture.alpha is None:
        return False
    return bool(((picture.alpha > 0) & (picture.alpha < np.iinfo(picture.alpha.dtype).max)).any())


def _prepare(picture: Picture, path: Path, format_name: str) -> Picture:
    """Return the picture, without an opaque alpha if the format does not need it.

    Raises PictureError.
    """
    dtype = picture.pixels.dtype
    if dtype.name not in {"uint8", "uint16"}:
        raise PictureError(
            f"{path}: pixels of {dtype} cannot be written; scale them to uint8 or uint16"
        )
    check_fits(picture, path)
    if format_name in MOSTLY_OPAQUE_FORMATS and not _is_transparent(picture):
        return replace(picture, alpha=None)
    return picture


def _write_atomically(
    path: Path,
    encode: Callable[[BinaryIO], None],
    *,
    overwrite: bool,
    permissions_of: Path | None,
    source_errors: Sequence[Exception] = (),
) -> None:
    """Write a new file; errors in `source_errors`, filled meanwhile, are not errors of writing."""
    try:
        with atomic_write(path, overwrite=overwrite, permissions_of=permissions_of) as file:
            encode(file)
    except (OSError, ValueError, RuntimeError) as error:
        if error in source_errors:
            raise
        if str(error) in OUT_OF_MEMORY:
            raise MemoryError from error
        fact = explain_os_error(error)
        if not isinstance(error, OSError):
            fact += "; try another format, .png supports everything"
        raise PictureError(f"{path}: {fact}") from error
