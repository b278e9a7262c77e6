"""Frames without rain, which are recognised at half their size and left as they are."""

from __future__ import annotations

import copy
import math
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derain.inference.clip_restorer import ClipRestorer
from derain.motion import Window
from derain.pictures import Pixels

MAX_CHANGE, MAX_LOCAL_CHANGE = 1.5, 4.0
"""Levels of 255. A frame is dry if the network changes 99 % of its blocks by less than the first,
and all by less than the second: rain is everywhere, an error of the network is not."""
PAUSE_FRAMES = 25
"""Frames that are restored, from one in which a look finds rain to the next look."""
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
        self._pause = 1
        """Frames to restore before the next look at half the size, unless one shows rain."""

    def restore(self, window: Window[object]) -> Pixels:
        """Return the restored frame, or the frame itself if it is dry. Raises EngineError."""
        frame = window.image
        if not self._pause and min(frame.shape[:2]) >= MIN_SIDE_PX:
            small = [halved(image) for image in (frame, window.before, window.after)]
            if is_unchanged(small[0], self._at_half_size.restore_frame(*small)):
                return frame
            self._pause = PAUSE_FRAMES
        restored = self._restorer.restore_frame(frame, window.before, window.after)
        self._pause = max(self._pause - 1, 0 if is_unchanged(frame, restored) else 1)
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


def is_unchanged(frame: Pixels, restored: Pixels) -> bool:
    """True if the network, whose result is `restored`, saw no rain in a frame."""
    blocks = changes(frame, restored)
    return float(np.percentile(blocks, 99)) < MAX_CHANGE and float(blocks.max()) < MAX_LOCAL_CHANGE


def changes(frame: Pixels, restored: Pixels) -> NDArray[np.float32]:
    """Return the mean difference of each block, in levels of 255; the channels are averaged.

    Blocks at the right and the lower border may be smaller.
    """
    scale = np.float32(255 / np.iinfo(frame.dtype).max)
    difference = np.abs(restored.astype(np.float32) - frame) * scale
    channels = math.prod(frame.shape[2:])
    # the channels lie side by side in a row, so that a block of it holds those of its pixels
    rows = Image.fromarray(difference.reshape(len(frame), -1))
    return np.asarray(rows.reduce((BLOCK_PX * channels, BLOCK_PX)))
