"""One progress bar for photos and clips."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
from rich.text import Text


class ProgressBar:
    """A bar with the count, the rate and the time left; a context manager around the work."""

    def __init__(self, unit: str, *, console: Console, is_quiet: bool) -> None:
        """`unit` is what is counted, in the plural."""
        columns = (BarColumn(), _Count(), _Rate(unit), TimeRemainingColumn())
        # a bar in a log file is noise
        is_hidden = is_quiet or not console.is_terminal
        self._bar = Progress(*columns, console=console, disable=is_hidden, transient=True)
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> None:
        self._bar.start()

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def restart(self, total: float | None) -> None:
        """Set the count to 0 of `total`; None means that the total is unknown."""
        self._bar.remove_task(self._task)
        self._task = self._bar.add_task("", total=total)

    def advance(self, amount: float = 1.0) -> None:
        """Add to the count."""
        self._bar.advance(self._task, amount)


class _Count(ProgressColumn):
    def render(self, task: Task) -> Text:
        # fractions of a picture add up to slightly less than one
        total = "?" if task.total is None else f"{task.total:.0f}"
        return Text(f"{int(task.completed + 1e-6)}/{total}")


class _Rate(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        if not task.speed:
            return Text("")
        rate = f"{task.speed:.1f} {self._unit}/s"
        return Text(rate if task.speed >= 1 else f"{task.speed * 60:.1f} {self._unit}/min")
