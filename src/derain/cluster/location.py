"""Folders on a shared disk and in object stores, through the file systems of Arrow."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeAlias

from derain.errors import PictureError
from derain.files.atomic import TEMPORARY_PREFIX
from derain.files.paths import is_link, resolve
from derain.result_names import APPLE_DOUBLE_PREFIX, possible_sources
from derain.suffixes import PICTURE_SUFFIXES

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

Entry: TypeAlias = tuple[str, bool, bool]
"""Path of an entry of a folder, and whether it is a file, and a folder."""
STORE = re.compile(r"(s3|gs|gcs)://[^/]")
"""Addresses of object stores that Arrow opens."""

GIVE_UP_S = 60
"""Seconds after which a failing request to gs:// is not repeated. Google's client repeats it for 15
minutes, and prints nothing, if there is no network or there are no credentials."""


def is_store(text: str) -> bool:
    """True if a text is the address of an object store."""
    return STORE.match(text) is not None


@dataclass(frozen=True)
class Location:
    """A folder, with the file system that has it. It can be sent to other processes."""

    text: str
    """As the user names it, without a slash at the end."""
    filesystem: FileSystem
    path: str
    """Path for `filesystem`; absolute on a disk."""

    @property
    def is_local(self) -> bool:
        """True if it is a folder of a disk, which all machines see under the same path."""
        return not is_store(self.text)

    def named(self, name: str) -> str:
        """Return the address of a file in it without credentials, for messages and reports."""
        return f"{_shown(self.text).rstrip('/')}/{name}"

    def inner(self, name: str) -> str:
        """Return the path of a file in it, for `filesystem`."""
        return f"{self.path}/{name}"

    def is_same(self, other: Location) -> bool:
        """True if it is the same folder as another one."""
        return self.path == other.path and self.has_store_of(other)

    def has_store_of(self, other: Location) -> bool:
        """True if both are on the disk, or in the same object store."""
        return bool(self.filesystem.equals(other.filesystem))

    def has(self, name: str) -> bool:
        """True if a file of that name exists and is not empty."""
        if self.is_local:
            with suppress(OSError):
                return Path(self.inner(name)).stat().st_size > 0
            return False
        (info,) = self.filesystem.get_file_info([self.inner(_store_name(name))])
        return bool(info.size)

    def read(self, name: str) -> bytes:
        """Return the contents of a file. Raises PictureError."""
        try:
            if self.is_local:
                return Path(self.inner(name)).read_bytes()
            with self.filesystem.open_input_file(self.inner(name)) as file:
                return bytes(file.read())
        except OSError as error:
            raise PictureError(
                f"{self.named(name)}: cannot be read ({_text(error)}); check that it is there "
                "and its permissions"
            ) from error

    def write(self, name: str, data: bytes) -> None:
        """Write a file, which appears complete or not at all. Raises PictureError."""
        try:
            with self.filesystem.open_output_stream(self.inner(name)) as file:
                file.write(data)
            (info,) = self.filesystem.get_file_info([self.inner(name)])
            if info.size != len(data):
                self.filesystem.delete_file(self.inner(name))
                raise OSError(f"{info.size} of {len(data)} bytes were stored")
        except OSError as error:
            raise PictureError(
                f"{self.named(name)}: cannot be written ({_text(error)}); check the permissions "
                "and the network"
            ) from error


def open_location(text: str) -> Location:
    """Return a folder of a disk or an object store.

    Raises PictureError for an address that Arrow does not open.
    """
    from pyarrow import ArrowException
    from pyarrow.fs import FileSystem, LocalFileSystem

    if not is_store(text):
        path = str(resolve(Path(text)))
        return Location(path, LocalFileSystem(), path)
    address = text
    if not text.startswith("s3:") and "retry_limit_seconds=" not in text:
        address += f"{'&' if '?' in text else '?'}retry_limit_seconds={GIVE_UP_S}"
    try:
        filesystem, path = FileSystem.from_uri(address)
    except (ArrowException, OSError, ValueError) as error:
        raise PictureError(
            f"{_shown(text)}: cannot be opened ({_text(error)}); check the address and the "
            "credentials"
        ) from error
    return Location(text.rstrip("/"), filesystem, path.rstrip("/"))


def list_names(folder: Location, *, excluded: Location | None = None) -> Iterator[str]:
    """Yield the names of the pictures below a folder, relative to it.

    A disk and S3 are listed one directory at a time. gs:// is listed at once: Arrow does not report
    its directories unless each has an object of its own, which most tools that upload do not write.
    Hidden folders, `excluded`, and results of an earlier run beside their sources are skipped.
    Links to other folders, or to files outside of the folder, are not followed. Raises PictureError
    for a folder that is missing.
    """
    from pyarrow.fs import FileSelector, FileType

    at_once = folder.filesystem.type_name == "gcs"

    def entries_in(path: str) -> list[Entry]:
        try:
            if folder.is_local:
                return _entries_on_disk(path)
            infos = folder.filesystem.get_file_info(FileSelector(path, recursive=at_once))
        except OSError as error:
            raise PictureError(
                f"{_shown(folder.text)}: cannot be listed ({_text(error)}); check the address and "
                "the permissions"
            ) from error
        return sorted(
            (str(info.path), info.type == FileType.File, info.type == FileType.Directory)
            for info in infos
        )

    def is_skipped(path: PurePosixPath) -> bool:
        inner = path.relative_to(folder.path)
        return any(
            part.name.startswith(".") or folder.inner(str(part)) == skipped
            for part in (inner, *inner.parents)
            if part.name
        )

    def leads_out(photo: Path) -> bool:
        return folder.is_local and is_link(photo) and not resolve(photo).is_relative_to(folder.path)

    skipped = excluded.path if excluded is not None and folder.has_store_of(excluded) else None
    pending = [folder.path]
    while pending:
        entries = entries_in(pending.pop())
        photos = [
            Path(path)
            for path, is_file, _ in entries
            if is_file
            and is_picture(PurePosixPath(path).name)
            and not (at_once and is_skipped(PurePosixPath(path).parent))
        ]
        names = {photo.with_suffix("") for photo in photos}
        for photo in photos:
            if not possible_sources(photo) & names and not leads_out(photo):
                yield photo.relative_to(folder.path).as_posix()
        if not at_once:
            pending += [
                path
                for path, _, is_directory in reversed(entries)
                if is_directory
                and not is_skipped(PurePosixPath(path))
                and not (folder.is_local and is_link(Path(path)))
            ]


def _entries_on_disk(folder: str) -> list[Entry]:
    """List a folder. Arrow would not return names that are not UTF-8. Raises OSError."""
    with os.scandir(folder) as entries:
        return sorted((entry.path, entry.is_file(), entry.is_dir()) for entry in entries)


def _store_name(name: str) -> str:
    """Return a name that an object store can have. Raises PictureError."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise PictureError(
            f"{name}: has a name that is not UTF-8, which an object store cannot keep; rename it"
        ) from error
    return name


def is_picture(name: str) -> bool:
    """True if a file looks like a picture of the user's."""
    return Path(name).suffix.lower() in PICTURE_SUFFIXES and not name.startswith(
        (APPLE_DOUBLE_PREFIX, TEMPORARY_PREFIX)
    )


def _shown(text: str) -> str:
    """Return the address of a store without credentials and options, or a path as it is."""
    return re.sub("//[^/@]*@", "//", text.partition("?")[0]) if is_store(text) else text


def _text(error: Exception) -> str:
    """Return the first line of an error."""
    return str(error).partition("\n")[0]
