"""The part of `derain restore` that runs on a Ray cluster: `--ray ADDRESS`."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

from derain import __version__
from derain.cli.console import Console
from derain.cli.exit_codes import ExitCode
from derain.cli.progress_bar import ProgressBar
from derain.errors import DerainError, PictureError
from derain.photos.jobs import Job
from derain.photos.options import RestoreOptions
from derain.photos.reports.json_report import JsonReport
from derain.photos.summary import Summary
from derain.photos.worker import PhotoResult

NAMED_EVERY = 1000
"""Pictures between two lines of progress, where there is no terminal for a bar."""


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
    from derain.cluster.location import open_location
    from derain.cluster.run import restore_on_cluster
    from derain.cluster.worker import EXISTING, Task
    from derain.weights import find

    if len(inputs) != 1 or output is None:
        raise DerainError("--ray: takes one folder and -o FOLDER; run once for each folder")
    model = find(network["model"])
    task = Task(open_location(inputs[0]), open_location(output), network, options, overwrite)
    if task.source.is_local and not Path(task.source.path).is_dir():
        raise PictureError(f"{inputs[0]}: no such folder; --ray restores folders")
    if not overwrite and task.source.is_same(task.output):
        raise PictureError(
            f"{output}: is the folder of the photos; name another folder, or use --overwrite to "
            "replace them"
        )
    console = Console(is_quiet=is_quiet)
    console.info(f"model {model.name} on the Ray cluster {address}")
    bar = ProgressBar("pictures", console=console.console, is_quiet=is_quiet)
    summary, start = Summary(), time.perf_counter()
    header = {
        "derain": __version__,
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": shlex.join(sys.argv),
        "model": model.name,
        "ray": address,
    }
    report = None if json is None else JsonReport(json, header)

    def on_row(row: Mapping[str, Any]) -> None:
        source, target = (
            # only printed and written into reports, where an address must keep its slashes
            cast(Path, place.named(row["name"]))
            for place in (task.source, task.output)
        )
        bar.advance()
        summary.remaining += 1  # counted as it is done: the names are listed meanwhile
        if row["status"] == EXISTING:
            summary.add_existing()
            if report is not None:
                report.add_existing(Job(source, target))
            return
        result = _result(row, source, target)
        summary.add_result(result)
        if report is not None:
            report.add_result(result)
        if result.error is not None:
            console.error(result.error)
        for omission in result.omissions:
            console.info(f"{source}: {omission}")
        if summary.restored and summary.restored % NAMED_EVERY == 0:
            console.info(f"{summary.restored} restored, {summary.failed} failed")

    def run() -> None:
        try:
            with bar:
                restore_on_cluster(task, address=address, threads=network["threads"], on_row=on_row)
        except KeyboardInterrupt:
            summary.was_interrupted = True
        summary.seconds = time.perf_counter() - start

    if report is None:
        run()
    else:
        with report:
            run()
            report.finish(summary)
    console.info(str(summary))
    return ExitCode.of_run(has_failures=summary.failed > 0, is_interrupted=summary.was_interrupted)


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
