"""Streams of an output: video re-encoded, the others copied where the container allows it."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.codec.context import Flags
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Discard, Stream
from av.video.stream import VideoStream

from derain.errors import VideoError
from derain.pictures.orientation import SIDEWAYS
from derain.video import containers
from derain.video.audio_copies import add_audio_copy
from derain.video.clip_reader import ClipReader, is_cover
from derain.video.codecs import Encoding
from derain.video.colours import Colours
from derain.video.containers import MATROSKA_FORMAT, MOVIES, can_copy, ffmpeg_url
from derain.video.matroska_audio import rename_stand_ins, stand_in_format
from derain.video.metadata import are_standard, read_tags, stream_tags
from derain.video.scheduling import preserve_scheduling
from derain.video.timestamps import AudioDrift, FrameGrid

FRAME_COUNTING_ENCODERS = {"mpeg2video"}
"""Encoders that count frames and have no finer time; `ClipWriter` sets the times of packets."""
MAX_RATE_NUMERATOR = {"mpeg4": 2**16 - 1}
"""Largest numerator of the frame rate, for encoders that limit it."""
TIMECODE = "timecode"
"""Tag of a video stream, and of the extra stream in which QuickTime stores it."""
COVER_NAMES = {"mjpeg": ("cover.jpg", "image/jpeg")}
"""File name and media type of a cover in Matroska, where the type differs from the codec name."""
MAX_TIMESCALE = 2**31 - 1
"""Largest number of ticks per second in MP4 and QuickTime."""


@dataclass
class OutputFile:
    """An open output whose header is written."""

    container: OutputContainer
    video: VideoStream
    copies: dict[int, Stream]
    """Copied streams, by the index of their source."""

    def close(self, path: Path) -> None:
        """Finish the file at `path`."""
        formats = [stand_in_format(stream) for stream in self.copies.values()]
        stand_ins = {wave for wave in formats if wave is not None}
        try:
            self.container.close()
        finally:
            if stand_ins:
                rename_stand_ins(path, stand_ins)

    @property
    def counts_frames(self) -> bool:
        """True if the encoder counts frames while the container stores their times."""
        format_name = self.container.format.name
        return format_name in containers.RATE_FIRST_FORMATS or (
            self.video.codec_context.name in FRAME_COUNTING_ENCODERS
            and not _has_frame_grid(format_name)
        )

    @property
    def stores_rotation(self) -> bool:
        """True if the container stores a rotation; otherwise frames are written upright."""
        return self.container.format.name in containers.ROTATING_FORMATS


@dataclass
class OutputPlan:
    """Everything that defines an output.

    Its methods raise FFmpegError and ValueError if FFmpeg cannot write it.
    """

    source: ClipReader
    encoding: Encoding
    colours: Colours
    """Colours of the encoded frames."""
    time_base: Fraction
    """Time base of the restored frames."""
    omissions: list[str] = field(default_factory=list)
    """Properties that the container cannot keep, a sentence each."""

    @property
    def rate(self) -> Fraction:
        """Average frame rate, in frames per second."""
        rate = Fraction(self.source.stream.average_rate or self.source.stream.base_rate or 25)
        limit = MAX_RATE_NUMERATOR.get(self.encoding.codec)
        if limit is None or rate.numerator <= limit:
            return rate
        return 1 / (1 / rate).limit_denominator(limit)

    def audio_drift(self, output: OutputFile) -> AudioDrift | None:
        """Return a measure of audio drift, for formats without audio time stamps."""
        if output.container.format.name not in containers.GAPLESS_AUDIO_FORMATS:
            return None
        return AudioDrift(self._start_s(output))

    def frame_grid(self, output: OutputFile) -> FrameGrid | None:
        """Return the grid of frame times, for formats without time stamps."""
        format_name = output.container.format.name
        if not _has_frame_grid(format_name):
            return None
        if format_name in containers.FRAME_COUNTING_FORMATS:
            return FrameGrid(self.rate, has_gaps=True, start_s=self._start_s(output))
        return FrameGrid(self.rate, has_gaps=False)

    def _start_s(self, output: OutputFile) -> Fraction:
        """Return the earliest display time of any stream."""
        starts = [Fraction(self.source.first_frame.pts or 0) * self.time_base]
        for index, packet in self.source.early_packets.items():
            if index in output.copies and packet.pts is not None and packet.time_base is not None:
                starts.append(packet.pts * packet.time_base)
        return min(starts)

    def open(self, path: Path) -> OutputFile:
        """Create the file with all streams that the container of its suffix supports."""
        streams = self._supported_streams(path.suffix)
        output = self._create(ffmpeg_url(path), path.suffix, streams)
        format_name = output.container.format.name
        if TIMECODE in output.video.metadata and format_name not in containers.TIMECODE_FORMATS:
            self.omissions.append("its time code is dropped")
        for stream in self.source.container.streams.video:
            if stream.index in output.copies and not is_cover(stream):
                self.omissions.append(
                    f"its video stream {stream.index} is copied unrestored; "
                    "only the first is restored"
                )
        return output

    def _supported_streams(self, suffix: str) -> list[Stream]:
        """Return the streams, other than the video, that can be copied; report the rest.

        Some containers reject a stream only when the file is finished, so each is tried.
        """
        streams = [
            stream
            for stream in self.source.container.streams
            if stream is not self.source.stream and not _is_generated(stream)
        ]
        if not streams or self._can_write(suffix, streams):
            return streams
        supported: list[Stream] = []
        for stream in streams:
            if self._can_write(suffix, [*supported, stream]):
                supported.append(stream)
            elif is_cover(stream):
                self.omissions.append(
                    f"its cover is dropped: {suffix} does not support cover pictures"
                )
            elif _is_unknown(stream):
                self.omissions.append(
                    f"its {stream.type} stream {stream.index} is dropped: "
                    "FFmpeg does not know its codec"
                )
            else:
                codec = _codec_name(stream) or f"{stream.type} streams"
                self.omissions.append(
                    f"its {stream.type} stream {stream.index} is dropped: "
                    f"{suffix} does not support {codec}"
                )
        return supported

    def _can_write(self, suffix: str, others: Sequence[Stream]) -> bool:
        """True if a trial file in memory, with a packet of each stream, can be written."""
        try:
            trial = self._create(_MemoryFile(suffix), suffix, others)
            for index, packet in self.source.early_packets.items():
                if index in trial.copies:
                    with suppress(FFmpegError):  # a damaged packet says little about its stream
                        trial.container.mux_one(_copy_packet(packet, trial.copies[index]))
        except (FFmpegError, ValueError):
            return False
        try:
            trial.container.close()
        except FFmpegError:
            return trial.container.format.name in containers.NEVER_EMPTY
        return True

    def _create(self, file: Any, suffix: str, others: Sequence[Stream]) -> OutputFile:
        format_name = containers.FFMPEG_FORMATS.get(suffix.lower())
        container = av.open(file, "w", format=format_name)
        container.metadata.update(self.source.container.metadata)
        copies: dict[int, Stream] = {}
        for stream in self.source.container.streams:
            if stream is self.source.stream:
                video = self._add_video(container)
            elif stream not in others:
                continue
            elif not can_copy(
                container.format.name, _codec_name(stream), is_cover=is_cover(stream)
            ):
                raise ValueError("the container does not keep this stream")
            elif is_cover(stream) and container.format.name == MATROSKA_FORMAT:
                self._attach_cover(container, stream)
            else:
                first = self.source.early_packets.get(stream.index)
                copies[stream.index] = _add_copy(container, stream, first)
        if container.format.name in MOVIES:
            if not are_standard(read_tags(self.source.container)):
                container.container_options["movflags"] = "+use_metadata_tags"
            timescale = _common_timescale(self.time_base, copies.values())
            container.container_options["movie_timescale"] = str(timescale)
        container.set_chapters(self.source.container.chapters())
        with preserve_scheduling():
            container.start_encoding()
        return OutputFile(container, video, copies)

    def _add_video(self, container: OutputContainer) -> VideoStream:
        source, encoding, colours = self.source, self.encoding, self.colours
        stream = container.add_stream(
            encoding.codec, rate=self.rate, options=dict(encoding.options)
        )
        if not isinstance(stream, VideoStream):
            raise VideoError(f"--codec {encoding.codec}: does not encode video; try libx264")
        context, aspect = stream.codec_context, source.stream.sample_aspect_ratio
        context.width, context.height = source.first_frame.width, source.first_frame.height
        context.pix_fmt = encoding.layout
        context.color_range, context.colorspace = colours.range, colours.matrix
        context.color_primaries, context.color_trc = colours.primaries, colours.transfer
        context.flags |= Flags.frame_duration
        if aspect:  # None and 0 mean unknown
            context.sample_aspect_ratio = aspect
        format_name = container.format.name
        has_grid = _has_frame_grid(format_name)
        counts_frames = (
            has_grid
            or format_name in containers.RATE_FIRST_FORMATS
            or encoding.codec in FRAME_COUNTING_ENCODERS
        )
        stream.time_base = 1 / self.rate if has_grid else self.time_base
        context.time_base = 1 / self.rate if counts_frames else self.time_base
        _copy_tags(stream, source.stream, is_reencoded=True)
        for data_stream in source.container.streams.data:
            if TIMECODE in data_stream.metadata:
                stream.metadata.setdefault(TIMECODE, data_stream.metadata[TIMECODE])
        if format_name in containers.ROTATING_FORMATS:
            if source.display_matrix is not None:
                stream.set_display_matrix(source.display_matrix)
        elif source.orientation in SIDEWAYS:
            context.width, context.height = context.height, context.width
            if aspect:
                context.sample_aspect_ratio = 1 / aspect
        _set_apple_tag(stream, container)
        return stream

    def _attach_cover(self, container: OutputContainer, cover: Stream) -> None:
        """Attach a cover as a file, as Matroska stores it."""
        packet = self.source.early_packets.get(cover.index)
        if packet is None or cover.codec_context is None:
            raise ValueError("no cover picture precedes the first frame")
        codec = cover.codec_context.name
        name, media_type = COVER_NAMES.get(codec, (f"cover.{codec}", f"image/{codec}"))
        tags = {"filename": name, "mimetype": media_type} | cover.metadata
        attachment = container.add_attachment(tags["filename"], tags["mimetype"], bytes(packet))
        attachment.metadata.update(tags)


def _has_frame_grid(format_name: str) -> bool:
    return format_name in containers.CONSTANT_RATE_FORMATS | containers.FRAME_COUNTING_FORMATS


class _MemoryFile(io.BytesIO):
    """A trial output."""

    def __init__(self, suffix: str) -> None:
        super().__init__()
        self.name = f"trial{suffix}"


def _is_generated(stream: Stream) -> bool:
    """True for chapters and time codes, which containers write from the clip's metadata."""
    return stream.type == "data" and (stream.discard == Discard.all or TIMECODE in stream.metadata)


