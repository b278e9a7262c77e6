"""The temporal filter against flicker.

A network that sees one frame at a time removes slightly different amounts in each frame, and still
areas flicker. Where restored neighbours differ by no more than such flicker, each restored pixel
becomes their weighted mean. Where they differ by more, something moves, and the pixel is kept. The
filter changes the estimated rain layer of a frame, and no pixel by more than MAX_FLICKER.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from derain.pictures import Pixels
from derain.video.flicker import Flicker

REACH = 2
"""Number of frames used before and after each frame."""
MAX_FLICKER = 12
"""Largest difference of a still area, in levels of 255; a larger one counts as motion."""
BLUR_RADIUS_PX = 4
"""Radius of the mean difference, which stops a moving edge from passing as still."""
DIFFERENCES = np.arange(256)
STILLNESS = (np.clip(1 - (DIFFERENCES / MAX_FLICKER) ** 2, 0, 1) ** 2).astype(np.float32)
"""Weight of a neighbour by its difference: Tukey's biweight, 0 from MAX_FLICKER."""


@dataclass(frozen=True, eq=False)
class Restored:
    """A frame before and after the network, with a tag that travels along."""

    rainy: Pixels
    restored: Pixels
    tag: Any


@dataclass(frozen=True, eq=False)
class _Entry:
    """A frame in the window."""

    frame: Restored
    weights: list[NDArray[np.float32]]
    """Stillness against each earlier frame, the nearest first."""


def stabilise(frames: Iterable[Restored], *, before: Flicker, after: Flicker) -> Iterator[Restored]:
    """Yield the same frames with less flicker, in order, REACH frames late.

    The filter restarts when the size of the frames changes. `before` and `after` measure the
    flicker of its input and output.
    """
    window: deque[_Entry] = deque()
    middle = 0
    for frame in frames:
        before.add(frame.restored)
        if window and window[-1].frame.restored.shape != frame.restored.shape:
            yield from _flush(window, middle, after)
            window.clear()
            middle = 0
        earlier = [entry.frame.restored for entry in reversed(window)][:REACH]
        weights = [stillness(frame.restored, neighbour) for neighbour in earlier]
        window.append(_Entry(frame, weights))
        if len(window) > middle + REACH:
            yield _stabilise_one(window, middle, after)
            if middle == REACH:
                window.popleft()
            else:
                middle += 1
    yield from _flush(window, middle, after)


def _flush(window: deque[_Entry], middle: int, after: Flicker) -> Iterator[Restored]:
    for index in range(middle, len(window)):
        yield _stabilise_one(window, index, after)


def _stabilise_one(window: deque[_Entry], middle: int, after: Flicker) -> Restored:
    frame = window[middle].frame
    neighbours = []
    for index in range(max(middle - REACH, 0), min(middle + REACH + 1, len(window))):
        if index != middle:  # each pair is compared once, when its later frame arrives
            weights = window[max(index, middle)].weights
            neighbours.append((window[index].frame.restored, weights[abs(index - middle) - 1]))
    stable = weighted_mean(frame.restored, neighbours)
    after.add(stable)
    return replace(frame, restored=stable)


def weighted_mean(
    image: Pixels, neighbours: Iterable[tuple[Pixels, NDArray[np.float32]]]
) -> Pixels:
    """Return the mean of an image, with weight 1, and its neighbours, with weights (H, W).

    Images and the result are (H, W) or (H, W, 3).
    """
    total = image.astype(np.float32)
    weights = np.ones(image.shape[:2], np.float32)
    for neighbour, weight in neighbours:
        weights += weight
        total += (weight if image.ndim == 2 else weight[..., None]) * neighbour
    total /= weights if image.ndim == 2 else weights[..., None]
    return (total + np.float32(0.5)).astype(image.dtype)


def stillness(first: Pixels, second: Pixels) -> NDArray[np.float32]:
    """Return (H, W): 1 where two frames are equal, falling to 0 at a difference of MAX_FLICKER.

    The difference of a pixel counts, or twice the mean difference around it if that is larger.
    """
    difference = np.maximum(first, second) - np.minimum(first, second)
    if difference.dtype == np.uint16:
        difference = (difference >> 8) + (difference >> 7 & 1)  # to levels of 255, rounded
    levels = difference if difference.ndim == 2 else difference.max(axis=2)
    levels = np.minimum(levels, 255).astype(np.uint8)
    blurred = np.asarray(Image.fromarray(levels).filter(ImageFilter.BoxBlur(BLUR_RADIUS_PX)))
    doubled = np.minimum(blurred.astype(np.uint16) * 2, 255)
    weights: NDArray[np.float32] = STILLNESS[np.maximum(levels, doubled)]
    return weights
