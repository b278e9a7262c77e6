"""JSON report of a batch, written during the batch, so that its size does not matter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from derain.photos.jobs import Job
from derain.photos.reports.report_file import ReportFile
from derain.photos.summary import Summary
from derain.photos.worker import PhotoResult


class JsonReport:
    """A JSON object with `pictures`, one entry per picture; a context manager around the batch.

    The file appears, complete, when the block ends, even through an error or Ctrl-C.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        """`header` comes first: versions, model, command line. Raises DerainError."""
        self._file = ReportFile(path)
        self._header = header
        self._separator = "\n"
        self._summary: Summary | None = None

    def __enter__(self) -> JsonReport:
        header = json.dumps(dict(self._header), indent=1)
        self._file.write(header.removesuffix("\n}") + ',\n "pictures": [')
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        summary = None if self._summary is None else self._summary.as_dict()
        self._file.write("\n ],\n" + f' "summary": {json.dumps(summary)}\n' + "}\n")
        self._file.commit()

    def add_result(self, result: PhotoResult) -> None:
        """Write the entry of one picture. Not thread-safe."""
        self._add(_entry(result))

    def add_failure(self, source: Path, error: str) -> None:
        """Write the entry of an input without a job."""
        self.add_result(PhotoResult(source, source, error=error))

    def add_existing(self, job: Job) -> None:
        """Write the entry of a job with an existing result."""
        self._add({"source": str(job.source), "target": str(job.target), "status": "already_there"})

    def discard(self) -> None:
        """Remove the file."""
        self._file.discard()

    def finish(self, summary: Summary) -> None:
        """Set the counts that end the report."""
        self._summary = summary

    def _add(self, entry: Mapping[str, Any]) -> None:
        self._file.write(f"{self._separator}  {json.dumps(entry)}")
        self._separator = ",\n"


def _entry(result: PhotoResult) -> dict[str, Any]:
    if result.error is not None:
        return {"source": str(result.source), "status": "failed", "error": result.error}
    return {
        "source": str(result.source),
        "target": str(result.target),
        "status": "restored",
        "width": result.width,
        "height": result.height,
        "frames": result.frames,
        "omissions": list(result.omissions),
        "seconds": {step: round(seconds, 4) for step, seconds in result.seconds.items()},
    }
