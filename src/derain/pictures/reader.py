"""`read`: a file to an upright `Picture`, or one sentence that says why not; `read_frames`: all pictures that it holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFile

from derain.pictures.heif import deep_heic_channels
from derain.pictures.metadata import UNREADABLE, read_metadata
from derain.pictures.omissions import omissions
from derain.pictures.open_image import HEIF, MAX_MEGAPIXELS, open_image, picture_errors
from derain.pictures.orientation import ORIENTATION, upright
from derain.pictures.picture import FrameDisplay, Picture, Pixels, as_colour
from derain.pictures.pillow_arrays import UnsupportedFormatError, decode_8bit
from derain.pictures.sixteen_bit import decode_16bit, is_deep

SAME_KIND = {"MPO": "JPEG", "DIB": "BMP", HEIF: "HEIC"}
"""A phone's MPO is a JPEG with a preview behind it, which shows the rain and is left out."""
SINGLE_KINDS = {"MPO", HEIF}
"""What else such a file holds are previews and other shots, and not what its picture shows later."""


def read(path: str | Path) -> Picture:
    """Read a PNG, JPEG, WebP, TIFF, BMP, GIF, AVIF or HEIC of one picture.

    The orientation in the metadata is applied to the pixels and taken out. 16 bits stay 16, grey stays grey; a palette and
    CMYK become RGB, the latter through its profile. Raises PictureError, and nothing else, for whatever is wrong with the file,
    and for a file of many pictures, which `read_frames` reads.
    """
    path = Path(path)
    with picture_errors(path), path.open("rb") as file, open_image(file) as image:
        frames = _count(image)
        if frames > 1:
            raise UnsupportedFormatError(
                f"it holds {frames} pictures, and one is needed here; save one of them as a file of its own"
            )
        return _decoded(image, file)


def count_frames(path: str | Path) -> int:
    """How many pictures a file holds: frames of an animation or pages of a TIFF. Raises PictureError."""
    path = Path(path)
    with picture_errors(path), path.open("rb") as file, open_image(file) as image:
        return _count(image)


def read_frames(path: str | Path) -> Iterator[Picture]:
    """Read the frames of an animation, each as it looks on the screen, or the pages of a TIFF, one after the other.

    How long a frame is shown is in its `metadata.showing`. Raises PictureError as `read` does, also in the middle, and for an
    animation whose frames have more than MAX_MEGAPIXELS together, because the files are written with all of them in hand.
    """
    path = Path(path)
    with picture_errors(path):
        file = path.open("rb")
    with file:
        with picture_errors(path):
            image = open_image(file)
            frames = _count(image)
            if (
                frames > 1
                and image.format != "TIFF"
                and frames * image.width * image.height > MAX_MEGAPIXELS * 1e6
            ):
                raise UnsupportedFormatError(
                    f"its {frames} frames have more than {MAX_MEGAPIXELS} megapixels together; make a video of it first"
                )
        with image:
            for index in range(frames):
                with picture_errors(
                    path
                ):  # not around the yield: what goes wrong there is not the fault of this file
                    image.seek(index)
                    picture = _decoded(image, file, index=index)
                    if frames > 1 and image.format != "TIFF":
                        picture = replace(
                            picture,
                            metadata=replace(picture.metadata, showing=_showing(image, index)),
                        )
                yield picture


def _count(image: Image.Image) -> int:
    return 1 if image.format in SINGLE_KINDS else int(getattr(image, "n_frames", 1))


def _showing(image: Image.Image, index: int) -> FrameDisplay:
    is_outside = bool(image.info.get("default_image")) and index == 0
    duration = image.info.get("duration")
    return FrameDisplay(None if is_outside else float(duration or 0), image.info.get("loop"))


def _decoded(image: ImageFile.ImageFile, file: BinaryIO, *, index: int = 0) -> Picture:
    def again() -> ImageFile.ImageFile:
        file.seek(0)
        twin = open_image(file)
        twin.seek(index)
        return twin

    samples: Pixels
    if image.format == HEIF and image.info.get("bit_depth", 8) > 8:
        samples = deep_heic_channels(file)
    else:
        samples = decode_16bit(image, again=again) if is_deep(image) else decode_8bit(image)
    orientation = _orientation(image)  # after decoding: Pillow has turned a TIFF, and then says 1
    samples = upright(samples, orientation)
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    colours = samples[..., 0] if channels == 2 else samples[..., :3] if channels == 4 else samples
    return Picture(
        pixels=as_colour(colours),
        alpha=np.ascontiguousarray(samples[..., -1]) if channels in {2, 4} else None,
        grey=channels < 3,
        format=SAME_KIND.get(str(image.format), str(image.format)),
        metadata=read_metadata(image, file, orientation=orientation),
        omissions=tuple(omissions(image, file, bits=samples.itemsize * 8)),
    )


def _orientation(image: Image.Image) -> int:
    """What the EXIF says; 1 where it does not read, without which the pixels are whole."""
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except UNREADABLE:
        return 1
