"""Small JPEGs of a picture before and after, whatever its size."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from derain.errors import PictureError
from derain.pictures import Picture, read_frames
from derain.pictures.pillow_arrays import pillow_image

SIDE_PX = 960
"""The longest side of a preview: two of them take about 300 kB."""


@dataclass(frozen=True)
class Preview:
    """Two JPEGs of one size."""

    rainy: bytes
    restored: bytes
    width: int
    height: int


def preview(rainy: Picture, restored: Picture) -> Preview:
    """Reduce both so that no side is longer than SIDE_PX; transparency is laid on white, the colour profile stays."""
    before, after = _small(rainy), _small(restored)
    icc = rainy.metadata.icc
    return Preview(_jpeg(before, icc), _jpeg(after, icc), before.width, before.height)


def preview_of_files(source: Path, target: Path, *, is_compared: bool = False) -> Preview:
    """The same of a photo and a result on the disk, or of their first frames; `is_compared` if the result is both halves.

    Raises PictureError for whatever is wrong with the two.
    """
    rainy, restored = (next(read_frames(path)) for path in (source, target))
    if is_compared:
        right = slice(None), slice(rainy.pixels.shape[1], None)
        restored = replace(
            restored,
            pixels=restored.pixels[right],
            alpha=None if restored.alpha is None else restored.alpha[right],
        )
    if restored.pixels.shape != rainy.pixels.shape:
        raise PictureError(f"{target}: has another size than {source}")
    return preview(rainy, restored)


def _small(picture: Picture) -> Image.Image:
    step = max(
        1, max(picture.pixels.shape[:2]) // (2 * SIDE_PX)
    )  # Pillow then averages the rest away
    rows = slice(None, None, step), slice(None, None, step)
    alpha = None if picture.alpha is None else picture.alpha[rows]
    image = pillow_image(replace(picture, pixels=picture.pixels[rows], alpha=alpha))
    image.thumbnail((SIDE_PX, SIDE_PX))
    if alpha is None:
        return image
    mode = image.mode.removesuffix("A")
    paper = Image.new(mode, image.size, "white")
    paper.paste(image.convert(mode), mask=image.getchannel("A"))
    return paper


def _jpeg(image: Image.Image, icc: bytes | None) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85, icc_profile=icc)
    return file.getvalue()
