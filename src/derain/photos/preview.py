"""Small JPEGs of a picture before and after restoration, whatever its size."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from derain.errors import PictureError
from derain.pictures import Picture, read_frames
from derain.pictures.pillow_arrays import pillow_image

MAX_SIDE_PX = 960
"""Longest side of a preview; two such JPEGs take about 300 kB."""


@dataclass(frozen=True)
class Preview:
    """Two JPEGs of the same size."""

    rainy: bytes
    restored: bytes
    width: int
    height: int


def make_preview(rainy: Picture, restored: Picture) -> Preview:
    """Reduce both pictures to MAX_SIDE_PX. Transparency becomes white, colour profiles are kept."""
    before, after = _reduce(rainy), _reduce(restored)
    icc = rainy.metadata.icc
    return Preview(_encode_jpeg(before, icc), _encode_jpeg(after, icc), before.width, before.height)


def make_preview_of_files(source: Path, target: Path, *, is_compared: bool = False) -> Preview:
    """Do the same for the first frames of a photo and its result on disk.

    `is_compared`: the result shows rainy and restored side by side. Raises PictureError if either
    file cannot be read or their sizes differ.
    """
    rainy, restored = (next(read_frames(path)) for path in (source, target))
    if is_compared:
        right_half = slice(None), slice(rainy.pixels.shape[1], None)
        restored = replace(
            restored,
            pixels=restored.pixels[right_half],
            alpha=None if restored.alpha is None else restored.alpha[right_half],
        )
    if restored.pixels.shape != rainy.pixels.shape:
        raise PictureError(f"{target}: differs in size from {source}; restore it again")
    return make_preview(rainy, restored)


def _reduce(picture: Picture) -> Image.Image:
    # skip pixels first: Pillow averages over the remaining ones
    step = max(1, max(picture.pixels.shape[:2]) // (2 * MAX_SIDE_PX))
    every = slice(None, None, step), slice(None, None, step)
    alpha = None if picture.alpha is None else picture.alpha[every]
    image = pillow_image(replace(picture, pixels=picture.pixels[every], alpha=alpha))
    image.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))
    if alpha is None:
        return image
    mode = image.mode.removesuffix("A")
    opaque = Image.new(mode, image.size, "white")
    opaque.paste(image.convert(mode), mask=image.getchannel("A"))
    return opaque


def _encode_jpeg(image: Image.Image, icc: bytes | None) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85, icc_profile=icc)
    return file.getvalue()
