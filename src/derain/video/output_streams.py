"""The streams of a clip that is written: its pictures anew, all others as they were, as far as its format takes them."""

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

from derain.video import containers as formats
from derain.video.clip_reader import ClipReader, is_cover
from derain.video.codecs import Encoding
from derain.video.colours import Colours
from derain.video.containers import MATROSKA, MOVIES, can_copy, ffmpeg_url
from derain.video.errors import VideoError
from derain.video.metadata import are_plain, stream_tags, tags_of
from derain.video.rotation import LYING
from derain.video.timestamps import AudioDrift, FrameGrid

BY_RATE = {"mpeg2video"}
"""Encoders that count frames and know no finer time: `Sink` gives the packets theirs."""
MOST_PARTS = {"mpeg4": 2**16 - 1}
"""Encoders that do not know every part of a second, and into how many it may be divided."""
TIMECODE = "timecode"
"""The tag of a moving picture, and of the stream beside it in which QuickTime keeps it."""
USUAL_LAYOUTS = {"1 channels": "mono", "2 channels": "stereo"}
"""What sound is whose file says no more than the number of its channels, which not every format takes."""
AC3_IN_AVI = "avi", "ac3"
DEFAULT_AC3 = 192_000
"""Bits a second of AC-3 that does not say."""
COVERS = {"mjpeg": ("cover.jpg", "image/jpeg")}
"""Name and type of a picture in Matroska by its codec, where that is not called as the type is."""
MOST_TICKS = 2**31 - 1
"""A second of a movie has no more of them."""


@dataclass
class OutputFile:
    """An open file whose head is written."""

    container: OutputContainer
    pictures: VideoStream
    copies: dict[int, Stream]
    """Of all that is handed through, by the index of the stream in the source."""

    @property
    def is_numbered(self) -> bool:
        """Whether the encoder counts frames, and the format knows when each is shown."""
        form = self.container.format.name
        return form in formats.TIMED_TWICE or (
            self.pictures.codec_context.name in BY_RATE and not _is_gridded(form)
        )

    @property
    def is_turned(self) -> bool:
        """Whether the file says how its frames are to be turned; others are written upright."""
        return self.container.format.name in formats.TURNING


