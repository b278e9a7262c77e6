"""Pictures with structure at all scales, seen by a moving camera."""

from __future__ import annotations

import numpy as np
from PIL import Image

SIZE = (160, 120)


def scene(seed: int = 0, size: tuple[int, int] = (240, 200)) -> Image.Image:
    """Return a random picture (width, height): patches of all sizes, and a fine texture."""
    rng = np.random.default_rng(seed)
    levels = np.zeros((size[1], size[0], 3))
    for cell_px in (64, 32, 16, 8, 4):
        cells = rng.uniform(0, 255, (-(-size[1] // cell_px), -(-size[0] // cell_px), 3))
        patches = Image.fromarray(cells.astype(np.uint8)).resize(
            (cells.shape[1] * cell_px, cells.shape[0] * cell_px), Image.Resampling.BICUBIC
        )
        levels += np.asarray(patches, float)[: size[1], : size[0]] / 5
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def view(
    picture: Image.Image,
    x: float = 0.0,
    y: float = 0.0,
    *,
    turn_deg: float = 0.0,
    zoom: float = 1.0,
    size: tuple[int, int] = SIZE,
) -> np.ndarray:
    """Return the picture around its middle, (H, W, 3), by a camera that moved by (x, y) pixels."""
    angle = np.radians(turn_deg)
    cosine, sine = np.cos(angle) / zoom, np.sin(angle) / zoom
    middle = np.array(picture.size) / 2 + (x, y)
    linear = np.array([[cosine, -sine], [sine, cosine]])
    offset = middle - linear @ (np.array(size) / 2)
    coefficients = (*linear[0], offset[0], *linear[1], offset[1])
    seen = picture.transform(size, Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC)
    return np.asarray(seen)
