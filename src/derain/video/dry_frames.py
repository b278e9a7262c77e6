"""Frames without rain, which are recognised at half their size and left as they are."""

from __future__ import annotations

import copy
from functools import cached_property

import numpy as np
from PIL import Image

from derain.inference.clip_restorer import ClipRestorer
from derain.motion import Window
from derain.pictures import Pixels

MAX_CHANGE = 2.0
"""Levels of 255. A network that changes no block by more on average sees no rain in it."""
BLOCK_PX = 8
"""Side of a block."""
MIN_SIDE_PX = 64
"""Smaller frames are always restored."""


class DryFrames:
    """Restores frames in order, and leaves those without rain as they are.

    After a frame that the network hardly changes, the next one is restored at half its size first,
    which takes a quarter of the time. If that hardly changes it, either, the frame itself is the
    result. In rain, nothing is done twice.
    """

    def __init__(self, restorer: ClipRestorer) -> None:
        self._restorer = restorer
        self._is_dry = False
        """The last frame was dry."""

    def restore(self, window: Window[object]) -> Pixels:
        """Return the restored frame, or the frame itself if it is dry. Raises EngineError."""
        frame = window.image
        if self._is_dry and min(frame.shape[:2]) >= MIN_SIDE_PX:
            small = [halved(image) for image in (frame, window.before, window.after)]
            if change(small[0], self._at_half_size.restore_frame(*small)) < MAX_CHANGE:
                return frame
        restored = self._restorer.restore_frame(frame, window.before, window.after)
        self._is_dry = change(frame, restored) < MAX_CHANGE
        return restored

    @cached_property
    def _at_half_size(self) -> ClipRestorer:
        """The same network once more: it is compiled for one size of the frame."""
        return copy.copy(self._restorer)


def halved(image: Pixels) -> Pixels:
    """Return a frame, (H, W) or (H, W, 3), at half its size, rounded up."""
    if image.dtype == np.uint8:
        return np.asarray(Image.fromarray(image).reduce(2))
    odd = [(0, side % 2) for side in image.shape[:2]] + [(0, 0)] * (image.ndim - 2)
    even = np.pad(image, odd, mode="edge").astype(np.uint32)
    total = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
    return ((total + 2) // 4).astype(image.dtype)


def change(frame: Pixels, restored: Pixels) -> float:
    """Return the largest mean difference of a block, in levels of 255; the channels are averaged.

    Blocks at the right and the lower border may be smaller.
    """
    scale = 255 / np.iinfo(frame.dtype).max
    difference = np.abs(restored.astype(np.float32) - frame) * np.float32(scale)
    if difference.ndim == 3:
        difference = difference.mean(axis=2)
    return float(np.asarray(Image.fromarray(difference).reduce(BLOCK_PX)).max())
