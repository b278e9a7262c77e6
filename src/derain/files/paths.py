"""Questions about paths. What this user may not inspect counts as missing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from derain.errors import DerainError


def exists(path: Path) -> bool:
    """True if the path exists. Inaccessible paths count as missing; `Path.exists` raises for them before Python 3.14."""
    return os.path.exists(path)  # noqa: PTH110


def is_occupied(path: Path) -> bool:
    """True if the name is in use, even by a dangling link."""
    return os.path.lexists(path)


def is_folder(path: Path) -> bool:
    """True if the path is a folder. Inaccessible paths count as missing."""
    return os.path.isdir(path)  # noqa: PTH112


def is_file(path: Path) -> bool:
    """True if the path is a regular file. Inaccessible paths count as missing."""
    return os.path.isfile(path)  # noqa: PTH113


def is_link(path: Path) -> bool:
    """True if the path is a symbolic link. Inaccessible paths count as missing."""
    return os.path.islink(path)  # noqa: PTH114


def looks_like_file(path: Path) -> bool:
    """True if the name has a file's suffix: out.png does, 2026.11.24 is a date."""
    return bool(path.suffix) and not path.suffix[1:].isdecimal()


def same_file(path: Path, other: Path) -> bool:
    """True if both paths lead to the same file. Inaccessible paths count as missing."""
    try:
        return path.samefile(other)
    except OSError:
        return False


def resolve(path: Path) -> Path:
    """Follow all links, like `Path.resolve`, which raises for a link to itself before Python 3.13."""
    return Path(os.path.realpath(path))


def walk(
    root: Path, *, onerror: Callable[[OSError], None], key: Callable[[str], Any] = str
) -> Iterator[tuple[Path, list[str]]]:
    """Yield (folder, names of its files) for `root` and every folder below it, sorted by `key`.

    Links to folders are followed, unless they lead back to a folder on the way. Hidden folders are skipped.
    """
    ways = {str(root): {os.path.realpath(root)}}  # the real folders on the way to each
    for folder, folders, files in os.walk(root, followlinks=True, onerror=onerror):
        way = ways.pop(folder)
        visible = sorted((name for name in folders if not name.startswith(".")), key=key)
        real = {name: os.path.realpath(Path(folder, name)) for name in visible}
        folders[:] = [name for name in visible if real[name] not in way]
        ways |= {os.path.join(folder, name): way | {real[name]} for name in folders}  # noqa: PTH118 as os.walk spells them
        yield Path(folder), sorted(files, key=key)


def create_folder(folder: Path) -> None:
    """Create a folder and its parents, unless they exist. Raises DerainError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DerainError(
            f"{folder}: cannot be created ({error.strerror}); write to another folder with -o"
        ) from error


def check_target_name(path: Path) -> None:
    """Raise OSError for a target that is a folder or whose name the disk does not accept, before any work is done."""
    if is_folder(path):
        raise IsADirectoryError
    with suppress(FileNotFoundError):
        path.lstat()