@dataclass
class OutputPlan:
    """What a target is made from. FFmpegError and ValueError are FFmpeg's word that it cannot be."""

    source: ClipReader
    encoding: Encoding
    colours: Colours
    """As they are written."""
    time_base: Fraction
    """Of the restored frames."""
    dropped: list[str] = field(default_factory=list)
    """What the target's format cannot hold, a sentence each."""

    @property
    def rate(self) -> Fraction:
        """Frames a second, in the mean."""
        rate = Fraction(self.source.stream.average_rate or self.source.stream.base_rate or 25)
        ticks = MOST_PARTS.get(self.encoding.codec)
        return (
            rate
            if ticks is None or rate.numerator <= ticks
            else 1 / (1 / rate).limit_denominator(ticks)
        )

    def drift(self, target: OutputFile) -> AudioDrift | None:
        """The account of sound in a format that does not know when it is to be played."""
        return (
            AudioDrift(self._start_s(target))
            if target.container.format.name in formats.SOUND_IN_A_ROW
            else None
        )

    def grid(self, target: OutputFile) -> FrameGrid | None:
        """What the frames of a target's format are to be fitted into, if it does not know any time."""
        form = target.container.format.name
        if not _is_gridded(form):
            return None
        has_gaps = form in formats.COUNTING
        return FrameGrid(
            self.rate, has_gaps=has_gaps, start_s=self._start_s(target) if has_gaps else None
        )

    def _start_s(self, target: OutputFile) -> Fraction:
        """When what comes first is to be shown."""
        first = self.source.first
        starts = [Fraction(first.pts or 0) * self.time_base]
        for index, packet in self.source.early_packets.items():
            if index in target.copies and packet.pts is not None and packet.time_base is not None:
                starts.append(packet.pts * packet.time_base)
        return min(starts)

    def open(self, path: Path) -> OutputFile:
        """Begin a file with all streams that the format of its suffix can hold."""
        target = self._begin(ffmpeg_url(path), path.suffix, self._fitting(path.suffix))
        if (
            TIMECODE in target.pictures.metadata
            and target.container.format.name not in formats.TIMECODED
        ):
            self.dropped.append("its time code is left out")
        for stream in self.source.container.streams.video:
            if stream.index in target.copies and not is_cover(stream):
                self.dropped.append(
                    f"its video stream {stream.index} is kept as it is; only the first is restored"
                )
        return target

    def _fitting(self, suffix: str) -> list[Stream]:
        """The streams beside the pictures that a format takes, which it may not say before the end of a file."""
        streams = [
            stream for stream in self.source.container.streams if stream is not self.source.stream
        ]
        others = [stream for stream in streams if not _is_made_by_formats(stream)]
        if not others or self._fits(suffix, others):
            return others
        kept: list[Stream] = []
        for stream in others:
            if self._fits(suffix, [*kept, stream]):
                kept.append(stream)
            else:
                what = "cover" if is_cover(stream) else f"{stream.type} stream {stream.index}"
                held = "such a picture" if is_cover(stream) else _codec_of(stream) or "it"
                self.dropped.append(f"its {what} is left out: a {suffix} does not hold {held}")
        return kept

    def _fits(self, suffix: str, others: Sequence[Stream]) -> bool:
        """Whether a file can be had with these streams, by a trial in memory with a packet of each."""
        try:
            trial = self._begin(_Memory(suffix), suffix, others)
            for index, packet in self.source.early_packets.items():
                if index in trial.copies:
                    with suppress(
                        FFmpegError
                    ):  # what is wrong with one packet is not wrong with its stream
                        trial.container.mux_one(_same(packet, trial.copies[index]))
        except (FFmpegError, ValueError):
            return False
        try:
            trial.container.close()
        except FFmpegError:
            return trial.container.format.name in formats.NEVER_EMPTY
        return True

    def _begin(self, file: Any, suffix: str, others: Sequence[Stream]) -> OutputFile:
        container = av.open(file, "w", format=formats.FORMATS.get(suffix.lower()))
        container.metadata.update(self.source.container.metadata)
        copies: dict[int, Stream] = {}
        for stream in self.source.container.streams:
            if stream is self.source.stream:
                pictures = self._pictures(container)
            elif stream not in others:
                continue
            elif not can_copy(container.format.name, _codec_of(stream), is_cover=is_cover(stream)):
                raise ValueError("the format loses such a stream")
            elif is_cover(stream) and container.format.name == MATROSKA:
                self._attach(container, stream)
            else:
                copies[stream.index] = _copy(container, stream)
        if container.format.name in MOVIES:
            if not are_plain(tags_of(self.source.container)):
                container.container_options["movflags"] = "+use_metadata_tags"
            container.container_options["movie_timescale"] = str(
                _common_ticks(self.time_base, copies.values())
            )
        container.set_chapters(self.source.container.chapters())
        container.start_encoding()
        return OutputFile(container, pictures, copies)

    def _pictures(self, container: OutputContainer) -> VideoStream:
        source, encoding, colours = self.source, self.encoding, self.colours
        stream = container.add_stream(
            encoding.codec, rate=self.rate, options=dict(encoding.options)
        )
        if not isinstance(stream, VideoStream):
            raise VideoError(f"--codec {encoding.codec}: does not encode pictures; try libx264")
        context, shape = stream.codec_context, source.stream.sample_aspect_ratio
        context.width, context.height, context.pix_fmt = (
            source.first.width,
            source.first.height,
            encoding.layout,
        )
        context.color_range, context.colorspace = colours.range, colours.matrix
        context.color_primaries, context.color_trc = colours.primaries, colours.transfer
        context.flags |= Flags.frame_duration
        if shape:  # None and 0 stand for not known
            context.sample_aspect_ratio = shape
        form = container.format.name
        stream.time_base = 1 / self.rate if _is_gridded(form) else self.time_base
        counts = _is_gridded(form) or form in formats.TIMED_TWICE or encoding.codec in BY_RATE
        context.time_base = 1 / self.rate if counts else self.time_base
        _describe(stream, source.stream, is_anew=True)
        for other in source.container.streams.data:
            if TIMECODE in other.metadata:
                stream.metadata.setdefault(TIMECODE, other.metadata[TIMECODE])
        if container.format.name in formats.TURNING:
            if source.display_matrix is not None:
                stream.set_display_matrix(source.display_matrix)
        elif source.orientation in LYING:
            context.width, context.height = context.height, context.width
            if shape:
                context.sample_aspect_ratio = 1 / shape
        _name_for_apple(stream, container)
        return stream

    def _attach(self, container: OutputContainer, cover: Stream) -> None:
        """Matroska keeps stills as files."""
        packet = self.source.early_packets.get(cover.index)
        if packet is None or cover.codec_context is None:
            raise ValueError("no such picture comes before the first frame")
        codec = cover.codec_context.name
        name, mime = COVERS.get(codec, (f"cover.{codec}", f"image/{codec}"))
        tags = {"filename": name, "mimetype": mime} | cover.metadata
        container.add_attachment(tags["filename"], tags["mimetype"], bytes(packet)).metadata.update(
            tags
        )


