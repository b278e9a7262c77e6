"""Audio that Matroska stores as in a WAV file, under the name A_MS/ACM.

These are the codecs without a Matroska name of their own, such as G.711, ADPCM and WMA. PyAV
rejects them, although FFmpeg can write them. A stand-in stream of another codec holds their packets
until the file is complete; then its name is replaced in the file.

Source of the layout: RFC 8794 (EBML) and RFC 9559 (Matroska).
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

from av.audio.stream import AudioStream
from av.container import OutputContainer

from derain.video.audio_templates import wave_format, write_and_read
from derain.video.containers import MATROSKA_FORMAT

STAND_IN = "truehd"
"""Codec whose packets FFmpeg does not inspect, and whose streams have no private data."""
STAND_IN_NAME, ACM_NAME = b"A_TRUEHD", b"A_MS/ACM"
"""Matroska's names of the stand-in and of audio as in a WAV file; of the same length."""
SEGMENT, TRACKS, TRACK, CODEC, CODEC_PRIVATE, CRC = (
    b"\x18\x53\x80\x67",
    b"\x16\x54\xae\x6b",
    b"\xae",
    b"\x86",
    b"\x63\xa2",
    b"\xbf",
)
MAX_TRACKS_BYTES = 1 << 24
"""Limit for the description of all tracks, which may contain extra data of other codecs."""


def add_stand_in(container: OutputContainer, source: AudioStream) -> AudioStream:
    """Add a stream for the packets of `source`; `rename_stand_ins` gives it its real codec.

    Raises FFmpegError or ValueError if Matroska does not support the codec.
    """
    wave, rate = wave_format(source), source.codec_context.sample_rate
    template = write_and_read(
        MATROSKA_FORMAT, lambda file: file.add_mux_stream(STAND_IN, rate=rate)
    )
    stream = container.add_stream_from_template(template, opaque=True)
    stream.codec_context.layout = source.codec_context.layout.name
    stream.codec_context.extradata = wave
    return stream


def stand_in_format(stream: object) -> bytes | None:
    """Return the WAVEFORMATEX of a stand-in; None for any other stream."""
    if not isinstance(stream, AudioStream) or stream.codec_context is None:
        return None
    context = stream.codec_context
    return context.extradata if context.codec.canonical_name == STAND_IN else None


def rename_stand_ins(path: Path, wave_formats: Collection[bytes]) -> None:
    """Give the stand-ins with these formats their real codec, in a complete file.

    Raises OSError.
    """
    with path.open("r+b") as file:
        for start, size in _find(file, 0, path.stat().st_size, SEGMENT):
            for tracks_start, tracks_size in _find(file, start, start + size, TRACKS):
                if tracks_size > MAX_TRACKS_BYTES:
                    return
                file.seek(tracks_start)
                tracks = _rename(file.read(tracks_size), wave_formats)
                file.seek(tracks_start)
                file.write(tracks)
                return


def _rename(tracks: bytes, wave_formats: Collection[bytes]) -> bytes:
    """Return the content of a Tracks element with the real names, and a valid checksum."""
    file, data = io.BytesIO(tracks), bytearray(tracks)
    for start, size in _find(file, 0, len(tracks), TRACK):
        end = start + size
        private = [tracks[at : at + n] for at, n in _find(file, start, end, CODEC_PRIVATE)]
        for at, length in _find(file, start, end, CODEC):
            if tracks[at : at + length] == STAND_IN_NAME and set(private) & set(wave_formats):
                data[at : at + length] = ACM_NAME
    for at, length in _find(file, 0, len(tracks), CRC):
        data[at : at + length] = zlib.crc32(data[at + length :]).to_bytes(4, "little")
    return bytes(data)


def _find(file: BinaryIO, start: int, end: int, name: bytes) -> Iterator[tuple[int, int]]:
    """Yield (start, size) of the content of each element `name` between two positions.

    An element of unknown size ends with the file.
    """
    while start < end:
        file.seek(start)
        identifier = _read_number(file)
        size = _read_number(file)
        if not identifier or not size:
            return
        start = file.tell()
        bits = 7 * len(size)
        length = int.from_bytes(size, "big") & ((1 << bits) - 1)
        if length == (1 << bits) - 1:
            length = end - start
        if identifier == name:
            yield start, length
        start += length


def _read_number(file: BinaryIO) -> bytes:
    """Return a number of variable length, with its length marker; empty if there is none."""
    first = file.read(1)
    if not first or not first[0]:
        return b""
    return first + file.read(8 - first[0].bit_length())
