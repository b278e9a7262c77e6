"""Progress of `derain evaluate`: a bar on a terminal, otherwise a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable

from derain.cli.console import plain_console
from derain.cli.progress_bar import ProgressBar

INTERVAL_S = 30.0
"""Time between two lines where stderr is not a terminal."""


class EvaluationProgress:
    """Reports scored pictures on stderr; `bar` is a context manager around the run."""

    def __init__(self, total: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._total, self._done = total, 0
        self._console = plain_console(stderr=True)
        self.bar = ProgressBar("pictures", console=self._console, is_quiet=False)
        self.bar.restart(total)
        self._clock = clock
        self._start = self._last_line = clock()

    def advance(self) -> None:
        """Count one picture."""
        self.bar.advance()
        self._done += 1
        now = self._clock()
        if self._console.is_terminal or now - self._last_line < INTERVAL_S:
            return
        self._last_line = now
        left_s = (now - self._start) / self._done * (self._total - self._done)
        self._console.print(
            f"{self._done} of {self._total} pictures scored, {format_duration(left_s)} left"
        )


def format_duration(seconds: float) -> str:
    """Return 45 s, 12 min or 3 h 5 min."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
