"""Parameters of audio streams, as FFmpeg writes them into files in memory."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Stream

WAVE_FORMAT_BYTES = 18
"""Length of a WAVEFORMATEX without private data; WAV files may omit its last field."""


def wave_format(stream: AudioStream) -> bytes:
    """Return the WAVEFORMATEX of a stream, as in a WAV file.

    Raises FFmpegError or ValueError if a WAV file does not support the codec.
    """
    file = io.BytesIO()
    with av.open(file, "w", format="wav") as container:
        container.add_stream_from_template(stream, opaque=True)
        container.start_encoding()
    header = file.getvalue()
    start = header.index(b"fmt ") + 8
    length = int.from_bytes(header[start - 4 : start], "little")
    return header[start : start + length].ljust(WAVE_FORMAT_BYTES, b"\0")


def block_bytes(stream: AudioStream) -> int:
    """Return the size of a block of a codec with blocks of a fixed size. Raises like above."""
    return int.from_bytes(wave_format(stream)[12:14], "little")


def write_and_read(
    format_name: str, add: Callable[[OutputContainer], Stream], data: bytes = b"\0"
) -> AudioStream:
    """Return the stream that `add` adds to a file, as it is read back: with what a format keeps.

    `data` is its only packet. Raises FFmpegError or ValueError.
    """
    file = io.BytesIO()
    with av.open(file, "w", format=format_name) as container:
        packet = av.Packet(data)
        packet.stream = add(container)
        packet.pts, packet.dts, packet.time_base = 0, 0, Fraction(1)
        packet.is_keyframe = True
        container.mux_one(packet)
    file.seek(0)
    return av.open(file).streams.audio[0]
