"""Atomic writes: a file appears under its name complete, or not at all."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from derain.errors import DataError, DerainError
from derain.files.messages import TargetExistsError, explain_os_error
from derain.files.paths import check_target_name, exists, is_file, is_folder, is_taken, resolve

TEMPORARY_PREFIX = ".derain-"
"""Prefix of temporary files."""
STALE_AFTER_S = 24 * 3600
"""Age at which a temporary file is assumed to be abandoned, on this or any other machine."""
OPENED_BY_SHELLS = re.compile(r"/dev/(stdin|stdout|stderr|fd/)|/proc/")
"""Paths of descriptors that a shell has opened, for example for a redirection."""
NO_SYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""Errors of `fsync` on file systems without it, such as some network disks and FUSE."""
STDOUT = 1
STREAMS = {"stdin": 0, "stdout": STDOUT, "stderr": 2}
OWN_DESCRIPTOR = re.compile(rf"/dev/({'|'.join(STREAMS)})|(?:/dev|/proc/self)/fd/(\d{{1,9}})")


def temporary_beside(path: Path, suffix: str = ".part") -> Path:
    """Return a new temporary name in the folder of `path`.

    `remove_stale_temporaries` recognises such names.
    """
    return path.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}{suffix}")


class AtomicFile:
    """A temporary file that takes the name `path` with `commit()` and disappears with `discard()`.

    Raises OSError wherever the operating system does.
    """

    def __init__(self, path: Path, *, permissions_of: Path | None = None) -> None:
        """`permissions_of` is another file; permissions that it lacks are removed here too."""
        self.path = path
        self._temporary = temporary_beside(path)
        self.file: BinaryIO = self._temporary.open("x+b")
        if permissions_of is not None:
            restrict_permissions(self._temporary, permissions_of)

    def commit(self, *, overwrite: bool = True) -> None:
        """Give the file its name.

        Without `overwrite`, raises TargetExistsError if the name is in use by now, except by an
        empty file.
        """
        try:
            self.file.flush()
            sync(self.file)
            self.file.close()
            rename(self._temporary, self.path, overwrite=overwrite)
        finally:
            self.discard()

    def discard(self) -> None:
        """Close and remove the temporary file; do nothing after `commit`."""
        with suppress(OSError):  # the buffer cannot be flushed to a full disk
            self.file.close()
        with suppress(OSError):  # it remains as a stale file
            self._temporary.unlink(missing_ok=True)


@contextmanager
def atomic_write(
    path: Path, *, overwrite: bool = True, permissions_of: Path | None = None
) -> Iterator[BinaryIO]:
    """Yield a temporary file that takes the name `path` when the block succeeds.

    The file is removed when the block fails. `permissions_of` is another file; permissions that it
    lacks are removed here too.

    Without `overwrite`, raises TargetExistsError at the end if the name is in use by then, except
    by an empty file.
    """
    target = AtomicFile(path, permissions_of=permissions_of)
    try:
        yield target.file
        target.commit(overwrite=overwrite)
    finally:  # also for KeyboardInterrupt
        target.discard()


@contextmanager
def atomic_folders(parent: Path, names: Sequence[str]) -> Iterator[Path]:
    """Yield a temporary folder, whose folders `names` move to `parent` when the block succeeds.

    They are removed when the block fails. Raises DataError if `parent` cannot be written, or has a
    folder of such a name that is not empty.
    """
    temporary = temporary_beside(parent / names[0])
    try:
        with writing(parent, DataError):
            for name in names:
                (temporary / name).mkdir(parents=True)
        yield temporary
        with writing(parent, DataError):
            for name in names:
                with suppress(FileNotFoundError):
                    (parent / name).rmdir()  # Windows does not replace a folder
                (temporary / name).replace(parent / name)
    finally:  # also for KeyboardInterrupt
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def writing(path: Path, error: type[DerainError]) -> Iterator[None]:
    """Turn an OSError of the block into `error` with a message about `path`."""
    try:
        yield
    except OSError as os_error:
        raise error(f"{path}: {explain_os_error(os_error)}") from os_error


def restrict_permissions(path: Path, other: Path, *, keep: int = 0) -> None:
    """Remove permissions that `other` does not have, except those in `keep`.

    Does nothing on file systems without permissions, and on Windows. There, `chmod` knows only the
    attribute "read-only", and a file that has it can be neither renamed over nor removed: a
    temporary file would stay.
    """
    if sys.platform == "win32":
        return
    with suppress(OSError):
        path.chmod(stat.S_IMODE(path.stat().st_mode & (other.stat().st_mode | keep)))


def sync(file: BinaryIO) -> None:
    """Wait until the content of a file is on the disk.

    Otherwise, a power cut could leave an empty file under the final name. Does nothing on file
    systems that do not support it. Raises OSError.
    """
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise


def rename(temporary: Path, path: Path, *, overwrite: bool) -> None:
    """Give a temporary file its name.

    Without `overwrite`, raises TargetExistsError if a file with content has that name. If two
    programs do this at the same time, one of them raises it.
    """
    if overwrite:
        temporary.replace(path)
        return
    try:
        os.link(temporary, path)  # unlike a rename, a link never replaces
    except OSError as error:  # the name is in use, or the file system has no links
        if is_taken(path):
            raise TargetExistsError from error
        temporary.replace(path)


def remove_stale_temporaries(folder: Path) -> None:
    """Remove temporary files that killed processes left in `folder` at least a day ago.

    Failures are ignored.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if re.fullmatch(rf"{re.escape(TEMPORARY_PREFIX)}[0-9a-f]{{12}}\.\w+", entry.name):
                with suppress(OSError):
                    if time.time() - entry.stat(follow_symlinks=False).st_mtime > STALE_AFTER_S:
                        os.unlink(entry.path)  # noqa: PTH108  # a DirEntry is not a Path


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 atomically, following links; pipes and devices are written directly.

    File names that are not valid Unicode are written with backslash escapes. Raises DataError.
    """
    data = text.encode("utf-8", errors="backslashreplace")
    with writing(path, DataError):
        if (number := _own_descriptor(path)) is not None:
            # opening the path again would truncate a redirected file
            with open(os.dup(number), "wb") as file:  # noqa: PTH123
                file.write(data)
        elif _is_special(path):
            path.write_bytes(data)
        else:
            with atomic_write(resolve(path)) as file:
                file.write(data)


def is_stdout(path: Path) -> bool:
    """True if the path names the standard output of this process."""
    return _own_descriptor(path) == STDOUT


def check_writable(path: Path) -> None:
    """Check before a long job that `path` can be written. Raises DataError.

    Creates and removes a temporary file beside it.
    """
    if _is_special(path):
        return
    temporary = temporary_beside(resolve(path))
    with writing(path, DataError):
        check_target_name(path)
        with temporary.open("xb"):
            pass
        temporary.unlink()


def _own_descriptor(path: Path) -> int | None:
    """Return the descriptor that a path such as /dev/stdout or /dev/fd/3 names.

    None for any other path.
    """
    match = OWN_DESCRIPTOR.fullmatch(str(path.absolute()))
    return None if match is None else STREAMS[match[1]] if match[1] else int(match[2])


def _is_special(path: Path) -> bool:
    """True for a pipe, a device, or a descriptor that a shell has opened.

    A file cannot be renamed over any of these.
    """
    opened_by_shell = bool(OPENED_BY_SHELLS.match(str(path.absolute())))
    return exists(path) and not is_folder(path) and (not is_file(path) or opened_by_shell)
