"""The user's view of a batch of photos: a progress bar, the problems and a final summary line."""

from __future__ import annotations

from collections.abc import Sequence

from derain.cli.console import Console
from derain.cli.exit_codes import ExitCode
from derain.cli.progress_bar import ProgressBar
from derain.photos.jobs import JobList
from derain.photos.summary import Summary
from derain.photos.worker import PhotoResult


class BatchProgress(Console):
    """Reports pictures on stderr; `bar` is a context manager around the run."""

    def __init__(self, *, is_quiet: bool) -> None:
        super().__init__(is_quiet=is_quiet)
        self.bar = ProgressBar("pictures", console=self.console, is_quiet=is_quiet)
        self._written = ""

    def finish(self, summary: Summary, report_problems: Sequence[str]) -> ExitCode:
        """Print the problems of the reports and the summary, and return the exit code.

        The summary begins with the name of a single result.
        """
        for problem in report_problems:
            self.error(problem)
        self.info(f"{self._written}{summary}")
        return ExitCode.of_run(
            has_failures=summary.failed > 0 or bool(report_problems),
            is_interrupted=summary.was_interrupted,
        )


class PhotoProgress(BatchProgress):
    """Reports one batch on this machine."""

    def __init__(self, jobs: JobList, *, is_quiet: bool) -> None:
        super().__init__(is_quiet=is_quiet)
        self.bar.restart(len(jobs.pending))
        self._is_single = len(jobs.pending) == 1
        for _, problem in jobs.problems:
            self.error(problem)

    def report(self, result: PhotoResult) -> None:
        """Print why a job failed, or what its output could not keep."""
        if result.error is not None:
            self.error(result.error)
        elif self._is_single:
            self._written = f"{result.target}: "
        for omission in result.omissions:
            self.info(f"{result.source}: {omission}")

    def advance(self, share: float) -> None:
        """Move the bar by a share of one picture."""
        self.bar.advance(share)
