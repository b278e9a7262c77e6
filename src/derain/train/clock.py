"""How long a run has trained: not while it validated, saved or was stopped (Ctrl-Z, `kill -STOP`, a closed laptop)."""

from __future__ import annotations

import time
from collections.abc import Callable

PAUSE_S, PAUSE_STEPS = 20.0, 10  # what takes longer than both is no step


class Clock:
    """Measures each step; one that takes far longer than those before it was interrupted, and counts as they do."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.began = now()
        self.usual = 0.0  # seconds of a step, averaged over the last ones

    def step(self) -> float:
        """Called after each step: the hours that it took, since the last one or since `resume`."""
        took = self.now() - self.began
        usual = self.usual or took
        self.usual = 0.9 * usual + 0.1 * min(took, PAUSE_STEPS * usual)
        if took > max(PAUSE_S, PAUSE_STEPS * usual):
            took = usual
        self.resume()
        return took / 3600

    def resume(self) -> None:
        """What has been done since the last step was no training."""
        self.began = self.now()
