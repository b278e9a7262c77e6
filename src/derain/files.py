"""Files that appear under their name whole or not at all, locks, questions about paths, and what to say where that fails."""

from __future__ import annotations

import errno
import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from derain.errors import DataError

PARTIAL_PREFIX = ".derain-"
"""What the name of a half-written file begins with."""
OPENED_BY_SHELLS = re.compile(r"/dev/(stdin|stdout|stderr|fd/)|/proc/")
STDOUT = 1
STREAMS = {"stdin": 0, "stdout": STDOUT, "stderr": 2}
OWN_DESCRIPTOR = re.compile(rf"/dev/({'|'.join(STREAMS)})|(?:/dev|/proc/self)/fd/(\d{{1,9}})")
DEAD_SECONDS = 24 * 3600
"""No write lets its file lie untouched for so long: other machines may be writing into the same folder."""


def exists(path: Path) -> bool:
    """Whether there is anything; what may not be looked at is not there, where `Path` raises before Python 3.14."""
    return os.path.exists(path)  # noqa: PTH110


def is_taken(path: Path) -> bool:
    """Whether the name is taken, if only by a link that leads nowhere."""
    return os.path.lexists(path)


def is_folder(path: Path) -> bool:
    """Whether it is a folder, as `exists`."""
    return os.path.isdir(path)  # noqa: PTH112


def is_called_as_file(path: Path) -> bool:
    """Whether a name ends as those of files do: out.png, and not 2026.11.24, which is a date."""
    return bool(path.suffix) and not path.suffix[1:].isdecimal()


def is_file(path: Path) -> bool:
    """Whether it is a file, as `exists`."""
    return os.path.isfile(path)  # noqa: PTH113


def is_link(path: Path) -> bool:
    """Whether it is a link, as `exists`."""
    return os.path.islink(path)  # noqa: PTH114


def are_one(path: Path, other: Path) -> bool:
    """Whether two paths lead to one file, as `exists`."""
    try:
        return path.samefile(other)
    except OSError:
        return False


def walk(root: Path, *, onerror: Callable[[OSError], None], key: Callable[[str], Any] = str) -> Iterator[tuple[Path, list[str]]]:
    """(folder, names of its files) for a folder and those below it, also by links, in order; hidden ones are left out.

    A link that leads back to a folder on the way to it is not followed.
    """
    ways = {str(root): {os.path.realpath(root)}}  # the real folders on the way to each
    for folder, folders, files in os.walk(root, followlinks=True, onerror=onerror):
        way = ways.pop(folder)
        visible = sorted((name for name in folders if not name.startswith(".")), key=key)
        real = {name: os.path.realpath(Path(folder, name)) for name in visible}
        folders[:] = [name for name in visible if real[name] not in way]
        ways |= {os.path.join(folder, name): way | {real[name]} for name in folders}  # noqa: PTH118 as os.walk spells them
        yield Path(folder), sorted(files, key=key)


@contextmanager
def locked(path: Path, *, waiting: bool = False) -> Iterator[bool | None]:
    """Hold the lock file `path` for this process, however it ends, and yield True; False where another one holds it.

    With `waiting` it waits for that one instead. None where there are no locks: on Windows and some network disks.
    """
    if sys.platform == "win32":
        yield None
        return
    import fcntl

    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if waiting else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError:
            yield None
            return
        yield True


def unsearchable(error: OSError) -> str:
    """The sentence about a folder whose names cannot be listed."""
    return f"{error.filename}: cannot be searched ({error.strerror}); allow it first"


def partial_of(path: Path, suffix: str = ".part") -> Path:
    """A name beside `path` for it while it is half-written, which nobody takes for a result and `remove_dead_partials` knows."""
    return path.with_name(f"{PARTIAL_PREFIX}{secrets.token_hex(6)}{suffix}")


def real(path: Path) -> Path:
    """Where links lead, as `Path.resolve`, which raises for one that leads to itself before Python 3.13."""
    return Path(os.path.realpath(path))


class TakenError(FileExistsError):
    """The name of a file that may not be replaced is that of another one by now."""


