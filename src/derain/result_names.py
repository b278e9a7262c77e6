"""Names of results: building them, recognising those of earlier runs, and detecting conflicts."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from derain.errors import DerainError
from derain.files.paths import ignores_case, resolve, same_file

DERAINED_SUFFIX = "_derained"
"""Default end of a result's name, before the file extension."""
COMPARED_SUFFIX = "_compared"
"""The same for a result that shows rainy and restored side by side."""
RESULT_SUFFIXES = (DERAINED_SUFFIX, COMPARED_SUFFIX)
"""Ends of names that mark a file as a result, whatever suffix is in use."""
RAIN_SUFFIX = "_rain"
"""End of a rain layer's name, after the suffix of its result."""
APPLE_DOUBLE_PREFIX = "._"
"""Prefix of the AppleDouble files that macOS writes on foreign file systems; never pictures."""


def check_suffix(suffix: str) -> None:
    """Raise DerainError for a suffix that would move results into another folder."""
    if {"/", "\\"} & set(suffix):
        raise DerainError(
            f"--suffix {suffix}: must not contain a folder; use -o to write into another folder"
        )


def possible_sources(path: Path, suffix: str = DERAINED_SUFFIX) -> set[Path]:
    """Return the inputs, without file extensions, that `path` could be a result of by its name.

    The set is empty unless the name ends with `suffix` or one of RESULT_SUFFIXES; RAIN_SUFFIX may
    follow.
    """
    return {
        path.with_name(name.removesuffix(end))
        for name in (path.stem, path.stem.removesuffix(RAIN_SUFFIX))
        for end in (suffix or DERAINED_SUFFIX, *RESULT_SUFFIXES)
        if name.endswith(end) and name != end
    }


@dataclass(frozen=True)
class Conflict:
    """Why an input cannot be restored to its targets."""

    problem: str | None
    """A sentence; None if the input is one that was named before."""


class ConflictCheck:
    """Detects results that would overwrite an input, or the result of another input.

    Paths are compared after following the links in their folders. Where the disk ignores case, so
    does the comparison, and both encodings of an accent are one. Each folder is resolved once.
    """

    def __init__(self, inputs: Iterable[Path] = ()) -> None:
        """`inputs` may only be overwritten by their own results."""
        self._folders: dict[Path, tuple[Path, bool]] = {}
        """Folder -> the same without links, and whether it ignores case."""
        self._inputs = {self._place(path) for path in inputs}
        self._sources: dict[Path, Path] = {}

    def reserve(self, source: Path, targets: Sequence[Path]) -> Conflict | None:
        """Reserve the targets for `source`. Returns what forbids to write them, if anything."""
        overwritten = self._overwritten_input(source, targets)
        if overwritten is not None:
            remedy = "another input; write to another folder with -o"
            return Conflict(f"{source}: would overwrite {overwritten}, {remedy}")
        earlier = self._earlier_source(source, targets)
        if earlier is None:
            return None
        if source == earlier or same_file(source, earlier):
            return Conflict(None)
        remedy = "restore them into different folders"
        return Conflict(f"{source}: would overwrite the result of {earlier}; {remedy}")

    def _overwritten_input(self, source: Path, targets: Sequence[Path]) -> Path | None:
        """Return the target of `source` that is a different input, if any."""
        own = self._place(source)
        for target in targets:
            place = self._place(target)
            if place in self._inputs and place != own:
                return target
        return None

    def _earlier_source(self, source: Path, targets: Sequence[Path]) -> Path | None:
        """Return the source for which one of the targets is reserved, and reserve the others."""
        places = [self._place(target) for target in targets]
        earlier = next((self._sources[place] for place in places if place in self._sources), None)
        for place in places:
            self._sources.setdefault(place, source)
        return earlier

    def _place(self, path: Path) -> Path:
        """Return the path with the links in its folder resolved, in one case if that is ignored."""
        if path.parent not in self._folders:
            folder = resolve(path.parent)
            self._folders[path.parent] = folder, ignores_case(folder)
        folder, is_without_case = self._folders[path.parent]
        place = folder / path.name
        return (
            Path(unicodedata.normalize("NFC", str(place)).casefold()) if is_without_case else place
        )


def existing_message(source: Path, target: Path) -> str:
    """Return the message for an input whose result, or a part of it, exists."""
    return f"{source}: {target} exists; use --overwrite to replace it, or another -o"
