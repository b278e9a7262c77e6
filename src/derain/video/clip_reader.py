"""Reading a clip: frames, and the packets of all other streams, in the order of the file."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from derain.errors import VideoError
from derain.pictures import Pixels
from derain.pictures.orientation import upright
from derain.video.colours import FrameToRgb
from derain.video.containers import ffmpeg_url
from derain.video.errors import ffmpeg_errors
from derain.video.rotation import orientation_from_matrix
from derain.video.side_data import display_matrix, side_data_kinds
from derain.video.timestamps import Clock, FrameTimes, TruncationCheck, clock_origin_s

HDR = "its HDR metadata is dropped"
DROPPED_SIDE_DATA = {
    "MASTERING_DISPLAY_METADATA": HDR,
    "CONTENT_LIGHT_LEVEL": HDR,
    "DYNAMIC_HDR_PLUS": HDR,
    "DOVI_RPU_BUFFER": HDR,
    "DOVI_METADATA": HDR,
    "DYNAMIC_HDR_VIVID": HDR,
    "A53_CC": "its closed captions are dropped",
    "STEREO3D": "its 3D markers (stereo frame packing) are dropped",
    "SPHERICAL": "its markers of a 360-degree picture are dropped",
    "EXIF": "the EXIF of its frames is dropped",
}
"""Side data of frames that PyAV does not pass to an encoder, by FFmpeg's name."""
MAX_HELD_FRAMES = 256
"""More than a decoder holds back, for its threads and to order them."""


@dataclass(frozen=True, eq=False)
class FrameTiming:
    """Everything but the pixels that is needed to write a frame."""

    pts: int
    """Display time, in units of the clip's time base."""
    duration: int
    """In the same units; 0 if unknown."""
    packets: tuple[Packet[Any], ...]
    """Packets of other streams between the previous frame and this one."""


TimedFrame: TypeAlias = tuple[Pixels, FrameTiming]
Item: TypeAlias = "VideoFrame | Packet[Any]"  # Packet is not generic at run time


