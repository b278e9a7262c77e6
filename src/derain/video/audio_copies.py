"""Copies of audio streams, for containers that need other parameters than the source has.

PyAV copies the parameters of a stream as they are. FFmpeg's AVI and Matroska need others for some
codecs.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream

from derain.video import containers
from derain.video.audio_templates import block_bytes, write_and_read
from derain.video.matroska_audio import add_stand_in

DEFAULT_LAYOUTS = {"1 channels": "mono", "2 channels": "stereo"}
"""Layouts of audio with nothing but a channel count, which not every container accepts."""
FRAME_CODECS = {"aac", "ac3", "flac", "g723_1", "mp1", "mp2", "mp3"}
"""Codecs whose frames an AVI counts. It measures the others in bytes."""
ADPCM = "adpcm_"
"""Start of the names of codecs with blocks of a fixed size, whose bit rate is often wrong."""
MAX_FLAC_FRAME = slice(2, 4)
"""Position of the frame size in the header of FLAC; source: RFC 9639, section 8.2."""
SAMPLES_PER_BLOCK = slice(0, 2)
"""Position in the private data of ADPCM in AVI and WAV."""


def add_audio_copy(
    container: OutputContainer, source: AudioStream, first: Packet[Any] | None
) -> Stream:
    """Add a stream for the packets of `source`, of which `first` is the first, if known.

    Raises FFmpegError or ValueError if the container does not support the codec.
    """
    if source.codec_context is None:
        raise ValueError("FFmpeg does not know the codec of this stream")
    codec = source.codec_context.codec.canonical_name
    first = first if first is not None and first.size else None
    if container.format.name != "avi":
        return _add_copy(container, source)
    if codec in FRAME_CODECS:
        template = _without_block_size(source, first)
        stream = _add_copy(container, template, frame_size=_frame_size(source, first))
        stream.codec_context.bit_rate = source.codec_context.bit_rate or 0
        return stream
    if codec.startswith(ADPCM):
        extradata = source.codec_context.extradata or b""
        if first is None:
            samples = int.from_bytes(extradata[SAMPLES_PER_BLOCK], "little")
        else:
            samples = _frame_size(source, first) * block_bytes(source) // first.size
        return _add_copy(container, source, frame_size=samples)
    return _add_copy(container, source)


def _add_copy(
    container: OutputContainer, template: AudioStream, *, frame_size: int = 0
) -> AudioStream:
    """Add a stream. `frame_size` is the number of samples in a frame or block, 0 if unknown."""
    try:
        stream = container.add_stream_from_template(template, opaque=True)
    except ValueError:
        if container.format.name != containers.MATROSKA_FORMAT:
            raise
        stream = add_stand_in(container, template)
    context = stream.codec_context
    if context.layout.name in DEFAULT_LAYOUTS:
        context.layout = DEFAULT_LAYOUTS[context.layout.name]
    if frame_size:
        # the frame size cannot be set otherwise
        context.options = {"frame_size": str(frame_size)}
        context.open()
    return stream


def _without_block_size(source: AudioStream, first: Packet[Any] | None) -> AudioStream:
    """Return a stream with the parameters of `source`, except the block size in an AVI.

    FFmpeg would take each block of that size for a frame.
    """
    return write_and_read(
        "nut",
        lambda file: file.add_stream_from_template(source, opaque=True),
        b"\0" if first is None else bytes(first),
    )


def _frame_size(stream: AudioStream, packet: Packet[Any] | None) -> int:
    """Return the number of samples in a packet of a stream, 0 if unknown."""
    context = stream.codec_context
    if context.frame_size > 1:
        return context.frame_size
    if context.codec.canonical_name == "flac":
        return int.from_bytes((context.extradata or b"")[MAX_FLAC_FRAME], "big")
    with suppress(FFmpegError):  # a damaged packet
        if packet is not None:
            return sum(frame.samples for frame in stream.decode(av.Packet(bytes(packet))))
    return 0
