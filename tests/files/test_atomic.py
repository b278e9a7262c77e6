"""Files appear under their name complete, or not at all."""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path

import pytest

from derain.errors import DataError, PictureError
from derain.files import atomic
from derain.files.atomic import (
    AtomicFile,
    atomic_write,
    check_writable,
    is_stdout,
    remove_stale_temporaries,
    temporary_beside,
    write_text,
    writing,
)
from derain.files.messages import TargetExistsError, explain_os_error


def test_file_appears_with_commit(tmp_path):
    target = AtomicFile(tmp_path / "out.txt")
    target.file.write(b"new")
    assert not (tmp_path / "out.txt").exists()
    target.commit()
    assert (tmp_path / "out.txt").read_bytes() == b"new"


def test_discard_leaves_nothing(tmp_path):
    target = AtomicFile(tmp_path / "out.txt")
    target.file.write(b"new")
    target.discard()
    assert list(tmp_path.iterdir()) == []


def test_discard_after_commit_keeps_the_file(tmp_path):
    target = AtomicFile(tmp_path / "out.txt")
    target.commit()
    target.discard()
    assert (tmp_path / "out.txt").exists()


def test_temporary_that_cannot_be_removed_hides_no_result(tmp_path, monkeypatch):
    def refuse(path, **_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    with atomic_write(tmp_path / "out.txt") as file:
        file.write(b"new")
    assert (tmp_path / "out.txt").read_bytes() == b"new"


def test_failed_block_keeps_the_existing_file(tmp_path):
    (tmp_path / "out.txt").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / "out.txt") as file:
        file.write(b"new")
        raise KeyboardInterrupt
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


@pytest.fixture(params=[True, False], ids=["links", "no links"])
def file_system(request, monkeypatch):
    """A file system with or without hard links."""
    if not request.param:

        def fail(*_: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(atomic.os, "link", fail)


def test_new_file_without_overwrite(file_system, tmp_path):
    with atomic_write(tmp_path / "out.txt", overwrite=False) as file:
        file.write(b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"new"]


def test_existing_file_without_overwrite(file_system, tmp_path):
    (tmp_path / "out.txt").write_bytes(b"old")
    with (
        pytest.raises(TargetExistsError),
        atomic_write(tmp_path / "out.txt", overwrite=False) as file,
    ):
        file.write(b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_empty_file_is_replaced_without_overwrite(file_system, tmp_path):
    (tmp_path / "out.txt").touch()
    with atomic_write(tmp_path / "out.txt", overwrite=False) as file:
        file.write(b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"new"]


@pytest.fixture
def failing_fsync(monkeypatch):
    """`failing_fsync(errno.EIO)`: a disk that answers fsync with this error."""

    def fail_with(number: int) -> None:
        def fail(descriptor: int) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(atomic.os, "fsync", fail)

    return fail_with


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP])
def test_disk_without_fsync(number, failing_fsync, tmp_path):
    """Some network disks and FUSE file systems."""
    failing_fsync(number)
    with atomic_write(tmp_path / "out.txt") as file:
        file.write(b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"new"]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_file_that_does_not_reach_the_disk_is_removed(number, failing_fsync, tmp_path):
    failing_fsync(number)
    with pytest.raises(OSError, match=os.strerror(number)), atomic_write(tmp_path / "a") as file:
        file.write(b"new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permissions of groups and others")
@pytest.mark.parametrize(
    ("source_mode", "umask", "mode"),
    [(0o600, 0o022, 0o600), (0o644, 0o077, 0o600), (0o777, 0o022, 0o644), (0o664, 0o002, 0o664)],
)
def test_permissions_of_another_file(source_mode, umask, mode, tmp_path):
    source, out = tmp_path / "in.txt", tmp_path / "out.txt"
    source.touch()
    source.chmod(source_mode)
    before = os.umask(umask)
    try:
        with atomic_write(out, permissions_of=source) as file:
            # already before anything is written
            assert os.fstat(file.fileno()).st_mode & 0o777 == mode
    finally:
        os.umask(before)
    assert out.stat().st_mode & 0o777 == mode


