"""A file that keeps errors of the disk, which decoders hide."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class _KeepingFile(io.FileIO):
    """A file that keeps the first error of reading it."""

    error: OSError | None = None

    def readinto(self, buffer: Any, /) -> int:
        with self._kept_error():
            return super().readinto(buffer)

    def readall(self) -> bytes:
        with self._kept_error():
            return super().readall()

    @contextmanager
    def _kept_error(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = self.error or error
            raise


class DiskReader(io.BufferedReader):
    """A binary file for decoders, which may take an error of the disk for the end of the file.

    Pillow, for one, ends the pages of a TIFF there.
    """

    def __init__(self, path: Path) -> None:
        """Open a file. Raises OSError."""
        self._file = _KeepingFile(path)
        super().__init__(self._file)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Raise an error of the disk at the end of the block, whatever a decoder made of it."""
        try:
            yield
        except Exception as error:
            if self._file.error is not None:
                raise self._file.error from error
            raise
        if self._file.error is not None:
            raise self._file.error
