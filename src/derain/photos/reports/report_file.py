"""A text file that grows during a batch and appears under its name when it is complete."""

from __future__ import annotations

from pathlib import Path

from derain.errors import DerainError
from derain.files.atomic import AtomicFile, writing
from derain.files.paths import check_target_name, resolve


def check_report_name(path: Path | None, *, option: str, suffixes: tuple[str, ...]) -> None:
    """Raise DerainError unless the name ends like a report: it could replace a photo."""
    if path is not None and path.suffix.lower() not in suffixes:
        raise DerainError(
            f"{option} {path}: must end with {suffixes[0]}; "
            "an existing file of that name would be replaced"
        )


class ReportFile:
    """UTF-8 under a temporary name until `commit`. Its methods raise DerainError."""

    def __init__(self, path: Path) -> None:
        """Create the file, and its folder if necessary."""
        self.path = path
        with writing(path, DerainError):
            path.parent.mkdir(parents=True, exist_ok=True)
            check_target_name(path)
            self._file = AtomicFile(resolve(path))

    def write(self, text: str) -> None:
        """Append text; bytes of file names that are not valid text become question marks."""
        with writing(self.path, DerainError):
            self._file.file.write(text.encode("utf-8", errors="replace"))

    def commit(self) -> None:
        """Give the file its name."""
        with writing(self.path, DerainError):
            self._file.commit()

    def discard(self) -> None:
        """Remove the text written so far; a file of an earlier run stays."""
        self._file.discard()
