"""List files with a rainy and a clean path on each line, such as `real_world.txt` of SPA-Data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from derain.data.pairs.file_names import PAIR_SUFFIXES
from derain.errors import DataError
from derain.files.paths import is_file

_SUFFIX = "|".join(re.escape(suffix) for suffix in sorted(PAIR_SUFFIXES))
_BETWEEN = re.compile(rf"(?<=.)({_SUFFIX})[\s,;]+", re.IGNORECASE)
"""The end of the rainy path, and what separates it from the clean one."""
_END = re.compile(rf".({_SUFFIX})$", re.IGNORECASE)


@dataclass(frozen=True)
class Line:
    """One line of a list file."""

    number: int
    """Starts at 1."""
    rainy: Path
    """May not exist, like `clean`."""
    clean: Path


def is_pair_list(path: Path) -> bool:
    """True if the first line that is not empty names two pictures."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            first = next((line for line in file if line.strip()), "")
    except OSError:
        return False
    return _split(first) is not None


def read_pair_list(path: Path, *, root: Path) -> Iterator[Line]:
    """Yield the lines of a list file. Raises DataError for a line without two paths.

    A path is relative to the folder of the list or to `root`, or it is absolute, whichever file
    exists. SPA-Data writes `/real_world/...`, so a leading slash alone does not make it absolute.
    """
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise DataError(
            f"{path}: the list cannot be read ({error}); check its permissions"
        ) from error
    bases = list(dict.fromkeys((path.parent, root)))
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        if "\0" in line:
            raise DataError(f"{path}: line {number} contains a zero byte; correct the list")
        if (paths := _split(line)) is None:
            raise DataError(
                f"{path}: line {number} does not name a rainy and a clean picture; "
                "write both paths, rainy first"
            )
        yield Line(number, *(_locate(path, bases=bases) for path in paths))


def _split(line: str) -> tuple[str, str] | None:
    """Return the rainy and the clean path of a line; None without them. Reads the line twice."""
    line = line.strip()
    if (between := _BETWEEN.search(line)) is None:
        return None
    rainy, clean = line[: between.end(1)], line[between.end() :]
    return (rainy, clean) if _END.search(clean) else None


def _locate(text: str, *, bases: list[Path]) -> Path:
    """Return the first candidate that exists, or the first of all."""
    relative = text.replace("\\", "/").lstrip("/")
    candidates = [base / relative for base in bases]
    if Path(text).is_absolute():
        candidates.append(Path(text))
    return next((path for path in candidates if is_file(path)), candidates[0])
