"""Questions about paths. Paths that this user cannot inspect count as missing."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from derain.errors import DerainError


def exists(path: Path) -> bool:
    """True if the path exists.

    Inaccessible paths count as missing; `Path.exists` raises for them before Python 3.14.
    """
    return os.path.exists(path)  # noqa: PTH110


def is_occupied(path: Path) -> bool:
    """True if the name is in use, even by a dangling link."""
    return os.path.lexists(path)


def is_taken(path: Path) -> bool:
    """True if the name is in use by anything but an empty file, which holds no work."""
    try:
        status = path.lstat()
    except (OSError, ValueError):  # as in os.path.lexists
        return False
    return not (stat.S_ISREG(status.st_mode) and status.st_size == 0)


def is_folder(path: Path) -> bool:
    """True if the path is a folder. Inaccessible paths count as missing."""
    return os.path.isdir(path)  # noqa: PTH112


def is_file(path: Path) -> bool:
    """True if the path is a regular file. Inaccessible paths count as missing."""
    return os.path.isfile(path)  # noqa: PTH113


def is_link(path: Path) -> bool:
    """True if the path is a symbolic link. Inaccessible paths count as missing."""
    return os.path.islink(path)  # noqa: PTH114


def looks_like_file(name: str | Path) -> bool:
    """True if the name has the suffix of a file.

    out.png has one; 2026.11.24 is a date; out.png/ ends with a slash, which a `Path` drops.
    """
    suffix = Path(name).suffix
    return bool(suffix) and not suffix[1:].isdecimal() and not ends_with_slash(name)


def ends_with_slash(name: str | Path) -> bool:
    """True if the name says that it is a folder."""
    return str(name).endswith(("/", os.sep))


def same_file(path: Path, other: Path) -> bool:
    """True if both paths lead to the same file. Inaccessible paths count as missing."""
    try:
        return path.samefile(other)
    except OSError:
        return False


def ignores_case(folder: Path) -> bool:
    """True if a.jpg and A.jpg would be one file in a folder, which need not exist yet.

    Disks of Windows and macOS ignore case, and so do memory cards everywhere. Asks for the name in
    the folder, or in the nearest parent that exists, that is listed first, in the other case.
    """
    nearest = next((path for path in (folder, *folder.parents) if is_folder(path)), Path())
    with suppress(OSError), os.scandir(nearest) as entries:
        for entry in entries:
            if entry.name.isascii() and entry.name != entry.name.swapcase():
                return same_file(Path(entry.path), nearest / entry.name.swapcase())
    return same_file(nearest, nearest.with_name(nearest.name.swapcase())) if nearest.name else False


def resolve(path: Path) -> Path:
    """Follow all links.

    Like `Path.resolve`, which before Python 3.13 raises for a link to itself.
    """
    return Path(os.path.realpath(path))


def walk(
    root: Path, *, onerror: Callable[[OSError], None], key: Callable[[str], Any] = str
) -> Iterator[tuple[Path, list[str]]]:
    """Yield (folder, names of its files) for `root` and every folder below it, sorted by `key`.

    Links to folders are followed, unless they lead back to one of their parents. Hidden folders are
    skipped. `onerror` is called for folders that cannot be listed.
    """
    parents = {str(root): {os.path.realpath(root)}}  # the real path of each folder and its parents
    for folder, folders, files in os.walk(root, followlinks=True, onerror=onerror):
        above = parents.pop(folder)
        visible = sorted((name for name in folders if not name.startswith(".")), key=key)
        real = {name: os.path.realpath(Path(folder, name)) for name in visible}
        folders[:] = [name for name in visible if real[name] not in above]
        for name in folders:
            # os.path.join spells the path as os.walk does
            parents[os.path.join(folder, name)] = above | {real[name]}  # noqa: PTH118
        yield Path(folder), sorted(files, key=key)


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Return a sort key that puts 2 before 10. Equal numbers, 2 and 02, are sorted as text."""
    parts = [part for part in re.split(r"(\d+)", name) if part]
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts], name


def create_folder(folder: Path) -> None:
    """Create a folder and its parents, unless they exist. Raises DerainError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DerainError(
            f"{folder}: cannot be created ({error.strerror}); write to another folder with -o"
        ) from error


def check_target_name(path: Path) -> None:
    """Raise OSError if the target is a folder or the file system rejects its name.

    Called before a job, so that no work is lost.
    """
    if is_folder(path):
        raise IsADirectoryError
    with suppress(FileNotFoundError):
        path.lstat()
