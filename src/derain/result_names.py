"""Names of results: building them, recognising those of earlier runs, and detecting conflicts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from derain.errors import DerainError
from derain.files.paths import resolve, same_file

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


class ConflictCheck:
    """Detects results that would overwrite an input, or the result of another input.

    Paths are compared after following the links in their folders. Each folder is resolved once.
    """

    def __init__(self, inputs: Iterable[Path] = ()) -> None:
        """`inputs` may only be overwritten by their own results."""
        self._folders: dict[Path, Path] = {}
        self._inputs = {self._place(path) for path in inputs}
        self._sources: dict[Path, Path] = {}

    def overwritten_input(self, source: Path, targets: Sequence[Path]) -> Path | None:
        """Return the target of `source` that is a different input, if any."""
        own = self._place(source)
        for target in targets:
            place = self._place(target)
            if place in self._inputs and place != own:
                return target
        return None

    def conflicting_input(self, source: Path, targets: Sequence[Path]) -> Path | None:
        """Return the earlier input with one of these targets, if any.

        The other targets are reserved for `source`.
        """
        places = [self._place(target) for target in targets]
        earlier = next((self._sources[place] for place in places if place in self._sources), None)
        for place in places:
            self._sources.setdefault(place, source)
        return earlier

    def _place(self, path: Path) -> Path:
        """Return the path with the links in its folder resolved."""
        folder = self._folders.get(path.parent)
        if folder is None:
            folder = self._folders[path.parent] = resolve(path.parent)
        return folder / path.name


def is_repeated(source: Path, earlier: Path) -> bool:
    """True if `source` names the same input as `earlier` again."""
    return source == earlier or same_file(source, earlier)
