"""How long a run has trained: not while it validated, saved or was stopped (Ctrl-Z, `kill -STOP`, a closed laptop)."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from statistics import median

PAUSE_S, PAUSE_STEPS = (
    20.0,
    10,
)  # what takes longer than so many seconds and so many usual steps is no step
LAST_STEPS, LEAST_STEPS = 9, 3


class Clock:
    """Measures each step; one that takes far longer than those before it was interrupted, and counts as they do."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.began = now()
        self.last: deque[float] = deque(maxlen=LAST_STEPS)
        """Seconds that the last steps took."""

    def step(self) -> float:
        """Called after each step: the hours that it took, since the last one or since `resume`."""
        took = self.now() - self.began
        usual = (
            median(self.last) if len(self.last) >= LEAST_STEPS else took
        )  # the first one, which compiles, is not usual
        self.last.append(took)
        if took > max(PAUSE_S, PAUSE_STEPS * usual):
            took = usual
        self.resume()
        return took / 3600

    def resume(self) -> None:
        """What has been done since the last step was no training."""
        self.began = self.now()
