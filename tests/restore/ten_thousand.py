"""Ten thousand errands through reader, writer and journal, with a stand-in for the network; the same few photos again and again.

`python ten_thousand.py FOLDER` prints the bytes of memory in use after 4,000 errands and at the end. A process of its own: in one
that has run other tests, the heap they left behind moves by megabytes.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from derain.picture import Picture
from derain.restore.batch import Batch
from derain.restore.errands import Errand
from derain.restore.journal import Journal

ERRANDS, WARM = 10_000, 4_000


class StandIn:
    """Gives every picture back as it is."""

    def restore_picture(self, rainy: Picture, **_: object) -> Picture:
        return rainy


def used_bytes() -> int:
    """Resident memory (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def errands(photos: list[Path], out: Path) -> Iterator[Errand]:
    """Ten thousand, over and over the same photos."""
    for index in range(ERRANDS):
        if index == WARM:
            print(used_bytes())
        photo = photos[index % len(photos)]
        yield Errand(photo, out / photo.name, overwrite=True)


def main(folder: Path) -> None:
    """Run them all."""
    os.fsync = lambda descriptor: None  # the disk takes most of the time
    with Journal(folder / "done.json", {}) as journal:
        outcome = Batch(StandIn(), jobs=2, on_record=journal.note).run(errands(sorted(folder.glob("*.png")), folder / "out"))
    assert outcome.restored == ERRANDS
    print(used_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
