"""What a batch did, as JSON: written while it runs, so that its size does not matter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from derain.photos.jobs import Job
from derain.photos.reports.report_file import ReportFile
from derain.photos.summary import Summary
from derain.photos.worker import PhotoResult


class JsonReport:
    """A context manager around a batch: one object with `pictures`, an entry for each, between what is known before and after.

    The file appears under its name when the block ends, also by an error or Ctrl-C; it is then complete, too.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        """`about` is written first: versions, the model, the command. Raises DerainError for a path that cannot be written."""
        self._file = ReportFile(path)
        self._about = about
        self._separator = "\n"
        self._summary: Summary | None = None

    def __enter__(self) -> JsonReport:
        head = json.dumps(dict(self._about), indent=1)
        self._file.write(head.removesuffix("\n}") + ',\n "pictures": [')
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        summary = None if self._summary is None else asdict(self._summary)
        self._file.write("\n ],\n" + f' "summary": {json.dumps(summary)}\n' + "}\n")
        self._file.close()

    def note(self, record: PhotoResult) -> None:
        """Write the entry of one picture; by one thread at a time."""
        self._add(_entry(record))

    def refuse(self, source: Path, error: str) -> None:
        """Write the entry of an input that was not begun."""
        self.note(PhotoResult(source, source, error=error))

    def skip(self, errand: Job) -> None:
        """Write the entry of a picture whose result is there."""
        self._add(
            {"source": str(errand.source), "target": str(errand.target), "status": "already_there"}
        )

    def abandon(self) -> None:
        """Give up: the file does not appear."""
        self._file.abandon()

    def close(self, summary: Summary) -> None:
        """Tell what the end says."""
        self._summary = summary

    def _add(self, entry: Mapping[str, Any]) -> None:
        self._file.write(f"{self._separator}  {json.dumps(entry)}")
        self._separator = ",\n"


def _entry(record: PhotoResult) -> dict[str, Any]:
    if record.error is not None:
        return {"source": str(record.source), "status": "failed", "error": record.error}
    return {
        "source": str(record.source),
        "target": str(record.target),
        "status": "restored",
        "width": record.width,
        "height": record.height,
        "frames": record.frames,
        "omissions": list(record.omissions),
        "seconds": {kind: round(seconds, 4) for kind, seconds in record.seconds.items()},
    }
