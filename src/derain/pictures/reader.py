"""Read files: `read` for a single picture, `read_frames` for animations and TIFF pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageFile

from derain.files.disk_reader import DiskReader
from derain.pictures.heif import crop_avif, decode_deep_heic
from derain.pictures.metadata import UNREADABLE, read_metadata
from derain.pictures.omissions import omissions
from derain.pictures.open_image import HEIF, MAX_MEGAPIXELS, open_image, picture_errors
from derain.pictures.orientation import ORIENTATION, SIDEWAYS, upright, xmp_orientation
from derain.pictures.picture import FrameDisplay, Picture, Pixels, as_colour
from derain.pictures.pillow_arrays import UnsupportedFormatError, decode_8bit, tiff_tag
from derain.pictures.png_chunks import has_late_orientation
from derain.pictures.sixteen_bit import decode_16bit, is_16bit

FORMAT_ALIASES = {"MPO": "JPEG", "DIB": "BMP", HEIF: "HEIC"}
"""Formats written as another one. The previews in a phone's MPO show the rain and are dropped."""
SINGLE_PICTURE_FORMATS = {"MPO", HEIF}
"""Formats whose further pictures are previews or other shots, not frames of an animation."""
XMP_KEYS = ("xmp", "XML:com.adobe.xmp")
"""Pillow's names of the XMP."""
TRANSFORMED_FORMATS = {"AVIF", HEIF}
"""Formats that are rotated by their boxes only."""


def read(path: str | Path) -> Picture:
    """Read a PNG, JPEG, WebP, TIFF, BMP, GIF, AVIF or HEIC that holds a single picture.

    The orientation in the metadata is applied to the pixels and reset. 16-bit samples stay 16-bit,
    grey stays grey; a palette becomes RGB, and so does CMYK, by its profile.

    Raises PictureError, and no other exception, whatever is wrong with the file. Also raises it for
    a file with several pictures; use `read_frames` for these.
    """
    path = Path(path)
    with picture_errors(path), DiskReader(path) as file, file.errors(), open_image(file) as image:
        frames = count_image_frames(image)
        if frames > 1:
            raise UnsupportedFormatError(
                f"contains {frames} pictures, but one is expected here; "
                "save one of them as a separate file"
            )
        return _decode(image, file)


def upright_size(image: ImageFile.ImageFile, file: BinaryIO) -> tuple[int, int]:
    """Return width and height of the pixels that `read` returns.

    The open `image` of `file` is not decoded, except for a PNG with its orientation at the end.
    """
    xmp = _hide_xmp(image)
    tag = _tiff_orientation(image)
    if image.format == "PNG" and has_late_orientation(file):
        image = _reopened(file)
        image.load()
    # Pillow swaps the sides of a TIFF by its tag
    orientation = _orientation(image, xmp.get("xmp")) if tag is None else 1
    width, height = image.size
    return (height, width) if orientation in SIDEWAYS else (width, height)


def count_frames(path: str | Path) -> int:
    """Return the number of frames of an animation or pages of a TIFF. Raises PictureError."""
    path = Path(path)
    with picture_errors(path), DiskReader(path) as file, file.errors(), open_image(file) as image:
        return count_image_frames(image)


def read_frames(path: str | Path) -> Iterator[Picture]:
    """Yield the frames of an animation as they appear on screen, or the pages of a TIFF.

    The duration of a frame is in its `metadata.display`. Raises PictureError as `read` does,
    possibly after some frames. Also raises it for an animation with more than MAX_MEGAPIXELS in
    total, because the writers hold all frames in memory.
    """
    path = Path(path)
    with picture_errors(path):
        file = DiskReader(path)
    with file:
        with picture_errors(path), file.errors():
            image = open_image(file)
            frames = count_image_frames(image)
            is_animation = frames > 1 and image.format != "TIFF"
            if is_animation and frames * image.width * image.height > MAX_MEGAPIXELS * 1e6:
                raise UnsupportedFormatError(
                    f"its {frames} frames have more than {MAX_MEGAPIXELS} megapixels in total; "
                    "convert it to a video first"
                )
        with image:
            for index in range(frames):
                # not around the yield: exceptions of the caller are not errors of this file
                with picture_errors(path), file.errors():
                    image.seek(index)
                    picture = _decode(image, file, index=index)
                    if is_animation:
                        display = _frame_display(image, index)
                        picture = replace(
                            picture, metadata=replace(picture.metadata, display=display)
                        )
                yield picture


