"""Time: how long a run has trained, and when something is due."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from statistics import median

from lightning_fabric import Fabric

MIN_PAUSE_S, MIN_PAUSE_STEPS = 20.0, 10
"""A step that takes longer than both, in seconds and in median steps, was interrupted."""
MEDIAN_OF, MIN_FOR_MEDIAN = 9, 3
"""Number of recent steps in the median, and the fewest that give one."""


class Clock:
    """Hours of training, without validation, saving and pauses (Ctrl-Z, SIGSTOP, a closed laptop).

    A step that takes far longer than those before it was interrupted, and counts like them.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.began = now()
        self.recent: deque[float] = deque(maxlen=MEDIAN_OF)
        """Seconds of the latest steps."""

    def step(self) -> float:
        """Return the hours of the step that has just ended, since the last one or `resume`."""
        seconds = self.now() - self.began
        # the first step, which compiles, is not typical
        typical = median(self.recent) if len(self.recent) >= MIN_FOR_MEDIAN else seconds
        self.recent.append(seconds)
        if seconds > max(MIN_PAUSE_S, MIN_PAUSE_STEPS * typical):
            seconds = typical
        self.resume()
        return seconds / 3600

    def resume(self) -> None:
        """Exclude the time since the last step."""
        self.began = self.now()


class Every:
    """Something that is due every so many minutes or steps.

    `minutes` None: not by time; 0: always. `steps` 0: not by steps. All processes agree, by the
    clock of the first one.
    """

    def __init__(
        self,
        fabric: Fabric,
        *,
        minutes: float | None = None,
        steps: int = 0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.fabric, self.minutes, self.steps, self.now = fabric, minutes, steps, now
        self.last = now()

    def is_due(self, step: int) -> bool:
        """True if it is due after `step` updates."""
        if self.steps and step % self.steps == 0:
            return True
        if self.minutes is None:
            return False
        elapsed = self.now() - self.last >= 60 * self.minutes
        return bool(self.fabric.broadcast(elapsed)) if self.fabric.world_size > 1 else elapsed

    def restart(self) -> None:
        """Measure the minutes from now on."""
        self.last = self.now()
