"""The part of `derain restore` that runs on a Ray cluster: `--ray ADDRESS`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from derain.cli.photo_progress import BatchProgress
from derain.errors import DerainError, PictureError
from derain.photos.jobs import Job, JobList
from derain.photos.options import RestoreOptions
from derain.photos.reports.group import BatchReports, report_header
from derain.photos.summary import Summary
from derain.photos.worker import PhotoResult

if TYPE_CHECKING:
    from derain.cluster.worker import Task

NAMED_EVERY = 1000
"""Pictures between two lines of progress, where there is no terminal for a bar."""


def reject_unsupported(options: Mapping[str, object]) -> None:
    """Raise DerainError if one of the options, by its name, is set: they need one machine."""
    for name, value in options.items():
        if value:
            raise DerainError(f"--{name}: is not supported with --ray; remove it")


def restore_on_ray(
    inputs: Sequence[str],
    *,
    address: str,
    output: str | None,
    options: RestoreOptions,
    network: Mapping[str, Any],
    overwrite: bool,
    json: Path | None,
    is_quiet: bool,
) -> int:
    """Restore one folder on a cluster and return the exit code. Raises DerainError."""
    from derain.cluster.run import restore_on_cluster
    from derain.weights import find

    if len(inputs) != 1 or output is None:
        raise DerainError("--ray: takes one folder and -o FOLDER; run once for each folder")
    model = find(network["model"]).name
    task = _make_task(inputs[0], output, network=network, options=options, overwrite=overwrite)
    header = report_header(model) | {"ray": address}
    with BatchReports(JobList(), header, json=json) as reports:
        progress = ClusterProgress(task, reports, is_quiet=is_quiet)
        progress.info(f"model {model} on the Ray cluster {address}")
        start = time.perf_counter()
        try:
            with progress.bar:
                restore_on_cluster(
                    task, address=address, threads=network["threads"], on_row=progress.add_row
                )
        except KeyboardInterrupt:
            progress.summary.was_interrupted = True
        progress.summary.seconds = time.perf_counter() - start
        reports.finish(progress.summary)
    return progress.finish(progress.summary, reports.problems)


def _make_task(
    folder: str,
    output: str,
    *,
    network: Mapping[str, Any],
    options: RestoreOptions,
    overwrite: bool,
) -> Task:
    """Return the work of the cluster. Raises PictureError for folders that cannot be used."""
    from derain.cluster.location import open_location
    from derain.cluster.worker import Task

    task = Task(open_location(folder), open_location(output), network, options, overwrite)
    if task.source.is_local and not Path(task.source.path).is_dir():
        raise PictureError(f"{folder}: no such folder; --ray restores folders")
    if not overwrite and task.source.is_same(task.output):
        raise PictureError(
            f"{output}: is the folder of the photos; name another folder, or use --overwrite to "
            "replace them"
        )
    return task


class ClusterProgress(BatchProgress):
    """Reports the pictures of a cluster."""

    def __init__(self, task: Task, reports: BatchReports, *, is_quiet: bool) -> None:
        super().__init__(is_quiet=is_quiet)
        self.summary = Summary()
        self._task = task
        self._reports = reports

    def add_row(self, row: Mapping[str, Any]) -> None:
        """Count and report one picture. `row` is that of `cluster.worker.row_of`."""
        from derain.cluster.worker import EXISTING

        source, target = (
            # only printed and written into reports, where an address must keep its slashes
            cast(Path, place.named(row["name"]))
            for place in (self._task.source, self._task.output)
        )
        self.bar.advance()
        self.summary.remaining += 1  # counted as it is done: the names are listed meanwhile
        if row["status"] == EXISTING:
            self.summary.add_existing()
            self._reports.add_existing(Job(source, target))
            return
        result = _result(row, source, target)
        self.summary.add_result(result)
        self._reports.add_result(result)
        if result.error is not None:
            self.error(result.error)
        for omission in result.omissions:
            self.info(f"{source}: {omission}")
        if self.summary.restored and self.summary.restored % NAMED_EVERY == 0:
            self.info(f"{self.summary.restored} restored, {self.summary.failed} failed")


def _result(row: Mapping[str, Any], source: Path, target: Path) -> PhotoResult:
    """Return the outcome of a picture as one machine has it."""
    return PhotoResult(
        source,
        target,
        width=row["width"],
        height=row["height"],
        frames=row["frames"],
        seconds={step: row[f"seconds_{step}"] for step in ("read", "restore", "write")},
        error=row["error"] or None,
        omissions=tuple(row["omissions"].splitlines()),
    )
