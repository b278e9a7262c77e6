"""A clip that cannot be read or written."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import av.error

from derain.errors import DerainError, PictureError
from derain.files import disk_fact

DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENAMETOOLONG}
"""What is the fault of a disk and not of a clip."""


AS_INPUT, AS_OUTPUT = "check it with `ffprobe`, or convert it first", "write another format with -o: .mkv takes nearly everything"
"""What helps where FFmpeg refuses a file."""


class VideoError(DerainError):
    """The text is one sentence or two: the file, the fact, the remedy."""


@contextmanager
def told_of(name: str, remedy: str = AS_INPUT) -> Iterator[None]:
    """Whatever FFmpeg or the disk raises in this block becomes a VideoError that begins with `name`; `remedy` is FFmpeg's."""
    try:
        yield
    except FileNotFoundError as error:
        raise VideoError(f"{name}: there is no such file or folder; check the spelling") from error
    except PermissionError as error:
        raise VideoError(f"{name}: may not be opened by this user; change its permissions or write elsewhere with -o") from error
    except BrokenPipeError as error:
        raise VideoError(f"{name}: nobody reads what is written there any more; look at the program behind the pipe") from error
    except OSError as error:
        if error.errno not in DISK:
            raise _refusal(name, error, remedy) from error
        raise VideoError(f"{name}: {disk_fact(OSError(error.errno, error.strerror))}") from error
    except (av.error.FFmpegError, ValueError) as error:
        raise _refusal(name, error, remedy) from error


def _refusal(name: str, error: Exception, remedy: str) -> VideoError:
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    return VideoError(f"{name}: FFmpeg refuses it ({reason}); {remedy}")


@contextmanager
def frames_of(name: str) -> Iterator[None]:
    """A PictureError about a frame, which does not know where it comes from, begins with `name`."""
    try:
        yield
    except PictureError as error:
        raise PictureError(f"{name}: {error}") from error
