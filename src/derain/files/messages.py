"""Messages about failed file operations: first the fact, then the remedy."""

from __future__ import annotations

import errno
import os
import sys


class TargetExistsError(FileExistsError):
    """A target that exists, or appeared after it was checked, and must not be overwritten."""


TOO_MANY_FILES = "too many files are open; raise the limit (`ulimit -n`) or use a smaller --jobs"
"""Fact and remedy for EMFILE and ENFILE."""

MAX_WINDOWS_PATH = 259
"""Characters of a path on Windows, unless its owner allows more."""


def listing_error(error: OSError) -> str:
    """Return the message for a folder that cannot be listed."""
    return f"{error.filename}: cannot be listed ({error.strerror}); check its permissions"


def explain_read_error(error: OSError) -> str:
    """Return what went wrong on the disk while reading a file, and what to do about it."""
    if isinstance(error, FileNotFoundError):
        return "no such file; check the spelling"
    if isinstance(error, IsADirectoryError):
        return "is a folder; name a file in it"
    if isinstance(error, PermissionError):
        return "permission denied; make it readable (chmod +r)"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return TOO_MANY_FILES
    return f"cannot be read ({error.strerror or error}); check its disk and try again"


def explain_os_error(error: Exception) -> str:
    """Return what went wrong while writing a file, and what to do about it."""
    match error:
        case TargetExistsError():
            return (
                "exists by now; use --overwrite (in Python: overwrite=True) to replace it, "
                "or write to another folder"
            )
        case FileNotFoundError(filename=str(name)) if _is_too_long_for_windows(name):
            return (
                "its path is too long for Windows; "
                "write to another folder, or allow long paths in the settings of Windows"
            )
        case FileNotFoundError() | NotADirectoryError():
            return "its folder does not exist; create it first"
        case FileExistsError():
            return "a file has the name of its folder; write to another folder"
        case IsADirectoryError():
            return "is a folder; name a file in it"
        case PermissionError():
            return "permission denied; write to another folder"
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return "the disk is full; free some space or write to another disk"
        case OSError(errno=errno.ENAMETOOLONG):
            return "the name is too long for this disk; choose a shorter one"
        case OSError(errno=errno.EROFS):
            return "the disk is read-only; write to another folder"
        case OSError(errno=errno.EMFILE | errno.ENFILE):
            return TOO_MANY_FILES
        case OSError(strerror=str(fact)):
            return f"cannot be written ({fact}); write to another folder"
    return f"cannot be written ({str(error) or type(error).__name__})"


def _is_too_long_for_windows(name: str) -> bool:
    """True for a path that Windows reports as missing because of its length."""
    return sys.platform == "win32" and len(os.path.abspath(name)) > MAX_WINDOWS_PATH  # noqa: PTH100
