"""Errors of FFmpeg and the operating system as messages about a clip."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import av.error

from derain.errors import PictureError, VideoError, explain_failure
from derain.files.messages import TargetExistsError, explain_os_error, explain_read_error
from derain.suffixes import MATROSKA

DISK_ERRORS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.ENAMETOOLONG,
    errno.EMFILE,
    errno.ENFILE,
}
"""Errors caused by the disk or a limit of the system, not by the clip."""
INPUT_REMEDY = "check it with `ffprobe`, or convert it first"
"""Remedy when FFmpeg cannot read a file."""


def remedy_for_output(suffix: str) -> str:
    """Return the remedy for a file with this suffix that FFmpeg cannot write."""
    if suffix.lower() == MATROSKA:
        return "check the clip with `ffprobe`, or repair it with `ffmpeg -i CLIP -c copy FIXED.mkv`"
    return f"write another format with -o, for example {MATROSKA}"


def is_disk_error(number: int | None) -> bool:
    """True if an errno of FFmpeg blames the disk or the system and not the clip."""
    return number in DISK_ERRORS


@contextmanager
def ffmpeg_errors(name: str, output_remedy: str | None = None) -> Iterator[None]:
    """Turn errors of FFmpeg and the disk into a VideoError that begins with `name`.

    `output_remedy` ends the message of FFmpeg's errors about a file that is being written; without
    it, the file is being read.
    """
    remedy = INPUT_REMEDY if output_remedy is None else output_remedy
    try:
        yield
    except TargetExistsError as error:
        raise VideoError(f"{name}: {explain_os_error(error)}") from error
    except FileNotFoundError as error:
        raise VideoError(f"{name}: no such file or folder; check the spelling") from error
    except PermissionError as error:
        # encoders without their device report EPERM, files EACCES
        if error.errno == errno.EPERM and isinstance(error, av.error.FFmpegError):
            raise _ffmpeg_error(name, error, remedy) from error
        raise VideoError(
            f"{name}: permission denied; change its permissions or write elsewhere with -o"
        ) from error
    except BrokenPipeError as error:
        raise VideoError(
            f"{name}: the reading end of the pipe was closed; check the program behind it"
        ) from error
    except OSError as error:
        if isinstance(error, av.error.FFmpegError) and not is_disk_error(error.errno):
            raise _ffmpeg_error(name, error, remedy) from error
        explain = explain_read_error if output_remedy is None else explain_os_error
        reason = explain(OSError(error.errno, error.strerror))
        raise VideoError(f"{name}: {reason}") from error
    except (av.error.FFmpegError, ValueError) as error:
        raise _ffmpeg_error(name, error, remedy) from error


def _ffmpeg_error(name: str, error: Exception, remedy: str) -> VideoError:
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    return VideoError(f"{name}: FFmpeg reports an error ({reason}); {remedy}")


@contextmanager
def frame_errors(name: str) -> Iterator[None]:
    """Add the name of the clip to a PictureError, and turn MemoryError into a VideoError."""
    try:
        yield
    except PictureError as error:
        raise PictureError(f"{name}: {error}") from error
    except MemoryError as error:
        raise VideoError(explain_failure(name, error)) from error
