"""Writing a clip: one stream of restored frames, and a copy of all other streams."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from derain.video.clip_reader import ClipReader, FrameTiming, TimedFrame
from derain.video.codecs import LOSSLESS_ENCODERS, Encoding
from derain.video.colours import Colours, RgbToFrame
from derain.video.containers import WITHOUT_COLOURS, ffmpeg_url
from derain.video.errors import ffmpeg_errors, is_disk_error, remedy_for_output
from derain.video.metadata import dropped_tags, read_tags
from derain.video.output_streams import OutputPlan
from derain.video.rotation import AS_STORED, undo_upright

MAX_INVISIBLE_ERROR_S = Fraction(1, 50)
"""Smaller deviations from the time of a frame are not visible."""
MAX_REJECTED_FRAMES = 20
"""Consecutive frames that FFmpeg may reject because of a damaged packet of another stream."""
MAX_ASPECT_ERROR = Fraction(1, 50)
"""Share by which the pixel aspect ratio may change: containers round the width that they show."""
MAX_UNORDERED_FRAMES = 2
"""Frames too few to be reordered; libx265 gives them decoding times that FFmpeg rejects."""


class ClipWriter:
    """An open output with the streams of `source`.

    Raises VideoError if the container, the encoder or the disk reports an error.
    """

    def __init__(self, path: Path, name: str, source: ClipReader, encoding: Encoding) -> None:
        """The suffix of `path` selects the container; errors begin with `name`."""
        self.name = name
        self.rejected_packets = 0
        """Packets that FFmpeg rejected: damaged, or with invalid time stamps."""
        self.copied_packets = 0
        """Packets of other streams that were written."""
        self.frame_count = 0
        """Frames sent to the encoder."""
        self._path = path
        self._remedy = remedy_for_output(path.suffix)
        self._rejected_frames = 0
        """Consecutive frames that were rejected last."""
        is_lossless = encoding.codec in LOSSLESS_ENCODERS
        self._to_frame = RgbToFrame(
            Colours.of(source.first_frame),
            encoding.layout,
            codec=encoding.codec,
            is_signalled=not (is_lossless and path.suffix.lower() in WITHOUT_COLOURS),
        )
        self._time_base = source.first_frame.time_base or source.stream.time_base or Fraction(1, 25)
        plan = OutputPlan(source, encoding, self._to_frame.colours, self._time_base)
        with ffmpeg_errors(name, self._remedy):
            self._output = plan.open(path)
        self._grid = plan.frame_grid(self._output)
        self._drift = plan.audio_drift(self._output)
        self._tags = read_tags(source.container)
        self._timings: dict[int, FrameTiming] | None = {} if self._output.counts_frames else None
        """Timings of the frames inside an encoder that counts frames, by number."""
        self._held: Packet[Any] | None = None
        """The last encoded frame, held until its end is known; used with a frame grid."""
        self._orientation = source.orientation if self._output.stores_rotation else AS_STORED
        self.omissions = plan.omissions
        """Properties that the container cannot keep, a sentence each."""

    def write(self, timed_frame: TimedFrame) -> None:
        """Copy the packets before a frame, and encode the frame."""
        image, timing = timed_frame
        self.copy(timing.packets)
        with ffmpeg_errors(self.name, self._remedy):
            frame = self._to_frame(undo_upright(image, self._orientation))
            frame.pts, frame.duration = timing.pts, timing.duration
            frame.time_base = self._time_base
            if self._grid is not None:
                frame.pts, frame.duration = self._grid.place(timing.pts * self._time_base), 1
                frame.time_base = 1 / self._grid.rate
            elif self._timings is not None:
                self._timings[self.frame_count] = timing
                frame.pts, frame.duration = self.frame_count, 1
                frame.time_base = self._output.video.codec_context.time_base
            self._encode(frame)
        self.frame_count += 1

    def copy(self, packets: Iterable[Packet[Any]]) -> None:
        """Copy packets of other streams, except those of dropped streams."""
        with ffmpeg_errors(self.name, self._remedy):
            for packet in packets:
                stream = self._output.copies.get(packet.stream.index)
                if stream is None:
                    continue
                if self._drift is not None and stream.type == "audio":
                    self._drift.add(packet)
                packet.stream = stream
                self.copied_packets += self._mux(packet)

    def close(self) -> None:
        """Flush the encoder and finish the file."""
        with ffmpeg_errors(self.name, self._remedy):
            self._encode(None)
            self._mux_held(following=None)
            self._output.close(self._path)
        self.omissions += dropped_tags(self._tags, self._path)
        self.omissions += self._dropped_aspect()
        if self._grid is not None and self._grid.max_error_s > MAX_INVISIBLE_ERROR_S:
            self.omissions.append(
                f"its frame times do not fit the {float(self._grid.rate):.4g} fps of this format: "
                f"frames are shown up to {float(self._grid.max_error_s):.2f} s early or late; "
                "a .mkv keeps their times"
            )
        if self._drift is not None and self._drift.max_error_s:
            self.omissions.append(
                "its audio starts late or has gaps, which this format cannot store: "
                f"it plays up to {float(self._drift.max_error_s):.2f} s early; "
                "a .mkv keeps its times"
            )

    def _dropped_aspect(self) -> list[str]:
        """Return a sentence if the finished clip lacks the pixel aspect ratio, or nothing.

        PyAV passes it to the encoder only, and some codecs cannot store it.
        """
        context, written = self._output.video.codec_context, None
        aspect = context.sample_aspect_ratio or Fraction(1)
        if aspect == 1 or not self.frame_count:
            return []
        with suppress(av.error.FFmpegError, OSError), av.open(ffmpeg_url(self._path)) as result:
            stream = result.streams[self._output.video.index]
            written = stream.sample_aspect_ratio if isinstance(stream, VideoStream) else None
        if abs((written or Fraction(1)) / aspect - 1) < MAX_ASPECT_ERROR:
            return []
        return [
            f"its pixel aspect ratio {aspect.numerator}:{aspect.denominator} is dropped, so that "
            f"players show square pixels: {context.name} in {self._path.suffix} does not store "
            "it; a .mkv with --codec libx264 keeps it"
        ]

    def abort(self) -> None:
        """Close the file after a failure; ignore further errors."""
        with suppress(av.error.FFmpegError, OSError, ValueError):
            self._encode(None)
            self._mux_held(following=None)
        with suppress(av.error.FFmpegError, OSError, ValueError):
            self._output.close(self._path)

    def _encode(self, frame: VideoFrame | None) -> None:
        for packet in self._output.video.encode(frame):
            if self.frame_count <= MAX_UNORDERED_FRAMES:
                packet.dts = packet.pts
            if self._grid is not None:
                self._mux_held(following=packet)
                continue
            if self._timings is not None and packet.pts is not None:
                timing = self._timings.pop(packet.pts)
                # frames are never reordered here: see `codecs.choose_encoding`
                packet.pts = packet.dts = timing.pts
                packet.duration, packet.time_base = timing.duration, self._time_base
            self._mux(packet)

    def _mux_held(self, *, following: Packet[Any] | None) -> None:
        """Write the held frame, whose end is known now: Ogg stores the end of each frame."""
        held, self._held = self._held, following
        if held is None:
            return
        if following is not None and following.pts is not None and held.pts is not None:
            held.duration = following.pts - held.pts
        self._mux(held)

    def _mux(self, packet: Packet[Any]) -> bool:
        """Write a packet; return False if it was rejected.

        FFmpeg buffers packets to interleave the streams: the one that it rejects may be an earlier
        packet of another stream.
        """
        is_frame = packet.stream is self._output.video
        try:
            self._output.container.mux_one(packet)
        except av.error.FFmpegError as error:
            self.rejected_packets += 1
            self._rejected_frames += is_frame
            is_fatal = is_disk_error(error.errno) or not self._output.copies
            if is_fatal or self._rejected_frames > MAX_REJECTED_FRAMES:
                raise
            return False
        if is_frame:
            self._rejected_frames = 0
        return True
