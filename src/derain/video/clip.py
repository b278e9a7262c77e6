"""`restore_clip`: a clip to a clip of the same kind."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from derain.errors import DerainError
from derain.files.atomic import remove_stale_temporaries, temporary_beside
from derain.files.messages import explain_os_error
from derain.files.paths import check_target_name, exists
from derain.inference.restorer import Restorer
from derain.video.clip_reader import ClipReader
from derain.video.clip_writer import ClipWriter
from derain.video.codecs import Encoding, choose
from derain.video.errors import VideoError, ffmpeg_errors, frame_errors
from derain.video.frames import FrameOptions, VideoResult, restore_frames
from derain.video.pipeline import run_pipeline

MOST_REFUSED = 0.05
"""Of the packets of sound and subtitles: from here on what is left out is not a blemish, but a loss."""
PARTIAL = "_partial"
"""What the name of a clip ends with that Ctrl-C or a failure cut short; the next ones have a number behind."""
LONGEST_NAME = 255
"""Bytes, of most disks."""


def restore_clip(
    path: Path,
    target: Path,
    restorer: Restorer,
    wishes: FrameOptions | None = None,
    *,
    codec: str | None = None,
    crf: float | None = None,
    on_start: Callable[[int | None], None] = lambda frames: None,
    on_frame: Callable[[], None] = lambda: None,
) -> VideoResult:
    """Restore the frames of a clip; sound, subtitles, chapters, rotation, colours and time stamps stay as they are.

    `target` appears when it is complete. After Ctrl-C or a failure on the way the frames so far lie in a clip of their own,
    `target` with PARTIAL at its name, or nowhere if there are none. `on_start(frames)` is told how many frames there should be,
    `on_frame()` is called after each. Raises VideoError for what FFmpeg or the disk refuses.
    """
    with ClipReader(path, str(path)) as source:
        encoding = _encoding(source, target, codec, crf)
        _check_name(target)
        remove_stale_temporaries(target.parent)
        partial = temporary_beside(target, target.suffix)  # by which FFmpeg knows what to write
        try:
            sink = ClipWriter(partial, str(target), source, encoding)
            on_start(source.frames)
            tally = _run(source, sink, restorer, wishes or FrameOptions(), on_frame)
            tally.notes[:0] = [*encoding.notes, *source.dropped]
            if not tally.was_interrupted:
                _name(partial, target)
            elif sink.frames:
                tally.notes.append(
                    f"the first {sink.frames} frames are in {_kept(partial, target)}"
                )
            return tally
        except _UnfinishedError as error:
            if not _is_playable(partial):
                raise error.reason from error.reason.__cause__
            raise VideoError(
                f"{error.reason}; what there is of it is in {_kept(partial, target)}"
            ) from error.reason.__cause__
        finally:
            with suppress(OSError):  # in a folder that may not be entered, where there is none
                partial.unlink(missing_ok=True)


class _UnfinishedError(Exception):
    """Frames were restored, and the others or the end of the file could not be written."""

    def __init__(self, reason: DerainError) -> None:
        super().__init__(str(reason))
        self.reason = reason


def _check_name(target: Path) -> None:
    """Find out before long work whether a clip could get its name."""
    try:
        check_target_name(target)
    except OSError as error:
        raise VideoError(f"{target}: {explain_os_error(error)}") from error


def _name(partial: Path, target: Path) -> None:
    """Give a whole clip its name."""
    try:
        with ffmpeg_errors(str(target)):
            with partial.open("rb+") as file:
                os.fsync(
                    file.fileno()
                )  # or a power cut could leave an empty file under the final name
            partial.replace(target)
    except VideoError as error:
        raise _UnfinishedError(error) from error


def _kept(partial: Path, target: Path) -> Path:
    """Where the unfinished file stays: beside those of earlier runs. Of a name that is too long for that, the end is left out."""
    stem = target.stem
    while stem and len(os.fsencode(f"{stem}{PARTIAL}_100{target.suffix}")) > LONGEST_NAME:
        stem = stem[:-1]
    names = itertools.chain([PARTIAL], (f"{PARTIAL}_{number}" for number in itertools.count(2)))
    kept = next(path for name in names if not exists(path := target.with_stem(stem + name)))
    with ffmpeg_errors(str(kept)):
        partial.replace(kept)
    return kept


def _is_playable(path: Path) -> bool:
    """Whether FFmpeg finds a picture in a file."""
    try:
        with ClipReader(path, str(path)):
            return True
    except VideoError:
        return False


def _run(
    source: ClipReader,
    sink: ClipWriter,
    restorer: Restorer,
    wishes: FrameOptions,
    on_frame: Callable[[], None],
) -> VideoResult:
    tally, start = VideoResult(), time.perf_counter()
    try:
        with frame_errors(source.name):
            run_pipeline(
                source,
                lambda shots: restore_frames(shots, restorer, wishes, tally, on_frame=on_frame),
                sink.write,
            )
        sink.copy(source.trailing)
    except KeyboardInterrupt:
        tally.was_interrupted = True
    except BaseException as error:
        sink.abandon()
        if isinstance(error, DerainError) and sink.frames:
            raise _UnfinishedError(error) from error
        raise
    try:
        sink.close()
    except VideoError as error:
        sink.abandon()
        raise _UnfinishedError(error) from error
    tally.seconds = time.perf_counter() - start
    if source.missing and not tally.was_interrupted:
        read, declared = source.missing
        tally.problems.append(
            f"{source.name}: breaks off at {read:.1f} s of {declared:.1f}; what there is of it was restored, copy the file anew"
        )
    if sink.refused > MOST_REFUSED * (sink.refused + sink.copied):
        tally.problems.append(
            f"{source.name}: {sink.refused} packets of sound or subtitles are damaged, or their times make no sense: "
            "they are left out; mend them first, for instance by `ffmpeg -i CLIP -c copy MENDED.mkv`"
        )
    if source.damaged or sink.refused:
        tally.notes.append(f"{source.damaged + sink.refused} damaged packets were passed over")
    tally.notes += sink.dropped
    return tally


def _encoding(source: ClipReader, target: Path, codec: str | None, crf: float | None) -> Encoding:
    first = source.first
    size = first.width, first.height
    try:
        return choose(
            target,
            source.stream.codec_context.codec.canonical_name,
            first.format,
            size,
            codec=codec,
            crf=crf,
        )
    except VideoError as error:
        raise VideoError(f"{target}: {error}") from None
