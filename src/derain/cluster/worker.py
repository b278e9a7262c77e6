"""One worker of a cluster: it holds one network and restores the pictures that it is sent."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from derain.cluster.location import Location
from derain.errors import DerainError, explain_failure
from derain.inference.restorer import Restorer
from derain.photos.jobs import Job
from derain.photos.options import RestoreOptions
from derain.photos.worker import PhotoResult, PhotoWorker

RESTORED, FAILED, EXISTING = "restored", "failed", "already_there"
"""Outcomes of a picture."""


@dataclass(frozen=True)
class Task:
    """The work that all workers of a run share."""

    source: Location
    output: Location
    network: Mapping[str, Any]
    """Arguments of `Restorer`."""
    options: RestoreOptions
    overwrite: bool


class ClusterWorker:
    """An actor of Ray Data: called with a row that has a `name`, it returns a row with the outcome.

    A picture that cannot be restored is an outcome, not an exception, so that it is not repeated.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.worker = PhotoWorker(Restorer(**task.network), task.options)

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Restore one picture, unless it has a result. Rows are `sendable`."""
        return sendable(self._run_row(str(received(row)["name"])))

    def _run_row(self, name: str) -> dict[str, Any]:
        try:
            return self._restore(name)
        except Exception as error:  # one picture must not cost the user the others
            problem = explain_failure(self.task.source.named(name), error)
            return row_of(name, FAILED, error=problem)

    def _restore(self, name: str) -> dict[str, Any]:
        task = self.task
        if not task.overwrite and task.output.has(name):
            return row_of(name, EXISTING)
        if task.source.is_local and task.output.is_local:
            job = Job(Path(task.source.inner(name)), Path(task.output.inner(name)), None, True)
            return self._run(name, job)
        with tempfile.TemporaryDirectory(prefix="derain-") as folder:
            file = Path(name).name
            job = Job(Path(folder, "source", file), Path(folder, "result", file), None, True)
            job.source.parent.mkdir()
            job.source.write_bytes(task.source.read(name))
            try:
                row = self._run(name, job)
            except DerainError as error:
                # the user knows the address, not our temporary file
                text = str(error).replace(str(job.source), task.source.named(name))
                raise type(error)(text.replace(str(job.target), task.output.named(name))) from error
            task.output.write(name, job.target.read_bytes())
            return row

    def _run(self, name: str, job: Job) -> dict[str, Any]:
        result = self.worker.restore(job, on_tile=lambda done, total: None)
        return row_of(name, RESTORED, result)


def row_of(
    name: str, status: str, result: PhotoResult | None = None, *, error: str = ""
) -> dict[str, Any]:
    """Return the outcome of a picture; all rows have the same columns."""
    seconds = {"read": 0.0, "restore": 0.0, "write": 0.0} if result is None else result.seconds
    return {
        "name": name,
        "status": status,
        "error": error,
        "width": 0 if result is None else result.width,
        "height": 0 if result is None else result.height,
        "frames": 0 if result is None else result.frames,
        "omissions": "\n".join([] if result is None else result.omissions),
        **{f"seconds_{step}": duration for step, duration in seconds.items()},
    }


def sendable(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row for another process: Arrow rejects text of file names that are not UTF-8."""
    return {
        key: value.encode(errors="surrogateescape").decode("latin-1")
        if isinstance(value, str)
        else value
        for key, value in row.items()
    }


def received(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row that was made `sendable`."""
    return {
        key: value.encode("latin-1").decode(errors="surrogateescape")
        if isinstance(value, str)
        else value
        for key, value in row.items()
    }
