"""Ten thousand errands through reader, writer and journal, with a stand-in for the network; the same few photos again and again.

`python ten_thousand.py FOLDER` prints the bytes of memory in use after 4,000 errands and at the end. A process of its own: in one
that has run other tests, the heap they left behind moves by megabytes.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from derain.photos.batch import PhotoBatch
from derain.photos.jobs import Job
from derain.photos.reports.json_report import JsonReport
from derain.pictures import Picture

ERRANDS, WARM = 10_000, 4_000


class StandIn:
    """Gives every picture back as it is."""

    def restore_picture(self, rainy: Picture, **_: object) -> Picture:
        return rainy


def used_bytes() -> int:
    """Resident memory (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def errands(photos: list[Path], out: Path) -> Iterator[Job]:
    """Ten thousand, over and over the same photos."""
    for index in range(ERRANDS):
        if index == WARM:
            print(used_bytes())
        photo = photos[index % len(photos)]
        yield Job(photo, out / photo.name, overwrite=True)


def main(folder: Path) -> None:
    """Run them all."""
    os.fsync = lambda descriptor: None  # the disk takes most of the time
    with JsonReport(folder / "done.json", {}) as journal:
        outcome = PhotoBatch(StandIn(), jobs=2, on_record=journal.note).run(
            errands(sorted(folder.glob("*.png")), folder / "out")
        )
    assert outcome.restored == ERRANDS
    print(used_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
