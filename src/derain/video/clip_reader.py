"""A clip as a row of frames and of packets that are handed through, in the order of the file."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.sidedata.sidedata import SideData
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from derain.pictures import Pixels
from derain.pictures.orientation import upright
from derain.video.colours import FrameToRgb
from derain.video.containers import ffmpeg_url
from derain.video.errors import VideoError, ffmpeg_errors
from derain.video.rotation import orientation_of
from derain.video.timestamps import ClockRestarts, FrameTimes, TruncationCheck


@dataclass(frozen=True, eq=False)
class FrameTiming:
    """What a frame needs to be written beside its samples."""

    pts: int
    """When it is shown, in units of the clip's time base."""
    duration: int
    """0 where the clip does not say."""
    packets: tuple[Packet[Any], ...]
    """What of other streams lies before it in the file."""


LIGHT = "its HDR metadata (how bright the screen and the pictures are)"
LOST = {
    "MASTERING_DISPLAY_METADATA": LIGHT,
    "CONTENT_LIGHT_LEVEL": LIGHT,
    "DYNAMIC_HDR_PLUS": LIGHT,
}
LOST |= {
    "DOVI_RPU_BUFFER": LIGHT,
    "DOVI_METADATA": LIGHT,
    "DYNAMIC_HDR_VIVID": LIGHT,
    "A53_CC": "its closed captions",
}
LOST |= {
    "STEREO3D": "its marks of which eye sees what (3D)",
    "SPHERICAL": "its marks of a picture all around (360 degrees)",
}
"""What frames carry beside their pixels that PyAV does not hand to an encoder, by FFmpeg's name."""
TimedFrame: TypeAlias = tuple[Pixels, FrameTiming]
Item: TypeAlias = "VideoFrame | Packet[Any]"  # at run time a packet has no parameter


class ClipReader:
    """An open clip. A context manager; raises VideoError for what is no clip, or has no frame that can be decoded."""

    def __init__(
        self,
        file: Any,
        name: str,
        *,
        format: str | None = None,
        options: dict[str, str] | None = None,
    ) -> None:
        """`file` is a path or an open binary file, `name` is what errors begin with."""
        self.name = name
        self.damaged = 0
        """Packets that could not be decoded so far."""
        with ffmpeg_errors(name):
            url = ffmpeg_url(file) if isinstance(file, Path) else file
            self.container: InputContainer = av.open(
                url, format=format, options=options or {}, metadata_errors="replace"
            )
        self.stream = self._main_stream()
        self.stream.thread_type = "AUTO"
        self._clock = FrameTimes(self.container)
        self._seams = ClockRestarts(self.container)
        self._reach = TruncationCheck(self.container)
        self._items = self._decoded()
        self._was_resized = self._was_interlaced = False
        self._lost: dict[str, None] = {}
        """Of LOST, what frames have had so far."""
        self._early: list[Item] = []
        self.trailing: tuple[Packet[Any], ...] = ()
        """After the last frame: the packets that came behind it."""
        self.first = self._first_frame()
        """As it is stored."""
        self.orientation = orientation_of(self.display_matrix)
        """How its frames, which come upright, are stored."""

    def __enter__(self) -> ClipReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def __iter__(self) -> Iterator[TimedFrame]:
        """The frames as people see them, each with the packets of all other streams that came before it."""
        packets: list[Packet[Any]] = []
        unpack = FrameToRgb(self.first)
        for item in itertools.chain(self._early, self._items):
            if isinstance(item, VideoFrame):
                self._look_at(item)
                with ffmpeg_errors(self.name):
                    samples = upright(unpack(item), self.orientation)
                yield samples, FrameTiming(item.pts or 0, item.duration, tuple(packets))
                packets.clear()
            else:
                packets.append(item)
        self.trailing = tuple(packets)

    @property
    def frames(self) -> int | None:
        """How many frames the clip says, or is estimated, to have; None where nobody knows."""
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
        """(read, declared) in seconds where the file, read to its end, is far shorter than it says: it was cut off."""
        return self._reach.missing

    @property
    def early_packets(self) -> dict[int, Packet[Any]]:
        """The first packet of each other stream that has one before the first frame, by the index of the stream."""
        packets = [item for item in self._early if not isinstance(item, VideoFrame)]
        return {packet.stream.index: packet for packet in reversed(packets)}

    @property
    def display_matrix(self) -> list[int] | None:
        """How players turn the clip: nine numbers, or None for not at all."""
        matrix = self.first.side_data.get("DISPLAYMATRIX")
        return list(struct.unpack("=9i", bytes(matrix))) if isinstance(matrix, SideData) else None

    @property
    def dropped(self) -> list[str]:
        """What of its frames so far does not come through, a sentence each."""
        found = [f"{what} are left out" for what in self._lost]
        if self.stream.metadata.get("alpha_mode") == "1":
            found.append("its transparency is left out")
        if self._was_resized:
            found.append(
                f"its frames change their size on the way; all come out at {self.first.width} x {self.first.height}"
            )
        if self._was_interlaced:
            found.append(
                "it is interlaced and comes out progressive; deinterlace it first, by `ffmpeg -vf bwdif`"
            )
        return found

    def _look_at(self, frame: VideoFrame) -> None:
        self._was_resized |= (frame.width, frame.height) != (self.first.width, self.first.height)
        self._was_interlaced |= frame.interlaced_frame
        for name in LOST:
            if frame.side_data.get(name) is not None:
                self._lost[LOST[name]] = None

    def _main_stream(self) -> VideoStream:
        streams = [stream for stream in self.container.streams.video if not is_cover(stream)]
        if not streams:
            self.container.close()
            raise VideoError(
                f"{self.name}: holds no moving picture; restore photos with `derain restore`"
            )
        if streams[0].codec_context is None:
            raise VideoError(
                f"{self.name}: its frames are in a format that FFmpeg does not know; convert it first"
            )
        return streams[0]

    def _first_frame(self) -> VideoFrame:
        for item in self._items:
            self._early.append(item)
            if isinstance(item, VideoFrame):
                return item
        self.container.close()
        raise VideoError(
            f"{self.name}: not one of its frames can be decoded; check it with `ffprobe`"
        )

    def _decoded(self) -> Iterator[Item]:
        for packet in self._packets():
            if packet.stream is not self.stream:
                if packet.dts is not None or packet.size:
                    yield packet
                continue
            self._clock.await_frame(packet)
            for frame in self._frames(packet):
                frame.pts = self._clock.stamp(frame)
                yield frame

    def _packets(self) -> Iterator[Packet[Any]]:
        """What the file gives, and the order to give out what is left, also where the file breaks off."""
        packets = self.container.demux()
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError:
                self.damaged += 1
                packet = None
            if packet is None:
                return
            self._seams.close(packet)
            self._reach.see(packet)
            yield packet

    def _frames(self, packet: Packet[Any]) -> Iterator[VideoFrame]:
        is_last = not packet.size and packet.dts is None
        while True:
            try:
                yield from self.stream.decode(packet)
            except EOFError:
                return
            except FFmpegError:  # a packet that is damaged must not end the run
                self.damaged += 1
                self._clock.give_up()
                if is_last:  # what is behind it in the decoder still comes
                    continue
            return


def is_cover(stream: Stream) -> bool:
    """Whether a stream is a still that stands for the whole clip."""
    return isinstance(stream, VideoStream) and bool(stream.disposition & Disposition.attached_pic)
