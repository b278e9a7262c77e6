"""A text that grows while a batch runs and appears under its name when it is complete."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from derain.errors import DerainError
from derain.files.atomic import atomic_write
from derain.files.messages import explain_os_error
from derain.files.paths import is_folder, resolve


def check_report(path: Path | None, *, option: str, suffixes: tuple[str, ...]) -> None:
    """Raise DerainError for a report that is not called like one: it replaces what is there, and that may be a photo."""
    if path is not None and path.suffix.lower() not in suffixes:
        raise DerainError(
            f"{option} {path}: replaces what is there, and is no name of a report; let it end with {suffixes[0]}"
        )


class ReportFile:
    """UTF-8 beside the final name until `close`; its folder is made. Raises DerainError for whatever the disk says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if is_folder(path):
            raise self._refusal(IsADirectoryError())
        self._replacing = atomic_write(resolve(path))
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

    def abandon(self) -> None:
        """Remove what was written so far; nothing of an earlier run is touched."""
        with suppress(OSError, _AbandonedError):
            self._replacing.__exit__(_AbandonedError, _AbandonedError(), None)

    def _refusal(self, error: OSError) -> DerainError:
        return DerainError(f"{self.path}: {explain_os_error(error)}")


class _AbandonedError(Exception):
    """What ends the writing of a file that is not to appear."""
