"""Less flicker: what the network leaves of a place that stands still is made to agree from frame to frame.

A network that sees one frame at a time takes a little more of a wall away here and a little less there, and the wall shimmers.
Where restored neighbours differ by no more than such a shimmer, each restored pixel becomes their weighted mean; where they
differ by more, something moves, and nothing is done. What changes is the layer of rain that is taken out of a frame, and no pixel
by more than SHIMMER.
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
"""Frames before and after that are asked."""
MAX_FLICKER = 12
"""Levels of 255 by which still places differ at most; above it a difference counts as motion."""
NEAR_PX = 4
"""A difference is judged with those around it, so that a moving edge is not taken for still where it crosses its like."""
LEVELS = np.arange(256)
TRUST = (np.clip(1 - (LEVELS / MAX_FLICKER) ** 2, 0, 1) ** 2).astype(np.float32)
"""Weight of a neighbour by its difference: Tukey's biweight, which ends at SHIMMER."""


@dataclass(frozen=True, eq=False)
class Restored:
    """A frame before and after the network, and what belongs to it on its way."""

    rainy: Pixels
    restored: Pixels
    tag: Any


@dataclass(frozen=True, eq=False)
class _Seen:
    """A frame in the window."""

    frame: Restored
    trusts: list[NDArray[np.float32]]
    """How far each of the frames before it is trusted, the nearest first."""


def stabilise(frames: Iterable[Restored], *, before: Flicker, after: Flicker) -> Iterator[Restored]:
    """The same frames in the same order, with less flicker; REACH of them late. Frames of another size begin anew.

    `before` and `after` are shown every frame as the network gave it, and as it goes on.
    """
    window: deque[_Seen] = deque()
    middle = 0
    for frame in frames:
        before.see(frame.restored)
        if window and window[-1].frame.restored.shape != frame.restored.shape:
            yield from _rest(window, middle, after)
            window.clear()
            middle = 0
        earlier = [seen.frame.restored for seen in reversed(window)][:REACH]
        window.append(_Seen(frame, [stillness(frame.restored, other) for other in earlier]))
        if len(window) > middle + REACH:
            yield _steadied(window, middle, after)
            if middle == REACH:
                window.popleft()
            else:
                middle += 1
    yield from _rest(window, middle, after)


def _rest(window: deque[_Seen], middle: int, after: Flicker) -> Iterator[Restored]:
    for index in range(middle, len(window)):
        yield _steadied(window, index, after)


def _steadied(window: deque[_Seen], middle: int, after: Flicker) -> Restored:
    frame = window[middle].frame
    others = []
    for index in range(max(middle - REACH, 0), min(middle + REACH + 1, len(window))):
        if index != middle:  # a pair is compared once: when the later of the two came
            trusts = window[max(index, middle)].trusts
            others.append((window[index].frame.restored, trusts[abs(index - middle) - 1]))
    steady = weighted_mean(frame.restored, others)
    after.see(steady)
    return replace(frame, restored=steady)


def weighted_mean(image: Pixels, others: Iterable[tuple[Pixels, NDArray[np.float32]]]) -> Pixels:
    """(H, W) or (H, W, 3) -> the same: its mean with others, which have weights of their own, (H, W), beside its 1."""
    total = image.astype(np.float32)
    weights = np.ones(image.shape[:2], np.float32)
    for other, weight in others:
        weights += weight
        total += (weight if image.ndim == 2 else weight[..., None]) * other
    total /= weights if image.ndim == 2 else weights[..., None]
    return (total + np.float32(0.5)).astype(image.dtype)


def stillness(one: Pixels, two: Pixels) -> NDArray[np.float32]:
    """(H, W), 1 where two frames are alike, 0 where a pixel, or twice the mean around it, differs by SHIMMER or more."""
    apart = np.maximum(one, two) - np.minimum(one, two)
    if apart.dtype == np.uint16:
        apart = (apart >> 8) + (apart >> 7 & 1)  # to levels of 255, rounded
    levels = np.minimum(apart if apart.ndim == 2 else apart.max(axis=2), 255).astype(np.uint8)
    around = np.asarray(Image.fromarray(levels).filter(ImageFilter.BoxBlur(NEAR_PX)))
    trusted: NDArray[np.float32] = TRUST[
        np.maximum(levels, np.minimum(around.astype(np.uint16) * 2, 255))
    ]
    return trusted
