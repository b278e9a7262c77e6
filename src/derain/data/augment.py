"""Random changes to training crops: cutting, resizing, shearing, mirroring, colours and JPEG."""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derain.data.pairs.pair import Image8

Floats = NDArray[np.float32]

MAX_SHEAR = 0.25
"""Tangent of the largest angle by which a piece of a rain layer is sheared."""


def cut(rng: np.random.Generator, height: int, width: int, *images: Image8) -> tuple[Image8, ...]:
    """Cut the same random rectangle out of each of `images`, which have the same size."""
    top, left = (
        rng.integers(full - side + 1)
        for full, side in zip(images[0].shape, (height, width), strict=False)
    )
    return tuple(image[top : top + height, left : left + width] for image in images)


def cut_enlarged(
    rng: np.random.Generator, zoom: float, *images: Image8, crop_px: int
) -> tuple[Image8, ...]:
    """Cut the same random square out of each of `images` and enlarge it by `zoom` to `crop_px`."""
    side = round(crop_px / zoom)
    return tuple(resize(piece, crop_px, crop_px) for piece in cut(rng, side, side, *images))


def draw_factor(rng: np.random.Generator, largest: float) -> float:
    """Draw a factor from 1 to `largest`, uniform in its logarithm."""
    return math.exp(rng.uniform(0, math.log(largest)))


def stretch(rng: np.random.Generator, layer: Image8, crop_px: int, *, zoom: float = 1.0) -> Floats:
    """Cut a random piece out of a rain layer and stretch it to a square of `crop_px`.

    The piece has 0.7 to 1.4 times `crop_px / zoom` on each side, so that no two crops get the same
    rain. Half of the pieces are mirrored, and half are sheared by up to 14 degrees to either side.
    """
    return stretch_alike(rng, layer, crop_px, zoom=zoom, count=1)[0]


def stretch_alike(
    rng: np.random.Generator, layer: Image8, crop_px: int, *, zoom: float = 1.0, count: int
) -> list[Floats]:
    """Return `count` pieces like `stretch`, stretched, sheared and mirrored in the same way.

    They are cut at different places of the layer: rain of one kind in frames of a clip.
    """
    slope = rng.uniform(-MAX_SHEAR, MAX_SHEAR) if rng.random() < 0.5 else 0.0
    height, width = crop_px / zoom * rng.uniform(0.7, 1.4, 2) * (1, 1 + abs(slope))
    size = min(round(height), layer.shape[0]), min(round(width), layer.shape[1])
    first = cut(rng, *size, layer)[0]
    is_mirrored = rng.random() < 0.5
    pieces = [first, *(cut(rng, *size, layer)[0] for _ in range(count - 1))]
    stretched = []
    for piece in pieces:
        piece = piece[:, ::-1] if is_mirrored else piece
        piece = resize(piece, crop_px, round(crop_px * (1 + abs(slope))), Image.Resampling.BILINEAR)
        stretched.append((shear(piece, crop_px, slope) if slope else piece).astype(np.float32))
    return stretched


def shear(piece: Image8, crop_px: int, slope: float) -> Image8:
    """Shift each row sideways by `slope` times its distance from the first row.

    (crop_px, crop_px * (1 + |slope|)) -> (crop_px, crop_px)
    """
    # Output (x, y) -> input (a x + b y + c, d x + e y + f); c keeps every row inside the piece.
    coefficients = (1, slope, max(0.0, -slope) * crop_px, 0, 1, 0)
    sheared = Image.fromarray(piece).transform(
        (crop_px, crop_px), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR
    )
    return np.asarray(sheared)


def resize(
    image: Image8, height: int, width: int, filter: Image.Resampling = Image.Resampling.BICUBIC
) -> Image8:
    """Return the picture resized, or unchanged if it has that size already."""
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize((width, height), filter))


def jpeg(image: Image8, *, quality: int) -> Image8:
    """Compress and decompress a picture as JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as compressed:
        return np.asarray(compressed.convert("RGB"))


def flip(
    rng: np.random.Generator, rainy: Image8, clean: Image8, *, mirror: bool, transpose: bool
) -> tuple[Image8, Image8]:
    """Mirror both crops at random if `mirror` is set, then transpose them if `transpose` is set."""
    across, down = (
        slice(None, None, int(step)) for step in (rng.choice([1, -1], 2) if mirror else (1, 1))
    )
    axes = (1, 0, 2) if transpose else (0, 1, 2)
    return rainy[down, across].transpose(axes), clean[down, across].transpose(axes)


def to_planes(image: Image8) -> Floats:
    """Convert uint8 (H, W, C) to float32 (C, H, W) in 0..1."""
    channels_first = image.transpose(2, 0, 1)
    return np.ascontiguousarray(channels_first, dtype=np.float32) / np.float32(255)


def jitter_colour(rng: np.random.Generator, rainy: Floats, clean: Floats) -> tuple[Floats, Floats]:
    """Change saturation, contrast and brightness at random, in the same way on both sides.

    float32 (..., 3, H, W) in 0..1, clipped to that range.
    """
    saturation, contrast = np.exp(rng.uniform(np.log([0.4, 0.6]), np.log([2.5, 2.0]))).astype(
        np.float32
    )
    brightness = np.float32(rng.uniform(-0.1, 0.1))

    def change(side: Floats) -> Floats:
        grey = side.mean(axis=-3, keepdims=True)
        saturated = grey + saturation * (side - grey)
        changed: Floats = (saturated - 0.5) * contrast + 0.5 + brightness
        return np.asarray(changed.clip(0, 1), np.float32)

    return change(rainy), change(clean)
