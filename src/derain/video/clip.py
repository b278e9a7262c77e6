"""`restore_clip`: restore a clip into a clip."""

from __future__ import annotations

import itertools
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from derain.errors import DerainError, VideoError
from derain.files.atomic import (
    remove_stale_temporaries,
    rename,
    restrict_permissions,
    sync,
    temporary_beside,
    writing,
)
from derain.files.messages import TargetExistsError
from derain.files.paths import check_target_name, exists, is_taken
from derain.inference.restorer import Restorer
from derain.video.clip_reader import ClipReader
from derain.video.clip_writer import ClipWriter
from derain.video.codecs import Encoding, choose_encoding
from derain.video.containers import WITHOUT_ORIGIN
from derain.video.errors import frame_errors
from derain.video.frames import FrameOptions, VideoResult, restore_frames, with_neighbours
from derain.video.pipeline import run_pipeline

MAX_REJECTED_SHARE = 0.05
"""Share of the audio and subtitle packets above which their loss is a problem, not a blemish."""
PARTIAL_SUFFIX = "_partial"
"""End of the name of an unfinished clip; further ones get a number after it."""
OWNER_ACCESS = stat.S_IRUSR | stat.S_IWUSR
"""Permissions that are needed while a clip is written."""
MAX_NAME_BYTES = 255
"""Maximum length of a file name in bytes on most file systems."""


def restore_clip(
    path: str | Path,
    target: str | Path,
    restorer: Restorer,
    options: FrameOptions | None = None,
    *,
    overwrite: bool = False,
    codec: str | None = None,
    crf: float | None = None,
    on_start: Callable[[int | None], None] = lambda frame_count: None,
    on_frame: Callable[[], None] = lambda: None,
) -> VideoResult:
    """Restore the frames of a clip; keep audio, subtitles, chapters, rotation, colours and times.

    `target` appears when it is complete, without permissions that the clip lacks. An existing one
    is an error, or with `overwrite` replaced; an empty file does not count. After Ctrl-C or a
    failure, the frames so far are in `target` with PARTIAL_SUFFIX, or nowhere if there are none.
    `on_start(frame_count)` is called once, with None for an unknown count, and `on_frame()` after
    each frame.
    Raises VideoError for errors of FFmpeg and the disk.
    """
    path, target = Path(path), Path(target)
    # a part of a stream keeps its place in it
    keeps_clock = target.suffix.lower() in WITHOUT_ORIGIN
    with ClipReader(path, str(path), keeps_clock=keeps_clock) as reader:
        encoding = _choose_encoding(reader, target, codec, crf)
        with writing(target, VideoError):  # before the long work
            check_target_name(target)
            if is_taken(target) and not overwrite:
                raise TargetExistsError
        remove_stale_temporaries(target.parent)
        temporary = temporary_beside(target, target.suffix)  # FFmpeg derives the format from it
        try:
            with writing(target, VideoError):
                temporary.touch(exist_ok=False)
            restrict_permissions(temporary, path, keep=OWNER_ACCESS)
            writer = ClipWriter(temporary, str(target), reader, encoding)
            on_start(reader.frame_count)
            result = _run(reader, writer, restorer, options or FrameOptions(), on_frame)
            result.notes[:0] = [*encoding.notes, *reader.omissions]
            if not result.was_interrupted:
                _finish(temporary, target, source=path, overwrite=overwrite)
            elif writer.frame_count:
                kept = _keep_partial(temporary, target)
                result.notes.append(f"the first {writer.frame_count} frames are in {kept}")
            return result
        except _UnfinishedError as error:
            if not _is_playable(temporary):
                raise error.reason from error.reason.__cause__
            kept = _keep_partial(temporary, target)
            raise VideoError(
                f"{error.reason}; the frames before it are in {kept}"
            ) from error.reason.__cause__
        finally:
            with suppress(OSError):  # the folder may be missing or inaccessible
                temporary.unlink(missing_ok=True)