def count_image_frames(image: Image.Image) -> int:
    """Return the number of frames or pages that derain restores; previews do not count.

    Opening the image is enough: no pixels are decoded.
    """
    return 1 if image.format in SINGLE_PICTURE_FORMATS else int(getattr(image, "n_frames", 1))


def _frame_display(image: Image.Image, index: int) -> FrameDisplay:
    is_still = bool(image.info.get("default_image")) and index == 0
    duration = image.info.get("duration")
    return FrameDisplay(None if is_still else float(duration or 0), image.info.get("loop"))


def _decode(image: ImageFile.ImageFile, file: BinaryIO, *, index: int = 0) -> Picture:
    def reopen() -> ImageFile.ImageFile:
        return _reopened(file, index=index)

    xmp = _hide_xmp(image)
    tag = _tiff_orientation(image)
    samples: Pixels
    if image.format == HEIF and image.info.get("bit_depth", 8) > 8:
        samples = decode_deep_heic(file)
    else:
        samples = decode_16bit(image, reopen=reopen) if is_16bit(image) else decode_8bit(image)
    if image.format == "AVIF":
        samples = crop_avif(samples, file)
    orientation = _orientation(image, xmp.get("xmp")) if tag is None else tag
    if tag is None:  # Pillow rotates a TIFF by its tag while decoding it
        samples = upright(samples, orientation)
    image.info.update(xmp)
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    colours = samples[..., 0] if channels == 2 else samples[..., :3] if channels == 4 else samples
    return Picture(
        pixels=as_colour(colours),
        alpha=np.ascontiguousarray(samples[..., -1]) if channels in {2, 4} else None,
        grey=channels < 3,
        format=FORMAT_ALIASES.get(str(image.format), str(image.format)),
        metadata=read_metadata(
            image, file, orientation=orientation, size=(samples.shape[1], samples.shape[0])
        ),
        omissions=tuple(
            omissions(
                image,
                file,
                bits=samples.itemsize * 8,
                has_alpha=channels in {2, 4},
                orientation=orientation,
            )
        ),
    )


def _reopened(file: BinaryIO, *, index: int = 0) -> ImageFile.ImageFile:
    file.seek(0)
    twin = open_image(file)
    twin.seek(index)
    _hide_xmp(twin)
    return twin


def _hide_xmp(image: Image.Image) -> dict[str, Any]:
    """Remove the XMP from Pillow's `info`, and return it.

    Pillow would rotate a TIFF by it, but into an image of the wrong size.
    """
    return {key: image.info.pop(key) for key in XMP_KEYS if key in image.info}


def _tiff_orientation(image: Image.Image) -> int | None:
    """Return the tag of a TIFF that is not decoded yet; decoding removes it."""
    tag = tiff_tag(image, ORIENTATION)
    return tag if isinstance(tag, int) else None


def _orientation(image: Image.Image, xmp: Any) -> int:
    """Return the orientation in the EXIF of an image, or else in its XMP.

    1 if it is unreadable, because the pixels are intact.
    """
    try:
        # not image.getexif(), which decodes a PNG
        orientation = Image.Image.getexif(image).get(ORIENTATION)
        if orientation is None and image.format not in TRANSFORMED_FORMATS:
            orientation = xmp_orientation(xmp.encode() if isinstance(xmp, str) else xmp or b"")
        return int(orientation or 1)
    except UNREADABLE:
        return 1
