"""What a camera that stands still would record without rain, and what moves in front of it.

Rain covers each pixel for a small part of the time, and adds light. Over a second or two, the value
that a pixel has most of the time is therefore its rain-free value; SPA-Data was made from this
observation (Wang et al., CVPR 2019). The estimate here is the shortest half (Rousseeuw and Leroy,
Scandinavian Journal of Statistics 1988).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from derain.data.pairs.pair import Image8

ROWS_AT_ONCE_PX = 40_000
"""Pixels that are sorted at a time, which bounds the memory."""
MAX_SPREAD = 28
"""Range of the shortest half, in levels of 255, above which a pixel has no usual value."""
MIN_DARKER = 9.0
"""Levels of 255 by which a moving thing is darker at least. Rain hardly darkens."""
MIN_BRIGHTER = 12.0
"""Levels of 255 by which a moving thing is brighter at least."""
BROAD_PX, MIN_BRIGHT_SHARE = 15, 0.85
"""Side of a square, and the share of it that a brighter thing covers: streaks are thin."""
NEAR_PX = 5
"""Side of the square of which a share must be darker or unstable: noise is in single pixels."""
MIN_DARK_SHARE = 0.35
GROWTH_PX = 9
"""A mask grows by this much, over the soft edge of a thing and its shadow."""


@dataclass(frozen=True, eq=False)
class StillScene:
    """A scene without rain."""

    clean: Image8
    """(H, W, 3)."""
    is_unstable: NDArray[np.bool_]
    """(H, W): pixels without a usual value, such as moving leaves, water and lamps."""


def estimate_scene(frames: NDArray[np.uint8]) -> StillScene:
    """Estimate the scene behind the rain from frames of a still camera, (T, H, W, 3)."""
    count, height, width, _ = frames.shape
    clean = np.empty((height, width, 3), np.uint8)
    spread = np.empty((height, width), np.uint8)
    rows = max(1, ROWS_AT_ONCE_PX // width)
    for start in range(0, height, rows):
        part = frames[:, start : start + rows].reshape(count, -1)
        middle, half_range = shortest_half(part)
        shape = (-1, width, 3)
        clean[start : start + rows] = middle.reshape(shape)
        spread[start : start + rows] = half_range.reshape(shape).max(axis=2)
    return StillScene(clean, spread > MAX_SPREAD)


def shortest_half(values: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the mean of the shortest interval that holds half of the values, and its length.

    (T, N) -> (N,), (N,). If there are several, the lowest and the highest are averaged.
    """
    ordered = np.sort(values.T, axis=1)
    half = values.shape[0] // 2 + 1
    lengths = ordered[:, half - 1 :] - ordered[:, : ordered.shape[1] - half + 1]
    first = lengths.argmin(axis=1)
    last = lengths.shape[1] - 1 - lengths[:, ::-1].argmin(axis=1)
    sums = np.zeros((len(ordered), ordered.shape[1] + 1), np.int32)
    np.cumsum(ordered, axis=1, out=sums[:, 1:], dtype=np.int32)
    index = np.arange(len(ordered))
    total = sum(sums[index, start + half] - sums[index, start] for start in (first, last))
    mean = np.rint(total / (2 * half))
    return mean.astype(np.uint8), lengths[index, first]


def find_moving(rainy: Image8, scene: StillScene) -> NDArray[np.bool_]:
    """Return where a frame shows something else than the scene and rain, (H, W).

    A moving thing is darker than the scene, or brighter over an area broader than a streak.
    """
    difference = rainy.astype(np.float32).mean(axis=2) - scene.clean.mean(axis=2, dtype=np.float32)
    darker = _is_covered((difference < -MIN_DARKER) | scene.is_unstable, NEAR_PX, MIN_DARK_SHARE)
    brighter = _is_covered(difference > MIN_BRIGHTER, BROAD_PX, MIN_BRIGHT_SHARE)
    return _blurred(darker | brighter, 2 * GROWTH_PX + 1) > 0.5


def without_moving(rainy: Image8, scene: StillScene, mask: NDArray[np.bool_]) -> Image8:
    """Return a frame in which the scene replaces what is masked: both sides then agree there."""
    weight = _blurred(mask, NEAR_PX)[..., None] / 255
    weight = np.where(mask[..., None], 1, weight)
    blend = rainy + weight * (scene.clean.astype(np.float32) - rainy)
    return np.asarray(blend + np.float32(0.5), np.uint8)


def _is_covered(mask: NDArray[np.bool_], side_px: int, min_share: float) -> NDArray[np.bool_]:
    """Return where a mask covers a share of the square around a pixel."""
    return _blurred(mask, side_px) > 255 * min_share


def _blurred(mask: NDArray[np.bool_], side_px: int) -> NDArray[np.float32]:
    """Return how much of the square of `side_px` around a pixel a mask covers, 0 to 255, (H, W)."""
    image = Image.fromarray(mask.astype(np.uint8) * np.uint8(255))
    return np.asarray(image.filter(ImageFilter.BoxBlur(side_px // 2)), np.float32)
