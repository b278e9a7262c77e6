"""Soak test: 10,000 jobs through reader, writer and JSON report, with a network that copies.

`python memory_soak.py FOLDER` restores the same few photos again and again, and prints the bytes
of memory in use after 4,000 jobs and at the end. It needs a process of its own: the heap of a
process that ran other tests before moves by megabytes.
"""

import os
import sys
from pathlib import Path

from derain.photos.batch import PhotoBatch
from derain.photos.jobs import Job, JobList
from derain.photos.reports.json_report import JsonReport
from derain.photos.worker import PhotoResult
from derain.pictures import Picture

JOBS = 10_000
WARM_JOBS = 4_000


class CopyingRestorer:
    """Returns each picture unchanged."""

    def restore_picture(self, rainy: Picture, **_: object) -> Picture:
        return rainy


def used_bytes() -> int:
    """Return the resident memory (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(folder: Path) -> None:
    """Run all jobs."""
    os.fsync = lambda descriptor: None  # syncing would take most of the time
    photos = sorted(folder.glob("*.png"))
    out = folder / "out"
    jobs = [
        Job(photos[index % len(photos)], out / photos[index % len(photos)].name, overwrite=True)
        for index in range(JOBS)
    ]
    finished = 0
    with JsonReport(folder / "done.json", {}) as report:

        def on_result(result: PhotoResult) -> None:
            nonlocal finished
            report.add_result(result)
            finished += 1
            if finished == WARM_JOBS:
                print(used_bytes())

        batch = PhotoBatch(CopyingRestorer(), workers=2, on_result=on_result)
        summary = batch.run(JobList(jobs))
    assert summary.restored == JOBS
    print(used_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
