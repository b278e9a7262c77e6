"""A text that grows while a batch runs and appears under its name when it is complete."""

from __future__ import annotations

from pathlib import Path

from derain.errors import DerainError
from derain.files import disk_fact, replacing


class ReportFile:
    """UTF-8 beside the final name until `close`; its folder is made. Raises DerainError for whatever the disk says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._replacing = replacing(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._replacing.__enter__()
        except OSError as error:
            raise self._refusal(error) from error

    def write(self, text: str) -> None:
        """Append; what is not text, as some names of files, becomes question marks."""
        try:
            self._file.write(text.encode("utf-8", errors="replace"))
        except OSError as error:
            raise self._refusal(error) from error

    def close(self) -> None:
        """Give the file its name."""
        try:
            self._replacing.__exit__(None, None, None)
        except OSError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: OSError) -> DerainError:
        return DerainError(f"{self.path}: {disk_fact(error)}")
