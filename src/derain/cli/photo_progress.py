"""What a person sees while a batch runs: a bar with rate and time left, the problems, and one line at the end."""

from __future__ import annotations

from types import TracebackType

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
from rich.text import Text

from derain.cli.console import Console
from derain.photos.jobs import JobList
from derain.photos.summary import Summary
from derain.photos.worker import PhotoResult

INTERRUPTED = 130
"""The exit code of a shell command that Ctrl-C ended."""


class PhotoProgress(Console):
    """Tells about one batch on stderr; a context manager around the run of it."""

    def __init__(self, errands: JobList, *, is_quiet: bool) -> None:
        super().__init__(is_quiet=is_quiet)
        self.errands = errands
        columns = (BarColumn(), _Count(), _Rate(), TimeRemainingColumn())
        # a bar in a log file is noise
        self._bar = Progress(
            *columns,
            console=self.console,
            disable=is_quiet or not self.console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("", total=len(errands.todo))
        for _, text in errands.problems:
            self.complain(text)

    def __enter__(self) -> None:
        self._bar.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def report_omissions(self, record: PhotoResult) -> None:
        """Print what of a picture could not be kept."""
        for text in record.omissions:
            self.say(f"{record.source}: {text}")

    def advance(self, share: float) -> None:
        """Move the bar by a share of one picture."""
        self._bar.advance(self._task, share)

    def close(self, summary: Summary) -> int:
        """Print the summary and return the exit code: 0, 1 if anything failed, 130 after Ctrl-C."""
        self.say(str(summary))
        return INTERRUPTED if summary.interrupted else int(summary.failed > 0)


class _Count(ProgressColumn):
    def render(self, task: Task) -> Text:
        # shares of a picture add up to a hair less than one
        return Text(f"{int(task.completed + 1e-6)}/{task.total or 0:.0f}")


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed * 60:.1f} pictures a minute" if task.speed else "")
