"""A clip that cannot be read or written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import av.error

from derain.errors import DerainError, PictureError


class VideoError(DerainError):
    """The text is one sentence or two: the file, the fact, the remedy."""


@contextmanager
def told_of(name: str) -> Iterator[None]:
    """Whatever FFmpeg or the disk raises in this block becomes a VideoError that begins with `name`."""
    try:
        yield
    except FileNotFoundError as error:
        raise VideoError(f"{name}: there is no such file or folder; check the spelling") from error
    except PermissionError as error:
        raise VideoError(f"{name}: may not be opened by this user; change its permissions or write elsewhere with -o") from error
    except BrokenPipeError as error:
        raise VideoError(f"{name}: nobody reads what is written there any more; look at the program behind the pipe") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise VideoError(f"{name}: FFmpeg refuses it ({reason}); check it with `ffprobe`, or convert it first") from error


@contextmanager
def frames_of(name: str) -> Iterator[None]:
    """A PictureError about a frame, which does not know where it comes from, begins with `name`."""
    try:
        yield
    except PictureError as error:
        raise PictureError(f"{name}: {error}") from error
