"""What a person sees while clips are restored: a bar with frames a second and time left, and one line for each clip."""

from __future__ import annotations

from collections.abc import Callable

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
from rich.text import Text

from derain.cli.console import Console
from derain.cli.photo_progress import INTERRUPTED
from derain.errors import DerainError
from derain.video.frames import VideoResult
from derain.video.jobs import VideoJob, VideoJobList


class VideoProgress(Console):
    """Tells about one clip after the other on stderr; a `Watcher`."""

    def __init__(self, orders: VideoJobList, *, is_quiet: bool) -> None:
        super().__init__(is_quiet=is_quiet)
        self._exit_code = 0
        columns = (BarColumn(), _Count(), _Rate(), TimeRemainingColumn())
        self._bar = Progress(
            *columns,
            console=self.console,
            disable=is_quiet or not self.console.is_terminal,
            transient=True,
        )
        for text in orders.problems:
            self.complain(text)
        facts = [f"{orders.already_there} already there"] if orders.already_there else []
        facts += (
            [f"{orders.results} left alone that are called as results are"]
            if orders.results
            else []
        )
        if facts:
            self.say(", ".join(facts))

    def show(self, order: VideoJob, carry_out: Callable[[], VideoResult]) -> None:
        """Carry out one order under a bar of its own, and tell how it ended; nothing after Ctrl-C."""
        if self._exit_code == INTERRUPTED:
            return
        self._task = self._bar.add_task("", total=None)
        try:
            with self._bar:
                tally = carry_out()
        except DerainError as error:
            self.complain(str(error))
            return
        finally:
            self._bar.remove_task(self._task)
        if tally.was_interrupted:
            self._exit_code = INTERRUPTED
        self.say(_sentence(order, tally))
        for problem in tally.problems:
            self.complain(problem)
        for note in tally.notes:
            self.say(f"  {note}")

    def begin(self, frames: int | None) -> None:
        """See `Watcher`."""
        self._bar.update(self._task, total=frames)

    def advance(self) -> None:
        """See `Watcher`."""
        self._bar.advance(self._task)

    def complain(self, text: str) -> None:
        """Print a problem, always; the exit code tells of it."""
        super().complain(text)
        self._exit_code = self._exit_code or 1

    def close(self) -> int:
        """The exit code: 0, 1 if anything failed, 130 after Ctrl-C."""
        return self._exit_code


def _sentence(order: VideoJob, tally: VideoResult) -> str:
    where = "standard output" if order.is_pipe else order.target
    rate = tally.frames / tally.seconds if tally.seconds else 0.0
    other = 1 - tally.network_seconds / tally.seconds if tally.seconds else 0.0
    speed = f"{rate:.3g} frames a second, {other:.1%} of the time not the network's"
    facts = [f"{where}: {tally.frames} frames in {tally.seconds:.1f} s ({speed})"]
    if tally.flicker is not None:
        facts.append(
            "flicker {:.2f} before and {:.2f} after the temporal step".format(*tally.flicker)
        )
    facts += ["interrupted"] if tally.was_interrupted else []
    return ", ".join(facts)


class _Count(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.completed:.0f}/{'?' if task.total is None else f'{task.total:.0f}'}")


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f} frames a second" if task.speed else "")
