"""Self-ensemble: the mean of the results for flips of the same picture.

Timofte, Rothe and Van Gool, Seven ways to improve example-based single image super resolution,
CVPR 2016, section 3.4. Its quarter turns are left out: they show the network rain from the side,
which the training data do not have.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from derain.errors import EngineError
from derain.inference.engines.engine import Engine

COLOURS = 3
"""Channels of the result."""
FLIPS: tuple[tuple[int, ...], ...] = ((), (3,), (2,), (2, 3))
"""The flipped axes of each view, (N, C, H, W)."""


class Ensemble:
    """An `Engine` that runs another one for the four flips of a picture.

    It takes four times as long, and no more memory per pixel.
    """

    def __init__(self, engine: Engine, *, views: int = len(FLIPS)) -> None:
        """Raises EngineError for another number of views than 4."""
        if views != len(FLIPS):
            raise EngineError(f"unknown ensemble of {views} views; choose 1 or {len(FLIPS)}")
        self._engine = engine
        self.name = engine.name
        self.device = f"{engine.device}, mean of {views} views"
        self.precision = engine.precision
        self.bytes_per_px = engine.bytes_per_px
        self.one_size_bytes_per_px = engine.one_size_bytes_per_px

    def __call__(
        self, rainy: NDArray[np.float32], *, one_size: bool = False
    ) -> NDArray[np.float32]:
        """See `Engine`."""
        count, _, height, width = rainy.shape
        total = np.zeros((count, COLOURS, height, width), np.float32)  # a window has more channels
        for axes in FLIPS:
            view = np.ascontiguousarray(np.flip(rainy, axes))
            total += np.flip(self._engine(view, one_size=one_size), axes)
        return total / np.float32(len(FLIPS))