def test_read_only_source_leaves_no_temporary_file_on_windows(tmp_path, monkeypatch):
    """A camera sets the attribute for pictures that its owner protects; Windows then refuses."""
    source, out, unlink = tmp_path / "in.jpg", tmp_path / "out.jpg", os.unlink

    def refuse_read_only(path, *arguments, **options):
        if not Path(path).stat().st_mode & stat.S_IWUSR:
            raise PermissionError(errno.EACCES, "Access is denied")
        unlink(path, *arguments, **options)

    source.touch()
    source.chmod(stat.S_IREAD)
    monkeypatch.setattr(atomic.os, "unlink", refuse_read_only)
    monkeypatch.setattr("sys.platform", "win32")
    with atomic_write(out, overwrite=False, permissions_of=source) as file:
        file.write(b"new")
    assert {path.name for path in tmp_path.iterdir()} == {"in.jpg", "out.jpg"}
    assert out.stat().st_mode & stat.S_IWUSR


def test_permissions_of_a_missing_file_are_ignored(tmp_path):
    with atomic_write(tmp_path / "out.txt", permissions_of=tmp_path / "missing"):
        pass
    assert (tmp_path / "out.txt").exists()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (TargetExistsError(), "exists by now; use --overwrite"),
        (FileNotFoundError(), "its folder does not exist; create it first"),
        (FileExistsError(), "a file has the name of its folder"),
        (IsADirectoryError(), "is a folder; name a file in it"),
        (PermissionError(), "permission denied; write to another folder"),
        (OSError(errno.ENOSPC, "No space left"), "the disk is full; free some space"),
        (OSError(errno.ENAMETOOLONG, "Too long"), "the name is too long for this disk"),
        (OSError(errno.EROFS, "Read-only"), "the disk is read-only; write to another folder"),
        (OSError(errno.EIO, "Input/output error"), r"cannot be written \(Input/output error\)"),
        (OSError("odd"), r"cannot be written \(odd\)"),
    ],
)
def test_os_errors_become_messages(error, message, tmp_path):
    path = tmp_path / "out.txt"
    with pytest.raises(PictureError, match=f"^{path}: {message}"), writing(path, PictureError):
        raise error


@pytest.mark.parametrize(
    ("platform", "length", "message"),
    [
        ("win32", 260, "its path is too long for Windows; write to another folder"),
        ("win32", 100, "its folder does not exist"),
        ("linux", 260, "its folder does not exist"),
    ],
)
def test_long_path_is_not_called_a_missing_folder(platform, length, message, monkeypatch):
    """Windows calls it missing."""
    monkeypatch.setattr("sys.platform", platform)
    path = "/".ljust(length, "x")
    assert explain_os_error(FileNotFoundError(errno.ENOENT, "", path)).startswith(message)


@pytest.mark.parametrize(("age_s", "is_removed"), [(25 * 3600, True), (23 * 3600, False)])
def test_stale_temporaries_are_removed(age_s, is_removed, tmp_path):
    temporary = temporary_beside(tmp_path / "out.txt")
    temporary.touch()
    os.utime(temporary, (time.time() - age_s,) * 2)
    remove_stale_temporaries(tmp_path)
    assert temporary.exists() != is_removed


def test_other_old_files_are_kept(tmp_path):
    (tmp_path / ".derain-notes.txt").touch()
    os.utime(tmp_path / ".derain-notes.txt", (0, 0))
    remove_stale_temporaries(tmp_path)
    assert (tmp_path / ".derain-notes.txt").exists()


def test_stale_temporaries_of_a_missing_folder_are_ignored(tmp_path):
    remove_stale_temporaries(tmp_path / "missing")


def test_text_is_written_through_a_link(tmp_path):
    (tmp_path / "link.txt").symlink_to(tmp_path / "out.txt")
    write_text(tmp_path / "link.txt", "café")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "out.txt").read_text(encoding="utf-8") == "café"


def test_invalid_unicode_is_escaped(tmp_path):
    write_text(tmp_path / "out.txt", "a\udcffb")
    assert (tmp_path / "out.txt").read_text(encoding="utf-8") == r"a\udcffb"


def test_text_into_a_missing_folder(tmp_path):
    with pytest.raises(DataError, match="its folder does not exist"):
        write_text(tmp_path / "missing" / "out.txt", "text")


def test_check_writable_leaves_nothing(tmp_path):
    check_writable(tmp_path / "out.txt")
    assert list(tmp_path.iterdir()) == []


def test_check_writable_rejects_a_folder(tmp_path):
    with pytest.raises(DataError, match="is a folder"):
        check_writable(tmp_path)


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_names_of_stdout(name, tmp_path):
    assert is_stdout(tmp_path / name)


@pytest.mark.parametrize("name", ["/dev/stderr", "/dev/fd/2", "stdout"])
def test_other_names_are_not_stdout(name, tmp_path):
    assert not is_stdout(tmp_path / name)
