"""A measure of flicker."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from derain.pictures import Pixels


class Flicker:
    """Mean distance of a pixel from the mean of itself one frame before and one after.

    It is in levels of 255. A steady change of brightness and uniform motion do not count. Two
    frames are kept in memory.
    """

    def __init__(self) -> None:
        self._last: deque[NDArray[np.float32]] = deque(maxlen=2)
        self._sum = 0.0
        self._count = 0

    def add(self, frame: Pixels) -> None:
        """Add the next frame, (H, W) or (H, W, 3)."""
        levels = frame.astype(np.float32) * np.float32(255 / np.iinfo(frame.dtype).max)
        if self._last and self._last[-1].shape != levels.shape:
            self._last.clear()
        if len(self._last) == 2:
            self._sum += float(np.abs(self._last[1] - (self._last[0] + levels) / 2).mean())
            self._count += 1
        self._last.append(levels)

    @property
    def levels(self) -> float:
        """The figure so far; 0 for fewer than three frames."""
        return self._sum / self._count if self._count else 0.0
