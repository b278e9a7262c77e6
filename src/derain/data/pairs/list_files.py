"""List files: a rainy and a clean path on each line, as SPA-Data is published (`real_world.txt`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from derain.data.pairs.file_names import PAIR_SUFFIXES
from derain.errors import DataError
from derain.files.paths import is_file

_SUFFIX = "|".join(re.escape(suffix) for suffix in sorted(PAIR_SUFFIXES))
_LINE = re.compile(rf"^\s*(.+?(?:{_SUFFIX}))[\s,;]+(.+?(?:{_SUFFIX}))\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class Line:
    """One line of a list file: its number from 1, and the two files, which may not exist."""

    number: int
    rainy: Path
    clean: Path


def is_pair_list(path: Path) -> bool:
    """Does the first line that is not empty name two pictures?"""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return any(
                _LINE.match(line) for line in [next((line for line in file if line.strip()), "")]
            )
    except OSError:
        return False


def read_pair_list(path: Path, *, root: Path) -> Iterator[Line]:
    """Yield the lines. A path is taken below the list's folder, below `root`, or as it stands, whichever file exists.

    SPA-Data writes `/real_world/...`: a leading slash does not make a path absolute if the file lies beside the list.
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
        if (match := _LINE.match(line)) is None:
            raise DataError(
                f"{path}: line {number} does not name a rainy and a clean picture; write both paths, rainy first"
            )
        yield Line(number, _locate(match[1], bases=bases), _locate(match[2], bases=bases))


def _locate(text: str, *, bases: list[Path]) -> Path:
    below = text.replace("\\", "/").lstrip("/")
    candidates = [base / below for base in bases]
    if Path(text).is_absolute():
        candidates.append(Path(text))
    return next((path for path in candidates if is_file(path)), candidates[0])
