"""Pictures that wait on disk, so that memory does not grow with their number."""

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
    """A queue of pictures in an unnamed file: add all of them, then iterate."""

    def __init__(self, file: IO[bytes], folder: Path) -> None:
        self.file = file
        self.folder = folder
        self.count = 0

    def add(self, picture: Picture) -> None:
        """Append a picture. Raises PictureError if the disk is full."""
        try:
            pickle.dump(picture, self.file, protocol=pickle.HIGHEST_PROTOCOL)
            self.file.flush()
        except OSError as error:
            raise PictureError(
                f"{self.folder}: no room for a temporary picture ({error.strerror}); "
                "free some disk space"
            ) from error
        self.count += 1

    def __iter__(self) -> Iterator[Picture]:
        self.file.seek(0)
        for _ in range(self.count):
            # safe to unpickle: only this process can reach a file without a name
            picture: Picture = pickle.load(self.file)
            yield picture


@contextmanager
def disk_queue(folder: Path) -> Iterator[DiskQueue]:
    """Open a queue in `folder` that is deleted at the end. Raises PictureError if that fails."""
    try:
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
    except OSError as error:
        raise PictureError(
            f"{folder}: cannot be written to ({error.strerror}); use -o to write to another folder"
        ) from error
    with file:
        yield DiskQueue(file, folder)
