"""The progress of a run: one line on a terminal, one line a minute in a log file."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

from rich.console import Console

from derain.train.recipe import Recipe
from derain.train.state import State

PLAIN_EVERY_S, LIVE_EVERY_S = 60.0, 0.5


class _Terminal(Console):
    """Standard error. It turns quiet when it cannot be written; the run continues."""

    def on_broken_pipe(self) -> None:
        self.quiet = True

    def show(self, line: str, *, end: str = "\n") -> None:
        try:
            self.print(line, end=end, highlight=False)
        except OSError:  # a log file on a full disk
            self.quiet = True


class Progress:
    """Shows the step, the loss, patches per second and the remaining time, if `enabled`."""

    def __init__(self, recipe: Recipe, *, enabled: bool) -> None:
        self.recipe, self.enabled = recipe, enabled
        self.console = _Terminal(stderr=True)
        self.every_s = LIVE_EVERY_S if self.console.is_terminal else PLAIN_EVERY_S
        self.last: tuple[float, int, float] | None = None
        """Time, step and hours of the last line."""
        self.loss = 0.0

    def show(self, state: State, loss: float | None) -> None:
        """Show the state after a step, with the generator's loss if it was updated."""
        if not self.enabled:
            return
        if loss is not None:
            self.loss = loss if self.last is None else 0.98 * self.loss + 0.02 * loss
        now = time.monotonic()
        if self.last is None:
            self.last = (now, state.step, state.hours)
            return
        shown_at, step, hours = self.last
        if now - shown_at >= self.every_s:
            line = self._line(state, hours=state.hours - hours, steps=state.step - step)
            self.console.show(line, end="\r" if self.console.is_terminal else "\n")
            self.last = (now, state.step, state.hours)

    def end(self, state: State, reason: str, *, folder: Path) -> None:
        """Show the last lines of a run."""
        if not self.enabled:
            return
        self.console.show(
            f"{reason}: step {state.step}, {state.hours:.2f} hours; "
            f"checkpoint and weights are in {folder}"
        )
        validated = state.card.get("step")
        at = "" if validated == state.step else f" at step {validated}"
        for name, (psnr, ssim) in state.card.get("validation", {}).items():
            self.console.show(f"  {name}{at}: {psnr:.2f} dB, {ssim:.4f}")

    def _line(self, state: State, *, hours: float, steps: int) -> str:
        length, rate = self.recipe.length, steps / max(hours * 3600, 1e-9)
        remaining_s = [(length.steps - state.step) / max(rate, 1e-9)] if length.steps else []
        remaining_s += [(length.hours - state.hours) * 3600] if length.hours else []
        remaining = timedelta(seconds=round(max(min(remaining_s), 0)))
        patches = rate * self.recipe.optimiser.batch
        clock = time.strftime("%H:%M:%S")
        return (
            f"{clock} step {state.step}  loss {self.loss:.4f}  {patches:.2f} patches/s  "
            f"{remaining} left"
        )
