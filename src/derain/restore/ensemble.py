"""Eight looks at one picture: the mean of what the network gives for each flip and rotation of it (self-ensemble).

Timofte, Rothe and Van Gool, Seven ways to improve example-based single image super resolution, CVPR 2016, section 3.4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from derain.restore.engine import Engine


class Ensemble:
    """An `Engine` that asks another one eight times. It takes eight times as long and no more memory for a pixel."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name = engine.name
        self.device = f"{engine.device}, mean of 8 views"
        self.bytes_px = engine.bytes_px

    def __call__(self, rainy: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Engine`."""
        total = np.zeros_like(rainy)
        for quarter_turns in range(4):
            for is_flipped in (False, True):
                view = np.rot90(rainy, quarter_turns, axes=(2, 3))
                restored = self._engine(np.ascontiguousarray(view[..., ::-1] if is_flipped else view))
                total += np.rot90(restored[..., ::-1] if is_flipped else restored, -quarter_turns, axes=(2, 3))
        return total / np.float32(8)