def _is_unknown(stream: Stream) -> bool:
    """True for a stream that needs a decoder which this FFmpeg lacks: PyAV cannot copy it."""
    return stream.codec_context is None and stream.type not in {"data", "attachment"}


def _codec_name(stream: Stream) -> str | None:
    return stream.codec_context.codec.canonical_name if stream.codec_context else None


def _add_copy(container: OutputContainer, source: Stream, first: Packet[Any] | None) -> Stream:
    if isinstance(source, AudioStream):
        stream: Stream = add_audio_copy(container, source, first)
    else:
        stream = container.add_stream_from_template(source, opaque=True)
    _copy_tags(stream, source)
    _set_apple_tag(stream, container)
    return stream


def _copy_packet(packet: Packet[Any], stream: Stream) -> Packet[Any]:
    """Return a copy of a packet for another stream."""
    copy = av.Packet(bytes(packet))
    copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
    copy.time_base = packet.time_base
    copy.is_keyframe, copy.stream = packet.is_keyframe, stream
    return copy


def _copy_tags(stream: Stream, source: Stream, *, is_reencoded: bool = False) -> None:
    stream.metadata.update(stream_tags(source.metadata, is_reencoded=is_reencoded))
    stream.disposition = source.disposition


def _set_apple_tag(stream: Stream, container: OutputContainer) -> None:
    """Use the only one of HEVC's two names that Apple's players accept."""
    context = stream.codec_context
    if (
        container.format.name in MOVIES
        and context is not None
        and context.codec.canonical_name == "hevc"
    ):
        context.codec_tag = "hvc1"


def _common_timescale(time_base: Fraction, copies: Iterable[Stream]) -> int:
    """Return ticks per second that express the start of video and audio exactly.

    FFmpeg's default, 1000, is too coarse.
    """
    rates = [
        stream.codec_context.sample_rate for stream in copies if isinstance(stream, AudioStream)
    ]
    exact = math.lcm(time_base.denominator, *rates)
    candidates = (exact, time_base.denominator)
    return next((ticks for ticks in candidates if ticks <= MAX_TIMESCALE), 90_000)
