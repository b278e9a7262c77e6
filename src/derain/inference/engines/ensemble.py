"""Self-ensemble: the mean of the results for flips and rotations of the same picture.

Timofte, Rothe and Van Gool, Seven ways to improve example-based single image super resolution,
CVPR 2016, section 3.4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from derain.errors import EngineError
from derain.inference.engines.engine import Engine

COLOURS = 3
"""Channels of the result."""
VIEWS = {4: (0, 2), 8: (0, 2, 1, 3)}
"""Number of views -> quarter turns; each of them is also flipped. Turns of one size are together,
since an engine may prepare for a size."""


class Ensemble:
    """An `Engine` that runs another one for several views of a picture.

    It takes as many times as long, and no more memory per pixel. 8 views are all flips and quarter
    turns. 4 views are the flips only, for a network that has not learned rain from the side.
    """

    def __init__(self, engine: Engine, *, views: int = 8) -> None:
        """Raises EngineError for another number of views than 4 or 8."""
        if views not in VIEWS:
            choices = " or ".join(str(count) for count in VIEWS)
            raise EngineError(f"unknown ensemble of {views} views; choose {choices}")
        self._engine = engine
        self._views = views
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
        for quarter_turns in VIEWS[self._views]:
            for is_flipped in (False, True):
                view = np.rot90(rainy, quarter_turns, axes=(2, 3))
                restored = self._engine(
                    np.ascontiguousarray(view[..., ::-1] if is_flipped else view),
                    one_size=one_size,
                )
                total += np.rot90(
                    restored[..., ::-1] if is_flipped else restored, -quarter_turns, axes=(2, 3)
                )
        return total / np.float32(self._views)