class _UnfinishedError(Exception):
    """Some frames were restored, but the clip could not be finished."""

    def __init__(self, reason: DerainError) -> None:
        super().__init__(str(reason))
        self.reason = reason


def _finish(temporary: Path, target: Path, *, source: Path, overwrite: bool) -> None:
    """Give a complete clip its permissions and its name."""
    try:
        with writing(target, VideoError):
            with temporary.open("rb+") as file:
                sync(file)
            restrict_permissions(temporary, source)
            rename(temporary, target, overwrite=overwrite)
    except VideoError as error:
        raise _UnfinishedError(error) from error


def _keep_partial(temporary: Path, target: Path) -> Path:
    """Rename an unfinished clip and return its name, which no earlier one has.

    A name that is too long is truncated.
    """
    stem = target.stem
    while stem and len(os.fsencode(f"{stem}{PARTIAL_SUFFIX}_100{target.suffix}")) > MAX_NAME_BYTES:
        stem = stem[:-1]
    numbered = (f"{PARTIAL_SUFFIX}_{number}" for number in itertools.count(2))
    candidates = (
        target.with_stem(stem + end) for end in itertools.chain([PARTIAL_SUFFIX], numbered)
    )
    kept = next(path for path in candidates if not exists(path))
    with writing(kept, VideoError):
        temporary.replace(kept)
    return kept


def _is_playable(path: Path) -> bool:
    """True if FFmpeg can decode a frame of the file."""
    try:
        with ClipReader(path, str(path)):
            return True
    except VideoError:
        return False


def _run(
    reader: ClipReader,
    writer: ClipWriter,
    restorer: Restorer,
    options: FrameOptions,
    on_frame: Callable[[], None],
) -> VideoResult:
    result, start = VideoResult(), time.perf_counter()
    try:
        with frame_errors(reader.name):
            run_pipeline(
                with_neighbours(reader, restorer),
                lambda frames: restore_frames(frames, restorer, options, result, on_frame=on_frame),
                writer.write,
            )
        writer.copy(reader.trailing_packets)
    except KeyboardInterrupt:
        result.was_interrupted = True
    except BaseException as error:
        writer.abort()
        if isinstance(error, DerainError) and writer.frame_count:
            raise _UnfinishedError(error) from error
        raise
    try:
        writer.close()
    except VideoError as error:
        writer.abort()
        raise _UnfinishedError(error) from error
    result.seconds = time.perf_counter() - start
    _report_damage(reader, writer, result)
    result.notes += writer.omissions
    return result


def _report_damage(reader: ClipReader, writer: ClipWriter, result: VideoResult) -> None:
    """Add truncation and damaged packets to a result."""
    if reader.missing and not result.was_interrupted:
        read, declared = reader.missing
        result.problems.append(
            f"{reader.name}: is truncated at {read:.1f} s of {declared:.1f} s; "
            "the part before it was restored, copy the file again"
        )
    rejected = writer.rejected_packets
    if rejected > MAX_REJECTED_SHARE * (rejected + writer.copied_packets):
        result.problems.append(
            f"{reader.name}: {rejected} packets of audio or subtitles are damaged or have invalid "
            "times, and were dropped; "
            "repair the clip first, for example with `ffmpeg -i CLIP -c copy FIXED.mkv`"
        )
    if reader.damaged_packets or rejected:
        result.notes.append(f"{reader.damaged_packets + rejected} damaged packets were skipped")


def _choose_encoding(
    reader: ClipReader, target: Path, codec: str | None, crf: float | None
) -> Encoding:
    first = reader.first_frame
    try:
        return choose_encoding(
            target,
            reader.stream.codec_context.codec.canonical_name,
            first.format,
            (first.width, first.height),
            codec=codec,
            crf=crf,
        )
    except VideoError as error:
        raise VideoError(f"{target}: {error}") from None