@contextmanager
def replacing(path: Path, *, overwrite: bool = True) -> Iterator[BinaryIO]:
    """A new file beside `path` that takes its name when the block ends well, and is removed when it does not.

    Without `overwrite`, TakenError is raised at the end if the name has been taken meanwhile.
    """
    partial = partial_of(path)
    try:
        with partial.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave an empty file under the final name
        if overwrite:
            partial.replace(path)
        else:
            _name(partial, path)
    finally:  # also for KeyboardInterrupt; after a success there is nothing of that name
        partial.unlink(missing_ok=True)


def _name(partial: Path, path: Path) -> None:
    """Give a file its name, or raise TakenError: of two programs that do it at once, one fails."""
    try:
        os.link(partial, path)  # what a rename replaces, a link does not
    except FileExistsError as error:
        raise TakenError from error
    except OSError as error:  # not every disk has links
        if is_taken(path):
            raise TakenError from error
        partial.replace(path)


def remove_dead_partials(folder: Path) -> None:
    """Remove half-written files that a kill or a power cut left in `folder` a day ago or earlier; what fails is left alone."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if re.fullmatch(rf"{re.escape(PARTIAL_PREFIX)}[0-9a-f]{{12}}\.\w+", entry.name):
                with suppress(OSError):
                    if time.time() - entry.stat(follow_symlinks=False).st_mtime > DEAD_SECONDS:
                        os.unlink(entry.path)  # noqa: PTH108  # a DirEntry is no Path


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 whole or not at all, through a link to where it leads, and into a pipe or device as it comes.

    Names of files that are not Unicode are written with backslashes. Raises DataError.
    """
    data = text.encode("utf-8", errors="backslashreplace")
    try:
        if (number := _opened(path)) is not None:
            with open(os.dup(number), "wb") as file:  # noqa: PTH123  # opened anew it would begin at its start, and be emptied
                file.write(data)
        elif _is_special(path):
            path.write_bytes(data)
        else:
            with replacing(real(path)) as file:
                file.write(data)
    except OSError as error:
        raise DataError(f"{path}: {disk_fact(error)}") from error


def is_stdout(path: Path) -> bool:
    """Whether it names the standard output of this process."""
    return _opened(path) == STDOUT


def _opened(path: Path) -> int | None:
    """The descriptor of this process that a path names, as /dev/stdout and /dev/fd/3 do."""
    match = OWN_DESCRIPTOR.fullmatch(str(path.absolute()))
    return None if match is None else STREAMS[match[1]] if match[1] else int(match[2])


def _is_special(path: Path) -> bool:
    """Whether nothing can take its place: a pipe, a device, or what a shell has opened (/dev/stdout)."""
    return exists(path) and not is_folder(path) and (not is_file(path) or bool(OPENED_BY_SHELLS.match(str(path.absolute()))))


def check_name(path: Path) -> None:
    """Raise OSError, as writing would at its end, for a name that is a folder's or that the disk does not take."""
    if is_folder(path):
        raise IsADirectoryError
    with suppress(FileNotFoundError):
        path.lstat()


def check_writable(path: Path) -> None:
    """Find out before long work whether a file could be written, by one that is removed again. Raises DataError."""
    if _is_special(path):
        return
    partial = partial_of(real(path))
    try:
        check_name(path)
        with partial.open("xb"):
            pass
        partial.unlink()
    except OSError as error:
        raise DataError(f"{path}: {disk_fact(error)}") from error


def disk_fact(error: Exception) -> str:
    """What went wrong and what to do about it."""
    match error:
        case TakenError():
            return "has appeared meanwhile; give --overwrite to replace it or write to another folder"
        case FileNotFoundError() | NotADirectoryError():
            return "its folder does not exist; create it first"
        case FileExistsError():
            return "what should be its folder is a file; write to another folder"
        case IsADirectoryError():
            return "is a folder; name a file in it"
        case PermissionError():
            return "may not be written by this user; write to another folder"
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return "the disk is full; free some space or write to another disk"
        case OSError(errno=errno.ENAMETOOLONG):
            return "its name is too long for this disk; give the file a shorter one"
        case OSError(errno=errno.EROFS):
            return "the disk is read-only; write to another folder"
        case OSError(strerror=str(fact)):
            return f"cannot be written ({fact}); write to another folder"
    return f"cannot be written ({str(error) or type(error).__name__})"
