"""`restore_pipe`: restore frames from standard input to standard output, in their format."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from fractions import Fraction
from typing import BinaryIO

from av.codec import CodecContext
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.format import VideoFormat
from av.video.frame import VideoFrame

from derain.errors import VideoError
from derain.inference.restorer import Restorer
from derain.video.clip_reader import ClipReader, TimedFrame
from derain.video.colours import Colours, RgbToFrame, has_alpha
from derain.video.errors import ffmpeg_errors, frame_errors
from derain.video.frames import FrameOptions, VideoResult, restore_frames, with_neighbours
from derain.video.pipe_reader import InterruptibleReader
from derain.video.pipeline import run_pipeline

MAGIC = b"YUV4MPEG2"
MAX_HEADER_BYTES = 1024
"""Longest header line of a YUV4MPEG2 stream."""


def restore_pipe(
    inlet: BinaryIO,
    outlet: BinaryIO,
    restorer: Restorer,
    options: FrameOptions | None = None,
    *,
    raw: tuple[int, int, str] | None = None,
    on_frame: Callable[[], None] = lambda: None,
) -> VideoResult:
    """Restore frames as they arrive.

    The input is a YUV4MPEG2 stream (`ffmpeg -f yuv4mpegpipe`), whose header is copied, or raw
    frames of (width, height, pixel format). An interlaced stream becomes progressive, like a clip.
    `on_frame()` is called after each frame.
    Raises VideoError for any other input.
    """
    reader = InterruptibleReader(inlet)
    header, frame_header = b"", b""
    if raw is None:
        header, frame_header = reader.readline(MAX_HEADER_BYTES), reader.readline(MAX_HEADER_BYTES)
        _check_header(header)
        format_name, demuxer_options = "yuv4mpegpipe", {}
    else:
        width, height, layout = raw
        _check_layout(layout)
        format_name = "rawvideo"
        demuxer_options = {"video_size": f"{width}x{height}", "pixel_format": layout}
    result, start = VideoResult(), time.perf_counter()
    stream = _Inlet(header + frame_header, reader, has_headers=raw is None)
    with ClipReader(stream, "standard input", format=format_name, options=demuxer_options) as clip:
        first = clip.first_frame
        packets = _raw_codec(first, time_base=clip.stream.time_base).encode(first)
        stream.skip(len(header), frame_bytes=sum(packet.size for packet in packets))
        frame_header = b"FRAME\n" if raw is None else b""
        writer = _Outlet(outlet, clip, _as_progressive(header), frame_header=frame_header)
        try:
            with frame_errors(clip.name):
                run_pipeline(
                    with_neighbours(clip, restorer),
                    lambda frames: restore_frames(
                        frames, restorer, options or FrameOptions(), result, on_frame=on_frame
                    ),
                    writer.write,
                    on_stop=reader.end,
                )
        except KeyboardInterrupt:
            result.was_interrupted = True
        if stream.ends_within_frame and not result.was_interrupted:
            result.problems.append(
                f"{clip.name}: ends within a frame; the {writer.frame_count} frames before it "
                "were restored, check the program that fills the pipe"
            )
        if has_alpha(first.format):
            result.notes.append("its transparency is dropped")
        result.notes += clip.omissions
    result.seconds = time.perf_counter() - start
    return result


def _check_header(header: bytes) -> None:
    """Raise VideoError if this is not the header of a YUV4MPEG2 stream with a frame size."""
    if not header.startswith(MAGIC):
        problem = "is not a YUV4MPEG2 stream" if header else "is empty"
        raise VideoError(
            f"standard input: {problem}; fill it with `ffmpeg -f yuv4mpegpipe -`, "
            "or use --raw WIDTHxHEIGHT for raw frames"
        )
    fields = {word[:1]: word[1:] for word in header.split()[1:]}
    sides = [fields.get(side, b"") for side in (b"W", b"H")]
    if not all(side.isdigit() and int(side) for side in sides):
        raise VideoError(
            "standard input: its header has no frame size; "
            "write the stream with `ffmpeg -f yuv4mpegpipe -`"
        )


def _as_progressive(header: bytes) -> bytes:
    """Return a YUV4MPEG2 header without interlacing (`It`, `Ib`)."""
    return re.sub(rb"(?<= )I[tb](?=\s)", b"Ip", header)


def _check_layout(name: str) -> None:
    try:
        VideoFormat(name)
    except ValueError:
        raise VideoError(
            f"--pix-fmt {name}: unknown to FFmpeg; "
            "choose one that `ffmpeg -pix_fmts` lists, for example rgb24"
        ) from None


def _raw_codec(frame: VideoFrame, *, time_base: Fraction | None) -> VideoCodecContext:
    """Return an encoder to raw bytes, without the row padding that frames have in memory."""
    codec = CodecContext.create("rawvideo", "w")
    assert isinstance(codec, VideoCodecContext)
    codec.width, codec.height, codec.pix_fmt = frame.width, frame.height, frame.format.name
    codec.time_base = time_base or Fraction(1, 25)
    return codec


class _Inlet:
    """A file for FFmpeg, which must not seek: data that was read already, then the pipe.

    It follows the frames to know whether the last one is complete. With `has_headers`, each frame
    follows a header line.
    """

    def __init__(self, start: bytes, reader: InterruptibleReader, *, has_headers: bool) -> None:
        self._start = start
        self._reader = reader
        self._has_headers = has_headers
        self._frame_bytes = 0
        """0 until known."""
        self._unparsed = b""
        """Data that was read before the size of a frame was known."""
        self._is_in_header = False
        self._remaining = 0
        """Bytes of the current frame that are missing."""

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes; empty at the end."""
        data, self._start = self._start[:size], self._start[size:]
        data = data or self._reader.read(size)
        if self._frame_bytes:
            self._follow(data)
        else:
            self._unparsed += data
        return data

    def skip(self, count: int, *, frame_bytes: int) -> None:
        """Set the length of the stream header and the size of a frame."""
        self._frame_bytes = frame_bytes
        self._follow(self._unparsed[count:])
        self._unparsed = b""

    @property
    def ends_within_frame(self) -> bool:
        """True if the data so far ends within a frame."""
        return self._is_in_header or self._remaining > 0

    def _follow(self, data: bytes) -> None:
        start = 0
        while start < len(data):
            if self._remaining:
                count = min(self._remaining, len(data) - start)
                self._remaining -= count
                start += count
            elif self._has_headers:
                end = data.find(b"\n", start)
                self._is_in_header = end < 0
                start = len(data) if end < 0 else end + 1
                self._remaining = 0 if end < 0 else self._frame_bytes
            else:
                self._remaining = self._frame_bytes


class _Outlet:
    """Writes frames without the row padding that they have in memory."""

    def __init__(
        self, file: BinaryIO, source: ClipReader, header: bytes, *, frame_header: bytes
    ) -> None:
        self._file = file
        self._frame_header = frame_header
        self.frame_count = 0
        first = source.first_frame
        self._to_frame = RgbToFrame(Colours.of(first), first.format.name)
        self._codec = _raw_codec(first, time_base=source.stream.time_base)
        self._put(header)

    def write(self, timed_frame: TimedFrame) -> None:
        """Write one frame immediately: the next program waits for it."""
        image, _ = timed_frame
        try:
            packets = self._codec.encode(self._to_frame(image))
        except (FFmpegError, OSError, ValueError) as error:
            layout = self._to_frame.layout.name
            raise VideoError(
                f"standard output: FFmpeg cannot write pixels as {layout}; use another --pix-fmt"
            ) from error
        self.frame_count += 1
        self._put(self._frame_header + b"".join(bytes(packet) for packet in packets))

    def _put(self, data: bytes) -> None:
        with ffmpeg_errors("standard output", "write a file with -o"):
            self._file.write(data)
            self._file.flush()
