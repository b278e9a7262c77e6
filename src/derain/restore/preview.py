"""Small JPEGs of a picture before and after, whatever its size."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

from PIL import Image

from derain.picture import Picture
from derain.picture.samples import pillow_image

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


def _small(picture: Picture) -> Image.Image:
    step = max(1, max(picture.pixels.shape[:2]) // (2 * SIDE_PX))  # Pillow then averages the rest away
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
