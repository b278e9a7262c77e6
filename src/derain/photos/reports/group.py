"""The files that tell of a batch: `--report` and `--json`, of which there may be none."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType

from derain import __version__
from derain.errors import DerainError
from derain.inference.restorer import Restorer
from derain.photos.jobs import Job, JobList
from derain.photos.reports.html_report import HtmlReport
from derain.photos.reports.json_report import JsonReport
from derain.photos.summary import Summary
from derain.photos.worker import PhotoResult


class BatchReports:
    """A context manager around a batch that hands each record to every file that was asked for.

    A file that can no longer be written does not end the batch: it is told of in `problems` and is not there afterwards.
    A picture whose result is there belongs into them as well: the files of an earlier run are replaced, and must not get poorer.
    `is_compared` says whether results show both halves.
    """

    def __init__(
        self,
        errands: JobList,
        restorer: Restorer | None,
        *,
        page: Path | None,
        json: Path | None,
        is_compared: bool = False,
    ) -> None:
        runs_on = (
            "none"
            if restorer is None
            else f"{restorer.model.name} on {restorer.engine.name}, {restorer.engine.device}"
        )
        started = datetime.now(timezone.utc).isoformat(timespec="seconds")
        about = {
            "derain": __version__,
            "started": started,
            "command": shlex.join(sys.argv),
            "model": runs_on,
        }
        self._errands = errands
        self._is_compared = is_compared
        self._files: list[JsonReport | HtmlReport] = []
        if json is not None:
            self._files.append(JsonReport(json, about))
        if page is not None:
            self._files.append(
                HtmlReport(page, f"derain {__version__}, model {runs_on}, {started}")
            )
        self.problems: list[str] = []
        """Why a file is not there, a sentence each."""

    def __enter__(self) -> BatchReports:
        def begin(file: JsonReport | HtmlReport) -> None:
            file.__enter__()
            for source, text in self._errands.problems:
                file.refuse(source, text)
            if isinstance(file, JsonReport):
                for errand in self._errands.already_there:
                    file.skip(errand)

        self._in_each(begin)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._in_each(lambda file: file.__exit__(kind, error, trace))

    def note(self, record: PhotoResult) -> None:
        """Hand one record to each file."""
        self._in_each(lambda file: file.note(record))

    def close(self, summary: Summary, *, late: Sequence[Job] = ()) -> None:
        """Tell how it ended; the page then shows what was there, unless Ctrl-C asks for an end.

        `late` are the pictures whose results appeared during the batch.
        """

        def end(file: JsonReport | HtmlReport) -> None:
            file.close(summary)
            if isinstance(file, HtmlReport):
                for errand in [*self._errands.already_there, *late]:
                    file.skip(errand, looks=not summary.interrupted, is_compared=self._is_compared)
            else:
                for errand in late:
                    file.skip(errand)

        self._in_each(end)

    def _in_each(self, act: Callable[[JsonReport | HtmlReport], None]) -> None:
        for file in list(self._files):
            if (problem := _problem(act, file)) is not None:
                self._files.remove(file)
                self.problems.append(problem)


def _problem(
    act: Callable[[JsonReport | HtmlReport], None], file: JsonReport | HtmlReport
) -> str | None:
    """Why a file cannot be written, which is given up then."""
    try:
        act(file)
    except DerainError as error:
        file.abandon()
        return str(error)
    return None
