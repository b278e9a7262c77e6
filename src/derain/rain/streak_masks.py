"""Streak masks: pictures of rain streaks, grey on black, from which styles of rain are made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from derain.errors import DerainError
from derain.rain.filters import Floats, component_areas, otsu_threshold, resize
from derain.rain.render import REFERENCE_PX


class StreakMasks:
    """Streak masks, uint8 (H, W), grey on black. The areas of their streaks are cached."""

    def __init__(self, images: Sequence[NDArray[np.uint8]] = ()) -> None:
        self.images = images
        self._areas: dict[int, NDArray[np.uint16]] = {}

    def __len__(self) -> int:
        return len(self.images)

    def image(self, index: int) -> Floats:
        """Return a mask as float32 (H, W) in 0..1. Raises DerainError for one of another kind."""
        mask = self.images[index]
        if mask.dtype != np.uint8 or mask.ndim != 2:
            raise DerainError(
                f"streak masks are uint8 (height, width), not {mask.dtype} {mask.shape}; "
                "convert them first"
            )
        return mask.astype(np.float32) / np.float32(255)

    def areas(self, index: int) -> NDArray[np.uint16]:
        """Return the area of the streak of each pixel, (H, W); 0 where there is none."""
        if index not in self._areas:
            image = self.image(index)
            areas = component_areas(image > otsu_threshold(image))
            self._areas[index] = np.minimum(areas, 65535).astype(np.uint16)
        return self._areas[index]


def fitting_zoom(mask: Floats) -> float:
    """Return the factor at which a mask covers a picture of 400 x 400 pixels."""
    return REFERENCE_PX / float(np.sqrt(mask.size))


def draw_streaks(
    rng: np.random.Generator, masks: StreakMasks, minimum: int, maximum: int
) -> Floats:
    """Draw a mask and keep streaks of `minimum` to `maximum` pixels when enlarged fourfold."""
    index = int(rng.integers(len(masks)))
    areas = masks.areas(index).astype(np.int64) * 16
    return np.where((areas > minimum) & (areas <= maximum), masks.image(index), np.float32(0))


def crop_mask(
    rng: np.random.Generator, mask: Floats, height: int, width: int, *, zoom: float
) -> Floats:
    """Cut a random piece out of a mask and enlarge it by `zoom`, or more if the mask is small."""
    rows, columns = (
        max(1, min(round(side / zoom), size))
        for side, size in zip((height, width), mask.shape, strict=True)
    )
    top = int(rng.integers(mask.shape[0] - rows + 1))
    left = int(rng.integers(mask.shape[1] - columns + 1))
    piece = np.ascontiguousarray(mask[top : top + rows, left : left + columns])
    return np.maximum(resize(piece, height, width), 0)


def change_mask(rng: np.random.Generator, mask: Floats) -> Floats:
    """Mirror, shear or enlarge a mask, at random."""
    operation = int(rng.integers(3))
    if operation == 0:
        return np.ascontiguousarray(mask[:, ::-1])
    if operation == 1:
        slope = rng.uniform(-0.3, 0.3)
        rows = np.arange(mask.shape[0])[:, None]
        columns = np.arange(mask.shape[1])[None] + np.rint(slope * rows).astype(np.int64)
        return np.asarray(mask[rows, columns % mask.shape[1]])
    height, width = mask.shape
    return crop_mask(rng, mask, height, width, zoom=float(rng.uniform(1.0, 2.0)))
