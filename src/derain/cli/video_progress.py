"""The user's view of a video run: a progress bar and one line for each job."""

from __future__ import annotations

from collections.abc import Callable

from derain.cli.console import Console
from derain.cli.exit_codes import ExitCode
from derain.cli.progress_bar import ProgressBar
from derain.errors import explain_failure
from derain.video.frames import VideoResult
from derain.video.jobs import VideoJob, VideoJobList


class VideoProgress(Console):
    """Reports the jobs on stderr, one after the other."""

    def __init__(self, jobs: VideoJobList, *, is_quiet: bool) -> None:
        super().__init__(is_quiet=is_quiet)
        self._bar = ProgressBar("frames", console=self.console, is_quiet=is_quiet)
        self.start = self._bar.restart
        """Callback for the start of a job: sets the number of its frames, or None if unknown."""
        self.advance = self._bar.advance
        """Callback after each frame."""
        self.is_interrupted = False
        self._has_failures = False
        for problem in jobs.problems:
            self.error(problem)
        if jobs.existing:
            self.info(f"{jobs.existing} skipped (result exists)")
        if jobs.earlier_results:
            self.info(f"{jobs.earlier_results} skipped (result of an earlier run)")

    def run(self, job: VideoJob, work: Callable[[], VideoResult]) -> None:
        """Call `work` under the progress bar and print its result, or why it failed."""
        try:
            with self._bar:
                result = work()
        except Exception as error:  # one clip must not cost the user the others
            self.error(explain_failure("standard input" if job.is_pipe else job.source, error))
            return
        self.is_interrupted = result.was_interrupted
        self.info(_describe(job, result))
        for problem in result.problems:
            self.error(problem)
        for note in result.notes:
            self.info(f"  {note}")

    def error(self, text: str) -> None:
        """Print a problem, even if quiet; the exit code is no longer 0."""
        super().error(text)
        self._has_failures = True

    @property
    def exit_code(self) -> ExitCode:
        """Exit code of the jobs so far."""
        return ExitCode.of_run(has_failures=self._has_failures, is_interrupted=self.is_interrupted)


def _describe(job: VideoJob, result: VideoResult) -> str:
    """Return the line about a finished job."""
    target = "standard output" if job.is_pipe else job.target
    rate = result.frame_count / result.seconds if result.seconds else 0.0
    overhead = 1 - result.network_seconds / result.seconds if result.seconds else 0.0
    line = f"{target}: {result.frame_count} frames"
    if result.frame_count:  # none if all have a result
        line += f" ({result.dry_count} without rain)" if result.dry_count else ""
        line += (
            f" in {result.seconds:.1f} s "
            f"({rate:.3g} fps, {overhead:.1%} overhead outside the network)"
        )
    return line + (", interrupted" if result.was_interrupted else "")
