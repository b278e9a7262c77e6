"""A clip that is written: restored frames in one stream, everything else copied packet by packet."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.packet import Packet
from av.video.frame import VideoFrame

from derain.video.clip_reader import ClipReader, FrameTiming, TimedFrame
from derain.video.codecs import Encoding
from derain.video.colours import Colours, RgbToFrame
from derain.video.errors import as_output, ffmpeg_errors, is_of_disk
from derain.video.metadata import dropped_tags, tags_of
from derain.video.output_streams import OutputPlan
from derain.video.rotation import AS_STORED, turned_back

LEAST_S = Fraction(1, 50)
"""Nobody sees that a frame is shown so much too early or too late."""
MOST_IN_A_ROW = 20
"""Frames that FFmpeg may refuse one after the other: from here on it is not the damage of a packet beside them."""


class ClipWriter:
    """An open target with the streams of `source`. Raises VideoError for whatever its format, its codec or the disk refuses."""

    def __init__(self, path: Path, name: str, source: ClipReader, encoding: Encoding) -> None:
        """`path` is where it is written, in the format of its suffix; `name` is what errors begin with."""
        self.name = name
        self.refused = 0
        """Packets of other streams that are damaged, or whose time stamps make no sense."""
        self.copied = 0
        """Packets of other streams that were written."""
        self.frames = 0
        self._path = path
        self._remedy = as_output(path.suffix)
        self._in_a_row = 0
        """Frames that were refused since the last that was not."""
        self._pack = RgbToFrame(Colours.of(source.first), encoding.layout, codec=encoding.codec)
        self._time_base = source.first.time_base or source.stream.time_base or Fraction(1, 25)
        draft = OutputPlan(source, encoding, self._pack.colours, self._time_base)
        with ffmpeg_errors(name, self._remedy):
            self._target = draft.open(path)
        self._grid = draft.grid(self._target)
        self._drift = draft.drift(self._target)
        self._tags = tags_of(source.container)
        self._numbered: dict[int, FrameTiming] | None = {} if self._target.is_numbered else None
        """Where the encoder counts frames: the stamps of those that have not come out of it."""
        self._last: Packet[Any] | None = None
        """Of a grid: the frame that has come out of the encoder last."""
        self._orientation = source.orientation if self._target.is_turned else AS_STORED
        self.dropped = draft.dropped
        """What the target's format cannot hold, a sentence each."""

    def write(self, shot: TimedFrame) -> None:
        """Hand the packets before a frame through, and encode the frame."""
        samples, stamp = shot
        self.copy(stamp.packets)
        with ffmpeg_errors(self.name, self._remedy):
            frame = self._pack(turned_back(samples, self._orientation))
            frame.pts, frame.duration, frame.time_base = stamp.pts, stamp.duration, self._time_base
            if self._grid is not None:
                frame.pts, frame.duration = self._grid.place(stamp.pts * self._time_base), 1
                frame.time_base = 1 / self._grid.rate
            elif self._numbered is not None:
                self._numbered[self.frames] = stamp
                frame.pts, frame.duration, frame.time_base = (
                    self.frames,
                    1,
                    self._target.pictures.codec_context.time_base,
                )
            self._encode(frame)
        self.frames += 1

    def copy(self, packets: Iterable[Packet[Any]]) -> None:
        """Hand packets of other streams through, those of streams that were dropped excepted."""
        with ffmpeg_errors(self.name, self._remedy):
            for packet in packets:
                stream = self._target.copies.get(packet.stream.index)
                if stream is None:
                    continue
                if self._drift is not None and stream.type == "audio":
                    self._drift.see(packet)
                packet.stream = stream
                self.copied += self._mux(packet)

    def close(self) -> None:
        """Write what the encoder still holds, and the end of the file."""
        with ffmpeg_errors(self.name, self._remedy):
            self._encode(None)
            self._mux_last(until=None)
            self._target.container.close()
        self.dropped += dropped_tags(self._tags, self._path)
        if self._grid is not None and self._grid.worst_s > LEAST_S:
            self.dropped.append(
                f"its frames do not come in step with {float(self._grid.rate):.4g} a second, as this format wants them: "
                f"they are shown up to {float(self._grid.worst_s):.2f} s early or late; a .mkv keeps their times"
            )
        if self._drift is not None and self._drift.worst_s:
            self.dropped.append(
                f"its sound begins late or has gaps, which this format does not know: it is played up to "
                f"{float(self._drift.worst_s):.2f} s early; a .mkv keeps its times"
            )

    def _encode(self, frame: VideoFrame | None) -> None:
        for packet in self._target.pictures.encode(frame):
            if self._grid is not None:
                self._mux_last(until=packet)
                continue
            if self._numbered is not None and packet.pts is not None:
                stamp = self._numbered.pop(packet.pts)
                packet.pts = packet.dts = (
                    stamp.pts
                )  # no frame is coded before its predecessor: see `codecs.choose`
                packet.duration, packet.time_base = stamp.duration, self._time_base
            self._mux(packet)

    def _mux_last(self, *, until: Packet[Any] | None) -> None:
        """Write the last frame, now that it is known when it ends: Ogg says the end of each, and not the beginning."""
        last, self._last = self._last, until
        if last is None:
            return
        if until is not None and until.pts is not None and last.pts is not None:
            last.duration = until.pts - last.pts
        self._mux(last)

    def _mux(self, packet: Packet[Any]) -> bool:
        """Hand a packet to the format, and tell whether it was taken.

        A format holds packets back to bring the streams in order: what it refuses may be an earlier one, of another stream.
        """
        is_frame = packet.stream is self._target.pictures
        try:
            self._target.container.mux_one(packet)
        except av.error.FFmpegError as error:
            self.refused += 1
            self._in_a_row += is_frame
            if is_of_disk(error.errno) or not self._target.copies or self._in_a_row > MOST_IN_A_ROW:
                raise
            return False
        if is_frame:
            self._in_a_row = 0
        return True

    def abandon(self) -> None:
        """Close without caring for what is in the file, beyond that FFmpeg may write its end."""
        with suppress(av.error.FFmpegError, OSError, ValueError):
            self._encode(None)
            self._mux_last(until=None)
        with suppress(av.error.FFmpegError, OSError, ValueError):
            self._target.container.close()
