"""`restore_pipe`: frames from standard input to standard output, in the form in which they come."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction
from typing import BinaryIO

from av.codec import CodecContext
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.format import VideoFormat
from av.video.frame import VideoFrame

from derain.inference.restorer import Restorer
from derain.video.clip_reader import ClipReader, TimedFrame
from derain.video.colours import Colours, RgbToFrame, has_alpha
from derain.video.errors import VideoError, ffmpeg_errors, frame_errors
from derain.video.frames import FrameOptions, VideoResult, restore_frames
from derain.video.pipe_reader import InterruptibleReader
from derain.video.pipeline import run_pipeline

MAGIC = b"YUV4MPEG2"
MOST_HEAD = 1024
"""Bytes of the first line of a YUV4MPEG2 stream."""


def restore_pipe(
    inlet: BinaryIO,
    outlet: BinaryIO,
    restorer: Restorer,
    wishes: FrameOptions | None = None,
    *,
    raw: tuple[int, int, str] | None = None,
    on_frame: Callable[[], None] = lambda: None,
) -> VideoResult:
    """Restore frames as they come.

    They are a stream in YUV4MPEG2 (`ffmpeg -f yuv4mpegpipe`), whose first line is handed on as it is, or raw frames of (width,
    height, pixel format). Raises VideoError for anything else. `on_frame()` is called after each.
    """
    form, options, head, before_frame = "yuv4mpegpipe", {}, b"", b""
    reader = InterruptibleReader(inlet)
    if raw is None:
        head, before_frame = reader.readline(MOST_HEAD), reader.readline(MOST_HEAD)
        if not head.startswith(MAGIC):
            fact = "is no YUV4MPEG2 stream" if head else "is empty"
            raise VideoError(
                f"standard input: {fact}; let `ffmpeg -f yuv4mpegpipe -` fill it, or give --raw WIDTHxHEIGHT for raw frames"
            )
        _check_size(head)
    else:
        _check_layout(raw[2])
        form, options = "rawvideo", {"video_size": f"{raw[0]}x{raw[1]}", "pixel_format": raw[2]}
    tally, start = VideoResult(), time.perf_counter()
    coming = _Inlet(head + before_frame, reader, has_lines=raw is None)
    with ClipReader(coming, "standard input", format=form, options=options) as source:
        first = _raw_codec(source.first, time_base=source.stream.time_base).encode(source.first)
        coming.skip(len(head), frame_bytes=sum(packet.size for packet in first))
        sink = _Outlet(outlet, source, head, before_frame=b"FRAME\n" if raw is None else b"")
        try:
            with frame_errors(source.name):
                run_pipeline(
                    source,
                    lambda shots: restore_frames(
                        shots, restorer, wishes or FrameOptions(), tally, on_frame=on_frame
                    ),
                    sink.write,
                    on_stop=reader.end,
                )
        except KeyboardInterrupt:
            tally.was_interrupted = True
        if coming.ends_within_a_frame and not tally.was_interrupted:
            tally.problems.append(
                f"{source.name}: ends within a frame; the {sink.frames} before it were restored, look at what fills the pipe"
            )
        if has_alpha(source.first.format):
            tally.notes.append("its transparency is left out")
        tally.notes += source.dropped
    tally.seconds = time.perf_counter() - start
    return tally


def _check_size(head: bytes) -> None:
    """Of the first line of a YUV4MPEG2 stream."""
    told = {word[:1]: word[1:] for word in head.split()[1:]}
    if not all(told.get(side, b"").isdigit() and int(told[side]) for side in (b"W", b"H")):
        raise VideoError(
            "standard input: its first line does not say how large the frames are; let `ffmpeg -f yuv4mpegpipe -` write it"
        )


def _check_layout(name: str) -> None:
    try:
        VideoFormat(name)
    except ValueError:
        raise VideoError(
            f"--pix-fmt {name}: FFmpeg knows no such layout of pixels; `ffmpeg -pix_fmts` lists them, rgb24 is usual"
        ) from None


def _raw_codec(frame: VideoFrame, *, time_base: Fraction | None) -> VideoCodecContext:
    """What makes of frames like one the bytes of their pixels, without the padding of their rows in memory."""
    codec = CodecContext.create("rawvideo", "w")
    assert isinstance(codec, VideoCodecContext)
    codec.width, codec.height, codec.pix_fmt = frame.width, frame.height, frame.format.name
    codec.time_base = time_base or Fraction(1, 25)
    return codec


class _Inlet:
    """What was read already, and then the rest; FFmpeg must not look for its end, or go back.

    It follows the frames that go by, each after a line of its own with `has_lines`, to know whether the last one is whole.
    """

    def __init__(self, head: bytes, file: InterruptibleReader, *, has_lines: bool) -> None:
        self._head = head
        self._file = file
        self._has_lines = has_lines
        self._frame_bytes = 0
        """0 until it is known."""
        self._unseen = b""
        """What went by before that."""
        self._is_in_line = False
        self._left = 0
        """Bytes of a frame that are still to come."""

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        data, self._head = self._head[:size], self._head[size:]
        data = data or self._file.read(size)
        if self._frame_bytes:
            self._follow(data)
        else:
            self._unseen += data
        return data

    def skip(self, count: int, *, frame_bytes: int) -> None:
        """The first `count` bytes stand before all frames, and each of those has `frame_bytes`."""
        self._frame_bytes = frame_bytes
        self._follow(self._unseen[count:])
        self._unseen = b""

    @property
    def ends_within_a_frame(self) -> bool:
        """Whether what has come so far is no whole number of frames."""
        return self._is_in_line or self._left > 0

    def _follow(self, data: bytes) -> None:
        start = 0
        while start < len(data):
            if self._left:
                taken = min(self._left, len(data) - start)
                self._left -= taken
                start += taken
            elif self._has_lines:
                end = data.find(b"\n", start)
                self._is_in_line = end < 0
                start = len(data) if end < 0 else end + 1
                self._left = 0 if end < 0 else self._frame_bytes
            else:
                self._left = self._frame_bytes


class _Outlet:
    """Writes frames without the padding that FFmpeg's rows have in memory."""

    def __init__(
        self, file: BinaryIO, source: ClipReader, head: bytes, *, before_frame: bytes
    ) -> None:
        self._file = file
        self._before_frame = before_frame
        self.frames = 0
        self._pack = RgbToFrame(Colours.of(source.first), source.first.format.name)
        self._codec = _raw_codec(source.first, time_base=source.stream.time_base)
        self._put(head)

    def write(self, shot: TimedFrame) -> None:
        """Write one frame, at once: somebody waits for it."""
        samples, _ = shot
        try:
            packets = self._codec.encode(self._pack(samples))
        except (FFmpegError, OSError, ValueError) as error:
            layout = self._pack.layout.name
            raise VideoError(
                f"standard output: FFmpeg writes no pixels as {layout}; give another --pix-fmt"
            ) from error
        data = b"".join(bytes(packet) for packet in packets)
        self.frames += 1
        self._put(self._before_frame + data)

    def _put(self, data: bytes) -> None:
        with ffmpeg_errors("standard output"):
            self._file.write(data)
            self._file.flush()