def _is_gridded(form: str) -> bool:
    return form in formats.RATED | formats.COUNTING


class _Memory(io.BytesIO):
    """A file that nobody sees."""

    def __init__(self, suffix: str) -> None:
        super().__init__()
        self.name = f"trial{suffix}"


def _is_made_by_formats(stream: Stream) -> bool:
    """Whether a stream holds chapters or a time code, which formats write by themselves from what a file says of them."""
    return stream.type == "data" and (stream.discard == Discard.all or TIMECODE in stream.metadata)


def _codec_of(stream: Stream) -> str | None:
    return stream.codec_context.codec.canonical_name if stream.codec_context else None


def _copy(container: OutputContainer, template: Stream) -> Stream:
    if (
        isinstance(template, AudioStream)
        and (container.format.name, template.codec_context.name) == AC3_IN_AVI
    ):
        stream = _ac3(container, template)
    else:
        stream = container.add_stream_from_template(template, opaque=True)
    _describe(stream, template)
    _name_for_apple(stream, container)
    if isinstance(stream, AudioStream) and stream.codec_context.layout.name in USUAL_LAYOUTS:
        stream.codec_context.layout = USUAL_LAYOUTS[stream.codec_context.layout.name]
    return stream


def _ac3(container: OutputContainer, template: AudioStream) -> Stream:
    """AC-3 of an .avi says that all packets are as large as the largest; FFmpeg would count the time of another .avi by that."""
    before = template.codec_context
    stream = container.add_stream("ac3", rate=before.sample_rate, layout=before.layout.name)
    stream.codec_context.bit_rate = before.bit_rate or DEFAULT_AC3
    return stream


def _same(packet: Packet[Any], stream: Stream) -> Packet[Any]:
    """A packet for another stream; the one that it is made from stays as it is."""
    same = av.Packet(bytes(packet))
    same.pts, same.dts, same.duration, same.time_base = (
        packet.pts,
        packet.dts,
        packet.duration,
        packet.time_base,
    )
    same.is_keyframe, same.stream = packet.is_keyframe, stream
    return same


def _describe(stream: Stream, template: Stream, *, is_anew: bool = False) -> None:
    stream.metadata.update(stream_tags(template.metadata, is_anew=is_anew))
    stream.disposition = template.disposition


def _name_for_apple(stream: Stream, container: OutputContainer) -> None:
    """Apple's players know HEVC by one of its two names only."""
    context = stream.codec_context
    if (
        container.format.name in MOVIES
        and context is not None
        and context.codec.canonical_name == "hevc"
    ):
        context.codec_tag = "hvc1"


def _common_ticks(time_base: Fraction, copies: Iterable[Stream]) -> int:
    """Ticks of a second in which the beginnings of pictures and sound can be told exactly; FFmpeg's thousand are too few."""
    rates = [
        stream.codec_context.sample_rate for stream in copies if isinstance(stream, AudioStream)
    ]
    ticks = math.lcm(time_base.denominator, *rates)
    return next((found for found in (ticks, time_base.denominator) if found <= MOST_TICKS), 90_000)