class ClipReader:
    """An open clip; a context manager.

    Raises VideoError for a file without a video stream or without a frame that can be decoded.
    """

    def __init__(
        self,
        file: Any,
        name: str,
        *,
        format: str | None = None,
        options: dict[str, str] | None = None,
        keeps_clock: bool = False,
    ) -> None:
        """`file` is a path or an open binary file; errors begin with `name`.

        A clock that begins late begins at 0, unless `keeps_clock` is set.
        """
        self.name = name
        self.damaged_packets = 0
        """Packets so far that could not be decoded."""
        with ffmpeg_errors(name):
            url = ffmpeg_url(file) if isinstance(file, Path) else file
            self.container: InputContainer = av.open(
                url, format=format, options=options or {}, metadata_errors="replace"
            )
        with ExitStack() as opened:
            opened.callback(self.container.close)
            self.stream = self._find_video_stream()
            self.stream.thread_type = "AUTO"
            self._times = FrameTimes(self.container)
            origin_s = Fraction(0) if keeps_clock else clock_origin_s(self.container)
            self._clock = Clock(self.container, origin_s)
            self._truncation = TruncationCheck(self.container, origin_s)
            self._items = self._decode()
            self._changes_size = self._is_interlaced = False
            self._dropped: dict[str, None] = {}  # an ordered set
            """Values of DROPPED_SIDE_DATA that apply to the frames so far."""
            self._early: list[Item] = []
            self.trailing_packets: tuple[Packet[Any], ...] = ()
            """Packets after the last frame; known once all frames are read."""
            self.first_frame = self._decode_first_frame()
            """The first frame as stored, before rotation."""
            self.orientation = orientation_from_matrix(self.display_matrix)
            """EXIF orientation of the stored frames; iteration yields them upright."""
            opened.pop_all()  # from here on, `__exit__` closes it

    def __enter__(self) -> ClipReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def __iter__(self) -> Iterator[TimedFrame]:
        """Yield the frames upright, each with the packets of other streams before it."""
        packets: list[Packet[Any]] = []
        to_rgb = FrameToRgb(self.first_frame)
        for item in itertools.chain(self._early, self._items):
            if isinstance(item, VideoFrame):
                self._inspect(item)
                with ffmpeg_errors(self.name):
                    image = upright(to_rgb(item), self.orientation)
                yield image, FrameTiming(item.pts or 0, item.duration, tuple(packets))
                packets.clear()
            else:
                packets.append(item)
        self.trailing_packets = tuple(packets)

    @property
    def frame_count(self) -> int | None:
        """Declared or estimated number of frames; None if unknown."""
        if self.stream.frames:
            return self.stream.frames
        rate = self.stream.average_rate
        if self.stream.duration is not None and self.stream.time_base is not None and rate:
            return round(self.stream.duration * self.stream.time_base * rate)
        if self.container.duration and rate:
            return round(self.container.duration / av.time_base * rate)
        return None

    @property
    def missing(self) -> tuple[float, float] | None:
        """(read, declared) in seconds if the file, read to its end, is truncated; else None."""
        return self._truncation.missing

    @property
    def early_packets(self) -> dict[int, Packet[Any]]:
        """First packet of each other stream before the first frame, by stream index."""
        packets = [item for item in self._early if not isinstance(item, VideoFrame)]
        return {packet.stream.index: packet for packet in reversed(packets)}

    @property
    def display_matrix(self) -> list[int] | None:
        """Rotation for players: nine numbers, or None."""
        return display_matrix(self.first_frame)

    @property
    def omissions(self) -> list[str]:
        """Properties of the frames so far that no output can keep, a sentence each."""
        omissions = list(self._dropped)
        if self.stream.metadata.get("alpha_mode") == "1":
            omissions.append("its transparency is dropped")
        if self._changes_size:
            size = f"{self.first_frame.width} x {self.first_frame.height}"
            omissions.append(f"its frames change their size; all are written at {size}")
        if self._is_interlaced:
            omissions.append(
                "it is interlaced and is written as progressive; "
                "deinterlace it first with `ffmpeg -vf bwdif`"
            )
        return omissions

    def _inspect(self, frame: VideoFrame) -> None:
        first = self.first_frame
        self._changes_size |= (frame.width, frame.height) != (first.width, first.height)
        self._is_interlaced |= frame.interlaced_frame
        kinds = side_data_kinds(frame)
        for kind, omission in DROPPED_SIDE_DATA.items():
            if kind in kinds:
                self._dropped[omission] = None

    def _find_video_stream(self) -> VideoStream:
        streams = [stream for stream in self.container.streams.video if not is_cover(stream)]
        if not streams:
            raise VideoError(
                f"{self.name}: contains no video stream; use `derain restore` for photos"
            )
        if streams[0].codec_context is None:
            raise VideoError(f"{self.name}: its video codec is unknown to FFmpeg; convert it first")
        return streams[0]

    def _decode_first_frame(self) -> VideoFrame:
        for item in self._items:
            self._early.append(item)
            if isinstance(item, VideoFrame):
                return item
        raise VideoError(f"{self.name}: none of its frames can be decoded; check it with `ffprobe`")

    def _decode(self) -> Iterator[Item]:
        for packet in self._read_packets():
            if packet.stream is not self.stream:
                if packet.dts is not None or packet.size:
                    yield packet
                continue
            self._times.add_packet(packet)
            for frame in self._decode_packet(packet):
                is_reordered = bool(self.stream.codec_context.has_b_frames)
                frame.pts = self._times.next_time(frame, is_reordered=is_reordered)
                yield frame

    def _read_packets(self) -> Iterator[Packet[Any]]:
        """Yield the packets of the file and the final flush packets, also for a truncated file."""
        packets = self.container.demux()
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError:
                self.damaged_packets += 1
                packet = None
            if packet is None:
                return
            self._clock.correct(packet)
            self._truncation.add(packet)
            yield packet

    def _decode_packet(self, packet: Packet[Any]) -> Iterator[VideoFrame]:
        is_flush = not packet.size and packet.dts is None
        for _ in range(MAX_HELD_FRAMES if is_flush else 1):
            try:
                yield from self.stream.decode(packet)
                return
            except EOFError:
                return
            except FFmpegError:  # a damaged packet must not end the run
                self.damaged_packets += 1
                self._times.drop_packet()
            # after a flush, the decoder still has the frames behind it, unless it cannot be opened
            if not self.stream.codec_context.is_open:
                return


def is_cover(stream: Stream) -> bool:
    """True if a video stream is a still cover picture."""
    return isinstance(stream, VideoStream) and bool(stream.disposition & Disposition.attached_pic)
