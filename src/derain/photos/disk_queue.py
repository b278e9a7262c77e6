"""Pictures that wait on the disk, so that memory does not grow with their number."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from derain.errors import PictureError
from derain.pictures import Picture


class DiskQueue:
    """A row of pictures in a file without a name: add them, then iterate."""

    def __init__(self, file: IO[bytes], folder: Path) -> None:
        self.file, self.folder = file, folder
        self.count = 0

    def add(self, picture: Picture) -> None:
        """Raises PictureError where the disk is full."""
        try:
            pickle.dump(picture, self.file, protocol=pickle.HIGHEST_PROTOCOL)
            self.file.flush()
        except OSError as error:
            fact = f"has no room for a picture that waits there ({error.strerror}); make some"
            raise PictureError(f"{self.folder}: {fact}") from error
        self.count += 1

    def __iter__(self) -> Iterator[Picture]:
        self.file.seek(0)
        for _ in range(self.count):
            picture: Picture = pickle.load(
                self.file
            )  # what this process has written, to a file that no other can open by name
            yield picture


@contextmanager
def disk_queue(folder: Path) -> Iterator[DiskQueue]:
    """A spool in `folder`, gone at the end. Raises PictureError where it cannot be made."""
    try:
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
    except OSError as error:
        raise PictureError(
            f"{folder}: cannot be written to ({error.strerror}); write to another folder with -o"
        ) from error
    with file:
        yield DiskQueue(file, folder)
