"""A clip that is written: restored frames in one stream, everything else copied packet by packet."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.codec.context import Flags
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from derain.files import PARTIAL_PREFIX
from derain.video.codecs import Encoding
from derain.video.colours import Colours, Packer
from derain.video.errors import VideoError, told_of
from derain.video.source import Shot, Source

WRITERS_OWN = {"encoder", "duration"}
"""What a stream says of the program that wrote it, and of its old bytes."""

BY_RATE = {"mpeg2video"}
"""Encoders that count in frames and know no finer time."""


class Sink:
    """An open target with the streams of `source`. Raises VideoError for whatever its format, its codec or the disk refuses."""

    def __init__(self, path: Path, name: str, source: Source, encoding: Encoding) -> None:
        """`path` is where it is written, in the format of its suffix; `name` is what errors begin with."""
        self.name = name
        self.dropped: list[str] = []
        """Streams that the target's format cannot hold."""
        self.refused = 0
        """Packets of other streams whose time stamps make no sense."""
        self.frames = 0
        self._pack = Packer(Colours.of(source.first), encoding.layout)
        self._copies: dict[int, Stream] = {}
        with told_of(name):
            self._container = av.open(str(path), "w")
            self._container.metadata.update(source.container.metadata)
            for stream in source.container.streams:
                if stream is source.stream:
                    self._stream = self._restored_stream(source, encoding)
                else:
                    self._copy_stream(stream)
            self._container.set_chapters(source.container.chapters())
            self._container.start_encoding()

    def write(self, shot: Shot) -> None:
        """Hand the packets before a frame through, and encode the frame."""
        samples, stamp = shot
        self.copy(stamp.packets)
        with told_of(self.name):
            frame = self._pack(samples)
            frame.pts, frame.duration, frame.time_base = stamp.pts, stamp.duration, self._time_base
            self._container.mux(self._stream.encode(frame))
        self.frames += 1

    def copy(self, packets: Iterable[Packet[Any]]) -> None:
        """Hand packets of other streams through, those of streams that were dropped excepted."""
        with told_of(self.name):
            for packet in packets:
                stream = self._copies.get(packet.stream.index)
                if stream is None:
                    continue
                packet.stream = stream
                try:
                    self._container.mux_one(packet)
                except av.error.ArgumentError:  # its time is before that of the last one: the clip is damaged there
                    self.refused += 1

    def close(self) -> None:
        """Write what the encoder still holds, and the end of the file."""
        with told_of(self.name):
            self._container.mux(self._stream.encode(None))
            self._container.close()

    def abandon(self) -> None:
        """Close without caring for what is in the file."""
        try:
            self._container.close()
        except (av.error.FFmpegError, OSError, ValueError):
            return

    def _restored_stream(self, source: Source, encoding: Encoding) -> VideoStream:
        rate = source.stream.average_rate or source.stream.base_rate or Fraction(25)
        stream = self._container.add_stream(encoding.codec, rate=rate, options=dict(encoding.options))
        if not isinstance(stream, VideoStream):
            raise VideoError(f"--codec {encoding.codec}: does not encode pictures; try libx264")
        self._time_base = source.first.time_base or source.stream.time_base or 1 / rate
        colours, context = self._pack.colours, stream.codec_context
        context.width, context.height, context.pix_fmt = source.first.width, source.first.height, encoding.layout
        context.color_range, context.colorspace = colours.range, colours.matrix
        context.color_primaries, context.color_trc = colours.primaries, colours.transfer
        context.flags |= Flags.frame_duration
        if source.stream.sample_aspect_ratio:  # None and 0 stand for not known
            context.sample_aspect_ratio = source.stream.sample_aspect_ratio
        stream.time_base = self._time_base
        context.time_base = 1 / rate if encoding.codec in BY_RATE else self._time_base
        _describe(stream, source.stream)
        if source.display_matrix is not None:
            stream.set_display_matrix(source.display_matrix)
        return stream

    def _copy_stream(self, template: Stream) -> None:
        try:
            stream = self._container.add_stream_from_template(template, opaque=True)
        except (av.error.FFmpegError, ValueError) as error:
            self.dropped.append(f"its {template.type} stream {template.index} is left out ({' '.join(str(error).split())})")
            return
        _describe(stream, template)
        self._copies[template.index] = stream


def partial_of(target: Path) -> Path:
    """A name in the same folder that nobody takes for a result; its suffix tells FFmpeg what to write."""
    return target.with_name(f"{PARTIAL_PREFIX}{secrets.token_hex(6)}{target.suffix}")


def _describe(stream: Stream, template: Stream) -> None:
    stream.metadata.update({key: value for key, value in template.metadata.items() if key.lower() not in WRITERS_OWN})
    stream.disposition = template.disposition
