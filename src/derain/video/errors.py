"""A clip that cannot be read or written."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import av.error

from derain.errors import DerainError, PictureError
from derain.files.messages import explain_os_error
from derain.suffixes import HOLDING

DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENAMETOOLONG}
"""What is the fault of a disk and not of a clip."""


AS_INPUT = "check it with `ffprobe`, or convert it first"
"""What helps where FFmpeg refuses to read a file."""


class VideoError(DerainError):
    """The text is one sentence or two: the file, the fact, the remedy."""


def as_output(suffix: str) -> str:
    """What helps where FFmpeg refuses to write a file whose name ends with `suffix`."""
    if suffix.lower() == HOLDING:
        return (
            "check the clip with `ffprobe`, or mend it first by `ffmpeg -i CLIP -c copy MENDED.mkv`"
        )
    return f"write another format with -o: {HOLDING} takes nearly everything"


def is_of_disk(number: int | None) -> bool:
    """Whether an error of such a number is the fault of a disk, and not of a clip."""
    return number in DISK


@contextmanager
def ffmpeg_errors(name: str, remedy: str = AS_INPUT) -> Iterator[None]:
    """Whatever FFmpeg or the disk raises in this block becomes a VideoError that begins with `name`; `remedy` is FFmpeg's."""
    try:
        yield
    except FileNotFoundError as error:
        raise VideoError(f"{name}: there is no such file or folder; check the spelling") from error
    except PermissionError as error:
        if (
            error.errno == errno.EPERM
        ):  # what encoders say that find no device of theirs; files say EACCES
            raise _refusal(name, error, remedy) from error
        raise VideoError(
            f"{name}: may not be opened by this user; change its permissions or write elsewhere with -o"
        ) from error
    except BrokenPipeError as error:
        raise VideoError(
            f"{name}: nobody reads what is written there any more; look at the program behind the pipe"
        ) from error
    except OSError as error:
        if not is_of_disk(error.errno):
            raise _refusal(name, error, remedy) from error
        raise VideoError(
            f"{name}: {explain_os_error(OSError(error.errno, error.strerror))}"
        ) from error
    except (av.error.FFmpegError, ValueError) as error:
        raise _refusal(name, error, remedy) from error


def _refusal(name: str, error: Exception, remedy: str) -> VideoError:
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    return VideoError(f"{name}: FFmpeg refuses it ({reason}); {remedy}")


@contextmanager
def frame_errors(name: str) -> Iterator[None]:
    """A PictureError about a frame, which does not know where it comes from, begins with `name`; no memory is told as well."""
    try:
        yield
    except PictureError as error:
        raise PictureError(f"{name}: {error}") from error
    except MemoryError as error:
        raise VideoError(
            f"{name}: there is not enough memory to restore it; give a smaller --limit-mib"
        ) from error
