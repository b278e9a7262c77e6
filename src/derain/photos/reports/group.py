"""All reports of a batch: `--report` and `--json`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

from derain import __version__
from derain.errors import DerainError
from derain.photos.jobs import Job, JobList
from derain.photos.reports.html_report import HtmlReport
from derain.photos.reports.json_report import JsonReport
from derain.photos.summary import Summary
from derain.photos.worker import PhotoResult

Report: TypeAlias = JsonReport | HtmlReport


def report_header(model: str) -> dict[str, str]:
    """Return what begins a report: version, time, command line, and the model and what runs it."""
    return {
        "derain": __version__,
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": shlex.join(sys.argv),
        "model": model,
    }


class BatchReports:
    """Passes each result to every requested report; a context manager around the batch.

    A report that can no longer be written does not end the batch: it is discarded, and `problems`
    says why. Existing results are reported, too, because the reports replace those of an earlier
    run.
    """

    def __init__(
        self,
        jobs: JobList,
        header: Mapping[str, str],
        *,
        html: Path | None = None,
        json: Path | None = None,
        is_compared: bool = False,
    ) -> None:
        """`header` is that of `report_header`. `is_compared`: results show both sides.

        Raises DerainError for a path that cannot be written.
        """
        self._jobs = jobs
        self._reports: list[Report] = []
        self.problems: list[str] = []
        """Why a report is missing, a sentence each."""
        if json is not None:
            self._reports.append(JsonReport(json, header))
        if html is not None:
            title = f"derain {header['derain']}, model {header['model']}, {header['started']}"
            try:
                self._reports.append(HtmlReport(html, title, is_compared=is_compared))
            except DerainError:
                for report in self._reports:
                    report.discard()
                raise

    def __enter__(self) -> BatchReports:
        def begin(report: Report) -> None:
            report.__enter__()
            for source, error in self._jobs.problems:
                report.add_failure(source, error)
            for job in self._jobs.existing:
                report.add_existing(job)

        self._for_each(begin)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._for_each(lambda report: report.__exit__(kind, error, trace))

    def add_result(self, result: PhotoResult) -> None:
        """Pass one result to each report."""
        self._for_each(lambda report: report.add_result(result))

    def add_existing(self, job: Job) -> None:
        """Pass a job whose target appeared during the batch to each report."""
        self._for_each(lambda report: report.add_existing(job))

    def finish(self, summary: Summary) -> None:
        """Pass the counts to each report."""
        self._for_each(lambda report: report.finish(summary))

    def _for_each(self, act: Callable[[Report], None]) -> None:
        for report in list(self._reports):
            error = _attempt(act, report)
            if error is not None:
                report.discard()
                self._reports.remove(report)
                self.problems.append(str(error))


def _attempt(act: Callable[[Report], None], report: Report) -> DerainError | None:
    try:
        act(report)
    except DerainError as error:
        return error
    return None
