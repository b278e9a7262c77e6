"""`write`: a `Picture` to a file of the same kind or another, completely or not at all; `write_frames`: many to one file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from derain.errors import PictureError
from derain.files.atomic import atomic_write
from derain.files.messages import explain_os_error
from derain.pictures.encoders import ANIMATION_WRITERS, WRITERS
from derain.pictures.metadata import exif_of, has_unwritable
from derain.pictures.omissions import UNWRITABLE
from derain.pictures.photoshop import has_captions
from derain.pictures.picture import Picture
from derain.pictures.pillow_arrays import is_for_grey
from derain.suffixes import PICTURE_FORMATS

OPAQUE = {"JPEG"}
SELDOM_TRANSPARENT = {*OPAQUE, "BMP"}
"""Kinds whose alpha is left out if it lets nothing through; of a BMP many programs do not read it."""
MOST_BITS = {"PNG": 16, "TIFF": 16}
"""For a sample; of a HEIC it depends on where the picture comes from, all others hold 8."""
DESCRIPTIONS = {
    "exif": "EXIF",
    "xmp": "XMP",
    "icc": "the colour profile",
    "colour_codes": "the codes of its colours",
    "photoshop": "captions (IPTC)",
    "comments": "comments",
    "png_chunks": "texts",
    "png_gamma": "the gamma of its colours",
}
"""What a file may say besides its pixels, by the field of `Metadata`."""
SRGB_GAMMA = 45455
"""As a PNG writes it: 100,000 / 2.2."""
TEXT_CHUNKS = {b"tEXt", b"zTXt", b"iTXt"}
_USUAL = {"exif", "xmp", "icc"}
SUPPORTED_METADATA: dict[str, set[str]] = {
    "PNG": _USUAL | {"colour_codes", "png_chunks", "png_gamma"},
    "JPEG": _USUAL | {"photoshop", "comments"},
    "WEBP": _USUAL,
    "TIFF": _USUAL | {"photoshop"},
    "BMP": set(),
    "GIF": {"comments"},
    "AVIF": _USUAL | {"colour_codes"},
    "HEIC": _USUAL | {"colour_codes"},
}
"""Which of them each kind can say."""
MOST_PX = {"WEBP": 16383, "JPEG": 65535, "GIF": 65535, "AVIF": 65536, "HEIC": 16384}
"""The longest side that a kind can hold."""


def write(picture: Picture, path: str | Path, *, overwrite: bool = True) -> None:
    """Write the kind of file that the suffix of `path` names, with the metadata that it can hold; replaces a file of that name.

    Without `overwrite` it is a PictureError that there is one.

    The file appears under its name when it is complete: nothing is left behind by an error, a full disk, a power cut or Ctrl-C. A
    kind that holds 8 bits rounds 16. Raises PictureError for an unknown suffix, transparency or a size that the kind cannot hold,
    and whatever the disk says.
    """
    path = Path(path)
    kind = format_for(path)
    picture = _fitting(picture, path, kind)
    _written(path, lambda file: WRITERS[kind](picture, file), overwrite=overwrite)


def write_frames(frames: Iterable[Picture], path: str | Path, *, overwrite: bool = True) -> None:
    """Write an animation (GIF, PNG, WebP, AVIF) or the pages of a TIFF, otherwise as `write` does.

    What taking the next frame raises comes through as it is, and no file is left.
    """
    path = Path(path)
    kind = format_for(path)
    if kind not in ANIMATION_WRITERS:
        known = ", ".join(PICTURE_FORMATS[name][0] for name in ANIMATION_WRITERS)
        raise PictureError(f"{path}: {kind} holds one picture, and there are more; write {known}")

    theirs: list[Exception] = []

    def taken() -> Iterator[Picture]:
        try:
            yield from frames
        except Exception as error:
            theirs.append(error)
            raise

    def checked() -> Iterator[Picture]:
        for frame in taken():
            if frame.format == "TIFF" != kind:
                raise PictureError(
                    f"{path}: {kind} holds an animation, and the source has pages; write .tif"
                )
            yield _fitting(frame, path, kind)

    _written(
        path,
        lambda file: ANIMATION_WRITERS[kind](checked(), file),
        overwrite=overwrite,
        theirs=theirs,
    )


def omissions_when_writing(picture: Picture, path: Path) -> tuple[str, ...]:
    """What `write` leaves out because of the kind of file that the suffix of `path` names, a sentence each."""
    kind, coding = format_for(path), picture.metadata.heic
    bits = picture.depth_bits if coding is None else coding.bits
    kept = {"HEIC": 10 if coding is None else bits}.get(kind, MOST_BITS.get(kind, 8))
    lost = (
        [f"its {bits} bits for a sample are written as {kept} in a {path.suffix}"]
        if bits > kept
        else []
    )
    held = SUPPORTED_METADATA[kind] - (
        {"icc"} if kind == "WEBP" and is_for_grey(picture.metadata.icc) else set()
    )  # which has no grey
    if kind != picture.format and (
        names := [DESCRIPTIONS[name] for name in _descriptions(picture) if name not in held]
    ):
        lost.append(f"what a {path.suffix} cannot say is left out: {', '.join(names)}")
    if (
        kind == "TIFF" != picture.format
        and picture.metadata.exif
        and has_unwritable(exif_of(picture.metadata))
    ):
        lost.append(UNWRITABLE)
    return tuple(lost)


def _descriptions(picture: Picture) -> Iterator[str]:
    """Which of DESCRIPTIONS a picture has: not every chunk of a PNG is a text, and not all that Photoshop writes a caption."""
    said = picture.metadata
    for name in DESCRIPTIONS:
        match name:
            case "png_chunks":
                has = any(chunk in TEXT_CHUNKS for chunk, _ in said.png_chunks)
            case "png_gamma":
                has = _has_gamma(dict(said.png_chunks))
            case "photoshop":
                has = has_captions(said.photoshop or b"")
            case _:
                has = bool(getattr(said, name))
        if has:
            yield name


def _has_gamma(chunks: Mapping[bytes, bytes]) -> bool:
    """Whether a PNG says a gamma that is not that of sRGB, and nothing that outranks it (PNG, third edition, section 4.3)."""
    gamma = chunks.get(b"gAMA", b"")
    return (
        len(gamma) == 4
        and not {b"cICP", b"sRGB"} & chunks.keys()
        and abs(int.from_bytes(gamma, "big") - SRGB_GAMMA) > 500
    )


def check_fits(picture: Picture, path: Path, *, abreast: int = 1) -> None:
    """Raise PictureError where `write` would: transparency or a size that the kind of file that `path` names cannot hold.

    `abreast` is how many pictures of this size are going to stand side by side in the file.
    """
    kind = format_for(path)
    most_px = MOST_PX.get(kind)
    height, width = picture.pixels.shape[:2]
    if most_px is not None and max(height, abreast * width) > most_px:
        raise PictureError(
            f"{path}: {kind} holds at most {most_px} pixels a side; write .png or .tif"
        )
    if kind in OPAQUE and _is_transparent(picture):
        raise PictureError(
            f"{path}: {kind} holds no transparency and this picture has some; write .png, .webp or .tif"
        )


def format_for(path: Path) -> str:
    """The key of PICTURE_FORMATS that a suffix stands for, or PictureError."""
    for kind, suffixes in PICTURE_FORMATS.items():
        if path.suffix.lower() in suffixes:
            return kind
    known = ", ".join(suffixes[0] for suffixes in PICTURE_FORMATS.values())
    raise PictureError(
        f"{path}: {path.suffix or 'no suffix'} is not a kind of picture that derain writes; use {known}"
    )


def _is_transparent(picture: Picture) -> bool:
    return picture.alpha is not None and bool(
        (picture.alpha != np.iinfo(picture.alpha.dtype).max).any()
    )


def _fitting(picture: Picture, path: Path, kind: str) -> Picture:
    """The picture, without an alpha that lets nothing through where the kind holds none; or PictureError."""
    check_fits(picture, path)
    return (
        replace(picture, alpha=None)
        if kind in SELDOM_TRANSPARENT and not _is_transparent(picture)
        else picture
    )


def _written(
    path: Path,
    write_to: Callable[[BinaryIO], None],
    *,
    overwrite: bool,
    theirs: Sequence[Exception] = (),
) -> None:
    """Write to a new file; `theirs` is filled with errors that are not of the writing."""
    try:
        with atomic_write(path, overwrite=overwrite) as file:
            write_to(file)
    except (OSError, ValueError, RuntimeError) as error:
        if error in theirs:
            raise
        fact = (
            explain_os_error(error)
            if isinstance(error, OSError)
            else f"{explain_os_error(error)}; try another kind of file, .png holds everything"
        )
        raise PictureError(f"{path}: {fact}") from error
