"""What a person sees of a run: one line on a terminal, one line a minute in a log file."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

from rich.console import Console

from derain.train.recipe import Recipe
from derain.train.state import State

PLAIN_EVERY_S, LIVE_EVERY_S = 60.0, 0.5


class _Reader(Console):
    """Standard error, as long as anybody reads it: a run goes on without."""

    def on_broken_pipe(self) -> None:
        self.quiet = True

    def tell(self, line: str, *, end: str = "\n") -> None:
        try:
            self.print(line, end=end, highlight=False)
        except OSError:  # a log file on a full disk
            self.quiet = True


class Progress:
    """Shows the step, the loss, patches per second and the time left. Silent unless `enabled`."""

    def __init__(self, recipe: Recipe, *, enabled: bool) -> None:
        self.recipe, self.enabled = recipe, enabled
        self.console = _Reader(stderr=True)
        self.every_s = LIVE_EVERY_S if self.console.is_terminal else PLAIN_EVERY_S
        self.last: tuple[float, int, float] | None = None
        self.loss = 0.0

    def show(self, state: State, loss: float | None) -> None:
        """Called after each step, with the generator's loss if it was updated."""
        if not self.enabled:
            return
        if loss is not None:
            self.loss = loss if self.last is None else 0.98 * self.loss + 0.02 * loss
        now = time.monotonic()
        if self.last is None:
            self.last = (now, state.step, state.hours)
        elif now - self.last[0] >= self.every_s:
            line = self._line(
                state, hours=state.hours - self.last[2], steps=state.step - self.last[1]
            )
            self.console.tell(line, end="\r" if self.console.is_terminal else "\n")
            self.last = (now, state.step, state.hours)

    def end(self, state: State, reason: str, *, folder: Path) -> None:
        """The last line of a run."""
        if not self.enabled:
            return
        self.console.tell(
            f"{reason}: step {state.step}, {state.hours:.2f} hours; state and weights are in {folder}"
        )
        measured = state.card.get("step")
        at = "" if measured == state.step else f" at step {measured}"
        for name, (psnr, ssim) in state.card.get("validation", {}).items():
            self.console.tell(f"  {name}{at}: {psnr:.2f} dB, {ssim:.4f}")

    def _line(self, state: State, *, hours: float, steps: int) -> str:
        length, rate = self.recipe.length, steps / max(hours * 3600, 1e-9)
        left = [(length.steps - state.step) / max(rate, 1e-9)] if length.steps else []
        left += [(length.hours - state.hours) * 3600] if length.hours else []
        remaining = timedelta(seconds=round(max(min(left), 0)))
        patches = rate * self.recipe.optimiser.batch
        clock = time.strftime("%H:%M:%S")
        return f"{clock} step {state.step}  loss {self.loss:.4f}  {patches:.2f} patches/s  {remaining} left"
