"""The files that tell of a batch: `--report` and `--json`, of which there may be none."""

from __future__ import annotations

import shlex
import sys
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType

from derain import __version__
from derain.restore.errands import Errands
from derain.restore.journal import Journal
from derain.restore.page import Page
from derain.restore.restorer import Restorer
from derain.restore.summary import Summary
from derain.restore.workshop import Record


class Records:
    """A context manager around a batch that hands each record to every file that was asked for.

    A picture whose result is there belongs into them as well: the files of an earlier run are replaced, and must not get poorer.
    `is_compared` says whether results show both halves.
    """

    def __init__(
        self, errands: Errands, restorer: Restorer | None, *, page: Path | None, json: Path | None, is_compared: bool = False
    ) -> None:
        runs_on = "none" if restorer is None else f"{restorer.model.name} on {restorer.engine.name}, {restorer.engine.device}"
        started = datetime.now(timezone.utc).isoformat(timespec="seconds")
        about = {"derain": __version__, "started": started, "command": shlex.join(sys.argv), "model": runs_on}
        self._errands = errands
        self._is_compared = is_compared
        self._journal = None if json is None else Journal(json, about)
        self._page = None if page is None else Page(page, f"derain {__version__}, model {runs_on}, {started}")
        self._files: list[Journal | Page] = [file for file in (self._journal, self._page) if file is not None]
        self._open = ExitStack()

    def __enter__(self) -> Records:
        for file in self._files:
            self._open.enter_context(file)
            for source, text in self._errands.problems:
                file.refuse(source, text)
        if self._journal is not None:
            for errand in self._errands.already_there:
                self._journal.skip(errand)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.__exit__(kind, error, trace)

    def note(self, record: Record) -> None:
        """Hand one record to each file."""
        for file in self._files:
            file.note(record)

    def close(self, summary: Summary) -> None:
        """Tell how it ended; the page then shows what was there, unless Ctrl-C asks for an end."""
        for file in self._files:
            file.close(summary)
        if self._page is not None:
            for errand in self._errands.already_there:
                self._page.skip(errand, looks=not summary.interrupted, is_compared=self._is_compared)
