"""Several looks at one picture: the mean of what the network gives for each flip and rotation of it (self-ensemble).

Timofte, Rothe and Van Gool, Seven ways to improve example-based single image super resolution, CVPR 2016, section 3.4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from derain.errors import EngineError
from derain.inference.engines.engine import Engine

VIEWS = {4: (0, 2), 8: (0, 1, 2, 3)}
"""Quarter turns of an ensemble of so many views; each is also flipped."""


class Ensemble:
    """An `Engine` that asks another one several times. It takes as many times as long and no more memory for a pixel.

    8 views are all flips and quarter turns; 4 are the flips alone, for a network that was never shown rain from the side.
    """

    def __init__(self, engine: Engine, *, views: int = 8) -> None:
        if views not in VIEWS:
            raise EngineError(
                f"an ensemble of {views} views is not known; take {' or '.join(str(count) for count in VIEWS)}"
            )
        self._engine = engine
        self._views = views
        self.name = engine.name
        self.device = f"{engine.device}, mean of {views} views"
        self.precision = engine.precision
        self.bytes_px = engine.bytes_px

    def __call__(self, rainy: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Engine`."""
        total = np.zeros_like(rainy)
        for quarter_turns in VIEWS[self._views]:
            for is_flipped in (False, True):
                view = np.rot90(rainy, quarter_turns, axes=(2, 3))
                restored = self._engine(
                    np.ascontiguousarray(view[..., ::-1] if is_flipped else view)
                )
                total += np.rot90(
                    restored[..., ::-1] if is_flipped else restored, -quarter_turns, axes=(2, 3)
                )
        return total / np.float32(self._views)
